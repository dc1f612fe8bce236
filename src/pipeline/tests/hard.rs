//! The hard cases by name: what is under way when its partition goes, comes back or is lost, when a commit fails, and when
//! the time of a drain is up.

use std::time::Duration;

use super::super::answer::Verdict;
use super::super::*;
use super::desk::*;
use super::world::answer;

const SETTLE: Duration = Duration::from_secs(4);
const REVOKE: Duration = Duration::from_secs(5);
const AFTER_SETTLE: Duration = Duration::from_secs(1);

/// Both partitions have a key in one event that is out.
fn one_event_of_two_partitions(more: &[&str]) -> Desk {
    let mut desk = Desk::new(|settings| (settings.max_in_flight, settings.linger) = (1, Duration::from_secs(1)));
    desk.read(0, "a", &["zero"]);
    desk.read(1, "a", &["one"]);
    desk.read(0, "a", more);
    desk.wait(Duration::from_secs(1));
    assert_eq!(desk.out.len(), 1);
    desk
}

fn stand(desk: &mut Desk, standing: Standing) {
    desk.step(Input::TaskStands(TaskId::new("a").unwrap(), standing));
}

#[test]
fn an_answer_that_comes_after_its_partition_was_revoked_and_assigned_again_to_the_same_worker_settles_nothing() {
    for late in [ACCEPTED, REFUSED, (Verdict::UnknownTask, 404), UNAVAILABLE, FORBIDDEN] {
        let mut desk = Desk::new(|_| {});
        desk.read(0, "a", &["proof"]);
        desk.answer(ACCEPTED);
        desk.step(Input::Committed(Ok(())));
        desk.read(0, "a", &["k"]);
        desk.step(Input::Revoked(vec![name(0)]));
        desk.wait(REVOKE);
        assert!(desk.has_given_back());
        desk.assign_again(0, 1);
        desk.read(0, "a", &["k"]);
        assert_eq!(desk.out.len(), 2, "the record that was read again is asked for again");

        desk.answer(late);
        stand(&mut desk, Standing::Active);
        assert_eq!(desk.uncommitted(), [1, 0], "{late:?} is the answer to another assignment's request");
        assert!(desk.letters().is_empty(), "{late:?}");
        desk.wait(Duration::from_secs(2));
        assert_ne!(desk.last_commit(0), Some(2), "{late:?}");
        assert_eq!(desk.answer(ACCEPTED), ["k"]);
        assert_eq!(desk.uncommitted(), [0, 0]);
        desk.wait(Duration::from_secs(2));
        assert_eq!(desk.last_commit(0), Some(2));
        assert_eq!(desk.pipeline.report().unsettled, (0, 0));
    }
}

#[test]
fn a_revoke_in_the_middle_of_a_split_event_waits_for_its_halves_and_commits_what_they_settle() {
    let mut desk = one_event_of_two_partitions(&["two", "three"]);
    desk.answer(REFUSED);
    assert_eq!(desk.out[0].2, ["zero", "one"], "the first half is out, the second waits");
    desk.step(Input::Revoked(vec![name(0)]));
    desk.answer(REFUSED);
    while let Some((_, _, keys)) = desk.out.first() {
        assert!(!desk.has_given_back(), "keys of it are out or wait");
        let refused = keys.iter().any(|key| key == "zero");
        desk.answer(if refused { REFUSED } else { ACCEPTED });
        if refused && desk.effects.iter().any(|effect| matches!(effect, Effect::AskTask(_))) {
            stand(&mut desk, Standing::Active);
        }
    }
    let [(id, letter)] = desk.letters()[..] else { panic!("one letter: {:?}", desk.letters()) };
    assert_eq!((letter.record.partition, &letter.failure.keys[..]), (0, &["zero".into()][..]));
    assert!(!desk.has_given_back(), "its dead letter is not acknowledged");
    desk.step(Input::LetterDone(id, true));
    if desk.last_commit(0) != Some(3) {
        desk.step(Input::Committed(Ok(()))); // an earlier commit was out
    }
    assert_eq!(desk.last_commit(0), Some(3));
    desk.step(Input::Committed(Ok(())));
    assert!(desk.has_given_back());
    assert_eq!(desk.uncommitted(), [0]);
}

#[test]
fn a_revoke_in_the_middle_of_a_split_event_whose_time_is_up_leaves_the_other_partitions_keys() {
    let mut desk = one_event_of_two_partitions(&["two", "three"]);
    desk.answer(REFUSED);
    desk.step(Input::Revoked(vec![name(0)]));
    desk.wait(SETTLE);
    desk.wait(AFTER_SETTLE);
    assert!(desk.has_given_back());
    assert_eq!(desk.last_commit(0), None, "nothing of it was settled");
    desk.answer(REFUSED); // of both partitions: only the key of the one that is left is asked for again
    assert_eq!(desk.answer(ACCEPTED), ["one"]);
    assert!(desk.out.is_empty() && desk.letters().is_empty(), "{:?}", desk.out);
    assert_eq!(desk.uncommitted(), [0]);
    assert!(desk.pipeline.entries.is_empty());
}

/// A key that records of both partitions wait for, as the only one that waits; another one is out.
fn coalesced() -> Desk {
    let mut desk = Desk::new(|settings| settings.max_in_flight = 1);
    desk.read(0, "a", &["busy"]);
    desk.answer(ACCEPTED);
    desk.read(0, "a", &["busy"]);
    desk.read(0, "a", &["shared"]);
    desk.read(1, "a", &["shared"]);
    desk
}

#[test]
fn a_coalesced_key_whose_records_sit_in_two_partitions_of_which_one_is_lost_settles_for_the_other() {
    // Lost while the key waits, while it is out, and while it backs off after an outage.
    for lost_at in 0..3 {
        let mut desk = coalesced();
        if lost_at == 0 {
            desk.step(Input::Lost(vec![name(0)]));
        }
        desk.answer(ACCEPTED);
        assert_eq!(desk.out[0].2, ["shared"]);
        if lost_at == 1 {
            desk.step(Input::Lost(vec![name(0)]));
        }
        if lost_at == 2 {
            desk.answer(UNAVAILABLE);
            desk.step(Input::Lost(vec![name(0)]));
            desk.wait_for_next();
        }
        while desk.out.is_empty() {
            desk.wait_for_next();
        }
        assert_eq!(desk.answer(ACCEPTED), ["shared"]);
        assert_eq!(desk.uncommitted(), [0], "{lost_at}");
        desk.wait(Duration::from_secs(2));
        desk.step(Input::Committed(Ok(())));
        desk.wait(Duration::from_secs(2));
        assert_eq!(desk.last_commit(1), Some(1));
        assert_eq!(desk.pipeline.report().unsettled, (0, 0));
    }
}

#[test]
fn a_refused_coalesced_key_gets_no_dead_letter_for_the_record_of_a_lost_partition() {
    let mut desk = coalesced();
    desk.answer(ACCEPTED);
    desk.step(Input::Lost(vec![name(0)]));
    desk.answer(REFUSED);
    stand(&mut desk, Standing::Active);
    let places: Vec<_> = desk.letters().iter().map(|(_, letter)| letter.record.partition).collect();
    assert_eq!(places, [1], "its next owner dead-letters the other one");
}

#[test]
fn a_commit_that_fails_or_is_fenced_is_tried_again_with_what_is_settled_by_then() {
    for error in [CommitError::Failed, CommitError::Fenced] {
        let mut desk = Desk::new(|_| {});
        desk.read(0, "a", &["1"]);
        desk.answer(ACCEPTED);
        assert_eq!(desk.last_commit(0), Some(1));
        desk.read(0, "a", &["2"]);
        desk.answer(ACCEPTED);
        desk.step(Input::Committed(Err(error)));
        for _ in 0..20 {
            desk.wait(Duration::from_secs(1));
            assert_eq!(desk.last_commit(0), Some(2), "{error:?}");
            desk.step(Input::Committed(Err(error)));
        }
        let tried = desk.effects.iter().filter(|effect| matches!(effect, Effect::Commit(_))).count();
        assert!((21..=22).contains(&tried), "once an interval: {tried}");
        desk.wait(Duration::from_secs(1));
        desk.step(Input::Committed(Ok(())));
        assert_eq!(desk.pipeline.next_wakeup(), None, "nothing is left to do");
    }
}

#[test]
fn a_failed_commit_of_an_assignment_that_is_over_touches_the_next_one_of_its_partition_not() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.answer(ACCEPTED);
    desk.step(Input::Lost(vec![name(0)]));
    desk.assign_again(0, 0);
    desk.step(Input::Committed(Ok(())));
    let report = desk.pipeline.report();
    let of = report.partitions.iter().find(|partition| partition.name == name(0)).unwrap();
    assert_eq!((of.commit_point, of.committed), (None, Some(0)), "the result is that of the assignment before");
}

#[test]
fn a_dead_letter_that_is_acknowledged_after_the_revoke_settles_nothing_of_the_next_assignment() {
    for written in [true, false] {
        let mut desk = Desk::new(|_| {});
        desk.read(0, "a", &["x"]);
        desk.answer(REFUSED);
        stand(&mut desk, Standing::Active);
        let (late, _) = desk.letters()[0];
        desk.step(Input::Revoked(vec![name(0)]));
        desk.wait(SETTLE);
        desk.wait(AFTER_SETTLE);
        assert!(desk.has_given_back(), "whatever is not acknowledged");
        desk.assign_again(0, 0);
        desk.read(0, "a", &["x"]);
        desk.answer(REFUSED);
        stand(&mut desk, Standing::Active);
        let (again, _) = *desk.letters().last().unwrap();
        assert_ne!(late, again, "its number is taken as long as it is out");

        desk.step(Input::LetterDone(late, written));
        assert_eq!(desk.uncommitted(), [1, 0]);
        assert_eq!(desk.letters().len(), 2, "one that nobody waits for is not written again");
        desk.step(Input::LetterDone(again, true));
        assert_eq!(desk.uncommitted(), [0, 0]);
    }
}

#[test]
fn a_drain_deadline_that_passes_with_a_hold_in_force_commits_what_is_settled_and_counts_what_is_unanswered() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["settled"]);
    desk.answer(ACCEPTED);
    desk.step(Input::Committed(Ok(())));
    desk.read(1, "b", &["slow"]);
    desk.read(0, "a", &["held"]);
    let (id, _, keys) = desk.out.pop().unwrap();
    assert_eq!(keys, ["held"]);
    desk.step(Input::Answered(id, answer(Verdict::Hold(HoldReason::Endpoint), 405)));
    desk.step(Input::Drain);
    let drained = |desk: &Desk| {
        let mut all = desk.effects.iter();
        all.find_map(|e| if let Effect::Drained { unanswered } = e { Some(*unanswered) } else { None })
    };
    desk.wait(Duration::from_secs(19));
    assert_eq!(drained(&desk), None, "the request that is out may still be answered");
    desk.wait(Duration::from_secs(1));
    desk.wait(Duration::from_secs(3));
    assert_eq!(drained(&desk), Some(1), "what is held was never sent again");
    assert_eq!((desk.last_commit(0), desk.last_commit(1)), (Some(1), None));
    assert_eq!(desk.out.len(), 1, "no probe goes out in a drain");
    assert_eq!(desk.uncommitted(), [1, 1], "the next worker reads them again");
}
