//! The worker's own record format, for producers written by hand:
//! `{"bucket":"landing","key":"in/a b.txt"}` or `{"sync_task_id":"31e9...","keys":["a","b"]}`, alone or in an array.
//!
//! Keys are raw text; with `"encoded": true` they are form-encoded (`%XX`, `+` for a blank). `"event": "deleted"` is
//! a skip; every other event, and none, is new content. Members that it does not know are passed over.

use super::collect::{Collector, Found};
use super::document::Document;
use super::shape::{Flag, Text};
use super::{KeyText, Outcome, Reason};

pub(super) fn claims(document: &Document<'_>, collector: &Collector<'_, '_>, named: bool) -> bool {
    let has_key = document.key.0.is_some() || document.keys.0.is_some();
    let has_place = document.bucket.0.is_some() || collector.has_header_task();
    named || document.sync_task_id.is_some() || (has_key && has_place)
}

pub(super) fn decode<'a>(document: Document<'a>, collector: &mut Collector<'_, 'a>) {
    let Document { bucket, sync_task_id, key, keys, encoded, event, .. } = document;
    // Passed over, they would make another change of this one.
    let mistyped = matches!(sync_task_id, Some(Text(None))) || matches!(encoded, Some(Flag(None)));
    let task = sync_task_id.and_then(|task| task.0);
    let has_place = bucket.0.is_some() || task.is_some() || collector.has_header_task();
    let outcome = match (event.as_str(), has_place) {
        _ if mistyped => Outcome::Reject(Reason::WrongType),
        (Some("deleted"), _) => Outcome::Skip(Reason::Deleted),
        (_, true) => Outcome::Sync,
        (_, false) => Outcome::Reject(Reason::MissingBucket),
    };
    let written = if encoded.is_some_and(|encoded| encoded.0 == Some(true)) { KeyText::Form } else { KeyText::Raw };
    let mut push = |key: Text<'a>| {
        let (bucket, task, event_name) = (bucket.0.clone(), task.clone(), event.0.clone());
        collector.push(Found { bucket, key: key.0, task, event_name, written }, outcome);
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
