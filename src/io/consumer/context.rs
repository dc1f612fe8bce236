//! librdkafka's callbacks. They only write down what happened, in order; the polling thread acts on it as soon as the
//! poll that ran them has returned. Never blocks, never assigns; only a consumer that is being closed gives partitions
//! up in here, because nobody polls after that.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

/// A callback that ran.
#[derive(Debug)]
pub(super) enum Notice {
    Assign(TopicPartitionList),
    Revoke { partitions: TopicPartitionList, lost: bool },
    Statistics(Vec<Sample>),
}

/// What the statistics say of one partition.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) figures: Figures,
}

/// As librdkafka documents them in STATISTICS.md; negative where unknown.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Figures {
    pub(super) eof_offset: i64,
    /// Length of the queue that the partition's records go to: the whole consumer's, since it is forwarded there.
    pub(super) fetchq_cnt: i64,
    pub(super) hi_offset: i64,
    pub(super) ls_offset: i64,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: HashMap<i32, Figures>,
}

#[derive(Debug)]
pub(super) struct Context {
    notices: Sender<Notice>,
    closing: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Context {
    pub(super) fn new(notices: Sender<Notice>) -> Self {
        Self { notices, closing: AtomicBool::new(false), reason: Mutex::new(None) }
    }

    /// From now on partitions are given up in the callback.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The text that came with the error which poll has just returned.
    pub(super) fn take_reason(&self) -> Option<String> {
        self.reason.lock().ok()?.take()
    }

    fn note(&self, notice: Notice) {
        self.notices.send(notice).ok(); // nobody listens any more: the consumer is being closed
    }
}

impl ClientContext for Context {
    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => self.note(Notice::Statistics(samples(statistics))),
            Err(error) => tracing::warn!(%error, "statistics of the Kafka client cannot be read: no lag is published"),
        }
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        if let Ok(mut last) = self.reason.lock() {
            *last = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assign = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            if !assign {
                give_up(consumer, partitions).ok(); // closing goes on either way
            }
        } else if assign {
            self.note(Notice::Assign(partitions.clone()));
        } else {
            self.note(Notice::Revoke { partitions: partitions.clone(), lost: consumer.assignment_lost() });
        }
    }
}

/// Ends the assignment of these partitions in the way of the group's protocol.
pub(super) fn give_up(consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

fn samples(statistics: Statistics) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (topic, Topic { partitions }) in statistics.topics {
        for (partition, figures) in partitions {
            if partition >= 0 {
                samples.push(Sample { topic: topic.clone(), partition, figures });
            }
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_that_stands_for_none_is_left_out_of_the_statistics() {
        let json = r#"{"name":"x","topics":{"t":{"topic":"t","partitions":{
            "0":{"partition":0,"eof_offset":5,"fetchq_cnt":1,"hi_offset":9,"ls_offset":8,"msgs":1},
            "-1":{"partition":-1,"eof_offset":-1001,"fetchq_cnt":0,"hi_offset":-1001,"ls_offset":-1001}}}}}"#;
        let samples = samples(serde_json::from_str(json).unwrap());
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].partition, samples[0].figures.eof_offset, samples[0].figures.ls_offset), (0, 5, 8));
    }
}
