//! When the project's tasks are asked for, and what the answers do: to the table, to tasks, to holds and credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::answer::{Pressure, Verdict};
use super::super::discovery::DiscoverySettings;
use super::super::discovery::table::{ListedState, ListedTask};
use super::super::task::Block;
use super::super::trust::{FAILED_SIGNATURE_WINDOW, MAX_FAILED_SIGNATURES};
use super::super::*;
use super::desk::*;
use super::world::answer;

const INTERVAL: Duration = Duration::from_mins(5);
const HOUR: Duration = Duration::from_hours(1);
const NOT_FOUND: (Verdict, u16) = (Verdict::Hold(HoldReason::Endpoint), 404);
const THROTTLED: (Verdict, u16) = (Verdict::Busy(Pressure::Throttled), 429);

/// A worker that has just started.
pub(super) fn desk_with(change: impl FnOnce(&mut Settings)) -> Desk {
    let discovery = DiscoverySettings { interval: INTERVAL, prefixes: BTreeMap::new() };
    Desk::new(|settings| {
        settings.discovery = Some(discovery);
        change(settings);
    })
}

fn desk() -> Desk {
    desk_with(|_| {})
}

/// A task, its bucket, and whether it takes events.
type Listed = (&'static str, &'static str, bool);

pub(super) fn list(desk: &mut Desk, tasks: &[Listed]) {
    let task = |(id, bucket, runs): &Listed| ListedTask {
        id: TaskId::new(id).unwrap(),
        bucket: Some((*bucket).into()),
        state: if *runs { ListedState::Synchronizing } else { ListedState::Stopped },
    };
    let listing = Listing { tasks: tasks.iter().map(task).collect(), is_whole: true };
    desk.step(Input::Listed(Ok(listing)));
}

fn refuse(desk: &mut Desk, (verdict, status): (Verdict, u16)) {
    desk.step(Input::Listed(Err(Box::new(answer(verdict, status)))));
}

fn listings(desk: &Desk) -> usize {
    desk.effects.iter().filter(|effect| matches!(effect, Effect::ListTasks)).count()
}

/// The tables that went to the polling thread, each as `bucket>task`.
fn tables(desk: &Desk) -> Vec<String> {
    let table = |effect: &Effect| match effect {
        Effect::Route(table) => {
            let routes = table.routes.iter().map(|route| format!("{}>{}", route.bucket, route.task));
            Some(routes.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    };
    desk.effects.iter().filter_map(table).collect()
}

fn problem(desk: &mut Desk) -> Option<String> {
    desk.pipeline.report().routes.unwrap().problem.map(|problem| problem.said.into())
}

fn hold(desk: &mut Desk) -> Option<HoldReason> {
    desk.pipeline.report().hold.map(|hold| hold.reason)
}

fn block(desk: &mut Desk, task: &str) -> Option<Block> {
    let report = desk.pipeline.report();
    let task = report.tasks.into_iter().find(|found| found.id.as_str() == task)?;
    task.block.map(|block| block.reason)
}

/// Lets time pass to the next question.
#[track_caller]
fn wait_for_listing(desk: &mut Desk) -> Duration {
    let (before, began) = (listings(desk), desk.now);
    for _ in 0..1_000 {
        if listings(desk) > before {
            return desk.now.since(began);
        }
        desk.wait_for_next();
    }
    panic!("no listing: {:?}", desk.pipeline.report());
}

#[test]
fn the_tasks_are_asked_for_at_once_and_every_interval() {
    let mut desk = desk();
    assert_eq!(listings(&desk), 1);
    list(&mut desk, &[("a", "landing", true)]);
    assert_eq!(tables(&desk), ["landing>a"]);
    for _ in 0..5 {
        let wait = wait_for_listing(&mut desk);
        assert!(wait <= INTERVAL && wait >= INTERVAL.mul_f64(0.75), "{wait:?}");
        list(&mut desk, &[("a", "landing", true)]);
    }
    assert_eq!(tables(&desk).len(), 1, "the same tasks make no new table");
}

#[test]
fn created_deleted_and_repointed_tasks_change_the_table() {
    let mut desk = desk();
    list(&mut desk, &[("a", "landing", true), ("b", "other", true)]);
    wait_for_listing(&mut desk);
    list(&mut desk, &[("a", "elsewhere", true), ("c", "new", true)]);
    assert_eq!(tables(&desk), ["landing>a other>b", "elsewhere>a new>c other>b"]);
    assert!(wait_for_listing(&mut desk) <= Duration::from_millis(500), "asked once more before one is gone");
    list(&mut desk, &[("a", "elsewhere", true), ("c", "new", true)]);
    assert_eq!(tables(&desk).last().unwrap(), "elsewhere>a new>c");
    assert_eq!(problem(&mut desk), None);
}

#[test]
fn a_task_that_is_missing_once_keeps_its_bucket() {
    let mut desk = desk();
    list(&mut desk, &[("a", "landing", true), ("b", "other", true)]);
    for _ in 0..3 {
        wait_for_listing(&mut desk);
        list(&mut desk, &[("a", "landing", true)]);
        wait_for_listing(&mut desk);
        list(&mut desk, &[("a", "landing", true), ("b", "other", true)]);
    }
    assert_eq!(tables(&desk).len(), 1);
}

#[test]
fn a_task_whose_neighbour_has_other_keys_of_the_bucket_is_missed_twice_before_it_is_gone() {
    let prefixes = BTreeMap::from([(TaskId::new("a").unwrap(), "in/".to_owned())]);
    let discovery = DiscoverySettings { interval: INTERVAL, prefixes };
    let mut desk = desk_with(|settings| settings.discovery = Some(discovery));
    list(&mut desk, &[("a", "landing", true), ("b", "landing", true)]);
    wait_for_listing(&mut desk);
    list(&mut desk, &[("b", "landing", true)]);
    assert_eq!(tables(&desk).len(), 1, "its keys are not the neighbour's yet");
    wait_for_listing(&mut desk);
    list(&mut desk, &[("b", "landing", true)]);
    assert_eq!(tables(&desk).last().unwrap(), "landing>b");
}

#[test]
fn a_task_that_another_one_replaces_gives_its_bucket_away_at_once() {
    let mut desk = desk();
    list(&mut desk, &[("a", "landing", true)]);
    wait_for_listing(&mut desk);
    list(&mut desk, &[("b", "landing", true)]);
    assert_eq!((tables(&desk).last().unwrap().as_str(), problem(&mut desk)), ("landing>b", None));
}

#[test]
fn tasks_without_any_bucket_make_no_table() {
    let mut desk = desk();
    let task = ListedTask { id: TaskId::new("a").unwrap(), bucket: None, state: ListedState::Synchronizing };
    desk.step(Input::Listed(Ok(Listing { tasks: vec![task], is_whole: true })));
    assert!(tables(&desk).is_empty());
    assert!(problem(&mut desk).unwrap().contains("no source bucket of any task"));
}

#[test]
fn before_the_first_table_other_credentials_are_taken_at_once_since_no_event_can_try_them() {
    let mut desk = desk();
    refuse(&mut desk, FORBIDDEN);
    desk.step(Input::Credentials(CredentialNews::Offered));
    assert!(desk.effects.iter().any(|effect| matches!(effect, Effect::AdoptCredentials)));
    assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1));
    list(&mut desk, &[("a", "landing", true)]);
    assert_eq!(tables(&desk).len(), 1);
}

#[test]
fn a_list_that_fails_is_asked_for_again_soon_and_the_last_table_stays() {
    let mut desk = desk();
    refuse(&mut desk, UNAVAILABLE);
    assert!(wait_for_listing(&mut desk) <= Duration::from_millis(500));
    list(&mut desk, &[("a", "landing", true)]);
    wait_for_listing(&mut desk);
    for _ in 0..20 {
        refuse(&mut desk, UNAVAILABLE);
        assert!(problem(&mut desk).unwrap().contains("503"));
        assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1));
    }
    assert_eq!((tables(&desk).len(), hold(&mut desk)), (1, None));
    desk.read(0, "a", &["k"]);
    desk.answer(ACCEPTED);
    list(&mut desk, &[("a", "landing", true)]);
    assert_eq!(problem(&mut desk), None);
    assert!(matches!(desk.effects.last(), Some(Effect::Notice(Notice::RoutesInOrder))), "{:?}", desk.effects.last());
}

#[test]
fn a_list_and_events_share_three_failed_signatures_in_five_minutes() {
    let mut desk = desk_with(|settings| settings.hold_probe_interval = Duration::from_secs(1));
    let (mut failed, end) = (Vec::new(), desk.now.after(HOUR));
    let mut asked = 0;
    while desk.now < end {
        if listings(&desk) > asked {
            asked = listings(&desk);
            refuse(&mut desk, UNAUTHORIZED);
            failed.push(desk.now);
        }
        desk.wait_for_next();
    }
    for too_many in failed.windows(MAX_FAILED_SIGNATURES + 1) {
        assert!(too_many[MAX_FAILED_SIGNATURES].since(too_many[0]) >= FAILED_SIGNATURE_WINDOW, "{failed:?}");
    }
    assert!((5..=14).contains(&failed.len()), "it goes on probing: {failed:?}");
    assert_eq!(hold(&mut desk), Some(HoldReason::Credentials));
}

#[test]
fn before_the_first_table_the_list_is_the_probe_of_a_hold() {
    let mut desk = desk();
    refuse(&mut desk, UNAUTHORIZED);
    assert_eq!(hold(&mut desk), Some(HoldReason::Credentials));
    assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1));
    refuse(&mut desk, UNAUTHORIZED);
    desk.step(Input::Credentials(CredentialNews::Offered));
    assert_eq!(listings(&desk), 3, "new credentials are tried at once, by the list");
    list(&mut desk, &[("a", "landing", true)]);
    assert_eq!((hold(&mut desk), tables(&desk).len()), (None, 1));
}

#[test]
fn new_credentials_are_tried_by_an_event_and_never_by_a_list() {
    let mut desk = desk();
    list(&mut desk, &[("a", "landing", true)]);
    desk.step(Input::Credentials(CredentialNews::Offered));
    wait_for_listing(&mut desk);
    let adopted = |desk: &Desk| desk.effects.iter().any(|effect| matches!(effect, Effect::AdoptCredentials));
    list(&mut desk, &[("a", "landing", true)]);
    assert!(!adopted(&desk));
    desk.read(0, "a", &["k"]);
    assert_eq!(desk.by_candidate.len(), 1);
    desk.answer(ACCEPTED);
    assert!(adopted(&desk));
}

#[test]
fn unproven_credentials_have_one_request_out_be_it_a_list_or_an_event() {
    let mut desk = desk();
    desk.read(0, "a", &["k"]);
    assert_eq!((listings(&desk), desk.out.len()), (1, 0));
    list(&mut desk, &[("a", "landing", true)]);
    assert_eq!(desk.out.len(), 1);
}

#[test]
fn an_unauthorized_list_holds_the_worker_and_the_next_probe_ends_it_whatever_it_is() {
    for with_work in [false, true] {
        let mut desk = desk();
        list(&mut desk, &[("a", "landing", true)]);
        wait_for_listing(&mut desk);
        refuse(&mut desk, UNAUTHORIZED);
        assert_eq!(hold(&mut desk), Some(HoldReason::Credentials));
        if with_work {
            desk.read(0, "a", &["k"]);
            assert_eq!(desk.out.len(), 0);
            while desk.out.is_empty() {
                desk.wait_for_next();
            }
            assert_eq!(listings(&desk), 2, "an event that waits is the probe");
            desk.answer(ACCEPTED);
        } else {
            assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1));
            list(&mut desk, &[("a", "landing", true)]);
        }
        assert_eq!(hold(&mut desk), None);
    }
}

#[test]
fn a_list_that_only_others_may_have_stops_no_event_once_there_is_a_table() {
    for refusal in [NOT_FOUND, FORBIDDEN, REFUSED, UNAVAILABLE] {
        let mut desk = desk();
        list(&mut desk, &[("a", "landing", true)]);
        wait_for_listing(&mut desk);
        refuse(&mut desk, refusal);
        assert_eq!(hold(&mut desk), None, "{refusal:?}");
        assert!(problem(&mut desk).is_some());
        desk.read(0, "a", &["k"]);
        assert_eq!(desk.answer(ACCEPTED), ["k"]);
        assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1));
    }
}

#[test]
fn a_right_that_is_missing_is_no_hold_and_is_asked_for_again() {
    let mut desk = desk();
    refuse(&mut desk, FORBIDDEN);
    assert_eq!(hold(&mut desk), None);
    assert!(problem(&mut desk).unwrap().contains("403"));
    assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1));
}

#[test]
fn a_project_without_tasks_is_an_endpoint_hold_at_first_and_takes_no_table_away_later() {
    let mut desk = desk();
    list(&mut desk, &[]);
    assert_eq!(hold(&mut desk), Some(HoldReason::Endpoint));
    assert!(problem(&mut desk).unwrap().contains("wrong oms.project_id or region?"));
    wait_for_listing(&mut desk);
    list(&mut desk, &[("a", "landing", true)]);
    assert_eq!((hold(&mut desk), problem(&mut desk)), (None, None));
    wait_for_listing(&mut desk);
    list(&mut desk, &[]);
    assert_eq!((hold(&mut desk), tables(&desk).len()), (None, 1));
    assert!(problem(&mut desk).unwrap().contains("lists no synchronization task"));
}

#[test]
fn a_list_that_was_cut_off_makes_no_table() {
    let mut desk = desk();
    let task = ListedTask { id: TaskId::new("a").unwrap(), bucket: None, state: ListedState::Synchronizing };
    desk.step(Input::Listed(Ok(Listing { tasks: vec![task], is_whole: false })));
    assert!(tables(&desk).is_empty());
    assert!(problem(&mut desk).unwrap().contains("more tasks than OMS lists"));
}

#[test]
fn a_conflict_is_told_with_both_names_until_it_is_solved() {
    let mut desk = desk();
    list(&mut desk, &[("a", "landing", true), ("b", "landing", true), ("c", "other", true)]);
    assert_eq!(tables(&desk), ["other>c"]);
    let told = problem(&mut desk).unwrap();
    assert!(told.starts_with("tasks a and b have the same source bucket landing: its changes wait; give"), "{told}");
    assert_eq!(hold(&mut desk), None, "others go on");
    assert!(wait_for_listing(&mut desk) <= Duration::from_mins(1), "looked at again soon");
    list(&mut desk, &[("b", "landing", true), ("c", "other", true)]);
    assert_eq!((tables(&desk).last().unwrap().as_str(), problem(&mut desk)), ("landing>b other>c", None));
}

#[test]
fn a_task_listed_as_stopped_is_not_sent_to_until_it_is_listed_as_running() {
    let mut desk = desk();
    list(&mut desk, &[("a", "landing", false), ("b", "other", true)]);
    desk.read(0, "a", &["1"]);
    desk.read(1, "b", &["2"]);
    assert_eq!(desk.out.len(), 1, "not even one request");
    desk.answer(ACCEPTED);
    assert_eq!(block(&mut desk, "a"), Some(Block::Stopped));
    desk.pipeline.discovery.as_mut().unwrap().ask_at_once();
    desk.step(Input::Tick);
    list(&mut desk, &[("a", "landing", true), ("b", "other", true)]);
    assert_eq!((block(&mut desk, "a"), desk.out.len()), (None, 1), "at once");
    desk.answer(ACCEPTED);
    desk.pipeline.discovery.as_mut().unwrap().ask_at_once();
    desk.step(Input::Tick);
    list(&mut desk, &[("a", "landing", false), ("b", "other", true)]);
    desk.read(0, "a", &["3"]);
    assert_eq!((block(&mut desk, "a"), desk.out.len()), (Some(Block::Stopped), 0), "one with state too");
    let told = |notice: &&Effect| matches!(notice, Effect::Notice(Notice::TaskBlocked(..) | Notice::TaskUnblocked(..)));
    assert_eq!(desk.effects.iter().filter(told).count(), 3, "each change once");
}

#[test]
fn a_list_keeps_to_the_rate_and_is_not_kept_waiting_by_a_backlog() {
    let mut desk = desk_with(|settings| settings.max_requests_per_second = Some(2.0));
    list(&mut desk, &[("a", "landing", true)]);
    let keys: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    desk.read(0, "a", &keys.iter().map(String::as_str).collect::<Vec<_>>());
    let end = desk.now.after(INTERVAL.mul_f64(1.1));
    while listings(&desk) == 1 {
        assert!(desk.now < end, "it has its turn");
        while !desk.out.is_empty() {
            desk.answer(ACCEPTED);
        }
        desk.wait_for_next();
    }
}

#[test]
fn a_throttled_list_lowers_the_rate_of_the_whole_worker() {
    let mut desk = desk();
    refuse(&mut desk, THROTTLED);
    assert!(desk.pipeline.report().pace.throttled);
}

#[test]
fn a_drain_before_the_first_table_is_over_at_once() {
    for refusal in [None, Some(UNAUTHORIZED), Some(UNAVAILABLE)] {
        let mut desk = desk();
        if let Some(refusal) = refusal {
            refuse(&mut desk, refusal);
        }
        desk.step(Input::Drain);
        let ended = |effect: &Effect| matches!(effect, Effect::Drained { unanswered: 0 });
        assert!(desk.effects.iter().any(ended), "{refusal:?}");
        refuse(&mut desk, UNAVAILABLE);
    }
}
