//! The real binary against a real Kafka and the simulator: what is lost, repeated and dead-lettered when things break.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::message::{Headers as _, Message as _};

use crate::brokers::{self, MockBroker, RealBroker, create_topic, produce, unique};
use crate::stage::{Stage, WorkerProcess, wait_until};

const PARTITIONS: i32 = 12;
const NEW_PROTOCOL: (&str, &str) = ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"group.protocol":"consumer"}"#);

pub(crate) fn on_real(broker: &RealBroker, faults: &str) -> Stage {
    let topic = unique("objects");
    create_topic(&broker.servers, &topic, PARTITIONS, &[]);
    create_topic(&broker.servers, &format!("{topic}.dlq"), 1, &[]);
    Stage::on(&broker.servers, &topic, PARTITIONS, faults)
}

pub(crate) fn on_mock(broker: &MockBroker, faults: &str) -> Stage {
    let topic = unique("objects");
    broker.create_topic(&topic, 3);
    broker.create_topic(&format!("{topic}.dlq"), 1);
    Stage::on(&broker.servers(), &topic, 3, faults)
}

/// A dead letter's value and headers.
pub(crate) type Letter = (Option<Vec<u8>>, Vec<(String, String)>);

/// What is in a dead-letter topic.
pub(crate) fn letters(stage: &Stage) -> Vec<Letter> {
    let consumer = brokers::from_beginning(&stage.servers, &format!("{}.dlq", stage.topic));
    let mut letters = Vec::new();
    while let Some(polled) = consumer.poll(Duration::from_secs(20)) {
        let Ok(message) = polled else { break };
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
        let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
        letters.push((message.payload().map(<[u8]>::to_vec), headers));
    }
    letters
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let name = format!("oms-sync.{name}");
    headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
}

fn three_workers_one_of_them_killed(extra: &[(&str, &str)]) {
    let Some(broker) = brokers::real() else { return };
    let mut stage = on_real(broker, r#"{"latency":"20ms"}"#);
    stage.generate(20_000);
    let slowly = [extra, &[("OMS_SYNC__OMS__MAX_IN_FLIGHT", "8")]].concat();
    let mut workers: Vec<WorkerProcess> = (0..3).map(|_| stage.worker(&slowly)).collect();
    wait_until("half of the keys are accepted", || stage.accepted() > 10_000);
    drop(workers.remove(1)); // SIGKILL
    wait_until("lag is 0 in every partition", || stage.is_settled());
    let repeated = stage.check_ledger();
    println!("{repeated} keys were accepted again");
    assert!(repeated < 10_000, "what was committed is not read again: {repeated}");
    for worker in workers {
        assert_eq!(worker.terminate(), 0);
    }
}

#[test]
fn nothing_is_lost_when_one_of_three_workers_is_killed() {
    three_workers_one_of_them_killed(&[]);
}

#[test]
fn nothing_is_lost_when_one_of_three_workers_is_killed_under_the_new_group_protocol() {
    three_workers_one_of_them_killed(&[NEW_PROTOCOL]);
}

#[test]
fn workers_that_join_and_leave_repeat_nothing() {
    let Some(broker) = brokers::real() else { return };
    let mut stage = on_real(broker, r#"{"latency":"10ms"}"#);
    stage.generate(12_000);
    let slowly = [("OMS_SYNC__OMS__MAX_IN_FLIGHT", "4")];
    let first = stage.worker(&slowly);
    wait_until("the first has begun", || stage.accepted() > 2_000);
    let second = stage.worker(&slowly);
    second.wait_until_ready();
    wait_until("the second has its share", || second.metric("oms_sync_assigned_partitions ") == Some(6.0));
    assert_eq!(first.terminate(), 0);
    wait_until("lag is 0 in every partition", || stage.is_settled());
    assert_eq!(stage.check_ledger(), 0, "every handover was clean");
    assert_eq!(second.terminate(), 0);
}

#[test]
fn a_restart_of_the_broker_loses_nothing() {
    let Some(broker) = brokers::own() else { return };
    let mut stage = on_real(&broker, r#"{"latency":"10ms"}"#);
    stage.generate(10_000);
    let worker = stage.worker(&[("OMS_SYNC__OMS__MAX_IN_FLIGHT", "4")]);
    wait_until("it has begun", || stage.accepted() > 2_000);
    broker.stop();
    wait_until("it notices", || worker.get("/readyz").1.contains("Kafka"));
    assert_eq!(worker.get("/livez").0, 200, "a broker that is away is no stall");
    broker.start();
    stage.generate(2_000);
    wait_until("lag is 0 in every partition", || stage.is_settled());
    stage.check_ledger();
    worker.wait_until_ready();
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn only_refused_keys_and_unreadable_records_are_dead_lettered() {
    let Some(broker) = brokers::real() else { return };
    let faults = r#"{"rules":[{"keys":"*refuse*","status":400,"code":"OMS.0001","message":"bad key"}]}"#;
    let stage = on_real(broker, faults);
    let keys: Vec<String> = (0..10).map(|n| format!("{}/{n}", if n < 3 { "refuse" } else { "take" })).collect();
    let mixed = serde_json::json!({"sync_task_id": "task-0", "keys": keys}).to_string();
    let poison = "no JSON at all".to_owned();
    let lost_bucket = r#"{"bucket":"nobody","key":"k"}"#.to_owned();
    let deleted = r#"{"bucket":"bucket-0","key":"gone","event":"deleted"}"#.to_owned();
    produce(&stage.servers, &stage.topic, 0, [mixed.clone(), poison.clone(), lost_bucket.clone(), deleted]);
    let worker = stage.worker(&[]);
    wait_until("lag is 0 in every partition", || stage.is_settled());
    assert_eq!(stage.accepted(), 7);
    let mut found = letters(&stage);
    found.sort_by_key(|(_, headers)| header(headers, "offset").unwrap().to_owned());
    let told: Vec<_> = found
        .iter()
        .map(|(value, headers)| {
            let value = String::from_utf8(value.clone().unwrap()).unwrap();
            let keys: Option<BTreeSet<String>> =
                header(headers, "failed-keys").map(|keys| serde_json::from_str(keys).unwrap());
            (value, header(headers, "stage").unwrap(), keys)
        })
        .collect();
    let keys = |keys: &[&str]| Some(keys.iter().map(|key| (*key).to_owned()).collect());
    assert_eq!(
        told,
        [
            (mixed, "submit", keys(&["refuse/0", "refuse/1", "refuse/2"])),
            (poison, "decode", None),
            (lost_bucket, "route", keys(&["k"])),
        ]
    );
    let headers = &found[0].1;
    for (name, value) in [("task-id", "task-0"), ("http-status", "400"), ("error-code", "OMS.0001")] {
        assert_eq!(header(headers, name), Some(value));
    }
    let settled = |outcome: &str| {
        let series = format!("oms_sync_records_settled_total{{outcome=\"{outcome}\",topic=\"{}\"}}", stage.topic);
        worker.metric(&series)
    };
    wait_until("the metrics agree", || settled("dead_lettered") == Some(3.0) && settled("skipped") == Some(1.0));
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn without_its_dead_letter_topic_the_commit_point_waits_and_readiness_says_why() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("objects");
    create_topic(&broker.servers, &topic, 1, &[]);
    let stage = Stage::on(&broker.servers, &topic, 1, "{}");
    produce(&stage.servers, &stage.topic, 0, ["no JSON at all".to_owned()]);
    let worker = stage.worker(&[]);
    let failures = "oms_sync_dead_letter_failures_total ";
    wait_until("writing fails", || worker.metric(failures).is_some_and(|failed| failed > 0.0));
    let (status, reasons) = worker.get("/readyz");
    assert!(status == 503 && reasons.contains(&format!("{topic}.dlq")), "{status} {reasons}");
    assert!(!stage.is_settled());
    create_topic(&broker.servers, &format!("{topic}.dlq"), 1, &[]);
    wait_until("lag is 0", || stage.is_settled());
    worker.wait_until_ready();
    assert_eq!(letters(&stage).len(), 1);
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn wrong_credentials_hold_the_worker_after_one_failed_signature() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(200);
    let worker = stage.worker(&[("HUAWEICLOUD_SDK_SK", "wrong")]);
    wait_until("it holds", || worker.metric(r#"oms_sync_hold{reason="credentials",task=""}"#) == Some(1.0));
    assert!(worker.has_logged("hold: nothing but probes is sent"));
    assert!(worker.has_logged("check the access key"));
    assert_eq!(worker.get("/readyz").0, 200, "a hold is told, and is not unreadiness");
    let (_, status) = worker.get("/status");
    assert!(status.contains(r#""reason":"credentials""#), "{status}");
    let refused = format!("oms_sync_dead_letters_total{{reason=\"refused\",topic=\"{}\"}}", stage.topic);
    assert_eq!(worker.metric(&refused), Some(0.0), "an alert sees the first dead letter");
    assert_eq!(worker.terminate(), 0, "what is held is left to the next worker");
    assert_eq!(stage.simulator.ledger().totals.failed_signatures, 1);
    assert!(letters(&stage).is_empty(), "nothing is dead-lettered in a hold");
    assert!(!stage.is_settled());
}

#[test]
fn an_outage_of_oms_is_waited_out() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"rules":[{"status":503}]}"#);
    stage.generate(500);
    let quick = [("OMS_SYNC__RETRY__MAX", "1s"), ("OMS_SYNC__RETRY__INITIAL", "50ms")];
    let worker = stage.worker(&quick);
    wait_until("it is told", || worker.has_logged("OMS does not take this task's events now"));
    assert_eq!(stage.accepted(), 0);
    stage.faults(r#"{"rules":[]}"#);
    wait_until("lag is 0", || stage.is_settled());
    stage.check_ledger();
    assert!(letters(&stage).is_empty());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn sigterm_settles_what_is_under_way_and_repeats_nothing() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"latency":"200ms"}"#);
    stage.generate(3_000);
    let worker = stage.worker(&[]);
    wait_until("requests are out", || stage.simulator.ledger().totals.requests > 20);
    assert_eq!(worker.terminate(), 0);
    let next = stage.worker(&[]);
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(stage.check_ledger(), 0);
    assert_eq!(next.terminate(), 0);
}

#[test]
fn a_request_without_an_answer_ends_the_drain_with_3() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"rules":[{"failure":"hang"}]}"#);
    stage.generate(20);
    let worker = stage.worker(&[("OMS_SYNC__SHUTDOWN__DRAIN_TIMEOUT", "1s")]);
    wait_until("a request is out", || stage.simulator.ledger().totals.requests > 0);
    assert_eq!(worker.terminate(), 3);
}

#[test]
fn a_second_signal_ends_at_once_with_3() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"rules":[{"failure":"hang"}]}"#);
    stage.generate(20);
    let mut worker = stage.worker(&[]);
    wait_until("a request is out", || stage.simulator.ledger().totals.requests > 0);
    worker.signal("TERM");
    wait_until("it drains", || worker.has_logged("asked to end"));
    worker.signal("INT");
    assert_eq!(worker.exit_code(), 3);
}

#[test]
fn without_kafka_it_is_live_not_ready_says_why_and_ends_when_told() {
    let stage = Stage::on("127.0.0.1:1", "objects", 1, "{}");
    let worker = stage.worker(&[]);
    wait_until("it says why", || worker.get("/readyz").1.contains("Kafka"));
    assert_eq!(worker.get("/readyz").0, 503);
    assert_eq!(worker.get("/livez").0, 200);
    assert!(worker.log().len() < 30, "no busy loop in the log: {:?}", worker.log());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_wrong_configuration_ends_with_1_and_names_every_problem() {
    let stage = Stage::on("127.0.0.1:1", "objects", 1, "{}");
    let wrong =
        [("OMS_SYNC__EVENTS__LINGER", "200"), ("OMS_SYNC__EVENTS__MAX_KEYS", "11"), ("OMS_SYNC__KAFKA__TOPIC", "t")];
    assert_eq!(stage.worker(&wrong).exit_code(), 1);
}

#[test]
fn a_topic_that_does_not_exist_is_named_until_it_does() {
    let broker = MockBroker::start();
    let topic = unique("objects");
    broker.create_topic(&format!("{topic}.dlq"), 1);
    let stage = Stage::on(&broker.servers(), &topic, 1, "{}");
    let worker = stage.worker(&[]);
    let named = format!("topic {topic} does not exist");
    wait_until("it is named", || worker.get("/readyz").1.contains(&named));
    assert_eq!(worker.get("/readyz").0, 503);
    broker.create_topic(&topic, 1);
    worker.wait_until_ready();
    assert!(worker.log().len() < 30, "no busy loop in the log: {:?}", worker.log());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_wrong_project_holds_the_worker_instead_of_flooding_the_dead_letter_topic() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(300);
    let worker = stage.worker(&[("OMS_SYNC__OMS__PROJECT_ID", "another")]);
    wait_until("it holds", || worker.metric(r#"oms_sync_hold{reason="endpoint",task=""}"#) == Some(1.0));
    assert!(worker.has_logged("wrong oms.project_id or region?"), "{:?}", worker.log());
    assert_eq!(worker.terminate(), 0);
    assert!(letters(&stage).is_empty());
    assert!(!stage.is_settled());
}

#[test]
fn a_task_that_is_gone_is_dead_lettered_and_said_so_once() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"remove_tasks":["task-1"]}"#);
    stage.generate(400);
    let worker = stage.worker(&[]);
    wait_until("lag is 0", || stage.is_settled());
    let letters = letters(&stage);
    assert_eq!(letters.len(), 100, "one record in four is of that task");
    assert!(letters.iter().all(|(_, headers)| header(headers, "reason") == Some("task_not_found")));
    let said = worker.log().iter().filter(|line| line.contains("OMS refuses keys of this task for good")).count();
    assert_eq!(said, 1, "one line, not one a record");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_drain_reads_no_more() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"rules":[{"failure":"hang"}]}"#);
    stage.generate(20_000);
    let worker = stage.worker(&[("OMS_SYNC__LIMITS__MAX_UNSETTLED_CHANGES", "500")]);
    let consumed = format!("oms_sync_records_consumed_total{{topic=\"{}\"}}", stage.topic);
    wait_until("the budget is spent", || worker.get("/status").1.contains(r#""reading_waits":true"#));
    let before = worker.metric(&consumed).unwrap();
    worker.signal("TERM");
    wait_until("it drains", || worker.get("/readyz").1.contains("draining"));
    let within = std::time::Instant::now();
    wait_until("three seconds have passed", || within.elapsed() > Duration::from_secs(3));
    assert_eq!(worker.metric(&consumed), Some(before));
}
