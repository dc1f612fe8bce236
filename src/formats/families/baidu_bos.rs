//! BOS of Baidu: `{"events":[{"eventOrigin":"bos:realtime","eventType":"PutObject","content":{...}}]}`.
//!
//! Sources: cloud.baidu.com/doc/BOS/s/mkkp8dyb8 and lkc4lyou5. How keys are written is not documented: taken as raw.
//! Records carry temporary credentials, one reason more why nothing of a record is logged.

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::shape::{Size, Text};
use super::super::{Format, KeyText, Outcome, Reason};
use super::{Family, Source, needs_bucket, sync_unless};

pub(super) const FAMILY: Family = Family {
    format: Format::BaiduBos,
    told_by: "eventOrigin bos: with the member content",
    claims: |Source { document, .. }, _| {
        let origin = document.event_origin.as_str().unwrap_or_default();
        origin.starts_with("bos:") && document.content.is_object()
    },
    decode,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    bucket: Text<'a>,
    #[serde(borrow)]
    object: Text<'a>,
    filesize: Size,
}

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let document = source.document;
    let Content { bucket, object, filesize } = document.content.parse().unwrap_or_default();
    let event_name = document.event_type.0.or(document.event_name.0);
    let outcome = match event_name.as_deref().map(unwanted) {
        None => Outcome::Reject(Reason::MissingEventName),
        Some(unwanted) => needs_bucket(sync_unless(unwanted), bucket.0.is_some()),
    };
    let (bucket, key, size) = (bucket.0, object.0, filesize.0);
    collector.push(Found { bucket, key, task: None, event_name, written: KeyText::Raw, size }, outcome);
}

fn unwanted(event_type: &str) -> Option<Reason> {
    match event_type {
        "PutObject"
        | "PostObject"
        | "CopyObject"
        | "AppendObject"
        | "CompleteMultipartObject"
        | "CompleteMultipartUpload" => None,
        "DeleteObject" | "DeleteObjects" | "DeleteMultipleObjects" | "AbortMultipartUpload" => Some(Reason::Deleted),
        "GetObject" | "HeadObject" => Some(Reason::Read),
        "InitiateMultipartUpload" | "UploadPart" | "UploadPartCopy" => Some(Reason::NotComplete),
        "PutObjectAcl" | "DeleteObjectAcl" | "PutObjectTagging" | "DeleteObjectTagging" | "RestoreObject" => {
            Some(Reason::MetadataOnly)
        }
        _ => Some(Reason::UnknownEvent),
    }
}
