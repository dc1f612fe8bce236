//! The request rate of the whole client: our own limit (`oms.max_requests_per_second`) and what OMS's throttling leaves.

use std::time::Duration;

use super::time::Time;

/// What a throttled round leaves of the request rate.
const DECREASE: f64 = 0.7;
/// Requests a second that every second without throttling adds, and the share of the rate that it adds if that is more.
const INCREASE: (f64, f64) = (1.0, 0.02);
/// The lowest rate that throttling leaves, requests a second.
const MIN_RATE: f64 = 0.5;
/// Longest burst that a rate saves up, seconds of it.
const BURST_SECONDS: f64 = 0.1;
/// Span over which the rate of requests is measured.
const WINDOW: Duration = Duration::from_secs(1);

/// A token bucket whose rate throttling lowers and time raises. No rate at all until one is set or OMS throttles.
#[derive(Debug)]
pub struct Pace {
    max: Option<f64>,
    rate: Option<f64>,
    tokens: f64,
    filled: Time,
    raised: Time,
    throttled: Time,
    not_before: Time,
    window: (Time, u32),
    measured: f64,
}

impl Pace {
    /// At most `max` requests a second, where that is given.
    #[must_use]
    pub fn new(max: Option<f64>) -> Self {
        Self {
            max,
            rate: max,
            tokens: 1.0,
            filled: Time::START,
            raised: Time::START,
            throttled: Time::START,
            not_before: Time::START,
            window: (Time::START, 0),
            measured: 0.0,
        }
    }

    /// When the next request may go out; now or earlier if it may at once.
    pub fn next(&mut self, now: Time) -> Time {
        let Some(rate) = self.refill(now) else {
            return self.not_before;
        };
        let missing = (1.0 - self.tokens).max(0.0);
        let wait = Duration::from_secs_f64(missing / rate);
        self.not_before.max(if wait.is_zero() { now } else { now.after(wait + Duration::from_nanos(1)) })
    }

    /// A request goes out.
    pub fn spend(&mut self, now: Time) {
        self.tokens -= 1.0;
        let (began, count) = self.window;
        let span = now.since(began);
        if span < WINDOW {
            self.window.1 += 1;
        } else {
            self.measured = f64::from(count) / span.as_secs_f64();
            self.window = (now, 1);
        }
    }

    /// OMS throttled a request that went out at `sent`, and perhaps asked to be left alone for `wait`.
    pub fn throttle(&mut self, sent: Time, wait: Option<Duration>, now: Time) {
        if let Some(wait) = wait {
            self.not_before = self.not_before.max(now.after(wait));
        }
        if sent < self.throttled {
            return;
        }
        self.throttled = now;
        self.raised = now;
        let span = now.since(self.window.0).as_secs_f64().max(0.1);
        let current = self.rate.unwrap_or_else(|| self.measured.max(f64::from(self.window.1) / span));
        let lowest = MIN_RATE.min(self.max.unwrap_or(MIN_RATE));
        self.rate = Some((current * DECREASE).max(lowest));
        self.tokens = 0.0;
        self.filled = now;
    }

    /// Until when OMS asked to be left alone.
    #[must_use]
    pub fn not_before(&self) -> Time {
        self.not_before
    }

    /// The rate in force, requests a second; `None` is no limit.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    fn refill(&mut self, now: Time) -> Option<f64> {
        let mut rate = self.rate?;
        let seconds = now.since(self.raised).as_secs_f64();
        if seconds >= 1.0 {
            rate += seconds * INCREASE.0.max(rate * INCREASE.1);
            rate = rate.min(self.max.unwrap_or(f64::INFINITY));
            self.raised = now;
            self.rate = Some(rate);
        }
        let burst = (rate * BURST_SECONDS).max(1.0);
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate).min(burst);
        self.filled = now;
        Some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    /// Sends as fast as the pace allows; requests that went out from `from` to `to`, in milliseconds.
    fn sent(pace: &mut Pace, from: u64, to: u64) -> usize {
        (from..to)
            .filter(|ms| {
                pace.next(at(*ms)) <= at(*ms) && {
                    pace.spend(at(*ms));
                    true
                }
            })
            .count()
    }

    #[test]
    fn without_a_limit_everything_goes_out_at_once() {
        let mut pace = Pace::new(None);
        assert_eq!(sent(&mut pace, 0, 1_000), 1_000);
    }

    #[test]
    fn our_own_limit_is_kept() {
        let mut pace = Pace::new(Some(100.0));
        let count = sent(&mut pace, 0, 10_000);
        assert!((990..=1_011).contains(&count), "{count}");
    }

    #[test]
    fn throttling_lowers_the_rate_and_time_raises_it() {
        let mut pace = Pace::new(None);
        sent(&mut pace, 0, 2_000);
        pace.throttle(at(2_000), None, at(2_000));
        let first = sent(&mut pace, 2_000, 3_000);
        assert!((600..=760).contains(&first), "{first}");
        let later = sent(&mut pace, 12_000, 13_000);
        assert!(later > first, "{later} after {first}");
    }

    #[test]
    fn a_burst_of_throttled_answers_counts_once() {
        let mut pace = Pace::new(Some(100.0));
        pace.throttle(at(1_000), None, at(2_000));
        pace.throttle(at(1_999), None, at(2_001));
        assert_eq!(pace.rate(), Some(70.0));
    }

    #[test]
    fn throttling_never_raises_the_rate_over_our_own_limit() {
        let mut pace = Pace::new(Some(0.1));
        pace.throttle(at(0), None, at(1_000));
        assert!(pace.rate().unwrap() <= 0.1, "{:?}", pace.rate());
    }

    #[test]
    fn retry_after_is_kept_to() {
        let mut pace = Pace::new(None);
        pace.throttle(at(0), Some(Duration::from_secs(3)), at(0));
        assert_eq!(pace.next(at(1)), at(3_000));
    }
}
