//! Commits, one after the other on a thread of their own, each with its result.
//!
//! rdkafka 0.39 tells nothing of an asynchronous commit, neither success nor failure: its commit callback is served for
//! librdkafka's own commits only. So commits are synchronous; they block for as long as the coordinator is away, which
//! is why they must never run on the polling thread or in the loop.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::Context;
use super::{ConsumerEvent, Events};
use crate::io::fault::Fault;
use crate::pipeline::partition::PartitionName;

/// What reaches the committing thread.
#[derive(Debug)]
pub(super) enum Request {
    /// Next offsets.
    Commit(Vec<(PartitionName, i64)>),
    /// Finish what was asked before, then end.
    End,
}

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) requests: Sender<Request>,
    pub(super) thread: JoinHandle<()>,
}

impl Committer {
    pub(super) fn start(consumer: Arc<BaseConsumer<Context>>, events: Events) -> std::io::Result<Self> {
        let (requests, inbox) = channel();
        let run = move || run(&consumer, &inbox, &events);
        let thread = std::thread::Builder::new().name("kafka-commit".to_owned()).spawn(run)?;
        Ok(Self { requests, thread })
    }
}

fn run(consumer: &BaseConsumer<Context>, inbox: &Receiver<Request>, events: &Events) {
    while let Ok(Request::Commit(offsets)) = inbox.recv() {
        let result = commit(consumer, &offsets).map_err(|error| Fault::new(&error, None));
        events.send(ConsumerEvent::Committed { result, offsets }).ok(); // nobody listens any more
    }
}

/// An error may concern some of the offsets only: then librdkafka gives one of them.
fn commit(consumer: &BaseConsumer<Context>, offsets: &[(PartitionName, i64)]) -> KafkaResult<()> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (at, next) in offsets {
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*next))?;
    }
    consumer.commit(&list, CommitMode::Sync)
}
