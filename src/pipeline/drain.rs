//! The end of the worker's life: nothing more is read, what waits is sent, what is held, backing off or throttled, and
//! what waits at the dead-letter breaker, is left to whoever reads it next; then everything settled is committed.

use std::time::Duration;

use super::time::Time;
use super::{CommitError, Effect, Effects, Pipeline};

/// Shares of `shutdown.drain_timeout`: until then answers are waited for; until then commits are. The rest is for
/// leaving the group.
const SETTLE_SHARE: f64 = 0.8;
const COMMIT_SHARE: f64 = 0.9;
/// Wait before a failed last commit is tried again.
const COMMIT_RETRY: Duration = Duration::from_millis(300);

/// A drain in progress.
#[derive(Debug)]
pub struct Drain {
    settle_by: Time,
    deadline: Time,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Settling,
    Committing { unanswered: usize, asked: bool, not_before: Time },
    Done,
}

impl Drain {
    /// When time alone moves it on; `commit_out` is whether a commit has no result yet.
    #[must_use]
    pub fn next_due(&self, commit_out: bool) -> Option<Time> {
        match self.phase {
            Phase::Settling => Some(self.settle_by),
            Phase::Committing { asked: false, not_before, .. } if !commit_out => Some(not_before.min(self.deadline)),
            Phase::Committing { .. } => Some(self.deadline),
            Phase::Done => None,
        }
    }

    /// Whether requests may still go out.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.phase == Phase::Settling
    }
}

impl Pipeline {
    pub(super) fn begin_drain(&mut self, now: Time) {
        if self.drain.is_some() {
            return;
        }
        let timeout = self.settings.drain_timeout;
        self.drain = Some(Drain {
            settle_by: now.after(timeout.mul_f64(SETTLE_SHARE)),
            deadline: now.after(timeout.mul_f64(COMMIT_SHARE)),
            phase: Phase::Settling,
        });
        self.intake.clear();
        self.reschedule_all(now);
    }

    pub(super) fn advance_drain(&mut self, now: Time, out: &mut Effects) {
        let Some(Drain { settle_by, phase: Phase::Settling, .. }) = self.drain else {
            self.commit_drained(now, out);
            return;
        };
        let stuck = self.hold.is_some() || self.pace.not_before() > now || !self.trust.may_sign(now);
        let sent = self.flight.is_empty() && (stuck || !self.tasks.any_queued());
        let settled = sent && self.inquiries == 0 && self.letters.under_way() == 0 && self.revoke.is_none();
        if settled || now >= settle_by {
            let unanswered = self.flight.len() + self.inquiries + self.letters.under_way();
            if let Some(drain) = &mut self.drain {
                drain.phase = Phase::Committing { unanswered, asked: false, not_before: now };
            }
            self.commit_drained(now, out);
        }
    }

    fn commit_drained(&mut self, now: Time, out: &mut Effects) {
        let Some(Drain { deadline, phase: Phase::Committing { unanswered, asked, not_before }, .. }) = self.drain
        else {
            return;
        };
        let phase = if now >= deadline {
            Phase::Done
        } else if self.commits.out_since().is_some() {
            return;
        } else if asked && self.commits.last() == Some(Err(CommitError::Failed)) {
            Phase::Committing { unanswered, asked: false, not_before: now.after(COMMIT_RETRY) }
        } else if asked {
            Phase::Done
        } else if now < not_before {
            return;
        } else {
            let all: Vec<_> = self.partitions.iter().map(|(ix, _)| ix).collect();
            if self.commit(&all, now, out) {
                Phase::Committing { unanswered, asked: true, not_before }
            } else {
                Phase::Done
            }
        };
        if phase == Phase::Done {
            out.actions.push(Effect::Drained { unanswered });
        }
        if let Some(drain) = &mut self.drain {
            drain.phase = phase;
        }
    }

    /// Whether the worker is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }
}
