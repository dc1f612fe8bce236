//! What the design says of single situations, one test each.

use std::time::Duration;

use super::super::answer::Verdict;
use super::super::intake::{Reject, RejectStage};
use super::super::*;
use super::desk::*;

#[test]
fn a_forbidden_task_holds_alone() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "denied", &["1"]);
    desk.answer(FORBIDDEN);
    desk.read(0, "denied", &["2"]);
    desk.read(1, "other", &["3"]);
    assert_eq!(desk.out.len(), 1);
    assert_eq!(desk.answer(ACCEPTED), ["3"]);
    desk.wait(Duration::from_mins(1));
    assert_eq!(desk.answer(ACCEPTED), ["1", "2"], "one probe after a minute at most");
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn a_key_read_again_while_it_is_out_is_sent_again_and_one_that_waits_is_joined() {
    let mut desk = Desk::new(|settings| settings.max_in_flight = 1);
    desk.read(0, "a", &["k"]);
    desk.read(0, "a", &["k", "k"]);
    desk.read(1, "a", &["k"]);
    assert_eq!(desk.answer(ACCEPTED), ["k"]);
    assert_eq!(desk.answer(ACCEPTED), ["k"]);
    assert!(desk.out.is_empty(), "three of the four records share one entry");
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn losing_one_partition_leaves_the_records_of_another_on_a_shared_key() {
    let mut desk = Desk::new(|settings| settings.max_in_flight = 1);
    desk.read(0, "a", &["busy"]);
    desk.read(0, "a", &["shared", "alone"]);
    desk.read(1, "a", &["shared"]);
    desk.step(Input::Lost(vec![name(0)]));
    desk.answer(ACCEPTED);
    assert_eq!(desk.answer(ACCEPTED), ["shared"], "the key that only the lost partition asked for is dropped");
    assert_eq!(desk.uncommitted(), [0]);
    assert_eq!(desk.pipeline.report().unsettled, (0, 0));
}

#[test]
fn a_revoked_partition_is_given_back_once_what_is_out_is_settled_and_committed() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["k"]);
    desk.step(Input::Revoked(vec![name(0)]));
    assert!(!desk.effects.iter().any(|effect| matches!(effect, Effect::Unassign(_))));
    desk.answer(ACCEPTED);
    assert!(desk.effects.iter().any(|effect| matches!(effect, Effect::Commit(offsets) if offsets == &[(name(0), 1)])));
    assert!(!desk.effects.iter().any(|effect| matches!(effect, Effect::Unassign(_))), "the commit has no result yet");
    desk.step(Input::Committed(Ok(())));
    assert!(matches!(desk.effects.last(), Some(Effect::Unassign(names)) if names == &[name(0)]));
}

#[test]
fn a_revoked_partition_is_given_back_within_its_bound_whatever_is_unanswered() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["k"]);
    desk.step(Input::Revoked(vec![name(0)]));
    desk.wait(Duration::from_secs(5));
    assert!(desk.effects.iter().any(|effect| matches!(effect, Effect::Unassign(_))));
    desk.answer(ACCEPTED); // too late to settle anything
    assert_eq!(desk.uncommitted(), [0]);
}

fn stand(desk: &mut Desk, task: &str, standing: Standing) {
    let asked = |effect: &Effect| matches!(effect, Effect::AskTask(asked) if asked.as_str() == task);
    assert!(desk.effects.iter().any(asked), "OMS is asked before anything is dead-lettered");
    assert!(desk.letters().is_empty());
    desk.step(Input::TaskStands(TaskId::new(task).unwrap(), standing));
}

#[test]
fn a_project_without_tasks_holds_the_worker_instead_of_flooding_the_dead_letter_topic() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1", "2", "3"]);
    desk.answer((Verdict::UnknownTask, 404));
    stand(&mut desk, "a", Standing::EmptyProject);
    assert!(desk.letters().is_empty());
    assert_eq!(desk.pipeline.report().hold.map(|hold| hold.reason), Some(HoldReason::Endpoint));
    desk.wait(Duration::from_mins(1));
    assert_eq!(desk.answer(ACCEPTED), ["1", "2", "3"]);
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn the_keys_of_a_task_that_turns_out_to_be_stopped_wait() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.answer(REFUSED);
    stand(&mut desk, "a", Standing::Stopped);
    assert!(desk.letters().is_empty());
    desk.wait(Duration::from_mins(1));
    assert_eq!(desk.answer(ACCEPTED), ["1"]);
}

#[test]
fn a_missing_task_among_others_is_dead_lettered_and_asked_for_once_a_minute() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.answer((Verdict::UnknownTask, 404));
    stand(&mut desk, "a", Standing::Missing);
    desk.read(0, "a", &["2"]);
    desk.answer((Verdict::UnknownTask, 404));
    assert_eq!(desk.letters().len(), 2);
    let asked = desk.effects.iter().filter(|effect| matches!(effect, Effect::AskTask(_))).count();
    assert_eq!(asked, 1);
}

#[test]
fn a_drain_that_waits_for_a_commit_sleeps_and_sends_nothing_more() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.read(0, "b", &["2"]);
    desk.answer(ACCEPTED);
    desk.answer(UNAVAILABLE);
    desk.step(Input::Drain); // the commit after the first answer is still out
    let wakeup = desk.pipeline.next_wakeup();
    assert!(wakeup.is_none_or(|at| at > desk.now), "a hot loop: {wakeup:?} at {:?}", desk.now);
    desk.wait(Duration::from_secs(2));
    assert!(desk.out.is_empty(), "nobody would wait for its answer");
}

#[test]
fn a_partition_paused_for_a_full_task_goes_on_when_the_keys_that_filled_it_leave() {
    let mut desk = Desk::new(|settings| {
        settings.max_pending_keys_per_task = 8;
        settings.backoff.initial = Duration::from_mins(10);
        settings.backoff.max = Duration::from_mins(10);
    });
    let keys: Vec<_> = (0..9).map(|n| n.to_string()).collect();
    desk.read(0, "a", &keys.iter().map(String::as_str).collect::<Vec<_>>());
    desk.answer(FAULT);
    desk.read(1, "a", &["other"]);
    desk.answer(ACCEPTED);
    desk.step(Input::Lost(vec![name(0)]));
    assert!(desk.pipeline.entries.is_empty());
    assert!(!desk.pipeline.report().partitions[0].paused, "nothing waits, yet the partition is not read");
}

#[test]
fn keys_that_failed_alike_are_listed_in_one_dead_letter_and_settle_when_it_is_written() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["x"]);
    desk.answer(REFUSED);
    stand(&mut desk, "a", Standing::Active);
    let [(id, letter)] = desk.letters()[..] else { panic!("one letter: {:?}", desk.letters()) };
    assert_eq!((letter.failure.reason, &letter.failure.keys[..]), ("refused", &["x".into()][..]));
    assert_eq!(desk.uncommitted(), [1, 0]);
    desk.step(Input::LetterDone(id, false));
    assert_eq!(desk.uncommitted(), [1, 0], "a letter that was not written settles nothing");
    desk.wait(Duration::from_secs(1));
    let (id, _) = *desk.letters().last().unwrap();
    desk.step(Input::LetterDone(id, true));
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn a_key_that_always_meets_a_fault_ends_alone_and_is_never_dead_lettered() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["warm"]);
    desk.answer(ACCEPTED);
    desk.read(0, "a", &["bad", "mate"]);
    let mut alone = false;
    for n in 0..4_000 {
        if n % 20 == 0 && !alone {
            desk.read(1, "a", &[&format!("other{n}")]);
        }
        while let Some((_, _, keys)) = desk.out.first() {
            let bad = keys.iter().any(|key| key == "bad");
            alone |=
                bad && keys.len() == 1 && desk.pipeline.report().tasks[0].lone_keys.iter().any(|key| &**key == "bad");
            desk.answer(if bad { FAULT } else { ACCEPTED });
        }
        desk.wait(Duration::from_millis(500));
    }
    assert!(desk.letters().is_empty());
    assert!(alone || !desk.pipeline.report().tasks[0].lone_keys.is_empty(), "{:?}", desk.pipeline.report().tasks);
}

#[test]
fn an_outage_ends_in_few_requests_and_everything_goes_through_after_it() {
    let mut desk = Desk::new(|_| {});
    for n in 0..200 {
        desk.read(0, "a", &[&format!("k{n}")]);
    }
    let mut requests = 0;
    while desk.now < Time::since_start(Duration::from_mins(10)) {
        while !desk.out.is_empty() {
            requests += 1;
            desk.answer(UNAVAILABLE);
        }
        desk.wait_for_next();
    }
    assert!((10..200).contains(&requests), "{requests} requests in ten minutes of outage");
    while desk.uncommitted() != [0, 0] {
        while !desk.out.is_empty() {
            desk.answer(ACCEPTED);
        }
        desk.wait(Duration::from_secs(1));
    }
}

#[test]
fn tasks_take_turns() {
    let mut desk = Desk::new(|settings| settings.max_in_flight = 1);
    for n in 0..30 {
        desk.read(0, "loud", &[&format!("l{n}")]);
    }
    desk.read(1, "quiet", &["q"]);
    desk.answer(ACCEPTED);
    assert_eq!(desk.out[0].1, "quiet", "the quiet task is next");
}

#[test]
fn a_full_task_pauses_the_partitions_that_bring_more_until_half_is_gone() {
    let mut desk = Desk::new(|settings| (settings.max_pending_keys_per_task, settings.max_in_flight) = (20, 1));
    for n in 0..25 {
        desk.read(0, "a", &[&format!("k{n}")]);
    }
    let pauses = |desk: &Desk| desk.effects.iter().filter(|e| matches!(e, Effect::Pause(p) if *p == name(0))).count();
    let resumes = |desk: &Desk| desk.effects.iter().filter(|e| matches!(e, Effect::Resume(p) if *p == name(0))).count();
    assert_eq!((pauses(&desk), resumes(&desk)), (1, 1), "resumed when it was assigned");
    desk.answer(ACCEPTED);
    assert_eq!((pauses(&desk), resumes(&desk)), (1, 1));
    desk.answer(ACCEPTED);
    assert_eq!((pauses(&desk), resumes(&desk)), (1, 2));
}

#[test]
fn a_pause_that_meets_the_next_assignment_is_taken_back() {
    let mut desk = Desk::new(|settings| (settings.max_pending_keys_per_task, settings.max_in_flight) = (20, 1));
    for n in 0..25 {
        desk.read(0, "a", &[&format!("k{n}")]);
    }
    assert!(desk.effects.iter().any(|effect| matches!(effect, Effect::Pause(p) if *p == name(0))));
    desk.effects.clear();
    desk.step(Input::Lost(vec![name(0)]));
    desk.step(Input::Assigned(vec![Assigned { name: name(0), epoch: 9, committed: Some(0) }]));
    assert!(desk.effects.iter().any(|effect| matches!(effect, Effect::Resume(p) if *p == name(0))));
}

#[test]
fn a_drain_leaves_what_is_held_and_commits_the_rest() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "denied", &["1"]);
    desk.answer(FORBIDDEN);
    desk.read(1, "a", &["2"]);
    desk.step(Input::Drain);
    desk.answer(ACCEPTED);
    assert!(matches!(desk.effects.last(), Some(Effect::Commit(offsets)) if offsets == &[(name(1), 1)]));
    desk.step(Input::Committed(Ok(())));
    assert!(matches!(desk.effects.last(), Some(Effect::Drained { unanswered: 0 })));
}

#[test]
fn a_record_waits_for_every_part_of_a_letter_that_was_too_large() {
    let mut desk = Desk::new(|_| {});
    let reject = |key: &str| Reject { stage: RejectStage::Route, reason: "no_route", key: Some(key.into()) };
    let record = super::super::record::Record::at("t", 0, 0);
    let incoming = Incoming::new(&record, std::iter::empty().collect(), ["x", "y", "z"].map(reject).into());
    desk.step(Input::Records(vec![(1, incoming)]));
    let mut out: Vec<LetterId> = Vec::new();
    for letters in [1, 1, 1, 1, 3] {
        out = desk.letters().iter().map(|(id, _)| *id).collect();
        assert_eq!(out.len(), letters);
        if letters == 1 {
            desk.effects.clear();
            desk.step(Input::LetterTooLarge(out[0]));
        }
    }
    for id in out {
        assert_eq!(desk.uncommitted(), [1, 0]);
        desk.step(Input::LetterDone(id, true));
    }
    assert_eq!(desk.uncommitted(), [0, 0]);
    assert_eq!(desk.pipeline.letters.under_way(), 0);
}

#[test]
fn reading_waits_while_every_request_is_out_and_two_full_events_are_ready_for_each() {
    let keys: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let desk_with = |budget| {
        let mut desk = Desk::new(|settings| (settings.max_in_flight, settings.max_unsettled_changes) = (4, budget));
        desk.read(0, "a", &["first"]);
        desk.answer(ACCEPTED); // its credentials are known to be good
        desk.read(0, "a", &keys); // three requests, which is all that one task gets
        desk.read(0, "b", &keys[..10]);
        desk.read(0, "b", &keys[50..]);
        desk.read(1, "c", &keys);
        assert_eq!(desk.out.len(), 4);
        desk
    };
    let mut desk = desk_with(400);
    let (a, b, c) = (100, 60, 40);
    assert_eq!(
        desk.pipeline.report().unsettled.0,
        a + b + c,
        "what waits for the first task's own answers counts little"
    );
    assert!(desk.pipeline.is_full());
    let mut accepted = desk.answer(ACCEPTED).len();
    assert_eq!(desk.pipeline.report().unsettled.0, 190, "its place is taken by what was ready");
    while !desk.out.is_empty() {
        accepted += desk.answer(ACCEPTED).len();
    }
    assert_eq!((accepted, desk.pipeline.is_full()), (260, false));
    assert!(!desk_with(4 * 260).pipeline.is_full(), "a quarter of the budget is not used");
    let mut desk = desk_with(400);
    while !desk.out.is_empty() {
        desk.answer(UNAUTHORIZED);
    }
    assert_eq!(desk.pipeline.report().unsettled.0, 260, "no answer is on its way that it could wait for");
}

#[test]
fn reading_goes_on_where_what_was_ready_is_lost_while_nothing_is_out() {
    let keys: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let mut desk = Desk::new(|settings| (settings.max_in_flight, settings.max_unsettled_changes) = (1, 40));
    desk.read(0, "a", &["first"]);
    desk.answer(UNAUTHORIZED);
    desk.read(0, "a", &keys);
    desk.read(1, "b", &["k"]);
    desk.step(Input::Lost(vec![name(0)]));
    desk.wait(Duration::from_mins(1));
    assert_eq!(desk.out.len(), 1, "the hold is probed");
    assert_eq!(desk.answer(ACCEPTED), ["k"]);
}
