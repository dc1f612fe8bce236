//! A member of a consumer group, as the loop sees it: the consumer thread's events, and commands to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oms_sync_worker::io::consumer::{Assignment, Batch, Command, ConsumerEvent, ConsumerSettings, KafkaConsumer};
use oms_sync_worker::io::fault::Fault;
use oms_sync_worker::pipeline::intake::Incoming;
use oms_sync_worker::pipeline::kept::Kept;
use oms_sync_worker::pipeline::partition::PartitionName;
use oms_sync_worker::pipeline::record::Record;
use smallvec::SmallVec;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::brokers::BOUND;

/// One member and what it has seen so far.
pub(crate) struct Member {
    consumer: KafkaConsumer,
    events: UnboundedReceiver<ConsumerEvent>,
    runtime: tokio::runtime::Runtime,
    /// Records in the order in which they came, with the epoch they came under.
    pub(crate) records: Vec<(u64, Arc<Record>)>,
    /// What is assigned and not revoked or lost.
    pub(crate) owned: BTreeMap<PartitionName, Assignment>,
    /// The partition of each assignment so far.
    names: BTreeMap<u64, PartitionName>,
    /// One line an event, for the message of a test that fails.
    log: Vec<String>,
}

impl Member {
    pub(crate) fn join(settings: &ConsumerSettings) -> Self {
        Self::join_with(settings, |_| {})
    }

    /// With something to be done on the polling thread for each record.
    pub(crate) fn join_with(settings: &ConsumerSettings, mut look: impl FnMut(&Kept) + Send + 'static) -> Self {
        let take = move |record| {
            look(&record);
            Incoming::new(record, SmallVec::new(), Vec::new())
        };
        let (consumer, events) = KafkaConsumer::start(settings, take).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (records, owned, names, log) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { consumer, events, runtime, records, owned, names, log }
    }

    pub(crate) fn send(&self, command: Command) {
        self.consumer.send(command);
    }

    pub(crate) fn consumer(&self) -> &KafkaConsumer {
        &self.consumer
    }

    /// The next event within a time. Records stay in it; their batch is not admitted before it is dropped.
    pub(crate) fn next_within(&mut self, within: Duration) -> Option<ConsumerEvent> {
        let next = async { tokio::time::timeout(within, self.events.recv()).await };
        let event = self.runtime.block_on(next).ok()??;
        self.log.push(short(&event));
        match &event {
            ConsumerEvent::Assigned(new) => {
                self.owned.extend(new.iter().map(|one| (one.at.clone(), one.clone())));
                self.names.extend(new.iter().map(|one| (one.epoch, one.at.clone())));
            }
            ConsumerEvent::Revoked(old) | ConsumerEvent::Lost(old) => {
                self.owned.retain(|at, _| old.iter().all(|one| one.at != *at));
            }
            ConsumerEvent::Records(Batch { records, topics, .. }) => {
                assert_eq!(topics.iter().map(|(_, records)| records).sum::<u64>(), records.len() as u64);
                let names = &self.names;
                self.records.extend(records.iter().map(|(epoch, one)| (*epoch, one.record.unpack(&names[epoch]))));
            }
            _ => {}
        }
        Some(event)
    }

    /// Takes events until one gives an answer; fails the test after [`BOUND`].
    pub(crate) fn until<T>(&mut self, what: &str, mut answer: impl FnMut(&Self, ConsumerEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(event) = self.next_within(left) else { panic!("no {what} within {BOUND:?}; got {:#?}", self.log) };
            if let Some(answer) = answer(self, event) {
                return answer;
            }
        }
    }

    pub(crate) fn until_owning(&mut self, partitions: usize) {
        if self.owned.len() != partitions {
            self.until("assignment", |member, _| (member.owned.len() == partitions).then_some(()));
        }
    }

    /// Takes events until there are that many records in all.
    pub(crate) fn until_records(&mut self, count: usize) {
        if self.records.len() < count {
            self.until("records", |member, _| (member.records.len() >= count).then_some(()));
        }
        assert_eq!(self.records.len(), count, "more records than were written");
    }

    pub(crate) fn until_revoked(&mut self) -> Vec<Assignment> {
        self.until("revoke", |_, event| if let ConsumerEvent::Revoked(old) = event { Some(old) } else { None })
    }

    /// Commits and waits for the result.
    pub(crate) fn commit(&mut self, offsets: Vec<(PartitionName, i64)>) -> Result<(), Fault> {
        self.consumer.commit(offsets);
        self.until("commit result", |_, event| match event {
            ConsumerEvent::Committed { result, .. } => Some(result),
            _ => None,
        })
    }

    pub(crate) fn until_fault(&mut self, code: &str) -> (Fault, bool) {
        self.until(code, |_, event| match event {
            ConsumerEvent::Error { fault, fatal, .. } if fault.code == code => Some((fault, fatal)),
            _ => None,
        })
    }

    /// Leaves the group and waits until it has.
    pub(crate) fn leave(mut self) {
        self.send(Command::Close);
        self.until("end", |_, event| matches!(event, ConsumerEvent::Closed).then_some(()));
        self.consumer.join();
    }

    /// Offsets of a partition's records, in the order in which they came.
    pub(crate) fn offsets(&self, partition: i32) -> Vec<i64> {
        self.records.iter().filter(|(_, one)| one.partition == partition).map(|(_, one)| one.offset).collect()
    }
}

/// The partitions of a list of assignments.
pub(crate) fn places(assignments: &[Assignment]) -> Vec<PartitionName> {
    assignments.iter().map(|one| one.at.clone()).collect()
}

fn short(event: &ConsumerEvent) -> String {
    match event {
        ConsumerEvent::Records(batch) => format!("Records({})", batch.records.len()),
        other => format!("{other:?}"),
    }
}
