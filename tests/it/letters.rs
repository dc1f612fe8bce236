//! Dead letters when writing them goes wrong: too large for their topic, no topic, no rights, no broker, a worker that is
//! killed, and too many of them. Never is one lost, and never does its partition stand still for good.

use std::collections::BTreeSet;
use std::process::Command;

use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

use crate::brokers::{self, MockBroker, create_topic, delete_records, delete_topic, end_offset, produce, unique};
use crate::stage::{Stage, WorkerProcess, wait_until};

const FAILURES: &str = "oms_sync_dead_letter_failures_total ";

/// A topic that takes 32 MiB, and a dead-letter topic with these settings.
fn on_real(faults: &str, dead_letter_topic: &[(&str, &str)]) -> Option<Stage> {
    let broker = brokers::real()?;
    let topic = unique("objects");
    create_topic(&broker.servers, &topic, 1, &[("max.message.bytes", "33554432")]);
    create_topic(&broker.servers, &format!("{topic}.dlq"), 1, dead_letter_topic);
    Some(Stage::on(&broker.servers, &topic, 1, faults))
}

fn on_mock(broker: &MockBroker) -> Stage {
    let topic = unique("objects");
    broker.create_topic(&topic, 1);
    broker.create_topic(&format!("{topic}.dlq"), 1);
    Stage::on(&broker.servers(), &topic, 1, "{}")
}

fn dlq(stage: &Stage) -> String {
    format!("{}.dlq", stage.topic)
}

fn output(stage: &Stage, command: &str, args: &[&str]) -> String {
    let mut process = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
    let place = ["--brokers", &stage.servers, "--topic", &dlq(stage)];
    let output = process.env_clear().args(["dead-letters", command]).args(place).args(args).output().unwrap();
    assert!(output.status.success(), "{command} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn list(stage: &Stage) -> Vec<Value> {
    let lines = output(stage, "list", &["--format", "json", "--limit", "100000"]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ten thousand keys of 1 KiB, which no compression makes small.
fn long_keys() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..10_000).map(|_| std::iter::repeat_with(|| random.alphanumeric()).take(1_024).collect()).collect()
}

/// The failed keys of all letters, each once.
fn failed_keys(letters: &[Value]) -> BTreeSet<String> {
    let all = letters.iter().flat_map(|letter| letter["failed_keys"].as_array().unwrap());
    let mut keys = BTreeSet::new();
    for key in all {
        assert!(keys.insert(key.as_str().unwrap().to_owned()), "a key is in one letter only");
    }
    keys
}

fn settles(stage: &Stage, worker: &WorkerProcess) {
    wait_until("lag is 0", || stage.is_settled());
    wait_until("it is ready", || worker.get("/readyz").0 == 200);
}

/// Ten thousand long keys without a route, on a dead-letter topic with that limit: all are listed and replayed.
fn without_a_route(max_message_bytes: &str) {
    let Some(stage) = on_real("{}", &[("max.message.bytes", max_message_bytes)]) else { return };
    let worker = stage.worker(&[]);
    let keys = long_keys();
    produce(&stage.servers, &stage.topic, 0, [serde_json::json!({"bucket": "elsewhere", "keys": keys}).to_string()]);
    settles(&stage, &worker);
    let letters = list(&stage);
    assert_eq!(failed_keys(&letters), keys.iter().cloned().collect());
    assert!(letters.iter().all(|letter| letter["omitted"] == "value, headers"), "{max_message_bytes}");
    assert!(letters.iter().all(|letter| letter["source_offset"] == 0 && letter["reason"] == "no_route"));
    println!("{max_message_bytes}: {} letters", letters.len());
    assert_eq!(worker.terminate(), 0);

    let done = output(&stage, "replay", &[]);
    assert!(done.contains("with 10000 failed keys") && done.contains("0 are left"), "{done}");
    let route = r#"[{"task":"task-0","bucket":"elsewhere"}]"#;
    let worker = stage.worker(&[("OMS_SYNC__ROUTES", route)]);
    settles(&stage, &worker);
    assert_eq!(stage.accepted(), 10_000, "the keys are those of the record, each once");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn ten_thousand_long_keys_fit_a_dead_letter_topic_of_64_kib() {
    without_a_route("65536");
}

#[test]
fn ten_thousand_long_keys_fit_a_dead_letter_topic_of_the_default_size() {
    without_a_route("1048588");
}

#[test]
fn keys_that_oms_refused_are_replayed_from_their_letters_alone() {
    let Some(stage) = on_real(r#"{"remove_tasks":["task-1"]}"#, &[("max.message.bytes", "65536")]) else { return };
    let worker = stage.worker(&[]);
    let keys: Vec<_> = long_keys().into_iter().take(200).collect();
    produce(&stage.servers, &stage.topic, 0, [serde_json::json!({"bucket": "bucket-1", "keys": keys}).to_string()]);
    settles(&stage, &worker);
    let letters = list(&stage);
    assert_eq!((letters.len(), failed_keys(&letters).len()), (7, 200));
    delete_records(&stage.servers, &stage.topic, 0, 1);
    stage.faults(r#"{"tasks":[{"id":"task-1","bucket":"bucket-1"}]}"#);
    let done = output(&stage, "replay", &[]);
    assert!(done.contains("replayed 7 dead letters with 200 failed keys (0 as whole records)"), "{done}");
    let accepted = |key: &String| {
        let key = EncodedKey::encode(key, KeyEncoding::Percent).unwrap();
        stage.simulator.ledger().get("task-1", key.as_str()).is_some()
    };
    wait_until("every key is accepted", || keys.iter().all(accepted));
    settles(&stage, &worker);
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_large_record_that_cannot_be_read_is_replayed_while_its_source_is_there_and_left_after_that() {
    let Some(stage) = on_real("{}", &[]) else { return };
    let worker = stage.worker(&[]);
    let value: String = std::iter::repeat_with(fastrand::alphanumeric).take(3 << 20).collect();
    produce(&stage.servers, &stage.topic, 0, [value.clone(), "no JSON".to_owned()]);
    settles(&stage, &worker);
    assert!(worker.has_logged("max.message.bytes"), "{:?}", worker.log());
    assert!(worker.metric(FAILURES).unwrap() >= 1.0);
    let mut letters = list(&stage);
    letters.sort_by_key(|letter| letter["source_offset"].as_i64());
    let omitted: Vec<_> = letters.iter().map(|letter| letter["omitted"].as_str()).collect();
    assert_eq!(omitted, [Some("value"), None], "a small letter beside it is whole");
    assert_eq!(worker.terminate(), 0);

    let done = output(&stage, "replay", &[]);
    assert!(done.contains("replayed 2 dead letters") && done.contains("(2 as whole records)"), "{done}");
    assert_eq!(end_offset(&stage.servers, &stage.topic, 0), 4);
    delete_records(&stage.servers, &stage.topic, 0, 2);
    let left = output(&stage, "replay", &["--again"]);
    assert!(left.contains("cannot be read: the partition holds 2 to 4"), "{left}");
    assert!(left.contains("replayed 1 dead letters") && left.contains("1 are left"), "{left}");
}

#[test]
fn a_dead_letter_topic_that_is_deleted_is_named_and_written_to_once_it_is_made_again() {
    let Some(stage) = on_real("{}", &[]) else { return };
    let worker = stage.worker(&[]);
    produce(&stage.servers, &stage.topic, 0, ["first".to_owned()]);
    settles(&stage, &worker);
    delete_topic(&stage.servers, &dlq(&stage));
    produce(&stage.servers, &stage.topic, 0, ["second".to_owned()]);
    wait_until("readiness says so", || worker.get("/readyz").1.contains(&dlq(&stage)));
    wait_until("the failure is counted", || worker.metric(FAILURES).is_some_and(|count| count > 0.0));
    assert!(!stage.is_settled(), "the commit point waits");
    create_topic(&stage.servers, &dlq(&stage), 1, &[]);
    settles(&stage, &worker);
    assert_eq!(list(&stage).len(), 1);
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn without_the_right_to_write_the_commit_point_waits_until_it_is_given() {
    let broker = MockBroker::start();
    let stage = on_mock(&broker);
    produce(&stage.servers, &stage.topic, 0, ["no JSON".to_owned()]);
    let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 6];
    broker.cluster().request_errors(RDKafkaApiKey::Produce, &denied);
    let worker = stage.worker(&[("OMS_SYNC__RETRY__MAX", "5s")]); // six refusals, with waits of up to a minute, may take two
    wait_until("readiness says so", || worker.get("/readyz").1.contains("the right WRITE"));
    assert!(worker.metric(FAILURES).unwrap() > 0.0 && !stage.is_settled(), "the commit point waits");
    settles(&stage, &worker);
    assert!(worker.has_logged("dead letters are written again"), "{:?}", worker.log());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_broker_that_is_away_while_letters_are_written_loses_none() {
    let Some(broker) = brokers::own() else { return };
    let topic = unique("objects");
    create_topic(&broker.servers, &topic, 1, &[]);
    create_topic(&broker.servers, &format!("{topic}.dlq"), 1, &[]);
    // Refusals come only after two seconds: the broker is away by then.
    let stage = Stage::on(
        &broker.servers,
        &topic,
        1,
        r#"{"latency":"2s","rules":[{"keys":"*.bad","status":400,"code":"OMS.0001"}]}"#,
    );
    let worker = stage.worker(&[]);
    produce(&stage.servers, &stage.topic, 0, [r#"{"bucket":"bucket-0","key":"x.bad"}"#.to_owned()]);
    wait_until("the request is out", || {
        stage.simulator.ledger().totals.requests > 0 || worker.get("/status").1.contains(r#""in_flight":1"#)
    });
    broker.stop();
    wait_until("the letter waits", || worker.get("/status").1.contains(r#""unacknowledged":1"#));
    wait_until("it fails", || worker.metric(FAILURES).is_some_and(|count| count > 0.0));
    assert_eq!((worker.get("/readyz").0, worker.get("/livez").0), (503, 200));
    broker.start();
    settles(&stage, &worker);
    let letters = list(&stage);
    assert!(!letters.is_empty() && letters.iter().all(|letter| letter["failed_keys"][0] == "x.bad"), "{letters:?}");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_worker_killed_between_acknowledgement_and_commit_doubles_letters_and_loses_none() {
    let Some(stage) = on_real("{}", &[]) else { return };
    let values = (0..50).map(|n| format!(r#"{{"bucket":"elsewhere","key":"k{n}"}}"#));
    produce(&stage.servers, &stage.topic, 0, values);
    let worker = stage.worker(&[("OMS_SYNC__KAFKA__COMMIT_INTERVAL", "1h")]);
    wait_until("letters are acknowledged", || end_offset(&stage.servers, &dlq(&stage), 0) >= 20);
    worker.signal("KILL");
    drop(worker);
    assert!(!stage.is_settled());
    let worker = stage.worker(&[]);
    settles(&stage, &worker);
    let letters = list(&stage);
    let keys: BTreeSet<_> = letters.iter().map(|letter| letter["failed_keys"][0].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 50, "none is lost");
    assert!(letters.len() >= 70, "what was acknowledged and not committed is there twice: {}", letters.len());
    let done = output(&stage, "replay", &["--dry-run"]);
    assert!(done.contains("would replay 50 dead letters with 50 failed keys"), "a double goes once: {done}");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn an_open_breaker_keeps_letters_back_says_so_and_ends_by_itself_once_oms_takes_the_keys() {
    let Some(stage) = on_real(r#"{"rules":[{"keys":"*.bad","status":400,"code":"OMS.0001"}]}"#, &[]) else { return };
    let settings = [
        ("OMS_SYNC__DEAD_LETTER__BREAKER", r#"{"max_per_minute":5}"#),
        ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "1s"),
        ("OMS_SYNC__ADMIN__UNREADY_ON_HOLD", "true"),
    ];
    let worker = stage.worker(&settings);
    produce(&stage.servers, &stage.topic, 0, (0..200).map(|n| format!(r#"{{"bucket":"bucket-0","key":"{n}.bad"}}"#)));
    produce(&stage.servers, &stage.topic, 0, [r#"{"bucket":"bucket-1","key":"good"}"#.to_owned()]);
    let open = "oms_sync_dead_letter_breaker_open ";
    wait_until("it opens", || worker.metric(open) == Some(1.0));
    wait_until("other keys go on", || stage.accepted() == 1);
    let waiting = || {
        let status: Value = serde_json::from_str(&worker.get("/status").1).unwrap();
        status["dead_letters"]["waiting_at_breaker"].as_u64().unwrap()
    };
    wait_until("all others wait, but for a probe", || waiting() >= 194);
    assert!(worker.has_logged("dead-letter breaker opened") && worker.has_logged("raise"), "{:?}", worker.log());
    let (status, reasons) = worker.get("/readyz");
    assert!(status == 503 && reasons.contains("max_per_minute is 5"), "{reasons}");
    assert_eq!(worker.get("/livez").0, 200);
    assert!(end_offset(&stage.servers, &dlq(&stage), 0) <= 5);
    assert_eq!(worker.terminate(), 0, "a drain does not wait for them");
    assert!(!stage.is_settled());

    let worker = stage.worker(&settings);
    wait_until("it opens again", || worker.metric(open) == Some(1.0));
    stage.faults(r#"{"rules":[]}"#);
    wait_until("every key ends accepted", || stage.is_settled());
    let written = end_offset(&stage.servers, &dlq(&stage), 0);
    assert!(written <= 10, "{written} letters");
    assert!(stage.accepted() >= 191, "all but those letters");
    assert_eq!(worker.terminate(), 0);
}
