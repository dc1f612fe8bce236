//! From waiting to sent: whose turn it is, whether anything may go out, and what goes. Events are cut here and nowhere
//! else, so a task that had to wait sends full ones.

use smallvec::SmallVec;

use super::admit::READ_AHEAD;
use super::discovery::Discovery;
use super::entry::TaskIx;
use super::event::{Event, Origin};
use super::task::Readiness;
use super::time::Time;
use super::trust::{Role, Signature};
use super::{Effect, Effects, Pipeline};

/// Submissions that are out.
pub(super) type Flight = slab::Slab<Sent>;

/// A submission that is out.
#[derive(Debug)]
pub(super) struct Sent {
    /// What was sent.
    pub(super) event: Event,
    /// When.
    pub(super) at: Time,
    /// What it was signed with.
    pub(super) signature: Signature,
    /// Whether it probes a hold of the whole worker.
    pub(super) probes_worker: bool,
    /// Whether it probes a hold of its task.
    pub(super) probes_task: bool,
}

/// Whether the client as a whole may send.
enum Gate {
    Open,
    OpenAt(Time),
    Closed,
}

impl Pipeline {
    /// Sends what may be sent, task by task in turn.
    pub(super) fn dispatch(&mut self, now: Time, out: &mut Effects) {
        while let Some(ix) = self.tasks.due(now) {
            self.reschedule(ix, now);
        }
        self.gate = None;
        while self.tasks.any_queued() {
            match self.gate(now) {
                Gate::Open => {}
                Gate::OpenAt(at) => {
                    self.gate = Some(at);
                    return;
                }
                Gate::Closed => return,
            }
            let Some(ix) = self.tasks.next_in_turn() else { return };
            if self.readiness(ix, now) == Readiness::Now
                && let Some(event) = self.cut(ix, now)
            {
                self.send(event, now, out);
            }
            self.reschedule(ix, now);
        }
    }

    /// Puts a task into the queue or on the clock after something has changed for it.
    pub(super) fn reschedule(&mut self, ix: TaskIx, now: Time) {
        if !self.tasks.is_queued(ix) {
            let readiness = self.readiness(ix, now);
            self.tasks.schedule(ix, readiness);
        }
        self.tasks.count_ready(ix, self.settings.max_keys, READ_AHEAD);
    }

    fn readiness(&mut self, ix: TaskIx, now: Time) -> Readiness {
        let flush = self.drain.is_some();
        self.tasks[ix].readiness(&mut self.entries, &self.settings, flush, now)
    }

    fn gate(&mut self, now: Time) -> Gate {
        let ending = self.drain.as_ref().is_some_and(|drain| !drain.is_settling());
        if ending || self.flight.len() >= self.settings.max_in_flight || !self.trust.is_available() {
            return Gate::Closed;
        }
        let mut at = self.pace.next(now);
        if let Some(hold) = &self.hold {
            let (Some(probe), None) = (hold.next_probe(), &self.drain) else {
                return Gate::Closed;
            };
            at = at.max(probe).max(self.trust.next_try());
        } else if !self.trust.is_proven() {
            let is_listing = self.discovery.as_ref().is_some_and(Discovery::is_asking);
            if !self.flight.is_empty() || self.inquiries > 0 || is_listing {
                return Gate::Closed;
            }
            at = at.max(self.trust.next_try());
        }
        if at <= now { Gate::Open } else { Gate::OpenAt(at) }
    }

    /// The next event of a task: a part of an earlier one first, then the oldest keys.
    fn cut(&mut self, ix: TaskIx, now: Time) -> Option<Event> {
        let task = &mut self.tasks[ix];
        if let Some(part) = task.parts.first_entry()
            && part.key().0 <= now
        {
            return Some(part.remove());
        }
        let mut keys = SmallVec::new();
        while keys.len() < self.settings.max_keys
            && let Some(id) = task.pending.pop(&mut self.entries)
        {
            keys.push(id);
        }
        self.relax(ix);
        (!keys.is_empty()).then_some(Event { task: ix, entries: keys, origin: Origin::Cut, attempts: 0 })
    }

    fn send(&mut self, mut event: Event, now: Time, out: &mut Effects) {
        let task = &mut self.tasks[event.task];
        task.in_flight += 1;
        event.attempts += 1;
        for id in &event.entries {
            self.entries[*id].attempts += 1;
        }
        let probes_worker = self.hold.as_mut().map(|hold| hold.probing = true).is_some();
        let probes_task = task.block.as_mut().map(|block| block.probing = true).is_some();
        let signature = self.trust.sign(!probes_worker && self.drain.is_none(), probes_worker, now);
        self.pace.spend(now, &mut self.random);
        let (id, keys, body) = (task.id.clone(), event.entries.len(), event.body(&self.entries));
        let submission = self.flight.insert(Sent { event, at: now, signature, probes_worker, probes_task });
        let candidate = self.trust.role(signature.by) == Role::Candidate;
        out.actions.push(Effect::Submit { id: submission, task: id, body, keys, candidate });
    }
}
