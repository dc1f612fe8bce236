//! S3 event notifications of AWS: `{"Records":[{"eventSource":"aws:s3","s3":{...}}]}`, and the test notification that
//! every change of a bucket's configuration sends.
//!
//! Source: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html. Only event names on the
//! list mean new content: a prefix would let in those that only touch metadata. Keys are form-encoded.

use super::collect::{Collector, Found};
use super::document::{Document, Entry, S3};
use super::shape::Object;
use super::{KeyText, Outcome, Reason};

/// Sources that have the shape but write keys in other ways, so that reading them as AWS would corrupt keys. They tell of
/// real changes and no family reads them: unrecognised, hence dead-lettered, where a source that nobody knows is skipped.
const LOOK_ALIKES: [&str; 4] = ["minio:s3", "ceph:s3", "noobaa:s3", "ctyun:s3"];

pub(super) fn claims(document: &Document<'_>, _: &Collector<'_, '_>, _: bool) -> bool {
    let Some(records) = &document.records.0 else {
        return is_test_event(document);
    };
    let items = &records.items;
    items.is_empty() || items.iter().any(|Object(entry)| entry.as_ref().is_some_and(is_s3))
}

pub(super) fn decode<'a>(document: Document<'a>, collector: &mut Collector<'_, 'a>) {
    let Some(records) = document.records.0 else {
        let found = Found { bucket: document.test_bucket.0, event_name: document.test_event.0, ..Found::default() };
        return collector.push(found, Outcome::Skip(Reason::TestEvent));
    };
    if records.truncated {
        collector.overflow();
    }
    for Object(entry) in records.items {
        match entry {
            Some(entry) if is_s3(&entry) => decode_entry(entry, collector),
            _ => collector.unrecognised(),
        }
    }
}

fn is_test_event(document: &Document<'_>) -> bool {
    document.test_event.as_str() == Some("s3:TestEvent")
}

/// Whether it is S3-shaped, and of AWS or of nobody known.
fn is_s3(entry: &Entry<'_>) -> bool {
    match entry.event_source.as_str() {
        Some("aws:s3") => true,
        Some(source) => entry.s3.0.is_some() && !LOOK_ALIKES.contains(&source),
        None => false,
    }
}

fn decode_entry<'a>(entry: Entry<'a>, collector: &mut Collector<'_, 'a>) {
    let is_aws = entry.event_source.as_str() == Some("aws:s3");
    let S3 { bucket, object } = entry.s3.0.unwrap_or_default();
    let mut found = Found {
        bucket: bucket.0.and_then(|bucket| bucket.name.0),
        key: object.0.and_then(|object| object.key.0),
        task: None,
        event_name: entry.event_name.0,
        written: KeyText::Form,
    };
    let outcome = match found.event_name.as_deref().map(unwanted) {
        _ if !is_aws => Outcome::Skip(Reason::UnknownEventSource),
        None => Outcome::Reject(Reason::MissingEventName),
        Some(Some(reason)) => Outcome::Skip(reason),
        Some(None) if found.bucket.is_none() => Outcome::Reject(Reason::MissingBucket),
        Some(None) => Outcome::Sync,
    };
    found.key = found.key.filter(|_| is_aws); // how the others write their keys is not known
    collector.push(found, outcome);
}

/// Why an event needs no sync; `None` where it means new content. With or without the `s3:` of the configuration.
fn unwanted(event_name: &str) -> Option<Reason> {
    let name = event_name.strip_prefix("s3:").unwrap_or(event_name);
    let (group, what) = name.split_once(':').unwrap_or((name, ""));
    match (group, what) {
        ("ObjectCreated", "Put" | "Post" | "Copy" | "CompleteMultipartUpload") => None,
        ("ObjectRemoved" | "LifecycleExpiration", _) => Some(Reason::Deleted),
        (
            "ObjectTagging"
            | "ObjectAcl"
            | "ObjectRestore"
            | "LifecycleTransition"
            | "IntelligentTiering"
            | "Replication"
            | "ReducedRedundancyLostObject",
            _,
        ) => Some(Reason::MetadataOnly),
        ("TestEvent", _) => Some(Reason::TestEvent),
        _ => Some(Reason::UnknownEvent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_creations_are_synced() {
        for name in ["Put", "Post", "Copy", "CompleteMultipartUpload"] {
            assert_eq!(unwanted(&format!("ObjectCreated:{name}")), None);
            assert_eq!(unwanted(&format!("s3:ObjectCreated:{name}")), None);
        }
        for name in ["ObjectCreated:Teleport", "ObjectCreated", "ObjectCreated:*", "s3:s3:ObjectCreated:Put", ""] {
            assert_eq!(unwanted(name), Some(Reason::UnknownEvent), "{name}");
        }
    }

    #[test]
    fn deletes_and_metadata_are_told_apart() {
        assert_eq!(unwanted("ObjectRemoved:DeleteMarkerCreated"), Some(Reason::Deleted));
        assert_eq!(unwanted("s3:LifecycleExpiration:Delete"), Some(Reason::Deleted));
        assert_eq!(unwanted("ObjectTagging:Put"), Some(Reason::MetadataOnly));
        assert_eq!(unwanted("IntelligentTiering"), Some(Reason::MetadataOnly));
    }
}
