//! A broker, an OMS and the pipeline between them, and a model that knows only the promise: a commit point never passes a
//! change that is neither accepted nor acknowledged as a dead letter.

use std::collections::{BTreeMap, BTreeSet};

use super::super::answer::{Pressure, Status, Verdict};
use super::super::breaker::BreakerLimits;
use super::super::discovery::DiscoverySettings;
use super::super::discovery::table::{ListedState, ListedTask};
use super::super::record::Record;
use super::super::settings::StoppedTasks;
use super::super::*;
use std::time::Duration;

mod checks;
mod oms;
mod op;

pub(super) use op::{Op, op};

pub(super) const PARTITIONS: usize = 3;
pub(super) const MAX_KEYS: usize = 4;

pub(super) type Change = (u8, u8);

/// A broker, an OMS and the pipeline between them.
pub(super) struct World {
    pub(super) pipeline: Pipeline,
    pub(super) out: Effects,
    pub(super) now: Time,
    /// Each partition's log, and which changes of each record are settled.
    pub(super) logs: Vec<Vec<BTreeSet<Change>>>,
    pub(super) committed: [i64; PARTITIONS],
    /// Epoch and next offset to deliver, where assigned; whether it is being revoked.
    pub(super) assigned: [Option<(u64, usize)>; PARTITIONS],
    pub(super) revoking: BTreeSet<usize>,
    pub(super) epochs: u64,
    /// Submission, its changes, and how long each log was when it went out.
    pub(super) out_submissions: Vec<(SubmissionId, Vec<Change>, [usize; PARTITIONS])>,
    pub(super) out_letters: Vec<(LetterId, Arc<DeadLetter>)>,
    pub(super) out_questions: Vec<TaskId>,
    pub(super) out_commit: Option<Vec<(PartitionName, i64)>>,
    /// Whether the project's tasks are being listed.
    pub(super) out_listing: bool,
    pub(super) drained: bool,
}

pub(super) fn name(partition: usize) -> PartitionName {
    PartitionName { topic: "t".into(), partition: i32::try_from(partition).unwrap() }
}

pub(super) fn number(name: &PartitionName) -> usize {
    usize::try_from(name.partition).unwrap()
}

pub(super) fn answer(verdict: Verdict, status: u16) -> Answer {
    Answer {
        verdict,
        status: Status::Http(status),
        retry_after: None,
        error_code: None,
        error_message: None,
        request_id: None,
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(BreakerLimits::NONE)
    }

    fn settings(breaker: BreakerLimits) -> Settings {
        Settings {
            breaker,
            max_keys: MAX_KEYS,
            max_in_flight: 6,
            max_in_flight_per_task: 3,
            max_unsettled_changes: 12,
            max_pending_keys_per_task: 8,
            max_uncommitted_records: 20,
            max_tasks: 2,
            ..Settings::default()
        }
    }

    pub(super) fn with(breaker: BreakerLimits) -> Self {
        Self {
            pipeline: Pipeline::new(Self::settings(breaker)),
            out: Effects::default(),
            now: Time::START,
            logs: vec![Vec::new(); PARTITIONS],
            committed: [0; PARTITIONS],
            assigned: [None; PARTITIONS],
            revoking: BTreeSet::new(),
            epochs: 0,
            out_submissions: Vec::new(),
            out_letters: Vec::new(),
            out_questions: Vec::new(),
            out_commit: None,
            out_listing: false,
            drained: false,
        }
    }

    /// One that discovers its routes, and dead-letters what is for stopped tasks.
    pub(super) fn discovering() -> Self {
        let discovery = DiscoverySettings { interval: Duration::from_mins(5), prefixes: BTreeMap::new() };
        let stopped_tasks = StoppedTasks::DeadLetter;
        let settings = Settings { discovery: Some(discovery), stopped_tasks, ..Self::settings(BreakerLimits::NONE) };
        Self { pipeline: Pipeline::new(settings), ..Self::new() }
    }

    /// A new process without a breaker takes over, from what is committed.
    pub(super) fn start_anew(&mut self) {
        let (logs, committed) = (std::mem::take(&mut self.logs), self.committed);
        *self = Self { logs, committed, epochs: self.epochs, now: self.now, ..Self::new() };
        (0..PARTITIONS).for_each(|p| self.assign(p));
    }

    pub(super) fn step(&mut self, input: Input) {
        self.pipeline.step(self.now, input, &mut self.out);
        for effect in std::mem::take(&mut self.out.actions) {
            self.perform(effect);
        }
        self.check_places();
        let wakeup = self.pipeline.next_wakeup();
        assert!(wakeup.is_none_or(|at| at > self.now), "hot loop: {wakeup:?} at {:?}", self.now);
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Submit { id, task, body, keys, .. } => {
                let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let task: u8 = task.as_str().parse().unwrap();
                let list = parsed["object_keys"].as_array().unwrap();
                let changes: Vec<_> = list.iter().map(|key| (task, key.as_str().unwrap().parse().unwrap())).collect();
                assert_eq!(changes.len(), keys);
                assert!((1..=MAX_KEYS).contains(&keys));
                let trust = &self.pipeline.trust;
                let tries =
                    |sent: &&super::super::dispatch::Sent| sent.signature.is_try && sent.signature.by == trust.in_use();
                let tries = self.pipeline.flight.iter().map(|(_, sent)| sent).filter(tries).count();
                assert!(trust.is_proven() || tries <= 1, "unproven credentials have one request out");
                let lengths = std::array::from_fn(|p| self.logs[p].len());
                self.out_submissions.push((id, changes, lengths));
            }
            Effect::AskTask(task) => self.out_questions.push(task),
            Effect::DeadLetter(id, letter) => self.out_letters.push((id, letter)),
            Effect::Commit(offsets) => {
                assert!(self.out_commit.is_none(), "one commit at a time");
                for (name, offset) in &offsets {
                    self.check_commit(number(name), *offset);
                }
                self.out_commit = Some(offsets);
            }
            Effect::Unassign(names) => {
                for p in names.iter().map(number) {
                    assert!(self.revoking.remove(&p), "only revoked partitions are given back");
                    self.assigned[p] = None;
                }
            }
            Effect::Drained { .. } => self.drained = true,
            Effect::Pause(_)
            | Effect::Resume(_)
            | Effect::Notice(_)
            | Effect::AdoptCredentials
            | Effect::RefreshCredentials
            | Effect::Route(_) => {}
            Effect::ListTasks => {
                assert!(!self.out_listing, "one listing at a time");
                let trust = &self.pipeline.trust;
                let alone = self.pipeline.flight.iter().all(|(_, sent)| sent.signature.by != trust.in_use());
                assert!(trust.is_proven() || alone, "unproven credentials have one request out");
                self.out_listing = true;
            }
        }
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Assign(p) if self.assigned[p].is_none() => self.assign(p),
            Op::Revoke(p) if self.assigned[p].is_some() && self.revoking.is_empty() => {
                self.revoking.insert(p);
                self.step(Input::Revoked(vec![name(p)]));
            }
            Op::Lose(p) if self.assigned[p].is_some() => {
                self.assigned[p] = None;
                self.revoking.remove(&p);
                self.step(Input::Lost(vec![name(p)]));
            }
            Op::Poll(p, records) => {
                self.logs[p].extend(records.into_iter().map(|record| record.into_iter().collect()));
                self.deliver(p);
            }
            Op::End(p) => self.end(p),
            Op::Answer(which, how) => self.answer(which, how),
            Op::Letter(which, ok) => self.letter(which, ok),
            Op::LetterTooLarge(which) if !self.out_letters.is_empty() => {
                let (id, _) = self.out_letters.remove(which % self.out_letters.len());
                self.step(Input::LetterTooLarge(id));
            }
            Op::Stand(which, how) => self.stand(which, how),
            Op::List(how) => self.list(how),
            Op::Commit(result) => self.commit(result),
            Op::Wait(ms) => {
                self.now = self.now.after(Duration::from_millis(ms.into()));
                self.step(Input::Tick);
            }
            Op::Credentials(news) => self.step(Input::Credentials(news)),
            Op::Drain => self.step(Input::Drain),
            Op::Assign(_) | Op::Revoke(_) | Op::Lose(_) | Op::LetterTooLarge(_) => {}
        }
    }

    pub(super) fn assign(&mut self, p: usize) {
        self.epochs += 1;
        self.assigned[p] = Some((self.epochs, usize::try_from(self.committed[p]).unwrap()));
        let assigned = Assigned { name: name(p), epoch: self.epochs, committed: Some(self.committed[p]) };
        self.step(Input::Assigned(vec![assigned]));
        self.deliver(p);
    }

    pub(super) fn deliver(&mut self, p: usize) {
        let Some((epoch, from)) = self.assigned[p] else { return };
        if self.pipeline.is_full() {
            return; // the consumer stops polling
        }
        let records = (from..self.logs[p].len()).map(|at| (epoch, self.incoming(p, at))).collect();
        self.assigned[p] = Some((epoch, self.logs[p].len()));
        self.step(Input::Records(records));
    }

    /// Changes that an earlier owner settled are asked for again: OMS sees them twice, which is allowed.
    pub(super) fn incoming(&self, p: usize, at: usize) -> Incoming {
        let record = Record::at("t", i32::try_from(p).unwrap(), i64::try_from(at).unwrap());
        let change = |(task, key): &Change| {
            let encoded = key::EncodedKey::encode(&key.to_string(), key::KeyEncoding::Percent).unwrap();
            (TaskId::new(&task.to_string()).unwrap(), encoded)
        };
        Incoming::new(&record, self.logs[p][at].iter().map(change).collect(), vec![])
    }

    pub(super) fn end(&mut self, p: usize) {
        let Some((epoch, next)) = self.assigned[p] else { return };
        if next == self.logs[p].len() && !self.pipeline.is_full() {
            self.step(Input::Ended(name(p), epoch, i64::try_from(next).unwrap()));
        }
    }

    /// Key 0 is refused always, key 1 always meets a fault, task 2 comes and goes.
    pub(super) fn letter(&mut self, which: usize, ok: bool) {
        if self.out_letters.is_empty() {
            return;
        }
        let (id, letter) = self.out_letters.remove(which % self.out_letters.len());
        if ok {
            let task: u8 = letter.failure.refusal.as_ref().unwrap().task.as_str().parse().unwrap();
            let p = usize::try_from(letter.record.partition).unwrap();
            let record = &mut self.logs[p][usize::try_from(letter.record.offset).unwrap()];
            record.retain(|(t, key)| *t != task || !letter.failure.keys.iter().any(|k| **k == key.to_string()));
        }
        self.step(Input::LetterDone(id, ok));
    }

    pub(super) fn commit(&mut self, result: Result<(), CommitError>) {
        let Some(offsets) = self.out_commit.take() else { return };
        if result.is_ok() {
            for (name, offset) in offsets {
                self.committed[number(&name)] = offset;
            }
        }
        self.step(Input::Committed(result));
    }

    /// Everything goes well from here on, until nothing is left to do.
    pub(super) fn settle(&mut self) {
        self.step(Input::Credentials(CredentialNews::Offered));
        for round in 0..20_000 {
            self.commit(Ok(()));
            self.letter(0, true);
            self.stand(0, u8::MAX);
            self.list(u8::MAX);
            self.answer(0, u8::MAX);
            (0..PARTITIONS).for_each(|p| self.deliver(p));
            (0..PARTITIONS).for_each(|p| self.end(p));
            let asked = !self.out_questions.is_empty();
            let busy =
                asked || !self.out_submissions.is_empty() || !self.out_letters.is_empty() || self.out_commit.is_some();
            if busy {
                continue;
            }
            let listed_for_ever = self.pipeline.discovery.is_some() && self.is_at_rest();
            match self.pipeline.next_wakeup().filter(|_| !listed_for_ever) {
                Some(wakeup) => {
                    assert!(round < 19_000, "never comes to rest: {:?}", self.pipeline.report());
                    self.now = self.now.max(wakeup);
                    self.step(Input::Tick);
                }
                None => return,
            }
        }
    }

    /// Nothing is left but to list the tasks again some time.
    fn is_at_rest(&self) -> bool {
        let idle = self.pipeline.entries.is_empty() && self.pipeline.hold.is_none() && !self.pipeline.is_draining();
        let committed = self.pipeline.commits.next_due().is_none(); // it may be due at the very time of a listing
        let wakeup = self.pipeline.next_wakeup();
        idle && committed && wakeup == self.pipeline.discovery.as_ref().and_then(Discovery::next_due)
    }

    pub(super) fn step_unchecked(&mut self, input: Input) {
        self.pipeline.step(self.now, input, &mut self.out);
        for effect in std::mem::take(&mut self.out.actions) {
            if let Effect::Submit { id, body, .. } = &effect {
                let parsed: serde_json::Value = serde_json::from_slice(body).unwrap();
                let keys = parsed["object_keys"].as_array().unwrap();
                let changes = keys.iter().map(|key| (1, key.as_str().unwrap().parse().unwrap())).collect();
                self.out_submissions.push((*id, changes, [0; PARTITIONS]));
            } else {
                self.perform(effect);
            }
        }
    }

    /// The next request, once every question about its task is answered.
    pub(super) fn next_submission(&mut self) -> Option<(SubmissionId, Vec<Change>, [usize; PARTITIONS])> {
        while let Some(task) = self.out_questions.pop() {
            self.step_unchecked(Input::TaskStands(task, Standing::Active));
        }
        self.out_submissions.pop()
    }

    pub(super) fn assign_unchecked(&mut self, p: usize) {
        let epoch = 1 + p as u64;
        self.step_unchecked(Input::Assigned(vec![Assigned { name: name(p), epoch, committed: None }]));
        self.step_unchecked(Input::Records(vec![(epoch, self.incoming(p, 0))]));
    }
}
