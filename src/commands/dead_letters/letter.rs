//! What a dead letter says of itself, read back from its `oms-sync.*` headers. Pure. Never fails: what is no dead letter
//! of the worker is told as such.

use std::str::FromStr;

use serde::Serialize;

use crate::io::dead_letter::HEADER_PREFIX;
use crate::pipeline::record::Record;

/// Where it failed: header `oms-sync.stage`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Decode,
    Route,
    Submit,
}

impl Stage {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Route => "route",
            Self::Submit => "submit",
        }
    }
}

/// The headers of a dead letter, as far as the commands look at them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Said {
    /// Where the source record stood first.
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: String,
    pub(super) group: String,
    pub(super) stage: Stage,
    pub(super) reason: String,
    pub(super) attempts: u32,
    pub(super) replays: u32,
    pub(super) first_failure_at: String,
    /// Raw; none at stage decode, at least one at the others.
    pub(super) keys: Vec<String>,
    /// Always there at stage submit.
    pub(super) task: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) request_id: Option<String>,
    /// What of the source record was too large to be kept: its value, perhaps more.
    pub(super) omitted: Option<String>,
}

/// A record of a dead-letter topic, with its headers or why it is none of ours.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) record: Record,
    pub(super) said: Result<Said, String>,
}

impl Letter {
    pub(super) fn of(record: Record) -> Self {
        let said = Said::of(&record);
        Self { record, said }
    }
}

impl Said {
    fn of(record: &Record) -> Result<Self, String> {
        let stage = required(record, "stage")?;
        let stage = <Stage as clap::ValueEnum>::from_str(stage, false)
            .map_err(|_| format!("header {HEADER_PREFIX}stage is none of decode, route and submit"))?;
        let said = Self {
            topic: required(record, "topic")?.to_owned(),
            partition: number(record, "partition")?,
            offset: number(record, "offset")?,
            timestamp: required(record, "timestamp")?.to_owned(),
            group: optional(record, "group").unwrap_or_default(),
            stage,
            reason: required(record, "reason")?.to_owned(),
            attempts: number(record, "attempts")?,
            replays: number(record, "replays")?,
            first_failure_at: optional(record, "first-failure-at").unwrap_or_default(),
            keys: keys(record, stage)?,
            task: optional(record, "task-id"),
            status: text(record, "http-status").map(|_| number(record, "http-status")).transpose()?,
            code: optional(record, "error-code"),
            message: optional(record, "error-message"),
            request_id: optional(record, "request-id"),
            omitted: optional(record, "value-omitted"),
        };
        if stage == Stage::Submit && said.task.is_none() {
            return Err(format!("header {HEADER_PREFIX}task-id is missing"));
        }
        Ok(said)
    }
}

fn keys(record: &Record, stage: Stage) -> Result<Vec<String>, String> {
    if stage == Stage::Decode {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = serde_json::from_str(required(record, "failed-keys")?)
        .map_err(|_| format!("header {HEADER_PREFIX}failed-keys is no JSON array of keys"))?;
    if keys.is_empty() {
        return Err(format!("header {HEADER_PREFIX}failed-keys names none"));
    }
    Ok(keys)
}

fn number<T: FromStr>(record: &Record, name: &str) -> Result<T, String> {
    required(record, name)?.parse().map_err(|_| format!("header {HEADER_PREFIX}{name} is no number, or out of range"))
}

fn required<'a>(record: &'a Record, name: &str) -> Result<&'a str, String> {
    text(record, name).ok_or_else(|| format!("header {HEADER_PREFIX}{name} is missing or no text"))
}

fn optional(record: &Record, name: &str) -> Option<String> {
    text(record, name).map(str::to_owned)
}

fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.header(&format!("{HEADER_PREFIX}{name}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::pipeline::record::Header;

    /// A record of a dead-letter topic with these headers.
    pub(in super::super) fn record(value: &str, headers: &[(&str, &str)]) -> Record {
        let header =
            |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Some(value.as_bytes().into()) };
        Record {
            key: Some(b"k".as_slice().into()),
            value: Some(value.as_bytes().into()),
            headers: headers.iter().map(header).collect(),
            timestamp_ms: Some(1_790_756_127_318),
            ..Record::at("t.dlq", 0, 5)
        }
    }

    /// What a worker says of two refused keys, but for what is changed; an empty text takes a header away.
    pub(in super::super) fn refused<'a>(changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut headers = vec![
            ("oms-sync.topic", "t"),
            ("oms-sync.partition", "3"),
            ("oms-sync.offset", "42"),
            ("oms-sync.timestamp", "2026-09-30T08:15:27.318Z"),
            ("oms-sync.group", "g"),
            ("oms-sync.stage", "submit"),
            ("oms-sync.reason", "refused"),
            ("oms-sync.attempts", "4"),
            ("oms-sync.replays", "0"),
            ("oms-sync.failed-keys", r#"["a b","c"]"#),
            ("oms-sync.task-id", "task-1"),
            ("oms-sync.http-status", "400"),
            ("oms-sync.error-code", "OMS.0001"),
        ];
        for (name, value) in changed {
            headers.retain(|(other, _)| other != name);
            if !value.is_empty() {
                headers.push((name, value));
            }
        }
        headers
    }

    /// The letter of [`refused`].
    pub(in super::super) fn letter(value: &str, changed: &[(&str, &str)]) -> Letter {
        Letter::of(record(value, &refused(changed)))
    }

    #[test]
    fn a_letter_of_the_worker_is_read_back() {
        let said = letter("{}", &[]).said.unwrap();
        assert_eq!((said.topic.as_str(), said.partition, said.offset), ("t", 3, 42));
        assert_eq!((said.stage, said.reason.as_str(), said.replays), (Stage::Submit, "refused", 0));
        assert_eq!(said.keys, ["a b", "c"]);
        assert_eq!(
            (said.task.as_deref(), said.status, said.code.as_deref()),
            (Some("task-1"), Some(400), Some("OMS.0001"))
        );
    }

    #[test]
    fn a_record_that_is_no_letter_of_ours_says_which_header_is_wrong() {
        for (changed, expected) in [
            (("oms-sync.topic", ""), "oms-sync.topic is missing"),
            (("oms-sync.stage", "sent"), "none of decode, route and submit"),
            (("oms-sync.offset", "many"), "oms-sync.offset is no number"),
            (("oms-sync.replays", "-1"), "oms-sync.replays is no number"),
            (("oms-sync.http-status", "x"), "oms-sync.http-status is no number"),
            (("oms-sync.failed-keys", "[1]"), "no JSON array of keys"),
            (("oms-sync.failed-keys", "[]"), "names none"),
            (("oms-sync.task-id", ""), "oms-sync.task-id is missing"),
        ] {
            let problem = letter("{}", &[changed]).said.unwrap_err();
            assert!(problem.contains(expected), "{changed:?}: {problem}");
        }
        assert!(Letter::of(Record::at("t.dlq", 0, 0)).said.is_err(), "no headers at all");
    }
}
