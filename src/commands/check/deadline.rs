//! When a step must have ended. The only clock of the check.

use std::time::{Duration, Instant};

/// No check takes longer, whatever it may.
const LONGEST: Duration = Duration::from_hours(24);

/// A moment that is not waited beyond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

#[expect(clippy::disallowed_methods, reason = "a shell: steps are bounded by the clock")]
impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(LONGEST))
    }

    /// The earlier one of this and so much time from now on.
    pub(super) fn within(self, time: Duration) -> Self {
        Self(self.0.min(Instant::now() + time))
    }

    /// What is left; zero when it is over.
    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}
