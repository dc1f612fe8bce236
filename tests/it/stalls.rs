//! The stall watchdog of a whole worker: threads that stand still make `/livez` fail with the reason, and a restart heals;
//! trouble of Kafka or OMS of twice `stall_timeout` never does.

use std::time::{Duration, Instant};

use crate::brokers::MockBroker;
use crate::frozen::Frozen;
use crate::stage::{Stage, WorkerProcess, wait_until};
use crate::worker::on_mock;

const STALL: Duration = Duration::from_secs(4);
const SETTINGS: [(&str, &str); 4] = [
    ("OMS_SYNC__KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "6000"),
    ("OMS_SYNC__SHUTDOWN__STALL_TIMEOUT", "4s"),
    ("OMS_SYNC__KAFKA__PROPERTIES__SOCKET_TIMEOUT_MS", "1000"),
    ("OMS_SYNC__OMS__REQUEST_TIMEOUT", "1s"),
];

/// A worker whose threads of that name stand still says so within a bound, and another one does its work.
fn check_frozen(threads: &str, reason: &str, bound: Duration) {
    check_frozen_with(&[], threads, reason, bound);
}

fn check_frozen_with(extra: &[(&str, &str)], threads: &str, reason: &str, bound: Duration) {
    let settings = [&SETTINGS[..], extra].concat();
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    let worker = stage.worker(&settings);
    stage.generate(100);
    wait_until("it works", || stage.is_settled());
    assert_eq!(worker.get("/livez"), (200, "ok\n".to_owned()));
    let Some(frozen) = Frozen::threads(worker.id(), threads) else { return };
    let began = Instant::now();
    stage.generate(100);
    wait_until("liveness fails", || worker.get("/livez").0 == 503);
    let took = began.elapsed();
    let (_, body) = worker.get("/livez");
    assert!(body.starts_with(reason), "{body}");
    assert!(took + Duration::from_secs(1) > STALL && took < bound, "{took:?}");
    assert!(worker.metric("oms_sync_stalled ") == Some(1.0));
    worker.signal("KILL");
    drop(frozen);
    drop(worker);
    let another = stage.worker(&settings);
    wait_until("a restart heals", || stage.is_settled());
    stage.check_ledger();
    assert_eq!(another.get("/livez").0, 200);
    assert_eq!(another.terminate(), 0);
}

#[test]
fn a_thread_that_polls_no_more_fails_liveness_with_the_reason_and_a_restart_heals() {
    check_frozen("kafka-poll", "the Kafka client has not polled for ", STALL + Duration::from_secs(5));
}

#[test]
fn a_loop_that_turns_no_more_fails_liveness_with_the_reason_and_a_restart_heals() {
    check_frozen("oms-sync-worker", "the loop has not turned for ", STALL + Duration::from_secs(5));
}

#[test]
fn a_kafka_client_that_tells_nothing_fails_liveness_with_the_reason_and_a_restart_heals() {
    check_frozen("rdk:main", "the Kafka client tells nothing of itself for ", STALL + Duration::from_secs(15));
}

#[test]
fn a_kafka_client_that_reads_no_more_fails_liveness_with_the_reason_and_a_restart_heals() {
    // The group leaves it its partitions for long.
    let session = [("OMS_SYNC__KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "40000")];
    check_frozen_with(
        &session,
        "rdk:broker",
        "nothing comes over the connection that ",
        STALL + Duration::from_secs(25),
    );
}

#[test]
fn a_kafka_client_that_stands_still_until_the_group_took_its_partitions_fails_liveness_and_a_restart_heals() {
    check_frozen("rdk:broker", "the Kafka client's thread for ", STALL + Duration::from_secs(25));
}

/// Liveness holds for more than twice the stall timeout, whatever is done to Kafka or OMS. Gives the stage back healed.
fn check_alive(what: &str, worker: &WorkerProcess) {
    let began = Instant::now();
    wait_until("twice the stall timeout has passed, and more", || {
        let (status, body) = worker.get("/livez");
        assert_eq!(status, 200, "{what}: {body}");
        began.elapsed() > 3 * STALL
    });
}

/// With these faults of OMS.
fn check_alive_with(what: &str, faults: &str, extra: &[(&str, &str)]) {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, faults);
    stage.generate(2_000);
    let limits = [("OMS_SYNC__LIMITS__MAX_UNSETTLED_CHANGES", "200")]; // the budget is spent, too
    let worker = stage.worker(&[&SETTINGS[..], &limits, extra].concat());
    wait_until("it began", || stage.simulator.ledger().totals.requests > 0);
    check_alive(what, &worker);
    assert!(!stage.is_settled(), "{what}: that was no trouble");
}

#[test]
fn holds_outages_quotas_and_stopped_tasks_of_twice_the_stall_timeout_leave_liveness_alone() {
    std::thread::scope(|scope| {
        for (what, faults, extra) in [
            ("hold", "{}", &[("HUAWEICLOUD_SDK_SK", "wrong")][..]),
            ("outage", r#"{"rules":[{"status":503}]}"#, &[]),
            ("silence", r#"{"rules":[{"failure":"hang"}]}"#, &[]),
            ("quota", r#"{"requests_per_second":0.01,"burst":1,"retry_after":"1h"}"#, &[]),
            ("stopped", r#"{"rules":[{"task":"task-1","status":400,"code":"OMS.0066"}]}"#, &[]),
            ("forbidden", r#"{"rules":[{"task":"task-1","status":403,"code":"OMS.0053"}]}"#, &[]),
        ] {
            scope.spawn(move || check_alive_with(what, faults, extra));
        }
    });
}

#[test]
fn a_broker_that_is_away_slow_or_gives_no_record_for_twice_the_stall_timeout_leaves_liveness_alone() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (broker, stage, worker) = settled();
            broker.cluster().broker_down(1).unwrap();
            check_alive("away", &worker);
            broker.cluster().broker_up(1).unwrap();
            goes_on(stage);
        });
        scope.spawn(|| {
            let (broker, stage, worker) = settled();
            broker.cluster().broker_round_trip_time(1, Duration::from_mins(10)).unwrap();
            check_alive("slow beyond every timeout", &worker);
            broker.cluster().broker_round_trip_time(1, Duration::ZERO).unwrap();
            goes_on(stage);
        });
        scope.spawn(|| {
            let (_broker, stage, worker) = settled();
            check_alive("nothing is written", &worker);
            goes_on(stage);
        });
    });
}

fn settled() -> (MockBroker, Stage, WorkerProcess) {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(100);
    let worker = stage.worker(&SETTINGS);
    wait_until("it works", || stage.is_settled());
    (broker, stage, worker)
}

fn goes_on(mut stage: Stage) {
    stage.generate(100);
    wait_until("it goes on", || stage.is_settled());
}
