//! Records: from poll to batch, and holding back when no batch is free. Keeps what was polled before a callback before it.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;

use super::{HOLD_BACK, Next, POLL_WAIT, Poller, Reading, Waiting};
use crate::io::consumer::partitions::Noted;
use crate::io::consumer::{
    Batch, ConsumerEvent, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_OPEN_BATCHES, Permit, Take, now, records,
};
use crate::pipeline::intake::Incoming;
use crate::pipeline::kept::Kept;
use crate::pipeline::partition::PartitionName;

impl<T: Take> Poller<T> {
    /// Fills one batch and hands it over.
    pub(super) fn read(&mut self) {
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
    pub(super) fn poll(&mut self, wait: Duration) -> bool {
        let polled = self.consumer.poll(wait);
        self.polled += u64::from(polled.is_some());
        let polled = match polled {
            None => Ok(None),
            Some(Ok(message)) => {
                let at =
                    PartitionName { topic: self.partitions.topic(message.topic()), partition: message.partition() };
                Ok(Some((at, Kept::from(records::pack(&message)))))
            }
            Some(Err(error)) => Err(error),
        };
        // Callbacks ran before the record was taken from the queue, and after those of the batch.
        while let Ok(notice) = self.links.noticed.try_recv() {
            self.flush();
            self.on_notice(notice);
        }
        match polled {
            Ok(Some((at, record))) => {
                self.is_denied = false;
                self.on_record(at, record);
                return true;
            }
            Ok(None) => {}
            Err(KafkaError::PartitionEOF(partition)) => self.partitions.note_end(partition),
            Err(error) => self.on_error(&error),
        }
        false
    }

    fn on_record(&mut self, at: PartitionName, record: Kept) {
        let epoch = match self.partitions.note(&at.topic, at.partition, record.offset()) {
            Noted::Next(epoch) => epoch,
            Noted::Repeated | Noted::Unassigned => return,
            Noted::Restarted { old, new, from } => {
                self.flush();
                let epoch = new.epoch;
                self.tell(ConsumerEvent::Jumped { at: at.clone(), from, to: record.offset() });
                self.tell(ConsumerEvent::Lost(vec![old]));
                self.tell(ConsumerEvent::Assigned(vec![new]));
                epoch
            }
        };
        if !self.waiting.is_empty() && self.partitions.waits(&at.topic, at.partition) {
            self.waiting.push(Waiting { at, epoch, record }); // behind one that waits already
            return;
        }
        match self.take.take(&at.topic, record) {
            Ok(incoming) => self.add(&at.topic, epoch, incoming),
            Err(record) => self.wait_for_routes(Waiting { at, epoch, record }),
        }
    }

    pub(super) fn add(&mut self, topic: &Arc<str>, epoch: u64, incoming: Incoming) {
        self.batch_bytes += incoming.record.bytes();
        self.batch.push((epoch, incoming));
        match self.batch_topics.iter_mut().find(|(known, _)| known == topic) {
            Some((_, records)) => *records += 1,
            None => self.batch_topics.push((Arc::clone(topic), 1)),
        }
    }

    /// Hands the batch over, if there is one. Before a callback's event that is done even with no batch free: the order
    /// counts more, and it is rare.
    pub(super) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.batch.len()); // the next one is likely to be as long
        let records = std::mem::replace(&mut self.batch, next);
        let topics = std::mem::take(&mut self.batch_topics);
        self.batch_bytes = 0;
        self.open += 1;
        self.tell(ConsumerEvent::Records(Batch { records, topics, permit: Permit(self.links.signals.clone()) }));
    }

    /// No batch is free: wait a little without polling, then pause and poll for callbacks.
    pub(super) fn hold_back(&mut self) -> Next {
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
    pub(super) fn read_on(&mut self) {
        if let Reading::Paused = std::mem::replace(&mut self.reading, Reading::Flows) {
            self.partitions.disturb_all();
            self.resume(&self.partitions.not_held());
        }
    }
}
