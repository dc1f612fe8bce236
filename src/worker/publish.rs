//! What the worker shows: metrics, probes and `/status`, made from the pipeline's report about once a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde_json::json;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::formats::Reason;
use crate::io::admin::AdminState;
use crate::io::fault::Fault;
use crate::metrics::labels::{RecordOutcome, TaskState, hold_reason};
use crate::metrics::{Metrics, PartitionGauges, TaskGauges, TaskMetrics, TopicMetrics};
use crate::pipeline::CommitError;
use crate::pipeline::answer::HoldReason;
use crate::pipeline::discovery::table::ListedState;
use crate::pipeline::failure::REFUSALS;
use crate::pipeline::key::TaskId;
use crate::pipeline::ledger::Outcome;
use crate::pipeline::partition::PartitionName;
use crate::pipeline::report::{PartitionReport, Report, TaskReport};
use crate::pipeline::task::Block;
use crate::pipeline::time::Time;

use super::credentials::CredentialStatus;
use super::letter_status;
use super::notices::remedy;
use super::routes_status;
use super::stall::Watchdog;
use super::topics::NOT_LOOKED_AT;
use super::waits::{limited_by, waits_because};

/// How long a problem of the Kafka client counts after it was told last; the client repeats itself sooner.
const KAFKA_PROBLEM_LASTS: Duration = Duration::from_secs(90);
/// Handles of tasks that are kept; all that are not routed share one series.
const MAX_KEPT_TASKS: usize = 10_000;

/// Shows the worker to people, probes and Prometheus.
pub(super) struct Publisher {
    metrics: Arc<Metrics>,
    state: Arc<AdminState>,
    routed: Vec<TaskId>,
    max_tasks: usize,
    /// Partitions whose next record waits for another table of routes.
    unrouted: Vec<PartitionName>,
    unready_on_hold: bool,
    topics: FxHashMap<Arc<str>, TopicMetrics>,
    tasks: FxHashMap<TaskId, TaskMetrics>,
    ends: BTreeMap<PartitionName, i64>,
    in_group: bool,
    /// By code: what was said, and when it was said last.
    kafka_problems: BTreeMap<String, (String, Time)>,
    topic_problems: Vec<String>,
    letter_problem: Option<String>,
    last_commit: Option<String>,
    watchdog: Watchdog,
    unready: Vec<String>,
}

impl Publisher {
    pub(super) fn new(config: &Config, metrics: Arc<Metrics>, state: Arc<AdminState>) -> Self {
        for topic in &config.kafka.topics {
            drop(metrics.topic(topic));
            for reason in Reason::REJECTS.map(Reason::as_str).into_iter().chain(REFUSALS) {
                drop(metrics.dead_letters(topic, reason)); // at 0 from the start: an alert sees the first one
            }
        }
        Self {
            metrics,
            state,
            routed: config.routes.iter().map(|route| route.task.clone()).collect(),
            max_tasks: config.limits.max_tasks,
            unrouted: Vec::new(),
            unready_on_hold: config.admin.unready_on_hold,
            topics: FxHashMap::default(),
            tasks: FxHashMap::default(),
            ends: BTreeMap::new(),
            in_group: false,
            kafka_problems: BTreeMap::new(),
            topic_problems: vec![NOT_LOOKED_AT.to_owned()],
            letter_problem: None,
            last_commit: None,
            watchdog: Watchdog::new(config),
            unready: Vec::new(),
        }
    }

    /// The counters of a task.
    pub(super) fn task(&mut self, task: &TaskId) -> &TaskMetrics {
        if self.tasks.len() >= MAX_KEPT_TASKS && !self.tasks.contains_key(task) {
            self.tasks.clear();
        }
        let metrics = &self.metrics;
        self.tasks.entry(task.clone()).or_insert_with(|| metrics.task(task))
    }

    /// These are the routed tasks from now on.
    pub(super) fn routed(&mut self, mut tasks: Vec<TaskId>) {
        tasks.truncate(self.max_tasks);
        self.metrics.route(&tasks, self.max_tasks);
        self.tasks.clear(); // a task may have had no label of its own so far
        self.routed = tasks;
    }

    pub(super) fn waits_for_routes(&mut self, names: Vec<PartitionName>) {
        self.unrouted = names;
    }

    /// So many records were read, by topic.
    pub(super) fn consumed(&mut self, topics: &[(Arc<str>, u64)]) {
        for (topic, records) in topics {
            self.topic(topic).consumed.inc_by(*records);
        }
        self.kafka_problems.clear(); // Kafka delivers
    }

    /// Reading did not go on at the offset that was expected.
    pub(super) fn jumped(&mut self, at: &PartitionName, from: i64, to: i64) {
        if let Ok(gone @ 1..) = u64::try_from(to - from) {
            self.topic(&at.topic).gone.inc_by(gone);
            error!(
                from,
                to,
                gone,
                "{at}: Kafka has not got the records at the commit point any more; going on by kafka.out_of_range. \
                 Raise the topic's retention, and submit again what is missing from its source"
            );
        } else {
            warn!(from, to, "{at} begins anew below what was read: the topic was made anew, or its log was cut");
        }
    }

    fn topic(&mut self, topic: &Arc<str>) -> &TopicMetrics {
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::clone(topic), self.metrics.topic(topic));
        }
        &self.topics[topic]
    }

    pub(super) fn joined(&mut self, with_partitions: bool) {
        self.in_group = true;
        if with_partitions {
            self.kafka_problems.clear();
        }
    }

    pub(super) fn lost(&mut self, names: &[PartitionName]) {
        self.in_group = false;
        self.unassigned(names);
    }

    pub(super) fn unassigned(&mut self, names: &[PartitionName]) {
        for name in names {
            self.ends.remove(name);
            self.metrics.forget_partition(&name.topic, name.partition);
        }
    }

    pub(super) fn watermarks(&mut self, ends: Vec<(PartitionName, i64)>) {
        self.ends.extend(ends);
    }

    pub(super) fn delivers(&mut self, undelivered: Option<(String, Time)>, now: Time) {
        self.watchdog.heard(undelivered, now);
    }

    pub(super) fn kafka_error(&mut self, fault: &Fault, now: Time) {
        if self.kafka_problems.insert(fault.code.clone(), (fault.text.clone(), now)).is_none() {
            warn!(code = fault.code, "Kafka: {}; trying again", fault.text);
        }
    }

    pub(super) fn topic_problems(&mut self, problems: Vec<String>) {
        for problem in problems.iter().filter(|problem| !self.topic_problems.contains(problem)) {
            warn!("{problem}");
        }
        self.topic_problems = problems;
    }

    pub(super) fn letter_problem(&mut self, problem: String) {
        self.letter_problem = Some(problem);
    }

    pub(super) fn committed(&mut self, result: &Result<(), (CommitError, Fault)>) {
        let told = result.as_ref().err().map(|(_, fault)| fault.to_string());
        if told.is_some() && self.last_commit != told {
            warn!(fault = told, "commit failed; trying again, or the partitions have a new owner");
        }
        self.last_commit = told;
    }

    /// Brings everything up to date.
    pub(super) fn publish(&mut self, report: &Report, credentials: &CredentialStatus, now: Time, last_poll: Time) {
        self.state.beat();
        self.show_counts(report);
        self.show_tasks(report, now);
        self.show_partitions(report, now);
        self.state.set_stall(self.watchdog.look(report, last_poll, now).map(str::to_owned));
        self.show_readiness(report, now);
        let status = self.status(report, credentials, now).to_string();
        self.state.set_status(status.into());
    }

    fn show_counts(&mut self, report: &Report) {
        for (topic, outcome, records) in report.settled.iter() {
            let outcome = match outcome {
                Outcome::Skipped => RecordOutcome::Skipped,
                Outcome::Accepted => RecordOutcome::Accepted,
                Outcome::DeadLettered => RecordOutcome::DeadLettered,
            };
            self.topic(topic).settled(outcome).inc_by(records);
        }
        let live = report.tasks.iter().map(|task| (&task.id, task.counts));
        for (task, counts) in live.chain(report.departed.iter().map(|(task, counts)| (task, *counts))) {
            let metrics = self.task(task);
            metrics.coalesced.inc_by(counts.coalesced);
            metrics.keys_accepted.inc_by(counts.accepted);
        }
        self.metrics.show_pace(report.pace.rate);
        self.metrics.unsettled_changes.set(whole(report.unsettled.0));
        self.metrics.unsettled_bytes.set(whole(report.unsettled.1));
        self.metrics.unsettled_changes_limit.set(whole(report.limits.0));
        self.metrics.unsettled_bytes_limit.set(whole(report.limits.1));
        self.metrics.dead_letter_breaker.set(i64::from(report.breaker.is_some()));
        self.metrics.assigned_partitions.set(whole(report.partitions.len()));
    }

    fn show_tasks(&self, report: &Report, now: Time) {
        #[expect(clippy::cast_precision_loss, reason = "a concurrency limit is small")]
        let gauges = |task: &TaskReport| TaskGauges {
            pending_keys: task.pending,
            in_flight: task.in_flight,
            oldest_pending_seconds: age(task.oldest, now),
            concurrency_limit: task.concurrency_limit as f64,
            lone_retry_keys: task.lone_keys.len(),
        };
        self.metrics.show_tasks(report.tasks.iter().map(|task| (&task.id, gauges(task))));
        let mut holds: Vec<_> = report.hold.iter().map(|hold| (hold.reason, None)).collect();
        for task in &report.tasks {
            if task.block.as_ref().is_some_and(|block| block.reason == Block::Permission) {
                holds.push((HoldReason::Permission, Some(&task.id)));
            }
        }
        let routes_wait = report.routes.as_ref().is_some_and(routes_status::is_wanting);
        self.metrics.show_holds(&holds);
        self.metrics.show_routes_hold(routes_wait && report.hold.is_none());
        let tasks: FxHashMap<_, _> = report.tasks.iter().map(|task| (&task.id, task)).collect();
        for id in &self.routed {
            let task = tasks.get(id).copied();
            let state = match task.and_then(|task| task.block.as_ref()) {
                Some(block) if block.reason == Block::Stopped => TaskState::Stopped,
                _ => match report.routes.as_ref().and_then(|routes| routes.table.as_ref()?.state(id)) {
                    Some(ListedState::Stopped) => TaskState::Stopped,
                    Some(ListedState::Synchronizing) => TaskState::Synchronizing,
                    _ if task.is_some_and(|task| task.accepted) => TaskState::Synchronizing,
                    _ => TaskState::Unknown,
                },
            };
            self.metrics.show_task_state(id, state);
        }
    }

    fn show_partitions(&self, report: &Report, now: Time) {
        for partition in &report.partitions {
            let name = &partition.name;
            let point = partition.commit_point.or(partition.committed);
            let lag = point.and_then(|point| Some((self.end_of(partition)? - point).max(0)));
            let oldest_unsettled_seconds = age(partition.oldest, now);
            let gauges = PartitionGauges { commit_point: point, lag, oldest_unsettled_seconds };
            self.metrics.show_partition(&name.topic, name.partition, gauges);
        }
    }

    /// The partition's end: as the broker told it some seconds ago, or as far as was read since.
    fn end_of(&self, partition: &PartitionReport) -> Option<i64> {
        self.ends.get(&partition.name).copied().max(partition.read_to)
    }

    fn show_readiness(&mut self, report: &Report, now: Time) {
        if report.letters_failing == 0 {
            self.letter_problem = None;
        }
        self.kafka_problems.retain(|_, (_, said)| now.since(*said) < KAFKA_PROBLEM_LASTS);
        let mut reasons: Vec<String> = Vec::new();
        if report.draining {
            reasons.push("draining".to_owned());
        }
        if !self.in_group {
            reasons.push("not in the consumer group yet".to_owned());
        }
        reasons.extend(self.kafka_problems.iter().map(|(code, (text, _))| format!("Kafka: {text} ({code})")));
        reasons.extend(report.routes.as_ref().and_then(routes_status::unready_because));
        reasons.extend(self.topic_problems.iter().cloned());
        reasons.extend(self.letter_problem.clone());
        if let Some(hold) = report.hold.as_ref().filter(|_| self.unready_on_hold) {
            reasons.push(format!("hold ({}): {}", hold_reason(hold.reason), hold.said));
        }
        if let Some(breaker) = report.breaker.as_ref().filter(|_| self.unready_on_hold) {
            reasons.push(format!("dead-letter breaker open: {}", breaker.said));
        }
        if reasons != self.unready {
            if reasons.is_empty() {
                info!("ready");
            } else {
                info!(reasons = reasons.join("; "), "not ready");
            }
            self.unready.clone_from(&reasons);
        }
        self.state.set_unready(reasons);
    }

    fn status(&self, report: &Report, credentials: &CredentialStatus, now: Time) -> serde_json::Value {
        let tasks = report.tasks.iter().map(|task| {
            json!({
                "task": task.id.as_str(),
                "pending_keys": task.pending,
                "in_flight": task.in_flight,
                "concurrency_limit": task.concurrency_limit,
                "oldest_pending_seconds": age(task.oldest, now),
                "waits_because": waits_because(task, report, now),
                "lone_retry_keys": task.lone_keys,
            })
        });
        let partitions = report.partitions.iter().map(|partition| {
            json!({
                "topic": *partition.name.topic,
                "partition": partition.name.partition,
                "commit_point": partition.commit_point,
                "committed": partition.committed,
                "end": self.end_of(partition),
                "uncommitted_records": partition.uncommitted,
                "oldest_unsettled_seconds": age(partition.oldest, now),
                "paused": partition.paused,
                "waits_for_routes": self.unrouted.contains(&partition.name),
                "being_revoked": partition.revoking,
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.unready.is_empty(),
            "not_ready_because": self.unready,
            "stalled": self.watchdog.stall(),
            "draining": report.draining,
            "hold": report.hold.as_ref().map(|hold| json!({
                "reason": hold_reason(hold.reason),
                "said": hold.said,
                "for_seconds": now.since(hold.since).as_secs_f64(),
                "next_probe_in_seconds": hold.next_probe.map(|at| at.since(now).as_secs_f64()),
                "remedy": remedy(hold.reason),
            })),
            "routes": report.routes.as_ref().map(|routes| routes_status::of(routes, now)),
            "credentials": {
                "source": credentials.source,
                "expires_at": credentials.expires_at.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
                "problem": credentials.problem,
                "clock": credentials.clock,
            },
            "unsettled": {
                "changes": report.unsettled.0, "changes_limit": report.limits.0,
                "bytes": report.unsettled.1, "bytes_limit": report.limits.1,
                "reading_waits": report.full,
            },
            "requests_per_second_limit": report.pace.rate,
            "requests_per_second_limited_by": report.pace.rate.map(|_| limited_by(report)),
            "requests_paused_for_seconds": report.pace.paused_until.since(now).as_secs_f64(),
            "dead_letters": letter_status::of(report, self.letter_problem.as_deref(), now),
            "last_commit_problem": self.last_commit,
            "partitions": partitions.collect::<Vec<_>>(),
            "tasks": tasks.collect::<Vec<_>>(),
        })
    }
}

fn age(since: Option<Time>, now: Time) -> f64 {
    since.map_or(0.0, |since| now.since(since).as_secs_f64())
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
