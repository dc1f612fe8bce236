//! OSS of Aliyun: `{"events":[{"eventSource":"acs:oss","oss":{...}}]}`, often as base64 by way of MNS, and one such item
//! as the data in CloudEvents of type `oss:...` by way of its EventBridge.
//!
//! Sources: github.com/aliyun/fluent-plugin-oss, `in_oss.rb` (keys are taken as they are); help.aliyun.com/zh/eventbridge,
//! `oss-events`. Under `ObjectCreated` are also parts of uploads that are not complete.

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::shape::{Object, Size, Text};
use super::super::{Format, KeyText, Outcome, Reason};
use super::{Family, Source, needs_bucket, sync_unless};

pub(super) const FAMILY: Family = Family {
    format: Format::AliyunOss,
    told_by: "the member oss, or a CloudEvent of type oss:",
    claims: |Source { document, context }, _| {
        // A list of notifications as the data is opened, like any.
        document.oss.is_object() || (context.event_type().starts_with("oss:") && document.events.0.is_none())
    },
    decode,
};

/// The member `oss`; that of Volcengine's `tos` has the same shape.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Stored<'a> {
    #[serde(borrow)]
    pub(super) bucket: Object<Bucket<'a>>,
    #[serde(borrow)]
    pub(super) object: Object<Item<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Bucket<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    pub(super) size: Size,
}

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let document = source.document;
    let is_object = document.oss.is_object();
    // Around audit entries the names of calls stand where the names of events should.
    let event_name = document.event_name.0.filter(|_| is_object).or_else(|| source.context.event_type.clone());
    let outcome =
        event_name.as_deref().map_or(Outcome::Reject(Reason::MissingEventName), |name| sync_unless(unwanted(name)));
    push(document.oss.parse().unwrap_or_default(), event_name, outcome, collector);
}

/// Adds the change of a notification.
pub(super) fn push<'a>(
    stored: Stored<'a>,
    event_name: Option<std::borrow::Cow<'a, str>>,
    outcome: Outcome,
    collector: &mut Collector<'_, 'a>,
) {
    let bucket = stored.bucket.0.and_then(|bucket| bucket.name.0);
    let Item { key, size } = stored.object.0.unwrap_or_default();
    let outcome = needs_bucket(outcome, bucket.is_some());
    let (key, size) = (key.0, size.0);
    collector.push(Found { bucket, key, task: None, event_name, written: KeyText::Raw, size }, outcome);
}

fn unwanted(event_name: &str) -> Option<Reason> {
    let name = event_name.strip_prefix("oss:").unwrap_or(event_name);
    let (group, what) = name.split_once(':').unwrap_or((name, ""));
    match (group, what) {
        (
            "ObjectCreated",
            "PutObject" | "PostObject" | "CopyObject" | "AppendObject" | "CompleteMultipartUpload" | "PutSymlink",
        )
        | ("ObjectReplication", "ObjectCreated" | "ObjectModified") => None,
        ("ObjectCreated", "InitiateMultipartUpload" | "UploadPart" | "UploadPartCopy") => Some(Reason::NotComplete),
        ("ObjectRemoved", _) | ("ObjectReplication", "ObjectRemoved") => Some(Reason::Deleted),
        ("ObjectDownloaded", _) => Some(Reason::Read),
        ("ObjectRestore" | "ObjectTagging" | "ObjectAcl", _) => Some(Reason::MetadataOnly),
        ("BucketCreated" | "BucketRemoved" | "ActionTrail" | "CloudMonitor", _) => Some(Reason::NotAnObject),
        _ => Some(Reason::UnknownEvent),
    }
}
