//! A case of `envelopes`: a document, envelopes around it, and what has to come of it.
//!
//! Documents are those whose meaning depends on nothing around them, by construction: a family that could be told by a
//! CloudEvent's type has its event's name in the document, and the CloudEvents here are of no family's type.

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::{Value, json};

use crate::formats::{self, DecodeOptions, MAX_DEPTH};
use crate::pipeline::record::{Header, Record};
use crate::wrap::{KINDS, Kind, SIBLING, Wrapped};
use crate::{Item, input, list, seeds};

static BARE: LazyLock<Vec<String>> = LazyLock::new(seeds::bare);

/// Most that stands around a document.
const MAX_STACK: usize = 7;

/// Most items of a list in a document that is made up, and most documents that are made up for the list `Records`.
const MAX_ITEMS: usize = 5;

const NAMES: [&str; 14] = [
    "ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "ObjectCreated:PutObject",
    "ObjectRemoved:Delete",
    "cos:ObjectCreated:Put",
    "tos:ObjectCreated:Put",
    "PutObject",
    "Object Created",
    "Microsoft.Storage.BlobCreated",
    "Microsoft.Storage.BlobRenamed",
    "OBJECT_FINALIZE",
    "OBJECT_CREATE",
    "put",
    "deleted",
];

const SOURCES: [&str; 8] = ["aws:s3", "minio:s3", "ceph:s3", "noobaa:s3", "ctyun:s3", "OBS", "ozone:s3", ""];

/// A document in envelopes.
#[derive(Debug)]
pub struct Case {
    bare: Wrapped,
    wrapped: Wrapped,
    /// Innermost first.
    stack: Vec<Kind>,
    options: DecodeOptions,
    task: bool,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let [format, policies] = u.arbitrary()?;
        let mut options = input::options(if format < 192 { 0 } else { format - 191 }, policies, 10_000);
        let mut stack = Vec::new();
        let wanted: Vec<&Kind> =
            (0..u.int_in_range(0..=MAX_STACK)?).map(|_| u.choose(&KINDS)).collect::<Result<_>>()?;
        let task = u.ratio(1, 8)?;
        let bare = Wrapped::bare(&document(u)?);
        let mut wrapped = bare.clone();
        for kind in wanted {
            if let Some(outer) = wrapped.clone().wrap(*kind) {
                wrapped = outer;
                stack.push(*kind);
            }
        }
        if stack.iter().any(|kind| kind.has_siblings()) {
            options.format = None; // siblings are native
        } else {
            options.max_changes = *u.choose(&[10_000, 1, 2, 5])?;
        }
        Ok(Self { bare, wrapped, stack, options, task })
    }
}

impl Case {
    /// Panics where the envelopes change what is decoded.
    pub fn check(&self) {
        let found = self.decode(&self.wrapped);
        assert_eq!(found, self.expected(), "{self:?}");
        crate::sound::check(&self.record(&self.wrapped), &self.options);
    }

    fn record(&self, wrapped: &Wrapped) -> Record {
        let header =
            |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Some(value.as_bytes().into()) };
        let task = self.task.then_some(("oms-sync-task", "t-1"));
        let headers = wrapped.headers.iter().chain(&task).map(header).collect();
        Record { headers, value: Some(wrapped.value.clone().into()), ..Record::at("t", 0, 0) }
    }

    fn decode(&self, wrapped: &Wrapped) -> Vec<Item> {
        list(&formats::decode(&self.record(wrapped), &self.options))
    }

    /// What is in more than [`MAX_DEPTH`] envelopes is one reject; what stands beside something stays beside it.
    fn expected(&self) -> Vec<Item> {
        let mut levels = 0;
        let outermost_first = self.stack.iter().rev();
        let seen = outermost_first.take_while(|kind| {
            levels += kind.levels();
            levels <= MAX_DEPTH
        });
        let siblings = seen.filter(|kind| kind.has_siblings()).count();
        let all_levels: usize = self.stack.iter().map(|kind| kind.levels()).sum();
        let mut inner = if all_levels > MAX_DEPTH {
            vec![(None, "reject", None, None, Some("nested_too_deep"))]
        } else {
            self.decode(&self.bare)
        };
        if siblings > 0 && inner.iter().all(|item| item.4 == Some("no_changes")) {
            inner.clear();
        }
        let sibling = self.decode(&Wrapped::bare(SIBLING));
        let beside = || sibling.iter().cloned().cycle().take(siblings);
        beside().chain(inner).chain(beside()).collect()
    }
}

fn document(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 4)? {
        return Ok(u.choose(&BARE)?.clone());
    }
    Ok(made_up(u)?.to_string())
}

fn made_up(u: &mut Unstructured<'_>) -> Result<Value> {
    let (bucket, key, name) = (text(u)?, text(u)?, event_name(u)?);
    Ok(match u.int_in_range(0..=16)? {
        0 => json!({"bucket": bucket, "key": key, "event": name, "encoded": u.arbitrary::<bool>()?}),
        1 => json!({"sync_task_id": bucket, "keys": texts(u)?}),
        2 => json!({"Records": items(u)?}),
        3 => json!({"records": items(u)?}),
        4 => {
            json!({"source": "aws.s3", "detail-type": name, "detail": {"bucket": {"name": bucket}, "object": {"key": key}}})
        }
        5 => json!({"eventType": name, "subject": format!("/blobServices/default/containers/{bucket}/blobs/{key}"),
            "data": {"api": "PutBlob", "url": format!("https://a/{bucket}/{key}"), "contentLength": u.arbitrary::<u8>()?}}),
        6 => {
            json!({"eventName": name, "eventSource": "acs:oss", "oss": {"bucket": {"name": bucket}, "object": {"key": key}}})
        }
        7 => json!({"eventName": name, "tos": {"bucket": {"name": bucket}, "object": {"key": key}}}),
        8 => json!({"eventOrigin": "bos:realtime", "eventType": name, "content": {"bucket": bucket, "object": key}}),
        9 => json!({"kind": "storage#object", "bucket": bucket, "name": key, "size": "0"}),
        10 => json!({"eventType": name, "bucketId": bucket, "objectId": key}),
        11 => {
            let message = json!({"event": name, "bucket": bucket, "key": key, "dest_key": bucket, "fsize": 0});
            json!({"Subject": "Qiniu KODO Notification", "Message": message.to_string()})
        }
        12 => json!({"event": name, "info": {"bucket": {"name": bucket}, "key": {"name": key}}}),
        // Of nobody: no name of a member that means something, and no text that is a document itself.
        13 => json!({format!("x-{bucket}"): key}),
        14 => json!(format!("x {bucket}")),
        15 => json!([]),
        _ => json!({"Event": "s3:TestEvent", "Bucket": bucket}),
    })
}

fn items(u: &mut Unstructured<'_>) -> Result<Vec<Value>> {
    let item = |u: &mut Unstructured<'_>| {
        let (bucket, key, name) = (text(u)?, text(u)?, event_name(u)?);
        let s3 = json!({"bucket": {"name": bucket}, "object": {"key": key, "size": u.arbitrary::<u8>()?}});
        Ok(match u.int_in_range(0..=4)? {
            0 => json!({"eventSource": u.choose(&SOURCES)?, "eventName": name, "s3": s3}),
            1 => json!({"eventName": name, "obs": s3}),
            2 => json!({"eventName": name, "s3": s3}),
            3 => {
                json!({"cos": {"cosObject": {"key": key}, "cosBucket": {"name": bucket, "appid": u.arbitrary::<u8>()?}},
                "event": {"eventName": name}})
            }
            _ => json!(key),
        })
    };
    (0..u.int_in_range(0..=MAX_ITEMS)?).map(|_| item(u)).collect()
}

fn texts(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    (0..u.int_in_range(0..=MAX_ITEMS)?).map(|_| text(u)).collect()
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    u.arbitrary::<&str>().map(str::to_owned)
}

fn event_name(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 16)? { text(u) } else { u.choose(&NAMES).map(|name| (*name).to_owned()) }
}
