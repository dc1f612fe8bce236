//! Values at the edges of formats: what is missing, odd or somewhere else, and must neither be lost nor guessed at.

use serde_json::{Value, json};

use oms_sync_worker::formats::{DecodeOptions, KeyText};
use oms_sync_worker::pipeline::record::{Header, Record};

use super::{check, record, s3, words};

fn with_headers(value: &str, headers: &[(&str, &str)]) -> Record {
    let header = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Some(value.as_bytes().into()) };
    Record { headers: headers.iter().map(header).collect(), ..record(Some(value.as_bytes())) }
}

fn check_record(record: &Record, expected: &[&str]) {
    assert_eq!(words(record, &DecodeOptions::default()), expected, "{record:?}");
}

fn s3_with(change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(&s3("ObjectCreated:Put", "a%20b")).unwrap();
    change(&mut value["Records"][0]);
    value.to_string()
}

#[test]
fn an_empty_value_is_a_change_where_the_headers_of_a_cloud_event_say_it_all() {
    let gcs = [
        ("ce_specversion", "1.0"),
        ("ce_type", "google.cloud.storage.object.v1.finalized"),
        ("ce_source", "//storage.googleapis.com/projects/_/buckets/b"),
        ("ce_subject", "objects/a"),
    ];
    check_record(&with_headers("", &gcs), &["sync a"]);
    check_record(&with_headers("", &[("ce_type", "x.y"), ("ce_subject", "objects/a")]), &["skip empty_value"]);
    check_record(&Record { value: None, ..with_headers("", &gcs) }, &["skip null_value"]);
}

#[test]
fn attributes_of_pub_sub_may_be_quoted_and_the_object_in_the_value() {
    let quoted = [("eventType", "\"OBJECT_FINALIZE\""), ("bucketId", "\"b\""), ("objectId", "\"a\"")];
    check_record(&with_headers("{}", &quoted), &["sync a"]);
    let resource = r#"{"kind":"storage#object","bucket":"b","name":"a"}"#;
    check_record(&with_headers(resource, &[("eventType", "OBJECT_FINALIZE")]), &["sync a"]);
    check_record(&with_headers(resource, &[("eventType", "OBJECT_DELETE")]), &["skip deleted"]);
    check_record(&with_headers(resource, &[]), &["skip untyped"]);
}

#[test]
fn a_size_that_is_not_there_is_not_zero() {
    let ceph = |object: Value| {
        let s3 = json!({"bucket": {"name": "b"}, "object": object});
        json!({"Records": [{"eventSource": "ceph:s3", "eventName": "ObjectCreated:Post", "s3": s3}]}).to_string()
    };
    check(&ceph(json!({"key": "a"})), &["sync a"]);
    check(&ceph(json!({"key": "a", "size": 0, "eTag": ""})), &["skip not_complete"]);
    check(&ceph(json!({"key": "a", "size": 0, "etag": "x"})), &["sync a"]);
    let azure = |data: Value| {
        let subject = "/blobServices/default/containers/c/blobs/a";
        json!([{"eventType": "Microsoft.Storage.BlobCreated", "subject": subject, "data": data}]).to_string()
    };
    check(&azure(json!({"api": "CreateFile"})), &["sync a"]);
    check(&azure(json!({"api": "CreateFile", "contentLength": 0})), &["skip not_complete"]);
}

#[test]
fn a_source_that_is_no_text_is_not_a_missing_one() {
    check(&s3_with(|entry| entry["eventSource"] = json!(5)), &["skip unknown_event_source"]);
    check(&s3_with(|entry| entry["eventSource"] = Value::Null), &["sync a b"]);
    check(&s3_with(|entry| entry["eventSource"] = json!("")), &["sync a b"]);
}

#[test]
fn an_empty_bucket_is_none() {
    check(&s3_with(|entry| entry["s3"]["bucket"]["name"] = json!("")), &["reject missing_bucket"]);
    check(r#"{"bucket":"","key":"k"}"#, &["reject missing_bucket"]);
    check(r#"{"bucket":"","sync_task_id":"t","key":"k"}"#, &["sync k"]);
}

#[test]
fn odd_members_of_one_item_do_not_hide_the_others() {
    let object = |size: &str| s3("ObjectCreated:Put", "a").replace("\"key\":", &format!("\"size\":{size},\"key\":"));
    check(&object("1e400"), &["sync a"]);
    check(&object(&"9".repeat(400)), &["sync a"]);
    check(&s3_with(|entry| entry["s3"]["object"]["etag"] = json!("x")), &["sync a b"]);
    check(&s3("ObjectCreated:Put", "a").replace("]}", "],\"records\":[]}"), &["sync a"]);
}

#[test]
fn the_bucket_of_cos_is_told_by_its_account_and_its_key() {
    let cos = |name: &str, appid: Value, key: &str| {
        let cos = json!({"cosBucket": {"name": name, "appid": appid}, "cosObject": {"key": key}});
        json!({"Records": [{"cos": cos, "event": {"eventName": "cos:ObjectCreated:Put"}}]}).to_string()
    };
    let bucket = |value: &str| {
        let record = record(Some(value.as_bytes()));
        let changes = oms_sync_worker::formats::decode(&record, &DecodeOptions::default());
        (changes[0].bucket.as_deref().map(str::to_owned), changes[0].key.as_deref().map(str::to_owned))
    };
    let found = |bucket: &str, key: &str| (Some(bucket.to_owned()), Some(key.to_owned()));
    assert_eq!(bucket(&cos("bk", json!("1250"), "/1250/bk/d")), found("bk-1250", "d"));
    assert_eq!(bucket(&cos("bk", json!(1250), "/old/d")), found("bk-1250", "old/d"));
    assert_eq!(bucket(&cos("bk-1250", json!("1250"), "/1250/bk/d")), found("bk-1250", "d"));
    assert_eq!(bucket(&cos("bk-1250", json!("1250"), "/1250/bk-1250/d")), found("bk-1250-1250", "d"));
    check(&cos("bk", Value::Null, "/1250/bk/d"), &["reject missing_bucket"]);
    check(&cos("bk", json!(""), "/1250/bk/d"), &["reject missing_bucket"]);
}

#[test]
fn what_is_decoded_already_is_not_decoded_again() {
    let azure = |container: &str, data: Value| {
        let subject = format!("/blobServices/default/containers/{container}/blobs/e\u{fffd}");
        json!([{"eventType": "Microsoft.Storage.BlobRenamed", "subject": subject, "data": data}]).to_string()
    };
    let form = DecodeOptions { key_text: KeyText::Form, ..DecodeOptions::default() };
    let value = azure("c", json!({"url": "https://a.blob.core.windows.net/c/e%2520%F0%9F%98%80"}));
    assert_eq!(words(&record(Some(value.as_bytes())), &form), ["sync e%20😀"]);
    check(&azure("c", json!({"destinationUrl": "https://a.dfs.core.windows.net/c/e%F0%9F%98%80"})), &["sync e😀"]);
    check(&azure("$root", json!({"url": "https://a.blob.core.windows.net/e%F0%9F%98%80"})), &["sync e😀"]);
}

#[test]
fn the_type_of_an_adapter_for_s3_names_source_and_event() {
    let data = json!({"s3": {"bucket": {"name": "b"}, "object": {"key": "a+b"}}});
    let event = |kind: &str| json!({"specversion": "1.0", "type": kind, "data": data}).to_string();
    check(&event("com.amazonaws.s3.ObjectCreated:Put"), &["sync a b"]);
    check(&event("com.amazonaws.s3.ObjectRemoved:Delete"), &["skip deleted"]);
}

#[test]
fn envelopes_may_hold_nothing_lists_or_objects() {
    check(r#"{"schema":null,"payload":null}"#, &["skip null_value"]);
    check(r#"{"message":{"data":"eyJraW5kIjoic3RvcmFnZSNvYmplY3QifQ==","messageId":"1"}}"#, &["skip untyped"]);
    let oss = json!({"eventName": "ObjectCreated:PutObject", "oss": {"bucket": {"name": "b"}, "object": {"key": "a"}}});
    let event = json!({"specversion": "1.0", "type": "oss:ObjectCreated:PutObject", "data": {"events": [oss]}});
    check(&event.to_string(), &["sync a"]);
    let message = json!({"event": "put", "bucket": "b", "key": "a"});
    check(&json!({"Subject": "Qiniu KODO Notification", "Message": message}).to_string(), &["sync a"]);
}

#[test]
fn of_several_headers_of_one_name_the_last_counts() {
    let record = with_headers(r#"{"key":"a"}"#, &[("oms-sync-task", "first"), ("oms-sync-task", "last")]);
    let changes = oms_sync_worker::formats::decode(&record, &DecodeOptions::default());
    assert_eq!(changes[0].task.as_deref(), Some("last"));
}
