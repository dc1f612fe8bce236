//! The worker's own record format, for producers written by hand:
//! `{"bucket":"landing","key":"in/a b.txt"}` or `{"sync_task_id":"31e9...","keys":["a","b"]}`, alone or in an array.
//!
//! Keys are raw text; with `"encoded": true` they are form-encoded (`%XX`, `+` for a blank). `"event": "deleted"` is
//! a skip; every other event, and none, is new content. Members that it does not know are passed over.

use super::super::collect::{Collector, Found, MAX_NAME};
use super::super::shape::{Flag, Text};
use super::super::{Format, KeyText, Outcome, Reason};
use super::{Family, Source};

pub(super) const FAMILY: Family = Family {
    format: Format::Native,
    told_by: "key or keys with a bucket or a task, or sync_task_id",
    claims: |Source { document, .. }, collector| {
        let has_key = document.key.0.is_some() || document.keys.0.is_some();
        let has_place = document.bucket.0.is_some() || collector.has_header_task();
        document.sync_task_id.is_some() || (has_key && has_place)
    },
    decode,
};

pub(in super::super) fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    collector.set_format(Format::Native);
    let document = source.document;
    let (bucket, key, keys, event) = (document.bucket.0, document.key, document.keys, document.event.text());
    // Passed over, they would make another change of this one.
    let mistyped = matches!(document.sync_task_id, Some(Text(None))) || matches!(document.encoded, Some(Flag(None)));
    let task = document.sync_task_id.and_then(|task| task.0);
    let names = [bucket.as_deref(), task.as_deref(), event.as_deref()];
    if names.into_iter().flatten().any(|name| name.len() > MAX_NAME) {
        return collector.reject(Reason::NameTooLong); // each of many keys would have it
    }
    let has_place = bucket.is_some() || task.is_some() || collector.has_header_task();
    let outcome = match (event.as_deref(), has_place) {
        _ if mistyped => Outcome::Reject(Reason::WrongType),
        (Some("deleted"), _) => Outcome::Skip(Reason::Deleted),
        (_, true) => Outcome::Sync,
        (_, false) => Outcome::Reject(Reason::MissingBucket),
    };
    let is_encoded = document.encoded.is_some_and(|encoded| encoded.0 == Some(true));
    let written = if is_encoded { KeyText::Form } else { KeyText::Raw };
    let mut push = |key: Text<'a>| {
        let (bucket, task, event_name) = (bucket.clone(), task.clone(), event.clone());
        collector.push(Found { bucket, key: key.0, task, event_name, written, size: None }, outcome);
    };
    if key.0.is_some() || keys.0.is_none() {
        push(key);
    }
    let Some(keys) = keys.0 else { return };
    keys.items.into_iter().for_each(push);
    if keys.truncated {
        collector.overflow();
    }
}
