//! Writes records at a steady rate, directly to the brokers, and writes each until it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::fleet::TOPIC;
use crate::records::{Draft, Drafts};

const STEP: Duration = Duration::from_millis(20);
/// What a producer that could not write for a while makes up for at most, seconds of its rate.
const CATCH_UP: f64 = 1.0;
const FLUSH: Duration = Duration::from_mins(2);

/// A producer that runs until it is stopped.
pub(crate) struct Writer {
    over: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<u64>>,
}

impl Writer {
    pub(crate) fn start(servers: &str, rate: u32, seed: u64) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("enable.idempotence", "true").set("linger.ms", "20");
        // An hour: a record is given up only when the campaign is.
        config.set("message.timeout.ms", "3600000").set("log_level", "0").set("reconnect.backoff.max.ms", "1000");
        config.set("queue.buffering.max.messages", "200000").set("compression.type", "lz4");
        let producer: BaseProducer = config.create()?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let write = move || write(&producer, f64::from(rate), Drafts::new(seed), &is_over);
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(write)?;
        Ok(Self { over, thread })
    }

    /// Ends writing once all is acknowledged. Gives how many records were written.
    pub(crate) fn stop(self) -> anyhow::Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the producer panicked"))?
    }
}

fn write(producer: &BaseProducer, rate: f64, mut drafts: Drafts, over: &AtomicBool) -> anyhow::Result<u64> {
    let (mut written, mut owed, mut last) = (0, 0.0, Instant::now());
    while !over.load(Ordering::Relaxed) {
        owed = (owed + last.elapsed().as_secs_f64() * rate).min(rate * CATCH_UP);
        last = Instant::now();
        while owed >= 1.0 && !over.load(Ordering::Relaxed) {
            send(producer, &drafts.draw(), written)?;
            written += 1;
            owed -= 1.0;
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(STEP);
    }
    producer.flush(FLUSH)?;
    anyhow::ensure!(producer.in_flight_count() == 0, "records were not acknowledged within {FLUSH:?}");
    Ok(written)
}

fn send(producer: &BaseProducer, draft: &Draft, number: u64) -> anyhow::Result<()> {
    let trace = number.to_string();
    loop {
        let mut record = BaseRecord::to(TOPIC).key(&draft.key).payload(&draft.value);
        if number.is_multiple_of(3) {
            let header = Header { key: "trace", value: Some(trace.as_bytes()) };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(100));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
