//! From read to waiting: the budget lets a record in, its ledger takes it down, its changes join or become entries.

use std::vec;

use super::budget::CHANGE_BYTES;
use super::entry::{Entry, PartitionIx, RecordRef, TaskIx};
use super::failure::{Failure, Failures};
use super::intake::Incoming;
use super::key::{EncodedKey, TaskId};
use super::ledger::{Outcome, Slot};
use super::time::Time;
use super::{Effect, Effects, Pipeline, Read};

/// While all requests are out that may be, no more is let in once so many full events are ready for each of them and
/// [`AHEAD_SHARE`] of the budget is used: it could not be sent sooner.
pub(super) const READ_AHEAD: usize = 2;
/// Below that part of the budget reading goes on, so that changes of the same key can still meet.
const AHEAD_SHARE: usize = 4;

impl Pipeline {
    /// Lets records in, in the order in which they were read, until the budget is spent or enough is ready to be sent.
    pub(super) fn admit_all(&mut self, now: Time) {
        while let Some(read) = self.intake.pop_front() {
            match read {
                Read::End(name, epoch, offset) => self.ended(&name, epoch, offset),
                Read::Records(mut records) => {
                    self.admit_some(&mut records, now);
                    if records.len() > 0 {
                        return self.intake.push_front(Read::Records(records));
                    }
                }
            }
        }
    }

    fn admit_some(&mut self, records: &mut vec::IntoIter<(u64, Incoming)>, now: Time) {
        while let Some((epoch, incoming)) = records.as_slice().first() {
            let partition = self.partition_of(*epoch);
            if partition.is_some() && !self.may_enter(incoming) {
                return;
            }
            let incoming = records.next().map(|(_, incoming)| incoming);
            if let (Some(ix), Some(incoming)) = (partition, incoming) {
                self.admit(ix, incoming, now);
            } // else of an assignment that is over: its next owner reads it again
        }
    }

    fn may_enter(&self, incoming: &Incoming) -> bool {
        let (changes, bytes) = charge_of(incoming);
        let mut tasks = incoming.changes.iter().map(|(task, _)| task);
        !self.has_enough() && self.budget.admits(changes, bytes) && self.tasks.admits(&mut tasks, &self.settings)
    }

    pub(super) fn has_enough(&self) -> bool {
        let max = self.settings.max_in_flight;
        self.flight.len() >= max && self.tasks.ready() >= READ_AHEAD * max && self.budget.is_used_above(AHEAD_SHARE)
    }

    fn partition_of(&self, epoch: u64) -> Option<PartitionIx> {
        let ix = self.partitions.assigned_as(epoch)?;
        (!self.partitions[ix].revoking && self.drain.is_none()).then_some(ix)
    }

    fn admit(&mut self, partition: PartitionIx, incoming: Incoming, now: Time) {
        let charge = charge_of(&incoming);
        self.budget.charge(charge.0, charge.1);
        let record = self.partitions[partition].ledger.push(
            partition,
            Slot {
                record: incoming.record,
                admitted: now,
                open: 0,
                charge: (u32::try_from(charge.0).unwrap_or(u32::MAX), u32::try_from(charge.1).unwrap_or(u32::MAX)),
                has_ended: false,
                outcome: Outcome::Skipped,
                failures: Failures::default(),
            },
        );
        self.pauses_changed |= self.partitions[partition].ledger.uncommitted() >= self.settings.max_uncommitted_records;
        let mut open = 0;
        for (task, key) in incoming.changes {
            open += u32::from(self.take_change(&task, key, record, now));
        }
        if let Some(slot) = self.partitions[partition].ledger.slot(record) {
            slot.open = open;
            for reject in incoming.rejects {
                slot.failures.gather(Failure::rejected(reject, now));
            }
        }
        if open == 0 {
            self.finish(record);
        }
    }

    /// Lets a change wait, alone or with an earlier one of its key. Whether the record now waits for one entry more.
    pub(super) fn take_change(&mut self, task: &TaskId, key: EncodedKey, record: RecordRef, now: Time) -> bool {
        let (ix, is_new) = self.tasks.find_or_insert(task, &self.settings);
        if is_new {
            self.begin_as_listed(ix, now);
        }
        let task = &mut self.tasks[ix];
        let waiting = task.pending.find(&key, &self.entries);
        if let Some(waiting) = waiting {
            task.counts.coalesced += 1;
            let records = &mut self.entries[waiting].records;
            if records.last() == Some(&record) {
                return false;
            }
            records.push(record);
        } else {
            let id = self.entries.insert(Entry::new(ix, key, record, now));
            task.pending.push(id, &mut self.entries);
        }
        if let Some(slot) = self.partitions[record.partition].ledger.slot(record) {
            task.charge(slot.part());
        }
        if task.stopped.is_some() {
            self.stopped_tasks.insert(ix);
        }
        if task.is_full(&self.settings) && !task.pauses.contains(&record.partition) {
            task.pauses.push(record.partition);
            self.partitions[record.partition].full_tasks.push(ix);
            self.pauses_changed = true;
        }
        let sendable = task.pending.sendable();
        if waiting.is_none() && (sendable == 1 || sendable >= self.settings.max_keys) {
            self.reschedule(ix, now);
        }
        true
    }

    /// Lets the partitions go on that were paused for a task, once half of its room is free.
    pub(super) fn relax(&mut self, ix: TaskIx) {
        let task = &mut self.tasks[ix];
        if task.pauses.is_empty() || !task.has_room(&self.settings) {
            return;
        }
        self.pauses_changed = true;
        for partition in task.pauses.drain(..) {
            self.partitions[partition].full_tasks.retain(|full| *full != ix);
        }
    }

    /// Tells the consumer about partitions that have become too full or empty enough.
    pub(super) fn apply_pauses(&mut self, out: &mut Effects) {
        if !std::mem::take(&mut self.pauses_changed) {
            return;
        }
        let max = self.settings.max_uncommitted_records;
        for (_, partition) in self.partitions.iter_mut() {
            let uncommitted = partition.ledger.uncommitted();
            let long = uncommitted >= max || (partition.paused && uncommitted > max / 2);
            let pause = long || !partition.full_tasks.is_empty();
            if pause != partition.paused {
                partition.paused = pause;
                let name = partition.name.clone();
                out.actions.push(if pause { Effect::Pause(name) } else { Effect::Resume(name) });
            }
        }
    }
}

fn charge_of(incoming: &Incoming) -> (usize, usize) {
    let changes = incoming.changes.len() + incoming.rejects.len();
    (changes, incoming.record.bytes() + CHANGE_BYTES * changes)
}
