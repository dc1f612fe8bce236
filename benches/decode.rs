//! What decoding costs, beside a bare parse of the same record: `cargo bench --bench decode`.
//!
//! The bare parse is what the least possible program would do: typed, borrowed, and only the three members that it needs.

mod notification;

use std::path::Path;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use oms_sync_worker::formats::{self, DecodeOptions};
use oms_sync_worker::pipeline::record::Record;

use notification::Notification;

/// One record of each family and envelope, in `tests/fixtures/records`.
const SAMPLES: [&str; 17] = [
    "aws/put_literal_percent2F_no_double_decode.json",
    "aws/eventbridge_object_created_raw_key.json",
    "aws/connect_schema_payload.json",
    "aws/five_envelopes.json",
    "aws/lambda_sqs_batch_nested.json",
    "minio/put_chinese_emoji.json",
    "ceph/put_raw_nasty.json",
    "noobaa/put_raw_key.json",
    "huawei/eventgrid_ce_encoded.json",
    "huawei/smn_http_envelope.json",
    "aliyun/oss_put_raw_nasty.json",
    "aliyun/mns_base64.txt",
    "tencent/cos_put.json",
    "azure/eventgrid_array_blobcreated.json",
    "gcs/pubsub_push_payload_none.json",
    "cloudevents/structured_no_content_type_header.json",
    "qiniu/put.json",
];

fn main() {
    divan::main();
}

fn sample(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records").join(file);
    std::fs::read(path).unwrap_or_default()
}

fn record(value: &[u8]) -> Record {
    Record { value: Some(value.into()), ..Record::at("object-changes", 0, 0) }
}

fn decode(bencher: Bencher<'_, '_>, value: &[u8]) {
    let (record, options) = (record(value), DecodeOptions::default());
    let bencher = bencher.counter(BytesCount::new(value.len()));
    bencher.bench_local(|| formats::decode(black_box(&record), black_box(&options)).len());
}

/// A notification of about 700 bytes with this many records in it, each with its own key.
fn notification(records: usize) -> Vec<u8> {
    let value = sample(SAMPLES[0]);
    let text = String::from_utf8_lossy(&value);
    let item = text.trim_end().trim_start_matches("{\"Records\":[").trim_end_matches("]}");
    let items: Vec<_> = (0..records).map(|n| item.replace("raw/", &format!("raw/{n}-"))).collect();
    format!("{{\"Records\":[{}]}}", items.join(",")).into_bytes()
}

#[divan::bench]
fn bare_parse(bencher: Bencher<'_, '_>) {
    let value = notification(1);
    let bencher = bencher.counter(BytesCount::new(value.len()));
    bencher.bench_local(|| {
        let text = std::str::from_utf8(black_box(&value)).unwrap_or_default();
        let bare: Option<Notification<'_>> = serde_json::from_str(text).ok();
        bare.map(|bare| {
            let lengths =
                bare.records.iter().map(|r| r.event_name.len() + r.s3.bucket.name.len() + r.s3.object.key.len());
            lengths.sum::<usize>()
        })
    });
}

#[divan::bench]
fn the_same_record(bencher: Bencher<'_, '_>) {
    decode(bencher, &notification(1));
}

#[divan::bench(args = [10, 100, 1_000, 10_000])]
fn many_records(bencher: Bencher<'_, '_>, records: usize) {
    decode(bencher, &notification(records));
}

#[divan::bench(args = SAMPLES)]
fn families(bencher: Bencher<'_, '_>, file: &str) {
    decode(bencher, &sample(file));
}

/// What somebody may send to make it slow: nesting where it is read, where it is passed over, and in envelopes.
#[divan::bench(args = ["lists", "unread", "texts"])]
fn nesting_of_a_mebibyte(bencher: Bencher<'_, '_>, kind: &str) {
    const SIZE: usize = 1 << 20;
    let value = match kind {
        "lists" => "[".repeat(SIZE),
        "unread" => format!("{{\"x\":{}{}}}", "[".repeat(SIZE / 2), "]".repeat(SIZE / 2)),
        _ => (0..18).fold("{}".to_owned(), |text, _| serde_json::Value::from(text).to_string()),
    };
    decode(bencher, value.as_bytes());
}
