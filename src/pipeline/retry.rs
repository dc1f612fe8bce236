//! How long to wait before trying again: exponential, capped, with full jitter. A function of attempt and random number.

use std::time::Duration;

/// The limits of a wait, from `retry.initial` and `retry.max`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub initial: Duration,
    /// Upper bound of every wait.
    pub max: Duration,
}

impl Backoff {
    /// A wait drawn evenly from zero to `initial * 2^(attempt - 1)`, capped at `max`. Attempts count from 1.
    #[must_use]
    pub fn full_jitter(&self, attempt: u32, random: &mut fastrand::Rng) -> Duration {
        self.bound(attempt).mul_f64(random.f64())
    }

    fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(500), max: Duration::from_mins(1) };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<_> = [1, 2, 3, 7, 8, u32::MAX].map(|n| BACKOFF.bound(n).as_millis()).to_vec();
        assert_eq!(bounds, [500, 1_000, 2_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn waits_spread_over_the_whole_range() {
        let mut random = fastrand::Rng::with_seed(1);
        let waits: Vec<_> = (0..1_000).map(|_| BACKOFF.full_jitter(3, &mut random)).collect();
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(2)));
        assert!(waits.iter().any(|w| *w < Duration::from_millis(100)));
        assert!(waits.iter().any(|w| *w > Duration::from_millis(1_900)));
    }
}
