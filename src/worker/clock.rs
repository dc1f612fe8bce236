//! The worker's clocks: the pipeline's time since the start, and the wall's for people.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::pipeline::time::Time;

/// Thirty years: longer than any wait, and no clock overflows.
const FAR: Duration = Duration::from_hours(24 * 365 * 30);

/// Counts from the worker's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a shell: the clock that the core is given")]
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn now(self) -> Time {
        Time::since_start(self.start.elapsed())
    }

    pub(super) fn instant(self, time: Time) -> tokio::time::Instant {
        self.start.checked_add(time.since(Time::START)).map_or_else(|| self.far(), Into::into)
    }

    pub(super) fn time_of(self, instant: Instant) -> Time {
        Time::since_start(instant.saturating_duration_since(self.start))
    }

    /// Later than any wait.
    pub(super) fn far(self) -> tokio::time::Instant {
        (self.start + FAR).into()
    }

    /// What the wall's clock showed at that time.
    pub(super) fn wall(self, time: Time) -> SystemTime {
        let ago = self.now().since(time);
        wall_now().checked_sub(ago).unwrap_or(UNIX_EPOCH)
    }
}

#[expect(clippy::disallowed_methods, reason = "a shell: wall-clock times for people and latencies")]
fn wall_now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since the Unix epoch.
pub(super) fn unix_ms() -> i64 {
    let since = wall_now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds from one moment to a later one, both in milliseconds since the Unix epoch; 0 where clocks disagree.
#[expect(clippy::cast_precision_loss, reason = "a latency is far below 2^52 ms")]
pub(super) fn seconds_between(earlier_ms: i64, later_ms: i64) -> f64 {
    later_ms.saturating_sub(earlier_ms).max(0) as f64 / 1_000.0
}
