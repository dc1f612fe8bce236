//! What is counted per task: routed tasks by id, all others together as `other`.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use crate::pipeline::answer::{Status, Verdict};
use crate::pipeline::key::TaskId;

use super::labels::{TaskState, VerdictLabel};
use super::series::{counters, fractions, gauges};
use super::{OTHER_TASK, names};

/// Counters of a task.
#[derive(Clone)]
pub struct TaskMetrics {
    /// Changes that joined an entry of the same key that already waited.
    pub coalesced: IntCounter,
    /// Keys that OMS took.
    pub keys_accepted: IntCounter,
    /// Keys that have a dead letter.
    pub keys_dead_lettered: IntCounter,
    accepted_with_200: IntCounter,
    submissions: IntCounterVec,
    label: Box<str>,
}

impl TaskMetrics {
    /// Submissions that ended so. Only the usual case, accepted with 200, is without a look-up.
    #[must_use]
    pub fn submissions(&self, verdict: Verdict, seen: Status) -> IntCounter {
        if verdict == Verdict::Accepted && seen == Status::Http(200) {
            return self.accepted_with_200.clone();
        }
        let verdict = VerdictLabel::from(verdict).as_str();
        self.submissions.with_label_values(&[&self.label, verdict, &seen.to_string()])
    }
}

/// The state of a task.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct TaskGauges {
    /// Keys that wait, retries included.
    pub pending_keys: usize,
    /// Requests out.
    pub in_flight: usize,
    /// Age of the oldest key that waits, seconds.
    pub oldest_pending_seconds: f64,
    /// Requests that may be out at once.
    pub concurrency_limit: f64,
    /// Keys that stand alone and still get 5xx.
    pub lone_retry_keys: usize,
}

struct TaskSeries {
    pending_keys: IntGauge,
    in_flight: IntGauge,
    oldest_pending: Gauge,
    concurrency_limit: Gauge,
    lone_retry_keys: IntGauge,
}

pub(super) struct TaskVecs {
    coalesced: IntCounterVec,
    keys_accepted: IntCounterVec,
    keys_dead_lettered: IntCounterVec,
    submissions: IntCounterVec,
    state: IntGaugeVec,
    gauges: GaugeVecs,
    routed: RwLock<Routed>,
    other: TaskSeries,
}

/// The tasks with labels of their own.
struct Routed {
    series: HashMap<TaskId, TaskSeries>,
    /// All that ever had one, so that their number is bounded whatever comes and goes.
    labelled: HashSet<TaskId>,
}

struct GaugeVecs {
    pending_keys: IntGaugeVec,
    in_flight: IntGaugeVec,
    oldest_pending: GaugeVec,
    concurrency_limit: GaugeVec,
    lone_retry_keys: IntGaugeVec,
}

impl GaugeVecs {
    fn new(r: &Registry) -> Result<Self, Error> {
        let task = ["task"];
        Ok(Self {
            pending_keys: gauges(r, names::PENDING_KEYS, "Keys that wait, retries included", &task)?,
            in_flight: gauges(r, names::IN_FLIGHT_SUBMISSIONS, "Requests out", &task)?,
            oldest_pending: fractions(r, names::OLDEST_PENDING, "Seconds the oldest key has waited", &task)?,
            concurrency_limit: fractions(r, names::CONCURRENCY_LIMIT, "Requests that may be out at once", &task)?,
            lone_retry_keys: gauges(r, names::LONE_RETRY_KEYS, "Keys that stand alone and still get 5xx", &task)?,
        })
    }

    fn forget(&self, label: &str) {
        let label = [label];
        self.pending_keys.remove_label_values(&label).ok(); // there was none
        self.in_flight.remove_label_values(&label).ok();
        self.oldest_pending.remove_label_values(&label).ok();
        self.concurrency_limit.remove_label_values(&label).ok();
        self.lone_retry_keys.remove_label_values(&label).ok();
    }

    fn of(&self, label: &str) -> TaskSeries {
        let label = [label];
        TaskSeries {
            pending_keys: self.pending_keys.with_label_values(&label),
            in_flight: self.in_flight.with_label_values(&label),
            oldest_pending: self.oldest_pending.with_label_values(&label),
            concurrency_limit: self.concurrency_limit.with_label_values(&label),
            lone_retry_keys: self.lone_retry_keys.with_label_values(&label),
        }
    }
}

impl TaskVecs {
    pub(super) fn new(r: &Registry, routed: impl IntoIterator<Item = TaskId>) -> Result<Self, Error> {
        let task = ["task"];
        let vecs = GaugeVecs::new(r)?;
        let labelled: HashSet<_> = routed.into_iter().collect();
        let series = labelled.iter().map(|task| (task.clone(), vecs.of(task.as_str()))).collect();
        let joined = "Changes that joined an entry of the same key that already waited";
        Ok(Self {
            coalesced: counters(r, names::CHANGES_COALESCED, joined, &task)?,
            keys_accepted: counters(r, names::KEYS_ACCEPTED, "Keys that OMS took", &task)?,
            keys_dead_lettered: counters(r, names::KEYS_DEAD_LETTERED, "Keys that have a dead letter", &task)?,
            submissions: counters(
                r,
                names::SUBMISSIONS,
                "Requests, by what came back",
                &["task", "verdict", "status"],
            )?,
            state: gauges(r, names::TASK_STATE, "1 for the state that OMS names, else 0", &["task", "state"])?,
            routed: RwLock::new(Routed { series, labelled }),
            other: vecs.of(OTHER_TASK),
            gauges: vecs,
        })
    }

    fn routed(&self) -> RwLockReadGuard<'_, Routed> {
        self.routed.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn routed_mut(&self) -> RwLockWriteGuard<'_, Routed> {
        self.routed.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives labels to these tasks and takes the gauges of all others away, whose names it gives.
    pub(super) fn route(&self, tasks: &[TaskId], max_labels: usize) -> Vec<TaskId> {
        let mut routed = self.routed_mut();
        let Routed { series, labelled } = &mut *routed;
        let gone: Vec<_> = series.extract_if(|task, _| !tasks.contains(task)).map(|(task, _)| task).collect();
        for task in &gone {
            self.gauges.forget(task.as_str());
            for state in TaskState::ALL {
                self.state.remove_label_values(&[task.as_str(), state.as_str()]).ok(); // it was never shown
            }
        }
        for task in tasks {
            if labelled.contains(task) || labelled.len() < max_labels {
                labelled.insert(task.clone());
                series.entry(task.clone()).or_insert_with(|| self.gauges.of(task.as_str()));
            }
        }
        gone
    }

    pub(super) fn label<'a>(&self, task: &'a TaskId) -> &'a str {
        if self.routed().series.contains_key(task) { task.as_str() } else { OTHER_TASK }
    }

    pub(super) fn labels(&self) -> Vec<String> {
        self.routed().series.keys().map(TaskId::as_str).chain([OTHER_TASK]).map(str::to_owned).collect()
    }

    pub(super) fn of(&self, task: &TaskId) -> TaskMetrics {
        let label = self.label(task);
        let accepted = VerdictLabel::Accepted.as_str();
        TaskMetrics {
            coalesced: self.coalesced.with_label_values(&[label]),
            keys_accepted: self.keys_accepted.with_label_values(&[label]),
            keys_dead_lettered: self.keys_dead_lettered.with_label_values(&[label]),
            accepted_with_200: self.submissions.with_label_values(&[label, accepted, "200"]),
            submissions: self.submissions.clone(),
            label: label.into(),
        }
    }

    /// Tasks that share a label are added up; of ages the highest is shown. A routed task without an entry is at rest.
    pub(super) fn show<'a>(&self, states: impl IntoIterator<Item = (&'a TaskId, TaskGauges)>) {
        let routed = self.routed();
        let mut other = TaskGauges::default();
        let mut at_rest: HashMap<&TaskId, &TaskSeries> = routed.series.iter().collect();
        for (task, state) in states {
            match at_rest.remove(task) {
                Some(series) => series.show(&state),
                None => other.add(&state),
            }
        }
        self.other.show(&other);
        for series in at_rest.values() {
            series.show(&TaskGauges::default());
        }
    }

    pub(super) fn show_state(&self, task: &TaskId, current: TaskState) {
        if self.routed().series.contains_key(task) {
            for state in TaskState::ALL {
                self.state.with_label_values(&[task.as_str(), state.as_str()]).set((state == current).into());
            }
        }
    }
}

impl TaskGauges {
    fn add(&mut self, more: &Self) {
        self.pending_keys += more.pending_keys;
        self.in_flight += more.in_flight;
        self.oldest_pending_seconds = self.oldest_pending_seconds.max(more.oldest_pending_seconds);
        self.concurrency_limit += more.concurrency_limit;
        self.lone_retry_keys += more.lone_retry_keys;
    }
}

impl TaskSeries {
    fn show(&self, state: &TaskGauges) {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.pending_keys.set(whole(state.pending_keys));
        self.in_flight.set(whole(state.in_flight));
        self.oldest_pending.set(state.oldest_pending_seconds);
        self.concurrency_limit.set(state.concurrency_limit);
        self.lone_retry_keys.set(whole(state.lone_retry_keys));
    }
}
