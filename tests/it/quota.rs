//! Workers that share one quota without talking to each other, in virtual time. What is asserted here is what the README
//! promises of a shared quota; `benches/quota.sh` measures the same with real processes.
//!
//! A town is made from its plan and its seed alone. `OMS_SYNC_TEST_TOWNS=n` looks at the first n towns of each plan, at
//! most 100, whatever the tests say.

mod town;

use std::time::Duration;

use town::{Plan, Seen, Town};

/// What is asked of every town of a plan.
struct Bounds {
    used: f64,
    throttled: f64,
    smallest: f64,
}

/// Looks at the first `towns` of a plan from one second to another.
#[track_caller]
fn check(towns: u64, plan: impl Fn() -> Plan, (from, to): (usize, usize), bounds: &Bounds) {
    for number in 1..=asked_for().unwrap_or(towns) {
        let seen = Town::new(plan(), number).seen(from, to);
        hold(&seen, bounds, number);
    }
}

fn asked_for() -> Option<u64> {
    std::env::var("OMS_SYNC_TEST_TOWNS").ok().map(|text| text.parse::<u64>().unwrap().min(100))
}

#[track_caller]
fn hold(seen: &Seen, bounds: &Bounds, number: u64) {
    let (used, throttled, smallest, keys) = (seen.used(), seen.throttled(), seen.smallest(), seen.keys_an_event());
    let figures =
        format!("used {used:.3}, throttled {throttled:.4}, smallest {smallest:.2}, keys {keys:.2}, town {number}");
    println!("{figures}");
    assert!(used >= bounds.used, "the quota is not used: {figures}");
    assert!(throttled <= bounds.throttled, "too much is throttled: {figures}");
    assert!(smallest >= bounds.smallest, "a worker has too small a share: {figures}");
    assert!(keys >= 9.9, "events are not full: {figures}");
}

#[test]
fn three_workers_use_a_quota_of_200_evenly_and_hardly_ever_pass_it() {
    let bounds = Bounds { used: 0.95, throttled: 0.01, smallest: 0.5 };
    check(4, || Plan::new(3, 200.0, 20.0), (60, 120), &bounds);
}

#[test]
fn three_workers_with_a_backlog_reach_the_quota_within_two_seconds() {
    check(4, || Plan::new(3, 200.0, 20.0), (2, 7), &Bounds { used: 0.95, throttled: 0.1, smallest: 0.3 });
}

#[test]
fn one_worker_and_eight_do_so_too() {
    check(1, || Plan::new(1, 200.0, 20.0), (60, 120), &Bounds { used: 0.95, throttled: 0.01, smallest: 1.0 });
    check(2, || Plan::new(8, 200.0, 20.0), (60, 120), &Bounds { used: 0.95, throttled: 0.015, smallest: 0.3 });
}

#[test]
fn a_quota_of_5_and_one_of_50_are_shared_as_well() {
    check(3, || Plan::new(3, 5.0, 20.0), (60, 180), &Bounds { used: 0.95, throttled: 0.06, smallest: 0.4 });
    check(3, || Plan::new(1, 5.0, 5.0), (60, 180), &Bounds { used: 0.9, throttled: 0.04, smallest: 1.0 });
    check(3, || Plan::new(3, 50.0, 20.0), (60, 120), &Bounds { used: 0.95, throttled: 0.02, smallest: 0.5 });
}

#[test]
fn a_quota_of_2000_is_shared_as_well() {
    check(1, || Plan::new(3, 2_000.0, 200.0), (20, 40), &Bounds { used: 0.95, throttled: 0.01, smallest: 0.3 });
}

#[test]
fn slow_answers_change_little() {
    let plan = || Plan { latency: Duration::from_millis(200), ..Plan::new(3, 200.0, 20.0) };
    check(1, plan, (60, 120), &Bounds { used: 0.95, throttled: 0.01, smallest: 0.5 });
}

#[test]
fn pauses_that_are_asked_for_cost_little() {
    let plan = || Plan { retry_after: Some(Duration::from_secs(1)), ..Plan::new(3, 200.0, 20.0) };
    check(1, plan, (60, 120), &Bounds { used: 0.85, throttled: 0.01, smallest: 0.4 });
}

#[test]
fn a_worker_that_joins_has_its_share_within_thirty_seconds_and_what_one_leaves_is_taken_within_twenty() {
    let whole = (0.0, 1e6);
    let plan = || Plan { workers: vec![whole, whole, (40.0, 1e6)], ..Plan::new(3, 200.0, 20.0) };
    check(2, plan, (70, 100), &Bounds { used: 0.95, throttled: 0.01, smallest: 0.4 });
    let plan = || Plan { workers: vec![whole, whole, (0.0, 40.0)], ..Plan::new(3, 200.0, 20.0) };
    check(2, plan, (60, 70), &Bounds { used: 0.95, throttled: 0.01, smallest: 0.0 });
}

#[test]
fn a_quota_that_is_halved_is_kept_within_ten_seconds_and_one_that_is_doubled_is_used_within_twenty_five() {
    let changed = |to: f64| move || Plan { quotas: vec![(0.0, 200.0), (40.0, to)], ..Plan::new(3, 200.0, 20.0) };
    check(2, changed(100.0), (50, 80), &Bounds { used: 0.95, throttled: 0.015, smallest: 0.4 });
    check(2, changed(400.0), (65, 85), &Bounds { used: 0.95, throttled: 0.01, smallest: 0.3 });
}

#[test]
fn when_nothing_was_granted_for_fifteen_seconds_the_quota_is_used_again_ten_seconds_later() {
    let plan = || Plan { quotas: vec![(0.0, 200.0), (40.0, 0.0), (55.0, 200.0)], ..Plan::new(3, 200.0, 20.0) };
    check(2, plan, (65, 95), &Bounds { used: 0.95, throttled: 0.015, smallest: 0.4 });
}
