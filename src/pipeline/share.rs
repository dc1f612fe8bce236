//! A worker's share of OMS's quota, found by being throttled: pure arithmetic on rates, no tokens and no queue.
//!
//! Workers that share a quota know nothing of each other. Each answer 429 tells the one that gets it to slow down a
//! little; each stretch without one lets it speed up. Larger shares meet more 429, so shares become alike. What keeps
//! 429 rare is that a worker is slow to come back to the rate that it was throttled at, and quick only far from it: above
//! that rate, and below what is known to go through. The numbers were chosen in a model of one token bucket with 1 to 8 workers and quotas of 5 to 2,000 requests
//! a second; `tests/it/quota.rs` holds what they achieve.

use std::time::Duration;

use super::time::Time;

/// Share of the rate that one throttled answer takes.
const DECREASE: f64 = 0.05;
/// Answers that a round is taken to have had besides those that were counted, when the share of throttled ones is worked
/// out: a few throttled answers are no measure, nor is a bunch of requests that some stall let arrive at once. So many, or
/// what the rate sends in so many seconds.
const ROUND_PRIOR: f64 = 10.0;
const ROUND_PRIOR_SECONDS: f64 = 0.5;
/// How long a rate of [`RETURN_AT`] takes to come back to where it was throttled. Both higher and lower rates take
/// longer, with the root of the ratio: the former for even shares, the latter to keep throttled answers few.
const RETURN: Duration = Duration::from_millis(3_500);
const RETURN_AT: f64 = 50.0;
/// The most that a rate takes longer by that.
const MAX_LONGER: f64 = 10.0;
/// How many times longer a rate takes to come back than the pause that OMS asks for, so that pauses cost little.
const RETURNS_TO_PAUSES: u32 = 10;
/// Longest time to come back.
const MAX_RETURN: Duration = Duration::from_secs(20);
/// Times that long without throttling until the rise becomes faster, with the cube of the time.
const PATIENCE: f64 = 2.5;
/// The largest step that one return makes, a share of the rate to come back to.
const MAX_STEP: f64 = 0.2;
/// How long a rate takes to double that is below what is known to go through, or of which nothing is known yet: what was
/// measured before the first throttling tells what was wanted, not what OMS grants.
const DOUBLING: Duration = Duration::from_secs(2);
/// How often it doubles at most with one request, however seldom they are.
const MAX_DOUBLINGS: f64 = 4.0;
/// The lowest rate that throttling leaves, requests a second.
const MIN_RATE: f64 = 0.1;

/// The rate that throttling leaves, and the round of answers that it was learned from.
#[derive(Debug)]
pub struct Share {
    rate: f64,
    /// When it was last lowered. Answers to earlier requests tell of the rate before.
    lowered: Time,
    /// The rate before that.
    before: f64,
    /// The rate to come back to: the latest one at which anything went through.
    peak: f64,
    /// Answers since then to requests that went out before, and the throttled ones among them.
    answers: f64,
    throttled: f64,
    /// Whether a request that went out since then went through.
    went_through: bool,
    /// The rate that it was lowered to when something last went through, infinite before that; what it gains in one
    /// return, and how long that takes, in seconds.
    floor: f64,
    step: f64,
    return_seconds: f64,
    /// How long it has been in use since then, in seconds: a rate that nobody needs does not rise.
    used_seconds: f64,
}

impl Share {
    /// Begins at `rate`, requests a second, which has just been throttled.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            lowered: Time::START,
            before: rate,
            peak: rate,
            answers: 0.0,
            throttled: 0.0,
            went_through: false,
            floor: f64::INFINITY,
            step: 0.0,
            return_seconds: 1.0,
            used_seconds: 0.0,
        }
    }

    /// Requests a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// A request went through that went out at `sent`.
    pub fn count(&mut self, sent: Time) {
        if sent < self.lowered {
            self.answers += 1.0;
        } else {
            self.went_through = true;
        }
    }

    /// A request was throttled that went out at `sent`, while the rate was `rate`; OMS asked for a pause of `wait`. The
    /// first of a round lowers the rate a little; further ones, as they tell how far the rate before was too high, to what
    /// of it went through. Where nothing went through it tells nothing of what will, once OMS takes requests again.
    pub fn lower(&mut self, rate: f64, sent: Time, wait: Duration, now: Time) {
        let mut tells = false;
        if sent >= self.lowered {
            tells = std::mem::take(&mut self.went_through);
            if tells {
                self.peak = rate;
            }
            (self.before, self.lowered) = (rate, now);
            (self.answers, self.throttled) = (0.0, 0.0);
        }
        self.answers += 1.0;
        self.throttled += 1.0;
        let first = self.throttled < 2.0;
        let prior = ROUND_PRIOR.max(self.before * ROUND_PRIOR_SECONDS);
        let share = if first { DECREASE } else { self.throttled / (self.answers + prior) };
        let target = (self.before * (1.0 - share.max(DECREASE))).max(MIN_RATE.min(self.before));
        if first || target < self.rate {
            self.rate = self.rate.min(target);
            self.used_seconds = 0.0;
            if tells || self.answers > self.throttled {
                self.floor = self.rate;
                self.peak = self.peak.max(self.before); // requests that nobody answered let the rate rise beyond it
                self.step = (self.peak - self.floor).min(MAX_STEP * self.peak);
                self.return_seconds = return_time(self.peak, wait).as_secs_f64();
            }
        }
    }

    /// A request went out: quickly up to what is known to go through, then evenly, and faster once the rate is far beyond
    /// where it was throttled.
    pub fn rise(&mut self) {
        let used = self.rate.recip();
        if self.rate < self.floor {
            let doublings = (used / DOUBLING.as_secs_f64()).min(MAX_DOUBLINGS);
            self.rate = (self.rate * doublings.exp2()).min(self.floor);
            return;
        }
        self.used_seconds += used;
        let returns = self.used_seconds / self.return_seconds;
        let beyond = (returns - PATIENCE).max(0.0);
        self.rate = self.rate.max(self.floor + self.step * (returns + beyond.powi(3)));
    }
}

/// How long a rate takes to come back to `peak`, if each time costs a pause of `wait`.
fn return_time(peak: f64, wait: Duration) -> Duration {
    let distance = peak / RETURN_AT;
    let longer = distance.max(distance.recip()).sqrt().min(MAX_LONGER);
    RETURN.mul_f64(longer).max(wait.saturating_mul(RETURNS_TO_PAUSES)).min(MAX_RETURN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    #[test]
    fn one_throttled_answer_takes_little_and_a_full_round_says_how_much_is_too_much() {
        let mut share = Share::new(100.0);
        share.lower(100.0, at(1_000), Duration::ZERO, at(1_010));
        assert!((94.9..95.1).contains(&share.rate()), "{share:?}");
        for _ in 0..20 {
            share.count(at(1_001));
            share.lower(95.0, at(1_001), Duration::ZERO, at(1_020));
        }
        assert!((75.0..79.0).contains(&share.rate()), "half of a round was throttled: {share:?}");
        share.lower(share.rate(), at(1_030), Duration::ZERO, at(1_040));
        assert!((71.0..75.0).contains(&share.rate()), "the next round lowers anew: {share:?}");
    }

    #[test]
    fn the_rate_returns_evenly_and_is_quick_far_beyond_where_it_was_throttled() {
        let mut share = Share::new(50.0);
        share.count(at(0));
        share.lower(50.0, at(0), Duration::ZERO, at(10));
        let mut rates = Vec::new();
        let mut used = 0.0;
        for second in [3.5, 7.0, 20.0] {
            while used < second {
                used += share.rate().recip();
                share.rise();
            }
            rates.push(share.rate());
        }
        assert!((49.5..50.5).contains(&rates[0]) && (52.0..53.0).contains(&rates[1]), "{rates:?}");
        assert!(rates[2] > 100.0, "twice the rate within 20 s: {rates:?}");
    }

    /// The rate after so many seconds of use.
    fn after_use(share: &mut Share, seconds: f64) -> f64 {
        let mut used = 0.0;
        while used < seconds {
            used += share.rate().recip();
            share.rise();
        }
        share.rate()
    }

    /// Throttled again and again, whatever is asked.
    fn throttle_everything(share: &mut Share, rounds: u64) {
        for round in 1..=rounds {
            share.lower(share.rate(), at(1_000 * round + 1), Duration::ZERO, at(1_000 * round + 2));
        }
    }

    #[test]
    fn when_nothing_goes_through_for_long_the_old_rate_is_not_forgotten() {
        let mut share = Share::new(100.0);
        share.count(at(0));
        throttle_everything(&mut share, 200);
        assert!(share.rate() < 0.2, "{share:?}");
        let back = after_use(&mut share, 25.0);
        assert!((90.0..=100.0).contains(&back), "as much as went through before, and no more at first: {share:?}");
    }

    #[test]
    fn a_rate_that_rose_while_nobody_answered_is_not_frozen_when_it_is_lowered() {
        let mut share = Share::new(5.0);
        share.count(at(0));
        share.lower(5.0, at(0), Duration::ZERO, at(10));
        let risen = after_use(&mut share, 60.0);
        assert!(risen > 10.0, "{share:?}");
        share.lower(risen, at(60_000), Duration::ZERO, at(60_010));
        share.count(at(60_005));
        share.lower(risen, at(60_005), Duration::ZERO, at(60_020));
        let lowered = share.rate();
        assert!(lowered > 5.0, "beyond what went through before: {share:?}");
        assert!(after_use(&mut share, 60.0) > 1.05 * lowered, "{share:?}");
    }

    #[test]
    fn what_was_wanted_before_the_first_throttling_is_no_measure_of_what_is_granted() {
        let mut share = Share::new(2.0);
        throttle_everything(&mut share, 5);
        assert!(share.rate() < 1.7, "{share:?}");
        assert!(after_use(&mut share, 15.0) > 100.0, "{share:?}");
        share.count(at(9_000));
        share.lower(share.rate(), at(9_000), Duration::ZERO, at(9_010));
        let known = share.rate();
        assert!(after_use(&mut share, 3.0) < 1.1 * known, "now it is known where it is too much: {share:?}");
    }
}
