//! When the end of a partition that the statistics tell may be believed. Pure.
//!
//! librdkafka's `eof_offset` E counts control records, which no record and no position does. It is written when the
//! fetcher found nothing after E, at which time everything below E had been put into the consumer's queue (2.12.1,
//! `rdkafka_fetcher.c`). But pausing, resuming and every rebalance throw that queue away and fetch again from the
//! position, and the figure stays as it was until the broker's thread comes round, which it does not while the broker
//! is down. So E is believed only when
//!
//! 1. a record or an end of this partition was delivered since the last such disturbance, which proves that the
//!    figures were reset after it, and
//! 2. a later statistics event, with no disturbance between the two, tells that the queue was empty and an end at or
//!    above E: whatever was queued below E when it was first told was delivered then, not thrown away.

/// The end of one assigned partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    fresh: bool,
    candidate: Option<i64>,
    believed: Option<i64>,
}

impl End {
    /// The fetcher starts again from the position: paused, resumed, or the group rebalances.
    pub(super) fn disturb(&mut self) {
        self.fresh = false;
        self.candidate = None;
    }

    /// A record, or an end that is known to be this partition's, was delivered.
    pub(super) fn delivered(&mut self) {
        self.fresh = true;
    }

    /// Looks at a statistics event; returns an end that is safe to use and has not been told yet.
    /// `position` is the offset after the last delivered record, or where reading started, if known.
    pub(super) fn sample(&mut self, eof_offset: i64, queue_empty: bool, position: Option<i64>) -> Option<i64> {
        let seen = (self.fresh && eof_offset >= 0).then_some(eof_offset);
        let earlier = std::mem::replace(&mut self.candidate, seen);
        let end = earlier.filter(|&end| queue_empty && seen.is_some_and(|now| now >= end))?;
        let told = self.believed.max(position);
        if told.is_some_and(|told| end <= told) {
            return None;
        }
        self.believed = Some(end);
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> End {
        let mut end = End::default();
        end.delivered();
        end
    }

    #[test]
    fn an_end_is_believed_at_the_second_sight_and_told_once() {
        let mut end = fresh();
        assert_eq!(end.sample(12, true, Some(10)), None);
        assert_eq!(end.sample(12, true, Some(10)), Some(12));
        assert_eq!(end.sample(12, true, Some(10)), None);
    }

    #[test]
    fn an_end_is_not_believed_while_records_are_queued() {
        let mut end = fresh();
        assert_eq!(end.sample(12, false, Some(10)), None);
        assert_eq!(end.sample(12, false, Some(10)), None);
        assert_eq!(end.sample(12, true, Some(10)), Some(12));
    }

    #[test]
    fn a_newer_end_waits_for_its_own_second_sight() {
        let mut end = fresh();
        assert_eq!(end.sample(12, true, Some(10)), None);
        assert_eq!(end.sample(20, true, Some(10)), Some(12));
        assert_eq!(end.sample(20, true, Some(10)), Some(20));
    }

    #[test]
    fn a_stale_end_is_not_believed_after_a_disturbance() {
        let mut end = fresh();
        assert_eq!(end.sample(12, true, Some(10)), None);
        end.disturb();
        assert_eq!(end.sample(12, true, Some(10)), None, "the figure may be from before");
        assert_eq!(end.sample(12, true, Some(10)), None, "and stay so while the broker is down");
        end.delivered();
        assert_eq!(end.sample(12, true, Some(10)), None);
        assert_eq!(end.sample(12, true, Some(10)), Some(12));
    }

    #[test]
    fn an_end_that_the_records_tell_is_not_repeated() {
        let mut end = fresh();
        assert_eq!(end.sample(12, true, Some(12)), None);
        assert_eq!(end.sample(12, true, Some(12)), None);
    }

    #[test]
    fn an_unknown_end_is_no_end() {
        let mut end = fresh();
        assert_eq!(end.sample(-1001, true, None), None);
        assert_eq!(end.sample(-1001, true, None), None);
    }
}
