//! Kodo of Qiniu: `{"Subject":"Qiniu KODO Notification","Message":"{\"event\":\"put\",...}"}`.
//!
//! Source: developer.qiniu.com/kodo/8610. How keys are written is not documented: taken as raw. A move and a copy are
//! told with where the object was; what is new is at `dest_bucket` and `dest_key`.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::collect::{Collector, Found};
use super::super::shape::{Size, Text};
use super::super::{Format, KeyText, Outcome, Policy, Reason};
use super::{Family, Source, needs_bucket, sync_unless};

pub(super) const FAMILY: Family = Family {
    format: Format::QiniuKodo,
    told_by: "Subject Qiniu KODO Notification",
    claims: |source, _| source.document.sns_subject.as_str() == Some("Qiniu KODO Notification"),
    decode,
};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    bucket: Text<'a>,
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    dest_bucket: Text<'a>,
    #[serde(borrow)]
    dest_key: Text<'a>,
    fsize: Size,
}

fn decode<'a>(source: Source<'_, 'a>, collector: &mut Collector<'_, 'a>) {
    let Source { document, .. } = source;
    let message = document.sns_message;
    let object = || message.json().filter(|_| message.is_object()).map(Cow::Borrowed);
    let Some(text) = message.text().or_else(object) else {
        return collector.reject(Reason::InvalidEnvelope);
    };
    let Ok(message) = serde_json::from_str::<Message<'_>>(&text) else {
        return collector.reject(Reason::InvalidJson);
    };
    let is_elsewhere = matches!(message.event.as_str(), Some("move" | "copy"));
    let (bucket, key) =
        if is_elsewhere { (message.dest_bucket, message.dest_key) } else { (message.bucket, message.key) };
    let outcome = match message.event.as_str() {
        None => Outcome::Reject(Reason::MissingEventName),
        Some("move") if collector.options().renames == Policy::Skip => Outcome::Skip(Reason::Renamed),
        Some(event) => needs_bucket(sync_unless(unwanted(event)), bucket.0.is_some()),
    };
    let own = |text: Text<'_>| text.0.map(|text| Cow::Owned(text.into_owned()));
    let (bucket, key, event_name) = (own(bucket), own(key), own(message.event));
    let size = message.fsize.0;
    collector.push(Found { bucket, key, task: None, event_name, written: KeyText::Raw, size }, outcome);
}

fn unwanted(event: &str) -> Option<Reason> {
    match event {
        "put" | "append" | "mkfile" | "copy" | "move" => None,
        "delete" => Some(Reason::Deleted),
        "disable" | "enable" => Some(Reason::MetadataOnly),
        _ if event.starts_with("restore:") => Some(Reason::MetadataOnly),
        _ => Some(Reason::UnknownEvent),
    }
}
