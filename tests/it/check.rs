//! `check`: the real binary against the simulator, librdkafka's mock cluster and a real Kafka, one fault at a time.

use std::process::Command;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;

use crate::brokers::{self, MockBroker, committed, create_topic, delete_records, end_offset, produce, unique};
use crate::certified::{Authority, TlsServer, VALID, accept};
use crate::stage::{Stage, wait_until};

/// A mock cluster with both topics, and an OMS with a task `task-0` for `landing` and one that no route names.
struct Town {
    broker: MockBroker,
    stage: Stage,
}

/// What a check printed, and its exit code.
struct Checked {
    exit: i32,
    text: String,
}

impl Town {
    fn new() -> Self {
        let broker = MockBroker::start();
        let topic = unique("objects");
        broker.create_topic(&topic, 2);
        broker.create_topic(&format!("{topic}.dlq"), 1);
        let routes = vec![("task-0".to_owned(), "landing".to_owned())];
        let stage = Stage::with_routes(&broker.servers(), &topic, 2, "{}", routes);
        stage.faults(r#"{"tasks":[{"id":"spare","bucket":"spare-bucket"}]}"#);
        let town = Self { broker, stage };
        town.refuse_write(RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS); // as Apache Kafka does
        town
    }

    /// The answer to the next records that are produced.
    fn refuse_write(&self, answer: RDKafkaRespErr) {
        let cluster = self.broker.cluster();
        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        cluster.request_errors(RDKafkaApiKey::Produce, &[answer]);
    }

    fn check(&self, extra: &[(&str, &str)]) -> Checked {
        check(&self.stage, extra, &["--format", "json"])
    }

    /// With this fault of OMS.
    fn with_fault(&self, fault: &str) -> Checked {
        self.stage.faults(fault);
        self.check(&[])
    }
}

fn check(stage: &Stage, extra: &[(&str, &str)], args: &[&str]) -> Checked {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
    command.env_clear().envs(stage.configuration()).envs(extra.iter().copied()).arg("check").args(args);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.is_empty(), "{told}");
    Checked { exit: output.status.code().unwrap(), text: String::from_utf8(output.stdout).unwrap() }
}

impl Checked {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The findings of a check.
    #[track_caller]
    fn of(&self, check: &str) -> Vec<Value> {
        let all = self.json();
        let found = all["checks"].as_array().unwrap().iter().filter(|it| it["check"] == check).cloned();
        let found: Vec<_> = found.collect();
        assert!(!found.is_empty(), "no check {check}: {}", self.text);
        found
    }

    #[track_caller]
    fn is(&self, check: &str, state: &str, told: &str) -> &Self {
        let found = self.of(check).remove(0);
        assert_eq!(found["state"], state, "{found}");
        assert!(found.to_string().contains(told), "{found} does not say {told}");
        self
    }

    #[track_caller]
    fn exits(&self, exit: i32) -> &Self {
        assert_eq!(self.exit, exit, "{}", self.text);
        assert_eq!(self.json()["passed"], exit == 0);
        self
    }
}

#[test]
fn a_set_up_in_order_passes_and_leaves_nothing_behind() {
    let town = Town::new();
    let checked = town.check(&[]);
    checked.exits(0).is("task task-0", "ok", "SYNCHRONIZING").is("tasks without a route", "ok", "spare (bucket");
    let sums = &checked.json()["sums"];
    assert_eq!((&sums["failed"], &sums["warning"], &sums["not_tried"]), (&0.into(), &0.into(), &0.into()));
    let Stage { servers, group, topic, .. } = &town.stage;
    assert_eq!(committed(servers, group, topic, 2), [None, None]);
    assert_eq!(end_offset(servers, &format!("{topic}.dlq"), 0), 0);
    assert_eq!(town.stage.accepted(), 0);
}

#[test]
fn the_table_has_a_line_a_check_and_no_secret() {
    let town = Town::new();
    let extra =
        [("HUAWEICLOUD_SDK_SK", "wrong-and-secret"), ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"sasl.password":"hidden"}"#)];
    let checked = check(&town.stage, &extra, &[]);
    assert_eq!(checked.exit, 1);
    assert!(checked.text.starts_with("STATE "), "{}", checked.text);
    assert!(checked.text.contains("\nFAILED     signed request"), "{}", checked.text);
    assert!(checked.text.contains("\nnot tried  task task-0"), "{}", checked.text);
    assert!(checked.text.lines().last().unwrap().starts_with("not ready to run: "), "{}", checked.text);
    assert!(checked.text.lines().all(|line| line.chars().count() <= 100), "{}", checked.text);
    for secret in ["wrong-and-secret", "hidden"] {
        assert!(!checked.text.contains(secret), "{}", checked.text);
    }
}

#[test]
fn a_wrong_key_costs_one_failed_signature() {
    let town = Town::new();
    let checked = town.check(&[("HUAWEICLOUD_SDK_SK", "wrong")]);
    checked.exits(1).is("signed request", "failed", "one failed signature").is(
        "task task-0",
        "not_tried",
        "signed request",
    );
    let totals = town.stage.simulator.totals();
    assert_eq!((totals.failed_signatures, totals.requests), (1, 1));
}

#[test]
fn without_credentials_nothing_is_asked_of_oms() {
    let town = Town::new();
    let none = [("HUAWEICLOUD_SDK_AK", ""), ("HUAWEICLOUD_SDK_SK", ""), ("OMS_SYNC__OMS__CREDENTIALS__SOURCE", "file")];
    let checked = town.check(&none);
    checked.exits(1).is("credentials", "failed", "/etc/oms-sync/credentials").is(
        "task task-0",
        "not_tried",
        "credentials",
    );
    assert_eq!(town.stage.simulator.totals().requests, 0);
}

#[test]
fn a_clock_that_is_off_is_a_warning_and_then_a_failure() {
    for (minutes, exit, state) in [(0, 0, "ok"), (2, 0, "warning"), (20, 1, "failed")] {
        let at = std::time::SystemTime::now() + std::time::Duration::from_secs(60 * minutes);
        let date = httpdate::fmt_http_date(at);
        let tasks = r#"{"tasks":[{"sync_task_id":"task-0","src_bucket":"landing","status":"SYNCHRONIZING"}]}"#;
        let rule = serde_json::json!({"all_requests": true, "count": 1, "status": 200, "body": tasks, "headers": {"date": date}});
        let checked = Town::new().with_fault(&serde_json::json!({"rules": [rule]}).to_string());
        checked.exits(exit).is("clock", state, if minutes == 0 { "within" } else { "behind OMS's" });
    }
}

#[test]
fn what_is_wrong_with_a_task_is_told() {
    for (task, exit, state, told) in [
        (r#""bucket":"landing","status":"STOPPED""#, 1, "failed", "start it in the console"),
        (r#""bucket":"other""#, 1, "failed", "its source bucket is other, the route's is landing"),
        (r#""bucket":"landing","object_overwrite_mode":"NO_OVERWRITE""#, 0, "warning", "is not copied again"),
    ] {
        let checked = Town::new().with_fault(&format!(r#"{{"tasks":[{{"id":"task-0",{task}}}]}}"#));
        checked.exits(exit).is("task task-0", state, told);
    }
    let checked = Town::new().with_fault(r#"{"remove_tasks":["task-0"]}"#);
    checked.exits(1).is("task task-0", "failed", "into routes: spare (bucket spare-bucket)");
}

#[test]
fn a_project_without_tasks_looks_like_the_wrong_one() {
    let checked = Town::new().check(&[("OMS_SYNC__OMS__PROJECT_ID", "other")]);
    checked.exits(1).is("tasks of the project", "failed", "check oms.project_id");
    checked.is("task task-0", "not_tried", "no tasks");
}

#[test]
fn without_routes_it_is_said_that_records_name_their_task() {
    let checked = Town::new().check(&[("OMS_SYNC__ROUTES", "[]")]);
    checked.exits(0).is("routes", "ok", "each record must name its task");
}

#[test]
fn with_discovered_routes_the_table_that_would_be_made_is_shown_and_each_task_looked_at() {
    let discover = [("OMS_SYNC__ROUTES", "discover")];
    let checked = Town::new().check(&discover);
    checked.exits(0).is("routes", "ok", "discovered: landing -> task-0, spare-bucket -> spare");
    checked.is("task task-0", "ok", "SYNCHRONIZING").is("task spare", "ok", "source bucket spare-bucket");
    let town = Town::new();
    town.stage.faults(r#"{"tasks":[{"id":"twin","bucket":"landing"},{"id":"spare","status":"STOPPED"}]}"#);
    let checked = town.check(&discover);
    checked.exits(1).is("routes", "ok", "discovered: spare-bucket -> spare").is("task spare", "failed", "STOPPED");
    let conflict = checked.of("routes").remove(1).to_string();
    assert!(conflict.contains("tasks task-0 and twin have the same source bucket landing"), "{conflict}");
    assert!(conflict.contains("discovery.prefixes"), "{conflict}");
    let apart = [discover[0], ("OMS_SYNC__DISCOVERY__PREFIXES", r#"{"twin":"in/","gone":"x/"}"#)];
    let checked = town.check(&apart);
    checked.is("routes", "ok", r#"landing -> task-0, landing \"in/\" -> twin"#).is("task twin", "ok", "SYNCHRONIZING");
    assert!(checked.of("routes")[1].to_string().contains("task gone, which the project does not have"));
    let dead_letter = [discover[0], ("OMS_SYNC__STOPPED_TASKS", "dead_letter")];
    town.check(&dead_letter).is("task spare", "failed", "will be dead-lettered");
}

#[test]
fn routes_that_cannot_be_discovered_are_not_tried_and_say_where_to_look() {
    let discover = ("OMS_SYNC__ROUTES", "discover");
    let checked = Town::new().check(&[discover, ("HUAWEICLOUD_SDK_SK", "wrong")]);
    checked.exits(1).is("routes", "not_tried", "see signed request");
    let checked = Town::new().check(&[discover, ("OMS_SYNC__OMS__PROJECT_ID", "other")]);
    checked.exits(1).is("routes", "not_tried", "the project has no tasks");
    let town = Town::new();
    town.stage.faults(r#"{"rules":[{"all_requests":true,"status":403}]}"#);
    let checked = town.check(&[discover]);
    checked.exits(1).is("signed request", "failed", "oms:synctask:list").is(
        "routes",
        "not_tried",
        "see signed request",
    );
}

#[test]
fn what_oms_answers_is_told_with_what_to_do() {
    for (rule, told) in [
        (r#""status":404,"code":"APIGW.0101""#, "check oms.endpoint or oms.region"),
        (r#""status":400,"code":"OMS.0202""#, "check the account"),
        (r#""status":503"#, "check again later"),
        (r#""failure":"reset_before""#, "oms.endpoint"),
    ] {
        let checked = Town::new().with_fault(&format!(r#"{{"rules":[{{"all_requests":true,{rule}}}]}}"#));
        checked.exits(1).is("signed request", "failed", told).is("task task-0", "not_tried", "see signed request");
    }
}

#[test]
fn a_throttled_question_is_asked_again_some_times() {
    let town = Town::new();
    let throttled = |count| format!(r#"{{"rules":[{{"all_requests":true,"status":429,"count":{count}}}]}}"#);
    town.with_fault(&throttled(2)).exits(0).is("signed request", "ok", "accepted");
    town.refuse_write(RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS);
    let before = town.stage.simulator.totals().requests;
    town.with_fault(&throttled(9)).exits(1).is("signed request", "failed", "throttles this account");
    assert_eq!(town.stage.simulator.totals().requests, before + 3);
}

#[test]
fn who_may_not_list_tasks_may_still_show_one() {
    let checked = Town::new().with_fault(r#"{"rules":[{"all_requests":true,"status":403,"count":1}]}"#);
    checked.exits(1).is("signed request", "failed", "oms:synctask:list").is("task task-0", "ok", "SYNCHRONIZING");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_told_as_such() {
    let authority = Authority::new("any");
    let server = TlsServer::start(authority.server("other.example", VALID), accept()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let checked = tokio::task::spawn_blocking(move || {
        let ca_file = ca_file.to_str().unwrap();
        Town::new().check(&[("OMS_SYNC__OMS__ENDPOINT", &server.endpoint()), ("OMS_SYNC__OMS__CA_FILE", ca_file)])
    });
    let checked = checked.await.unwrap();
    checked.exits(1).is("signed request", "failed", "write a host into oms.endpoint that the certificate names");
    checked.is("clock", "not_tried", "");
}

#[test]
fn a_broken_configuration_is_told_as_a_whole_and_nothing_else_is_tried() {
    let town = Town::new();
    let checked = town.check(&[("OMS_SYNC__OMS__MAX_IN_FLIGHT", "0"), ("OMS_SYNC__KAFKA__TOPCIS", "a")]);
    checked.exits(1).is("Kafka", "not_tried", "configuration").is("OMS", "not_tried", "configuration");
    let told: Vec<_> = checked.of("configuration").iter().map(ToString::to_string).collect();
    assert!(told.len() == 2 && told[1].contains("oms.max_in_flight") && told[1].contains("write 1 to"), "{told:?}");
    assert_eq!(town.stage.simulator.totals().requests, 0);
}

#[test]
fn a_broker_that_is_down_fails_once_and_the_rest_is_not_tried() {
    let town = Town::new();
    let checked = town.check(&[("OMS_SYNC__KAFKA__BROKERS", brokers::CLOSED)]);
    checked.exits(1).is("kafka.brokers", "failed", "Connection refused");
    checked.is(&format!("topic {}", town.stage.topic), "not_tried", "Kafka was not reached");
    assert_eq!(checked.json()["sums"]["failed"], 1);
    let both = format!("{},{}", brokers::CLOSED, town.broker.servers());
    town.check(&[("OMS_SYNC__KAFKA__BROKERS", &both)]).exits(0).is("kafka.brokers", "warning", "1 of 2 answer");
}

#[test]
fn a_topic_that_is_missing_fails_and_what_needs_it_is_not_tried() {
    let town = Town::new();
    let missing = unique("missing");
    let checked = town.check(&[("OMS_SYNC__KAFKA__TOPICS", &missing)]);
    checked.exits(1).is(
        &format!("topic {missing}"),
        "failed",
        &format!("kafka-topics.sh --bootstrap-server {} --create --topic", town.stage.servers),
    );
    checked.is(&format!("read {missing}"), "not_tried", "see topic").is(
        &format!("write {missing}.dlq"),
        "not_tried",
        "see topic",
    );
}

#[test]
fn a_right_to_write_that_is_missing_names_its_command() {
    let town = Town::new();
    town.refuse_write(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    let check = format!("write {}.dlq", town.stage.topic);
    town.check(&[]).exits(1).is(&check, "failed", "--operation WRITE --topic");
}

#[test]
fn a_record_that_a_broker_took_after_all_is_told_with_its_place() {
    let town = Town::new();
    town.broker.cluster().clear_request_errors(RDKafkaApiKey::Produce); // the mock cluster takes any acks
    let letters = format!("{}.dlq", town.stage.topic);
    town.check(&[]).exits(0).is(&format!("write {letters}"), "warning", "partition 0, offset 0");
    assert_eq!(end_offset(&town.stage.servers, &letters, 0), 1);
}

#[test]
fn the_time_for_all_of_it_is_bounded() {
    let town = Town::new();
    town.stage.faults(r#"{"rules":[{"all_requests":true,"failure":"hang"}]}"#);
    let began = std::time::Instant::now();
    let checked = check(&town.stage, &[], &["--format", "json", "--timeout", "4s"]);
    checked.exits(1).is("OMS", "failed", "--timeout");
    assert!(began.elapsed() < brokers::BOUND, "{:?}", began.elapsed());
}

/// A stage on a real broker. The dead-letter topic takes larger records than the source topic.
fn on_real(servers: &str) -> Stage {
    let topic = unique("objects");
    create_topic(servers, &topic, 2, &[("max.message.bytes", "1000000")]);
    create_topic(servers, &format!("{topic}.dlq"), 1, &[("max.message.bytes", "1300000")]);
    Stage::on(servers, &topic, 2, "{}")
}

#[test]
fn beside_a_running_worker_a_real_broker_shows_its_rights_and_keeps_nothing() {
    let Some(broker) = brokers::real() else { return };
    let mut stage = on_real(&broker.servers);
    stage.generate(20);
    let worker = stage.worker(&[]);
    wait_until("all is settled", || stage.is_settled());
    let rebalances = worker.metric(r#"oms_sync_rebalances_total{kind="assign"}"#);
    let points = committed(&stage.servers, &stage.group, &stage.topic, 2);
    let letters = format!("{}.dlq", stage.topic);
    let checked = check(&stage, &[], &["--format", "json"]);
    checked.exits(0).is(&format!("settings of {letters}"), "ok", "1300000").is(
        &format!("write {letters}"),
        "ok",
        "may write",
    );
    checked.is(&format!("read {}", stage.topic), "ok", "a record was read").is(
        &format!("group {}", stage.group),
        "ok",
        "",
    );
    checked.is(&format!("commit points of {}", stage.topic), "ok", "in all 2 partitions, lag 0");
    checked.is("producer of dead letters", "ok", "");
    assert_eq!(end_offset(&stage.servers, &letters, 0), 0);
    assert_eq!(committed(&stage.servers, &stage.group, &stage.topic, 2), points);
    assert_eq!(worker.metric(r#"oms_sync_rebalances_total{kind="assign"}"#), rebalances, "the group was left alone");
    assert_eq!(worker.terminate(), 0);

    produce(&stage.servers, &stage.topic, 0, ["a", "b"].map(str::to_owned));
    let end = end_offset(&stage.servers, &stage.topic, 0);
    delete_records(&stage.servers, &stage.topic, 0, end);
    let checked = check(&stage, &[], &["--format", "json"]);
    checked.exits(0).is(&format!("commit points of {}", stage.topic), "warning", "out of range in partition 0");
    let checked = check(&stage, &[("OMS_SYNC__KAFKA__OUT_OF_RANGE", "fail")], &["--format", "json"]);
    checked.exits(1).is(&format!("commit points of {}", stage.topic), "failed", "fail ends the worker");
}

#[test]
fn each_right_that_is_missing_is_told_until_all_are_there() {
    let Some(broker) = brokers::guarded() else { return };
    let stage = on_real(&broker.servers);
    let (topic, group, letters) = (stage.topic.as_str(), stage.group.as_str(), format!("{}.dlq", stage.topic));
    let [read, commit, write] = [format!("read {topic}"), format!("group {group}"), format!("write {letters}")];
    let check = || check(&stage, &[], &["--format", "json"]);

    // A topic with a right for something else may not even be seen.
    broker.grant(&["--operation", "DELETE", "--topic", "no-such-topic", "--group", group]);
    check().exits(1).is(&commit, "failed", "--operation READ --group").is(&read, "ok", "").is(&write, "ok", "");
    broker.grant(&["--operation", "CREATE", "--topic", topic, "--topic", &letters]);
    let hidden = check();
    hidden.exits(1).is(&format!("topic {topic}"), "failed", "may not see it").is(&read, "not_tried", "see topic");

    broker.grant(&["--operation", "DESCRIBE", "--topic", topic, "--topic", &letters, "--group", group]);
    let seen = check();
    seen.exits(1).is(&read, "failed", "--operation READ --topic").is(&commit, "failed", "--operation READ --group");
    seen.is(&write, "failed", "--operation WRITE --topic").is(&format!("settings of {letters}"), "ok", "not told");

    broker.grant(&["--operation", "READ", "--topic", topic, "--group", group]);
    check().exits(1).is(&read, "ok", "").is(&commit, "ok", "may commit").is(&write, "failed", "WRITE");
    broker.grant(&["--operation", "WRITE", "--topic", &letters]);
    check().exits(0).is(&write, "ok", "may write").is("producer of dead letters", "ok", "");
    assert_eq!(end_offset(&stage.servers, &letters, 0), 0, "nothing was written by asking");
}
