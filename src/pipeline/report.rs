//! What people and dashboards may know of the pipeline: a copy of its figures, made about once a second.

use std::sync::Arc;

use super::Pipeline;
use super::answer::HoldReason;
use super::discovery::{Discovery, RoutesReport};
use super::entry::{EntryId, TaskIx};
use super::event::Origin;
use super::hold::Hold;
use super::key::TaskId;
use super::ledger::Outcome;
use super::partition::PartitionName;
use super::task::{Block, Task, TaskCounts};
use super::time::Time;

/// Records settled since the last report, by topic and outcome.
#[derive(Clone, Default, Debug)]
pub struct SettledCounts(Vec<(Arc<str>, [u64; 3])>);

impl SettledCounts {
    pub(super) fn count(&mut self, topic: &Arc<str>, outcome: Outcome) {
        let known = self.0.iter().position(|(name, _)| name == topic);
        let at = known.unwrap_or_else(|| {
            self.0.push((topic.clone(), [0; 3]));
            self.0.len() - 1
        });
        self.0[at].1[outcome as usize] += 1;
    }

    /// Topic, outcome, records.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Outcome, u64)> {
        const OUTCOMES: [Outcome; 3] = [Outcome::Skipped, Outcome::Accepted, Outcome::DeadLettered];
        self.0.iter().flat_map(|(topic, counts)| OUTCOMES.map(|outcome| (topic, outcome, counts[outcome as usize])))
    }
}

/// A hold in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldReport<Reason> {
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Time,
    /// What OMS said last, or which limit was passed.
    pub said: Box<str>,
    /// When the next probe goes out, if something waits to be sent; `None` while one is out, or there are no credentials.
    pub next_probe: Option<Time>,
}

impl<Reason: Copy> HoldReport<Reason> {
    fn of(hold: &Hold<Reason>) -> Self {
        Self { reason: hold.reason, since: hold.since, said: hold.said.clone(), next_probe: hold.next_probe() }
    }
}

/// One task's figures.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Its id.
    pub id: TaskId,
    /// Keys that wait, those of parts of refused events included.
    pub pending: usize,
    /// Requests that are out.
    pub in_flight: usize,
    /// Requests that may be out.
    pub concurrency_limit: usize,
    /// When the oldest key that may go began to wait.
    pub oldest: Option<Time>,
    /// Why it may not send.
    pub block: Option<HoldReport<Block>>,
    /// Whether OMS has accepted an event of it.
    pub accepted: bool,
    /// Until when it pauses because its requests fail.
    pub paused_until: Time,
    /// Keys that stand alone and are still answered with a fault.
    pub lone_keys: Vec<Box<str>>,
    /// What happened since the last report.
    pub counts: TaskCounts,
}

/// One partition's figures.
#[derive(Clone, Debug)]
pub struct PartitionReport {
    /// Which.
    pub name: PartitionName,
    /// Next offset to read after a crash.
    pub commit_point: Option<i64>,
    /// The commit point that Kafka has acknowledged.
    pub committed: Option<i64>,
    /// Next offset after the last one that was read.
    pub read_to: Option<i64>,
    /// Records read and not behind the commit point.
    pub uncommitted: usize,
    /// When the oldest of them was taken in.
    pub oldest: Option<Time>,
    /// Whether it is paused because it is too far ahead or a task is full.
    pub paused: bool,
    /// Whether it is being given back.
    pub revoking: bool,
}

/// The request rate of the whole worker.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PaceReport {
    /// Requests a second that throttling and our own limit leave.
    pub rate: Option<f64>,
    /// Whether it is throttling that the rate comes from.
    pub throttled: bool,
    /// Until when OMS asked the whole client to be left alone.
    pub paused_until: Time,
    /// Whether tasks wait for the rate, or for a pause or a probe of the whole worker.
    pub gated: bool,
}

/// All figures.
#[derive(Clone, Debug)]
pub struct Report {
    /// Changes and bytes that are unsettled.
    pub unsettled: (usize, usize),
    /// Their limits.
    pub limits: (usize, usize),
    /// Why the whole worker may not send.
    pub hold: Option<HoldReport<HoldReason>>,
    /// How the discovery of routes stands, where they are not written.
    pub routes: Option<RoutesReport>,
    /// The request rate.
    pub pace: PaceReport,
    /// Whether records wait for the budget, or for a task that becomes idle.
    pub full: bool,
    /// Whether the worker is on its way out.
    pub draining: bool,
    /// When the oldest request that is out went out.
    pub oldest_submission: Option<Time>,
    /// When the oldest dead letter that is out went out.
    pub oldest_letter: Option<Time>,
    /// Since when a commit is out.
    pub commit_since: Option<Time>,
    /// Why dead letters wait at the breaker.
    pub breaker: Option<HoldReport<()>>,
    /// Dead letters that are not acknowledged.
    pub letters: usize,
    /// How many of them wait at the breaker.
    pub letters_waiting: usize,
    /// How many of them could not be written so far.
    pub letters_failing: usize,
    /// What tasks did since the last report that have no state any more.
    pub departed: Vec<(TaskId, TaskCounts)>,
    /// The tasks.
    pub tasks: Vec<TaskReport>,
    /// The partitions.
    pub partitions: Vec<PartitionReport>,
    /// Records settled since the last report.
    pub settled: SettledCounts,
}

impl Pipeline {
    /// A copy of all figures. Counts begin anew with each report.
    pub fn report(&mut self) -> Report {
        let ixs: Vec<TaskIx> = self.tasks.iter().map(|(ix, _)| ix).collect();
        Report {
            unsettled: self.budget.used(),
            limits: self.budget.limits(),
            hold: self.hold_report(),
            routes: self.discovery.as_ref().map(Discovery::report),
            pace: PaceReport {
                rate: self.pace.rate(),
                throttled: self.pace.is_throttled(),
                paused_until: self.pace.not_before(),
                gated: self.gate.is_some() && self.tasks.any_queued(),
            },
            full: self.is_full() && !self.has_enough(),
            draining: self.is_draining(),
            oldest_submission: self.flight.iter().map(|(_, sent)| sent.at).min(),
            oldest_letter: self.letters.oldest_out(),
            commit_since: self.commits.out_since(),
            breaker: self.breaker.open().map(HoldReport::of),
            letters: self.letters.len(),
            letters_waiting: self.breaker.waiting(),
            letters_failing: self.letters.failing(),
            departed: std::mem::take(&mut self.tasks.departed),
            tasks: ixs.into_iter().map(|ix| self.task_report(ix)).collect(),
            partitions: self.partition_reports(),
            settled: std::mem::take(&mut self.settled),
        }
    }

    /// A probe waits for its turn and for the guard against too many failed signatures.
    fn hold_report(&self) -> Option<HoldReport<HoldReason>> {
        let mut report = HoldReport::of(self.hold.as_ref()?);
        let available = self.trust.is_available();
        report.next_probe = report.next_probe.filter(|_| available).map(|at| at.max(self.trust.next_try()));
        Some(report)
    }

    fn task_report(&mut self, ix: TaskIx) -> TaskReport {
        let task = &mut self.tasks[ix];
        let doomed = task.doomed.iter().map(|doomed| doomed.event.entries.len());
        let in_parts: usize = task.parts.values().map(|part| part.entries.len()).chain(doomed).sum();
        TaskReport {
            id: task.id.clone(),
            pending: task.pending.len() + in_parts,
            in_flight: task.in_flight,
            concurrency_limit: task.pressure.limit(),
            oldest: task.pending.oldest(&self.entries),
            block: task.block.as_ref().map(HoldReport::of),
            accepted: task.accepted_at.is_some(),
            paused_until: task.pressure.not_before(),
            counts: std::mem::take(&mut task.counts),
            lone_keys: lone_keys(task).map(|id| self.entries[id].key.decode().into()).collect(),
        }
    }

    fn partition_reports(&self) -> Vec<PartitionReport> {
        let report = |(_, partition): (_, &super::partition::Partition)| PartitionReport {
            name: partition.name.clone(),
            commit_point: partition.ledger.commit_point(),
            committed: partition.committed,
            read_to: partition.ledger.end(),
            uncommitted: partition.ledger.uncommitted(),
            oldest: partition.ledger.oldest(),
            paused: partition.paused,
            revoking: partition.revoking,
        };
        self.partitions.iter().map(report).collect()
    }
}

fn lone_keys(task: &Task) -> impl Iterator<Item = EntryId> {
    let lone = task.parts.values().filter(|part| part.origin == Origin::Faulted && part.entries.len() == 1);
    lone.filter(|part| part.attempts > 0).filter_map(|part| part.entries.first().copied())
}
