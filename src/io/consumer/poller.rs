//! The polling thread: one turn after the other until it is told to close. It never waits longer than a poll, a look-up
//! of commit points, or [`HOLD_BACK`], and keeps the order in which things happened.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use smallvec::SmallVec;

use super::committer::{Committer, Request};
use super::context::{Context, Notice};
use super::errors::ErrorGate;
use super::partitions::Partitions;
use super::rebalance;
use super::watch::Threads;
use super::{
    Command, ConsumerEvent, ConsumerSettings, Events, Heartbeat, MAX_OPEN_BATCHES, MissingOffset, Signal, Take, now,
    request_timeout,
};
use crate::io::fault::Fault;
use crate::pipeline::intake::Incoming;
use crate::pipeline::kept::Kept;
use crate::pipeline::partition::PartitionName;

mod callbacks;
mod reading;
mod routing;

/// Longest wait for a record; a command waits as long when nothing flows.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// With no batch free: how long to just not poll before pausing, which throws prefetched records away.
const HOLD_BACK: Duration = Duration::from_secs(1);

/// Errors that are about one broker, or all; while they last they come again and again.
const ABOUT_CONNECTIONS: [RDKafkaErrorCode; 3] =
    [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::AllBrokersDown, RDKafkaErrorCode::Resolve];

/// What is to be done where `kafka.out_of_range` is `fail`.
const OUT_OF_RANGE: &str = "; records at the commit point are gone and kafka.out_of_range is fail: \
    move the group's commit point, or set kafka.out_of_range to earliest or latest";

/// The ends of the channels that the thread holds.
pub(super) struct Links {
    pub(super) inbox: Receiver<Signal>,
    pub(super) signals: Sender<Signal>,
    pub(super) noticed: Receiver<Notice>,
    pub(super) events: Events,
    pub(super) committer: Committer,
    pub(super) turns: Arc<Heartbeat>,
}

/// Whether reading goes on.
enum Reading {
    Flows,
    /// No batch is free since then; not polled.
    HeldBackSince(Instant),
    /// No batch is free for long: partitions are paused, polled for callbacks only.
    Paused,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Turn,
    Close,
}

/// A record that waits for another table of routes, with the epoch of its assignment.
struct Waiting {
    at: PartitionName,
    epoch: u64,
    record: Kept,
}

pub(super) struct Poller<T> {
    consumer: Arc<BaseConsumer<Context>>,
    links: Links,
    take: T,
    start_from: MissingOffset,
    reads_committed: bool,
    request_timeout: Duration,
    partitions: Partitions,
    threads: Threads,
    /// Given by the group, not taken up yet: their commit points are to be looked up.
    assigned: Option<TopicPartitionList>,
    /// Told as revoked, not given up yet.
    revoked: Vec<PartitionName>,
    batch: Vec<(u64, Incoming)>,
    batch_topics: SmallVec<[(Arc<str>, u64); 1]>,
    batch_bytes: usize,
    /// In order.
    waiting: Vec<Waiting>,
    /// Batches told and not admitted.
    open: usize,
    reading: Reading,
    errors: ErrorGate,
    /// Records and errors that polling has given.
    polled: u64,
    /// The broker refuses to let a topic be read, which it says once.
    is_denied: bool,
}

impl<T: Take> Poller<T> {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        links: Links,
        settings: &ConsumerSettings,
        take: T,
    ) -> Self {
        Self {
            consumer,
            links,
            take,
            start_from: settings.start_from,
            reads_committed: settings.reads_committed(),
            request_timeout: request_timeout(&settings.properties),
            partitions: Partitions::default(),
            threads: Threads::default(),
            assigned: None,
            revoked: Vec::new(),
            batch: Vec::new(),
            batch_topics: SmallVec::new(),
            batch_bytes: 0,
            waiting: Vec::new(),
            open: 0,
            reading: Reading::Flows,
            errors: ErrorGate::default(),
            polled: 0,
            is_denied: false,
        }
    }

    pub(super) fn run(mut self) {
        while self.turn() == Next::Turn {}
        self.close();
    }

    fn turn(&mut self) -> Next {
        self.links.turns.beat(now());
        if self.links.events.is_closed() {
            return Next::Close;
        }
        while let Ok(signal) = self.links.inbox.try_recv() {
            if self.on_signal(signal) == Next::Close {
                return Next::Close;
            }
        }
        if let Some(assigned) = self.assigned.take() {
            self.take_up(assigned);
        }
        if self.open < MAX_OPEN_BATCHES {
            self.flush();
            self.read_on();
            self.read();
            return Next::Turn;
        }
        self.hold_back()
    }

    /// Leaves the group. Whatever librdkafka still waits for is answered first, or closing would wait for it too.
    fn close(mut self) {
        self.consumer.context().close();
        if let Some(assigned) = self.assigned.take() {
            rebalance::take_up(&self.consumer, &assigned).ok(); // only to be given up in the callback
        }
        if !self.revoked.is_empty() {
            rebalance::unassign(&self.consumer, &mut self.partitions, &self.revoked).ok(); // as above
        }
        let Self { consumer, links, .. } = self;
        links.committer.requests.send(Request::End).ok(); // it may have ended
        while !links.committer.thread.is_finished() {
            drop(consumer.poll(POLL_WAIT)); // for callbacks; what is delivered now is not committed and comes again
        }
        drop(consumer); // the last one: polls until the group is left
        links.events.send(ConsumerEvent::Closed).ok(); // nobody listens any more
    }

    fn on_signal(&mut self, signal: Signal) -> Next {
        match signal {
            Signal::Admitted => self.open = self.open.saturating_sub(1),
            Signal::Command(Command::Pause(which)) => {
                let changed = self.partitions.hold(&which, true);
                self.pause(&changed);
            }
            Signal::Command(Command::Resume(which)) => {
                let changed = self.partitions.hold(&which, false);
                if !matches!(self.reading, Reading::Paused) {
                    self.resume(&changed);
                }
            }
            Signal::Command(Command::Route(routes)) => self.route(routes),
            Signal::Command(Command::Unassign(which)) => self.unassign(&which),
            Signal::Command(Command::Close) => return Next::Close,
        }
        Next::Turn
    }

    fn pause(&mut self, which: &TopicPartitionList) {
        if which.count() > 0
            && let Err(error) = self.consumer.pause(which)
        {
            self.on_error(&error);
        }
    }

    fn resume(&mut self, which: &TopicPartitionList) {
        if which.count() > 0
            && let Err(error) = self.consumer.resume(which)
        {
            self.on_error(&error);
        }
    }

    fn unassign(&mut self, which: &[PartitionName]) {
        let done: Vec<PartitionName> = which.iter().filter(|at| self.revoked.contains(at)).cloned().collect();
        if done.is_empty() {
            return;
        }
        self.revoked.retain(|at| !done.contains(at));
        if let Err(error) = rebalance::unassign(&self.consumer, &mut self.partitions, &done) {
            self.fail(&error, "revoked partitions cannot be given up");
        }
        self.forget_waiting();
    }

    fn on_error(&mut self, error: &KafkaError) {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || matches!(error, KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset));
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => self.is_denied = true,
            Some(code) if ABOUT_CONNECTIONS.contains(&code) => {} // the statistics tell which partitions that concerns
            _ => self.partitions.excuse_all(),
        }
        let mut fault = Fault::new(error, self.consumer.context().take_reason());
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            fault.text.push_str(OUT_OF_RANGE);
        }
        self.tell_fault(fault, fatal);
    }

    /// librdkafka would wait for this for ever.
    fn fail(&mut self, error: &KafkaError, what: &str) {
        let Fault { code, text } = Fault::new(error, None);
        self.tell_fault(Fault { code, text: format!("{what}: {text}") }, true);
    }

    fn tell_fault(&mut self, fault: Fault, fatal: bool) {
        let passed = self.errors.pass(&fault.code, now());
        if let Some(count) = passed.or(fatal.then_some(1)) {
            self.tell(ConsumerEvent::Error { fault, count, fatal });
        }
    }

    fn tell(&self, event: ConsumerEvent) {
        self.links.events.send(event).ok(); // nobody listens any more: the next turn closes
    }
}
