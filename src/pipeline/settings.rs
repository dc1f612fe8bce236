//! The numbers that the core decides by. Every one has a name and a default in the configuration.

use std::time::Duration;

use super::breaker::BreakerLimits;
use super::discovery::DiscoverySettings;
use super::key::KeyEncoding;
use super::retry::Backoff;

/// What becomes of the changes of a task that someone has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StoppedTasks {
    /// They wait for it to be started again.
    #[default]
    Wait,
    /// They are dead-lettered.
    DeadLetter,
}

/// What the pipeline may do at most, and when.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Keys in an event, 1 to 10.
    pub max_keys: usize,
    /// How long the oldest key waits for company.
    pub linger: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// The longest `Retry-After` that is honoured.
    pub max_retry_after: Duration,
    /// Requests out at once, whole worker.
    pub max_in_flight: usize,
    /// Requests out at once, one task.
    pub max_in_flight_per_task: usize,
    /// Requests a second, whole worker.
    pub max_requests_per_second: Option<f64>,
    /// Wait before the first probe of a hold, and of the dead-letter breaker.
    pub hold_probe_interval: Duration,
    /// How much may be refused before dead letters wait.
    pub breaker: BreakerLimits,
    /// How routes are found, where they are not written.
    pub discovery: Option<DiscoverySettings>,
    /// What becomes of the changes of stopped tasks.
    pub stopped_tasks: StoppedTasks,
    /// How keys are written for OMS.
    pub key_encoding: KeyEncoding,
    /// Object changes that are read and not settled.
    pub max_unsettled_changes: usize,
    /// Bytes of records that are read and not settled, with [`CHANGE_BYTES`](super::budget::CHANGE_BYTES) a change.
    pub max_unsettled_bytes: usize,
    /// Keys that wait for one task, before partitions that bring more are paused.
    pub max_pending_keys_per_task: usize,
    /// Share of the budget that one task's changes may take up that cannot be sent, before the same.
    pub max_blocked_share_per_task: f64,
    /// Records of one partition that are read and not behind its commit point, before it is paused.
    pub max_uncommitted_records: usize,
    /// Tasks with state.
    pub max_tasks: usize,
    /// Shortest time between two commits.
    pub commit_interval: Duration,
    /// How long a drain may take, commit and leaving included.
    pub drain_timeout: Duration,
    /// How long revoked partitions may be kept to settle what is under way, commit included.
    pub revoke_timeout: Duration,
    /// Seed of all jitter.
    pub seed: u64,
}

impl Settings {
    /// Changes and bytes of one task that may wait while it cannot send.
    #[must_use]
    pub fn blocked_share(&self) -> (usize, usize) {
        #[expect(clippy::cast_precision_loss, reason = "a share of a limit need not be exact")]
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and at most the limit"
        )]
        let share = |limit: usize| (limit as f64 * self.max_blocked_share_per_task) as usize;
        (share(self.max_unsettled_changes), share(self.max_unsettled_bytes))
    }

    /// Requests out at once that one task gets: the last quarter of the worker's, at least one, is left to others, so that
    /// a task whose answers are slow holds up none of them.
    #[must_use]
    pub fn task_slots(&self) -> usize {
        let left_to_others = self.max_in_flight.div_ceil(4);
        self.max_in_flight_per_task.min(self.max_in_flight - left_to_others).max(1)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_keys: 10,
            linger: Duration::from_millis(200),
            backoff: Backoff { initial: Duration::from_millis(500), max: Duration::from_mins(1) },
            max_retry_after: Duration::from_mins(5),
            max_in_flight: 64,
            max_in_flight_per_task: 16,
            max_requests_per_second: None,
            hold_probe_interval: Duration::from_mins(1),
            breaker: BreakerLimits::NONE,
            discovery: None,
            stopped_tasks: StoppedTasks::Wait,
            key_encoding: KeyEncoding::Percent,
            max_unsettled_changes: 100_000,
            max_unsettled_bytes: 24 << 20,
            max_pending_keys_per_task: 50_000,
            max_blocked_share_per_task: 0.75,
            max_uncommitted_records: 1_000_000,
            max_tasks: 1_000,
            commit_interval: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(25),
            revoke_timeout: Duration::from_secs(5),
            seed: 0,
        }
    }
}
