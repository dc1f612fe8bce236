//! What throttling, outages and slow answers of one task do to it and to the others.

use std::time::Duration;

use super::super::answer::{Pressure, Verdict};
use super::super::*;
use super::desk::*;
use super::world::answer;

const THROTTLED: (Verdict, u16) = (Verdict::Busy(Pressure::Throttled), 429);

/// Answers the oldest request that is out, with a `Retry-After` of so many seconds.
fn answer_retry_after(desk: &mut Desk, (verdict, status): (Verdict, u16), seconds: u64) {
    let (id, _, _) = desk.out.remove(0);
    let retry_after = Some(Duration::from_secs(seconds));
    desk.step(Input::Answered(id, Answer { retry_after, ..answer(verdict, status) }));
}

/// A desk with proven credentials on which tasks a and b have a key out each and more to send.
fn two_tasks(change: impl FnOnce(&mut Settings)) -> Desk {
    let mut desk = Desk::new(change);
    desk.read(0, "a", &["proof"]);
    desk.answer(ACCEPTED);
    desk.read(0, "a", &["a1"]);
    desk.read(1, "b", &["b1"]);
    desk
}

/// How long until a request of the task goes out.
fn waited_for(desk: &mut Desk, task: &str) -> Duration {
    let began = desk.now;
    while !desk.out.iter().any(|(_, to, _)| to == task) {
        assert!(desk.now.since(began) < Duration::from_hours(1), "{task} never sends");
        desk.wait_for_next();
    }
    desk.now.since(began)
}

#[test]
fn a_429_with_retry_after_pauses_the_whole_worker() {
    let mut desk = two_tasks(|_| {});
    answer_retry_after(&mut desk, THROTTLED, 20);
    desk.answer(ACCEPTED);
    desk.read(1, "b", &["b2"]);
    assert!(waited_for(&mut desk, "b") >= Duration::from_secs(20));
}

#[test]
fn a_503_with_retry_after_pauses_its_task_alone() {
    let mut desk = two_tasks(|_| {});
    answer_retry_after(&mut desk, UNAVAILABLE, 20);
    desk.answer(ACCEPTED);
    desk.read(1, "b", &["b2"]);
    assert_eq!(waited_for(&mut desk, "b"), Duration::ZERO);
    desk.answer(ACCEPTED);
    assert!(waited_for(&mut desk, "a") >= Duration::from_secs(20));
}

#[test]
fn no_pause_is_longer_than_the_longest_that_is_honoured() {
    let longest = Duration::from_secs(30);
    let mut desk = two_tasks(|settings| settings.max_retry_after = longest);
    answer_retry_after(&mut desk, THROTTLED, 86_400);
    let waited = waited_for(&mut desk, "a");
    assert!(waited >= longest && waited < longest + Duration::from_secs(2), "{waited:?}");
}

#[test]
fn a_task_that_never_answers_leaves_room_for_others_even_where_it_may_have_all_of_it() {
    let mut desk = Desk::new(|settings| (settings.max_in_flight, settings.max_in_flight_per_task) = (8, 8));
    desk.read(0, "slow", &["proof"]);
    desk.answer(ACCEPTED);
    for n in 0..20 {
        desk.read(0, "slow", &[&format!("s{n}")]);
    }
    assert_eq!(desk.out.len(), 6, "a quarter is left to others");
    for n in 0..20 {
        desk.read(1, "quick", &[&format!("q{n}")]);
        let (id, task, _) = desk.out.pop().unwrap();
        assert_eq!(task, "quick", "it is out at once");
        desk.step(Input::Answered(id, answer(ACCEPTED.0, ACCEPTED.1)));
    }
    assert_eq!(desk.out.len(), 6, "the slow one is still out");
}

#[test]
fn tasks_take_turns_while_the_rate_is_limited() {
    let mut desk = Desk::new(|settings| settings.max_requests_per_second = Some(10.0));
    for (partition, task) in [(0, "loud"), (1, "quiet")] {
        let keys: Vec<_> = (0..200).map(|n| format!("{task}{n}")).collect();
        desk.read(partition, task, &keys.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let mut sent = Vec::new();
    while sent.len() < 30 {
        while !desk.out.is_empty() {
            sent.push(desk.out[0].1.clone());
            desk.answer(ACCEPTED);
        }
        desk.wait_for_next();
    }
    let alternate = sent.windows(2).skip(1).filter(|two| two[0] != two[1]).count();
    assert!(alternate >= 26, "one after the other: {sent:?}");
}

#[test]
fn faults_and_timeouts_of_a_task_lower_its_concurrency_and_not_the_rate() {
    let mut desk = two_tasks(|_| {});
    desk.answer(FAULT);
    let report = desk.pipeline.report();
    let limit = |id: &str| report.tasks.iter().find(|task| task.id.as_str() == id).unwrap().concurrency_limit;
    assert!(limit("a") < 16 && limit("b") == 16, "{report:?}");
    assert_eq!(report.pace.rate, None);
}

#[test]
fn the_first_throttling_of_a_quiet_worker_does_not_hold_it_back_once_there_is_more_to_send() {
    let mut desk = Desk::new(|_| {});
    for n in 0..10 {
        desk.read(0, "a", &[&format!("quiet{n}")]);
        desk.answer(if n < 9 { ACCEPTED } else { THROTTLED });
        desk.wait(Duration::from_secs(1));
    }
    let keys: Vec<_> = (0..5_000).map(|n| format!("busy{n}")).collect();
    desk.read(0, "a", &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let began = desk.now;
    let mut left = keys.len();
    while left > 0 {
        if desk.out.is_empty() {
            desk.wait_for_next();
        } else {
            left = left.saturating_sub(desk.answer(ACCEPTED).len());
        }
    }
    let took = desk.now.since(began);
    assert!(took < Duration::from_secs(12), "500 requests that OMS takes at once took {took:?}");
}
