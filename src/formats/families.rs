//! The producer families, one file each: what tells them apart, how they write keys, which events mean new content.
//!
//! S3-shaped notifications are told apart item by item, in [`super::records`]; the families of this list document by
//! document. An event name is on a family's list of new content or it is no sync: prefixes would let in what only
//! touches metadata, and uploads that are not complete.

pub(super) mod aliyun_oss;
pub(super) mod aws_eventbridge;
pub(super) mod aws_s3;
pub(super) mod azure_blob;
pub(super) mod baidu_bos;
pub(super) mod ceph;
pub(super) mod ctyun;
pub(super) mod gcs;
pub(super) mod huawei_obs;
pub(super) mod minio;
pub(super) mod native;
pub(super) mod noobaa;
pub(super) mod qiniu_kodo;
pub(super) mod tencent_cos;
pub(super) mod volcengine_tos;

use super::cloud_event::Context;
use super::collect::Collector;
use super::document::Document;
use super::{Format, Outcome, Reason};

/// A document and what the envelope around it says.
pub(super) struct Source<'c, 'a> {
    pub(super) document: Document<'a>,
    pub(super) context: &'c Context<'a>,
}

/// How a family is told and read.
pub(super) struct Family {
    pub(super) format: Format,
    /// For people: what [`Self::claims`] looks at.
    pub(super) told_by: &'static str,
    /// Whether the document is of this family.
    pub(super) claims: fn(&Source<'_, '_>, &Collector<'_, '_>) -> bool,
    pub(super) decode: for<'a> fn(Source<'_, 'a>, &mut Collector<'_, 'a>),
}

/// Asked in this order; the most particular shapes come first.
pub(super) const FAMILIES: [Family; 12] = [
    aws_s3::TEST_EVENT,
    aws_eventbridge::FAMILY,
    azure_blob::FAMILY,
    gcs::FAMILY,
    aliyun_oss::FAMILY,
    volcengine_tos::FAMILY,
    baidu_bos::FAMILY,
    tencent_cos::FAMILY,
    huawei_obs::FAMILY,
    qiniu_kodo::FAMILY,
    ceph::PUBSUB_ZONE,
    native::FAMILY,
];

/// Whether a context is that of a family, so that a document may be empty.
pub(super) fn say_it_all(context: &Context<'_>, collector: &Collector<'_, '_>) -> bool {
    let source = Source { document: Document::default(), context };
    FAMILIES.iter().any(|family| collector.wants(family.format) && (family.claims)(&source, collector))
}

/// A sync, or a skip for the reason.
fn sync_unless(unwanted: Option<Reason>) -> Outcome {
    unwanted.map_or(Outcome::Sync, Outcome::Skip)
}

/// What a change is that has no bucket, or none that is text.
fn needs_bucket(outcome: Outcome, has_bucket: bool) -> Outcome {
    if outcome == Outcome::Sync && !has_bucket { Outcome::Reject(Reason::MissingBucket) } else { outcome }
}
