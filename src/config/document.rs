//! The configuration as people write it, key by key. The doc comments are the documentation: the JSON schema and the
//! README's table are made of them. Nothing here is checked beyond its type; see `validate`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::properties::Properties;
use super::routes::{Discovery, Routes};
use super::secret::Secret;
use super::sections::{
    Admin, DeadLetter, Events, Limits, Log, OffsetPolicy, Records, Retry, Shutdown, StoppedTasks, WrittenKeys,
};
use super::units;
use super::units::schema::DurationText;
use crate::oms::verdict::VerdictCodes;

/// Configuration of oms-sync-worker. Durations and sizes carry a unit: `200ms`, `64MiB`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "oms-sync-worker")]
pub(crate) struct Document {
    pub(crate) kafka: Kafka,
    pub(crate) oms: Oms,
    /// Which task gets the changes of which bucket: a list, or the word `discover`. Empty: records must name their task.
    pub(crate) routes: Routes,
    pub(crate) discovery: Discovery,
    /// What to do with changes of a task that someone has stopped: they wait until it is started again, or are
    /// dead-lettered once OMS has confirmed that it is stopped.
    pub(crate) stopped_tasks: StoppedTasks,
    pub(crate) records: Records,
    pub(crate) events: Events,
    pub(crate) retry: Retry,
    pub(crate) dead_letter: DeadLetter,
    pub(crate) limits: Limits,
    pub(crate) shutdown: Shutdown,
    pub(crate) admin: Admin,
    pub(crate) log: Log,
}

/// Where records come from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kafka {
    /// Required. `host:port`, several with commas between them.
    pub(crate) brokers: Option<String>,
    /// Required, one or more. The topics to read.
    pub(crate) topics: Vec<String>,
    /// The consumer group. Workers of one group share the partitions.
    pub(crate) group_id: String,
    /// Where to begin in a partition for which the group has no commit point.
    pub(crate) start_from: OffsetPolicy,
    /// Where to go on when the commit point is gone, because retention passed it.
    pub(crate) out_of_range: OffsetPolicy,
    /// How often commit points are committed.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub(crate) commit_interval: Duration,
    /// Any other librdkafka property, such as `security.protocol` or `sasl.password`. Those that the worker owns are refused by name.
    pub(crate) properties: Properties,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: None,
            topics: Vec::new(),
            group_id: "oms-sync-worker".to_owned(),
            start_from: OffsetPolicy::Earliest,
            out_of_range: OffsetPolicy::Earliest,
            commit_interval: Duration::from_secs(1),
            properties: Properties::default(),
        }
    }
}

/// Where events go.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Oms {
    /// Required unless `oms.endpoint` is given. The region, from which the endpoint follows.
    pub(crate) region: Option<String>,
    /// Base URL of OMS; wins over `oms.region`.
    pub(crate) endpoint: Option<String>,
    /// Required. The project that owns the tasks. Also `HUAWEICLOUD_SDK_PROJECT_ID`.
    pub(crate) project_id: Option<String>,
    pub(crate) credentials: Credentials,
    /// A PEM file with further trust anchors for TLS, one or more certificates, besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Longest time to connect, TLS included.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub(crate) connect_timeout: Duration,
    /// Longest time of a whole request.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub(crate) request_timeout: Duration,
    /// Requests at once, whole worker.
    pub(crate) max_in_flight: u32,
    /// Requests at once, one task; at most three quarters of `oms.max_in_flight`, the rest is left to other tasks.
    pub(crate) max_in_flight_per_task: u32,
    /// Requests a second, whole worker; `null` sets no limit of our own.
    pub(crate) max_requests_per_second: Option<f64>,
    /// How keys are written in events: `percent` writes a blank as `%20`, `form` as `+`.
    pub(crate) key_encoding: WrittenKeys,
    /// First pause between probes while OMS refuses everything; doubles up to 15 minutes.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub(crate) hold_probe_interval: Duration,
    pub(crate) verdict_codes: VerdictCodes,
}

impl Default for Oms {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            project_id: None,
            credentials: Credentials::default(),
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            max_in_flight: 64,
            max_in_flight_per_task: 16,
            max_requests_per_second: None,
            key_encoding: WrittenKeys::Percent,
            hold_probe_interval: Duration::from_mins(1),
            verdict_codes: VerdictCodes::default(),
        }
    }
}

/// Who signs the requests.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Where credentials come from. `auto` takes the first that is there: the keys below, `file`, `profile`, `cce`, `ecs`.
    pub(crate) source: CredentialSource,
    /// Access key. Also `HUAWEICLOUD_SDK_AK`, `CLOUD_SDK_AK`.
    pub(crate) access_key: Option<Secret>,
    /// Secret key. Also `HUAWEICLOUD_SDK_SK`, `CLOUD_SDK_SK`.
    pub(crate) secret_key: Option<Secret>,
    /// Security token of a temporary access key. Also `HUAWEICLOUD_SDK_SECURITY_TOKEN`.
    pub(crate) security_token: Option<Secret>,
    /// For `file`: a directory with the files `access-key`, `secret-key` and perhaps `security-token`, such as a mounted Secret; looked at every 5 s.
    pub(crate) directory: PathBuf,
    /// For `profile`: an INI file whose section `[basic]` has `ak`, `sk` and perhaps `security_token`. Also `HUAWEICLOUD_SDK_CREDENTIALS_FILE`; else `~/.huaweicloud/credentials`.
    pub(crate) profile_file: Option<PathBuf>,
    /// For `ecs`: the metadata service.
    pub(crate) metadata_endpoint: String,
    /// For `cce`: the pod identity service. Also `HC_CONTAINER_CREDENTIALS_FULL_URI`, which CCE sets.
    pub(crate) pod_identity_url: Option<String>,
    /// For `cce`: the file with the pod's token. Also `HC_CONTAINER_AUTHORIZATION_TOKEN_FILE`, which CCE sets.
    pub(crate) pod_identity_token_file: Option<PathBuf>,
    /// For `token`: base URL of IAM. Also `HUAWEICLOUD_SDK_IAM_ENDPOINT`; else that of the region, or `https://iam.myhuaweicloud.com`.
    pub(crate) iam_endpoint: Option<String>,
    pub(crate) user: User,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            source: CredentialSource::Auto,
            access_key: None,
            secret_key: None,
            security_token: None,
            directory: PathBuf::from("/etc/oms-sync/credentials"),
            profile_file: None,
            metadata_endpoint: crate::oms::credentials::metadata::METADATA_ENDPOINT.to_owned(),
            pod_identity_url: None,
            pod_identity_token_file: None,
            iam_endpoint: None,
            user: User::default(),
        }
    }
}

/// For the source `token`: an IAM user.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct User {
    /// Name of the account that the user belongs to.
    pub(crate) domain: Option<String>,
    /// Name of the IAM user.
    pub(crate) name: Option<String>,
    /// Password of the IAM user.
    pub(crate) password: Option<Secret>,
}

/// Where credentials come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSource {
    /// The first that is there.
    #[default]
    Auto,
    /// The configuration or the environment.
    Static,
    /// Files of a directory.
    File,
    /// The profile file of Huawei Cloud's SDKs.
    Profile,
    /// The metadata service of an ECS.
    Ecs,
    /// The pod identity service of CCE.
    Cce,
    /// A token of IAM.
    Token,
}
