//! The list `Records`: S3-shaped notifications of many systems, COS, and the batches of Lambda and FunctionGraph.
//!
//! Each item is told by itself: by its `eventSource` where it has the member `s3`, else by the members that it has.
//! A format that the user has named goes before `eventSource`.

use super::cloud_event::Context;
use super::collect::{Collector, Found};
use super::document::{Document, Entry, S3, S3Object};
use super::envelope::{self, Envelope};
use super::families::{aws_s3, ceph, ctyun, huawei_obs, minio, noobaa, tencent_cos};
use super::shape::{List, Object, Text};
use super::{Format, KeyText, Outcome, Reason, Step};

/// How a system writes S3-shaped notifications.
pub(super) struct Dialect {
    pub(super) format: Format,
    /// For people.
    pub(super) told_by: &'static str,
    pub(super) source: &'static str,
    pub(super) written: KeyText,
    /// Why an event needs no sync; `None` where it means new content.
    pub(super) unwanted: fn(&str, &S3Object<'_>) -> Option<Reason>,
    /// The bytes of an object.
    pub(super) size: fn(&S3Object<'_>) -> Option<u64>,
}

const DIALECTS: [&Dialect; 6] =
    [&aws_s3::DIALECT, &minio::DIALECT, &ceph::DIALECT, &noobaa::DIALECT, &ctyun::DIALECT, &huawei_obs::DIALECT];

/// Whether a document is a batch, or one notification by itself as items of a batch are.
pub(super) fn is_batch(document: &Document<'_>) -> bool {
    let is_single = document.s3.0.is_some() || document.obs.0.is_some() || document.cos.is_object();
    let lists = [&document.records, &document.java_records, &document.record];
    lists.iter().any(|list| list.0.is_some()) || is_single
}

/// Adds what an envelope says about a notification by itself.
pub(super) fn complete<'a>(document: &mut Document<'a>, context: &Context<'a>) {
    if document.event_name.0.is_none() {
        document.event_name.0.clone_from(&context.event_type);
    }
    if document.event_source.is_none() && context.event_type().starts_with(aws_s3::EVENT_TYPE) {
        document.event_source = Some(Text(Some(aws_s3::DIALECT.source.into())));
    }
}

/// Reads a batch; `open` is called for the envelopes in it.
pub(super) fn decode<'o, 'a>(
    document: Document<'a>,
    collector: &mut Collector<'o, 'a>,
    open: impl Fn(&mut Collector<'o, 'a>, Envelope<'a>),
) {
    let lists = [document.records, document.java_records, document.record];
    if let Some(records) = lists.into_iter().find(|list| list.0.is_some()) {
        return decode_all(records, collector, open);
    }
    let Document { event_source, event_name, s3, obs, cos, event, .. } = document;
    decode_entry(Entry { event_source, event_name, s3, obs, cos, event, ..Entry::default() }, collector);
}

/// Reads the items of a batch; `open` is called for the envelopes among them.
pub(super) fn decode_all<'o, 'a>(
    records: List<Object<Entry<'a>>>,
    collector: &mut Collector<'o, 'a>,
    open: impl Fn(&mut Collector<'o, 'a>, Envelope<'a>),
) {
    let List(Some(records)) = records else { return };
    if records.truncated {
        collector.overflow();
    }
    for Object(entry) in records.items {
        collector.forget_format();
        let Some(entry) = entry else {
            collector.reject(Reason::Unrecognised);
            continue;
        };
        match envelope::of_entry(&entry) {
            Some(envelope) => open(collector, envelope),
            None => decode_entry(entry, collector),
        }
    }
}

fn decode_entry<'a>(mut entry: Entry<'a>, collector: &mut Collector<'_, 'a>) {
    if entry.cos.is_object() && collector.wants(Format::TencentCos) {
        take_for(Format::TencentCos, tencent_cos::TOLD_BY, collector);
        return tencent_cos::decode(entry.cos, entry.event, collector);
    }
    let dialect = dialect(&entry, collector);
    let s3 = entry.obs.0.take().or(entry.s3.0.take());
    match (dialect, s3) {
        (Some(dialect), s3) => decode_s3(dialect, entry, s3.unwrap_or_default(), collector),
        (None, Some(s3)) if collector.options().format.is_none() => {
            // How it writes keys is not known, so that its key is none.
            let Object(bucket) = s3.bucket;
            let bucket = bucket.and_then(|bucket| bucket.name.0);
            let found = Found { bucket, event_name: entry.event_name.0, ..Found::default() };
            collector.push(found, Outcome::Skip(Reason::UnknownEventSource));
        }
        (None, _) => collector.reject(Reason::Unrecognised),
    }
}

/// How to read an item: as the format that the user has named, else as its source does.
fn dialect(entry: &Entry<'_>, collector: &Collector<'_, '_>) -> Option<&'static Dialect> {
    // A source that is no text is not a missing one.
    let source = entry.event_source.as_ref().map(|source| source.as_str().unwrap_or("?")).filter(|s| !s.is_empty());
    let is_obs = entry.obs.0.is_some() || (entry.s3.0.is_some() && source.is_none());
    let mut dialects = DIALECTS.into_iter();
    match collector.options().format {
        Some(format) => dialects.find(|dialect| dialect.format == format),
        None if is_obs => Some(&huawei_obs::DIALECT),
        None => dialects.find(|dialect| Some(dialect.source) == source),
    }
}

fn decode_s3<'a>(dialect: &'static Dialect, entry: Entry<'a>, s3: S3<'a>, collector: &mut Collector<'_, 'a>) {
    take_for(dialect.format, dialect.told_by, collector);
    let S3 { bucket: Object(bucket), object: Object(object) } = s3;
    let bucket = bucket.and_then(|bucket| bucket.name.0);
    let object = object.unwrap_or_default();
    let outcome = match entry.event_name.as_str().map(|name| (dialect.unwanted)(name, &object)) {
        None => Outcome::Reject(Reason::MissingEventName),
        Some(Some(reason)) => Outcome::Skip(reason),
        Some(None) if bucket.is_none() => Outcome::Reject(Reason::MissingBucket),
        Some(None) => Outcome::Sync,
    };
    let (size, event_name) = ((dialect.size)(&object), entry.event_name.0);
    let found = Found { bucket, key: object.key.0, task: None, event_name, written: dialect.written, size };
    collector.push(found, outcome);
}

fn take_for(format: Format, told_by: &'static str, collector: &mut Collector<'_, '_>) {
    collector.set_format(format);
    collector.step(|| Step::Family(format, told_by));
}
