//! What is written to replay a dead letter. Pure: the bytes follow from the letter and how its record is read.
//!
//! Never writes less than the failed keys. Writes more only where a smaller record could not be read where it goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::letter::{Letter, Said, Stage};
use crate::formats::{self, Action, Change, DecodeOptions, Format, KeyText};
use crate::io::dead_letter::HEADER_PREFIX;
use crate::pipeline::key::{EncodedKey, KeyEncoding};
use crate::pipeline::record::{Header, Record};

/// Where a letter is to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) topic: &'a str,
    /// How the worker reads the records of the topic that the letter's record came from.
    pub(super) came_from: &'a DecodeOptions,
    /// How the worker reads the records of the topic.
    pub(super) read_as: &'a DecodeOptions,
    pub(super) max_replays: u32,
}

/// A record to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Outgoing {
    pub(super) record: Record,
    /// The whole source record, not only its failed keys.
    pub(super) is_whole: bool,
}

/// What is written for the letter, or why it is left where it is.
pub(super) fn plan(letter: &Letter, target: Target<'_>) -> Result<Outgoing, String> {
    let said = letter.said.as_ref().map_err(|problem| format!("no dead letter of a worker: {problem}"))?;
    if said.replays >= target.max_replays {
        return Err(format!("replayed {} times; --max-replays is {}", said.replays, target.max_replays));
    }
    let value = match &said.omitted {
        Some(_) => Some(from_headers(said, target.read_as).ok_or("its record is needed")?),
        None => from_value(&letter.record, said, target),
    };
    let is_whole = value.is_none();
    let mut headers: Vec<Header> = Vec::new();
    if is_whole {
        // A part of a record names its task and bucket itself; the headers are those of another format.
        let own = letter.record.headers.iter().filter(|header| !header.name.starts_with(HEADER_PREFIX));
        headers.extend(own.cloned());
    }
    headers.extend(first_place(said));
    let value = value.map(|value| value.to_string().into_bytes().into()).or_else(|| letter.record.value.clone());
    let record =
        Record { key: letter.record.key.clone(), value, headers: headers.into(), ..Record::at(target.topic, 0, 0) };
    Ok(Outgoing { record, is_whole })
}

/// What a later dead letter keeps, and the count that only a replay raises.
fn first_place(said: &Said) -> [Header; 5] {
    let header = |(name, value): (&str, String)| Header {
        name: format!("{HEADER_PREFIX}{name}").into(),
        value: Some(value.into_bytes().into()),
    };
    [
        ("topic", said.topic.clone()),
        ("partition", said.partition.to_string()),
        ("offset", said.offset.to_string()),
        ("timestamp", said.timestamp.clone()),
        ("replays", said.replays.saturating_add(1).to_string()),
    ]
    .map(header)
}

fn from_headers(said: &Said, read_as: &DecodeOptions) -> Option<Value> {
    if reads_native(read_as) { submitted(said, read_as) } else { None }
}

/// Whether the source record itself is needed to replay the letter, because its value was not kept.
pub(super) fn needs_source(said: &Said, read_as: &DecodeOptions) -> bool {
    said.omitted.is_some() && from_headers(said, read_as).is_none()
}

/// The part that failed; `None` where the whole record is to go.
fn from_value(record: &Record, said: &Said, target: Target<'_>) -> Option<Value> {
    if said.stage == Stage::Decode || !reads_native(target.read_as) {
        return None;
    }
    let keys: BTreeSet<&str> = said.keys.iter().map(String::as_str).collect();
    let changes = formats::decode(record, target.came_from);
    let live: Vec<&Change<'_>> = changes.iter().filter(|change| change.outcome.action() != Action::Skip).collect();
    let has_failed = |change: &&Change<'_>| change.key.as_deref().is_some_and(|key| keys.contains(key));
    let one_place = live.windows(2).all(|two| (&two[0].bucket, &two[0].task) == (&two[1].bucket, &two[1].task));
    if one_place && live.iter().all(has_failed) {
        return None;
    }
    submitted(said, target.read_as).or_else(|| routed(live.into_iter().filter(has_failed), target.read_as))
}

/// Keys that OMS refused, with the task that refused them.
fn submitted(said: &Said, read_as: &DecodeOptions) -> Option<Value> {
    let task = said.task.as_deref().filter(|_| said.stage == Stage::Submit)?;
    let keys: Vec<String> = said.keys.iter().map(|key| written(key, read_as)).collect();
    Some(json!({"sync_task_id": task, "keys": keys}))
}

/// Keys for which there was no task, with what the record says of them.
fn routed<'a>(changes: impl Iterator<Item = &'a Change<'a>>, read_as: &DecodeOptions) -> Option<Value> {
    let mut seen = BTreeSet::new();
    let mut parts = Vec::new();
    for change in changes {
        if !seen.insert((&change.bucket, &change.task, &change.key)) {
            continue;
        }
        let mut part = json!({"key": written(change.key.as_deref().unwrap_or_default(), read_as)});
        for (name, text) in [("bucket", &change.bucket), ("sync_task_id", &change.task)] {
            if let Some(text) = text {
                part[name] = json!(text);
            }
        }
        parts.push(part);
    }
    if parts.is_empty() { None } else { Some(Value::Array(parts)) }
}

fn reads_native(read_as: &DecodeOptions) -> bool {
    read_as.format.is_none_or(|format| format == Format::Native)
}

/// Keys of the native format are raw text, but where the topic's are configured to be read as encoded.
fn written(key: &str, read_as: &DecodeOptions) -> String {
    if read_as.key_text != KeyText::Form {
        return key.to_owned();
    }
    EncodedKey::encode(key, KeyEncoding::Percent).map_or_else(|_| key.to_owned(), |key| key.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    fn planned(letter: &Letter, read_as: DecodeOptions) -> Result<Outgoing, String> {
        let target = Target { topic: "t", came_from: &DecodeOptions::default(), read_as: &read_as, max_replays: 3 };
        plan(letter, target)
    }

    fn value(outgoing: &Outgoing) -> &str {
        std::str::from_utf8(outgoing.record.value.as_deref().unwrap()).unwrap()
    }

    const MORE: &str = r#"{"sync_task_id":"task-1","keys":["a b","c","d"]}"#;
    const ALL: &str = r#"{"bucket":"b","keys":["c", "a b"]}"#;

    #[test]
    fn only_the_failed_keys_go_where_the_record_held_more() {
        let letter = letter(MORE, &[("own", "1")]);
        let outgoing = planned(&letter, DecodeOptions::default()).unwrap();
        assert_eq!(value(&outgoing), r#"{"keys":["a b","c"],"sync_task_id":"task-1"}"#);
        assert_eq!(outgoing.record.key, letter.record.key);
        assert!(!outgoing.is_whole && outgoing.record.header("own").is_none());
    }

    #[test]
    fn a_record_that_failed_as_a_whole_goes_verbatim() {
        let letter = letter(ALL, &[("own", "1")]);
        let outgoing = planned(&letter, DecodeOptions::default()).unwrap();
        assert!(outgoing.is_whole);
        assert_eq!((value(&outgoing), outgoing.record.header("own")), (ALL, Some("1")));
        assert_eq!(outgoing.record.key, letter.record.key);
    }

    #[test]
    fn the_first_place_stays_and_the_count_is_raised_by_one() {
        let letter = letter(ALL, &[("oms-sync.replays", "2")]);
        let record = planned(&letter, DecodeOptions::default()).unwrap().record;
        for (name, expected) in [("topic", "t"), ("partition", "3"), ("offset", "42"), ("replays", "3")] {
            assert_eq!(record.header(&format!("oms-sync.{name}")), Some(expected), "{name}");
        }
        assert_eq!(record.header("oms-sync.reason"), None, "what it said is over");
    }

    #[test]
    fn beyond_the_most_replays_it_is_left() {
        let left = planned(&letter(ALL, &[("oms-sync.replays", "3")]), DecodeOptions::default()).unwrap_err();
        assert!(left.contains("--max-replays is 3"), "{left}");
    }

    #[test]
    fn what_cannot_be_read_goes_as_it_came() {
        let decode = [("oms-sync.stage", "decode"), ("oms-sync.failed-keys", ""), ("oms-sync.task-id", "")];
        let outgoing = planned(&letter("no JSON", &decode), DecodeOptions::default()).unwrap();
        assert_eq!((value(&outgoing), outgoing.is_whole), ("no JSON", true));
    }

    #[test]
    fn keys_without_a_task_go_with_their_bucket() {
        let route = [("oms-sync.stage", "route"), ("oms-sync.failed-keys", r#"["c"]"#), ("oms-sync.task-id", "")];
        let two = r#"[{"bucket":"x","key":"c"},{"bucket":"x","key":"c"},{"bucket":"y","key":"d"}]"#;
        let outgoing = planned(&letter(two, &route), DecodeOptions::default()).unwrap();
        assert_eq!(value(&outgoing), r#"[{"bucket":"x","key":"c"}]"#);
    }

    #[test]
    fn one_key_of_two_tasks_goes_to_the_one_that_refused_it() {
        let one = [("oms-sync.failed-keys", r#"["c"]"#)];
        let two = r#"[{"sync_task_id":"task-1","key":"c"},{"sync_task_id":"task-2","key":"c"}]"#;
        let outgoing = planned(&letter(two, &one), DecodeOptions::default()).unwrap();
        assert_eq!(value(&outgoing), r#"{"keys":["c"],"sync_task_id":"task-1"}"#);
    }

    #[test]
    fn a_topic_that_reads_another_format_gets_the_whole_record() {
        let read_as = DecodeOptions { format: Some(Format::AwsS3), ..DecodeOptions::default() };
        assert!(planned(&letter(MORE, &[]), read_as).unwrap().is_whole);
    }

    #[test]
    fn a_topic_whose_keys_are_read_as_encoded_gets_encoded_ones() {
        let read_as = DecodeOptions { key_text: KeyText::Form, ..DecodeOptions::default() };
        let outgoing = planned(&letter(MORE, &[]), read_as).unwrap();
        assert_eq!(value(&outgoing), r#"{"keys":["a%20b","c"],"sync_task_id":"task-1"}"#);
        let changes = formats::decode(&outgoing.record, &read_as);
        let keys: Vec<_> = changes.iter().map(|change| change.key.as_deref()).collect();
        assert_eq!(keys, [Some("a b"), Some("c")], "the worker reads the same keys");
    }

    #[test]
    fn a_value_that_was_not_kept_is_made_of_the_headers_or_needs_the_source() {
        let omitted = ("oms-sync.value-omitted", "value");
        let outgoing = planned(&letter("", &[omitted]), DecodeOptions::default()).unwrap();
        assert_eq!(value(&outgoing), r#"{"keys":["a b","c"],"sync_task_id":"task-1"}"#);
        let route = [omitted, ("oms-sync.stage", "route"), ("oms-sync.task-id", "")];
        let letter = letter("", &route);
        assert!(needs_source(letter.said.as_ref().unwrap(), &DecodeOptions::default()));
        assert!(planned(&letter, DecodeOptions::default()).is_err());
    }
}
