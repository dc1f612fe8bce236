//! MinIO's Kafka target: S3-shaped, with eventSource `minio:s3`.
//!
//! Source: github.com/minio/minio, `cmd/event-notification.go` (keys go through `url.QueryEscape`, so they are
//! form-encoded with `%2F`) and `internal/event/name.go`. Four names that begin with `ObjectCreated` touch metadata only.
//! An empty object has no size.

use super::super::records::Dialect;
use super::super::{Format, KeyText, Reason};

pub(in super::super) const DIALECT: Dialect = Dialect {
    format: Format::Minio,
    told_by: "Records with eventSource minio:s3",
    source: "minio:s3",
    written: KeyText::Form,
    unwanted: |name, _| unwanted(name),
    size: |object| Some(object.size.0.unwrap_or(0)),
};

fn unwanted(event_name: &str) -> Option<Reason> {
    let name = event_name.strip_prefix("s3:").unwrap_or(event_name);
    let (group, what) = name.split_once(':').unwrap_or((name, ""));
    match (group, what) {
        ("ObjectCreated", "Put" | "Post" | "Copy" | "CompleteMultipartUpload") => None,
        ("ObjectCreated", "PutTagging" | "DeleteTagging" | "PutRetention" | "PutLegalHold")
        | ("Replication" | "ObjectTransition" | "ObjectRestore" | "ObjectTagging" | "ObjectAcl", _) => {
            Some(Reason::MetadataOnly)
        }
        ("ObjectRemoved" | "LifecycleDelMarkerExpiration" | "LifecycleExpiration", _) => Some(Reason::Deleted),
        ("ObjectAccessed", _) => Some(Reason::Read),
        ("BucketCreated" | "BucketRemoved" | "Scanner", _) => Some(Reason::NotAnObject),
        _ => Some(Reason::UnknownEvent),
    }
}
