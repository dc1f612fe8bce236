//! The stages of a record and of an event, each alone.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::ensure;
use smallvec::SmallVec;

use crate::formats::{self, DecodeOptions};
use crate::oms::credentials::Credentials;
use crate::oms::sign::Signer;
use crate::pipeline::entry::{Entries, Entry, RecordRef};
use crate::pipeline::event::{Event, MAX_EVENT_KEYS, Origin};
use crate::pipeline::intake::{Intake, IntakeSettings, Tally};
use crate::pipeline::kept::Kept;
use crate::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use crate::pipeline::record::Record;
use crate::pipeline::route::{Route, Routes};
use crate::pipeline::time::Time;

/// A key as the records of `generate` have them: 40 characters, two of them slashes.
pub fn key(number: usize) -> String {
    format!("in/{:02x}/{number:012x}-abcdefghijklmnop.bin", number % 256)
}

const TOPIC: &str = "object-changes";

fn record(value: &[u8]) -> Record {
    Record { value: Some(value.into()), ..Record::at(TOPIC, 0, 0) }
}

/// Decoding a record.
pub fn decode(value: &[u8], times: usize) -> anyhow::Result<()> {
    let (record, options) = (record(value), DecodeOptions::default());
    for _ in 0..times {
        ensure!(!formats::decode(black_box(&record), black_box(&options)).is_empty(), "nothing was decoded");
    }
    Ok(())
}

/// Decoding, routing and encoding a record and packing it.
pub fn intake(times: usize) -> anyhow::Result<()> {
    let task = TaskId::new("task-1")?;
    let routes = Routes::new(vec![Route { task, bucket: "bucket-1".to_owned(), prefix: None }]);
    let (intake, mut tally) = (Intake::new(IntakeSettings::default(), Arc::new(routes)), Tally::default());
    let value = format!(
        concat!(
            r#"{{"Records":[{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","#,
            r#""eventTime":"2026-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put","#,
            r#""userIdentity":{{"principalId":"AWS:AROAEXAMPLEID:uploader"}},"#,
            r#""requestParameters":{{"sourceIPAddress":"203.0.113.17"}},"#,
            r#""responseElements":{{"x-amz-request-id":"0123456789ABCDEF","x-amz-id-2":"0123456789abcdef"}},"#,
            r#""s3":{{"s3SchemaVersion":"1.0","configurationId":"object-changes","#,
            r#""bucket":{{"name":"bucket-1","ownerIdentity":{{"principalId":"A3EXAMPLEOWNER"}},"#,
            r#""arn":"arn:aws:s3:::bucket-1"}},"#,
            r#""object":{{"key":"{}","size":1,"eTag":"0123456789abcdef","sequencer":"0123456789ABCDEF"}}}}}}]}}"#,
        ),
        key(1)
    );
    let record = record(value.as_bytes());
    for _ in 0..times {
        let incoming = intake.take(TOPIC, Kept::from(black_box(&record)), &mut tally);
        ensure!(incoming.is_ok_and(|incoming| incoming.changes.len() == 1), "the record was not routed");
    }
    Ok(())
}

/// Encoding a raw key.
pub fn encode(times: usize) -> anyhow::Result<()> {
    let key = key(1);
    for _ in 0..times {
        black_box(EncodedKey::encode(black_box(&key), KeyEncoding::Percent)?);
    }
    Ok(())
}

/// Ten entries, and an event of them.
fn event() -> anyhow::Result<(Entries, Event)> {
    let mut entries = Entries::default();
    let mut ids = SmallVec::new();
    for number in 0..MAX_EVENT_KEYS {
        let key = EncodedKey::encode(&key(number), KeyEncoding::Percent)?;
        let record = RecordRef { partition: 0, slot: 0, seq: 0 };
        ids.push(entries.insert(Entry::new(0, key, record, Time::START)));
    }
    Ok((entries, Event { task: 0, entries: ids, origin: Origin::Cut, attempts: 0 }))
}

/// Writing the body of an event of ten keys.
pub fn body(times: usize) -> anyhow::Result<()> {
    let (entries, event) = event()?;
    for _ in 0..times {
        black_box(black_box(&event).body(&entries));
    }
    Ok(())
}

/// Signing an event of ten keys.
pub fn sign(times: usize) -> anyhow::Result<()> {
    let credentials = Credentials::new("AK", "SK", None)?;
    let signer = Signer::new(&credentials, "oms.cn-north-4.myhuaweicloud.com", "f697f813554a4f05bac882a183b20878")?;
    let (entries, event) = event()?;
    let body = event.body(&entries);
    let path = "/v2/f697f813554a4f05bac882a183b20878/sync-tasks/31e9b7e6-6ffb-452f-9842-6ce354d99d75/events";
    for _ in 0..times {
        black_box(signer.authorization("POST", black_box(path), "", "20260101T000000Z", black_box(&body)));
    }
    Ok(())
}
