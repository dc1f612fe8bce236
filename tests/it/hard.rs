//! The hard cases that need a broker, by name: commits that fail, gaps between offsets, a topic made anew, a commit point
//! that retention has passed.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::brokers::{
    self, BOUND, MockBroker, committed, create_topic, delete_records, delete_topic, end_offset, unique,
};
use crate::stage::{Stage, WorkerProcess, wait_until};
use crate::worker::on_mock;

/// A topic of so many partitions with these settings, and its dead-letter topic.
fn on_real(partitions: i32, config: &[(&str, &str)]) -> Option<Stage> {
    let broker = brokers::real()?;
    let topic = unique("objects");
    create_topic(&broker.servers, &topic, partitions, config);
    create_topic(&broker.servers, &format!("{topic}.dlq"), 1, &[]);
    Some(Stage::on(&broker.servers, &topic, partitions, "{}"))
}

/// Records of keys with these numbers, each its own object.
fn produce(stage: &Stage, numbers: std::ops::Range<i64>) {
    let values = numbers.map(|n| format!(r#"{{"bucket":"bucket-0","key":"k{n}"}}"#));
    brokers::produce(&stage.servers, &stage.topic, 0, values);
}

fn is_accepted(stage: &Stage, number: i64) -> bool {
    stage.simulator.ledger().get("task-0", &format!("k{number}")).is_some()
}

#[test]
fn a_commit_that_fails_with_each_of_the_normal_errors_is_counted_and_tried_again() {
    use RDKafkaRespErr::*;
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    let worker = stage.worker(&[("OMS_SYNC__KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "6000")]);
    let count = |outcome: &str| worker.metric(&format!("oms_sync_commits_total{{outcome=\"{outcome}\"}}")).unwrap();
    let mut rounds = 0.0;
    for (error, outcome) in [
        (RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, "fenced"),
        (RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, "fenced"),
        (RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, "fenced"),
        (RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, "failed"),
        (RD_KAFKA_RESP_ERR_NOT_COORDINATOR, "failed"),
        (RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, "failed"),
        (RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, "failed"),
        (RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "failed"),
        (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "failed"),
        (RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "failed"),
    ] {
        stage.generate(30);
        wait_until("the last round is over", || stage.is_settled());
        let before = count("failed") + count("fenced");
        let of_outcome = count(outcome);
        broker.cluster().request_errors(RDKafkaApiKey::OffsetCommit, &[error; 12]); // librdkafka tries some again itself
        stage.generate(30);
        wait_until(&format!("{error:?} is counted"), || count("failed") + count("fenced") > before);
        assert!(count(outcome) > of_outcome, "{error:?} is {outcome}");
        broker.cluster().clear_request_errors(RDKafkaApiKey::OffsetCommit);
        wait_until(&format!("lag is 0 after {error:?}"), || stage.is_settled());
        assert_eq!(worker.get("/livez").0, 200, "{error:?}");
        rounds += 1.0;
    }
    assert!(count("failed") + count("fenced") >= rounds);
    stage.check_ledger();
    assert_eq!(worker.terminate(), 0);
}

/// Writes records of a key each; `None` removes the key.
fn produce_keyed(stage: &Stage, records: &[(&str, Option<&str>)]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &stage.servers).create().unwrap();
    send_keyed(&producer, stage, records);
}

/// The same in a transaction.
fn transact_keyed(stage: &Stage, records: &[(&str, Option<&str>)], commit: bool) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &stage.servers).set("transactional.id", unique("transaction"));
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(BOUND).unwrap();
    producer.begin_transaction().unwrap();
    send_keyed(&producer, stage, records);
    if commit { producer.commit_transaction(BOUND) } else { producer.abort_transaction(BOUND) }.unwrap();
}

fn send_keyed(producer: &BaseProducer, stage: &Stage, records: &[(&str, Option<&str>)]) {
    for (key, value) in records {
        let record = BaseRecord::to(&stage.topic).partition(0).key(*key);
        let record = if let Some(value) = value { record.payload(*value) } else { record };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(BOUND).unwrap();
}

/// The offsets of all records that are left in partition 0.
fn offsets(stage: &Stage) -> Vec<i64> {
    let consumer = brokers::from_beginning(&stage.servers, &stage.topic);
    let mut offsets = Vec::new();
    while let Some(Ok(message)) = consumer.poll(BOUND) {
        offsets.push(message.offset());
    }
    offsets
}

#[test]
fn lag_reaches_0_where_compaction_aborted_transactions_and_control_records_leave_gaps() {
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "200"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "500"),
        ("delete.retention.ms", "1"),
    ];
    let Some(stage) = on_real(1, &compacted) else { return };
    let value = |n: usize| format!(r#"{{"bucket":"bucket-0","key":"c{n}"}}"#);
    for n in 0..50 {
        produce_keyed(&stage, &[("same", Some(&value(n))), ("gone", if n == 49 { None } else { Some("{}") })]);
    }
    wait_until("it is compacted", || {
        produce_keyed(&stage, &[("other", Some(&value(50)))]); // rolls the segment
        std::thread::sleep(Duration::from_millis(300));
        offsets(&stage).first().is_some_and(|first| *first > 90)
    });
    transact_keyed(&stage, &[("t1", Some(&value(51)))], true);
    transact_keyed(&stage, &[("t2", Some(&value(52))), ("t3", Some(&value(53)))], false); // the end is a gap
    let (left, end) = (offsets(&stage), end_offset(&stage.servers, &stage.topic, 0));
    assert!(i64::try_from(left.len()).unwrap() < end - 50, "{} of {end} offsets have a record", left.len());
    let worker = stage.worker(&[]);
    wait_until("the commit point is the end", || stage.is_settled());
    let series = |name: &str| format!("oms_sync_{name}{{partition=\"0\",topic=\"{}\"}}", stage.topic);
    wait_until("lag is told as 0", || worker.metric(&series("lag_records")) == Some(0.0));
    let accepted = |n: usize| stage.simulator.ledger().get("task-0", &format!("c{n}")).is_some();
    assert!(accepted(49) && accepted(50) && accepted(51), "the last of each key, and what was committed");
    assert!(!accepted(52) && !accepted(53), "what was aborted was never written");
    let gone = format!("oms_sync_records_gone_total{{topic=\"{}\"}}", stage.topic);
    assert_eq!(worker.metric(&gone), Some(0.0), "gaps are no loss");
    assert_eq!(worker.get("/livez").0, 200);
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_topic_that_is_deleted_and_made_again_with_the_same_name_is_read_from_its_beginning() {
    let Some(stage) = on_real(1, &[]) else { return };
    let quick = [("OMS_SYNC__KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS", "1000")];
    let worker = stage.worker(&quick);
    produce(&stage, 0..300);
    wait_until("the first topic is read", || stage.is_settled());
    // At once: the worker may not even notice that it was away.
    delete_topic(&stage.servers, &stage.topic);
    create_topic(&stage.servers, &stage.topic, 1, &[]);
    produce(&stage, 1_000..1_050);
    wait_until("the second topic is read from its beginning", || (1_000..1_050).all(|n| is_accepted(&stage, n)));
    wait_until("lag is 0", || stage.is_settled());
    // For long: the worker notices.
    delete_topic(&stage.servers, &stage.topic);
    wait_until("it notices", || worker.get("/readyz").1.contains(&stage.topic));
    assert_eq!(worker.get("/livez").0, 200);
    create_topic(&stage.servers, &stage.topic, 1, &[]);
    produce(&stage, 2_000..2_100);
    wait_until("the third topic is read from its beginning", || (2_000..2_100).all(|n| is_accepted(&stage, n)));
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(committed(&stage.servers, &stage.group, &stage.topic, 1), [Some(100)]);
    worker.wait_until_ready();
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_topic_made_again_while_records_of_the_old_one_are_unanswered_loses_none_of_the_new_one() {
    let Some(stage) = on_real(1, &[]) else { return };
    let quick = [("OMS_SYNC__KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS", "1000")];
    let worker = stage.worker(&quick);
    produce(&stage, 0..300);
    wait_until("the first topic is read", || stage.is_settled());
    stage.faults(r#"{"rules":[{"status":503}]}"#);
    produce(&stage, 300..400);
    wait_until("they wait", || {
        worker.get("/status").1.contains(r#""pending_keys":"#) && stage.simulator.ledger().totals.requests > 30
    });
    delete_topic(&stage.servers, &stage.topic);
    create_topic(&stage.servers, &stage.topic, 1, &[]);
    produce(&stage, 1_000..1_020);
    stage.faults(r#"{"rules":[]}"#);
    wait_until("the new topic is read", || (1_000..1_020).all(|n| is_accepted(&stage, n)));
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(committed(&stage.servers, &stage.group, &stage.topic, 1), [Some(20)]);
    assert_eq!(worker.terminate(), 0);
}

/// What is gone as the metric tells it.
fn gone(stage: &Stage, worker: &WorkerProcess) -> Option<f64> {
    worker.metric(&format!("oms_sync_records_gone_total{{topic=\"{}\"}}", stage.topic))
}

const LOUD: &str = "Kafka has not got the records at the commit point any more";

#[test]
fn a_commit_point_that_retention_passed_is_told_and_counted_and_reading_goes_on_by_policy() {
    let Some(stage) = on_real(1, &[]) else { return };
    let worker = stage.worker(&[]);
    produce(&stage, 0..10);
    wait_until("it is read", || stage.is_settled());
    assert_eq!(gone(&stage, &worker), Some(0.0), "it is there from the start, so that an alert sees the first one");
    assert_eq!(worker.terminate(), 0);

    produce(&stage, 10..110);
    delete_records(&stage.servers, &stage.topic, 0, 70);
    let worker = stage.worker(&[]);
    wait_until("what is left is read", || stage.is_settled());
    wait_until("it is counted", || gone(&stage, &worker) > Some(0.0));
    assert_eq!(gone(&stage, &worker), Some(60.0));
    assert!(worker.has_logged(LOUD) && worker.has_logged(r#""from":10,"to":70,"gone":60"#), "{:?}", worker.log());
    assert!(!is_accepted(&stage, 69) && (70..110).all(|n| is_accepted(&stage, n)));
    assert_eq!(worker.terminate(), 0);

    produce(&stage, 110..160);
    delete_records(&stage.servers, &stage.topic, 0, 120);
    let worker = stage.worker(&[("OMS_SYNC__KAFKA__OUT_OF_RANGE", "latest")]);
    worker.wait_until_ready();
    let mut next = 160;
    wait_until("what comes from now on is read", || {
        produce(&stage, next..next + 1);
        next += 1;
        (160..next).any(|n| is_accepted(&stage, n))
    });
    wait_until("it is counted", || gone(&stage, &worker) > Some(0.0));
    let first = (160..next).find(|n| is_accepted(&stage, *n)).unwrap();
    assert_eq!(gone(&stage, &worker), Some(f64::from(i32::try_from(first - 110).unwrap())));
    assert!(worker.has_logged(LOUD) && !is_accepted(&stage, 159));
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(worker.terminate(), 0);

    let at = i64::from(u32::try_from(end_offset(&stage.servers, &stage.topic, 0)).unwrap());
    produce(&stage, next..next + 20);
    delete_records(&stage.servers, &stage.topic, 0, at + 10);
    let mut worker = stage.worker(&[("OMS_SYNC__KAFKA__OUT_OF_RANGE", "fail")]);
    assert_eq!(worker.exit_code(), 2);
    assert_eq!(committed(&stage.servers, &stage.group, &stage.topic, 1), [Some(at)], "nothing is decided for the user");
}
