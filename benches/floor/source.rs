//! Reads the topic, with the worker's own fetch settings.

use std::time::Duration;

use anyhow::bail;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::Args;
use super::cost::{Cost, Meter};

/// Longest wait for a record; the group's first rebalance is within it.
const WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// Records that the parts without Kafka work on, over and over.
const SAMPLE: usize = 20_000;

pub(super) struct Source(BaseConsumer);

impl Source {
    pub(super) fn open(args: &Args) -> anyhow::Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &args.brokers)
            .set("group.id", &args.group_id)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "1024")
            .set("fetch.max.bytes", "1048576")
            .set("fetch.message.max.bytes", "262144")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "100")
            .create()?;
        consumer.subscribe(&[&args.topic])?;
        Ok(Self(consumer))
    }

    pub(super) fn next(&self) -> anyhow::Result<BorrowedMessage<'_>> {
        // A poll that has served the group's affairs is over without a record, before its time.
        for _ in 0..WAIT.as_millis() / POLL.as_millis() {
            if let Some(message) = self.0.poll(POLL) {
                return Ok(message?);
            }
        }
        bail!("no record for {} s: the topic has fewer than --records", WAIT.as_secs())
    }

    /// All that was read.
    pub(super) fn commit(&self) -> anyhow::Result<()> {
        let read = self.0.position()?;
        Ok(self.0.commit(&read, CommitMode::Sync)?)
    }

    /// The first records' values.
    pub(super) fn sample(args: &Args) -> anyhow::Result<Vec<Vec<u8>>> {
        let source = Self::open(args)?;
        (0..SAMPLE.min(args.records)).map(|_| Ok(source.next()?.payload().unwrap_or_default().to_vec())).collect()
    }
}

/// `consume` alone.
pub(super) fn consume(args: &Args) -> anyhow::Result<Cost> {
    let source = Source::open(args)?;
    let meter = Meter::start();
    let mut bytes = 0;
    for _ in 0..args.records {
        bytes += source.next()?.payload_len();
    }
    let cost = meter.stop(args.records, 0);
    anyhow::ensure!(bytes > 0, "the records are empty");
    Ok(cost)
}
