//! Partitions that come and go. A revoked one is kept until what is under way for it is settled and committed, within a
//! bound; then its records are detached from everything, and no late answer can reach them.

use super::entry::{EntryId, PartitionIx};
use super::partition::PartitionName;
use super::time::Time;
use super::{Assigned, Effect, Effects, Notice, Pipeline};

/// Share of `shutdown.revoke_timeout` that is for settling; the rest is for the commit.
const SETTLE_SHARE: f64 = 0.8;

/// Partitions that are being given back.
#[derive(Debug)]
pub(super) struct Revoke {
    names: Vec<PartitionName>,
    partitions: Vec<PartitionIx>,
    /// Entries that are sent or may be sent at once, and carry records of these partitions.
    owed: usize,
    settle_by: Time,
    deadline: Time,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Settling,
    Committing { asked: bool },
}

impl Revoke {
    /// When time alone moves it on.
    pub(super) fn next_due(&self) -> Time {
        match self.phase {
            Phase::Settling => self.settle_by,
            Phase::Committing { .. } => self.deadline,
        }
    }
}

impl Pipeline {
    pub(super) fn assigned(&mut self, partitions: Vec<Assigned>, out: &mut Effects) {
        for Assigned { name, epoch, committed } in partitions {
            self.lost(std::slice::from_ref(&name)); // whatever was left of an earlier assignment
            // A pause of an earlier assignment may have come to the consumer when it had begun this one.
            out.actions.push(Effect::Resume(name.clone()));
            self.partitions.insert(name, epoch, committed);
        }
    }

    pub(super) fn lost(&mut self, names: &[PartitionName]) {
        let gone: Vec<_> = names.iter().filter_map(|name| self.partitions.find(name)).collect();
        self.detach(&gone);
        for ix in &gone {
            self.partitions.remove(*ix);
        }
        if let Some(revoke) = &mut self.revoke {
            revoke.names.retain(|name| !names.contains(name));
            revoke.partitions.retain(|ix| !gone.contains(ix));
            if revoke.names.is_empty() {
                self.revoke = None;
            }
        }
    }

    pub(super) fn revoked(&mut self, names: &[PartitionName], now: Time) {
        let timeout = self.settings.revoke_timeout;
        let revoke = self.revoke.get_or_insert_with(|| Revoke {
            names: Vec::new(),
            partitions: Vec::new(),
            owed: 0,
            settle_by: now.after(timeout.mul_f64(SETTLE_SHARE)),
            deadline: now.after(timeout),
            phase: Phase::Settling,
        });
        revoke.phase = Phase::Settling;
        for name in names {
            revoke.names.push(name.clone());
            if let Some(ix) = self.partitions.find(name) {
                self.partitions[ix].revoking = true;
                revoke.partitions.push(ix);
            }
        }
        self.hurry(now);
    }

    /// Finds what is owed to the partitions that are being given back, and lets it go before all else.
    fn hurry(&mut self, now: Time) {
        let partitions = &self.partitions;
        let held = self.hold.is_some() || self.pace.not_before() > now;
        let mut owed: Vec<EntryId> = Vec::new();
        for (_, task) in self.tasks.iter_mut() {
            if held || task.block.is_some() || task.pressure.not_before() > now {
                continue;
            }
            let wanted = |entry: &super::entry::Entry| entry.records.iter().any(|r| partitions[r.partition].revoking);
            owed.extend(task.pending.hurry(&mut self.entries, wanted));
            let ready = task.parts.iter().take_while(|((at, _), _)| *at <= now);
            owed.extend(ready.flat_map(|(_, part)| &part.entries));
            owed.extend(task.doomed.iter().flat_map(|doomed| &doomed.event.entries));
        }
        owed.extend(self.flight.iter().flat_map(|(_, sent)| &sent.event.entries));
        let Some(revoke) = &mut self.revoke else { return };
        for id in owed {
            let entry = &mut self.entries[id];
            if !entry.owed && entry.records.iter().any(|r| partitions[r.partition].revoking) {
                entry.owed = true;
                revoke.owed += 1;
            }
        }
        self.reschedule_all(now);
    }

    /// Gives every task another look, after something has changed for all of them. O(tasks).
    pub(super) fn reschedule_all(&mut self, now: Time) {
        let tasks: Vec<_> = self.tasks.iter().map(|(ix, _)| ix).collect();
        for ix in tasks {
            self.reschedule(ix, now);
        }
    }

    /// An entry is settled, or cannot go at once any more: a revoke waits for it no longer.
    pub(super) fn release(&mut self, id: EntryId) {
        if std::mem::take(&mut self.entries[id].owed)
            && let Some(revoke) = &mut self.revoke
        {
            revoke.owed = revoke.owed.saturating_sub(1);
        }
    }

    pub(super) fn advance_revoke(&mut self, now: Time, out: &mut Effects) {
        let Some(revoke) = &self.revoke else { return };
        if revoke.phase == Phase::Settling {
            let written = revoke.partitions.iter().all(|ix| self.partitions[*ix].letters == 0);
            if now < revoke.settle_by && !(written && revoke.owed == 0) {
                return;
            }
            let partitions = revoke.partitions.clone();
            let unsettled = partitions.iter().map(|ix| self.partitions[*ix].ledger.unsettled()).sum();
            self.detach(&partitions);
            out.actions.push(Effect::Notice(Notice::GivenBack(unsettled)));
        }
        self.commit_revoked(now, out);
    }

    fn commit_revoked(&mut self, now: Time, out: &mut Effects) {
        let Some(mut revoke) = self.revoke.take() else { return };
        if now < revoke.deadline {
            let asked = revoke.phase == Phase::Committing { asked: true };
            let busy = self.commits.out_since().is_some();
            if busy || (!asked && self.commit(&revoke.partitions, now, out)) {
                revoke.phase = Phase::Committing { asked: asked || !busy };
                self.revoke = Some(revoke);
                return;
            }
        }
        for ix in &revoke.partitions {
            self.partitions.remove(*ix);
        }
        out.actions.push(Effect::Unassign(revoke.names));
    }

    /// Takes the records of these partitions away from every entry and dead letter. Keys that nothing waits for any more
    /// are dropped unless they are out. O(everything), once a rebalance.
    fn detach(&mut self, gone: &[PartitionIx]) {
        if gone.is_empty() {
            return;
        }
        for ix in gone {
            let partition = &mut self.partitions[*ix];
            if std::mem::replace(&mut partition.detached, true) {
                continue;
            }
            partition.revoking = true;
            let (changes, bytes) = partition.ledger.charged();
            self.budget.refund(changes, bytes);
            self.letters.forget(*ix, &mut self.breaker);
        }
        let (partitions, tasks) = (&mut self.partitions, &mut self.tasks);
        for (_, entry) in self.entries.iter_mut() {
            entry.records.retain(|record| {
                let partition = &mut partitions[record.partition];
                if let Some(slot) = partition.ledger.slot(*record).filter(|_| partition.detached) {
                    tasks[entry.task].refund(slot.part());
                }
                !partition.detached
            });
            entry.owed = false;
        }
        if let Some(revoke) = &mut self.revoke {
            revoke.owed = 0;
        }
        for (_, task) in self.tasks.iter_mut() {
            let mut dropped = task.pending.retain(&mut self.entries, |entry| !entry.records.is_empty());
            let doomed = task.doomed.iter_mut().map(|doomed| &mut doomed.event);
            for part in task.parts.values_mut().chain(doomed) {
                part.entries.retain(|id| {
                    let stays = !self.entries[*id].records.is_empty();
                    if !stays {
                        dropped.push(*id);
                    }
                    stays
                });
            }
            task.parts.retain(|_, part| !part.entries.is_empty());
            task.doomed.retain(|doomed| !doomed.event.entries.is_empty());
            task.pauses.retain(|partition| !gone.contains(partition));
            for id in dropped {
                self.entries.remove(id);
            }
        }
        let tasks: Vec<_> = self.tasks.iter().map(|(ix, _)| ix).collect();
        for ix in tasks {
            self.relax(ix);
        }
    }
}
