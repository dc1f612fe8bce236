//! `dead-letters list` and `replay`, the real binary against a real Kafka, the worker and the simulator.

use std::process::{Command, Stdio};
use std::time::Duration;

use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding};
use serde_json::Value;

use crate::brokers::{self, committed, create_topic, end_offset, produce, unique};
use crate::stage::{Stage, wait_until};

const REFUSE_BAD: &str = r#"{"rules":[{"keys":"*.bad","status":400,"code":"OMS.0001"}]}"#;
const NO_FAULT: &str = r#"{"rules":[]}"#;

fn on_real(faults: &str) -> Option<Stage> {
    let broker = brokers::real()?;
    let topic = unique("objects");
    create_topic(&broker.servers, &topic, 1, &[]);
    create_topic(&broker.servers, &format!("{topic}.dlq"), 1, &[]);
    Some(Stage::on(&broker.servers, &topic, 1, faults))
}

fn dead_letters(stage: &Stage, command: &str, args: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
    let place = ["--brokers", &stage.servers, "--topic", &format!("{}.dlq", stage.topic)];
    process.env_clear().args(["dead-letters", command]).args(place).args(args);
    process
}

/// Standard output of a command that succeeds.
fn output(stage: &Stage, command: &str, args: &[&str]) -> String {
    let output = dead_letters(stage, command, args).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {args:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn list(stage: &Stage, args: &[&str]) -> Vec<Value> {
    let lines = output(stage, "list", &[&["--format", "json"], args].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn letters(stage: &Stage) -> i64 {
    end_offset(&stage.servers, &format!("{}.dlq", stage.topic), 0)
}

fn is_accepted(stage: &Stage, task: &str, key: &str) -> bool {
    let key = EncodedKey::encode(key, KeyEncoding::Percent).unwrap();
    stage.simulator.ledger().get(task, key.as_str()).is_some()
}

#[test]
fn three_refused_keys_of_ten_are_listed_and_replayed_once_the_fault_is_gone() {
    let Some(stage) = on_real(REFUSE_BAD) else { return };
    let worker = stage.worker(&[]);
    let keys: Vec<String> = (0..10).map(|n| format!("in/a key {n}{}", if n % 4 == 1 { ".bad" } else { "" })).collect();
    produce(&stage.servers, &stage.topic, 0, [serde_json::json!({"bucket": "bucket-0", "keys": keys}).to_string()]);
    wait_until("the record is settled", || letters(&stage) == 1 && stage.is_settled());
    assert_eq!(stage.accepted(), 7);
    let bad = serde_json::json!([&keys[1], &keys[5], &keys[9]]);
    let listed = list(&stage, &[]);
    assert_eq!(listed.len(), 1);
    let mut failed: Vec<_> = listed[0]["failed_keys"].as_array().unwrap().clone();
    failed.sort_by_key(ToString::to_string);
    assert_eq!((Value::Array(failed), &listed[0]["replayed"]), (bad, &Value::Bool(false)));

    let dry = output(&stage, "replay", &["--dry-run"]);
    assert!(dry.contains("would replay 1 dead letters with 3 failed keys (0 as whole records)"), "{dry}");
    assert!(dry.contains("in/a key 5.bad") && !dry.contains("in/a key 2\""), "only the failed keys: {dry}");
    assert_eq!(end_offset(&stage.servers, &stage.topic, 0), 1, "a dry run writes nothing");

    stage.faults(NO_FAULT);
    let done = output(&stage, "replay", &[]);
    assert!(done.contains("replayed 1 dead letters with 3 failed keys (0 as whole records)"), "{done}");
    wait_until("every key is accepted", || keys.iter().all(|key| is_accepted(&stage, "task-0", key)));
    wait_until("lag is 0", || stage.is_settled());
    assert_eq!(stage.accepted(), 10, "no key went that had not failed");
    assert_eq!(list(&stage, &[])[0]["replayed"], Value::Bool(true));

    let again = output(&stage, "replay", &["--reason", "refused"]);
    assert!(again.contains("replayed 0 ") && again.contains("1 were replayed before"), "{again}");
    let again = output(&stage, "replay", &["--again"]);
    assert!(again.contains("replayed 1 "), "{again}");
    let group = committed(&stage.servers, "oms-sync-dead-letters", &format!("{}.dlq", stage.topic), 1);
    assert_eq!(group, [None], "no group's offsets are touched");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_dry_run_does_not_even_make_the_topic_of_what_was_replayed() {
    let Some(stage) = on_real("{}") else { return };
    produce(&stage.servers, &format!("{}.dlq", stage.topic), 0, ["not ours".to_owned()]);
    let dry = output(&stage, "replay", &["--dry-run"]);
    assert!(dry.contains("no dead letter of a worker") && dry.contains("1 are left"), "{dry}");
    let missing = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"))
        .args([
            "dead-letters",
            "list",
            "--brokers",
            &stage.servers,
            "--topic",
            &format!("{}.dlq.replayed", stage.topic),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(!missing.status.success() && told.contains("no dead-letter topic"), "{told}");
}

#[test]
fn a_task_that_returns_gets_what_was_dead_lettered_while_it_was_gone() {
    let Some(mut stage) = on_real(r#"{"remove_tasks":["task-1"]}"#) else { return };
    let worker = stage.worker(&[]);
    stage.generate(40);
    wait_until("the records are settled", || letters(&stage) == 10 && stage.is_settled());
    assert_eq!(list(&stage, &["--reason", "task_not_found", "--status", "404"]).len(), 10);
    stage.faults(r#"{"tasks":[{"id":"task-1","bucket":"bucket-1"}]}"#);
    let done = output(&stage, "replay", &["--status", "404"]);
    assert!(done.contains("replayed 10 dead letters with 10 failed keys (10 as whole records)"), "{done}");
    wait_until("every key is accepted", || stage.accepted() == 40 && stage.is_settled());
    assert_eq!(stage.check_ledger(), 0);
    assert_eq!(letters(&stage), 10, "none failed again");
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn each_filter_lists_what_it_names() {
    let Some(stage) = on_real(REFUSE_BAD) else { return };
    stage.faults(r#"{"remove_tasks":["task-1"]}"#);
    let worker = stage.worker(&[]);
    let values = [
        r#"{"bucket":"bucket-0","key":"a/x.bad"}"#,
        r#"{"bucket":"bucket-1","key":"a/gone"}"#,
        r#"{"bucket":"elsewhere","key":"k"}"#,
        "no JSON",
    ];
    produce(&stage.servers, &stage.topic, 0, values.map(str::to_owned));
    wait_until("the records are settled", || letters(&stage) == 4 && stage.is_settled());
    assert_eq!(worker.terminate(), 0);
    produce(&stage.servers, &format!("{}.dlq", stage.topic), 0, ["not ours".to_owned()]);
    for (args, expected) in [
        (&[][..], &[0, 1, 2, 3, 4][..]),
        (&["--task", "task-0"], &[0]),
        (&["--task", "task-0", "--task", "task-1"], &[0, 1]),
        (&["--reason", "no_route"], &[2]),
        (&["--stage", "decode"], &[3]),
        (&["--stage", "submit", "--stage", "route"], &[0, 1, 2]),
        (&["--status", "404"], &[1]),
        (&["--code", "OMS.0001"], &[0]),
        (&["--key", "a/*"], &[0, 1]),
        (&["--since", "1h"], &[0, 1, 2, 3, 4]),
        (&["--until", "1h"], &[]),
        (&["--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z"], &[]),
    ] {
        let mut of: Vec<u64> =
            list(&stage, args).iter().map(|row| row["source_offset"].as_u64().unwrap_or(4)).collect();
        of.sort_unstable();
        assert_eq!(of, expected, "{args:?}");
    }
    assert_eq!(list(&stage, &["--limit", "2"]).len(), 2);
    let table = output(&stage, "list", &[]).split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in ["(not ours) 1 0 0", "no_route 1 1 0", "all 5 3 0", "a/x.bad", "oms-sync.stage is missing"] {
        assert!(table.contains(expected), "{expected:?} in:\n{table}");
    }
    let csv = output(&stage, "list", &["--format", "csv", "--code", "OMS.0001"]);
    assert_eq!(csv.lines().count(), 2);
    assert!(csv.starts_with("topic,partition,offset,") && csv.trim_end().ends_with(r#""[""a/x.bad""]""#), "{csv}");
}

#[test]
fn beyond_the_most_replays_a_letter_is_told_and_left() {
    let Some(stage) = on_real(REFUSE_BAD) else { return };
    let worker = stage.worker(&[]);
    produce(&stage.servers, &stage.topic, 0, [r#"{"bucket":"bucket-0","keys":["good","x.bad"]}"#.to_owned()]);
    for replays in 0..3 {
        wait_until("it fails again", || letters(&stage) == replays + 1 && stage.is_settled());
        let done = output(&stage, "replay", &[]);
        assert!(done.contains("replayed 1 dead letters with 1 failed keys"), "{replays}: {done}");
        assert!(done.contains(&format!("{replays} were replayed before")), "{replays}: {done}");
    }
    wait_until("it fails again", || letters(&stage) == 4 && stage.is_settled());
    let rows = list(&stage, &[]);
    let replays: Vec<_> = rows.iter().map(|row| (row["replays"].as_u64(), row["source_offset"].as_u64())).collect();
    assert_eq!(replays, [0, 1, 2, 3].map(|replays| (Some(replays), Some(0))), "the first place stays");
    let left = output(&stage, "replay", &[]);
    assert!(left.contains("replayed 3 times; --max-replays is 3") && left.contains("1 are left"), "{left}");
    stage.faults(NO_FAULT);
    output(&stage, "replay", &["--max-replays", "4"]);
    wait_until("it is accepted", || is_accepted(&stage, "task-0", "x.bad") && stage.is_settled());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn without_the_right_to_note_replays_one_letter_goes_and_the_command_says_why() {
    let Some(broker) = brokers::guarded() else { return };
    let topic = unique("objects");
    let [letters_topic, noted] = [format!("{topic}.dlq"), format!("{topic}.dlq.replayed")];
    for topic in [&topic, &letters_topic, &noted] {
        create_topic(&broker.servers, topic, 1, &[]);
    }
    let stage = Stage::on(&broker.servers, &topic, 1, REFUSE_BAD);
    let worker = stage.worker(&[]);
    let record = |n: usize| format!(r#"{{"bucket":"bucket-0","key":"{n}.bad"}}"#);
    produce(&stage.servers, &stage.topic, 0, (0..5).map(record));
    wait_until("the records are settled", || letters(&stage) == 5 && stage.is_settled());
    stage.faults(NO_FAULT);

    broker.grant(&["--operation", "READ", "--topic", &noted]); // from now on none may write to it
    let failed = dead_letters(&stage, "replay", &[]).output().unwrap();
    let told = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(2), "{told}");
    assert!(told.contains(&format!("a record for topic {noted}: grant this client WRITE on it")), "{told}");
    assert_eq!(end_offset(&stage.servers, &stage.topic, 0), 5 + 1, "only the first one went");

    broker.grant(&["--operation", "WRITE", "--topic", &noted]);
    let done = output(&stage, "replay", &[]);
    assert!(done.contains("replayed 5 dead letters"), "{done}");
    let all_accepted = || (0..5).all(|n| is_accepted(&stage, "task-0", &format!("{n}.bad")));
    wait_until("every key is accepted", || all_accepted() && stage.is_settled());
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn a_replay_that_is_killed_twenty_times_loses_nothing() {
    const RECORDS: i64 = 60;
    let Some(stage) = on_real(REFUSE_BAD) else { return };
    let worker = stage.worker(&[]);
    let key = |n: i64| format!("{n}.bad");
    let value = |n: i64| serde_json::json!({"bucket": "bucket-0", "keys": [format!("{n}.good"), key(n)]}).to_string();
    produce(&stage.servers, &stage.topic, 0, (0..RECORDS).map(value));
    wait_until("the records are settled", || letters(&stage) == RECORDS && stage.is_settled());
    stage.faults(NO_FAULT);
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..20 {
        let mut replay = dead_letters(&stage, "replay", &["--rate", "4"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(0..1_000))); // the moment is what is tried
        replay.kill().unwrap();
        replay.wait().unwrap();
    }
    let done = output(&stage, "replay", &[]);
    assert!(done.contains("0 are left"), "{done}");
    wait_until("every key is accepted", || (0..RECORDS).all(|n| is_accepted(&stage, "task-0", &key(n))));
    wait_until("lag is 0", || stage.is_settled());
    assert!(output(&stage, "replay", &[]).contains(&format!("{RECORDS} were replayed before")));
    println!(
        "{} records for {RECORDS} letters; the last: {done}",
        end_offset(&stage.servers, &stage.topic, 0) - RECORDS
    );
    assert_eq!(worker.terminate(), 0);
}

#[test]
fn an_interrupted_replay_notes_what_was_acknowledged_and_the_next_goes_on() {
    let Some(stage) = on_real(REFUSE_BAD) else { return };
    let worker = stage.worker(&[]);
    produce(&stage.servers, &stage.topic, 0, (0..20).map(|n| format!(r#"{{"bucket":"bucket-0","key":"{n}.bad"}}"#)));
    wait_until("the records are settled", || letters(&stage) == 20 && stage.is_settled());
    stage.faults(NO_FAULT);
    let replay = dead_letters(&stage, "replay", &["--rate", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("one is replayed", || end_offset(&stage.servers, &stage.topic, 0) > 20);
    assert!(Command::new("kill").args(["-s", "INT", &replay.id().to_string()]).status().unwrap().success());
    let ended = replay.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("interrupted"), "{told}");
    let sent = end_offset(&stage.servers, &stage.topic, 0) - 20;
    assert!(told.contains(&format!("replayed {sent} ")), "{sent}: {told}");
    let rest = output(&stage, "replay", &[]);
    assert!(rest.contains(&format!("replayed {} ", 20 - sent)), "nothing twice: {rest}");
    wait_until("every key is accepted", || stage.accepted() == 20 && stage.is_settled());
    assert_eq!(worker.terminate(), 0);
}
