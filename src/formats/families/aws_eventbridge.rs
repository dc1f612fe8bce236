//! Object events of AWS on EventBridge: `source` is `aws.s3` and there is a `detail-type`; and calls that CloudTrail
//! reports there.
//!
//! Sources: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html. Keys are raw, other than in notifications:
//! undocumented, and tested by aws-solutions (guidance-for-medialake, pull request 21).

use std::borrow::Cow;

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::shape::{Object, Raw, Size, Text};
use super::super::{Format, KeyText, Outcome, Reason};
use super::{Family, Source, needs_bucket, sync_unless};

pub(super) const FAMILY: Family = Family {
    format: Format::AwsEventbridge,
    told_by: "source aws.s3 with a detail-type",
    claims: |Source { document, .. }, _| document.source.as_str() == Some("aws.s3") && document.detail_type.0.is_some(),
    decode,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail<'a> {
    #[serde(borrow)]
    bucket: Object<Bucket<'a>>,
    #[serde(borrow)]
    object: Object<Stored<'a>>,
    // Of a call that CloudTrail reports.
    #[serde(borrow, rename = "eventName")]
    call: Text<'a>,
    #[serde(borrow, rename = "errorCode")]
    error_code: Raw<'a>,
    #[serde(borrow, rename = "requestParameters")]
    parameters: Object<Parameters<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Bucket<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Stored<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    size: Size,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Parameters<'a> {
    #[serde(borrow, rename = "bucketName")]
    bucket: Text<'a>,
    #[serde(borrow)]
    key: Text<'a>,
}

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let detail: Detail<'a> = source.document.detail.parse().unwrap_or_default();
    if source.document.detail_type.as_str() == Some("AWS API Call via CloudTrail") {
        return decode_call(detail, collector);
    }
    let event_name = source.document.detail_type.0;
    let Stored { key, size } = detail.object.0.unwrap_or_default();
    let bucket = detail.bucket.0.and_then(|bucket| bucket.name.0);
    let unwanted = match event_name.as_deref().unwrap_or_default() {
        "Object Created" => None,
        "Object Deleted" => Some(Reason::Deleted),
        "Object Restore Initiated"
        | "Object Restore Completed"
        | "Object Restore Expired"
        | "Object Storage Class Changed"
        | "Object Access Tier Changed"
        | "Object ACL Updated"
        | "Object Tags Added"
        | "Object Tags Deleted" => Some(Reason::MetadataOnly),
        _ => Some(Reason::UnknownEvent),
    };
    push(bucket, key, event_name, size, sync_unless(unwanted), collector);
}

fn decode_call<'a>(detail: Detail<'a>, collector: &mut Collector<'_, 'a>) {
    let Parameters { bucket, key } = detail.parameters.0.unwrap_or_default();
    let unwanted = match detail.call.as_str().unwrap_or_default() {
        _ if detail.error_code.json().is_some_and(|code| code != "\"\"") => Some(Reason::FailedCall),
        "PutObject" | "PostObject" | "CopyObject" | "CompleteMultipartUpload" => None,
        "DeleteObject" | "DeleteObjects" | "AbortMultipartUpload" => Some(Reason::Deleted),
        "GetObject" | "HeadObject" | "SelectObjectContent" => Some(Reason::Read),
        "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" => Some(Reason::NotComplete),
        "PutObjectAcl"
        | "PutObjectTagging"
        | "DeleteObjectTagging"
        | "PutObjectRetention"
        | "PutObjectLegalHold"
        | "RestoreObject" => Some(Reason::MetadataOnly),
        _ => Some(Reason::UnknownEvent),
    };
    push(bucket.0, key, detail.call.0, Size(None), sync_unless(unwanted), collector);
}

fn push<'a>(
    bucket: Option<Cow<'a, str>>,
    key: Text<'a>,
    event_name: Option<Cow<'a, str>>,
    size: Size,
    outcome: Outcome,
    collector: &mut Collector<'_, 'a>,
) {
    let outcome = needs_bucket(outcome, bucket.is_some());
    let (key, size) = (key.0, size.0);
    collector.push(Found { bucket, key, task: None, event_name, written: KeyText::Raw, size }, outcome);
}
