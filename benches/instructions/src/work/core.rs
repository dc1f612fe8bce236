//! The core from a decoded record to its commit, with as many tasks and partitions and keys that wait as are wanted, in
//! a steady state: as many keys come as are accepted. Counted a key.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use smallvec::smallvec;

use crate::pipeline::answer::{Answer, Status, Verdict};
use crate::pipeline::intake::Incoming;
use crate::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use crate::pipeline::partition::PartitionName;
use crate::pipeline::record::Record;
use crate::pipeline::settings::Settings;
use crate::pipeline::time::Time;
use crate::pipeline::{Assigned, Effect, Effects, Input, Pipeline, SubmissionId};

/// Records that are read at once.
const BATCH: usize = 100;
/// How long a batch takes.
const PACE: Duration = Duration::from_millis(1);

/// A pipeline and the world around it.
pub struct World {
    pipeline: Pipeline,
    effects: Effects,
    now: Time,
    topic: Arc<str>,
    tasks: Vec<TaskId>,
    partitions: usize,
    /// Requests that are out, the oldest first.
    out: VecDeque<(SubmissionId, usize)>,
    /// Records that were read.
    read: usize,
    accepted: usize,
    is_committing: bool,
}

impl World {
    /// A world in which that many keys wait.
    pub fn new(tasks: usize, partitions: usize, waiting: usize) -> anyhow::Result<Self> {
        let settings = Settings {
            max_in_flight: 64,
            max_in_flight_per_task: 64,
            max_unsettled_changes: usize::MAX,
            max_unsettled_bytes: usize::MAX,
            max_pending_keys_per_task: usize::MAX,
            max_uncommitted_records: usize::MAX,
            ..Settings::default()
        };
        let topic: Arc<str> = "object-changes".into();
        let mut world = Self {
            pipeline: Pipeline::new(settings),
            effects: Effects::default(),
            now: Time::START,
            topic: topic.clone(),
            tasks: (0..tasks).map(|number| TaskId::new(&format!("task-{number}"))).collect::<Result<_, _>>()?,
            partitions,
            out: VecDeque::new(),
            read: 0,
            accepted: 0,
            is_committing: false,
        };
        let assigned = (0..partitions).map(|partition| Assigned {
            name: PartitionName { topic: topic.clone(), partition: i32::try_from(partition).unwrap_or(i32::MAX) },
            epoch: partition as u64,
            committed: Some(0),
        });
        world.step(Input::Assigned(assigned.collect()));
        while world.read - world.accepted < waiting {
            world.read_batch()?;
        }
        Ok(world)
    }

    /// That many keys more, and as many accepted.
    pub fn run(mut self, keys: usize) -> anyhow::Result<()> {
        let (read, accepted) = (self.read, self.accepted);
        while self.read < read + keys {
            self.read_batch()?;
            while self.accepted < self.read - read + accepted && self.answer() {}
        }
        ensure!(self.accepted > accepted || keys == 0, "no key was accepted");
        Ok(())
    }

    fn read_batch(&mut self) -> anyhow::Result<()> {
        let mut records = Vec::with_capacity(BATCH);
        for number in self.read..self.read + BATCH {
            let partition = number % self.partitions;
            let offset = i64::try_from(number / self.partitions)?;
            let task = self.tasks[number % self.tasks.len()].clone();
            let key = EncodedKey::encode(&format!("{number:x}"), KeyEncoding::Percent)?; // short: it is not what is counted
            let record = Record::at(self.topic.clone(), i32::try_from(partition)?, offset);
            records.push((partition as u64, Incoming::new(&record, smallvec![(task, key)], Vec::new())));
        }
        self.read += BATCH;
        self.step(Input::Records(records));
        Ok(())
    }

    /// The oldest request is accepted; whether there was one. With none out, time goes by until there is.
    fn answer(&mut self) -> bool {
        if self.out.is_empty() {
            self.now = self.pipeline.next_wakeup().unwrap_or(self.now).max(self.now);
            self.step(Input::Tick);
        }
        let Some((id, keys)) = self.out.pop_front() else { return false };
        self.accepted += keys;
        let (retry_after, error_code, error_message, request_id) = (None, None, None, None);
        let verdict = Verdict::Accepted;
        let answer =
            Answer { verdict, status: Status::Http(200), retry_after, error_code, error_message, request_id };
        self.step(Input::Answered(id, answer));
        true
    }

    fn step(&mut self, input: Input) {
        self.now = self.now.after(PACE / 10);
        self.pipeline.step(self.now, input, &mut self.effects);
        for effect in self.effects.actions.drain(..) {
            match effect {
                Effect::Submit { id, keys, .. } => self.out.push_back((id, keys)),
                Effect::Commit(_) => self.is_committing = true,
                _ => {}
            }
        }
        self.effects.accepted_timestamps_ms.clear();
        if std::mem::take(&mut self.is_committing) {
            self.step(Input::Committed(Ok(())));
        }
    }
}
