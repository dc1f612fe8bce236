//! Whether librdkafka delivers what it knows to be there. Pure; tells since when not, and leaves it to others what that
//! means.
//!
//! Records are known to be there where the broker's mark is above all that was delivered and above the end that the fetcher
//! has found: control records, aborted transactions and compacted records lie below that end. Where the mark may be old,
//! because nothing comes over the connection for longer than any request may take, that is told instead. Nothing is
//! expected of a partition that is paused, of a broker that is away or throttles, or while the group rebalances; and
//! whatever moves, a connection that was lost and made again included, begins the wait anew. So only a client that could
//! deliver, says nothing, and stands still is ever seen waiting for long. Its threads are looked at besides, whatever they
//! have to do: a member that has lost its partitions has nothing else to be seen by.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::context::{Figures, Link, Thread};
use super::events::{Symptom, Undelivered};
use crate::pipeline::partition::PartitionName;

/// After a longer time between two looks a wait begins anew: the process was stopped, and so was what it waits for.
const LONGEST_GAP: Duration = Duration::from_mins(1);

/// Each of librdkafka's threads goes round once a second, whatever it waits for, but for a look-up of a name.
const LONGEST_TURN: Duration = Duration::from_secs(10);

/// Looks at one thing again and again, and tells since when it waits without anything that moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch<T>(Option<Wait<T>>);

#[derive(Clone, Copy, Debug)]
struct Wait<T> {
    since: Instant,
    looked: Instant,
    moving: T,
}

impl<T> Default for Watch<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Watch<T> {
    /// The wait, if there is one, begins anew.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }

    /// Since when it waits, as far as was looked. `moving` is all that changes as soon as it gets anywhere.
    pub(super) fn look(&mut self, now: Instant, waits: bool, moving: T) -> Option<Instant> {
        let goes_on =
            |wait: &&Wait<T>| wait.moving == moving && now.saturating_duration_since(wait.looked) <= LONGEST_GAP;
        let since = self.0.as_ref().filter(goes_on).map_or(now, |wait| wait.since);
        self.0 = waits.then_some(Wait { since, looked: now, moving });
        waits.then_some(since)
    }
}

/// What moves when a partition gets anywhere.
pub(super) type Moving = [i64; 5];

/// What of a partition moves while it gets anywhere: what was delivered, what is fetched, and the way to its broker.
pub(super) fn moving(figures: &Figures, link: Link, position: Option<i64>) -> Moving {
    let Figures { broker, next_offset, eof_offset, .. } = *figures;
    [position.unwrap_or(-1), next_offset, eof_offset, i64::from(broker), link.disconnects]
}

/// What is wrong with a partition that could deliver, if it stays so. `mark` is the broker's end of what may be read,
/// `position` the offset after the last delivered record or where reading started, if known.
pub(super) fn symptom(
    at: &PartitionName,
    figures: &Figures,
    link: Link,
    mark: i64,
    position: Option<i64>,
    request_timeout: Duration,
) -> Option<Symptom> {
    if !link.is_up || link.is_throttled {
        return None;
    }
    let fetched = (figures.next_offset >= 0).then_some(figures.next_offset);
    let base = position.or(fetched);
    if base.is_some_and(|base| mark > base.max(figures.eof_offset)) {
        return Some(Symptom::NotDelivered(at.clone()));
    }
    (link.idle > request_timeout).then(|| Symptom::Silent(at.clone()))
}

/// Looks at librdkafka's threads.
#[derive(Debug, Default)]
pub(super) struct Threads(FxHashMap<String, Watch<i64>>);

impl Threads {
    /// The one that has not gone round for the longest time, if any has not.
    pub(super) fn look(&mut self, now: Instant, threads: Vec<Thread>) -> Option<Undelivered> {
        let mut before = std::mem::take(&mut self.0);
        let mut longest: Option<Undelivered> = None;
        for Thread { broker, turns } in threads {
            let mut watch = before.remove(&broker).unwrap_or_default();
            let since = watch.look(now, true, turns).unwrap_or(now);
            let is_still = now.saturating_duration_since(since) > LONGEST_TURN;
            if is_still && longest.as_ref().is_none_or(|longest| since < longest.since) {
                longest = Some(Undelivered { symptom: Symptom::Still(broker.clone()), since });
            }
            self.0.insert(broker, watch);
        }
        longest
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a starting point; the rest is arithmetic")]
mod tests {
    use std::time::Duration;

    use super::*;

    const UP: Link = Link { is_up: true, is_throttled: false, disconnects: 0, idle: Duration::ZERO };
    const TIMEOUT: Duration = Duration::from_mins(1);

    fn at() -> PartitionName {
        PartitionName { topic: "t".into(), partition: 0 }
    }

    fn figures(next_offset: i64, eof_offset: i64) -> Figures {
        Figures { broker: 1, eof_offset, fetchq_cnt: 0, hi_offset: -1, ls_offset: -1, lo_offset: 0, next_offset }
    }

    #[test]
    fn a_wait_counts_from_the_first_look_and_begins_anew_with_whatever_moves() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(watch.look(at(0), false, 1), None);
        for seconds in (5..900).step_by(5) {
            assert_eq!(watch.look(at(seconds), true, 1), Some(at(5)));
        }
        assert_eq!(watch.look(at(905), true, 2), Some(at(905)), "a record was delivered");
        assert_eq!(watch.look(at(910), false, 2), None, "nothing is left");
        assert_eq!(watch.look(at(915), true, 2), Some(at(915)));
        watch.reset();
        assert_eq!(watch.look(at(920), true, 2), Some(at(920)));
        assert_eq!(watch.look(at(4_520), true, 2), Some(at(4_520)), "the process was stopped for an hour");
    }

    #[test]
    fn records_above_what_was_delivered_and_above_the_end_that_was_found_are_known_to_be_there() {
        for (next, eof, mark, position, expected) in [
            (10, -1001, 12, Some(10), true),
            (10, 10, 12, Some(10), true),     // the end that was found once is passed
            (12, 12, 12, Some(10), false),    // two control records, or aborted ones
            (10, -1001, 10, Some(10), false), // nothing new
            (10, -1001, -1, Some(10), false), // the broker has told no mark
            (10, -1001, 5, Some(10), false),  // the log was cut
            (12, 12, 12, None, false),        // started at the end
            (3, -1001, 12, None, true),       // started in the middle, and nothing came
            (-1001, -1001, 12, None, false),  // not known where
        ] {
            let told = format!("next {next} eof {eof} mark {mark} position {position:?}");
            let symptom = symptom(&at(), &figures(next, eof), UP, mark, position, TIMEOUT);
            assert_eq!(symptom, expected.then(|| Symptom::NotDelivered(at())), "{told}");
        }
    }

    #[test]
    fn a_connection_over_which_nothing_comes_for_longer_than_a_request_may_take_is_silent() {
        let idle = |seconds| Link { idle: Duration::from_secs(seconds), ..UP };
        let symptom = |link| symptom(&at(), &figures(10, 10), link, 10, Some(10), TIMEOUT);
        assert_eq!((symptom(idle(60)), symptom(idle(61))), (None, Some(Symptom::Silent(at()))));
    }

    #[test]
    fn a_thread_that_does_not_go_round_is_told_until_it_does_or_is_gone() {
        let (mut threads, start) = (Threads::default(), Instant::now());
        let thread = |broker: &str, turns| Thread { broker: broker.to_owned(), turns };
        let mut look = |seconds, listed| threads.look(start + Duration::from_secs(seconds), listed);
        for seconds in (0..=30).step_by(5) {
            let turns = i64::try_from(seconds).unwrap();
            let told = look(seconds, vec![thread("a", turns.min(10)), thread("b", turns), thread("c", turns.min(15))]);
            let still = Undelivered { symptom: Symptom::Still("a".to_owned()), since: start + Duration::from_secs(10) };
            assert_eq!(told, (seconds > 20).then_some(still), "after {seconds} s");
        }
        assert_eq!(look(35, vec![thread("a", 11), thread("b", 31)]), None, "one goes on, one is gone");
        assert_eq!(look(40, vec![thread("c", 15)]), None, "it is another one");
    }

    #[test]
    fn nothing_is_expected_of_a_broker_that_is_away_or_throttles() {
        let idle = Duration::from_secs(61);
        let symptom = |link| symptom(&at(), &figures(10, 10), link, 12, Some(10), TIMEOUT);
        assert_eq!(symptom(UP), Some(Symptom::NotDelivered(at())));
        assert_eq!(symptom(Link { is_up: false, idle, ..UP }), None);
        assert_eq!(symptom(Link { is_throttled: true, idle, ..UP }), None);
    }

    #[test]
    fn another_broker_and_a_connection_that_was_made_anew_are_a_move() {
        let usual = moving(&figures(10, 10), UP, Some(10));
        assert_eq!(moving(&figures(10, 10), UP, Some(10)), usual);
        assert_ne!(moving(&Figures { broker: 2, ..figures(10, 10) }, UP, Some(10)), usual);
        assert_ne!(moving(&figures(10, 10), Link { disconnects: 1, ..UP }, Some(10)), usual);
        assert_ne!(
            moving(&figures(11, 10), UP, Some(10)),
            usual,
            "it reads what is not delivered, such as aborted records"
        );
    }
}
