//! Ceph's RADOS gateway: S3-shaped, with eventSource `ceph:s3`; and the older format of its pubsub zone,
//! `{"event":"OBJECT_CREATE","info":{"bucket":{"name":..},"key":{"name":..}}}`.
//!
//! Source: github.com/ceph/ceph, `src/rgw/rgw_pubsub.cc`: keys are raw. Objects that arrive from another zone are new
//! content here. Releases before Quincy tell of the begin of a multipart upload as a `Post` without bytes and without an
//! `ETag` (pull request 42350), where a real one always has an `ETag`.

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::document::S3Object;
use super::super::records::Dialect;
use super::super::shape::{Object, Text};
use super::super::{Format, KeyText, Reason};
use super::{Family, Source, needs_bucket, sync_unless};

pub(in super::super) const DIALECT: Dialect = Dialect {
    format: Format::Ceph,
    told_by: "Records with eventSource ceph:s3",
    source: "ceph:s3",
    written: KeyText::Raw,
    unwanted,
    size: super::aws_s3::size,
};

pub(super) const PUBSUB_ZONE: Family = Family {
    format: Format::Ceph,
    told_by: "event and info of Ceph's pubsub zone",
    claims: |source, _| source.document.info.is_object() && source.document.event.text().is_some(),
    decode: decode_pubsub_zone,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Info<'a> {
    #[serde(borrow)]
    bucket: Object<Named<'a>>,
    #[serde(borrow)]
    key: Object<Named<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

fn decode_pubsub_zone<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let Source { document, .. } = source;
    let Info { bucket, key } = document.info.parse().unwrap_or_default();
    let name = |named: Object<Named<'a>>| named.0.and_then(|named| named.name.0);
    let (bucket, key, event_name) = (name(bucket), name(key), document.event.text());
    let unwanted = match event_name.as_deref().unwrap_or_default() {
        "OBJECT_CREATE" => None,
        "OBJECT_DELETE" | "DELETE_MARKER_CREATE" => Some(Reason::Deleted),
        _ => Some(Reason::UnknownEvent),
    };
    let outcome = needs_bucket(sync_unless(unwanted), bucket.is_some());
    collector.push(Found { bucket, key, event_name, written: KeyText::Raw, ..Found::default() }, outcome);
}

fn unwanted(event_name: &str, object: &S3Object<'_>) -> Option<Reason> {
    let name = event_name.strip_prefix("s3:").unwrap_or(event_name);
    let (group, what) = name.split_once(':').unwrap_or((name, ""));
    match (group, what) {
        ("ObjectCreated", "Post") if is_begin_of_multipart(object) => Some(Reason::NotComplete),
        ("ObjectCreated", "Put" | "Post" | "Copy" | "CompleteMultipartUpload")
        | ("ObjectSynced" | "Replication", "Create") => None,
        ("ObjectRemoved" | "LifecycleExpiration", _) => Some(Reason::Deleted),
        ("ObjectLifecycle", what) if what.starts_with("Expiration") => Some(Reason::Deleted),
        ("ObjectSynced" | "Replication", what) if what.starts_with("Delet") => Some(Reason::Deleted),
        ("LifecycleTransition" | "ObjectLifecycle", _) => Some(Reason::MetadataOnly),
        _ => Some(Reason::UnknownEvent),
    }
}

fn is_begin_of_multipart(object: &S3Object<'_>) -> bool {
    object.size.0 == Some(0)
        && [&object.etag, &object.lower_etag].iter().all(|etag| etag.as_str().is_none_or(str::is_empty))
}
