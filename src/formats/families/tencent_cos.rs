//! COS of Tencent Cloud: `{"Records":[{"cos":{"cosObject":..,"cosBucket":..},"event":{"eventName":..}}]}`.
//!
//! Sources: tencentcloud.com/document/product/583/9707; its EventBridge, product 248/65650, whose CloudEvents are read
//! where their data has this shape. Keys are raw and stand behind `/appid/name/`, which is taken off once: what follows
//! may begin with the same again. The samples of the documentation have a literal `*` in `eventName`.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::shape::{Object, Raw, Size, Text};
use super::super::{Format, KeyText, Outcome, Reason};
use super::{Family, Source, needs_bucket};

pub(in super::super) const TOLD_BY: &str = "Records with the member cos";

/// Events of its EventBridge whose data is not of the shape that is known.
pub(super) const FAMILY: Family = Family {
    format: Format::TencentCos,
    told_by: "CloudEvent of type cos:",
    claims: |source, _| source.context.event_type().get(..4).is_some_and(|start| start.eq_ignore_ascii_case("cos:")),
    decode: |Source { context, .. }, collector| {
        let event_name = context.event_type.clone();
        let is_delete = event_name.as_deref().unwrap_or_default().to_ascii_lowercase().contains(":delete");
        let outcome = if is_delete { Outcome::Skip(Reason::Deleted) } else { Outcome::Reject(Reason::MissingKey) };
        collector.push(Found { event_name, ..Found::default() }, outcome);
    },
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cos<'a> {
    #[serde(borrow, rename = "cosObject")]
    object: Object<CosObject<'a>>,
    #[serde(borrow, rename = "cosBucket")]
    bucket: Object<CosBucket<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CosObject<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    size: Size,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CosBucket<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    /// A text, or a number.
    #[serde(borrow)]
    appid: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow, rename = "eventName")]
    name: Text<'a>,
}

/// Reads the members `cos` and `event` of an item.
pub(in super::super) fn decode<'a>(cos: Raw<'a>, event: Raw<'a>, collector: &mut Collector<'_, 'a>) {
    let Cos { object, bucket } = cos.parse().unwrap_or_default();
    let event_name = event.parse::<Event<'a>>().and_then(|event| event.name.0);
    let CosBucket { name, appid } = bucket.0.unwrap_or_default();
    let number = || appid.json().filter(|json| json.starts_with(|c: char| c.is_ascii_digit()));
    let appid = appid.text().or_else(|| number().map(Cow::Borrowed));
    let CosObject { key, size } = object.0.unwrap_or_default();
    let (bucket, key) = match (name.0, appid.filter(|appid| !appid.is_empty())) {
        (Some(name), Some(appid)) => place(&name, &appid, key.0),
        _ => (None, key.0), // without the account there is no telling which bucket it is
    };
    let outcome = match event_name.as_deref().map(unwanted) {
        None => Outcome::Reject(Reason::MissingEventName),
        Some(Some(reason)) => Outcome::Skip(reason),
        Some(None) => needs_bucket(Outcome::Sync, bucket.is_some()),
    };
    collector.push(Found { bucket, key, task: None, event_name, written: KeyText::Raw, size: size.0 }, outcome);
}

/// Bucket and key. The name of a bucket has the account at its end, which the record leaves out; should it be there, the
/// key tells.
fn place<'a>(name: &str, appid: &str, key: Option<Cow<'a, str>>) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let short = name.strip_suffix(appid).and_then(|name| name.strip_suffix('-'));
    let of_short = short.map(|short| format!("/{appid}/{short}/"));
    match (key, of_short) {
        (Some(key), Some(prefix)) if key.starts_with(&prefix) => {
            (Some(Cow::Owned(name.to_owned())), Some(cut(key, &prefix)))
        }
        (key, _) => {
            let prefix = format!("/{appid}/{name}/");
            (Some(Cow::Owned(format!("{name}-{appid}"))), key.map(|key| cut(key, &prefix)))
        }
    }
}

/// The key without what stands before it; old samples have just a slash.
fn cut<'a>(key: Cow<'a, str>, prefix: &str) -> Cow<'a, str> {
    let rest = key.strip_prefix(prefix).or_else(|| key.strip_prefix('/')).map_or(0, |rest| key.len() - rest.len());
    match key {
        Cow::Borrowed(key) => Cow::Borrowed(&key[rest..]),
        Cow::Owned(mut key) => Cow::Owned(key.split_off(rest)),
    }
}

fn unwanted(event_name: &str) -> Option<Reason> {
    let name = event_name.strip_prefix("cos:").unwrap_or(event_name);
    let (group, what) = name.split_once(':').unwrap_or((name, ""));
    match (group, what) {
        (
            "ObjectCreated",
            "Put" | "Post" | "Copy" | "Append" | "CompleteMultipartUpload" | "Origin" | "Replication" | "*",
        ) => None,
        ("ObjectRemove" | "ObjectRemoved", _) => Some(Reason::Deleted),
        ("ObjectRestore", _) => Some(Reason::MetadataOnly),
        ("InventoryReportCreated", _) => Some(Reason::NotAnObject),
        _ => Some(Reason::UnknownEvent),
    }
}
