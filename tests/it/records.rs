//! Record formats from outside: the fixtures, the `decode` command, and what holds for every value.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;
mod edges;
mod envelopes;
mod properties;
mod rewrite;
mod wrap;

use crate::fixtures;
use command::decode_command;
use oms_sync_worker::formats::{self, DecodeOptions, Format, KeyText, Policy, Reason};
use oms_sync_worker::pipeline::packed::Packed;
use oms_sync_worker::pipeline::record::{Header, Record};
use serde_json::json;

fn record(value: Option<&[u8]>) -> Record {
    Record { value: value.map(Box::from), ..Record::at("object-changes", 0, 7) }
}

/// A fixture as it comes, and what its user has set.
fn fixture_record(fixture: &fixtures::Fixture) -> (Record, DecodeOptions) {
    let header =
        |(name, value): (&String, &String)| Header { name: name.as_str().into(), value: Some(value.as_bytes().into()) };
    let headers = fixture.headers.iter().map(header).collect();
    let key_text = match fixture.key_encoding.as_deref() {
        Some("raw") => KeyText::Raw,
        _ => KeyText::Auto,
    };
    (Record { headers, ..record(fixture.value.as_deref()) }, DecodeOptions { key_text, ..DecodeOptions::default() })
}

fn with_task(value: &str, task: &[u8]) -> Record {
    let headers = Box::new([Header { name: "OMS-Sync-Task".into(), value: Some(task.into()) }]);
    Record { headers, ..record(Some(value.as_bytes())) }
}

/// One word a change: `sync KEY` or `skip reason` or `reject reason`.
fn words(record: &Record, options: &DecodeOptions) -> Vec<String> {
    let packed = Packed::from(record); // as the worker has it
    let changes = formats::decode(record, options);
    assert_eq!(formats::decode(&packed, options), changes);
    let word = |change: &formats::Change<'_>| {
        let what = change.outcome.reason().map(Reason::as_str).or(change.key.as_deref()).unwrap_or_default();
        format!("{} {what}", change.outcome.action().as_str())
    };
    changes.iter().map(word).collect()
}

fn check(value: &str, expected: &[&str]) {
    assert_eq!(words(&record(Some(value.as_bytes())), &DecodeOptions::default()), expected, "{value}");
}

fn s3(event_name: &str, key: &str) -> String {
    let s3 = json!({"bucket": {"name": "b"}, "object": {"key": key}});
    json!({"Records": [{"eventSource": "aws:s3", "eventName": event_name, "s3": s3}]}).to_string()
}

#[test]
fn every_fixture_decodes_as_expected() {
    let fixtures = fixtures::all();
    assert!(fixtures.len() >= 100, "the fixtures are there");
    for fixture in fixtures {
        let path = fixtures::folder().join(&fixture.file);
        let mut arguments = vec![path.to_str().unwrap()];
        let headers: Vec<_> = fixture.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for header in &headers {
            arguments.extend(["--header", header]);
        }
        if let Some(encoding) = &fixture.key_encoding {
            arguments.extend(["--key-encoding", encoding]);
        }
        let (lines, done) = decode_command(&arguments, "");
        done.unwrap();
        let found: Vec<_> = lines
            .iter()
            .map(|l| json!({"action": l["action"], "bucket": l["bucket"], "key": l["key"], "kind": l["kind"]}))
            .collect();
        let expected: Vec<_> = fixture.expected.iter().map(|change| change.as_json(&fixture)).collect();
        assert_eq!(found, expected, "{}", fixture.file);
    }
}

#[test]
fn native_records_come_in_every_documented_shape() {
    check(r#"{"bucket":"landing","key":"in/a b+c%20.txt"}"#, &["sync in/a b+c%20.txt"]);
    check(
        r#" [{"bucket":"b","key":"x","more":[1,{}]},{"sync_task_id":"t","keys":["a","b"]}] "#,
        &["sync x", "sync a", "sync b"],
    );
    check(r#"{"bucket":"b","key":"x","keys":["y"]}"#, &["sync x", "sync y"]);
    check(r#"{"bucket":"b","key":"a+b%2Fc","encoded":true}"#, &["sync a b/c"]);
    check(r#"{"bucket":"b","key":"a%2","encoded":true}"#, &["reject invalid_key_encoding"]);
    check(r#"{"bucket":"b","key":"a","event":"deleted"}"#, &["skip deleted"]);
    check(r#"{"bucket":"b","key":"a","event":"created"}"#, &["sync a"]);
    check("{\"bucket\":\"b\",\"key\":\"tab\\t\\u4e2d\"}", &["sync tab\t中"]);
}

#[test]
fn a_native_record_without_a_usable_key_is_rejected_and_an_empty_list_is_skipped() {
    check(r#"{"bucket":"b","key":""}"#, &["reject empty_key"]);
    check(r#"{"sync_task_id":"t"}"#, &["reject missing_key"]);
    check(r#"{"bucket":"b","keys":["a",5,null]}"#, &["sync a", "reject missing_key", "reject missing_key"]);
    check(r#"{"bucket":"b","keys":[]}"#, &["skip no_changes"]);
    check("[]", &["skip no_changes"]);
}

#[test]
fn a_native_member_of_the_wrong_type_is_rejected_rather_than_passed_over() {
    check(r#"{"bucket":"b","key":"a%20b","encoded":"true"}"#, &["reject wrong_type"]);
    check(r#"{"bucket":"b","key":"a","sync_task_id":7}"#, &["reject wrong_type"]);
    check(r#"{"bucket":"b","key":"a","sync_task_id":null,"encoded":null}"#, &["sync a"]);
}

#[test]
fn what_nothing_recognises_is_one_reject() {
    for value in [r#"{"key":"x"}"#, r#"{"id":7,"key":5,"bucket":{}}"#, "[1,[2],{}]", "\"test\"", "5", "null", "{}"] {
        check(value, &["reject unrecognised"]);
    }
    check(r#"{"Records":[{"body":"{}","eventSource":"aws:sqs"}]}"#, &["reject unrecognised"]);
    check(r#"[["landing","key"]]"#, &["reject unrecognised"]);
    let deep = format!(r#"{{"key":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    check(&deep, &["reject unrecognised"]);
}

#[test]
fn a_strange_item_does_not_hide_the_others() {
    let known = s3("ObjectCreated:Put", "x");
    let mixed = known.replace("[{", "[7,{\"body\":\"\"},{");
    check(&mixed, &["reject unrecognised", "sync x"]);
}

#[test]
fn what_cannot_be_read_is_not_of_its_neighbours_format() {
    let formats = |value: &str, options: &DecodeOptions| {
        let record = record(Some(value.as_bytes()));
        formats::decode(&record, options).iter().map(|change| change.format).collect::<Vec<_>>()
    };
    let default = DecodeOptions::default();
    let native = r#"{"bucket":"b","key":"x"}"#;
    assert_eq!(formats(&format!(r#"{{"events":[{native},"no json"]}}"#), &default), [Some(Format::Native), None]);
    let unknown = s3("ObjectCreated:Put", "x").replace("aws:s3", "unheard-of:s3");
    assert_eq!(formats(&format!("[{native},{unknown}]"), &default), [Some(Format::Native), None]);
    let mixed = unknown.replace("[{", r#"[{"eventSource":"aws:s3","eventName":"x","s3":{}},{"#);
    assert_eq!(formats(&mixed, &default), [Some(Format::AwsS3), None]);
}

#[test]
fn an_envelope_and_escapes_do_not_change_what_format_an_empty_list_is_of() {
    for value in [r#"{"bucket":"b","keys":[]}"#, r#""{\"bucket\":\"b\",\"keys\":[]}""#] {
        let record = record(Some(value.as_bytes()));
        let changes = formats::decode(&record, &DecodeOptions::default());
        assert_eq!((changes.len(), changes[0].format), (1, Some(Format::Native)), "{value}");
    }
}

#[test]
fn an_application_id_of_cos_that_is_neither_text_nor_number_is_none() {
    let with = |appid: &str| {
        let cos = format!(r#"{{"cosObject":{{"key":"/1/b/x"}},"cosBucket":{{"name":"b","appid":{appid}}}}}"#);
        format!(r#"{{"Records":[{{"cos":{cos},"event":{{"eventName":"cos:ObjectCreated:Put"}}}}]}}"#)
    };
    let found = |appid: &str| {
        let record = record(Some(with(appid).as_bytes()));
        let change = formats::decode(&record, &DecodeOptions::default()).remove(0).clone();
        format!("{} in {}", change.key.unwrap_or_default(), change.bucket.unwrap_or_default())
    };
    assert_eq!([found("1"), found("\"1\"")], ["x in b-1", "x in b-1"]);
    for appid in ["null", "true", "[ 1 ]", "[1]", "{}", "-1"] {
        assert_eq!(found(appid), "/1/b/x in ", "{appid}");
    }
}

#[test]
fn broken_values_are_one_reject() {
    for value in
        ["hello", "{\"Records\":[{", "{} {}", r#"{"bucket":"b","bucket":"c","key":"x"}"#, " ", r#"{"key":"\ud800"}"#]
    {
        check(value, &["reject invalid_json"]);
    }
    assert_eq!(words(&record(Some(b"{\"key\":\"\xff\"}")), &DecodeOptions::default()), ["reject invalid_utf8"]);
}

#[test]
fn nothing_at_all_is_one_skip() {
    assert_eq!(words(&record(None), &DecodeOptions::default()), ["skip null_value"]);
    assert_eq!(words(&record(Some(b"")), &DecodeOptions::default()), ["skip empty_value"]);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    check("\u{feff}{\"bucket\":\"b\",\"key\":\"x\"}", &["sync x"]);
    check("\u{feff}[{\"bucket\":\"b\",\"key\":\"x\"}]", &["sync x"]);
}

#[test]
fn s3_keys_are_form_decoded_once_and_strictly() {
    check(&s3("ObjectCreated:Put", "a+b%2Bc%2520"), &["sync a b+c%20"]);
    check(&s3("s3:ObjectCreated:Copy", "\u{4e2d}"), &["sync 中"]);
    check(&s3("ObjectCreated:Put", "100%"), &["reject invalid_key_encoding"]);
    check(&s3("ObjectCreated:Put", "%ff"), &["reject invalid_key_encoding"]);
    check(&s3("ObjectCreated:Put", ""), &["reject empty_key"]);
    check(&s3("ObjectRemoved:Delete", "100%"), &["skip deleted"]);
}

#[test]
fn an_s3_record_with_missing_parts_is_rejected() {
    check(r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put"}]}"#, &["reject missing_bucket"]);
    check(r#"{"Records":[{"eventSource":"aws:s3","s3":{"object":{"key":"x"}}}]}"#, &["reject missing_event_name"]);
    check(
        r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":1}}}]}"#,
        &["reject missing_key"],
    );
}

#[test]
fn a_test_notification_is_skipped_with_its_bucket() {
    let value =
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"t","Bucket":"b","RequestId":"r","HostId":"h"}"#;
    let (lines, _) = decode_command(&[], value);
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["reason"], &lines[0]["bucket"]), (&json!("test_event"), &json!("b")));
}

#[test]
fn s3_shapes_of_others_are_never_read_as_aws() {
    let other = |source: &str| s3("ObjectCreated:Put", "a%20b").replace("aws:s3", source);
    check(&other("unheard-of:s3"), &["skip unknown_event_source"]);
    check(&other("minio:s3"), &["sync a b"]);
    check(&other("ceph:s3"), &["sync a%20b"]);
    check(&other("noobaa:s3"), &["sync a%20b"]);
    let options = DecodeOptions { format: Some(Format::Noobaa), ..DecodeOptions::default() };
    assert_eq!(words(&record(Some(other("unheard-of:s3").as_bytes())), &options), ["sync a%20b"]);
}

#[test]
fn the_type_of_a_cloud_event_names_the_event_where_its_data_does_not() {
    let event = |kind: &str| {
        let data = json!({"obs": {"bucket": {"name": "b"}, "object": {"key": "a+b"}}});
        json!({"specversion": "1.0", "type": kind, "data": data}).to_string()
    };
    check(&event("OBS:DWR:ObjectCreated:POST"), &["sync a b"]);
    check(&event("OBS:DWR:ObjectRemoved:DELETE"), &["skip deleted"]);
}

#[test]
fn options_choose_format_key_encoding_and_folder_markers() {
    let folder = record(Some(br#"{"bucket":"b","key":"dir%2F"}"#));
    let with = |options| words(&folder, &options);
    let default = DecodeOptions::default();
    assert_eq!(with(DecodeOptions { key_text: KeyText::Form, ..default }), ["sync dir/"]);
    assert_eq!(with(DecodeOptions { folder_markers: Policy::Skip, ..default }), ["sync dir%2F"]);
    let skip = DecodeOptions { key_text: KeyText::Form, folder_markers: Policy::Skip, ..default };
    assert_eq!(with(skip), ["skip folder_marker"]);
    assert_eq!(with(DecodeOptions { format: Some(Format::AwsS3), ..default }), ["reject unrecognised"]);
    let keyed = record(Some(br#"{"key":"x"}"#));
    assert_eq!(words(&keyed, &DecodeOptions { format: Some(Format::Native), ..default }), ["reject missing_bucket"]);
    let raw = record(Some(s3("ObjectCreated:Put", "a+b").as_bytes()));
    assert_eq!(words(&raw, &DecodeOptions { key_text: KeyText::Raw, ..default }), ["sync a+b"]);
}

#[test]
fn more_changes_than_the_limit_reject_the_whole_record() {
    let options = DecodeOptions { max_changes: 3, ..DecodeOptions::default() };
    let list = |count: usize| record(Some(json!({"bucket": "b", "keys": vec!["k"; count]}).to_string().as_bytes()));
    assert_eq!(words(&list(3), &options), ["sync k"; 3]);
    assert_eq!(words(&list(4), &options), ["reject too_many_changes"]);
    let unlimited = DecodeOptions { max_changes: usize::MAX, ..options };
    assert_eq!(words(&list(formats::MAX_CHANGES_LIMIT + 1), &unlimited), ["reject too_many_changes"]);
}

#[test]
fn the_header_goes_before_the_task_beside_the_key() {
    let options = DecodeOptions::default();
    let task = |record: &Record| {
        let packed = Packed::from(record); // as the worker has it
        let changes = formats::decode(record, &options);
        assert_eq!(formats::decode(&packed, &options), changes);
        changes[0].task.as_deref().map(str::to_owned)
    };
    assert_eq!(task(&with_task(r#"{"key":"x"}"#, b"header")).as_deref(), Some("header"));
    assert_eq!(task(&with_task(r#"{"sync_task_id":"own","key":"x"}"#, b"header")).as_deref(), Some("header"));
    assert_eq!(task(&record(Some(br#"{"sync_task_id":"own","key":"x"}"#))).as_deref(), Some("own"));
    assert_eq!(task(&with_task(&s3("ObjectCreated:Put", "x"), b"header")).as_deref(), Some("header"));
    assert_eq!(task(&with_task(r#"{"key":"x"}"#, b"\xff")).as_deref(), Some("\u{fffd}"));
    // Every change has it, so that it does not grow.
    assert_eq!(task(&with_task(r#"{"key":"x"}"#, &[0xff; 2_000])).as_deref(), Some("\u{fffd}"));
}
