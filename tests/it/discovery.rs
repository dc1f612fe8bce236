//! `routes: discover` with whole workers: the simulator's tasks come, go and change while records flow.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::brokers::{self, MockBroker, end_offset, produce};
use crate::stage::{Stage, WorkerProcess, wait_until};
use crate::worker::{header, letters, on_mock, on_real};

const DISCOVER: [(&str, &str); 2] = [("OMS_SYNC__ROUTES", "discover"), ("OMS_SYNC__DISCOVERY__INTERVAL", "1s")];
const ROUTES_HOLD: &str = r#"oms_sync_hold{reason="routes",task=""}"#;

fn worker(stage: &Stage, more: &[(&str, &str)]) -> WorkerProcess {
    stage.worker(&[&DISCOVER, more].concat())
}

fn routes(worker: &WorkerProcess) -> Value {
    let status: Value = serde_json::from_str(&worker.get("/status").1).unwrap();
    status["routes"].clone()
}

/// Each route as `bucket>task`.
fn table(worker: &WorkerProcess) -> BTreeSet<String> {
    let routes = routes(worker);
    let rows = routes["table"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| format!("{}>{}", text(row, "bucket"), text(row, "task"))).collect()
}

fn wait_for_route(worker: &WorkerProcess, route: &str, is_there: bool) {
    wait_until(&format!("{route} is {is_there}"), || table(worker).contains(route) == is_there);
}

fn write(stage: &Stage, partition: i32, bucket: &str, key: &str) {
    let record = serde_json::json!({"bucket": bucket, "key": key}).to_string();
    produce(&stage.servers, &stage.topic, partition, [record]);
}

fn wait_for_key(stage: &Stage, task: &str, key: &str) {
    wait_until(&format!("{key} is accepted for {task}"), || stage.simulator.ledger().get(task, key).is_some());
}

#[test]
fn tasks_that_are_created_repointed_and_deleted_change_the_table_of_a_running_worker() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(400);
    let worker = worker(&stage, &[]);
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(stage.check_ledger(), 0);
    assert!(worker.has_logged("routes found"), "{:?}", worker.log());

    stage.faults(r#"{"tasks":[{"id":"late","bucket":"first"}]}"#);
    wait_for_route(&worker, "first>late", true);
    write(&stage, 0, "first", "a");
    wait_for_key(&stage, "late", "a");
    let accepted = r#"oms_sync_keys_accepted_total{task="late"}"#;
    wait_until("it has a label of its own", || worker.metric(accepted) == Some(1.0));

    stage.faults(r#"{"tasks":[{"id":"late","bucket":"second"}]}"#);
    wait_for_route(&worker, "second>late", true);
    write(&stage, 1, "second", "b");
    wait_for_key(&stage, "late", "b");
    assert!(!table(&worker).contains("first>late"));

    stage.faults(r#"{"remove_tasks":["late"]}"#);
    wait_for_route(&worker, "second>late", false);
    write(&stage, 2, "second", "c");
    wait_until("lag is 0", || stage.is_settled());
    let letters = letters(&stage);
    assert_eq!(letters.len(), 1);
    assert_eq!(header(&letters[0].1, "reason"), Some("no_route"));
    assert_eq!(worker.metric(ROUTES_HOLD), Some(0.0));
    wait_until("its gauges are gone", || worker.metric(r#"oms_sync_pending_keys{task="late"}"#).is_none());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_task_that_is_stopped_waits_without_a_request_and_goes_on_by_itself() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"tasks":[{"id":"task-0","status":"STOPPED"}]}"#);
    stage.generate(400);
    let worker = worker(&stage, &[]);
    let pending = r#"oms_sync_pending_keys{task="task-0"}"#;
    wait_until("all others are accepted", || stage.accepted() == 300);
    wait_until("its keys wait", || worker.metric(pending) == Some(100.0));
    for state in [r#"state="stopped",task="task-0""#, r#"state="synchronizing",task="task-1""#] {
        let series = format!("oms_sync_task_state{{{state}}}");
        wait_until(&series, || worker.metric(&series) == Some(1.0));
    }
    assert!(worker.get("/status").1.contains("the task is stopped (ListSyncTasks says STOPPED)"));
    assert_eq!(stage.simulator.totals().answers.get(&400), None, "no event went to it");
    stage.faults(r#"{"tasks":[{"id":"task-0","status":"SYNCHRONIZING"}]}"#);
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(stage.check_ledger(), 0);
    assert!(letters(&stage).is_empty());
    wait_until("it is told", || worker.metric(r#"oms_sync_task_state{state="stopped",task="task-0"}"#) == Some(0.0));
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn the_changes_of_a_stopped_task_are_dead_lettered_where_the_policy_says_so() {
    for by_list in [true, false] {
        let broker = MockBroker::start();
        let mut stage = on_mock(&broker, r#"{"tasks":[{"id":"task-0","status":"STOPPED"}]}"#);
        stage.generate(400);
        let policy = [("OMS_SYNC__STOPPED_TASKS", "dead_letter")];
        let worker = if by_list { worker(&stage, &policy) } else { stage.worker(&policy) };
        wait_until("lag is 0", || stage.is_settled());
        assert_eq!(stage.accepted(), 300);
        let letters = letters(&stage);
        assert_eq!(letters.len(), 100);
        for (_, headers) in &letters {
            let told = ["stage", "reason", "task-id"].map(|name| header(headers, name).unwrap());
            assert_eq!(told, ["submit", "task_stopped", "task-0"]);
        }
        assert!(worker.has_logged("dead-lettered, as stopped_tasks says"), "{:?}", worker.log());
        assert_eq!(worker.terminate(), 0);
    }
}

#[test]
fn two_tasks_for_one_bucket_let_its_changes_wait_and_dead_letter_none() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"tasks":[{"id":"twin","bucket":"bucket-0"}]}"#);
    let worker = worker(&stage, &[]);
    worker.wait_until_ready();
    wait_until("it is shown", || worker.metric(ROUTES_HOLD) == Some(1.0));
    write(&stage, 0, "bucket-1", "before");
    wait_for_key(&stage, "task-1", "before");
    write(&stage, 0, "bucket-0", "waits");
    write(&stage, 0, "bucket-1", "behind");
    write(&stage, 1, "bucket-2", "beside");
    wait_for_key(&stage, "task-2", "beside");
    wait_until("its partition is named", || worker.get("/status").1.contains(r#""waits_for_routes":true"#));
    let told = routes(&worker);
    let named = "tasks task-0 and twin have the same source bucket bucket-0: its changes wait";
    assert!(told["problem"].as_str().unwrap().starts_with(named), "{told}");
    assert_eq!(told["waiting_buckets"], serde_json::json!(["bucket-0"]));
    assert!(worker.has_logged(named), "{:?}", worker.log());
    assert_eq!(worker.get("/readyz").0, 200, "others are served");
    assert_eq!(stage.simulator.ledger().get("task-1", "behind"), None);

    stage.faults(r#"{"remove_tasks":["twin"]}"#);
    wait_for_key(&stage, "task-0", "waits");
    wait_for_key(&stage, "task-1", "behind");
    wait_until("lag is 0", || stage.is_settled());
    wait_until("it is over", || worker.metric(ROUTES_HOLD) == Some(0.0));

    // Who has a bucket keeps it.
    stage.faults(r#"{"tasks":[{"id":"twin","bucket":"bucket-0"}]}"#);
    wait_until("it is shown", || worker.metric(ROUTES_HOLD) == Some(1.0));
    stage.generate(200);
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(routes(&worker)["waiting_buckets"], serde_json::json!([]));
    assert!(worker.has_logged("its changes go to task-0 as before"), "{:?}", worker.log());
    stage.check_ledger();
    assert!(letters(&stage).is_empty());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn prefixes_tell_tasks_of_one_bucket_apart() {
    let broker = MockBroker::start();
    let stage = on_mock(&broker, r#"{"tasks":[{"id":"twin","bucket":"bucket-0"}]}"#);
    let worker = worker(&stage, &[("OMS_SYNC__DISCOVERY__PREFIXES", r#"{"twin":"in/"}"#)]);
    write(&stage, 0, "bucket-0", "in/a");
    write(&stage, 0, "bucket-0", "out/a");
    wait_for_key(&stage, "twin", "in%2Fa");
    wait_for_key(&stage, "task-0", "out%2Fa");
    wait_until("nothing is wanting", || worker.metric(ROUTES_HOLD) == Some(0.0));
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn while_the_tasks_cannot_be_listed_nothing_is_read_and_readiness_says_why() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, r#"{"rules":[{"all_requests":true,"status":503}]}"#);
    stage.generate(200);
    let quick = [("OMS_SYNC__RETRY__MAX", "1s")];
    let first = worker(&stage, &quick);
    wait_until("it says why", || {
        first.get("/readyz").1.contains("no routes yet: the project's tasks cannot be listed: 503")
    });
    wait_until("it is shown", || first.metric(ROUTES_HOLD) == Some(1.0));
    wait_until("its partitions wait", || first.get("/status").1.contains(r#""waits_for_routes":true"#));
    assert_eq!(first.metric("oms_sync_unsettled_changes "), Some(0.0));
    let began = std::time::Instant::now();
    assert_eq!(first.terminate(), 0, "with nothing under way it ends at once");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());

    let next = worker(&stage, &quick);
    wait_until("it says why", || {
        next.get("/readyz").1.contains("no routes yet: the project's tasks cannot be listed: 503")
    });
    stage.faults(r#"{"rules":[]}"#);
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(stage.check_ledger(), 0);
    next.wait_until_ready();
    assert!(next.has_logged("routes are in order again"), "{:?}", next.log());
    assert!(letters(&stage).is_empty());

    // A failure later changes nothing but what is shown.
    stage.faults(r#"{"rules":[{"all_requests":true,"status":403}]}"#);
    wait_until("it is shown", || next.metric(ROUTES_HOLD) == Some(1.0));
    assert_eq!(next.get("/readyz").0, 200);
    assert_eq!(table(&next).len(), 4, "the last table stays in use");
    assert_eq!(next.terminate(), 0);
}

#[test]
fn wrong_keys_at_the_start_cost_three_failed_signatures_in_five_minutes() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(200);
    let wrong = [("HUAWEICLOUD_SDK_SK", "wrong"), ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "1s")];
    let worker = worker(&stage, &wrong);
    wait_until("it holds", || worker.metric(r#"oms_sync_hold{reason="credentials",task=""}"#) == Some(1.0));
    wait_until("one fault, one hold", || worker.metric(ROUTES_HOLD) == Some(0.0));
    wait_until("three have failed", || stage.simulator.totals().failed_signatures == 3);
    let next = || {
        let status: Value = serde_json::from_str(&worker.get("/status").1).unwrap();
        status["hold"]["next_probe_in_seconds"].as_f64()
    };
    wait_until("the fourth waits", || next().is_some_and(|seconds| seconds > 120.0));
    assert!(worker.get("/readyz").1.contains("no routes yet"), "{:?}", worker.get("/readyz"));
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stage.simulator.totals().failed_signatures, 3);
    assert!(letters(&stage).is_empty() && !stage.is_settled());
}

#[test]
fn a_project_without_tasks_holds_the_worker_before_anything_is_read() {
    let broker = MockBroker::start();
    let mut stage = on_mock(&broker, "{}");
    stage.generate(200);
    let worker = worker(&stage, &[("OMS_SYNC__OMS__PROJECT_ID", "another")]);
    wait_until("it holds", || worker.metric(r#"oms_sync_hold{reason="endpoint",task=""}"#) == Some(1.0));
    assert!(worker.has_logged("wrong oms.project_id or region?"), "{:?}", worker.log());
    assert_eq!(worker.get("/readyz").0, 503);
    assert_eq!(worker.terminate(), 0);
    assert!(letters(&stage).is_empty() && !stage.is_settled());
}

#[test]
fn partitions_that_wait_for_routes_are_handed_over_and_nothing_is_lost() {
    let Some(broker) = brokers::real() else { return };
    let mut stage = on_real(broker, r#"{"tasks":[{"id":"twin","bucket":"bucket-0"}]}"#);
    stage.generate(6_000);
    let first = worker(&stage, &[]);
    let waits = |worker: &WorkerProcess| worker.get("/status").1.matches(r#""waits_for_routes":true"#).count();
    wait_until("every partition waits", || waits(&first) == 12);
    let second = worker(&stage, &[]);
    wait_until("half of them wait there", || waits(&first) == 6 && waits(&second) == 6);
    assert!(!stage.is_settled());
    drop(first); // SIGKILL
    wait_until("all of them wait there", || waits(&second) == 12);
    stage.faults(r#"{"remove_tasks":["twin"]}"#);
    wait_until("lag is 0 in every partition", || stage.is_settled());
    stage.check_ledger();
    assert_eq!(end_offset(&stage.servers, &format!("{}.dlq", stage.topic), 0), 0);
    assert_eq!(second.terminate(), 0);
}
