//! Steps that never end, put into a running worker where the real ones are; and what `/livez` says of them.

#![expect(clippy::disallowed_methods, reason = "tests bound their waits by the clock")]

use std::future::pending;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::io::dead_letter::DELIVERY_TIMEOUT;
use crate::pipeline::Assigned;
use crate::pipeline::intake::{Incoming, Reject, RejectStage};
use crate::pipeline::key::{EncodedKey, KeyEncoding};
use crate::pipeline::partition::PartitionName;
use crate::pipeline::time::Time;

const STALL: Duration = Duration::from_mins(5);
const SECOND: Duration = Duration::from_secs(1);

/// A worker whose Kafka and OMS nobody answers for.
fn worker() -> Worker {
    let variables = [
        ("OMS_SYNC__KAFKA__BROKERS", "127.0.0.1:1"),
        ("OMS_SYNC__KAFKA__TOPICS", "t"),
        ("OMS_SYNC__OMS__ENDPOINT", "http://127.0.0.1:1"),
        ("OMS_SYNC__OMS__PROJECT_ID", "project"),
        ("OMS_SYNC__ROUTES", r#"[{"task":"task","bucket":"bucket"}]"#),
        ("OMS_SYNC__EVENTS__LINGER", "0s"),
        ("OMS_SYNC__ADMIN__LISTEN", "127.0.0.1:0"),
        ("HUAWEICLOUD_SDK_AK", "AK"),
        ("HUAWEICLOUD_SDK_SK", "SK"),
    ];
    let loaded = crate::config::load(None, variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let mut worker = Worker::start(&loaded.config).unwrap();
    let name = PartitionName { topic: "t".into(), partition: 0 };
    worker.step(Input::Assigned(vec![Assigned { name, epoch: 1, committed: Some(0) }]));
    worker
}

/// A record: with a key for the task, with one that has no route, or with nothing.
fn read(worker: &mut Worker, keys: usize, rejects: usize) {
    let record = Record::at("t", 0, 0);
    let key = EncodedKey::encode("key", KeyEncoding::Percent).unwrap();
    let changes = (0..keys).map(|_| (TaskId::new("task").unwrap(), key.clone())).collect();
    let reject = Reject { stage: RejectStage::Route, reason: "no_route", key: Some("key".into()) };
    worker.step(Input::Records(vec![(1, Incoming::new(&record, changes, vec![reject; rejects]))]));
}

async fn livez(worker: &Worker) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(worker.admin_addr()).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Looks every second of that time, which need not pass. The Kafka client is well meanwhile.
fn look_for(worker: &mut Worker, from: Time, time: Duration) -> Time {
    let mut now = from;
    while now.since(from) < time {
        now = now.after(SECOND);
        worker.publisher.delivers(None, now);
        let report = worker.pipeline.report();
        worker.publisher.publish(&report, &worker.credentials, now, now);
    }
    now
}

/// What hangs is found only when its own timeout and the stall timeout have passed, and `/livez` says what.
async fn check(worker: &mut Worker, own: Duration, reason: &str) {
    let now = look_for(worker, worker.clock.now(), (own + STALL).saturating_sub(2 * SECOND));
    assert_eq!(livez(worker).await, (200, "ok\n".to_owned()));
    look_for(worker, now, 4 * SECOND);
    let (status, body) = livez(worker).await;
    assert_eq!(status, 503);
    assert!(body.starts_with(reason) && body.ends_with(" s\n"), "{body}");
}

#[tokio::test]
async fn a_submitter_that_never_answers_fails_liveness_with_the_reason() {
    let mut worker = worker();
    read(&mut worker, 1, 0);
    assert_eq!(worker.submissions.len(), 1);
    worker.submissions = std::iter::once::<BoxFuture<'static, Answered>>(Box::pin(pending())).collect();
    check(&mut worker, Duration::from_secs(30), "a request to OMS has no end for ").await;
}

#[tokio::test]
async fn a_delivery_report_that_never_comes_fails_liveness_with_the_reason() {
    let mut worker = worker();
    read(&mut worker, 0, 1);
    assert_eq!(worker.letters.len(), 1);
    worker.letters = std::iter::once::<BoxFuture<'static, Written>>(Box::pin(pending())).collect();
    check(&mut worker, DELIVERY_TIMEOUT, "a dead letter has no delivery report for ").await;
}

#[tokio::test]
async fn a_commit_without_a_result_fails_liveness_with_the_reason() {
    let mut worker = worker();
    read(&mut worker, 0, 0); // settled at once; the commit's result is never taken from the channel
    assert!(worker.pipeline.report().commit_since.is_some());
    check(&mut worker, Duration::from_mins(2), "a commit has no result for ").await;
}

#[tokio::test]
async fn a_consumer_that_stops_delivering_fails_liveness_with_the_reason_and_is_forgiven_once_it_delivers() {
    let mut worker = worker();
    let since = worker.clock.now();
    let at = PartitionName { topic: "t".into(), partition: 3 };
    let wait = crate::io::consumer::Undelivered {
        symptom: crate::io::consumer::Symptom::NotDelivered(at),
        since: Instant::now(),
    };
    worker.happened(ConsumerEvent::Delivers(Some(wait.clone()))).unwrap();
    let mut now = since;
    while now.since(since) < STALL + Duration::from_mins(2) + 2 * SECOND {
        let report = worker.pipeline.report();
        worker.publisher.publish(&report, &worker.credentials, now, now);
        assert!(now != since || livez(&worker).await.0 == 200);
        now = now.after(SECOND);
        worker.publisher.delivers(Some((stall::describe(&wait), since)), now);
    }
    let (status, body) = livez(&worker).await;
    assert!(status == 503 && body.starts_with("records of t[3] are there and not delivered for "), "{status} {body}");
    look_for(&mut worker, now, SECOND);
    assert_eq!(livez(&worker).await.0, 200);
}
