//! What Kafka itself says afterwards: commit points, and the dead letters read back. Asks the brokers and never the
//! worker, so that the demo does not believe what it is to prove.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::io::dead_letter::HEADER_PREFIX;

/// Longest wait for an answer of the embedded Kafka.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that reading all dead letters may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What a dead letter says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Letter {
    /// Where its source record stands.
    pub(super) partition: i32,
    /// See `partition`.
    pub(super) offset: i64,
    /// The task that refused it, if it came so far.
    pub(super) task: Option<String>,
    /// The raw keys that failed; none where the record could not be read.
    pub(super) keys: Vec<String>,
}

/// A client that belongs to no group and commits nothing.
pub(super) struct Evidence {
    consumer: BaseConsumer,
}

impl Evidence {
    /// `group` is only asked about, never joined.
    pub(super) fn connect(brokers: &str, group: &str) -> anyhow::Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "oms-sync-demo-evidence")
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .context("the Kafka client that checks the result cannot be made")?;
        Ok(Self { consumer })
    }

    /// The next offset that the group would read, by partition; those without a commit point are missing.
    pub(super) fn commit_points(&self, topic: &str, partitions: i32) -> anyhow::Result<BTreeMap<i32, i64>> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, partitions - 1);
        let answered = self.consumer.committed_offsets(asked, TIMEOUT);
        let answered = answered.context("the embedded Kafka does not tell the commit points")?;
        let point = |(_, partition), offset| match offset {
            Offset::Offset(next) => Some((partition, next)),
            _ => None,
        };
        Ok(answered
            .to_topic_map()
            .into_iter()
            .filter_map(|((topic, partition), offset)| point((topic, partition), offset))
            .collect())
    }

    /// Everything in the dead-letter topic.
    pub(super) fn dead_letters(&self, topic: &str, partitions: i32) -> anyhow::Result<Vec<Letter>> {
        let (mut wanted, mut assignment) = (0, TopicPartitionList::new());
        for partition in 0..partitions {
            let (low, high) = self.consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
            wanted += usize::try_from(high - low).unwrap_or_default();
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        self.consumer.assign(&assignment)?;
        let letters = self.read(wanted).with_context(|| format!("the dead letters in {topic} cannot be read back"));
        self.consumer.unassign()?;
        letters
    }

    #[expect(clippy::disallowed_methods, reason = "reading is bounded in time")]
    fn read(&self, wanted: usize) -> anyhow::Result<Vec<Letter>> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut letters = Vec::with_capacity(wanted);
        while letters.len() < wanted {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(message) => letters.push(letter(&message?)?),
                None if Instant::now() > deadline => bail!("only {} of {wanted} came", letters.len()),
                None => {}
            }
        }
        Ok(letters)
    }
}

fn letter(message: &BorrowedMessage<'_>) -> anyhow::Result<Letter> {
    let header = |name: &str| {
        let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let found = headers.find(|header| header.key.strip_prefix(HEADER_PREFIX) == Some(name))?;
        std::str::from_utf8(found.value?).ok()
    };
    let number =
        |name: &str| header(name).with_context(|| format!("a dead letter has no header {HEADER_PREFIX}{name}"));
    Ok(Letter {
        partition: number("partition")?.parse()?,
        offset: number("offset")?.parse()?,
        task: header("task-id").map(str::to_owned),
        keys: header("failed-keys").map_or(Ok(Vec::new()), serde_json::from_str)?,
    })
}
