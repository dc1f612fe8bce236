//! From answer to settled: what each verdict does to the keys of an event, and to the records that wait for them.

use std::time::Duration;

use super::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use super::credentials::Learned;
use super::dispatch::Sent;
use super::entry::{EntryId, RecordRef, TaskIx};
use super::event::{Doomed, Event, Origin};
use super::failure::{Failure, REFUSED, TASK_NOT_FOUND, TOO_LARGE};
use super::hold::Hold;
use super::ledger::Outcome;
use super::task::Block;
use super::time::Time;
use super::{Effect, Effects, Notice, Pipeline, SubmissionId};

/// Faulted answers (500, 502, 504) after which an event is split, if its task accepted others meanwhile.
const FAULTS_BEFORE_SPLIT: u32 = 10;

impl Pipeline {
    pub(super) fn answered(&mut self, id: SubmissionId, answer: Answer, now: Time, out: &mut Effects) {
        let Some(mut sent) = self.flight.try_remove(id) else { return };
        let ix = sent.event.task;
        self.tasks[ix].in_flight -= 1;
        if self.learn_of_credentials(&mut sent, &answer, now, out) == Learned::OfOthers {
            self.put_back(sent.event, Duration::ZERO, now);
            self.relax(ix);
            self.reschedule(ix, now);
            return;
        }
        self.learn_of_hold(sent.probes_worker, &answer, now, out);
        self.learn_of_block(&sent, &answer, now, out);
        if answer.verdict != Verdict::Busy(Pressure::Throttled) && matches!(answer.status, Status::Http(_)) {
            self.pace.went_through(sent.at);
        }
        match answer.verdict {
            Verdict::Accepted => self.accept(sent.event, now, out),
            Verdict::Refused => self.refuse(sent.event, answer, now, out),
            Verdict::UnknownTask => {
                self.doom(Doomed { event: sent.event, reason: TASK_NOT_FOUND, answer }, now, out);
            }
            Verdict::Hold(_) => self.put_back(sent.event, Duration::ZERO, now),
            Verdict::TaskStopped => {
                self.put_back(sent.event, Duration::ZERO, now);
                self.see_whether_stopped(ix, out);
            }
            Verdict::Busy(pressure) => self.busy(sent, pressure, &answer, now),
        }
        self.relax(ix);
        self.reschedule(ix, now);
    }

    pub(super) fn learn_of_hold(&mut self, probes_worker: bool, answer: &Answer, now: Time, out: &mut Effects) {
        let holds = match answer.verdict {
            Verdict::Hold(reason) if reason != HoldReason::Permission => Some(reason),
            _ => None,
        };
        match (&mut self.hold, holds) {
            (None, Some(reason)) => self.hold_worker(reason, answer.said(), now, out),
            (Some(hold), Some(reason)) if probes_worker => {
                hold.held_again(reason, answer.said(), now, &mut self.random);
                out.actions.push(Effect::Notice(Notice::HoldGoesOn(reason, answer.said())));
                self.look_for_credentials(reason, now, out);
            }
            (Some(hold), None) if probes_worker => {
                if let Verdict::Busy(_) = answer.verdict {
                    hold.undecided(now, &mut self.random);
                } else {
                    out.actions.push(Effect::Notice(Notice::HoldEnded(hold.reason)));
                    self.hold = None;
                }
            }
            _ => {}
        }
    }

    /// Begins a hold of the whole worker, unless there is one.
    pub(super) fn hold_worker(&mut self, reason: HoldReason, said: Box<str>, now: Time, out: &mut Effects) {
        if self.hold.is_none() {
            out.actions.push(Effect::Notice(Notice::HoldBegan(reason, said.clone())));
            let interval = self.settings.hold_probe_interval;
            self.hold = Some(Hold::new(reason, said, interval, now, &mut self.random));
            self.look_for_credentials(reason, now, out);
        }
    }

    fn learn_of_block(&mut self, sent: &Sent, answer: &Answer, now: Time, out: &mut Effects) {
        let ix = sent.event.task;
        let (blocks, undecided) = match answer.verdict {
            Verdict::Hold(HoldReason::Permission) => (Some(Block::Permission), false),
            Verdict::TaskStopped => (Some(Block::Stopped), false),
            Verdict::Hold(_) | Verdict::Busy(_) => (None, true),
            Verdict::Accepted | Verdict::Refused | Verdict::UnknownTask => (None, false),
        };
        let task = &mut self.tasks[ix];
        match (&mut task.block, blocks) {
            (None, Some(reason)) => self.block_task(ix, reason, answer.said(), now, out),
            (Some(block), Some(reason)) if sent.probes_task => {
                block.held_again(reason, answer.said(), now, &mut self.random);
            }
            (Some(block), None) if sent.probes_task && undecided => block.undecided(now, &mut self.random),
            (Some(block), None) if sent.probes_task => {
                out.actions.push(Effect::Notice(Notice::TaskUnblocked(task.id.clone(), block.reason)));
                task.unblock();
            }
            _ => {}
        }
    }

    /// Begins a hold of one task, unless there is one.
    pub(super) fn block_task(&mut self, ix: TaskIx, reason: Block, said: Box<str>, now: Time, out: &mut Effects) {
        let task = &mut self.tasks[ix];
        if task.block.is_none() {
            out.actions.push(Effect::Notice(Notice::TaskBlocked(task.id.clone(), reason, said.clone())));
            let interval = self.settings.hold_probe_interval;
            task.block = Some(Hold::new(reason, said, interval, now, &mut self.random));
        }
    }

    fn accept(&mut self, event: Event, now: Time, out: &mut Effects) {
        let task = &mut self.tasks[event.task];
        task.pressure.relieve();
        task.accepted_at = Some(now);
        task.counts.accepted += event.entries.len() as u64;
        for id in event.entries {
            self.release(id);
            let entry = self.entries.remove(id);
            self.breaker.key_accepted(event.task, &entry.key);
            for record in entry.records {
                let Some(slot) = self.partitions[record.partition].ledger.slot(record) else {
                    continue;
                };
                slot.outcome = slot.outcome.max(Outcome::Accepted);
                self.tasks[event.task].refund(slot.part());
                out.accepted_timestamps_ms.extend(slot.record.timestamp_ms());
                self.close_one(record);
            }
        }
    }

    fn refuse(&mut self, event: Event, answer: Answer, now: Time, out: &mut Effects) {
        self.tasks[event.task].pressure.relieve();
        if event.entries.len() > 1 {
            self.split(event, Origin::Refused, now);
            return;
        }
        let reason = if answer.status == Status::Http(413) { TOO_LARGE } else { REFUSED };
        self.doom(Doomed { event, reason, answer }, now, out);
    }

    fn split(&mut self, event: Event, origin: Origin, now: Time) {
        for mut half in event.halves(origin) {
            self.drop_orphans(&mut half);
            if !half.entries.is_empty() {
                let serial = self.next_serial();
                self.tasks[half.task].parts.insert((now, serial), half);
            }
        }
    }

    /// Every key of the event has failed for good.
    pub(super) fn condemn(&mut self, doomed: Doomed, now: Time) {
        let Doomed { event, reason, answer } = doomed;
        let id = self.tasks[event.task].id.clone();
        for entry in event.entries {
            self.release(entry);
            let entry = self.entries.remove(entry);
            self.breaker.key_refused(event.task, &entry.key, &mut self.random);
            let failure = Failure::refused(&entry.key, &id, reason, &answer, entry.attempts, now);
            for record in entry.records {
                if let Some(slot) = self.partitions[record.partition].ledger.slot(record) {
                    self.tasks[event.task].refund(slot.part());
                    slot.failures.gather(failure.clone());
                    self.close_one(record);
                }
            }
        }
    }

    fn busy(&mut self, sent: Sent, pressure: Pressure, answer: &Answer, now: Time) {
        let wait = answer.retry_after.map(|wait| wait.min(self.settings.max_retry_after));
        let event = sent.event;
        let lone = event.origin == Origin::Faulted && event.entries.len() == 1;
        let task = &mut self.tasks[event.task];
        if pressure == Pressure::Throttled {
            self.pace.throttle(sent.at, wait, now);
        } else if !(lone && pressure == Pressure::Faulted) {
            task.pressure.strain(sent.at, now, &self.settings.backoff, &mut self.random);
            if let Some(wait) = wait {
                task.pressure.leave_alone(wait, now);
            }
        }
        if pressure == Pressure::Faulted && self.is_at_fault(&event, now) && event.entries.len() > 1 {
            self.split(event, Origin::Faulted, now);
            return;
        }
        let backoff = if lone {
            self.settings.backoff.max
        } else {
            self.settings.backoff.full_jitter(event.attempts.max(self.attempts(&event)), &mut self.random)
        };
        self.put_back(event, backoff, now);
    }

    fn attempts(&self, event: &Event) -> u32 {
        event.entries.iter().map(|id| self.entries[*id].attempts).max().unwrap_or(1)
    }

    /// Counts a faulted answer. Whether its keys rather than OMS are to blame: there were many, and others went through.
    fn is_at_fault(&mut self, event: &Event, now: Time) -> bool {
        let accepted_at = self.tasks[event.task].accepted_at;
        let mut at_fault = event.origin == Origin::Faulted;
        for id in &event.entries {
            let entry = &mut self.entries[*id];
            if entry.faults == 0 {
                entry.faulted_at = now;
            }
            entry.faults += 1;
            let others_went_through = accepted_at.is_some_and(|at| at > entry.faulted_at);
            at_fault |= entry.faults >= FAULTS_BEFORE_SPLIT && others_went_through;
        }
        at_fault
    }

    /// An event that was not answered for good: its keys wait again, with their age; a part stays as it is.
    pub(super) fn put_back(&mut self, mut event: Event, wait: Duration, now: Time) {
        let ready = now.after(wait);
        for id in &event.entries {
            self.release(*id);
        }
        self.drop_orphans(&mut event);
        if event.origin == Origin::Cut {
            for id in event.entries {
                self.entries[id].ready_at = ready;
                self.wait_again(id, now);
            }
        } else if !event.entries.is_empty() {
            let serial = self.next_serial();
            self.tasks[event.task].parts.insert((ready, serial), event);
        }
    }

    /// Drops the keys of an event that came back which nothing waits for any more: their partitions are gone.
    fn drop_orphans(&mut self, event: &mut Event) {
        event.entries.retain(|id| {
            let kept = !self.entries[*id].records.is_empty();
            if !kept {
                self.entries.remove(*id);
            }
            kept
        });
    }

    /// Lets a key wait again. An entry of the same key that waits already is absorbed by the older one.
    fn wait_again(&mut self, id: EntryId, now: Time) {
        let task = &mut self.tasks[self.entries[id].task];
        if let Some(waiting) = task.pending.find(&self.entries[id].key, &self.entries) {
            task.pending.take(waiting, &mut self.entries);
            self.release(waiting);
            let younger = self.entries.remove(waiting);
            let entry = &mut self.entries[id];
            entry.first_seen = entry.first_seen.min(younger.first_seen);
            entry.records.extend(younger.records);
        }
        let task = &mut self.tasks[self.entries[id].task];
        task.pending.push_back(id, now, &mut self.entries);
    }

    /// A verdict or an acknowledgement that a record waited for has come.
    pub(super) fn close_one(&mut self, record: RecordRef) {
        let Some(slot) = self.partitions[record.partition].ledger.slot(record) else {
            return;
        };
        slot.open -= 1;
        if slot.open == 0 {
            self.finish(record);
        }
    }

    /// Nothing of a record is open: its failures become dead letters; without any it is settled.
    pub(super) fn finish(&mut self, record: RecordRef) {
        let partition = &mut self.partitions[record.partition];
        let Some(slot) = partition.ledger.slot(record) else {
            return;
        };
        let failures = slot.failures.take();
        if !std::mem::replace(&mut slot.has_ended, true) {
            self.breaker.record_ended(failures.len());
        }
        if !failures.is_empty() {
            let source = slot.record.share(&partition.name);
            slot.open = u32::try_from(failures.len()).unwrap_or(u32::MAX);
            let epoch = partition.epoch;
            for failure in failures {
                let can_be_asked_again = failure.refusal.is_some();
                let id = self.letters.make(record, epoch, source.clone(), failure);
                self.breaker.push(id, can_be_asked_again);
            }
            return;
        }
        if let Some(slot) = partition.ledger.settle(record) {
            self.settled.count(&partition.name.topic, slot.outcome);
            self.budget.refund(slot.charge.0 as usize, slot.charge.1 as usize);
        }
        self.pauses_changed |= partition.paused;
        self.commits.touch();
    }
}
