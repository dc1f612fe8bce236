//! The sections whose written and validated forms are the same. Their ranges are checked in `validate`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record_format::RecordFormat;
use super::units;
use super::units::schema::{DurationText, SizeText};
use crate::formats::{DecodeOptions, Policy};

/// Where to begin reading when there is no usable commit point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetPolicy {
    /// With the oldest record that is there.
    Earliest,
    /// With the next record to be written.
    Latest,
    /// Not at all: end with an error.
    Fail,
}

/// How keys are written in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WrittenKeys {
    /// Blank as `%20`.
    Percent,
    /// Blank as `+`.
    Form,
}

/// How keys are written in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadKeys {
    /// As the record's format has it.
    Auto,
    /// Form-encoded: `+` is a blank.
    Form,
    /// As they are.
    Raw,
}

/// What becomes of a record for which there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// Copied to the dead-letter topic.
    DeadLetter,
    /// Counted and left.
    Skip,
}

/// What becomes of the changes of a stopped task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoppedTasks {
    /// They wait for it to be started again.
    #[default]
    Wait,
    /// They are copied to the dead-letter topic.
    DeadLetter,
}

/// How records are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Records {
    /// Format of the records.
    pub format: RecordFormat,
    /// How keys are written in the records.
    pub key_encoding: ReadKeys,
    /// What to do with folder markers: objects whose key ends with a slash.
    pub folder_markers: Policy,
    /// What to do with objects of no bytes, where the record says so.
    pub zero_byte: Policy,
    /// What to do with files that Azure's Data Lake Storage or SFTP have created empty and writes later. A flush without
    /// a close tells of nothing later: `sync` misses none and submits some objects too early.
    pub adls_placeholders: Policy,
    /// What to do with new names of objects (Azure, Qiniu).
    pub renames: Policy,
    /// What to do with object resources of Google Cloud Storage without their event, which may be that of a delete.
    pub untyped: Policy,
    /// What to do with a document of no known format.
    pub unrecognised: Unusable,
    /// What to do with a change for which there is no route.
    pub no_route: Unusable,
    /// Most changes in one record; a record with more is dead-lettered.
    pub max_changes: usize,
    /// What differs for a topic, by the topic's name.
    pub topics: BTreeMap<String, TopicRecords>,
}

/// What differs for a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TopicRecords {
    /// Instead of `records.format`.
    pub format: Option<RecordFormat>,
    /// Instead of `records.key_encoding`.
    pub key_encoding: Option<ReadKeys>,
}

impl Default for Records {
    fn default() -> Self {
        let defaults = DecodeOptions::default();
        Self {
            format: RecordFormat(defaults.format),
            key_encoding: ReadKeys::Auto,
            folder_markers: defaults.folder_markers,
            zero_byte: defaults.zero_byte,
            adls_placeholders: defaults.adls_placeholders,
            renames: defaults.renames,
            untyped: defaults.untyped,
            unrecognised: Unusable::DeadLetter,
            no_route: Unusable::DeadLetter,
            max_changes: defaults.max_changes,
            topics: BTreeMap::new(),
        }
    }
}

/// How keys are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    /// Most keys in one event, 1 to 10.
    pub max_keys: usize,
    /// How long a key waits for others before an event goes out that is not full.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub linger: Duration,
}

impl Default for Events {
    fn default() -> Self {
        Self { max_keys: 10, linger: Duration::from_millis(200) }
    }
}

/// When a submission is tried again. It is tried for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Upper bound of the first pause; doubles with each attempt.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub initial: Duration,
    /// Upper bound of any pause.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub max: Duration,
    /// Longest `Retry-After` that is honoured in full.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub max_retry_after: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_mins(1),
            max_retry_after: Duration::from_mins(5),
        }
    }
}

/// Where records go that OMS refuses for good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetter {
    /// The dead-letter topic; `null` is `<source topic>.dlq`.
    pub topic: Option<String>,
    /// When they wait instead of being written, because too much is refused.
    pub breaker: Breaker,
}

impl DeadLetter {
    /// The dead-letter topic of a source topic.
    #[must_use]
    pub fn topic_of(&self, source: &str) -> String {
        self.topic.clone().unwrap_or_else(|| format!("{source}.dlq"))
    }
}

/// When dead letters wait instead of being written, because too much is refused. Off while both maxima are `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Most dead letters in any minute, one worker; with more of them they wait. `null` sets no such limit. 600 is a start.
    pub max_per_minute: Option<u32>,
    /// Most of a minute's records that may end in dead letters, as a ratio above 0 and below 1; beyond it they wait. `null`
    /// sets no such limit. 0.5 is a start.
    pub max_ratio: Option<f64>,
    /// Records that a minute must have before `max_ratio` counts.
    pub min_records: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { max_per_minute: None, max_ratio: None, min_records: 100 }
    }
}

/// What the worker holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Object changes that are read and not settled.
    pub max_unsettled_changes: usize,
    /// Bytes of the records that are not settled, and 200 a change.
    #[serde(with = "units::size")]
    #[schemars(with = "SizeText")]
    pub max_unsettled_bytes: u64,
    /// Keys that wait for one task; at this, reading of its partitions pauses.
    pub max_pending_keys_per_task: usize,
    /// Share of `max_unsettled_changes` and of `max_unsettled_bytes` that one task may take up while it is held, stopped or its
    /// requests fail; at this, reading of its partitions pauses. Above 0; 1 leaves nothing to others.
    pub max_blocked_share_per_task: f64,
    /// Records of a partition that are settled behind one that is not: what a crash repeats at most.
    pub max_uncommitted_records: usize,
    /// Tasks with state.
    pub max_tasks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_unsettled_changes: 100_000,
            max_unsettled_bytes: 24 << 20,
            max_pending_keys_per_task: 50_000,
            max_blocked_share_per_task: 0.75,
            max_uncommitted_records: 1_000_000,
            max_tasks: 1_000,
        }
    }
}

/// How the worker ends, and when it counts as stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Longest time from the signal to the end, commit and leaving the group included.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub drain_timeout: Duration,
    /// Longest time for finishing revoked partitions.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub revoke_timeout: Duration,
    /// A step that is this much over its own timeout is a stall, and `/livez` says so.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub stall_timeout: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain_timeout: Duration::from_secs(25),
            revoke_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_mins(5),
        }
    }
}

/// The HTTP server for metrics and probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port of `/metrics`, `/livez`, `/readyz` and `/status`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Whether `/readyz` fails while OMS refuses everything.
    pub unready_on_hold: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9464)), unready_on_hold: false }
    }
}

/// What is logged, to standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A tracing filter: a level, or `target=level` with commas between them.
    pub level: String,
    /// How lines are written; `auto` is `json` when standard output is not a terminal.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `text` on a terminal, else `json`.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
