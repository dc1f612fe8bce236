//! How hard one task may be pressed: requests at once, and pauses while its requests keep failing.

use std::time::Duration;

use super::retry::Backoff;
use super::time::Time;

/// What a busy answer leaves of a task's concurrency.
const DECREASE: f64 = 0.7;
/// What a round of answers for good adds to it: far from where it was last too much, and within [`NEAR`] of that.
const INCREASE: f64 = 1.0;
const INCREASE_NEAR: f64 = 0.1;
/// How near is near, a share of the concurrency that was too much.
const NEAR: f64 = 0.1;
/// Rounds of busy answers in a row before the whole task pauses.
const ROUNDS_BEFORE_PAUSE: u32 = 2;

/// Additive increase, multiplicative decrease on requests in flight. Answers to requests that were out when the last
/// decrease was made tell nothing new and change nothing: a burst of failures is one round.
///
/// Latency does not count. In a model of a task that serves 1 to 4 requests at once and refuses what its queue cannot take,
/// limits by latency (a gradient, Vegas) served no more than this, and had more requests refused: 17 and 1.3 % at 4 servers
/// and a queue of 4, against 1.1 %. They would need the latency without load, which OMS does not tell.
#[derive(Debug)]
pub struct Pressure {
    limit: f64,
    max: f64,
    /// What was too much when it last was, after something had gone through.
    ceiling: f64,
    relieved: bool,
    busy_rounds: u32,
    round_began: Time,
    not_before: Time,
}

impl Pressure {
    /// Starts at `max` requests at once.
    #[must_use]
    pub fn new(max: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^52")]
        let max = max.max(1) as f64;
        Self {
            limit: max,
            max,
            ceiling: max,
            relieved: true,
            busy_rounds: 0,
            round_began: Time::START,
            not_before: Time::START,
        }
    }

    /// Requests that may be out at once; at least 1.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and max, which was a usize")]
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Until when the task pauses.
    #[must_use]
    pub fn not_before(&self) -> Time {
        self.not_before
    }

    /// Whether its requests keep failing.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.busy_rounds > ROUNDS_BEFORE_PAUSE
    }

    /// A request was answered for good.
    pub fn relieve(&mut self) {
        self.busy_rounds = 0;
        self.relieved = true;
        let near = (self.limit - self.ceiling).abs() <= NEAR * self.ceiling;
        let increase = if near { INCREASE_NEAR } else { INCREASE };
        self.limit = (self.limit + increase / self.limit).min(self.max);
    }

    /// A request that went out at `sent` could not be served.
    pub fn strain(&mut self, sent: Time, now: Time, backoff: &Backoff, random: &mut fastrand::Rng) {
        if sent < self.round_began {
            return;
        }
        self.round_began = now;
        if std::mem::take(&mut self.relieved) {
            self.ceiling = self.limit;
        }
        self.limit = (self.limit * DECREASE).max(1.0);
        self.busy_rounds = self.busy_rounds.saturating_add(1);
        if let Some(attempt) = self.busy_rounds.checked_sub(ROUNDS_BEFORE_PAUSE).filter(|rounds| *rounds > 0) {
            self.pause_until(now.after(backoff.full_jitter(attempt, random)));
        }
    }

    /// The other side asked to be left alone for `wait`.
    pub fn leave_alone(&mut self, wait: Duration, now: Time) {
        self.pause_until(now.after(wait));
    }

    fn pause_until(&mut self, until: Time) {
        self.not_before = self.not_before.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(500), max: Duration::from_mins(1) };

    fn at(seconds: u64) -> Time {
        Time::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_burst_of_failures_counts_once() {
        let mut pressure = Pressure::new(16);
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..16 {
            pressure.strain(at(0), at(1), &BACKOFF, &mut random);
        }
        assert_eq!((pressure.limit(), pressure.not_before()), (11, Time::START));
    }

    #[test]
    fn an_outage_ends_in_one_request_at_a_time_and_pauses() {
        let mut pressure = Pressure::new(16);
        let mut random = fastrand::Rng::with_seed(7);
        for second in 1..50 {
            pressure.strain(at(second), at(second), &BACKOFF, &mut random);
        }
        assert_eq!(pressure.limit(), 1);
        assert!(pressure.not_before() > at(49) && pressure.not_before() <= at(49 + 60));
    }

    #[test]
    fn accepted_events_bring_the_limit_back() {
        let mut pressure = Pressure::new(4);
        pressure.strain(at(0), at(0), &BACKOFF, &mut fastrand::Rng::with_seed(7));
        for _ in 0..20 {
            pressure.relieve();
        }
        assert_eq!(pressure.limit(), 4);
    }

    #[test]
    fn the_limit_is_slow_near_where_it_was_too_much_and_quick_below_it() {
        let mut pressure = Pressure::new(16);
        pressure.strain(at(0), at(0), &BACKOFF, &mut fastrand::Rng::with_seed(7));
        let mut answers = |limit: f64| {
            let mut count = 0;
            while pressure.limit < limit {
                pressure.relieve();
                count += 1;
            }
            count
        };
        let (below, near) = (answers(14.4), answers(16.0));
        assert!((40..60).contains(&below) && near > 200, "{below}, {near}");
    }

    #[test]
    fn a_long_outage_does_not_make_the_way_back_slow() {
        let mut pressure = Pressure::new(16);
        for second in 1..50 {
            pressure.strain(at(second), at(second), &BACKOFF, &mut fastrand::Rng::with_seed(7));
        }
        for _ in 0..130 {
            pressure.relieve();
        }
        assert!(pressure.limit() >= 14, "{pressure:?}");
    }
}
