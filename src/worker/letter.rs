//! What a dead letter says about itself: the `oms-sync.*` headers.

use std::time::{Duration, UNIX_EPOCH};

use crate::config::Config;
use crate::io::dead_letter::HEADER_PREFIX;
use crate::pipeline::failure::Stage;
use crate::pipeline::letters::DeadLetter;
use crate::pipeline::record::Record;

use super::clock::Clock;
use super::omitted;

/// Who writes dead letters, and where to.
pub(super) struct Source {
    config: crate::config::DeadLetter,
    group: String,
    worker: String,
}

impl Source {
    pub(super) fn new(config: &Config) -> Self {
        Self { config: config.dead_letter.clone(), group: config.kafka.group_id.clone(), worker: worker_name() }
    }

    /// Where the dead letters of a source topic go.
    pub(super) fn topic(&self, source: &str) -> String {
        self.config.topic_of(source)
    }

    /// All headers of a letter, full names first.
    pub(super) fn headers(&self, letter: &DeadLetter, clock: Clock) -> Vec<(String, String)> {
        let DeadLetter { record, failure, .. } = letter;
        let stage = match failure.stage {
            Stage::Decode => "decode",
            Stage::Route => "route",
            Stage::Submit => "submit",
        };
        let first_at = humantime::format_rfc3339_millis(clock.wall(failure.first_at)).to_string();
        let mut headers = coordinates(record);
        headers.extend([
            header("group", &self.group),
            header("stage", stage),
            header("reason", failure.reason),
            header("first-failure-at", first_at),
            header("worker", &self.worker),
            header("version", env!("CARGO_PKG_VERSION")),
            header("attempts", failure.attempts.to_string()),
            header("replays", earlier(record, "replays").unwrap_or_else(|| "0".to_owned())),
        ]);
        if failure.stage != Stage::Decode {
            headers.push(header("failed-keys", serde_json::json!(failure.keys).to_string()));
        }
        if failure.keys.len() < letter.keys_in_all {
            headers.push(header("failed-keys-total", letter.keys_in_all.to_string()));
        }
        headers.extend(omitted::what(letter).map(|what| header("value-omitted", what)));
        if let Some(refusal) = &failure.refusal {
            headers.push(header("task-id", refusal.task.as_str()));
            headers.push(header("http-status", refusal.status.to_string()));
            let said = [
                ("error-code", &refusal.error_code),
                ("error-message", &refusal.error_message),
                ("request-id", &refusal.request_id),
            ];
            headers.extend(said.into_iter().filter_map(|(name, text)| Some(header(name, text.as_deref()?))));
        }
        headers
    }
}

/// Where the record stood. One that was replayed keeps the place where it stood first.
fn coordinates(record: &Record) -> Vec<(String, String)> {
    let own = [
        ("topic", record.topic.to_string()),
        ("partition", record.partition.to_string()),
        ("offset", record.offset.to_string()),
        ("timestamp", timestamp(record)),
    ];
    let replayed = own.iter().all(|(name, _)| earlier(record, name).is_some());
    let first = |(name, own): (&str, String)| {
        let value = if replayed { earlier(record, name).unwrap_or(own) } else { own };
        header(name, value)
    };
    own.into_iter().map(first).collect()
}

/// RFC 3339; the epoch where the broker gave no time.
fn timestamp(record: &Record) -> String {
    let ms = record.timestamp_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// What an earlier dead letter said of this record.
fn earlier(record: &Record, name: &str) -> Option<String> {
    record.header(&format!("{HEADER_PREFIX}{name}")).map(str::to_owned)
}

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (format!("{HEADER_PREFIX}{name}"), value.into())
}

/// The host's name, which is the pod's on Kubernetes, and the process id.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "unknown" } else { host }, std::process::id())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::failure::Failure;
    use crate::pipeline::intake::{Reject, RejectStage};
    use crate::pipeline::record::Header;
    use crate::pipeline::time::Time;

    fn source() -> Source {
        Source { config: crate::config::DeadLetter::default(), group: "g".into(), worker: "w-1".into() }
    }

    fn letter(stage: RejectStage, headers: &[(&str, &str)]) -> DeadLetter {
        let headers =
            headers.iter().map(|(name, value)| Header { name: (*name).into(), value: Some(value.as_bytes().into()) });
        let record = Record {
            topic: "t".into(),
            partition: 3,
            offset: 42,
            timestamp_ms: Some(1_790_756_127_318),
            key: None,
            value: None,
            headers: headers.collect(),
        };
        let reject = Reject { stage, reason: "no_route", key: Some("a b".into()) };
        DeadLetter::whole(Arc::new(record), Failure::rejected(reject, Time::START))
    }

    fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
        headers.iter().find(|(other, _)| *other == format!("oms-sync.{name}")).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_letter_says_where_its_record_stood_and_which_keys_failed() {
        let headers = source().headers(&letter(RejectStage::Route, &[]), Clock::start());
        for (name, expected) in [
            ("topic", "t"),
            ("partition", "3"),
            ("offset", "42"),
            ("timestamp", "2026-09-30T08:15:27.318Z"),
            ("group", "g"),
            ("stage", "route"),
            ("reason", "no_route"),
            ("worker", "w-1"),
            ("attempts", "0"),
            ("replays", "0"),
            ("failed-keys", r#"["a b"]"#),
        ] {
            assert_eq!(value(&headers, name), Some(expected), "{name}");
        }
        assert_eq!(value(&headers, "task-id"), None);
        assert!(value(&headers, "first-failure-at").unwrap().ends_with('Z'));
    }

    #[test]
    fn a_record_that_was_replayed_keeps_its_first_place_and_its_count() {
        let before = [
            ("oms-sync.topic", "first"),
            ("oms-sync.partition", "0"),
            ("oms-sync.offset", "7"),
            ("oms-sync.timestamp", "2026-01-01T00:00:00.000Z"),
            ("oms-sync.replays", "2"),
        ];
        let headers = source().headers(&letter(RejectStage::Decode, &before), Clock::start());
        assert_eq!(value(&headers, "topic"), Some("first"));
        assert_eq!(value(&headers, "offset"), Some("7"));
        assert_eq!(value(&headers, "replays"), Some("2"));
        assert_eq!(value(&headers, "failed-keys"), None, "there is none at stage decode");
    }
}
