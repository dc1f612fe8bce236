//! What the worker counts. Names, types and labels are a contract with dashboards and alerts: add, never rename.
//!
//! Handles are resolved once per topic, task or partition; no label is looked up per record or key. The pipeline knows
//! nothing of this. Label values are bounded: routed tasks by id, every other task as [`OTHER_TASK`].

pub mod labels;
mod memory;
pub mod names;
mod series;
mod tasks;

use std::collections::HashMap;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Error, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use crate::pipeline::answer::HoldReason;
use crate::pipeline::key::TaskId;

use labels::{ChangeAction, CommitOutcome, RebalanceKind, TaskState, VerdictLabel};
use series::{counter, counters, fractions, gauge, gauges, histogram, histograms};
use tasks::TaskVecs;

pub use memory::memory_limit;
pub use series::{PartitionGauges, TopicMetrics};
pub use tasks::{TaskGauges, TaskMetrics};

use series::{PartitionVecs, TopicVecs};

/// Label of every task that is not routed by the configuration.
pub const OTHER_TASK: &str = "other";

/// Media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The revision this was built from, or `unknown`.
pub const REVISION: &str = match option_env!("OMS_SYNC_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Buckets of `submission_duration_seconds`.
const SUBMISSION_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Buckets of `record_to_accepted_seconds`.
const LATENCY_SECONDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0];
/// Buckets of `event_keys`: one each.
const EVENT_KEYS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];

/// Every metric of the worker, in a registry of its own.
pub struct Metrics {
    /// Keys per accepted event.
    pub event_keys: Histogram,
    /// Seconds from Kafka's timestamp to OMS's answer.
    pub record_to_accepted: Histogram,
    /// Object changes read and not settled.
    pub unsettled_changes: IntGauge,
    /// Bytes charged for them.
    pub unsettled_bytes: IntGauge,
    /// Limit of `unsettled_changes`.
    pub unsettled_changes_limit: IntGauge,
    /// Limit of `unsettled_bytes`.
    pub unsettled_bytes_limit: IntGauge,
    /// Attempts to produce a dead letter that failed.
    pub dead_letter_failures: IntCounter,
    /// 1 while dead letters wait at the breaker.
    pub dead_letter_breaker: IntGauge,
    /// Partitions assigned to this worker.
    pub assigned_partitions: IntGauge,
    /// 1 while the worker makes no progress of its own.
    pub stalled: IntGauge,
    credentials_expiry: IntGaugeVec,
    memory_limit: IntGaugeVec,
    registry: Registry,
    paced: GaugeVec,
    changes: IntCounterVec,
    dead_letters: IntCounterVec,
    commits: IntCounterVec,
    rebalances: IntCounterVec,
    kafka_errors: IntCounterVec,
    hold: IntGaugeVec,
    durations: [Histogram; 4],
    topics: TopicVecs,
    partitions: PartitionVecs,
    tasks: TaskVecs,
}

impl Metrics {
    /// Registers everything. `routed` are the tasks that get labels of their own; see [`Self::route`] for discovered ones.
    ///
    /// # Errors
    /// Two metrics of one name, which a test rules out.
    pub fn new(routed: impl IntoIterator<Item = TaskId>) -> Result<Self, Error> {
        let r = &Registry::new();
        r.register(Box::new(ProcessCollector::for_self()))?;
        show_build(r)?;
        let metrics = Self {
            event_keys: histogram(r, names::EVENT_KEYS, "Keys in an accepted event", EVENT_KEYS)?,
            record_to_accepted: histogram(
                r,
                names::RECORD_TO_ACCEPTED,
                "Seconds from the record's Kafka timestamp to OMS's acceptance of its key",
                LATENCY_SECONDS,
            )?,
            unsettled_changes: gauge(r, names::UNSETTLED_CHANGES, "Object changes read and not settled")?,
            unsettled_bytes: gauge(r, names::UNSETTLED_BYTES, "Bytes charged for changes that are not settled")?,
            unsettled_changes_limit: gauge(r, names::UNSETTLED_CHANGES_LIMIT, "limits.max_unsettled_changes")?,
            unsettled_bytes_limit: gauge(r, names::UNSETTLED_BYTES_LIMIT, "limits.max_unsettled_bytes, in bytes")?,
            dead_letter_failures: counter(
                r,
                names::DEAD_LETTER_FAILURES,
                "Attempts to produce a dead letter that failed",
            )?,
            dead_letter_breaker: gauge(
                r,
                names::DEAD_LETTER_BREAKER,
                "1 while dead letters wait because too much is refused, else 0",
            )?,
            paced: fractions(
                r,
                names::PACED_REQUESTS,
                "Requests a second that throttling and our own limit leave",
                &[],
            )?,
            assigned_partitions: gauge(r, names::ASSIGNED_PARTITIONS, "Partitions assigned to this worker")?,
            stalled: gauge(r, names::STALLED, "1 while the worker makes no progress of its own, else 0")?,
            changes: counters(r, names::CHANGES, "Object changes found in records", &["format", "action", "reason"])?,
            dead_letters: counters(
                r,
                names::DEAD_LETTERS,
                "Dead letters written, by source topic",
                &["topic", "reason"],
            )?,
            commits: counters(r, names::COMMITS, "Offset commits, by their result", &["outcome"])?,
            rebalances: counters(r, names::REBALANCES, "Changes of the assignment", &["kind"])?,
            kafka_errors: counters(r, names::KAFKA_ERRORS, "Errors reported by librdkafka", &["code"])?,
            hold: gauges(r, names::HOLD, "1 while the worker, or a task, holds for this reason", &["reason", "task"])?,
            credentials_expiry: gauges(
                r,
                names::CREDENTIALS_EXPIRY,
                "When the credentials expire, seconds since the Unix epoch; absent where they do not",
                &[],
            )?,
            memory_limit: gauges(
                r,
                names::MEMORY_LIMIT,
                "Memory limit of the process's control group; absent where there is none",
                &[],
            )?,
            durations: durations(r)?,
            topics: TopicVecs::new(r)?,
            partitions: PartitionVecs::new(r)?,
            tasks: TaskVecs::new(r, routed)?,
            registry: r.clone(),
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Series that exist from the start, so that a rate over their first event is right.
    fn begin_at_zero(&self) {
        for outcome in CommitOutcome::ALL {
            drop(self.commits(outcome));
        }
        for kind in RebalanceKind::ALL {
            drop(self.rebalances(kind));
        }
        self.show_holds(&[]);
        self.show_routes_hold(false);
    }

    /// Everything in Prometheus's text format.
    ///
    /// # Errors
    /// A metric family without a name or a value, which this type never makes.
    pub fn text(&self) -> Result<String, Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|why| Error::Msg(why.to_string()))
    }

    /// Handles of a source topic; keep them.
    #[must_use]
    pub fn topic(&self, topic: &str) -> TopicMetrics {
        self.topics.of(topic)
    }

    /// Handles of a task; keep them.
    #[must_use]
    pub fn task(&self, task: &TaskId) -> TaskMetrics {
        self.tasks.of(task)
    }

    /// From now on these are the routed tasks. A task that is gone keeps its counters and loses its gauges; no more than
    /// `max_labels` tasks ever get labels of their own.
    pub fn route(&self, tasks: &[TaskId], max_labels: usize) {
        for gone in self.tasks.route(tasks, max_labels) {
            let permission = labels::hold_reason(HoldReason::Permission);
            self.hold.remove_label_values(&[permission, gone.as_str()]).ok(); // it was never shown
        }
    }

    /// Shows an assigned partition; call it about once a second.
    pub fn show_partition(&self, topic: &str, partition: i32, gauges: PartitionGauges) {
        self.partitions.show(topic, partition, gauges);
    }

    /// Deletes the series of a partition that is no longer assigned.
    pub fn forget_partition(&self, topic: &str, partition: i32) {
        self.partitions.forget(topic, partition);
    }

    /// Changes of one kind. `format` and `reason` are of fixed sets; `reason` is empty for what is synchronized. Keep it.
    #[must_use]
    pub fn changes(&self, format: &'static str, action: ChangeAction, reason: &'static str) -> IntCounter {
        self.changes.with_label_values(&[format, action.as_str(), reason])
    }

    /// How long submissions with this verdict take, seconds.
    #[must_use]
    pub fn submission_duration(&self, verdict: VerdictLabel) -> &Histogram {
        &self.durations[verdict as usize]
    }

    /// Dead letters written for records of a source topic. `reason` is of a fixed set.
    #[must_use]
    pub fn dead_letters(&self, topic: &str, reason: &str) -> IntCounter {
        self.dead_letters.with_label_values(&[topic, reason])
    }

    /// Commits that ended so.
    #[must_use]
    pub fn commits(&self, outcome: CommitOutcome) -> IntCounter {
        self.commits.with_label_values(&[outcome.as_str()])
    }

    /// Rebalances of a kind.
    #[must_use]
    pub fn rebalances(&self, kind: RebalanceKind) -> IntCounter {
        self.rebalances.with_label_values(&[kind.as_str()])
    }

    /// Errors that librdkafka reported with this code.
    #[must_use]
    pub fn kafka_errors(&self, code: &str) -> IntCounter {
        self.kafka_errors.with_label_values(&[code])
    }

    /// Shows the state of every task, given as one entry a task with state; call it about once a second.
    pub fn show_tasks<'a>(&self, states: impl IntoIterator<Item = (&'a TaskId, TaskGauges)>) {
        self.tasks.show(states);
    }

    /// Shows the rate that requests are limited to; there is no series while there is no limit.
    pub fn show_pace(&self, requests_per_second: Option<f64>) {
        match requests_per_second {
            Some(rate) => self.paced.with_label_values(&[] as &[&str]).set(rate),
            None => self.paced.reset(),
        }
    }

    /// Shows what OMS says of a routed task. Others have no such series.
    pub fn show_task_state(&self, task: &TaskId, state: TaskState) {
        self.tasks.show_state(task, state);
    }

    /// Shows when the credentials expire, since the Unix epoch; the series is there only while they do.
    pub fn show_credentials_expiry(&self, at: Option<std::time::Duration>) {
        show_or_hide(&self.credentials_expiry, at.map(|at| at.as_secs()));
    }

    /// Shows the memory limit, bytes; the series is there only while there is one.
    pub fn show_memory_limit(&self, bytes: Option<u64>) {
        show_or_hide(&self.memory_limit, bytes);
    }

    /// Shows whether the table of routes is missing, or not what the project's tasks are.
    pub fn show_routes_hold(&self, is_wanting: bool) {
        self.hold.with_label_values(&[labels::ROUTES_HOLD, ""]).set(is_wanting.into());
    }

    /// Shows the holds in force, all of them; every other one becomes 0. A hold of the whole worker has no task.
    pub fn show_holds(&self, active: &[(HoldReason, Option<&TaskId>)]) {
        let mut series: HashMap<(&str, String), i64> = HashMap::new();
        for reason in [HoldReason::Credentials, HoldReason::Account, HoldReason::Endpoint] {
            series.insert((labels::hold_reason(reason), String::new()), 0);
        }
        let permission = labels::hold_reason(HoldReason::Permission);
        for task in self.tasks.labels() {
            series.insert((permission, task), 0);
        }
        for (reason, task) in active {
            let task = task.map_or_else(String::new, |task| self.tasks.label(task).to_owned());
            series.insert((labels::hold_reason(*reason), task), 1);
        }
        for ((reason, task), value) in series {
            self.hold.with_label_values(&[reason, task.as_str()]).set(value);
        }
    }
}

/// A gauge without labels that has a series only while there is a value.
fn show_or_hide(gauge: &IntGaugeVec, value: Option<u64>) {
    match value {
        Some(value) => gauge.with_label_values::<&str>(&[]).set(i64::try_from(value).unwrap_or(i64::MAX)),
        None => gauge.reset(),
    }
}

fn show_build(r: &Registry) -> Result<(), Error> {
    let labels = ["version", "revision", "librdkafka"];
    let build_info = gauges(r, names::BUILD_INFO, "1; the labels say what runs", &labels)?;
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let runs = [env!("CARGO_PKG_VERSION"), REVISION, librdkafka.as_str()];
    build_info.with_label_values(&runs).set(1);
    Ok(())
}

fn durations(r: &Registry) -> Result<[Histogram; 4], Error> {
    let name = names::SUBMISSION_DURATION;
    let durations = histograms(r, name, "Seconds a submission took", &["verdict"], SUBMISSION_SECONDS)?;
    Ok(VerdictLabel::ALL.map(|verdict| durations.with_label_values(&[verdict.as_str()])))
}
