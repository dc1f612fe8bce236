//! Assignments coming and going, on the polling thread. Gives nothing up that is not lost before it is told to.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Assignment;
use super::context::{Context, give_up};
use super::partitions::{Partitions, concrete, list};
use super::settings::MissingOffset;
use crate::pipeline::partition::PartitionName;

/// How long one look-up of commit points may keep the thread from polling; it is tried again after a poll.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(2);

/// Why an assignment cannot be taken up now.
#[derive(Debug)]
pub(super) enum AssignError {
    /// The commit points could not be read; to be tried again.
    Retry(KafkaError),
    /// The group has no commit point there, and `start_from` says to stop.
    NoCommitPoint(PartitionName),
    /// librdkafka refused the assignment.
    Refused(KafkaError),
}

/// Takes up an assignment: each partition at its commit point, or where `start_from` says.
pub(super) fn assign(
    consumer: &BaseConsumer<Context>,
    partitions: &mut Partitions,
    assigned: &TopicPartitionList,
    start_from: MissingOffset,
) -> Result<Vec<Assignment>, AssignError> {
    let mut start = TopicPartitionList::new();
    if assigned.count() > 0 {
        start = consumer.committed_offsets(assigned.clone(), COMMITTED_TIMEOUT).map_err(AssignError::Retry)?;
    }
    let mut committed = Vec::with_capacity(start.count());
    for mut one in start.elements() {
        one.error().map_err(AssignError::Retry)?;
        let offset = concrete(one.offset());
        committed.push((one.topic().to_owned(), one.partition(), offset));
        if offset.is_none() {
            let from = match start_from {
                MissingOffset::Earliest => Offset::Beginning,
                MissingOffset::Latest => Offset::End,
                MissingOffset::Fail => {
                    let at = PartitionName { topic: one.topic().into(), partition: one.partition() };
                    return Err(AssignError::NoCommitPoint(at));
                }
            };
            one.set_offset(from).map_err(AssignError::Refused)?;
        }
    }
    take_up(consumer, &start).map_err(AssignError::Refused)?;
    Ok(committed.iter().map(|(topic, partition, offset)| partitions.assign(topic, *partition, *offset)).collect())
}

/// Begins the assignment of these partitions in the way of the group's protocol.
pub(super) fn take_up(consumer: &BaseConsumer<Context>, start: &TopicPartitionList) -> KafkaResult<()> {
    if start.count() > 0 {
        consumer.resume(start)?; // librdkafka keeps the pause of an earlier assignment
    }
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(start),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(start),
    }
}

/// What is left of an assignment that was not taken up yet, once these are revoked.
pub(super) fn without(waiting: &TopicPartitionList, revoked: &TopicPartitionList) -> Option<TopicPartitionList> {
    let mut left = TopicPartitionList::new();
    for one in waiting.elements() {
        if revoked.find_partition(one.topic(), one.partition()).is_none() {
            left.add_partition(one.topic(), one.partition());
        }
    }
    (left.count() > 0).then_some(left)
}

/// Gives partitions up and forgets them.
pub(super) fn unassign(
    consumer: &BaseConsumer<Context>,
    partitions: &mut Partitions,
    which: &[PartitionName],
) -> KafkaResult<()> {
    for at in which {
        partitions.remove(&at.topic, at.partition);
    }
    give_up(consumer, &list(which))
}
