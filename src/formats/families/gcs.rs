//! Google Cloud Storage: notifications of Pub/Sub, whose attributes stand in headers, in a message or beside it, and
//! CloudEvents of type `google.cloud.storage.object.v1.`
//!
//! Sources: cloud.google.com/storage/docs/pubsub-notifications; the Pub/Sub Kafka connector (googleapis/java-pubsub-group-kafka-connector).
//! Keys are raw. An overwrite sends a delete of the old generation as well, in any order: no delete ever cancels a sync.
//! An object resource whose attributes a bridge has lost may be that of a delete: by policy it is no change.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::cloud_event::Context;
use super::super::collect::{Collector, Found};
use super::super::shape::Text;
use super::super::{Format, KeyText, Outcome, Policy, Reason, header_text};
use super::{Family, Source, needs_bucket, sync_unless};
use crate::pipeline::view::RecordView;

const EVENT_TYPE: &str = "google.cloud.storage.object.v1.";

pub(in super::super) const FAMILY: Family = Family {
    format: Format::Gcs,
    told_by: "attributes of Pub/Sub, a CloudEvent of google.cloud.storage, or kind storage#object",
    claims: |source, _| {
        let document = &source.document;
        source.context.event_type().starts_with(EVENT_TYPE)
            || document.kind.as_str() == Some("storage#object")
            || (document.event_type.0.is_some() && document.bucket_id.0.is_some() && document.object_id.0.is_some())
            || document.attributes.parse::<Attributes<'_>>().is_some_and(|attributes| attributes.are_whole())
    },
    decode,
};

/// What Pub/Sub says about a notification, outside of it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct Attributes<'a> {
    #[serde(borrow, rename = "eventType")]
    event_type: Text<'a>,
    #[serde(borrow, rename = "bucketId")]
    bucket: Text<'a>,
    #[serde(borrow, rename = "objectId")]
    object: Text<'a>,
}

impl<'a> Attributes<'a> {
    /// The attributes that a connector has made headers of.
    pub(in super::super) fn of_headers(record: RecordView<'a>) -> Option<Self> {
        let bucket = Text(Some(attribute(record, "bucketId")?));
        let (event_type, object) = (attribute(record, "eventType"), attribute(record, "objectId"));
        let attributes = Self { event_type: Text(event_type), bucket, object: Text(object) };
        attributes.are_whole().then_some(attributes)
    }

    const fn are_whole(&self) -> bool {
        self.event_type.0.is_some() && self.bucket.0.is_some() && self.object.0.is_some()
    }
}

/// The event where headers name it and not the object, which is in the value then.
pub(in super::super) fn context_of_headers(record: RecordView<'_>) -> Option<Context<'_>> {
    let event_type = match attribute(record, "eventType")?.as_ref() {
        "OBJECT_FINALIZE" => "finalized",
        "OBJECT_DELETE" => "deleted",
        "OBJECT_ARCHIVE" => "archived",
        "OBJECT_METADATA_UPDATE" => "metadataUpdated",
        _ => return None,
    };
    Some(Context { event_type: Some(format!("{EVENT_TYPE}{event_type}").into()), ..Context::default() })
}

/// A header of a connector; some write texts in quotes, as JSON.
fn attribute<'a>(record: RecordView<'a>, name: &str) -> Option<Cow<'a, str>> {
    let text = header_text(record, name)?;
    match serde_json::from_str::<Text<'a>>(text) {
        Ok(Text(Some(unquoted))) => Some(unquoted),
        _ => Some(Cow::Borrowed(text)),
    }
}

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let (document, context) = (source.document, source.context);
    let of_members =
        Attributes { event_type: document.event_type, bucket: document.bucket_id, object: document.object_id };
    let in_message = document.attributes.parse::<Attributes<'a>>().unwrap_or_default();
    if let Some(attributes) = [of_members, in_message].into_iter().find(Attributes::are_whole) {
        return decode_attributes(attributes, collector);
    }
    let event_name = context.event_type.clone();
    let outcome = match event_name.as_deref().and_then(|name| name.strip_prefix(EVENT_TYPE)) {
        Some("finalized") => Outcome::Sync,
        Some("deleted" | "archived") => Outcome::Skip(Reason::Deleted),
        Some("metadataUpdated") => Outcome::Skip(Reason::MetadataOnly),
        Some(_) => Outcome::Skip(Reason::UnknownEvent),
        None if collector.options().untyped == Policy::Skip => Outcome::Skip(Reason::Untyped),
        None => Outcome::Sync,
    };
    // Without data, the context names the object too.
    let of_source = |source: &str| source.split_once("/buckets/").map(|(_, bucket)| Cow::Owned(bucket.to_owned()));
    let of_subject = |subject: &str| subject.strip_prefix("objects/").map(|name| Cow::Owned(name.to_owned()));
    let bucket = document.bucket.0.or_else(|| context.source.as_deref().and_then(of_source));
    let key = document.name.0.or_else(|| context.subject.as_deref().and_then(of_subject));
    let outcome = needs_bucket(outcome, bucket.is_some());
    let size = document.size.0;
    collector.push(Found { bucket, key, task: None, event_name, written: KeyText::Raw, size }, outcome);
}

/// A notification by its attributes alone: what is in it may be missing.
pub(in super::super) fn decode_attributes<'a>(attributes: Attributes<'a>, collector: &mut Collector<'_, 'a>) {
    collector.set_format(Format::Gcs);
    let unwanted = match attributes.event_type.as_str().unwrap_or_default() {
        "OBJECT_FINALIZE" => None,
        "OBJECT_DELETE" | "OBJECT_ARCHIVE" => Some(Reason::Deleted),
        "OBJECT_METADATA_UPDATE" => Some(Reason::MetadataOnly),
        _ => Some(Reason::UnknownEvent),
    };
    let Attributes { event_type, bucket, object } = attributes;
    let found =
        Found { bucket: bucket.0, key: object.0, event_name: event_type.0, written: KeyText::Raw, ..Found::default() };
    collector.push(found, sync_unless(unwanted));
}
