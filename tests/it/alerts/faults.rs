//! The faults, each with its worker, topic, broker and OMS. A fault function begins with all in order, and ends with all in
//! order again and its alerts over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::Job;
use super::means::{Feed, record};
use crate::brokers::{self, MockBroker, produce};
use crate::credentials::{credential, http, metadata, swap};
use crate::frozen::Frozen;
use crate::group::Group;
use crate::stage::{Stage, WorkerProcess, wait_until};
use crate::worker::{on_mock, on_real};

type Fault = fn(&Job<'_>);

/// Name of the job, the fault, and all alerts that it makes.
pub(super) const ALL: [(&str, Fault, &[&str]); 13] = [
    (
        "tasks",
        tasks,
        &[
            "OmsSyncTaskStopped",
            "OmsSyncTaskNotPermitted",
            "OmsSyncTaskUnknown",
            "OmsSyncDeadLetters",
            "OmsSyncKeysKeepFailing",
        ],
    ),
    ("holds", holds, &["OmsSyncHold"]),
    ("quota", quota, &["OmsSyncThrottled", "OmsSyncLagGrowing"]),
    ("outage", outage, &["OmsSyncNotProgressing"]),
    ("stall", stall, &["OmsSyncStalled"]),
    ("retention", retention, &["OmsSyncRecordsGone"]),
    ("commits", commits, &["OmsSyncCommitsFailing"]),
    ("letters", letters, &["OmsSyncDeadLetterTopicFailing", "OmsSyncDeadLetters"]),
    ("breaker", breaker, &["OmsSyncDeadLetterBreakerOpen", "OmsSyncDeadLetters"]),
    ("members", members, &["OmsSyncRebalanceStorm"]),
    ("expiry", expiry, &["OmsSyncCredentialsExpiring"]),
    ("memory", memory, &["OmsSyncMemoryNearLimit"]),
    ("gone", gone, &["OmsSyncReplicaDown", "OmsSyncDown", "OmsSyncNoPartitions"]),
];

/// Pauses that fit rules in a hurry.
const QUICK: [(&str, &str); 3] = [
    ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "1s"),
    ("OMS_SYNC__RETRY__INITIAL", "50ms"),
    ("OMS_SYNC__RETRY__MAX", "1s"),
];

fn worker(job: &Job<'_>, stage: &Stage, extra: &[(&str, &str)]) -> WorkerProcess {
    let worker = stage.worker(&[&QUICK, extra].concat());
    worker.wait_until_ready();
    job.prometheus.scrape(job.name, &[&worker.admin()]);
    worker
}

/// One task is stopped, one forbidden, one deleted; of the fourth one key gets 500 and one is refused.
fn tasks(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let _worker = worker(job, &stage, &[]);
    let _feed = Feed::start(&stage, 3, Duration::from_millis(200));
    wait_until("it works", || stage.accepted() > 5);
    stage.faults(
        r#"{"tasks":[{"id":"task-0","status":"STOPPED"}],"remove_tasks":["task-2"],"rules":[
            {"task":"task-1","status":403},{"keys":"lone","status":500},{"keys":"refused","status":400,"code":"OMS.0001"}]}"#,
    );
    let records = [record(0, "a"), record(1, "b"), record(2, "c"), record(3, "lone"), record(3, "refused")];
    produce(&stage.servers, &stage.topic, 0, records);
    job.fires("OmsSyncTaskUnknown", &[("topic", &stage.topic)]);
    job.fires("OmsSyncDeadLetters", &[("topic", &stage.topic), ("reason", "refused")]);
    job.fires("OmsSyncTaskNotPermitted", &[("task", "task-1")]);
    job.fires("OmsSyncTaskStopped", &[("task", "task-0")]);
    stage.faults(r#"{"tasks":[{"id":"task-0"},{"id":"task-2"}],"rules":[{"keys":"lone","status":500}]}"#);
    job.is_over("OmsSyncTaskNotPermitted");
    job.is_over("OmsSyncTaskStopped");
    job.is_over("OmsSyncTaskUnknown");
    job.is_over("OmsSyncDeadLetters");
    job.fires("OmsSyncKeysKeepFailing", &[("task", "task-3")]);
    stage.faults(r#"{"rules":[]}"#);
    job.is_over("OmsSyncKeysKeepFailing");
    job.has_told_all();
}

/// A wrong secret key, then a frozen account, then another server in the place of OMS.
fn holds(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::create_dir(&secret).unwrap();
    swap(&secret, "1", "AK", "wrong");
    let files = [
        ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "20s"), // three failed signatures, and it would wait for five minutes
        ("HUAWEICLOUD_SDK_AK", ""),
        ("HUAWEICLOUD_SDK_SK", ""),
        ("OMS_SYNC__OMS__CREDENTIALS__SOURCE", "file"),
        ("OMS_SYNC__OMS__CREDENTIALS__DIRECTORY", secret.to_str().unwrap()),
    ];
    let _worker = worker(job, &stage, &files);
    let _feed = Feed::start(&stage, 0, Duration::from_secs(1));
    job.fires("OmsSyncHold", &[("reason", "credentials")]);
    swap(&secret, "2", "AK", "SK");
    job.is_over("OmsSyncHold");
    for (reason, rule) in [
        ("account", r#"{"status":400,"code":"OMS.0072"}"#),
        ("endpoint", r#"{"status":404,"body":"nothing of that name"}"#),
    ] {
        stage.faults(&format!(r#"{{"rules":[{rule}]}}"#));
        job.fires("OmsSyncHold", &[("reason", reason)]);
        stage.faults(r#"{"rules":[]}"#);
        job.is_over("OmsSyncHold");
    }
    job.has_told_all();
}

/// More is written than the quota lets through.
fn quota(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, r#"{"requests_per_second":1,"burst":1}"#);
    let _worker = worker(job, &stage, &[]);
    let feed = Feed::start(&stage, 0, Duration::from_millis(15));
    job.fires("OmsSyncThrottled", &[]);
    job.fires("OmsSyncLagGrowing", &[("topic", &stage.topic)]);
    drop(feed);
    stage.faults(r#"{"requests_per_second":0}"#);
    job.is_over("OmsSyncThrottled");
    job.is_over("OmsSyncLagGrowing");
    job.has_told_all();
}

/// OMS answers 503 to everything.
fn outage(job: &Job<'_>) {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    let _worker = worker(job, &stage, &[]);
    stage.generate(100);
    wait_until("it works", || stage.is_settled());
    stage.faults(r#"{"rules":[{"status":503}]}"#);
    stage.generate(100);
    job.fires("OmsSyncNotProgressing", &[]);
    stage.faults(r#"{"rules":[]}"#);
    job.is_over("OmsSyncNotProgressing");
    job.has_told_all();
}

/// The thread that polls Kafka does not run any more.
fn stall(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let worker = worker(job, &stage, &[("OMS_SYNC__SHUTDOWN__STALL_TIMEOUT", "10s")]);
    let frozen = Frozen::threads(worker.id(), "kafka-poll").unwrap();
    job.fires("OmsSyncStalled", &[]);
    drop(frozen);
    job.is_over("OmsSyncStalled");
    job.has_told_all();
}

/// Retention removes records while no worker runs. The first one, which ends, is none of the job's.
fn retention(job: &Job<'_>) {
    let stage = on_real(brokers::real().unwrap(), "{}");
    let first = stage.worker(&QUICK);
    let write = || produce(&stage.servers, &stage.topic, 0, (0..20).map(|n| record(0, &n.to_string())));
    write();
    wait_until("it works", || stage.is_settled());
    assert_eq!(first.terminate(), 0);
    write();
    brokers::delete_records(&stage.servers, &stage.topic, 0, 30);
    let _second = worker(job, &stage, &[]);
    job.fires("OmsSyncRecordsGone", &[("topic", &stage.topic)]);
    job.is_over("OmsSyncRecordsGone");
    job.has_told_all();
}

/// The group's rights to commit are taken away.
fn commits(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let _worker = worker(job, &stage, &[]);
    let _feed = Feed::start(&stage, 0, Duration::from_millis(500));
    wait_until("it works", || stage.accepted() > 5);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    broker.cluster().request_errors(RDKafkaApiKey::OffsetCommit, &[denied; 2_000]);
    job.fires("OmsSyncCommitsFailing", &[]);
    broker.cluster().clear_request_errors(RDKafkaApiKey::OffsetCommit);
    job.is_over("OmsSyncCommitsFailing");
    job.has_told_all();
}

/// The dead-letter topic is forbidden.
fn letters(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let topic = format!("{}.dlq", stage.topic);
    broker.cluster().topic_error(&topic, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let worker = stage.worker(&QUICK);
    job.prometheus.scrape(job.name, &[&worker.admin()]);
    let _feed = Feed::start(&stage, 0, Duration::from_millis(500));
    produce(&stage.servers, &stage.topic, 0, ["no JSON at all".to_owned()]);
    job.fires("OmsSyncDeadLetterTopicFailing", &[]);
    broker.cluster().topic_error(&topic, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    job.is_over("OmsSyncDeadLetterTopicFailing");
    job.fires("OmsSyncDeadLetters", &[("reason", "invalid_json")]);
    job.is_over("OmsSyncDeadLetters");
    job.has_told_all();
}

/// OMS refuses everything, more than the breaker lets through.
fn breaker(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, r#"{"rules":[{"status":400,"code":"OMS.0001"}]}"#);
    let _worker = worker(job, &stage, &[("OMS_SYNC__DEAD_LETTER__BREAKER__MAX_PER_MINUTE", "10")]);
    produce(&stage.servers, &stage.topic, 0, [record(0, "first")]);
    job.fires("OmsSyncDeadLetters", &[("reason", "refused")]);
    produce(&stage.servers, &stage.topic, 0, (0..50).map(|n| record(0, &n.to_string())));
    job.fires("OmsSyncDeadLetterBreakerOpen", &[]);
    stage.faults(r#"{"rules":[]}"#);
    job.is_over("OmsSyncDeadLetterBreakerOpen");
    job.is_over("OmsSyncDeadLetters");
    job.has_told_all();
}

/// A member that comes and goes. The mock cluster takes a minute for some rebalances, so this is for a real broker.
fn members(job: &Job<'_>) {
    let stage = on_real(brokers::real().unwrap(), "{}");
    let soon = [("OMS_SYNC__KAFKA__PROPERTIES", r#"{"heartbeat.interval.ms":"200"}"#)];
    let worker = worker(job, &stage, &soon);
    for _ in 0..10 {
        let partitions = || worker.metric("oms_sync_assigned_partitions ");
        wait_until("it has all partitions", || partitions() == Some(12.0));
        let other = member(&stage);
        wait_until("the other has half of them", || {
            drop(other.poll(Duration::from_millis(100)));
            other.assignment().unwrap().count() == 6 && partitions() == Some(6.0)
        });
    }
    job.fires("OmsSyncRebalanceStorm", &[]);
    job.is_over("OmsSyncRebalanceStorm");
    job.has_told_all();
}

/// Another member of the stage's group, by the same protocol.
fn member(stage: &Stage) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &stage.servers)
        .set("group.id", &stage.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("heartbeat.interval.ms", "200")
        .set("session.timeout.ms", "6000")
        .create()
        .unwrap();
    consumer.subscribe(&[&stage.topic]).unwrap();
    consumer
}

/// A metadata service that gives credentials of two minutes and then none, until it gives some of an hour.
fn expiry(job: &Job<'_>) {
    const FAILS: u16 = 500;
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let lives = Arc::new(AtomicU16::new(120));
    let (tell, told) = std::sync::mpsc::channel();
    let gives = Arc::clone(&lives);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let answer = move || match gives.load(Ordering::Relaxed) {
                FAILS => http(FAILS, "", "no"),
                seconds => http(200, "", &credential(seconds.into())),
            };
            tell.send(metadata(answer).await.0).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let url = told.recv().unwrap();
    let ecs = [
        ("HUAWEICLOUD_SDK_AK", ""),
        ("HUAWEICLOUD_SDK_SK", ""),
        ("OMS_SYNC__OMS__CREDENTIALS__SOURCE", "ecs"),
        ("OMS_SYNC__OMS__CREDENTIALS__METADATA_ENDPOINT", &url),
    ];
    let worker = worker(job, &stage, &ecs);
    wait_until("it has credentials", || worker.metric("oms_sync_credentials_expiry_timestamp_seconds ").is_some());
    lives.store(FAILS, Ordering::Relaxed);
    job.fires("OmsSyncCredentialsExpiring", &[]);
    lives.store(3600, Ordering::Relaxed);
    job.is_over("OmsSyncCredentialsExpiring");
    job.has_told_all();
}

/// The worker's memory limit is hardly more than what it uses.
fn memory(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let worker = worker(job, &stage, &[]);
    let group = Group::of(worker.id());
    let uses = worker.metric("process_resident_memory_bytes ").unwrap();
    group.limit(uses * 1.05);
    wait_until("the limit is shown", || {
        worker.metric("oms_sync_memory_limit_bytes ").is_some_and(|limit| limit < uses * 1.1)
    });
    job.fires("OmsSyncMemoryNearLimit", &[]);
    group.limit(uses * 3.0);
    job.is_over("OmsSyncMemoryNearLimit");
    job.has_told_all();
    drop(worker);
    drop(group);
}

/// Of two workers one is killed, then the other; then Kafka is away while a new one runs.
fn gone(job: &Job<'_>) {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let soon = [("OMS_SYNC__KAFKA__PROPERTIES", r#"{"session.timeout.ms":"6000","heartbeat.interval.ms":"1000"}"#)];
    let (one, two) = (stage.worker(&soon), stage.worker(&soon));
    let addresses = [one.admin(), two.admin()];
    job.prometheus.scrape(job.name, &addresses.each_ref().map(String::as_str));
    one.wait_until_ready();
    two.wait_until_ready();
    drop(one); // SIGKILL
    job.fires("OmsSyncReplicaDown", &[]);
    drop(two);
    job.fires("OmsSyncDown", &[]);
    let new = worker(job, &stage, &soon);
    job.is_over("OmsSyncDown");
    job.is_over("OmsSyncReplicaDown");
    broker.cluster().broker_down(1).unwrap();
    job.fires("OmsSyncNoPartitions", &[]);
    assert_eq!(new.get("/livez").0, 200);
    broker.cluster().broker_up(1).unwrap();
    job.is_over("OmsSyncNoPartitions");
    job.has_told_all();
}
