//! Whole workers and their credentials: wrong ones, revoked ones, others while they run.

use super::{credential, http, metadata, swap};
use crate::brokers::MockBroker;
use crate::stage::wait_until;
use crate::worker::on_mock;

const REVOKED: &str = r#"{"latency":"1s","rules":[{"status":401,"code":"APIGW.0301","all_requests":true}]}"#;

#[test]
fn keys_revoked_with_64_requests_out_cost_these_and_two_more() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"latency":"100ms"}"#);
    stage.generate(20_000);
    let quick = [("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "200ms"), ("OMS_SYNC__OMS__MAX_IN_FLIGHT_PER_TASK", "64")];
    let worker = stage.worker(&quick);
    wait_until("it is under way", || stage.accepted() > 1_000);
    stage.faults(REVOKED);
    // With 200 ms between probes the limit is all that keeps the next one back.
    wait_until("the next probe is minutes away", || {
        let status: serde_json::Value = serde_json::from_str(&worker.get("/status").1).unwrap();
        status["hold"]["next_probe_in_seconds"].as_f64().is_some_and(|seconds| seconds > 200.0)
    });
    let failed = stage.simulator.ledger().totals.answers[&401];
    println!("{failed} failed signatures");
    assert!((30..=66).contains(&failed), "64 that were out, and two probes: {failed}");
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stage.simulator.ledger().totals.answers[&401], failed, "nothing that was out is repeated");
}

#[test]
fn a_worker_that_starts_with_wrong_keys_makes_three_failed_signatures() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(2_000);
    let wrong = [("HUAWEICLOUD_SDK_SK", "wrong"), ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "100ms")];
    let worker = stage.worker(&wrong);
    wait_until("the next probe is minutes away", || {
        let status: serde_json::Value = serde_json::from_str(&worker.get("/status").1).unwrap();
        status["hold"]["next_probe_in_seconds"].as_f64().is_some_and(|seconds| seconds > 200.0)
    });
    assert_eq!(stage.simulator.ledger().totals.failed_signatures, 3);
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stage.simulator.ledger().totals.failed_signatures, 3);
}

#[test]
fn the_right_keys_in_a_mounted_secret_end_the_hold_of_the_wrong_ones_at_once() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(500);
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("secret");
    let worker = stage.worker(&[
        ("OMS_SYNC__OMS__CREDENTIALS__SOURCE", "file"),
        ("OMS_SYNC__OMS__CREDENTIALS__DIRECTORY", place.to_str().unwrap()),
        ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "10m"),
    ]);
    let hold = r#"oms_sync_hold{reason="credentials",task=""}"#;
    wait_until("it has none", || worker.metric(hold) == Some(1.0));
    assert!(worker.get("/status").1.contains("access-key is not there"));
    assert_eq!(stage.simulator.ledger().totals.requests, 0);
    std::fs::create_dir(&place).unwrap();
    swap(&place, "1", "AK", "wrong");
    wait_until("they are tried", || stage.simulator.ledger().totals.failed_signatures == 1);
    swap(&place, "2", "AK", "SK");
    wait_until("lag is 0", || stage.is_settled());
    stage.check_ledger();
    assert_eq!(stage.simulator.ledger().totals.failed_signatures, 1);
    wait_until("the hold is over", || worker.metric(hold) == Some(0.0));
    let log = worker.log().concat();
    assert!(!log.contains("wrong\"") && log.contains("credentials obtained"), "{log}");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_worker_on_an_ecs_says_when_its_credentials_expire() {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, "{}");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (url, _) = metadata(|| http(200, "", &credential(3600))).await;
            tell.send(url).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let url = told.recv().unwrap();
    let worker = stage.worker(&[
        ("HUAWEICLOUD_SDK_AK", ""),
        ("HUAWEICLOUD_SDK_SK", ""),
        ("OMS_SYNC__OMS__CREDENTIALS__DIRECTORY", "/nonexistent"),
        ("OMS_SYNC__OMS__CREDENTIALS__METADATA_ENDPOINT", &url),
    ]);
    let expiry = "oms_sync_credentials_expiry_timestamp_seconds ";
    wait_until("its expiry is shown", || worker.metric(expiry).is_some_and(|at| at > 1_700_000_000.0));
    wait_until("its source is shown", || worker.get("/status").1.contains(r#""source":"ecs""#));
    let shown = [worker.log().concat(), worker.get("/status").1, worker.get("/metrics").1].concat();
    for secret in ["TAK", "TSK", "TTOKEN", "META-TOKEN"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(worker.terminate(), 0);
}
