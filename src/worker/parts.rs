//! From the configuration to the settings of each part, and from the consumer's words to the pipeline's.

use std::sync::Arc;

use prometheus::IntCounter;
use rustc_hash::FxHashMap;

use crate::config::{Config, OffsetPolicy, StoppedTasks as Stopped, Unusable as Policy, WrittenKeys};
use crate::formats::{Format, Reason};
use crate::io::consumer::{Assignment, ConsumerSettings, MissingOffset, Take};
use crate::io::dead_letter::ProducerSettings;
use crate::io::fault::Fault;
use crate::metrics::Metrics;
use crate::metrics::labels::ChangeAction;
use crate::oms::client::OmsSettings;
use crate::oms::trust;
use crate::pipeline::breaker::BreakerLimits;
use crate::pipeline::discovery::DiscoverySettings;
use crate::pipeline::intake::{Counted, Incoming, Intake, IntakeSettings, Tally, Unusable};
use crate::pipeline::kept::Kept;
use crate::pipeline::key::KeyEncoding;
use crate::pipeline::partition::PartitionName;
use crate::pipeline::retry::Backoff;
use crate::pipeline::route::{Route, Routes};
use crate::pipeline::settings::{Settings, StoppedTasks};
use crate::pipeline::{Assigned, CommitError};
use tracing::warn;

use super::WorkerError;

/// How this worker names itself to Kafka, unless `kafka.properties` says otherwise.
const CLIENT_ID: &str = "oms-sync-worker";

pub(super) fn pipeline(config: &Config, seed: u64) -> Settings {
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Settings {
        max_keys: config.events.max_keys,
        linger: config.events.linger,
        backoff: Backoff { initial: config.retry.initial, max: config.retry.max },
        max_retry_after: config.retry.max_retry_after,
        max_in_flight: size(config.oms.max_in_flight),
        max_in_flight_per_task: size(config.oms.max_in_flight_per_task),
        max_requests_per_second: config.oms.max_requests_per_second,
        hold_probe_interval: config.oms.hold_probe_interval,
        breaker: breaker(config),
        discovery: discovery(config),
        stopped_tasks: match config.stopped_tasks {
            Stopped::Wait => StoppedTasks::Wait,
            Stopped::DeadLetter => StoppedTasks::DeadLetter,
        },
        key_encoding: key_encoding(config),
        max_unsettled_changes: config.limits.max_unsettled_changes,
        max_unsettled_bytes: usize::try_from(config.limits.max_unsettled_bytes).unwrap_or(usize::MAX),
        max_pending_keys_per_task: config.limits.max_pending_keys_per_task,
        max_blocked_share_per_task: config.limits.max_blocked_share_per_task,
        max_uncommitted_records: config.limits.max_uncommitted_records,
        max_tasks: config.limits.max_tasks,
        commit_interval: config.kafka.commit_interval,
        drain_timeout: config.shutdown.drain_timeout,
        revoke_timeout: config.shutdown.revoke_timeout,
        seed,
    }
}

/// How routes are found, where they are not written.
pub(crate) fn discovery(config: &Config) -> Option<DiscoverySettings> {
    let discovery = config.discovery.as_ref()?;
    Some(DiscoverySettings { interval: discovery.interval, prefixes: discovery.prefixes.clone() })
}

fn breaker(config: &Config) -> BreakerLimits {
    let crate::config::Breaker { max_per_minute, max_ratio, min_records } = config.dead_letter.breaker;
    BreakerLimits { max_per_minute, max_ratio, min_records }
}

fn key_encoding(config: &Config) -> KeyEncoding {
    match config.oms.key_encoding {
        WrittenKeys::Percent => KeyEncoding::Percent,
        WrittenKeys::Form => KeyEncoding::Form,
    }
}

/// Without credentials: those come from their source.
pub(crate) fn oms(config: &Config) -> Result<OmsSettings, WorkerError> {
    let oms = &config.oms;
    let read = |path: &std::path::PathBuf| {
        let fail = |source| WorkerError::CaFile { path: path.display().to_string(), source };
        trust::read(path).map_err(fail)
    };
    Ok(OmsSettings {
        endpoint: oms.endpoint.clone(),
        project_id: oms.project_id.clone(),
        credentials: None,
        connect_timeout: oms.connect_timeout,
        request_timeout: oms.request_timeout,
        ca_pem: oms.ca_file.as_ref().map(read).transpose()?,
        max_in_flight: usize::try_from(oms.max_in_flight).unwrap_or(usize::MAX),
        codes: oms.verdict_codes.clone(),
    })
}

pub(crate) fn consumer(config: &Config) -> ConsumerSettings {
    let kafka = &config.kafka;
    ConsumerSettings {
        topics: kafka.topics.clone(),
        start_from: missing(kafka.start_from),
        out_of_range: missing(kafka.out_of_range),
        properties: kafka.properties.as_map().clone(),
        client_id: CLIENT_ID.to_owned(),
        ..ConsumerSettings::new(&kafka.brokers, &[], &kafka.group_id)
    }
}

fn missing(policy: OffsetPolicy) -> MissingOffset {
    match policy {
        OffsetPolicy::Earliest => MissingOffset::Earliest,
        OffsetPolicy::Latest => MissingOffset::Latest,
        OffsetPolicy::Fail => MissingOffset::Fail,
    }
}

/// Properties that say how to reach and trust a broker go for the producer too; those of a consumer do not.
pub(crate) fn producer(config: &Config) -> ProducerSettings {
    const SHARED: [&str; 10] = [
        "security.",
        "sasl.",
        "ssl.",
        "https.",
        "enable.ssl",
        "enable.sasl",
        "socket.",
        "broker.",
        "reconnect.",
        "client.",
    ];
    let properties = config.kafka.properties.iter();
    let shared = properties.filter(|(name, _)| SHARED.iter().any(|prefix| name.starts_with(prefix)));
    ProducerSettings {
        brokers: config.kafka.brokers.clone(),
        client_id: CLIENT_ID.to_owned(),
        properties: shared.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

/// How records become work, as configured. Where routes are discovered, none is known so far.
pub(crate) fn intake(config: &Config) -> Intake {
    if config.discovery.is_some() {
        return Intake::new(intake_settings(config), Arc::new(Routes::undecided()));
    }
    let routes = config.routes.iter().map(|route| Route {
        task: route.task.clone(),
        bucket: route.bucket.clone(),
        prefix: route.prefix.clone(),
    });
    Intake::new(intake_settings(config), Arc::new(Routes::new(routes.collect())))
}

/// What the polling thread does with each record.
pub(super) struct CountedIntake {
    intake: Intake,
    metrics: Arc<Metrics>,
    counters: FxHashMap<Counted, IntCounter>,
    tally: Tally,
}

impl CountedIntake {
    pub(super) fn new(config: &Config, metrics: &Arc<Metrics>) -> Self {
        let (counters, tally) = (FxHashMap::default(), Tally::default());
        Self { intake: intake(config), metrics: Arc::clone(metrics), counters, tally }
    }
}

impl Take for CountedIntake {
    fn take(&mut self, topic: &str, record: Kept) -> Result<Incoming, Kept> {
        let taken = self.intake.take(topic, record, &mut self.tally);
        for (counted, changes) in self.tally.drain() {
            let metrics = &self.metrics;
            self.counters.entry(counted).or_insert_with(|| counter(metrics, counted)).inc_by(changes);
        }
        taken
    }

    fn set_routes(&mut self, routes: Arc<Routes>) {
        self.intake.set_routes(routes);
    }
}

fn counter(metrics: &Metrics, counted: Counted) -> IntCounter {
    if counted.reason == Some(Reason::DirectoryRenamed) {
        warn!("{}; from now on only counted", Reason::DirectoryRenamed.explanation());
    }
    let action = match counted.action {
        crate::formats::Action::Sync => ChangeAction::Sync,
        crate::formats::Action::Skip => ChangeAction::Skip,
        crate::formats::Action::Reject => ChangeAction::Reject,
    };
    let format = counted.format.map_or("unknown", Format::as_str);
    metrics.changes(format, action, counted.reason.map_or("", |reason| reason.as_str()))
}

fn intake_settings(config: &Config) -> IntakeSettings {
    let policy = |policy| match policy {
        Policy::DeadLetter => Unusable::DeadLetter,
        Policy::Skip => Unusable::Skip,
    };
    let topics = config.records.topics.keys();
    IntakeSettings {
        decode: config.decode_options(""), // that of a topic without options of its own
        topics: topics.map(|topic| (topic.as_str().into(), config.decode_options(topic))).collect(),
        unrecognised: policy(config.records.unrecognised),
        no_route: policy(config.records.no_route),
        key_encoding: key_encoding(config),
    }
}

pub(super) fn assigned(partitions: Vec<Assignment>) -> Vec<Assigned> {
    let assigned = |Assignment { at, epoch, committed }| Assigned { name: at, epoch, committed };
    partitions.into_iter().map(assigned).collect()
}

pub(super) fn names(partitions: Vec<Assignment>) -> Vec<PartitionName> {
    partitions.into_iter().map(|assignment| assignment.at).collect()
}

/// For the log: `topic[0], topic[1]`.
pub(super) fn list(partitions: &[Assignment]) -> String {
    let names: Vec<_> = partitions.iter().map(|assignment| assignment.at.to_string()).collect();
    names.join(", ")
}

/// What a commit's result means.
pub(super) fn commit_result(result: Result<(), Fault>) -> Result<(), (CommitError, Fault)> {
    result.map_err(|fault| (commit_error(&fault.code), fault))
}

fn commit_error(code: &str) -> CommitError {
    const FENCED: [&str; 6] = [
        "RebalanceInProgress",
        "IllegalGeneration",
        "UnknownMemberId",
        "FencedInstanceId",
        "FencedMemberEpoch",
        "StaleMemberEpoch",
    ];
    if FENCED.contains(&code) { CommitError::Fenced } else { CommitError::Failed }
}
