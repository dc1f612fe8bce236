//! The dead-letter breaker: what waits, what is asked for again, when it opens and closes; and that nothing is lost by it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::super::breaker::BreakerLimits;
use super::super::intake::{Reject, RejectStage};
use super::super::record::Record;
use super::super::*;
use super::desk::*;
use super::world::{self, World};

const MINUTE: Duration = Duration::from_mins(1);

fn limits(max_per_minute: Option<u32>, max_ratio: Option<f64>, min_records: u32) -> BreakerLimits {
    BreakerLimits { max_per_minute, max_ratio, min_records }
}

fn desk(limits: BreakerLimits) -> Desk {
    let mut desk = Desk::new(|settings| settings.breaker = limits);
    desk.read(0, "a", &["first"]);
    desk.answer(REFUSED);
    desk.step(Input::TaskStands(TaskId::new("a").unwrap(), Standing::Active));
    desk
}

/// Records that cannot be read.
fn read_garbage(desk: &mut Desk, count: i64) {
    let record = |_| {
        desk.next[0] += 1;
        let record = Record::at("t", 0, desk.next[0] - 1);
        let reject = Reject { stage: RejectStage::Decode, reason: "invalid_json", key: None };
        (1, Incoming::new(&record, std::iter::empty().collect(), vec![reject]))
    };
    let records = (0..count).map(record).collect();
    desk.step(Input::Records(records));
}

/// Answers all that is out and comes of it.
fn answer_all(desk: &mut Desk, is_refused: impl Fn(&str) -> bool) -> usize {
    let mut requests = 0;
    loop {
        let asked = desk.effects.iter().position(|effect| matches!(effect, Effect::AskTask(_)));
        if let Some(Effect::AskTask(task)) = asked.map(|at| desk.effects.remove(at)) {
            desk.step(Input::TaskStands(task, Standing::Active));
        } else if let Some((_, _, keys)) = desk.out.first() {
            let refused = keys.iter().any(|key| is_refused(key));
            desk.answer(if refused { REFUSED } else { ACCEPTED });
            requests += 1;
        } else {
            return requests;
        }
    }
}

fn write_all(desk: &mut Desk) {
    let letters: Vec<_> = desk.letters().iter().map(|(id, _)| *id).collect();
    desk.effects.retain(|effect| !matches!(effect, Effect::DeadLetter(..)));
    for id in letters {
        desk.step(Input::LetterDone(id, true));
    }
}

fn keys(from: u32, count: u32) -> Vec<String> {
    (from..from + count).map(|n| format!("k{n}")).collect()
}

fn read(desk: &mut Desk, partition: i32, keys: &[String]) {
    desk.read(partition, "a", &keys.iter().map(String::as_str).collect::<Vec<_>>());
}

fn is_open(desk: &mut Desk) -> bool {
    desk.pipeline.report().breaker.is_some()
}

#[test]
fn without_limits_every_letter_goes_at_once() {
    let mut desk = desk(BreakerLimits::NONE);
    read_garbage(&mut desk, 400);
    assert_eq!(desk.letters().len(), 401);
    assert!(!is_open(&mut desk));
}

#[test]
fn more_letters_in_a_minute_than_the_limit_wait_and_say_why() {
    let mut desk = desk(limits(Some(5), None, 1));
    read_garbage(&mut desk, 4);
    assert_eq!(desk.letters().len(), 5, "up to the limit they go at once");
    read_garbage(&mut desk, 1);
    assert_eq!(desk.letters().len(), 5);
    let report = desk.pipeline.report();
    assert_eq!((report.letters, report.letters_waiting), (6, 1));
    let said = report.breaker.unwrap().said;
    assert!(said.contains("6 dead letters in a minute") && said.contains("max_per_minute is 5"), "{said}");
    assert!(said.contains("t[0]@5, invalid_json"), "an example: {said}");
    let opened = |effect: &Effect| matches!(effect, Effect::Notice(Notice::BreakerOpened(_)));
    assert_eq!(desk.effects.iter().filter(|effect| opened(effect)).count(), 1);
}

#[test]
fn a_ratio_counts_once_there_are_enough_records() {
    let mut desk = desk(limits(None, Some(0.5), 10));
    read_garbage(&mut desk, 8);
    assert_eq!((desk.letters().len(), is_open(&mut desk)), (9, false), "nine of nine, but too few to tell");
    read_garbage(&mut desk, 1);
    assert_eq!((desk.letters().len(), is_open(&mut desk)), (9, true));
}

#[test]
fn what_oms_refused_for_a_while_ends_accepted_and_not_dead_lettered() {
    let mut desk = desk(limits(Some(1), None, 1));
    write_all(&mut desk);
    read(&mut desk, 0, &keys(0, 40));
    answer_all(&mut desk, |_| true);
    assert_eq!((desk.letters().len(), desk.pipeline.report().letters_waiting), (0, 40));
    desk.wait(MINUTE);
    assert_eq!(desk.out.len(), 1, "one probe after a minute at most");
    answer_all(&mut desk, |_| true);
    desk.wait(MINUTE);
    assert!(desk.out.is_empty(), "refused again: the next one comes after twice as long");
    desk.wait(MINUTE);
    let probed = answer_all(&mut desk, |_| false);
    assert!((6..12).contains(&probed), "1, 2, 4, 8 and so on keys: {probed} requests");
    assert_eq!(desk.uncommitted(), [0, 0], "{:?}", desk.pipeline.report());
    assert!(desk.letters().is_empty() && desk.pipeline.entries.is_empty());
    desk.wait(MINUTE);
    assert!(!is_open(&mut desk));
    let settled = desk.pipeline.report().settled;
    assert!(settled.iter().all(|(_, _, count)| count == 0), "told before");
}

#[test]
fn a_record_that_ends_accepted_after_all_is_counted_as_accepted() {
    let mut desk = desk(limits(Some(1), None, 1));
    write_all(&mut desk);
    read(&mut desk, 0, &keys(0, 1));
    answer_all(&mut desk, |_| true);
    assert_eq!(desk.pipeline.report().letters_waiting, 1);
    desk.pipeline.report();
    desk.wait(MINUTE);
    answer_all(&mut desk, |_| false);
    let settled = desk.pipeline.report().settled;
    let ended: Vec<_> = settled.iter().filter(|(_, _, count)| *count > 0).map(|(_, outcome, _)| outcome).collect();
    assert_eq!(ended, [ledger::Outcome::Accepted]);
}

#[test]
fn of_what_cannot_be_read_one_letter_a_probe_is_written() {
    let mut desk = desk(limits(Some(3), None, 1));
    read_garbage(&mut desk, 10);
    write_all(&mut desk);
    let before = desk.pipeline.report().letters_waiting;
    for written in [1, 1, 2] {
        desk.wait(MINUTE);
        assert_eq!(desk.letters().len(), written, "after a minute, then after two more");
    }
    assert_eq!(desk.pipeline.report().letters_waiting, before - 2);
}

#[test]
fn when_the_last_minute_was_fine_it_closes_and_what_is_refused_again_is_written() {
    let mut desk = desk(limits(None, Some(0.5), 10));
    write_all(&mut desk);
    read(&mut desk, 0, &keys(0, 20));
    answer_all(&mut desk, |_| true);
    assert!(is_open(&mut desk));
    let waiting = desk.pipeline.report().letters_waiting;
    assert!(waiting >= 10, "all but those before there were enough records: {waiting}");
    write_all(&mut desk);
    desk.wait(MINUTE + Duration::from_secs(1));
    answer_all(&mut desk, |_| true); // the first probe
    read(&mut desk, 1, &keys(100, 20));
    let asked_for_once = |key: &str| key[1..].parse::<u32>().unwrap() < 20;
    answer_all(&mut desk, asked_for_once);
    assert!(!is_open(&mut desk));
    assert_eq!(desk.letters().len(), waiting, "they do not open it a second time");
    write_all(&mut desk);
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn a_drain_leaves_what_waits_and_does_not_wait_for_it() {
    let mut desk = desk(limits(Some(1), None, 1));
    write_all(&mut desk);
    read_garbage(&mut desk, 2);
    desk.step(Input::Committed(Ok(())));
    desk.step(Input::Drain);
    assert!(matches!(desk.effects.last(), Some(Effect::Drained { unanswered: 0 })), "{:?}", desk.effects.last());
    assert_eq!(desk.pipeline.next_wakeup(), None);
}

#[test]
fn a_revoke_does_not_wait_for_it_and_forgets_its_letters() {
    let mut desk = desk(limits(Some(1), None, 1));
    write_all(&mut desk);
    read_garbage(&mut desk, 2);
    desk.step(Input::Committed(Ok(())));
    desk.step(Input::Revoked(vec![name(0)]));
    desk.step(Input::Committed(Ok(())));
    assert!(matches!(desk.effects.last(), Some(Effect::Unassign(_))), "{:?}", desk.effects.last());
    let report = desk.pipeline.report();
    assert_eq!((report.letters, report.letters_waiting, report.unsettled.0), (0, 0, 0));
}

#[test]
fn reading_waits_once_the_budget_is_spent_by_what_waits() {
    let mut desk = Desk::new(|settings| {
        settings.breaker = limits(Some(1), None, 1);
        settings.max_unsettled_changes = 10;
    });
    for _ in 0..5 {
        read_garbage(&mut desk, 10);
    }
    let report = desk.pipeline.report();
    assert_eq!((report.unsettled.0, report.letters_waiting, report.full), (10, 10, true));
}

/// What is done next.
#[derive(Clone, Debug)]
enum Op {
    Read(Vec<u32>),
    Garbage(i64),
    /// Whether OMS refuses even keys.
    Mood(bool),
    Answer,
    Write(bool),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop::collection::vec(0..40_u32, 1..8).prop_map(Op::Read),
        2 => (1..5_i64).prop_map(Op::Garbage),
        2 => any::<bool>().prop_map(Op::Mood),
        6 => Just(Op::Answer),
        4 => (0..10_u8).prop_map(|luck| Op::Write(luck > 1)),
        5 => (1..90_u64).prop_map(Op::Wait),
    ]
}

/// At most `max` letters begin in any minute, and while it is open at most one that OMS had no part in a probe.
fn check_rate(written: &mut VecDeque<Time>, known: &mut BTreeSet<LetterId>, desk: &mut Desk, max: usize) {
    for (id, _) in desk.letters() {
        if known.insert(id) {
            written.push_back(desk.now);
        }
    }
    while written.front().is_some_and(|at| desk.now.since(*at) >= MINUTE) {
        written.pop_front();
    }
    assert!(written.len() <= max, "{} letters in a minute", written.len());
}

proptest! {
    #[test]
    fn whatever_happens_while_it_is_open_nothing_is_lost(ops in prop::collection::vec(world::op(), 1..120), max in 1..4_u32) {
        let mut world = World::with(limits(Some(max), Some(0.2), 3));
        for op in ops {
            world.apply(op);
        }
        world.start_anew();
        world.settle();
        for (p, log) in world.logs.iter().enumerate() {
            prop_assert_eq!(world.committed[p], i64::try_from(log.len()).unwrap(), "lag of {}", p);
        }
    }

    #[test]
    fn never_are_more_letters_let_out_in_a_minute_and_none_is_lost(ops in prop::collection::vec(op(), 1..80)) {
        const MAX: u32 = 6;
        let mut desk = Desk::new(|settings| settings.breaker = limits(Some(MAX), Some(0.4), 5));
        let (mut written, mut known, mut refuses) = (VecDeque::new(), BTreeSet::new(), true);
        for op in ops {
            match op {
                Op::Read(keys) => read(&mut desk, 1, &keys.iter().map(|n| format!("k{n}")).collect::<Vec<_>>()),
                Op::Garbage(count) => read_garbage(&mut desk, count),
                Op::Mood(mood) => refuses = mood,
                Op::Answer => drop(answer_all(&mut desk, |key| refuses && key.ends_with(['0', '2', '4', '6', '8']))),
                Op::Write(ok) => {
                    let letters: Vec<_> = desk.letters().iter().map(|(id, _)| *id).collect();
                    desk.effects.retain(|effect| !matches!(effect, Effect::DeadLetter(..)));
                    for id in letters {
                        if ok { known.remove(&id); } // its number may be used again
                        desk.step(Input::LetterDone(id, ok));
                    }
                }
                Op::Wait(seconds) => desk.wait(Duration::from_secs(seconds)),
            }
            check_rate(&mut written, &mut known, &mut desk, MAX as usize);
            let wakeup = desk.pipeline.next_wakeup();
            prop_assert!(wakeup.is_none_or(|at| at > desk.now), "hot loop: {:?} at {:?}", wakeup, desk.now);
        }
        // OMS takes everything again; garbage goes at the breaker's pace.
        for _ in 0..4_000 {
            answer_all(&mut desk, |_| false);
            write_all(&mut desk);
            if desk.uncommitted() == [0, 0] {
                break;
            }
            desk.wait_for_next();
        }
        prop_assert_eq!(desk.uncommitted(), [0, 0], "{:?}", desk.pipeline.report());
        prop_assert_eq!(desk.pipeline.letters.len(), 0);
        prop_assert!(desk.pipeline.entries.is_empty());
    }
}
