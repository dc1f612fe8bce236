//! Registration in one line a metric, and the handles of topics and partitions.

use prometheus::{
    Error, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::labels::RecordOutcome;
use super::names;

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, Error> {
    let metric = IntCounter::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, Error> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
    let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Gauges whose values are not whole numbers.
pub(super) fn fractions(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
    let metric = GaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

pub(super) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, Error> {
    let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Handles of a source topic.
#[derive(Clone)]
pub struct TopicMetrics {
    /// Records read.
    pub consumed: IntCounter,
    /// Offsets that were gone when they were to be read.
    pub gone: IntCounter,
    settled: [IntCounter; 3],
}

impl TopicMetrics {
    /// Records settled so.
    #[must_use]
    pub fn settled(&self, outcome: RecordOutcome) -> &IntCounter {
        &self.settled[outcome as usize]
    }
}

pub(super) struct TopicVecs {
    consumed: IntCounterVec,
    gone: IntCounterVec,
    settled: IntCounterVec,
}

impl TopicVecs {
    pub(super) fn new(r: &Registry) -> Result<Self, Error> {
        Ok(Self {
            consumed: counters(r, names::RECORDS_CONSUMED, "Records read", &["topic"])?,
            gone: counters(
                r,
                names::RECORDS_GONE,
                "Offsets that Kafka did not have any more when they were to be read",
                &["topic"],
            )?,
            settled: counters(r, names::RECORDS_SETTLED, "Records settled", &["topic", "outcome"])?,
        })
    }

    pub(super) fn of(&self, topic: &str) -> TopicMetrics {
        TopicMetrics {
            consumed: self.consumed.with_label_values(&[topic]),
            gone: self.gone.with_label_values(&[topic]),
            settled: RecordOutcome::ALL.map(|outcome| self.settled.with_label_values(&[topic, outcome.as_str()])),
        }
    }
}

/// The state of an assigned partition.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PartitionGauges {
    /// Next offset to read after a restart, where it is known.
    pub commit_point: Option<i64>,
    /// Records between the commit point and the end of the partition, where both are known.
    pub lag: Option<i64>,
    /// Age of the oldest record that is not settled, seconds; 0 where all are.
    pub oldest_unsettled_seconds: f64,
}

pub(super) struct PartitionVecs {
    commit_point: IntGaugeVec,
    lag: IntGaugeVec,
    oldest_unsettled: GaugeVec,
}

impl PartitionVecs {
    pub(super) fn new(r: &Registry) -> Result<Self, Error> {
        let labels = ["topic", "partition"];
        let oldest = "Seconds since the oldest record that is not settled was read";
        Ok(Self {
            commit_point: gauges(r, names::COMMIT_POINT, "Next offset to read after a restart", &labels)?,
            lag: gauges(r, names::LAG_RECORDS, "Records from the commit point to the partition's end", &labels)?,
            oldest_unsettled: fractions(r, names::OLDEST_UNSETTLED, oldest, &labels)?,
        })
    }

    /// What is not known has no series: a lag of 0 would be a lie.
    pub(super) fn show(&self, topic: &str, partition: i32, gauges: PartitionGauges) {
        let partition = partition.to_string();
        let labels = [topic, partition.as_str()];
        for (series, value) in [(&self.commit_point, gauges.commit_point), (&self.lag, gauges.lag)] {
            if let Some(value) = value {
                series.with_label_values(&labels).set(value);
            }
        }
        self.oldest_unsettled.with_label_values(&labels).set(gauges.oldest_unsettled_seconds);
    }

    pub(super) fn forget(&self, topic: &str, partition: i32) {
        let partition = partition.to_string();
        let labels = [topic, partition.as_str()];
        // A series that was never made cannot be removed, and need not be.
        self.commit_point.remove_label_values(&labels).ok();
        self.lag.remove_label_values(&labels).ok();
        self.oldest_unsettled.remove_label_values(&labels).ok();
    }
}
