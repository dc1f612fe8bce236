//! What the core does with credentials: how often a failed signature is risked, and what a change of them brings about.
//! Counts failed signatures as OMS would.

use std::time::Duration;

use proptest::prelude::*;

use super::super::answer::Verdict;
use super::super::hold::MAX_PROBE_INTERVAL;
use super::super::trust::{FAILED_SIGNATURE_WINDOW, MAX_FAILED_SIGNATURES};
use super::super::*;
use super::desk::*;

const HOUR: Duration = Duration::from_hours(1);

fn offer(desk: &mut Desk) {
    desk.step(Input::Credentials(CredentialNews::Offered));
}

/// That request is answered next.
fn put_first(desk: &mut Desk, request: SubmissionId) {
    let at = desk.out.iter().position(|(id, ..)| *id == request).unwrap();
    let first = desk.out.remove(at);
    desk.out.insert(0, first);
}

fn count(desk: &Desk, is_it: impl Fn(&Effect) -> bool) -> usize {
    desk.effects.iter().filter(|effect| is_it(effect)).count()
}

fn adoptions(desk: &Desk) -> usize {
    count(desk, |effect| matches!(effect, Effect::AdoptCredentials))
}

fn hold(desk: &mut Desk) -> Option<(HoldReason, Box<str>)> {
    desk.pipeline.report().hold.map(|hold| (hold.reason, hold.said))
}

/// A proven worker with many requests out.
fn with_64_out(probe_interval: Duration) -> Desk {
    let mut desk = Desk::new(|settings| {
        settings.hold_probe_interval = probe_interval;
        settings.max_in_flight = 86; // a task gets three quarters of it
        settings.max_in_flight_per_task = 64;
    });
    desk.read(0, "a", &["first"]);
    desk.answer(ACCEPTED);
    for n in 0..200 {
        desk.read(0, "a", &[&format!("k{n}")]);
    }
    assert_eq!(desk.out.len(), 64);
    desk
}

#[track_caller]
fn check_window(failed: &[Time]) {
    for too_many in failed.windows(MAX_FAILED_SIGNATURES + 1) {
        let span = too_many[MAX_FAILED_SIGNATURES].since(too_many[0]);
        assert!(span >= FAILED_SIGNATURE_WINDOW, "four failed signatures in {span:?}: {failed:?}");
    }
}

/// Answers every request with 401 as soon as it is out; when that was.
fn fail_for(desk: &mut Desk, span: Duration) -> Vec<Time> {
    let (mut failed, end) = (Vec::new(), desk.now.after(span));
    while desk.now < end {
        while !desk.out.is_empty() {
            assert_eq!(desk.out.len(), 1, "one try at a time");
            desk.answer(UNAUTHORIZED);
            failed.push(desk.now);
        }
        desk.wait_for_next();
    }
    failed
}

#[test]
fn until_the_credentials_are_proven_one_request_is_out() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.read(0, "b", &["2"]);
    assert_eq!(desk.out.len(), 1);
    desk.answer(ACCEPTED);
    desk.read(0, "c", &["3"]);
    assert_eq!(desk.out.len(), 2);
}

#[test]
fn a_worker_that_starts_with_wrong_keys_makes_at_most_three_failed_signatures_in_five_minutes() {
    for interval in [Duration::from_secs(1), Duration::from_mins(1)] {
        let mut desk = Desk::new(|settings| settings.hold_probe_interval = interval);
        for n in 0..100 {
            desk.read(0, ["a", "b", "c"][n % 3], &[&format!("k{n}")]);
        }
        let failed = fail_for(&mut desk, HOUR);
        check_window(&failed);
        assert!((5..=14).contains(&failed.len()), "it goes on probing, ever more seldom: {failed:?}");
        assert!(desk.letters().is_empty());
    }
}

#[test]
fn keys_revoked_with_64_requests_out_cost_these_64_and_two_more_in_five_minutes() {
    let mut desk = with_64_out(Duration::from_secs(1));
    let revoked_at = desk.now;
    while !desk.out.is_empty() {
        desk.answer(UNAUTHORIZED); // those that were out are not repeated
    }
    let probes = fail_for(&mut desk, HOUR);
    check_window(&[vec![revoked_at], probes.clone()].concat());
    let early = probes.iter().filter(|at| at.since(revoked_at) < FAILED_SIGNATURE_WINDOW).count();
    assert_eq!(early, MAX_FAILED_SIGNATURES - 1, "the first of the 64 counts for all of them: {probes:?}");
    assert!(desk.letters().is_empty());
    desk.wait(MAX_PROBE_INTERVAL);
    while !desk.out.is_empty() {
        desk.answer(ACCEPTED);
    }
    assert_eq!(desk.uncommitted(), [0, 0], "all goes on after the hold");
}

#[test]
fn other_credentials_end_a_hold_at_once_and_late_answers_to_the_old_ones_begin_none() {
    let mut desk = with_64_out(Duration::from_mins(1));
    desk.answer(UNAUTHORIZED);
    assert_eq!(count(&desk, |effect| matches!(effect, Effect::RefreshCredentials)), 1, "others are looked for");
    assert_eq!(desk.out.len(), 63);
    offer(&mut desk);
    assert_eq!((adoptions(&desk), desk.out.len()), (1, 64), "a probe goes out at once");
    let probe = desk.out.pop().unwrap();
    desk.out.insert(0, probe);
    desk.answer(ACCEPTED);
    assert_eq!(hold(&mut desk), None);
    for _ in 0..63 {
        desk.answer(UNAUTHORIZED);
        assert_eq!(hold(&mut desk), None, "an answer to credentials that are not in use any more");
    }
    while !desk.out.is_empty() {
        desk.answer(ACCEPTED);
    }
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn renewed_credentials_take_over_once_they_work_and_the_old_ones_are_used_until_then() {
    let mut desk = with_64_out(Duration::from_mins(1));
    offer(&mut desk);
    assert_eq!(adoptions(&desk), 0, "the old ones work");
    desk.answer(ACCEPTED);
    assert_eq!(desk.by_candidate.len(), 1, "the next request tries the new ones");
    desk.answer(ACCEPTED);
    assert_eq!((desk.by_candidate.len(), desk.out.len()), (1, 64), "one only, and the others are not held up");
    let trial = desk.by_candidate[0];
    put_first(&mut desk, trial);
    desk.answer(ACCEPTED);
    assert_eq!(adoptions(&desk), 1);
    while !desk.out.is_empty() {
        desk.answer(ACCEPTED);
    }
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn a_hold_that_began_while_a_candidate_was_tried_is_probed_with_it_once_it_works() {
    let mut desk = with_64_out(Duration::from_mins(1));
    offer(&mut desk);
    desk.answer(ACCEPTED);
    let candidate = desk.by_candidate[0];
    desk.answer((Verdict::Hold(HoldReason::Endpoint), 405));
    desk.wait(Duration::from_mins(1)); // a probe with the old ones
    put_first(&mut desk, candidate);
    desk.answer(ACCEPTED);
    assert_eq!(adoptions(&desk), 1);
    while !desk.out.is_empty() {
        desk.answer(ACCEPTED);
    }
    assert_eq!((hold(&mut desk), desk.uncommitted()), (None, vec![0, 0]));
}

#[test]
fn renewed_credentials_that_do_not_work_hold_nothing_and_are_tried_seldom() {
    for refusal in [UNAUTHORIZED, FORBIDDEN, (Verdict::Hold(HoldReason::Account), 400)] {
        let mut desk = with_64_out(Duration::from_secs(1));
        offer(&mut desk);
        let (mut failed, end) = (Vec::new(), Time::since_start(HOUR));
        let mut n = 0;
        while desk.now < end {
            let (id, ..) = desk.out[0];
            if desk.by_candidate.contains(&id) {
                failed.push(desk.now);
                desk.answer(refusal);
            } else {
                desk.answer(ACCEPTED);
            }
            desk.read(1, "a", &[&format!("more{n}")]);
            n += 1;
            assert_eq!(hold(&mut desk), None);
            assert_eq!(desk.pipeline.report().tasks[0].block, None);
            desk.wait(Duration::from_millis(900));
        }
        assert!(failed.len() > 4, "{failed:?}");
        if refusal == UNAUTHORIZED {
            check_window(&failed);
        }
        assert_eq!(adoptions(&desk), 0);
    }
}

#[test]
fn when_the_old_ones_end_the_new_ones_are_taken_and_probed_at_once() {
    let mut desk = with_64_out(Duration::from_mins(1));
    offer(&mut desk);
    desk.answer(UNAUTHORIZED); // the old ones, before the new ones were tried
    assert_eq!((adoptions(&desk), desk.out.len()), (1, 64));
    let probe = desk.out.pop().unwrap();
    assert!(desk.by_candidate.is_empty(), "they are those in use by now");
    desk.out.insert(0, probe);
    desk.answer(ACCEPTED);
    assert_eq!(hold(&mut desk), None);
}

#[test]
fn without_credentials_nothing_is_sent_and_once_there_are_some_it_begins() {
    let mut desk = Desk::new(|_| {});
    desk.step(Input::Credentials(CredentialNews::Awaited));
    desk.read(0, "a", &["1"]);
    desk.wait(HOUR);
    assert!(desk.out.is_empty());
    assert_eq!(hold(&mut desk), None, "not before the source has said that it has none");
    let missing = |why: &str| Input::Credentials(CredentialNews::Missing(why.into()));
    desk.step(missing("no agency"));
    desk.step(missing("timeout"));
    assert_eq!(hold(&mut desk), Some((HoldReason::Credentials, "timeout".into())));
    assert_eq!(count(&desk, |effect| matches!(effect, Effect::Notice(Notice::HoldBegan(..)))), 1);
    assert_eq!(desk.pipeline.report().hold.unwrap().next_probe, None);
    desk.wait(HOUR);
    assert!(desk.out.is_empty(), "no probe without credentials");
    offer(&mut desk);
    assert_eq!(desk.answer(ACCEPTED), ["1"]);
    assert_eq!(hold(&mut desk), None);
}

#[test]
fn a_drain_does_not_wait_for_credentials() {
    let mut desk = Desk::new(|_| {});
    desk.step(Input::Credentials(CredentialNews::Awaited));
    desk.read(0, "a", &["1"]);
    desk.step(Input::Drain);
    assert!(matches!(desk.effects.last(), Some(Effect::Drained { unanswered: 0 })));
}

#[test]
fn an_answer_to_expired_credentials_neither_ends_nor_begins_a_hold() {
    let mut desk = with_64_out(Duration::from_mins(1));
    desk.step(Input::Credentials(CredentialNews::Missing("expired".into())));
    desk.answer(ACCEPTED);
    desk.answer(UNAUTHORIZED);
    assert_eq!(hold(&mut desk), Some((HoldReason::Credentials, "expired".into())));
    assert_eq!(desk.out.len(), 62, "nothing is sent");
}

#[test]
fn other_credentials_let_a_task_without_rights_be_asked_anew() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "denied", &["1"]);
    desk.answer(FORBIDDEN);
    assert!(desk.out.is_empty());
    desk.read(0, "other", &["2"]);
    desk.answer(ACCEPTED);
    offer(&mut desk);
    desk.read(0, "other", &["3"]);
    assert_eq!(desk.answer(ACCEPTED), ["3"], "the new ones work");
    assert_eq!(desk.answer(ACCEPTED), ["1"]);
    assert_eq!(desk.uncommitted(), [0, 0]);
}

#[test]
fn an_inquiry_made_with_credentials_that_others_replaced_holds_nothing() {
    let mut desk = Desk::new(|_| {});
    desk.read(0, "a", &["1"]);
    desk.answer((Verdict::UnknownTask, 404));
    assert_eq!(count(&desk, |effect| matches!(effect, Effect::AskTask(_))), 1);
    desk.step(Input::Credentials(CredentialNews::Missing("expired".into())));
    offer(&mut desk);
    let unauthorized = super::world::answer(UNAUTHORIZED.0, UNAUTHORIZED.1);
    desk.step(Input::TaskStands(TaskId::new("a").unwrap(), Standing::Unknown(unauthorized)));
    assert!(desk.letters().is_empty());
    assert_eq!(desk.answer(ACCEPTED), ["1"]);
    assert_eq!(hold(&mut desk), None);
}

proptest! {
    /// OMS refuses every signature, whatever the source comes up with, and answers when it likes.
    #[test]
    fn no_course_of_offers_makes_four_failed_signatures_in_five_minutes(
        ops in prop::collection::vec((0..8_u8, 0..40_000_u32), 1..300),
        proven in any::<bool>(),
    ) {
        let mut desk = Desk::new(|settings| settings.hold_probe_interval = Duration::from_secs(1));
        desk.read(0, "a", &["first"]);
        let mut sent_before = Vec::new();
        if proven {
            desk.answer(ACCEPTED);
            for n in 0..50 {
                desk.read(0, "a", &[&format!("k{n}")]);
            }
            sent_before = desk.out.iter().map(|(id, ..)| *id).collect();
        } else {
            desk.read(1, "b", &["second"]);
        }
        let (mut failed, mut revoked) = (Vec::new(), false);
        for (op, ms) in ops {
            match op {
                0 => offer(&mut desk),
                1 => {
                    revoked = true; // what is out belongs to credentials that are given up: it counts no more
                    desk.step(Input::Credentials(CredentialNews::Missing("expired".into())));
                }
                2 | 3 if !desk.out.is_empty() => {
                    let (id, ..) = desk.out[0];
                    // Of those that were out when the keys were revoked the first one stands for all.
                    let was_out = sent_before.iter().position(|before| *before == id).map(|at| sent_before.swap_remove(at));
                    if was_out.is_none() || !std::mem::replace(&mut revoked, true) {
                        failed.push(desk.now);
                    }
                    desk.answer(UNAUTHORIZED);
                }
                _ => desk.wait(Duration::from_millis(ms.into())),
            }
        }
        check_window(&failed);
    }
}
