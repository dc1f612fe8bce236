//! S3 event notifications of AWS: `{"Records":[{"eventSource":"aws:s3","s3":{...}}]}`, and the test notification that
//! every change of a bucket's configuration sends.
//!
//! Source: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html. Keys are form-encoded.

use super::super::collect::{Collector, Found};
use super::super::document::S3Object;
use super::super::records::Dialect;
use super::super::{Format, KeyText, Outcome, Reason};
use super::{Family, Source};

/// What an adapter for CloudEvents puts before the event's name.
pub(in super::super) const EVENT_TYPE: &str = "com.amazonaws.s3.";

pub(in super::super) const DIALECT: Dialect = Dialect {
    format: Format::AwsS3,
    told_by: "Records with eventSource aws:s3",
    source: "aws:s3",
    written: KeyText::Form,
    unwanted: |name, _| unwanted(name),
    size,
};

/// The test notification, which has no `Records`.
pub(super) const TEST_EVENT: Family = Family {
    format: Format::AwsS3,
    told_by: "Event s3:TestEvent",
    claims: |source, _| source.document.test_event.as_str() == Some("s3:TestEvent"),
    decode: decode_test_event,
};

fn decode_test_event<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let (bucket, event_name) = (source.document.test_bucket.0, source.document.test_event.0);
    collector.push(Found { bucket, event_name, ..Found::default() }, Outcome::Skip(Reason::TestEvent));
}

/// Why an event needs no sync; `None` where it means new content. With or without the `s3:` of the configuration.
pub(super) fn unwanted(event_name: &str) -> Option<Reason> {
    let name = event_name.strip_prefix(EVENT_TYPE).unwrap_or(event_name);
    let name = name.strip_prefix("s3:").unwrap_or(name);
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

/// The bytes of an object, for dialects that write them as AWS does.
pub(super) fn size(object: &S3Object<'_>) -> Option<u64> {
    object.size.0
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
