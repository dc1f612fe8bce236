//! librdkafka's callbacks. They only write down what happened, in order; the polling thread acts on it as soon as the
//! poll that ran them has returned. Never blocks, never assigns; only a consumer that is being closed gives partitions
//! up in here, because nobody polls after that.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

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
    Statistics { samples: Vec<Sample>, threads: Vec<Thread> },
}

/// What the statistics say of a thread of librdkafka: each connection has one.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Thread {
    /// Of the connection to this broker, as librdkafka names it.
    pub(super) broker: String,
    /// How often it went round; once a second at least.
    pub(super) turns: i64,
}

/// What the statistics say of one partition.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) figures: Figures,
    /// The way to the broker that it is fetched from.
    pub(super) link: Link,
}

/// What the statistics say of the connection to a broker.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Link {
    pub(super) is_up: bool,
    /// Whether an answer since the last statistics asked to wait, because of a quota.
    pub(super) is_throttled: bool,
    /// How often it was lost.
    pub(super) disconnects: i64,
    /// How long nothing came over it.
    pub(super) idle: Duration,
}

/// As librdkafka documents them in STATISTICS.md; negative where unknown.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Figures {
    /// Which broker it is fetched from.
    pub(super) broker: i32,
    pub(super) eof_offset: i64,
    /// Length of the queue that the partition's records go to: the whole consumer's, since it is forwarded there.
    pub(super) fetchq_cnt: i64,
    pub(super) hi_offset: i64,
    pub(super) ls_offset: i64,
    /// The oldest offset that the broker has.
    pub(super) lo_offset: i64,
    /// What is fetched next.
    pub(super) next_offset: i64,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker {
    nodeid: i32,
    source: String,
    state: String,
    disconnects: i64,
    /// Microseconds; negative where nothing has come yet.
    rxidle: i64,
    throttle: Throttle,
    wakeups: i64,
}

#[derive(Deserialize)]
struct Throttle {
    max: i64,
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
            Ok(statistics) => {
                let threads = threads(&statistics);
                self.note(Notice::Statistics { samples: samples(statistics), threads });
            }
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

fn threads(statistics: &Statistics) -> Vec<Thread> {
    let thread = |(name, broker): (&String, &Broker)| Thread { broker: name.clone(), turns: broker.wakeups };
    statistics.brokers.iter().map(thread).collect()
}

fn samples(statistics: Statistics) -> Vec<Sample> {
    let link = |broker: Broker| {
        let (is_up, is_throttled) = (broker.state == "UP", broker.throttle.max > 0);
        let idle = Duration::from_micros(broker.rxidle.try_into().unwrap_or_default());
        (broker.nodeid, Link { is_up, is_throttled, disconnects: broker.disconnects, idle })
    };
    // The coordinator's connection is listed besides, under the number of its broker.
    let brokers = statistics.brokers.into_values().filter(|broker| broker.source != "logical");
    let links: HashMap<i32, Link> = brokers.map(link).collect();
    let mut samples = Vec::new();
    for (topic, Topic { partitions }) in statistics.topics {
        for (partition, figures) in partitions {
            if partition >= 0 {
                let link = links.get(&figures.broker).copied().unwrap_or_default();
                samples.push(Sample { topic: topic.clone(), partition, figures, link });
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
        let json = r#"{"name":"x","brokers":{
            "a:1/7":{"nodeid":7,"source":"learned","state":"UP","disconnects":2,"rxidle":8,"throttle":{"max":0},"wakeups":5},
            "GroupCoordinator":{"nodeid":7,"source":"logical","state":"INIT","disconnects":9,"rxidle":-1,"throttle":{"max":0},"wakeups":6}},
            "topics":{"t":{"topic":"t","partitions":{
            "0":{"partition":0,"broker":7,"eof_offset":5,"fetchq_cnt":1,"hi_offset":9,"ls_offset":8,"lo_offset":1,
                 "next_offset":5,"msgs":1},
            "-1":{"partition":-1,"broker":-1,"eof_offset":-1001,"fetchq_cnt":0,"hi_offset":-1001,"ls_offset":-1001,
                  "lo_offset":-1001,"next_offset":-1001}}}}}"#;
        let statistics = serde_json::from_str(json).unwrap();
        let mut turns: Vec<i64> = threads(&statistics).iter().map(|thread| thread.turns).collect();
        turns.sort_unstable();
        assert_eq!(turns, [5, 6], "the coordinator's connection has a thread of its own");
        let samples = samples(statistics);
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].partition, samples[0].figures.eof_offset, samples[0].figures.ls_offset), (0, 5, 8));
        assert_eq!(
            samples[0].link,
            Link { is_up: true, is_throttled: false, disconnects: 2, idle: Duration::from_micros(8) }
        );
    }
}
