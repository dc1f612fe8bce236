//! What came to its end within the last minute, second by second. Bounded: it keeps [`SECONDS`] sums at most.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::time::Time;
use super::BreakerLimits;

/// The second that is under way and sixty whole ones, so that no minute is missed.
const SECONDS: u64 = 61;

/// Sums over a span of time.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    /// Records that came to their end.
    pub(super) records: u32,
    /// Those of them that end in dead letters.
    pub(super) refused: u32,
    /// Dead letters that were made.
    pub(super) made: u32,
    /// Dead letters that were let out.
    pub(super) written: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.refused += other.refused;
        self.made += other.made;
        self.written += other.written;
    }

    fn subtract(&mut self, other: Self) {
        self.records -= other.records;
        self.refused -= other.refused;
        self.made -= other.made;
        self.written -= other.written;
    }
}

/// The last minute.
#[derive(Default, Debug)]
pub(super) struct Window {
    seconds: VecDeque<(u64, Counts)>,
    sum: Counts,
}

impl Window {
    /// Counts what happens now.
    pub(super) fn add(&mut self, counts: Counts, now: Time) {
        let second = now.since(Time::START).as_secs();
        self.forget(second);
        self.sum.add(counts);
        match self.seconds.back_mut() {
            Some((last, sum)) if *last == second => sum.add(counts),
            _ => self.seconds.push_back((second, counts)),
        }
    }

    /// The sums of the minute before now.
    pub(super) fn sum(&mut self, now: Time) -> Counts {
        self.forget(now.since(Time::START).as_secs());
        self.sum
    }

    /// When the oldest second is forgotten.
    pub(super) fn next_change(&self) -> Option<Time> {
        let (oldest, _) = self.seconds.front()?;
        Some(Time::since_start(Duration::from_secs(oldest + SECONDS)))
    }

    fn forget(&mut self, second: u64) {
        while let Some((_, counts)) = self.seconds.front().filter(|(oldest, _)| oldest + SECONDS <= second) {
            self.sum.subtract(*counts);
            self.seconds.pop_front();
        }
    }
}

/// Which limit is passed, in words; `None` where none is.
pub(super) fn excess(counts: Counts, limits: &BreakerLimits) -> Option<Box<str>> {
    let Counts { records, refused, made, .. } = counts;
    if let Some(max) = limits.max_per_minute.filter(|max| made > *max) {
        return Some(format!("{made} dead letters in a minute, dead_letter.breaker.max_per_minute is {max}").into());
    }
    let ratio = limits.max_ratio.filter(|_| records >= limits.min_records)?;
    let passed = f64::from(refused) > ratio * f64::from(records);
    passed.then(|| {
        format!(
            "{refused} of {records} records of a minute end in dead letters, dead_letter.breaker.max_ratio is {ratio}"
        )
        .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::since_start(Duration::from_millis(ms))
    }

    #[test]
    fn a_count_is_kept_for_a_whole_minute_and_little_longer() {
        let mut window = Window::default();
        window.add(Counts { made: 3, ..Counts::default() }, at(900));
        window.add(Counts { made: 4, ..Counts::default() }, at(30_000));
        assert_eq!(window.sum(at(60_900)).made, 7);
        assert_eq!(window.next_change(), Some(at(61_000)));
        assert_eq!(window.sum(at(61_000)).made, 4);
        assert_eq!(window.sum(at(91_000)).made, 0);
        assert_eq!(window.next_change(), None);
    }

    #[test]
    fn either_limit_is_told_when_it_is_passed_and_a_ratio_needs_enough_records() {
        let limits = BreakerLimits { max_per_minute: Some(10), max_ratio: Some(0.5), min_records: 20 };
        let counts = |records, refused, made| Counts { records, refused, made, written: 0 };
        for (counts, passed) in [
            (counts(19, 19, 10), None),
            (counts(20, 10, 10), None),
            (counts(20, 11, 10), Some("max_ratio")),
            (counts(100, 1, 11), Some("max_per_minute")),
        ] {
            let told = excess(counts, &limits);
            assert_eq!(told.is_some(), passed.is_some(), "{counts:?}: {told:?}");
            assert!(told.is_none_or(|told| told.contains(passed.unwrap_or_default())), "{counts:?}");
        }
        assert_eq!(excess(counts(1_000, 1_000, 1_000), &BreakerLimits::NONE), None);
    }
}
