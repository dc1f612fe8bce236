//! Tasks that someone has stopped: their changes wait, or are dead-lettered where the policy says so and OMS has
//! confirmed the stop. Before that, and during a hold or a drain, they wait in any case.

use smallvec::SmallVec;

use super::answer::{Answer, Status, Verdict};
use super::entry::TaskIx;
use super::event::{Doomed, Event, Origin};
use super::failure::TASK_STOPPED;
use super::settings::StoppedTasks;
use super::task::Block;
use super::time::Time;
use super::{Effect, Effects, Notice, Pipeline};

impl Pipeline {
    /// OMS, asked for its state, says that the task is stopped.
    pub(super) fn task_is_stopped(&mut self, ix: TaskIx, said: &str, now: Time, out: &mut Effects) {
        self.block_task(ix, Block::Stopped, said.into(), now, out);
        if self.settings.stopped_tasks == StoppedTasks::DeadLetter {
            self.tasks[ix].stopped.get_or_insert_with(|| Box::new(answer(said)));
            self.stopped_tasks.insert(ix);
        }
    }

    /// An event was answered with a code about the state of its task. That is not yet a reason to dead-letter.
    pub(super) fn see_whether_stopped(&mut self, ix: TaskIx, out: &mut Effects) {
        if self.settings.stopped_tasks == StoppedTasks::Wait {
            return;
        }
        if self.tasks[ix].stopped.is_some() {
            self.stopped_tasks.insert(ix);
        } else if self.hold.is_none() && self.trust.is_proven() {
            self.ask_how_it_stands(ix, out);
        }
    }

    /// Dead-letters what waits for stopped tasks, but for what a probe is due for.
    pub(super) fn condemn_stopped(&mut self, now: Time, out: &mut Effects) {
        if self.stopped_tasks.is_empty() || self.hold.is_some() || self.drain.is_some() || !self.trust.is_proven() {
            return;
        }
        for ix in std::mem::take(&mut self.stopped_tasks) {
            self.condemn_waiting(ix, now, out);
        }
    }

    fn condemn_waiting(&mut self, ix: TaskIx, now: Time, out: &mut Effects) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(answer) = task.stopped.as_deref().cloned() else { return };
        let probes_later = |block: &super::hold::Hold<Block>| {
            block.reason == Block::Stopped && block.next_probe().is_some_and(|probe| probe > now)
        };
        if !task.block.as_ref().is_some_and(probes_later) {
            return; // a probe is due or out: its answer comes back here
        }
        task.pending.wake(Time::NEVER, &mut self.entries);
        let mut entries = SmallVec::new();
        while let Some(id) = task.pending.pop(&mut self.entries) {
            entries.push(id);
        }
        entries.extend(std::mem::take(&mut task.parts).into_values().flat_map(|part| part.entries));
        if entries.is_empty() {
            return;
        }
        if !std::mem::replace(&mut task.told_stopped, true) {
            let notice = Notice::Condemned(task.id.clone(), TASK_STOPPED, answer.said());
            out.actions.push(Effect::Notice(notice));
        }
        let event = Event { task: ix, entries, origin: Origin::Cut, attempts: 0 };
        self.condemn(Doomed { event, reason: TASK_STOPPED, answer }, now);
        self.relax(ix);
        self.reschedule(ix, now);
    }
}

/// What a dead letter tells of OMS's answer.
fn answer(said: &str) -> Answer {
    Answer {
        verdict: Verdict::TaskStopped,
        status: Status::Http(200),
        retry_after: None,
        error_code: None,
        error_message: Some(said.into()),
        request_id: None,
    }
}
