//! Commits: of every partition whose commit point moved, at most one at a time, at most one an interval.

use super::entry::PartitionIx;
use super::partition::PartitionName;
use super::time::Time;
use super::{CommitError, Effect, Effects, Pipeline};

/// What is being committed, and when the next commit is due.
#[derive(Debug, Default)]
pub struct Commits {
    out: Option<Out>,
    moved: bool,
    next: Time,
    last: Option<Result<(), CommitError>>,
}

#[derive(Debug)]
struct Out {
    offsets: Vec<(PartitionIx, u64, i64)>,
    since: Time,
}

impl Commits {
    /// A commit point may have moved.
    pub(super) fn touch(&mut self) {
        self.moved = true;
    }

    /// When the next commit is due, if one is.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        (self.moved && self.out.is_none()).then_some(self.next)
    }

    /// Since when the commit that is out has been out.
    #[must_use]
    pub fn out_since(&self) -> Option<Time> {
        self.out.as_ref().map(|out| out.since)
    }

    /// How the last one ended.
    #[must_use]
    pub fn last(&self) -> Option<Result<(), CommitError>> {
        self.last
    }
}

impl Pipeline {
    pub(super) fn commit_if_due(&mut self, now: Time, out: &mut Effects) {
        if self.commits.next_due().is_none_or(|due| due > now) {
            return;
        }
        self.commits.moved = false;
        self.commits.next = now.after(self.settings.commit_interval);
        let all: Vec<_> = self.partitions.iter().map(|(ix, _)| ix).collect();
        self.commit(&all, now, out);
    }

    /// Commits what has moved of these partitions. Whether there is something to wait for.
    pub(super) fn commit(&mut self, partitions: &[PartitionIx], now: Time, out: &mut Effects) -> bool {
        if self.commits.out.is_some() {
            return true;
        }
        let mut offsets: Vec<(PartitionName, i64)> = Vec::new();
        let mut noted = Vec::new();
        for ix in partitions {
            let partition = &self.partitions[*ix];
            let Some(point) = partition.ledger.commit_point() else {
                continue;
            };
            if partition.committed != Some(point) {
                offsets.push((partition.name.clone(), point));
                noted.push((*ix, partition.epoch, point));
            }
        }
        if offsets.is_empty() {
            return false;
        }
        self.commits.out = Some(Out { offsets: noted, since: now });
        out.actions.push(Effect::Commit(offsets));
        true
    }

    pub(super) fn committed(&mut self, result: Result<(), CommitError>) {
        let Some(sent) = self.commits.out.take() else { return };
        self.commits.last = Some(result);
        for (ix, epoch, offset) in sent.offsets {
            match self.partitions.live(ix, epoch) {
                Some(partition) if result.is_ok() => partition.committed = Some(offset),
                Some(_) => self.commits.moved = true,
                None => {}
            }
        }
    }

    /// Nothing is left to read below `offset`. Not so where records are no longer taken in.
    pub(super) fn ended(&mut self, name: &PartitionName, epoch: u64, offset: i64) {
        if self.drain.is_none()
            && let Some(ix) = self.partitions.find(name)
            && let Some(partition) = self.partitions.live(ix, epoch)
            && !partition.revoking
            && partition.ledger.ended(offset)
        {
            self.commits.touch();
        }
    }
}
