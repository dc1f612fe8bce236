//! The validated configuration: what the rest of the worker is given. Only `validate` makes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::formats::{DecodeOptions, KeyText};
use crate::oms::verdict::VerdictCodes;
use crate::pipeline::key::TaskId;

use super::document::CredentialSource;
use super::properties::Properties;
use super::secret::Secret;
use super::sections::{
    Admin, DeadLetter, Events, Limits, Log, OffsetPolicy, ReadKeys, Records, Retry, Shutdown, StoppedTasks, WrittenKeys,
};

/// A configuration that can be run with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where records come from.
    pub kafka: Kafka,
    /// Where events go.
    pub oms: Oms,
    /// Which task gets the changes of which bucket. Empty: records must name their task. No two have the same bucket and prefix.
    pub routes: Vec<Route>,
    /// How routes are found instead, where the word `discover` is written; there are none in `routes` then.
    pub discovery: Option<Discovery>,
    /// What becomes of the changes of stopped tasks.
    pub stopped_tasks: StoppedTasks,
    /// How records are read.
    pub records: Records,
    /// How keys are grouped.
    pub events: Events,
    /// When a submission is tried again.
    pub retry: Retry,
    /// Where refused records go.
    pub dead_letter: DeadLetter,
    /// What the worker holds at most.
    pub limits: Limits,
    /// How the worker ends, and when it counts as stuck.
    pub shutdown: Shutdown,
    /// The HTTP server for metrics and probes.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
}

/// Where records come from.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `bootstrap.servers`, not empty.
    pub brokers: String,
    /// Topics to read: at least one, no two alike, none of them a dead-letter topic.
    pub topics: Vec<String>,
    /// Consumer group, not empty.
    pub group_id: String,
    /// Where to begin without a commit point.
    pub start_from: OffsetPolicy,
    /// Where to go on when the commit point is gone.
    pub out_of_range: OffsetPolicy,
    /// How often commit points are committed.
    pub commit_interval: Duration,
    /// Other librdkafka properties; librdkafka knows each of them.
    pub properties: Properties,
}

/// Where events go.
#[derive(Clone, Debug)]
pub struct Oms {
    /// Base URL without a slash at the end, a query or a fragment.
    pub endpoint: String,
    /// `[A-Za-z0-9-]{1,1024}`.
    pub project_id: String,
    /// Who signs.
    pub credentials: Credentials,
    /// PEM file with further trust anchors.
    pub ca_file: Option<PathBuf>,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time of a whole request.
    pub request_timeout: Duration,
    /// Requests at once, whole worker; at least 1.
    pub max_in_flight: u32,
    /// Requests at once, one task; at least 1 and at most `max_in_flight`.
    pub max_in_flight_per_task: u32,
    /// Requests a second; above 0.
    pub max_requests_per_second: Option<f64>,
    /// How keys are written in events.
    pub key_encoding: WrittenKeys,
    /// First pause between probes during a hold.
    pub hold_probe_interval: Duration,
    /// What error codes mean; no code is in two lists.
    pub verdict_codes: VerdictCodes,
}

/// Where credentials come from, and what each source needs to know.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Which source; what `static` and `token` need is there.
    pub source: CredentialSource,
    /// An access key that was written or in the environment.
    pub keys: Option<AccessKeys>,
    /// For `file`.
    pub directory: PathBuf,
    /// For `profile`; `None` where no home directory is known either.
    pub profile_file: Option<PathBuf>,
    /// For `ecs`: URL without a slash at its end.
    pub metadata_endpoint: String,
    /// For `cce`: URL and token file.
    pub pod_identity: Option<(String, PathBuf)>,
    /// For `token`: URL of IAM without a slash at its end.
    pub iam_endpoint: String,
    /// For `token`.
    pub user: Option<IamUser>,
}

/// An access key. No part is empty or holds blanks or control characters.
#[derive(Clone, Debug)]
pub struct AccessKeys {
    /// Access key.
    pub access_key: Secret,
    /// Secret key.
    pub secret_key: Secret,
    /// Security token of a temporary access key.
    pub security_token: Option<Secret>,
}

/// A user of IAM. No part is empty.
#[derive(Clone, Debug)]
pub struct IamUser {
    /// Name of its account.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

/// How routes are found by asking OMS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Discovery {
    /// Between two questions.
    pub interval: Duration,
    /// What the keys of a task begin with, not empty.
    pub prefixes: BTreeMap<TaskId, String>,
}

/// A bucket, or a part of it, and the task that gets its changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The task.
    pub task: TaskId,
    /// The source bucket, not empty.
    pub bucket: String,
    /// What its keys begin with, not empty.
    pub prefix: Option<String>,
}

impl Config {
    /// How to read a topic's records.
    #[must_use]
    pub fn decode_options(&self, topic: &str) -> DecodeOptions {
        let records = &self.records;
        let own = records.topics.get(topic).copied().unwrap_or_default();
        let key_text = match own.key_encoding.unwrap_or(records.key_encoding) {
            ReadKeys::Auto => KeyText::Auto,
            ReadKeys::Form => KeyText::Form,
            ReadKeys::Raw => KeyText::Raw,
        };
        DecodeOptions {
            format: own.format.unwrap_or(records.format).0,
            key_text,
            folder_markers: records.folder_markers,
            zero_byte: records.zero_byte,
            adls_placeholders: records.adls_placeholders,
            renames: records.renames,
            untyped: records.untyped,
            max_changes: records.max_changes,
        }
    }

    /// The dead-letter topic of each source topic.
    #[must_use]
    pub fn dead_letter_topics(&self) -> BTreeMap<&str, String> {
        self.kafka.topics.iter().map(|topic| (topic.as_str(), self.dead_letter.topic_of(topic))).collect()
    }
}
