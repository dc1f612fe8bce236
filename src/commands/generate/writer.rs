//! Writes generated records to Kafka, paced, and counts as written only what the broker has confirmed.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use thiserror::Error;

use super::records::Generator;

/// Records between two looks at the delivery reports.
const POLL_EVERY: u64 = 256;

/// How long to wait for room in the producer's queue before it is tried again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(50);

/// Where and how fast to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriteSettings {
    /// Kafka's bootstrap servers.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Records a second; `None` as fast as Kafka takes them.
    pub rate: Option<u32>,
    /// How long a record may wait for the broker's confirmation.
    pub delivery_timeout: Duration,
}

/// What was written, all of it confirmed.
#[derive(Clone, PartialEq, Debug)]
pub struct Written {
    /// Records.
    pub records: u64,
    /// Different objects that they are about.
    pub distinct_keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// From the first record to the last confirmation.
    pub elapsed: Duration,
    /// Records of each bucket.
    pub buckets: BTreeMap<String, u64>,
}

/// Why not all records were written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The client could not be made, or refused a record.
    #[error("the Kafka client failed: {0}")]
    Client(#[from] KafkaError),
    /// The broker refused records or did not answer in time. Writing stops at the first.
    #[error("{failed} records were not written ({confirmed} were); the first failed with: {first}")]
    Delivery {
        /// Records that failed.
        failed: u64,
        /// Records that were confirmed.
        confirmed: u64,
        /// The first failure.
        first: String,
    },
    /// Some records have neither been confirmed nor failed.
    #[error("{0} records were not confirmed in time: check the brokers and their load")]
    Unconfirmed(u64),
}

/// The delivery reports so far.
#[derive(Default)]
struct Reports {
    confirmed: AtomicU64,
    failed: AtomicU64,
    first_failure: OnceLock<String>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.confirmed.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                self.first_failure.get_or_init(|| error.to_string());
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// Writes all records; blocks until every one is confirmed or one has failed. `progress` gets the number written so far.
pub fn write(
    settings: &WriteSettings,
    generator: Generator,
    mut progress: impl FnMut(u64),
) -> Result<Written, WriteError> {
    let producer = connect(settings)?;
    let pace = Pace::start(settings.rate);
    let distinct_keys = generator.distinct_keys();
    let (mut records, mut bytes, mut buckets) = (0, 0, BTreeMap::<String, u64>::new());
    for generated in generator {
        pace.wait(records, &producer);
        send(&producer, &settings.topic, &generated.key, &generated.value)?;
        records += 1;
        bytes += (generated.key.len() + generated.value.len()) as u64;
        *buckets.entry(generated.bucket).or_default() += 1;
        if records % POLL_EVERY == 0 {
            producer.poll(Duration::ZERO);
            progress(records);
            fail_on_reports(producer.context())?;
        }
    }
    let flushed = producer.flush(settings.delivery_timeout + Duration::from_secs(1));
    fail_on_reports(producer.context())?;
    let confirmed = producer.context().confirmed.load(Ordering::Relaxed);
    if confirmed < records {
        return Err(WriteError::Unconfirmed(records - confirmed));
    }
    flushed?;
    progress(records);
    Ok(Written { records, distinct_keys, bytes, elapsed: pace.elapsed(), buckets })
}

fn connect(settings: &WriteSettings) -> Result<BaseProducer<Reports>, WriteError> {
    let producer = ClientConfig::new()
        .set("bootstrap.servers", &settings.brokers)
        .set("client.id", "oms-sync-generate")
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("message.timeout.ms", settings.delivery_timeout.as_millis().to_string())
        .create_with_context(Reports::default())?;
    Ok(producer)
}

/// Hands one record to the client, waiting while its queue is full.
fn send(producer: &BaseProducer<Reports>, topic: &str, key: &str, value: &str) -> Result<(), WriteError> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                producer.poll(QUEUE_FULL_WAIT);
                fail_on_reports(producer.context())?;
                record = returned;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

fn fail_on_reports(reports: &Reports) -> Result<(), WriteError> {
    let failed = reports.failed.load(Ordering::Relaxed);
    if failed == 0 {
        return Ok(());
    }
    let confirmed = reports.confirmed.load(Ordering::Relaxed);
    let first = reports.first_failure.get().cloned().unwrap_or_default();
    Err(WriteError::Delivery { failed, confirmed, first })
}

/// When each record is due.
struct Pace {
    started: Instant,
    rate: Option<u32>,
}

impl Pace {
    fn start(rate: Option<u32>) -> Self {
        #[expect(clippy::disallowed_methods, reason = "writing is paced by the clock; the records do not depend on it")]
        Self { started: Instant::now(), rate }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Serves delivery reports until the record with that number is due.
    fn wait(&self, number: u64, producer: &BaseProducer<Reports>) {
        let Some(rate) = self.rate else { return };
        let due = Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(rate));
        while let Some(early) = due.checked_sub(self.elapsed()).filter(|early| !early.is_zero()) {
            producer.poll(early);
        }
    }
}
