//! The polling thread: one turn after the other until it is told to close. It never waits longer than a poll, a look-up
//! of commit points, or [`HOLD_BACK`], and keeps the order in which things happened.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::committer::{Committer, Request};
use super::context::{Context, Notice, Sample};
use super::errors::ErrorGate;
use super::partitions::{Noted, Partitions, list};
use super::rebalance::{self, AssignError};
use super::{
    Batch, Command, ConsumerEvent, ConsumerSettings, Events, Heartbeat, MAX_BATCH_BYTES, MAX_BATCH_RECORDS,
    MAX_OPEN_BATCHES, MissingOffset, Permit, Signal, TopicPartition, now, records,
};
use crate::io::fault::Fault;
use crate::pipeline::intake::Incoming;
use crate::pipeline::record::Record;

/// Longest wait for a record; a command waits as long when nothing flows.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// With no batch free: how long to just not poll before pausing, which throws prefetched records away.
const HOLD_BACK: Duration = Duration::from_secs(1);

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

pub(super) struct Poller<F> {
    consumer: Arc<BaseConsumer<Context>>,
    links: Links,
    take: F,
    start_from: MissingOffset,
    reads_committed: bool,
    partitions: Partitions,
    /// Given by the group, not taken up yet: their commit points are to be looked up.
    assigned: Option<TopicPartitionList>,
    /// Told as revoked, not given up yet.
    revoked: Vec<TopicPartition>,
    batch: Vec<(u64, Incoming)>,
    batch_bytes: usize,
    /// Batches told and not admitted.
    open: usize,
    reading: Reading,
    errors: ErrorGate,
}

impl<F: FnMut(Record) -> Incoming> Poller<F> {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        links: Links,
        settings: &ConsumerSettings,
        take: F,
    ) -> Self {
        Self {
            consumer,
            links,
            take,
            start_from: settings.start_from,
            reads_committed: settings.reads_committed(),
            partitions: Partitions::default(),
            assigned: None,
            revoked: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            open: 0,
            reading: Reading::Flows,
            errors: ErrorGate::default(),
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

    // ---- reading ----

    /// Fills one batch and hands it over.
    fn read(&mut self) {
        let mut wait = POLL_WAIT;
        while self.open < MAX_OPEN_BATCHES
            && self.batch.len() < MAX_BATCH_RECORDS
            && self.batch_bytes < MAX_BATCH_BYTES
            && self.poll(wait)
        {
            wait = Duration::ZERO;
        }
        if self.open < MAX_OPEN_BATCHES {
            self.flush();
        }
    }

    /// One poll; whether it gave a record.
    fn poll(&mut self, wait: Duration) -> bool {
        let polled = match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => {
                let topic = self.partitions.topic(message.topic());
                Ok(Some(records::copy(&message, topic)))
            }
            Some(Err(error)) => Err(error),
        };
        // Callbacks ran before the record was taken from the queue, and after those of the batch.
        while let Ok(notice) = self.links.noticed.try_recv() {
            self.flush();
            self.on_notice(notice);
        }
        match polled {
            Ok(Some(record)) => {
                self.on_record(record);
                return true;
            }
            Ok(None) => {}
            Err(KafkaError::PartitionEOF(partition)) => self.partitions.note_end(partition),
            Err(error) => self.on_error(&error),
        }
        false
    }

    fn on_record(&mut self, record: Record) {
        let epoch = match self.partitions.note(&record.topic, record.partition, record.offset) {
            Noted::Next(epoch) => epoch,
            Noted::Repeated | Noted::Unassigned => return,
            Noted::Restarted { old, new } => {
                self.flush();
                let epoch = new.epoch;
                self.tell(ConsumerEvent::Lost(vec![old]));
                self.tell(ConsumerEvent::Assigned(vec![new]));
                epoch
            }
        };
        self.batch_bytes += record.bytes();
        self.batch.push((epoch, (self.take)(record)));
    }

    /// Hands the batch over, if there is one. Before a callback's event that is done even with no batch free: the order
    /// counts more, and it is rare.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.open += 1;
        self.tell(ConsumerEvent::Records(Batch {
            records,
            permit: Permit(self.links.signals.clone()),
        }));
    }

    /// No batch is free: wait a little without polling, then pause and poll for callbacks.
    fn hold_back(&mut self) -> Next {
        match self.reading {
            Reading::Flows => self.reading = Reading::HeldBackSince(now()),
            Reading::HeldBackSince(since) => {
                let left = HOLD_BACK.saturating_sub(now().saturating_duration_since(since));
                if left.is_zero() {
                    self.pause(&self.partitions.not_held());
                    self.partitions.disturb_all();
                    self.reading = Reading::Paused;
                } else {
                    match self.links.inbox.recv_timeout(left) {
                        Ok(signal) => return self.on_signal(signal),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return Next::Close,
                    }
                }
            }
            Reading::Paused => {
                self.poll(POLL_WAIT);
            }
        }
        Next::Turn
    }

    /// A batch is free again.
    fn read_on(&mut self) {
        if let Reading::Paused = std::mem::replace(&mut self.reading, Reading::Flows) {
            self.partitions.disturb_all();
            self.resume(&self.partitions.not_held());
        }
    }

    // ---- what the loop wants ----

    fn on_signal(&mut self, signal: Signal) -> Next {
        match signal {
            Signal::Admitted => self.open = self.open.saturating_sub(1),
            Signal::Command(Command::Commit(_)) => {} // goes to the committing thread
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

    fn unassign(&mut self, which: &[TopicPartition]) {
        let done: Vec<TopicPartition> = which.iter().filter(|at| self.revoked.contains(at)).cloned().collect();
        if done.is_empty() {
            return;
        }
        self.revoked.retain(|at| !done.contains(at));
        if let Err(error) = rebalance::unassign(&self.consumer, &mut self.partitions, &done) {
            self.fail(&error, "revoked partitions cannot be given up");
        }
    }

    // ---- what Kafka tells ----

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Assign(assigned) => {
                self.partitions.disturb_all();
                self.assigned = Some(assigned);
            }
            Notice::Revoke { partitions, lost } => {
                self.partitions.disturb_all();
                self.on_revoke(&partitions, lost);
            }
            Notice::Statistics(samples) => self.on_statistics(&samples),
        }
    }

    fn take_up(&mut self, assigned: TopicPartitionList) {
        match rebalance::assign(&self.consumer, &mut self.partitions, &assigned, self.start_from) {
            Ok(new) => {
                if matches!(self.reading, Reading::Paused) {
                    let new: Vec<TopicPartition> = new.iter().map(|one| one.at.clone()).collect();
                    self.pause(&list(&new));
                }
                self.tell(ConsumerEvent::Assigned(new));
            }
            Err(AssignError::Retry(error)) => {
                self.assigned = Some(assigned);
                self.on_error(&error);
                self.poll(POLL_WAIT); // callbacks first; nothing is delivered while an assignment waits
            }
            Err(AssignError::NoCommitPoint(at)) => {
                let text = format!(
                    "the group has no commit point for {at} and kafka.start_from is fail; \
                     set a commit point, or kafka.start_from to earliest or latest"
                );
                self.tell_fault(
                    Fault {
                        code: "NoCommitPoint".to_owned(),
                        text,
                    },
                    true,
                );
                self.assigned = Some(assigned);
                self.poll(POLL_WAIT);
            }
            Err(AssignError::Refused(error)) => self.fail(&error, "assigned partitions cannot be taken up"),
        }
    }

    fn on_revoke(&mut self, partitions: &TopicPartitionList, lost: bool) {
        let mut which = Vec::new();
        let mut told = Vec::new();
        for one in partitions.elements() {
            let topic = self.partitions.topic(one.topic());
            told.extend(self.partitions.assignment(&topic, one.partition()));
            which.push(TopicPartition {
                topic,
                partition: one.partition(),
            });
        }
        if !lost && !told.is_empty() {
            self.revoked.extend(which);
            self.tell(ConsumerEvent::Revoked(told));
            return;
        }
        self.revoked.retain(|at| !which.contains(at));
        if let Err(error) = rebalance::unassign(&self.consumer, &mut self.partitions, &which) {
            self.fail(&error, "lost partitions cannot be given up");
        }
        if !told.is_empty() {
            self.tell(ConsumerEvent::Lost(told));
        }
    }

    fn on_statistics(&mut self, samples: &[Sample]) {
        let mut marks = Vec::new();
        for Sample {
            topic,
            partition,
            figures,
        } in samples
        {
            let Some((topic, part)) = self.partitions.get_mut(topic, *partition) else {
                continue;
            };
            let at = TopicPartition {
                topic: Arc::clone(topic),
                partition: *partition,
            };
            let position = part.position();
            let ended = part.end.sample(figures.eof_offset, figures.fetchq_cnt == 0, position);
            let epoch = part.epoch();
            let mark = if self.reads_committed {
                figures.ls_offset
            } else {
                figures.hi_offset
            };
            if mark >= 0 {
                marks.push((at.clone(), mark));
            }
            if let Some(offset) = ended {
                self.tell(ConsumerEvent::Ended { at, epoch, offset });
            }
        }
        if !marks.is_empty() {
            self.tell(ConsumerEvent::Watermarks(marks));
        }
    }

    fn on_error(&mut self, error: &KafkaError) {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || matches!(error, KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset));
        let fault = Fault::new(error, self.consumer.context().take_reason());
        self.tell_fault(fault, fatal);
    }

    /// librdkafka would wait for this for ever.
    fn fail(&mut self, error: &KafkaError, what: &str) {
        let Fault { code, text } = Fault::new(error, None);
        self.tell_fault(
            Fault {
                code,
                text: format!("{what}: {text}"),
            },
            true,
        );
    }

    fn tell_fault(&mut self, fault: Fault, fatal: bool) {
        if let Some(count) = self.errors.pass(&fault.code, now()) {
            self.tell(ConsumerEvent::Error { fault, count, fatal });
        }
    }

    fn tell(&self, event: ConsumerEvent) {
        self.links.events.send(event).ok(); // nobody listens any more: the next turn closes
    }
}
