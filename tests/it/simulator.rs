//! The simulator, spoken to by the worker's own client and by a plain one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use oms_sync_worker::oms::credentials::Credentials;
use oms_sync_worker::oms::tasks::TaskState;
use oms_sync_worker::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use oms_sync_worker::pipeline::key::TaskId;
use oms_sync_worker::simulator::{Faults, Simulator, SimulatorConfig};
use serde_json::{Value, json};

use crate::verdicts::settings;

fn start(signed: bool, faults: &str) -> Simulator {
    Simulator::start(config(signed, faults)).unwrap()
}

fn config(signed: bool, faults: &str) -> SimulatorConfig {
    SimulatorConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        project_id: "p1".to_owned(),
        tasks: vec!["t1:landing".parse().unwrap(), "t2".parse().unwrap()],
        credentials: signed.then(|| Credentials::new("AK", "SK", None).unwrap()),
        faults: Faults::from_json(faults.as_bytes()).unwrap(),
        seed: 1,
        journal: None,
    }
}

fn endpoint(simulator: &Simulator) -> String {
    format!("http://{}", simulator.addr())
}

fn client(simulator: &Simulator) -> OmsClient {
    OmsClient::new(settings(&endpoint(simulator))).unwrap()
}

async fn submit(client: &OmsClient, task: &str, keys: &[&str]) -> Answer {
    let body = Bytes::from(json!({ "object_keys": keys }).to_string());
    client.submit(&TaskId::new(task).unwrap(), body).await
}

async fn verdict(client: &OmsClient, task: &str, keys: &[&str]) -> Verdict {
    submit(client, task, keys).await.verdict
}

/// A plain client, without signature and without the environment's proxy.
async fn plain(method: &str, url: String, body: &str) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.request(method.parse().unwrap(), url).body(body.to_owned()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the times in the ledger are compared with the clock")]
async fn an_event_signed_by_the_client_is_accepted_and_in_the_ledger() {
    let simulator = start(true, "{}");
    let before = SystemTime::now();
    assert_eq!(verdict(&client(&simulator), "t1", &["a%2Fb", "c"]).await, Verdict::Accepted);
    assert_eq!(verdict(&client(&simulator), "t1", &["c"]).await, Verdict::Accepted);
    let (status, ledger) = plain("GET", format!("{}/_simulator/ledger", endpoint(&simulator)), "").await;
    let after = SystemTime::now();
    assert_eq!(status, 200);
    let totals = &ledger["totals"];
    let (_, alone) = plain("GET", format!("{}/_simulator/totals", endpoint(&simulator)), "").await;
    assert_eq!(&alone, totals, "the totals can be had without the keys");
    assert_eq!(
        (&totals["requests"], &totals["accepted_events"], &totals["accepted_keys"]),
        (&json!(2), &json!(2), &json!(3))
    );
    assert_eq!((&totals["events_by_size"][0], &totals["answers"]["200"]), (&json!(1), &json!(2)));
    let keys = ledger["tasks"]["t1"]["keys"].as_array().unwrap();
    let key = |raw: &str| keys.iter().find(|line| line["key"] == raw).unwrap();
    assert_eq!(
        (&key("a/b")["encoded"], &key("a/b")["count"], &key("c")["count"]),
        (&json!("a%2Fb"), &json!(1), &json!(2))
    );
    let ms = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let arrival = u128::from(key("c")["last_arrival_ms"].as_u64().unwrap());
    assert!((ms(before)..=ms(after)).contains(&arrival), "{arrival}");
    assert_eq!(simulator.shutdown().get("t1", "c").unwrap().count, 2);
}

#[tokio::test]
async fn a_wrong_signature_is_refused_and_its_echo_holds_no_token() {
    let simulator = start(true, "{}");
    let wrong = Credentials::new("AK", "WRONG", Some("SECRETTOKEN")).unwrap();
    let client = OmsClient::new(OmsSettings { credentials: wrong.into(), ..settings(&endpoint(&simulator)) }).unwrap();
    let answer = submit(&client, "t1", &["a"]).await;
    assert_eq!(answer.verdict, Verdict::Hold(HoldReason::Credentials));
    assert_eq!((answer.status, answer.error_code.as_deref()), (Status::Http(401), Some("APIGW.0301")));
    let message = answer.error_message.unwrap();
    assert!(message.contains("canonicalRequest:POST|") && !message.contains("SECRETTOKEN"), "{message}");
    let (status, _) = plain("POST", format!("{}/v2/p1/sync-tasks/t1/events", endpoint(&simulator)), "{}").await;
    assert_eq!(status, 401);
    let ledger = simulator.shutdown();
    assert_eq!((ledger.totals.failed_signatures, ledger.totals.accepted_events), (2, 0));
}

#[tokio::test]
async fn what_the_api_page_does_not_allow_is_refused() {
    let simulator = start(true, "{}");
    let client = client(&simulator);
    assert_eq!(verdict(&client, "t1", &["a"; 10]).await, Verdict::Accepted);
    assert_eq!(verdict(&client, "t1", &["a"; 11]).await, Verdict::Refused);
    assert_eq!(verdict(&client, "t1", &[]).await, Verdict::Refused);
    assert_eq!(verdict(&client, "t1", &["good", "not/encoded"]).await, Verdict::Refused);
    assert_eq!(verdict(&client, "t1", &["a%ff"]).await, Verdict::Refused);
    assert_eq!(verdict(&client, "t1", &["a".repeat(16_385).as_str()]).await, Verdict::Refused);
    let task = TaskId::new("t1").unwrap();
    assert_eq!(client.submit(&task, Bytes::from_static(b"{")).await.verdict, Verdict::Refused);
    assert_eq!(simulator.shutdown().totals.accepted_events, 1);
}

#[tokio::test]
async fn an_unknown_task_or_project_is_not_found() {
    let simulator = start(true, "{}");
    assert_eq!(verdict(&client(&simulator), "t3", &["a"]).await, Verdict::UnknownTask);
    let other = OmsSettings { project_id: "p2".to_owned(), ..settings(&endpoint(&simulator)) };
    let other = OmsClient::new(other).unwrap();
    assert_eq!(verdict(&other, "t1", &["a"]).await, Verdict::UnknownTask);
    let nowhere = OmsClient::new(settings(&format!("{}/oms", endpoint(&simulator)))).unwrap();
    assert_eq!(verdict(&nowhere, "t1", &["a"]).await, Verdict::Hold(HoldReason::Endpoint));
}

#[tokio::test]
async fn tasks_are_listed_and_shown() {
    let simulator = start(false, "{}");
    let get = async |path: &str| plain("GET", format!("{}/v2/{path}", endpoint(&simulator)), "").await;
    let (status, page) = get("p1/sync-tasks?limit=1&offset=1").await;
    assert_eq!((status, &page["count"], &page["tasks"][0]["sync_task_id"]), (200, &json!(2), &json!("t2")));
    assert_eq!(get("p1/sync-tasks?status=STOPPED").await, (200, json!({"tasks": [], "count": 0})));
    assert_eq!(get("p2/sync-tasks").await, (200, json!({"tasks": [], "count": 0})));
    let (status, task) = get("p1/sync-tasks/t1?query_time=1768469401000").await;
    assert_eq!((status, &task["src_bucket"], &task["status"]), (200, &json!("landing"), &json!("SYNCHRONIZING")));
    for (path, expected) in [
        ("p1/sync-tasks?limit=0", 400),
        ("p1/sync-tasks?limit=101", 400),
        ("p1/sync-tasks?offset=10001", 400),
        ("p1/sync-tasks?status=ODD", 400),
        ("p1/sync-tasks/t1", 400),
        ("p1/sync-tasks/t1?query_time=now", 400),
        ("p1/sync-tasks/t3?query_time=1", 404),
        ("p2/sync-tasks/t1?query_time=1", 404),
        ("p1/sync-tasks/t1/events", 405),
        ("p1/else", 404),
    ] {
        assert_eq!(get(path).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn the_client_reads_tasks_and_their_state() {
    let simulator = start(true, r#"{"tasks":[{"id":"t2","status":"STOPPED"}]}"#);
    let client = client(&simulator);
    let shown = client.show_task(&TaskId::new("t1").unwrap()).await.unwrap();
    assert_eq!((shown.src_bucket.as_deref(), shown.status), (Some("landing"), TaskState::Synchronizing));
    let unknown = client.show_task(&TaskId::new("t3").unwrap()).await.unwrap_err();
    assert_eq!((unknown.verdict, unknown.status), (Verdict::UnknownTask, Status::Http(404)));
    let listed = client.list_tasks().await.unwrap();
    let states: Vec<_> = listed.tasks.iter().map(|task| (task.sync_task_id.as_str(), task.status)).collect();
    assert_eq!(states, [("t1", TaskState::Synchronizing), ("t2", TaskState::Stopped)]);
}

#[tokio::test]
async fn every_page_of_tasks_is_read() {
    let more: Vec<_> = (0..50).map(|n| json!({"id": format!("x{n}")})).collect();
    let simulator = start(true, &json!({ "tasks": more }).to_string());
    assert_eq!(client(&simulator).list_tasks().await.unwrap().tasks.len(), 52);
}

#[tokio::test]
async fn what_is_no_task_list_is_a_hold_of_the_endpoint() {
    let rule = json!({"rules": [{"status": 200, "body": "{\"hello\":1}", "all_requests": true}]});
    let simulator = start(true, &rule.to_string());
    let answer = client(&simulator).list_tasks().await.unwrap_err();
    assert_eq!((answer.verdict, answer.status), (Verdict::Hold(HoldReason::Endpoint), Status::Http(200)));
}

#[tokio::test]
async fn faults_are_set_and_replaced_at_run_time() {
    let simulator = start(true, "{}");
    let client = client(&simulator);
    let url = format!("{}/_simulator/faults", endpoint(&simulator));
    let set = async |json: &str| plain("POST", url.clone(), json).await.0;
    assert_eq!(set(r#"{"rules":[{"status":503,"count":1,"headers":{"Retry-After":"3"}}]}"#).await, 200);
    let answer = submit(&client, "t1", &["a"]).await;
    assert_eq!((answer.status, answer.error_code.as_deref()), (Status::Http(503), Some("OMS.2004")));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(3)));
    assert_eq!(verdict(&client, "t1", &["a"]).await, Verdict::Accepted);
    assert_eq!(set(r#"{"rules":[{"status":401,"task":"t2"}]}"#).await, 200);
    assert_eq!(verdict(&client, "t1", &["a"]).await, Verdict::Accepted);
    assert_eq!(verdict(&client, "t2", &["a"]).await, Verdict::Hold(HoldReason::Credentials));
    assert_eq!(set(r#"{"latency":"1ms"}"#).await, 200);
    assert_eq!(verdict(&client, "t2", &["a"]).await, Verdict::Hold(HoldReason::Credentials));
    assert_eq!(set(r#"{"rules":[]}"#).await, 200);
    assert_eq!(verdict(&client, "t2", &["a"]).await, Verdict::Accepted);
    assert_eq!(set(r#"{"rules":[{}]}"#).await, 400);
    assert_eq!(set(r#"{"rulez":[]}"#).await, 400);
}

#[tokio::test]
async fn only_events_with_a_refused_key_are_refused() {
    let simulator = start(true, r#"{"rules":[{"keys":"*.bad","status":400}]}"#);
    let client = client(&simulator);
    assert_eq!(verdict(&client, "t1", &["a", "b"]).await, Verdict::Accepted);
    assert_eq!(verdict(&client, "t1", &["a", "c%20d.bad"]).await, Verdict::Refused);
    assert_eq!(simulator.ledger().get("t1", "c%20d.bad"), None);
}

#[tokio::test]
async fn a_task_is_stopped_deleted_and_created() {
    let simulator = start(true, r#"{"tasks":[{"id":"t1","status":"STOPPED"},{"id":"t9"}],"remove_tasks":["t2"]}"#);
    let client = client(&simulator);
    assert_eq!(verdict(&client, "t1", &["a"]).await, Verdict::TaskStopped);
    assert_eq!(verdict(&client, "t2", &["a"]).await, Verdict::UnknownTask);
    assert_eq!(verdict(&client, "t9", &["a"]).await, Verdict::Accepted);
    simulator.set_faults(Faults::from_json(br#"{"tasks":[{"id":"t1"}]}"#).unwrap());
    assert_eq!(verdict(&client, "t1", &["a"]).await, Verdict::Accepted);
}

#[tokio::test]
async fn the_quota_answers_with_the_gateways_code() {
    let simulator = start(true, r#"{"requests_per_second":0.001,"burst":2,"retry_after":"2s"}"#);
    let client = client(&simulator);
    assert_eq!(verdict(&client, "t1", &["a"]).await, Verdict::Accepted);
    assert_eq!(verdict(&client, "t1", &["b"]).await, Verdict::Accepted);
    let answer = submit(&client, "t1", &["c"]).await;
    assert_eq!(answer.verdict, Verdict::Busy(Pressure::Throttled));
    assert_eq!((answer.error_code.as_deref(), answer.retry_after), (Some("APIGW.0308"), Some(Duration::from_secs(2))));
    assert_eq!(simulator.shutdown().totals.answers.get(&429), Some(&1));
}

#[tokio::test]
async fn a_failing_answer_is_recorded_or_not_as_the_fault_says() {
    for (failure, status, recorded) in [
        ("reset_before", Status::Reset, false),
        ("reset_during", Status::Reset, true),
        ("reset_after", Status::Reset, true),
        ("hang", Status::Timeout, false),
        ("hang_after", Status::Timeout, true),
        ("drip", Status::Timeout, true),
    ] {
        let simulator = start(true, &json!({"rules": [{"failure": failure, "count": 1}]}).to_string());
        let request_timeout = Duration::from_millis(500);
        let client = OmsClient::new(OmsSettings { request_timeout, ..settings(&endpoint(&simulator)) }).unwrap();
        assert_eq!(submit(&client, "t1", &["a"]).await.status, status, "{failure}");
        assert_eq!(simulator.ledger().get("t1", "a").is_some(), recorded, "{failure}");
        assert_eq!(verdict(&client, "t1", &["b"]).await, Verdict::Accepted, "{failure}");
    }
}

#[tokio::test]
async fn an_answer_waits_for_the_latency_but_the_ledger_does_not() {
    let simulator = start(true, r#"{"latency":"1h"}"#);
    let client = client(&simulator);
    tokio::select! {
        _ = submit(&client, "t1", &["a"]) => panic!("answered at once"),
        () = async { while simulator.ledger().get("t1", "a").is_none() { tokio::task::yield_now().await } } => {}
    }
}

#[tokio::test]
async fn a_taken_address_is_told() {
    let simulator = start(false, "{}");
    let config = SimulatorConfig {
        listen: simulator.addr(),
        project_id: "p1".to_owned(),
        tasks: Vec::new(),
        credentials: None,
        faults: Faults::default(),
        seed: 0,
        journal: None,
    };
    let refused = Simulator::start(config).err().expect("the address is taken").to_string();
    assert!(refused.contains(&simulator.addr().to_string()), "{refused}");
}

#[tokio::test]
async fn access_keys_are_rotated_and_the_clock_is_set_at_run_time() {
    let simulator = start(true, "{}");
    let set = |json: &str| simulator.set_faults(Faults::from_json(json.as_bytes()).unwrap());
    let (old, endpoint) = (client(&simulator), endpoint(&simulator));
    let new = Credentials::new("AK2", "SK2", None).unwrap();
    let new = OmsClient::new(OmsSettings { credentials: new.into(), ..settings(&endpoint) }).unwrap();
    let held = Verdict::Hold(HoldReason::Credentials);
    let both = r#"[{"access_key":"AK","secret_key":"SK"},{"access_key":"AK2","secret_key":"SK2"}]"#;
    assert_eq!(verdict(&new, "t1", &["a"]).await, held);
    set(&format!(r#"{{"access_keys":{both}}}"#));
    assert_eq!(
        (verdict(&old, "t1", &["a"]).await, verdict(&new, "t1", &["a"]).await),
        (Verdict::Accepted, Verdict::Accepted)
    );
    set(r#"{"access_keys":[{"access_key":"AK2","secret_key":"SK2"}]}"#);
    assert_eq!((verdict(&old, "t1", &["a"]).await, verdict(&new, "t1", &["a"]).await), (held, Verdict::Accepted));
    for (ahead, expected) in [(1_200, held), (-1_200, held), (600, Verdict::Accepted), (0, Verdict::Accepted)] {
        set(&format!(r#"{{"clock_ahead_seconds":{ahead}}}"#));
        assert_eq!(verdict(&new, "t1", &["a"]).await, expected, "{ahead}");
    }
    set(r#"{"clock_ahead_seconds":-1200}"#);
    let answer = submit(&new, "t1", &["a"]).await;
    let told = answer.error_message.unwrap_or_default();
    assert!(told.contains("ahead of the other"), "its answers show its clock: {told}");
}

#[tokio::test]
async fn the_journal_has_a_line_for_each_accepted_event_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let faults = r#"{"rules":[{"failure":"reset_after","count":1}]}"#;
    let simulator =
        Simulator::start(SimulatorConfig { journal: Some(journal.clone()), ..config(false, faults) }).unwrap();
    let client = client(&simulator);
    assert_eq!(submit(&client, "t1", &["lost%20answer"]).await.status, Status::Reset);
    assert_eq!(verdict(&client, "t3", &["refused"]).await, Verdict::UnknownTask);
    assert_eq!(verdict(&client, "t2", &["b", "c"]).await, Verdict::Accepted);
    let lines: Vec<serde_json::Value> =
        std::fs::read_to_string(&journal).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().map(|line| (line["task"].as_str().unwrap(), &line["keys"])).collect();
    assert_eq!(told, [("t1", &json!(["lost%20answer"])), ("t2", &json!(["b", "c"]))]);
    assert_eq!(lines[0]["at_ms"], simulator.ledger().get("t1", "lost%20answer").unwrap().last_arrival_ms);
    let nowhere = SimulatorConfig { journal: Some(folder.path().join("no/such")), ..config(false, "{}") };
    let refused = Simulator::start(nowhere).err().expect("there is no such folder").to_string();
    assert!(refused.contains("no/such") && refused.contains("--journal"), "{refused}");
}
