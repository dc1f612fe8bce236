//! `stopped_tasks: dead_letter`: what is dead-lettered, when, and that it ends.

use std::time::Duration;

use super::super::answer::Verdict;
use super::super::failure::TASK_STOPPED;
use super::super::settings::StoppedTasks;
use super::super::*;
use super::desk::*;
use super::discovery::{desk_with, list};

const NOT_RUNNING: (Verdict, u16) = (Verdict::TaskStopped, 400);

fn dead_letter(settings: &mut Settings) {
    settings.stopped_tasks = StoppedTasks::DeadLetter;
}

fn questions(desk: &Desk) -> usize {
    desk.effects.iter().filter(|effect| matches!(effect, Effect::AskTask(_))).count()
}

fn stands(desk: &mut Desk, standing: Standing) {
    desk.step(Input::TaskStands(TaskId::new("a").unwrap(), standing));
}

/// The keys of all letters; each says that the task is stopped.
#[track_caller]
fn lettered(desk: &Desk) -> Vec<String> {
    let keys = |(_, letter): (LetterId, &DeadLetter)| {
        let refusal = letter.failure.refusal.as_ref().unwrap();
        assert_eq!((letter.failure.reason, refusal.task.as_str()), (TASK_STOPPED, "a"));
        assert!(refusal.error_message.as_ref().unwrap().ends_with("says STOPPED"), "{refusal:?}");
        letter.failure.keys.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    desk.letters().into_iter().flat_map(keys).collect()
}

#[test]
fn by_default_the_changes_of_a_stopped_task_wait_and_nobody_is_asked() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.answer(NOT_RUNNING);
    assert_eq!((questions(&desk), desk.letters().len()), (0, 0));
    desk.wait(Duration::from_mins(1));
    assert_eq!(desk.answer(ACCEPTED), ["1"]);
}

#[test]
fn once_oms_has_confirmed_the_stop_what_waits_and_what_comes_is_dead_lettered() {
    let mut desk = Desk::new(dead_letter);
    desk.read(0, "a", &["0"]);
    desk.answer(ACCEPTED);
    desk.read(0, "a", &["1"]);
    desk.answer(NOT_RUNNING);
    desk.read(0, "a", &["2"]);
    assert_eq!((questions(&desk), desk.letters().len()), (1, 0), "not before it is confirmed");
    stands(&mut desk, Standing::Stopped);
    assert_eq!(lettered(&desk), ["1", "2"]);
    desk.read(1, "a", &["3"]);
    desk.read(1, "b", &["4"]);
    assert_eq!(lettered(&desk), ["1", "2", "3"]);
    assert_eq!(desk.answer(ACCEPTED), ["4"], "others go on");
    let told = |effect: &&Effect| matches!(effect, Effect::Notice(Notice::Condemned(_, TASK_STOPPED, _)));
    assert_eq!(desk.effects.iter().filter(told).count(), 1);
}

#[test]
fn a_stop_that_oms_does_not_confirm_lets_the_changes_wait() {
    for standing in [
        Standing::Active,
        Standing::Missing,
        Standing::Unknown(super::world::answer(Verdict::Hold(HoldReason::Endpoint), 404)),
    ] {
        let mut desk = Desk::new(dead_letter);
        desk.read(0, "a", &["0"]);
        desk.answer(ACCEPTED);
        desk.read(0, "a", &["1"]);
        desk.answer(NOT_RUNNING);
        stands(&mut desk, standing);
        assert!(desk.letters().is_empty());
        desk.wait(Duration::from_mins(1));
        assert_eq!(desk.answer(ACCEPTED), ["1"]);
    }
}

#[test]
fn a_probe_finds_out_that_the_task_runs_again() {
    let mut desk = Desk::new(dead_letter);
    desk.read(0, "a", &["0"]);
    desk.answer(ACCEPTED);
    desk.read(0, "a", &["1"]);
    desk.answer(NOT_RUNNING);
    stands(&mut desk, Standing::Stopped);
    desk.wait(Duration::from_mins(1));
    desk.read(0, "a", &["2"]);
    desk.read(0, "a", &["3"]);
    assert_eq!(desk.answer(NOT_RUNNING), ["2"], "the first change after the interval is the probe");
    assert_eq!(lettered(&desk), ["1", "2", "3"], "what came while it was out as well");
    desk.wait(Duration::from_mins(2));
    desk.read(0, "a", &["4"]);
    assert_eq!(desk.answer(ACCEPTED), ["4"]);
    desk.read(0, "a", &["5"]);
    assert_eq!(desk.answer(ACCEPTED), ["5"]);
    assert_eq!(lettered(&desk).len(), 3);
}

#[test]
fn a_task_that_is_listed_as_stopped_needs_no_other_confirmation_and_no_request() {
    let mut desk = desk_with(dead_letter);
    list(&mut desk, &[("a", "landing", false), ("b", "other", true)]);
    desk.read(0, "a", &["1", "2"]);
    assert_eq!((lettered(&desk), desk.out.len()), (vec!["1".to_owned(), "2".to_owned()], 0));
    desk.pipeline.discovery.as_mut().unwrap().ask_at_once();
    desk.step(Input::Tick);
    list(&mut desk, &[("a", "landing", true), ("b", "other", true)]);
    desk.read(0, "a", &["3"]);
    assert_eq!(desk.answer(ACCEPTED), ["3"]);
}

#[test]
fn during_a_hold_nothing_is_dead_lettered_and_after_it_what_waited_is() {
    let mut desk = desk_with(dead_letter);
    list(&mut desk, &[("a", "landing", false), ("b", "other", true)]);
    desk.read(0, "b", &["x"]);
    desk.answer(UNAUTHORIZED);
    desk.read(0, "a", &["1"]);
    assert!(desk.letters().is_empty());
    desk.wait(Duration::from_mins(1));
    assert_eq!(desk.answer(ACCEPTED), ["x"]);
    desk.wait(Duration::from_mins(1));
    while !desk.out.is_empty() {
        assert_eq!(desk.answer(NOT_RUNNING), ["1"], "its own probe was due");
    }
    assert_eq!(lettered(&desk), ["1"]);
}

#[test]
fn a_drain_leaves_what_waits_for_a_stopped_task() {
    let mut desk = desk_with(dead_letter);
    list(&mut desk, &[("a", "landing", true)]);
    desk.read(0, "a", &["1"]);
    desk.read(0, "a", &["2"]);
    desk.step(Input::Drain);
    while !desk.out.is_empty() {
        desk.answer(NOT_RUNNING);
        stands(&mut desk, Standing::Stopped);
    }
    desk.wait(Duration::from_secs(20));
    assert!(desk.letters().is_empty());
    let ended = |effect: &Effect| matches!(effect, Effect::Drained { unanswered: 0 });
    assert!(desk.effects.iter().any(ended));
}
