//! Writes the plan to Kafka, and remembers of each record where the broker put it and when it was handed over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::plan::{Change, Planned};

/// A record that Kafka has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Written {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// When it was written, milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
    pub(super) changes: Vec<Change>,
}

/// What goes along with a record until its delivery report.
struct Sent {
    at_ms: u64,
    changes: Vec<Change>,
}

#[derive(Default)]
struct Reports(Mutex<(Vec<Written>, Option<String>)>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => reports.0.push(Written {
                partition: message.partition(),
                offset: message.offset(),
                at_ms: sent.at_ms,
                changes: sent.changes,
            }),
            Err((error, _)) => reports.1 = Some(error.to_string()),
        }
    }
}

/// The producer of the demo.
pub(super) struct Writer {
    producer: BaseProducer<Reports>,
    topic: &'static str,
}

impl Writer {
    pub(super) fn connect(brokers: &str, topic: &'static str) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "oms-sync-demo")
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("compression.type", "lz4")
            .create_with_context(Reports::default())
            .context("the Kafka client that writes records cannot be made")?;
        Ok(Self { producer, topic })
    }

    /// Hands over one record; does not wait for the broker.
    pub(super) fn send(&self, planned: Planned) -> anyhow::Result<()> {
        let at_ms = now_ms();
        let record = BaseRecord::with_opaque_to(self.topic, Box::new(Sent { at_ms, changes: planned.changes }))
            .key(&planned.key)
            .payload(&planned.value)
            .timestamp(i64::try_from(at_ms).unwrap_or(i64::MAX));
        self.producer.send(record).map_err(|(error, _)| error).context("a record cannot be written")
    }

    /// The records that were confirmed since the last call, and within the time to wait; all of it is waited.
    pub(super) fn confirmed(&self, wait: Duration) -> anyhow::Result<Vec<Written>> {
        self.producer.poll(wait);
        let mut reports = self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = reports.1.take() {
            bail!("the embedded Kafka did not take a record: {failure}; run the demo again");
        }
        Ok(std::mem::take(&mut reports.0))
    }
}

#[expect(clippy::disallowed_methods, reason = "a record is stamped with the time at which it is written")]
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
