//! Reads topics from their beginning to the end that they had at the start, and on where it is asked to. Partitions are
//! assigned by hand: no group is joined, no offset is committed or asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::future::select_all;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::place::{ANSWER_TIMEOUT, Place};
use crate::io::consumer::copy;
use crate::pipeline::record::Record;

/// Reading fails when Kafka tells nothing for so long before the end.
const PATIENCE: Duration = Duration::from_mins(1);

/// Reads one topic after the other, with a consumer each: an end of partition does not say of which topic it is.
pub(super) struct Reader {
    topics: Vec<TopicReader>,
    follows: bool,
}

struct TopicReader {
    topic: Arc<str>,
    consumer: StreamConsumer,
    /// Partitions that are not read to their end, with that end.
    open: BTreeMap<i32, i64>,
    total: u64,
}

impl Reader {
    /// Looks where the topics begin and end. `follows`: also what is written after that is delivered.
    pub(super) fn open<'a>(
        place: &Place,
        topics: impl IntoIterator<Item = &'a String>,
        follows: bool,
    ) -> anyhow::Result<Self> {
        let topics = topics.into_iter().map(|topic| TopicReader::open(place, topic));
        Ok(Self { topics: topics.collect::<anyhow::Result<_>>()?, follows })
    }

    /// At most so many records are to come before the end.
    pub(super) fn len(&self) -> u64 {
        self.topics.iter().map(|topic| topic.total).sum()
    }

    /// The next record; `None` at the end. Nothing is lost when the future is dropped before it is ready.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Record>> {
        for topic in self.topics.iter_mut().filter(|topic| !topic.open.is_empty()) {
            let next = tokio::time::timeout(PATIENCE, topic.next_before_end(self.follows)).await;
            if let Some(record) =
                next.with_context(|| format!("Kafka told nothing of topic {} in {PATIENCE:?}", topic.topic))??
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The next record after the end, whenever it comes.
    pub(super) async fn follow(&mut self) -> anyhow::Result<Record> {
        let next = self.topics.iter_mut().map(|topic| Box::pin(topic.next_ever()));
        select_all(next).await.0
    }
}

impl TopicReader {
    fn open(place: &Place, topic: &str) -> anyhow::Result<Self> {
        let consumer: StreamConsumer = place.consumer()?;
        let failed = || format!("cannot look at topic {topic} at {}", place.client.brokers);
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_TIMEOUT).with_context(failed)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
        let (mut list, mut open, mut total) = (TopicPartitionList::new(), BTreeMap::new(), 0);
        for partition in partitions {
            let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER_TIMEOUT).with_context(failed)?;
            list.add_partition_offset(topic, partition, Offset::Offset(low)).with_context(failed)?;
            if low < high {
                open.insert(partition, high);
                total += u64::try_from(high - low).unwrap_or_default();
            }
        }
        consumer.assign(&list).with_context(failed)?;
        Ok(Self { topic: topic.into(), consumer, open, total })
    }

    async fn next_before_end(&mut self, follows: bool) -> anyhow::Result<Option<Record>> {
        while !self.open.is_empty() {
            let Some(record) = self.receive().await? else { continue };
            let end = self.open.get(&record.partition).copied();
            if end.is_some_and(|end| record.offset + 1 >= end) {
                self.open.remove(&record.partition);
            }
            if follows || end.is_some_and(|end| record.offset < end) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    async fn next_ever(&mut self) -> anyhow::Result<Record> {
        loop {
            if let Some(record) = self.receive().await? {
                return Ok(record);
            }
        }
    }

    /// One thing that Kafka tells: a record, or an end of partition or an error that passes.
    async fn receive(&mut self) -> anyhow::Result<Option<Record>> {
        match self.consumer.recv().await {
            Ok(message) => return Ok(Some(copy(&message, Arc::clone(&self.topic)))),
            // Tells the end that control records of transactions hide.
            Err(KafkaError::PartitionEOF(partition)) => drop(self.open.remove(&partition)),
            Err(error) if is_final(&error) => bail!("cannot read topic {}: {error}", self.topic),
            Err(error) => tracing::debug!(%error, "the Kafka client goes on"),
        }
        Ok(None)
    }
}

/// Whether waiting does not help.
fn is_final(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        Authentication, Fatal, GroupAuthorizationFailed, SaslAuthenticationFailed, TopicAuthorizationFailed,
        UnknownTopicOrPartition,
    };
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        [
            Authentication,
            Fatal,
            GroupAuthorizationFailed,
            SaslAuthenticationFailed,
            TopicAuthorizationFailed,
            UnknownTopicOrPartition,
        ]
        .contains(&code)
    })
}
