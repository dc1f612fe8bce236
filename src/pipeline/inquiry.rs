//! The last question before keys are dead-lettered: is it the keys, or is the task stopped, or the project the wrong one?
//! Asked at most once a minute a task; what cannot be answered keeps nothing from being dead-lettered.

use std::time::Duration;

use super::answer::{Answer, HoldReason, Verdict};
use super::entry::TaskIx;
use super::event::Doomed;
use super::key::TaskId;
use super::time::Time;
use super::{Effect, Effects, Notice, Pipeline};

/// How long an answer that keeps nobody from dead-lettering is good for.
const STANDING_LASTS: Duration = Duration::from_mins(1);

/// How a task stands, as OMS tells when it is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It takes events.
    Active,
    /// It is stopped.
    Stopped,
    /// OMS does not know it, but the project has other tasks.
    Missing,
    /// The project has no task at all.
    EmptyProject,
    /// The question was not answered, but with this.
    Unknown(Answer),
}

impl Pipeline {
    /// OMS refused the event for good: its keys are dead-lettered, unless there is more to it.
    pub(super) fn doom(&mut self, doomed: Doomed, now: Time, out: &mut Effects) {
        let task = &mut self.tasks[doomed.event.task];
        if self.hold.is_some() || task.block.is_some() || !self.trust.is_proven() {
            self.put_back(doomed.event, Duration::ZERO, now);
        } else if task.stood_at.is_some_and(|at| now.since(at) < STANDING_LASTS) {
            self.condemn(doomed, now);
        } else {
            let ix = doomed.event.task;
            task.doomed.push(doomed);
            self.ask_how_it_stands(ix, out);
        }
    }

    /// Asks OMS how a task stands, unless that question is out already.
    pub(super) fn ask_how_it_stands(&mut self, ix: TaskIx, out: &mut Effects) {
        let task = &mut self.tasks[ix];
        if task.asking.is_none() {
            task.asking = Some(self.trust.in_use());
            self.inquiries += 1;
            out.actions.push(Effect::AskTask(task.id.clone()));
        }
    }

    pub(super) fn task_stands(&mut self, id: &TaskId, standing: Standing, now: Time, out: &mut Effects) {
        self.inquiries = self.inquiries.saturating_sub(1);
        let Some(ix) = self.tasks.find(id) else { return };
        let task = &mut self.tasks[ix];
        let asked_with = task.asking.take();
        let doomed = std::mem::take(&mut task.doomed);
        let spared = match standing {
            Standing::Stopped => {
                self.task_is_stopped(ix, "ShowSyncTask says STOPPED", now, out);
                true
            }
            Standing::EmptyProject => {
                let said = "404, and the project lists no synchronization task: wrong oms.project_id or region?";
                self.hold_worker(HoldReason::Endpoint, said.into(), now, out);
                true
            }
            Standing::Unknown(answer) => self.spared_by(&answer, asked_with == Some(self.trust.in_use()), now, out),
            Standing::Active | Standing::Missing => false,
        };
        if spared {
            for doomed in doomed {
                self.put_back(doomed.event, Duration::ZERO, now);
            }
        } else {
            self.condemn_all(ix, doomed, now, out);
        }
        self.relax(ix);
        self.reschedule(ix, now);
    }

    fn condemn_all(&mut self, ix: TaskIx, doomed: Vec<Doomed>, now: Time, out: &mut Effects) {
        let task = &mut self.tasks[ix];
        task.stood_at = Some(now);
        if let Some(first) = doomed.first() {
            let notice = Notice::Condemned(task.id.clone(), first.reason, first.answer.said());
            out.actions.push(Effect::Notice(notice));
        }
        for doomed in doomed {
            self.condemn(doomed, now);
        }
    }

    /// Whether the answer to the question itself keeps the keys: only where it says that nobody is let in. Then the
    /// worker holds, unless other credentials are in use by now.
    fn spared_by(&mut self, answer: &Answer, asked_with_those_in_use: bool, now: Time, out: &mut Effects) -> bool {
        let Verdict::Hold(reason) = answer.verdict else { return false };
        if !matches!(reason, HoldReason::Credentials | HoldReason::Account) {
            return false;
        }
        if asked_with_those_in_use && self.hold.is_none() {
            self.count_signature(answer, now);
            self.hold_worker(reason, answer.said(), now, out);
        }
        true
    }
}
