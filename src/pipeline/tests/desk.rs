//! A pipeline on a desk: two partitions, a clock, and answers given by hand.

use std::time::Duration;

use super::super::answer::{Pressure, Verdict};
use super::super::key::{EncodedKey, KeyEncoding};
use super::super::record::Record;
use super::super::*;
use super::world::answer;

pub(super) const ACCEPTED: (Verdict, u16) = (Verdict::Accepted, 200);
pub(super) const REFUSED: (Verdict, u16) = (Verdict::Refused, 400);
pub(super) const UNAUTHORIZED: (Verdict, u16) = (Verdict::Hold(HoldReason::Credentials), 401);
pub(super) const FORBIDDEN: (Verdict, u16) = (Verdict::Hold(HoldReason::Permission), 403);
pub(super) const UNAVAILABLE: (Verdict, u16) = (Verdict::Busy(Pressure::Overloaded), 503);
pub(super) const FAULT: (Verdict, u16) = (Verdict::Busy(Pressure::Faulted), 500);

/// A pipeline with two partitions and a clock; events go out at once.
pub(super) struct Desk {
    pub(super) pipeline: Pipeline,
    pub(super) now: Time,
    pub(super) next: [i64; 2],
    /// Of each partition's assignment.
    epochs: [u64; 2],
    pub(super) out: Vec<(SubmissionId, String, Vec<String>)>,
    /// Requests that were signed with a candidate.
    pub(super) by_candidate: Vec<SubmissionId>,
    pub(super) effects: Vec<Effect>,
}

pub(super) fn name(partition: i32) -> PartitionName {
    PartitionName { topic: "t".into(), partition }
}

impl Desk {
    pub(super) fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { linger: Duration::ZERO, ..Settings::default() };
        change(&mut settings);
        let assigned = [(0, 1), (1, 2)].map(|(p, epoch)| Assigned { name: name(p), epoch, committed: Some(0) });
        let mut desk = Self {
            pipeline: Pipeline::new(settings),
            now: Time::START,
            next: [0; 2],
            epochs: [1, 2],
            out: Vec::new(),
            by_candidate: Vec::new(),
            effects: Vec::new(),
        };
        desk.step(Input::Assigned(assigned.into()));
        desk
    }

    pub(super) fn step(&mut self, input: Input) {
        let mut effects = Effects::default();
        self.pipeline.step(self.now, input, &mut effects);
        for effect in effects.actions {
            if let Effect::Submit { id, task, body, candidate, .. } = &effect {
                self.by_candidate.extend(candidate.then_some(*id));
                let body: serde_json::Value = serde_json::from_slice(body).unwrap();
                let keys = body["object_keys"].as_array().unwrap();
                let keys = keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
                self.out.push((*id, task.to_string(), keys));
            }
            self.effects.push(effect);
        }
    }

    /// The partition comes again and is read from its commit point.
    pub(super) fn assign_again(&mut self, partition: i32, committed: i64) {
        let p = usize::try_from(partition).unwrap();
        self.epochs[p] += 2; // none is of both
        self.next[p] = committed;
        let again = Assigned { name: name(partition), epoch: self.epochs[p], committed: Some(committed) };
        self.step(Input::Assigned(vec![again]));
    }

    /// The offset of a partition that the last commit was for.
    pub(super) fn last_commit(&self, partition: i32) -> Option<i64> {
        let commits = self.effects.iter().rev().filter_map(|effect| match effect {
            Effect::Commit(offsets) => Some(offsets),
            _ => None,
        });
        commits.flatten().find(|(at, _)| *at == name(partition)).map(|(_, offset)| *offset)
    }

    /// Whether revoked partitions were given back.
    pub(super) fn has_given_back(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Unassign(_)))
    }

    /// One record a key.
    pub(super) fn read(&mut self, partition: i32, task: &str, keys: &[&str]) {
        let epoch = self.epochs[usize::try_from(partition).unwrap()];
        let record = |key: &&str| {
            let offset = self.next[usize::try_from(partition).unwrap()];
            self.next[usize::try_from(partition).unwrap()] += 1;
            let record = Record::at("t", partition, offset);
            let key = EncodedKey::encode(key, KeyEncoding::Percent).unwrap();
            let changes = std::iter::once((TaskId::new(task).unwrap(), key)).collect();
            (epoch, Incoming::new(&record, changes, Vec::new()))
        };
        let records = keys.iter().map(record).collect();
        self.step(Input::Records(records));
    }

    /// Answers the oldest request that is out, and gives its keys.
    pub(super) fn answer(&mut self, (verdict, status): (Verdict, u16)) -> Vec<String> {
        let (id, _, keys) = self.out.remove(0);
        self.by_candidate.retain(|other| *other != id); // its number may be used again
        self.step(Input::Answered(id, answer(verdict, status)));
        keys
    }

    pub(super) fn wait(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
        self.step(Input::Tick);
    }

    /// Lets time pass to the next moment at which something is due.
    pub(super) fn wait_for_next(&mut self) -> Duration {
        let wait = self.pipeline.next_wakeup().unwrap().since(self.now);
        self.wait(wait);
        wait
    }

    pub(super) fn uncommitted(&mut self) -> Vec<usize> {
        self.pipeline.report().partitions.iter().map(|partition| partition.uncommitted).collect()
    }

    pub(super) fn letters(&self) -> Vec<(LetterId, &DeadLetter)> {
        let letter = |effect: &'_ Effect| matches!(effect, Effect::DeadLetter(..));
        let letters = self.effects.iter().filter(|effect| letter(effect));
        letters
            .filter_map(|effect| if let Effect::DeadLetter(id, l) = effect { Some((*id, &**l)) } else { None })
            .collect()
    }
}
