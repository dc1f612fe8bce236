//! The `decode` command: its lines, its account for people, its arguments.

use clap::Parser;
use oms_sync_worker::commands::decode::{DecodeArgs, decode_all};
use serde_json::{Value, json};

use super::s3;
use crate::fixtures;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: DecodeArgs,
}

/// Standard output, and how it ended.
fn run(arguments: &[&str], stdin: &str) -> (String, Result<(), String>) {
    let cli = Cli::parse_from([&["decode"], arguments].concat());
    let mut out = Vec::new();
    let done = decode_all(&cli.args, &mut stdin.as_bytes(), &mut out).map_err(|error| error.to_string());
    (String::from_utf8(out).unwrap(), done)
}

pub(super) fn decode_command(arguments: &[&str], stdin: &str) -> (Vec<Value>, Result<(), String>) {
    let (lines, done) = run(arguments, stdin);
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), done)
}

#[test]
fn the_decode_command_prints_the_documented_line() {
    let (lines, done) =
        decode_command(&["--header", "oms-sync-task=t-1", "--topic", "x"], &s3("ObjectCreated:Put", "a+b"));
    done.unwrap();
    let expected = json!({
        "action": "sync", "bucket": "b", "key": "a b", "encoded_key": "a%20b", "kind": "content-change", "reason": null,
        "format": "aws-s3", "event_name": "ObjectCreated:Put", "task": "t-1",
    });
    assert_eq!(lines, [expected]);
    let (lines, _) = decode_command(&["--format", "aws-s3", "--key-encoding", "raw"], &s3("ObjectCreated:Put", "a+b"));
    assert_eq!(lines[0]["encoded_key"], "a%2Bb");
}

#[test]
fn the_decode_command_names_files_and_fails_for_those_it_cannot_read() {
    let file = fixtures::folder().join("aws/put_zero_byte.json");
    let file = file.to_str().unwrap();
    let (lines, done) = decode_command(&[file, "no-such-file", file], "");
    assert_eq!(lines.iter().map(|line| &line["file"]).collect::<Vec<_>>(), [file, file]);
    assert!(done.unwrap_err().contains("no-such-file"));
}

#[test]
fn a_hyphen_is_standard_input_among_files() {
    let file = fixtures::folder().join("aws/put_zero_byte.json");
    let file = file.to_str().unwrap();
    let (lines, done) = decode_command(&["-", file], r#"{"bucket":"b","key":"k"}"#);
    done.unwrap();
    let found: Vec<_> = lines.iter().map(|line| (line["file"].as_str().unwrap(), line["key"].clone())).collect();
    assert_eq!(found, [("-", json!("k")), (file, json!("flags/_SUCCESS"))]);
}

#[test]
fn with_a_configuration_records_are_read_and_routed_as_the_worker_would() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("worker.yaml");
    let text = r#"
kafka: {brokers: "kafka:9092", topics: [plain, own]}
oms: {endpoint: "http://127.0.0.1:1", project_id: p, credentials: {source: static, access_key: a, secret_key: s}}
routes: [{task: all, bucket: b}, {task: deep, bucket: b, prefix: in/}]
records: {unrecognised: skip, topics: {own: {format: native, key_encoding: form}}}
"#;
    std::fs::write(&config, text).unwrap();
    let decode = |topic: &str, value: &str| {
        let (lines, done) = decode_command(&["--config", config.to_str().unwrap(), "--topic", topic], value);
        done.unwrap();
        let line = lines[0].clone();
        (line["action"].clone(), line["task"].clone(), line["reason"].clone(), line["encoded_key"].clone())
    };
    let native = |bucket: &str| json!({"bucket": bucket, "key": "in/a+b"}).to_string();
    assert_eq!(decode("plain", &native("b")), (json!("sync"), json!("deep"), Value::Null, json!("in%2Fa%2Bb")));
    assert_eq!(decode("own", &native("b")), (json!("sync"), json!("deep"), Value::Null, json!("in%2Fa%20b")));
    assert_eq!(decode("plain", &native("c")).0, json!("reject"));
    assert_eq!(decode("plain", "{}"), (json!("skip"), Value::Null, json!("unrecognised"), Value::Null));

    let (account, _) = run(&["--config", config.to_str().unwrap(), "--explain"], &native("b"));
    assert!(anstream::adapter::strip_str(&account).to_string().contains("deep, by its bucket and prefix \"in/\""));
    let discovered = text.replace("[{task: all, bucket: b}, {task: deep, bucket: b, prefix: in/}]", "discover");
    std::fs::write(&config, discovered).unwrap();
    let named = json!({"sync_task_id": "31e9", "key": "k"}).to_string();
    assert_eq!(decode("plain", &native("b")), (json!("sync"), Value::Null, Value::Null, json!("in%2Fa%2Bb")));
    assert_eq!(decode("plain", &named), (json!("sync"), json!("31e9"), Value::Null, json!("k")));
    let (account, _) = run(&["--config", config.to_str().unwrap(), "--explain"], &native("b"));
    assert!(account.contains("by the project's tasks: routes are discovered"), "{account}");
    std::fs::write(&config, "routes: 7").unwrap();
    let (_, refused) = run(&["--config", config.to_str().unwrap()], "{}");
    assert!(refused.unwrap_err().contains("kafka.brokers"), "every problem is told");
}

#[test]
fn the_account_tells_each_step_and_lets_no_text_of_the_record_reach_the_terminal_unquoted() {
    let value = s3("ObjectCreated:Put", "a+b%1B%5B2J%0A");
    let wrapped = json!({"Type": "Notification", "Message": value}).to_string();
    let (account, done) = run(&["--explain"], &wrapped);
    done.unwrap();
    let plain = anstream::adapter::strip_str(&account).to_string();
    let told = [
        "SNS notification",
        "aws-s3: Records",
        "sync",
        "\"ObjectCreated:Put\"",
        "\"b\"",
        "form-encoded",
        "\"a b\\u{1b}[2J\\n\"",
        "a%20b%1B%5B2J%0A",
    ];
    for text in told {
        assert!(plain.contains(text), "{text} is not in {plain}");
    }
    let (account, _) = run(&["--explain"], "{\"Records\":[]}");
    assert!(account.contains("no_changes: the list of changes is empty"), "{account}");
}
