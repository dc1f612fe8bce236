//! The campaign's clock: milliseconds since it began, on the wall's clock, which brokers and simulator share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::story::Ms;

/// When the campaign began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { began_ms: epoch_ms() }
    }

    pub(crate) fn now(self) -> Ms {
        self.of_epoch(epoch_ms())
    }

    /// What this clock showed at that time.
    pub(crate) fn of(self, time: SystemTime) -> Ms {
        self.of_epoch(since_epoch(time))
    }

    /// What this clock showed at that time, in milliseconds since the Unix epoch.
    pub(crate) fn of_epoch(self, epoch_ms: u64) -> Ms {
        u32::try_from(epoch_ms.saturating_sub(self.began_ms)).unwrap_or(Ms::MAX - 1)
    }
}

fn epoch_ms() -> u64 {
    since_epoch(SystemTime::now())
}

fn since_epoch(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Polls until something is so; gives whether it was, within `bound`.
pub(crate) fn wait_until(bound: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let began = std::time::Instant::now();
    while !is_so() {
        if began.elapsed() > bound {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}
