//! The request rate of the whole client: our own limit (`oms.max_requests_per_second`) and what OMS's throttling leaves.
//! It tells when a request may go out, and never which one.

use std::time::Duration;

use super::share::Share;
use super::time::Time;

/// Longest burst that a rate saves up, seconds of it.
const BURST_SECONDS: f64 = 0.05;
/// Requests are not evenly spaced but this share of the space earlier or later, so that workers do not march in step.
const JITTER: f64 = 0.3;
/// Span over which the rate of requests is measured while there is no limit.
const WINDOW: Duration = Duration::from_secs(1);
/// The shortest span that a rate is measured over.
const MIN_WINDOW: Duration = Duration::from_millis(100);

/// A token bucket whose rate throttling lowers and time raises. No rate at all until one is set or OMS throttles.
#[derive(Debug)]
pub struct Pace {
    max: Option<f64>,
    share: Option<Share>,
    tokens: f64,
    /// Tokens that the next request costs; 1 on average.
    price: f64,
    filled: Time,
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
            share: None,
            tokens: 1.0,
            price: 1.0,
            filled: Time::START,
            not_before: Time::START,
            window: (Time::START, 0),
            measured: 0.0,
        }
    }

    /// When the next request may go out; now or earlier if it may at once.
    pub fn next(&mut self, now: Time) -> Time {
        let Some(rate) = self.rate() else {
            return self.not_before;
        };
        let burst = (rate * BURST_SECONDS).max(1.0 + JITTER);
        self.tokens = (self.tokens + now.since(self.filled).as_secs_f64() * rate).min(burst);
        self.filled = now;
        let wait = seconds((self.price - self.tokens).max(0.0) / rate);
        self.not_before.max(if wait.is_zero() { now } else { now.after(wait + Duration::from_nanos(1)) })
    }

    /// A request goes out.
    pub fn spend(&mut self, now: Time, random: &mut fastrand::Rng) {
        if self.rate().is_some() {
            self.tokens -= self.price;
        }
        self.price = 1.0 + JITTER * (2.0 * random.f64() - 1.0);
        if let Some(share) = &mut self.share {
            share.rise();
        }
        let (began, count) = self.window;
        let span = now.since(began);
        if span < WINDOW {
            self.window.1 += 1;
        } else {
            self.measured = f64::from(count) / span.as_secs_f64();
            self.window = (now, 1);
        }
    }

    /// A request that went out at `sent` was answered, and not throttled.
    pub fn went_through(&mut self, sent: Time) {
        if let Some(share) = &mut self.share {
            share.count(sent);
        }
    }

    /// OMS throttled a request that went out at `sent`, and perhaps asked the whole client to be left alone for `wait`.
    pub fn throttle(&mut self, sent: Time, wait: Option<Duration>, now: Time) {
        let wait = wait.unwrap_or_default();
        self.not_before = self.not_before.max(now.after(wait));
        let rate = self.rate().unwrap_or_else(|| self.measure(now));
        let share = self.share.get_or_insert_with(|| Share::new(rate));
        share.lower(rate, sent, wait, now);
        self.tokens = self.tokens.min(0.0);
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
        let share = self.share.as_ref().map(Share::rate);
        share.into_iter().chain(self.max).reduce(f64::min)
    }

    /// Whether it is OMS's throttling, rather than our own limit, that the rate comes from.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.share.as_ref().is_some_and(|share| self.max.is_none_or(|max| share.rate() < max))
    }

    /// The rate of requests so far; at least one a second, which is no measure but a beginning.
    fn measure(&self, now: Time) -> f64 {
        let span = now.since(self.window.0).max(MIN_WINDOW).as_secs_f64();
        self.measured.max(f64::from(self.window.1) / span).max(1.0)
    }
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::since_start(Duration::from_millis(millis))
    }

    /// Sends as fast as the pace allows; requests that went out from `from` to `to`, in milliseconds.
    fn sent(pace: &mut Pace, from: u64, to: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(5);
        (from..to)
            .filter(|ms| {
                pace.next(at(*ms)) <= at(*ms) && {
                    pace.spend(at(*ms), &mut random);
                    true
                }
            })
            .count()
    }

    #[test]
    fn without_a_limit_everything_goes_out_at_once() {
        let mut pace = Pace::new(None);
        assert_eq!(sent(&mut pace, 0, 1_000), 1_000);
        assert_eq!(pace.rate(), None);
    }

    #[test]
    fn our_own_limit_is_kept() {
        let mut pace = Pace::new(Some(100.0));
        let count = sent(&mut pace, 0, 10_000);
        assert!((980..=1_020).contains(&count), "{count}");
    }

    #[test]
    fn a_rest_saves_up_no_more_than_a_short_burst() {
        let mut pace = Pace::new(Some(100.0));
        sent(&mut pace, 0, 1_000);
        let burst = sent(&mut pace, 10_000, 10_010);
        assert!((3..=8).contains(&burst), "{burst}");
    }

    #[test]
    fn throttling_lowers_the_rate_and_use_raises_it() {
        let mut pace = Pace::new(None);
        sent(&mut pace, 0, 2_000);
        pace.throttle(at(2_000), None, at(2_000));
        let lowered = pace.rate().unwrap();
        assert!((940.0..=960.0).contains(&lowered) && pace.is_throttled(), "{lowered}");
        assert_eq!(pace.next(at(9_000)), at(9_000));
        assert_eq!(pace.rate(), Some(lowered), "a rate that is not used stays");
        sent(&mut pace, 10_000, 30_000);
        assert!(pace.rate().unwrap() > lowered + 20.0, "{pace:?}");
    }

    #[test]
    fn what_was_sent_without_a_limit_is_no_debt_when_one_begins() {
        let mut pace = Pace::new(None);
        sent(&mut pace, 0, 60_000);
        pace.throttle(at(60_000), None, at(60_000));
        assert!(pace.next(at(60_000)) < at(60_010), "{pace:?}");
    }

    #[test]
    fn throttling_never_raises_the_rate_over_our_own_limit() {
        let mut pace = Pace::new(Some(0.05));
        pace.throttle(at(0), None, at(1_000));
        assert!(pace.rate().unwrap() <= 0.05, "{:?}", pace.rate());
    }

    #[test]
    fn retry_after_is_kept_to() {
        let mut pace = Pace::new(None);
        pace.throttle(at(0), Some(Duration::from_secs(3)), at(0));
        pace.throttle(at(0), Some(Duration::from_secs(1)), at(1));
        assert_eq!(pace.next(at(1)), at(3_000));
    }
}
