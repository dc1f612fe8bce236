//! One question to Kafka each, bounded. Never joins a group, never commits an offset of a partition that exists, and
//! asks for no topic in a way that makes it. Decides nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::producer::{BaseProducer, DeliveryResult, FutureProducer, FutureRecord, Producer as _, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, ClientContext};

use super::brokers::is_final;
use super::deadline::Deadline;
use super::points::Point;
use super::rights::Read;
use super::topics::{Cluster, Partition, Topic, TopicSettings};
use crate::io::fault::Fault;

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an address is tried on that answers with failures: a name may have more than one address.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait before it is looked whether something else was told.
const ATTEMPT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);
/// No topic has so many partitions.
const NO_PARTITION: i32 = i32::MAX;
/// On the record that no broker like Apache Kafka takes.
const HEADER: &str = "oms-sync-check";

/// Keeps what the client tells of its connections.
#[derive(Default)]
pub(super) struct Listening {
    faults: Mutex<Vec<Fault>>,
    producer_id: Mutex<Option<bool>>,
}

impl ClientContext for Listening {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(Fault::new(&error, Some(reason.to_owned())));
    }

    fn stats(&self, statistics: Statistics) {
        let has_id = statistics.eos.map(|eos| eos.idemp_state == "Assigned");
        *self.producer_id.lock().unwrap_or_else(PoisonError::into_inner) = has_id;
    }
}

impl ConsumerContext for Listening {}

impl ProducerContext for Listening {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl Listening {
    fn faults(&self) -> Vec<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// In the words of the error's code; those of the client repeat it.
#[expect(clippy::needless_pass_by_value, reason = "goes where a function from the error to the fault is wanted")]
fn fault(error: KafkaError) -> Fault {
    Fault::new(&error, error.rdkafka_error_code().map(|code| code.to_string()))
}

/// A connection that has answered.
pub(super) struct Connection {
    consumer: BaseConsumer<Listening>,
    pub(super) cluster: Cluster,
}

/// Connects to one address and asks what there is.
pub(super) fn connect(config: &ClientConfig, address: &str, deadline: Deadline) -> Result<Connection, Vec<Fault>> {
    let mut config = config.clone();
    config.set("bootstrap.servers", address);
    let consumer: BaseConsumer<Listening> =
        config.create_with_context(Listening::default()).map_err(|error| vec![fault(error)])?;
    let patience = deadline.within(PATIENCE);
    let end = deadline.within(ANSWER_TIMEOUT);
    loop {
        let asked = consumer.fetch_metadata(None, end.left().min(ATTEMPT));
        let error = match asked {
            Ok(metadata) => return Ok(Connection { cluster: cluster(&metadata), consumer }),
            Err(error) => error,
        };
        drop(consumer.poll(POLL)); // what it tells reaches the context
        let mut faults = consumer.context().faults();
        if end.is_over() || faults.iter().any(is_final) || (patience.is_over() && !faults.is_empty()) {
            if faults.is_empty() {
                faults.push(fault(error)); // says the least
            }
            return Err(faults);
        }
    }
}

fn cluster(metadata: &Metadata) -> Cluster {
    let brokers = metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port()));
    let topics = metadata.topics().iter().map(|found| (found.name().to_owned(), topic(found)));
    Cluster { brokers: brokers.collect(), topics: topics.collect() }
}

fn topic(found: &MetadataTopic) -> Topic {
    let error = found.error().map(|code| fault(KafkaError::Global(RDKafkaErrorCode::from(code))));
    let partition = |it: &rdkafka::metadata::MetadataPartition| Partition {
        id: it.id(),
        leader: it.leader(),
        replicas: it.replicas().len(),
    };
    Topic { error, partitions: found.partitions().iter().map(partition).collect() }
}

impl Connection {
    /// Why the list of all topics does not name this one. A consumer's question makes no topic.
    pub(super) fn absence(&self, name: &str, deadline: Deadline) -> Option<Fault> {
        match self.consumer.fetch_metadata(Some(name), deadline.left().min(ANSWER_TIMEOUT)) {
            Ok(metadata) => metadata.topics().iter().find(|it| it.name() == name).and_then(|it| topic(it).error),
            Err(error) => Some(fault(error)),
        }
    }

    /// The group's commit points of these partitions.
    pub(super) fn committed(
        &self,
        topic: &str,
        partitions: &[Partition],
        deadline: Deadline,
    ) -> Result<Vec<Option<i64>>, Fault> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(topic, partition.id);
        }
        let told = self.committed_offsets(&list, deadline.within(ANSWER_TIMEOUT))?;
        let point = |partition: &Partition| match told.find_partition(topic, partition.id) {
            Some(it) => {
                it.error().map_err(fault).map(|()| if let Offset::Offset(at) = it.offset() { Some(at) } else { None })
            }
            None => Ok(None),
        };
        partitions.iter().map(point).collect()
    }

    /// A group that may not be used is told beside the question, which has no answer then.
    fn committed_offsets(&self, list: &TopicPartitionList, deadline: Deadline) -> Result<TopicPartitionList, Fault> {
        loop {
            let error = match self.consumer.committed_offsets(list.clone(), deadline.left().min(ATTEMPT)) {
                Ok(told) => return Ok(told),
                Err(error) => error,
            };
            match self.consumer.poll(POLL) {
                Some(Err(told)) if told.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                    return Err(fault(told));
                }
                _ if deadline.is_over() => return Err(fault(error)),
                _ => {}
            }
        }
    }

    /// The answer to a commit for a partition that does not exist. Brokers look for the rights on group and topic first,
    /// and then refuse it before the group hears of it (Apache Kafka, `KafkaApis.handleOffsetCommitRequest`).
    pub(super) fn commit_nowhere(&self, topic: &str) -> Result<(), Fault> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, NO_PARTITION, Offset::Offset(0)).map_err(fault)?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(fault)
    }

    /// Where the partitions begin and end, beside the group's commit points; those that were told in time.
    pub(super) fn points(
        &self,
        topic: &str,
        partitions: &[Partition],
        committed: &[Option<i64>],
        deadline: Deadline,
    ) -> Vec<Point> {
        let deadline = deadline.within(ANSWER_TIMEOUT);
        let pairs = partitions.iter().zip(committed).take_while(|_| !deadline.is_over());
        let point = |(partition, committed): (&Partition, &Option<i64>)| {
            let (first, end) = self.consumer.fetch_watermarks(topic, partition.id, deadline.left()).ok()?;
            Some(Point { partition: partition.id, committed: *committed, first, end })
        };
        pairs.filter_map(point).collect()
    }

    /// Reads the last record, or the end, of one partition of each broker that serves the topic.
    pub(super) fn read(&self, topic: &str, partitions: &[Partition], deadline: Deadline) -> Result<Read, Fault> {
        let deadline = deadline.within(ANSWER_TIMEOUT);
        let each: BTreeMap<i32, i32> = partitions.iter().map(|it| (it.leader, it.id)).collect();
        let mut list = TopicPartitionList::new();
        for partition in each.values() {
            let (first, end) = self.consumer.fetch_watermarks(topic, *partition, deadline.left()).map_err(fault)?;
            list.add_partition_offset(topic, *partition, Offset::Offset((end - 1).max(first))).map_err(fault)?;
        }
        self.consumer.assign(&list).map_err(fault)?;
        let read = self.read_assigned(each.len(), deadline);
        self.consumer.unassign().map_err(fault)?;
        read
    }

    fn read_assigned(&self, partitions: usize, deadline: Deadline) -> Result<Read, Fault> {
        let mut ended = std::collections::BTreeSet::new();
        let mut read = Read::End;
        while ended.len() < partitions {
            let at = match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    read = Read::Record;
                    rdkafka::Message::partition(&message)
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => partition,
                Some(Err(error)) if is_denied(&error) => return Err(fault(error)),
                Some(Err(_)) | None if deadline.is_over() => {
                    let text = "nothing was read in time".to_owned();
                    let last = self.consumer.context().faults().pop();
                    return Err(last.unwrap_or(Fault { code: "OperationTimedOut".to_owned(), text }));
                }
                Some(Err(_)) | None => continue,
            };
            ended.insert(at);
        }
        Ok(read)
    }
}

fn is_denied(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownTopicOrPartition};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| [TopicAuthorizationFailed, UnknownTopicOrPartition].contains(&code))
}

/// The settings of these topics, each by itself, since the right to see them may be there for some only.
pub(super) async fn topic_settings(
    config: &ClientConfig,
    topics: &[&str],
    deadline: Deadline,
) -> BTreeMap<String, Result<TopicSettings, Fault>> {
    let admin = config.create::<AdminClient<DefaultClientContext>>().map_err(fault);
    let options = AdminOptions::new().request_timeout(Some(deadline.left().min(ANSWER_TIMEOUT)));
    let ask = async |topic: &str| {
        let admin = admin.as_ref().map_err(Clone::clone)?;
        let answers = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await.map_err(fault)?;
        let of_code = |code| fault(KafkaError::Global(code));
        let settings = answers.into_iter().next().unwrap_or(Err(RDKafkaErrorCode::UnknownTopicOrPartition));
        settings.map_err(of_code).and_then(|resource| read_settings(&resource))
    };
    let answers = join_all(topics.iter().map(|topic| ask(topic))).await;
    topics.iter().map(|topic| (*topic).to_owned()).zip(answers).collect()
}

fn read_settings(resource: &ConfigResource) -> Result<TopicSettings, Fault> {
    let value = |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref());
    let number = |name| value(name).and_then(|text| text.parse().ok());
    let about = if let OwnedResourceSpecifier::Topic(name) = &resource.specifier { name } else { "?" };
    let unknown = || Fault { code: "NotTold".to_owned(), text: format!("max.message.bytes of {about} is not told") };
    Ok(TopicSettings {
        max_message_bytes: number("max.message.bytes").ok_or_else(unknown)?,
        is_compacted: value("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
        min_insync_replicas: number("min.insync.replicas").and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
    })
}

/// What becomes of a record with `acks=2`: Apache Kafka settles the right to write first, and then refuses it with
/// `INVALID_REQUIRED_ACKS` before anything is written (`KafkaApis.handleProduceRequest`, then `ReplicaManager`).
/// `Ok` is the offset of a record that was written all the same.
pub(super) async fn write(producer: &ClientConfig, topic: &str, deadline: Deadline) -> Result<i64, Fault> {
    let mut config = producer.clone();
    let timeout = deadline.left().min(ANSWER_TIMEOUT).max(Duration::from_secs(1)).as_millis().to_string();
    for (name, value) in [("enable.idempotence", "false"), ("acks", "2"), ("message.timeout.ms", &timeout)] {
        config.set(name, value);
    }
    let producer: FutureProducer<Listening> = config.create_with_context(Listening::default()).map_err(fault)?;
    let record: FutureRecord<'_, (), ()> = FutureRecord {
        topic,
        partition: Some(0),
        payload: None,
        key: None,
        timestamp: None,
        headers: Some(OwnedHeaders::new().insert(Header { key: HEADER, value: Some("nothing is to be written") })),
    };
    let report = producer.send_result(record).map_err(|(error, _)| fault(error))?;
    match report.await {
        Ok(Ok(delivered)) => Ok(delivered.offset),
        Ok(Err((error, _))) => Err(fault(error)),
        Err(_) => Err(fault(KafkaError::Canceled)),
    }
}

/// Whether a producer as the worker's gets its id. Nothing is written.
pub(super) fn producer_id(producer: &ClientConfig, deadline: Deadline) -> Result<(), Fault> {
    let deadline = deadline.within(ANSWER_TIMEOUT);
    let mut config = producer.clone();
    config.set("statistics.interval.ms", "100");
    let producer: BaseProducer<Listening> = config.create_with_context(Listening::default()).map_err(fault)?;
    while !deadline.is_over() {
        producer.poll(POLL);
        if let Some((code, text)) = producer.client().fatal_error() {
            return Err(Fault::new(&KafkaError::Global(code), Some(text)));
        }
        let context = producer.context();
        if *context.producer_id.lock().unwrap_or_else(PoisonError::into_inner) == Some(true) {
            return Ok(());
        }
    }
    let text = "no producer id in time".to_owned();
    Err(producer.context().faults().pop().unwrap_or(Fault { code: "OperationTimedOut".to_owned(), text }))
}
