//! What librdkafka's callbacks told: assignments, revokes, statistics. Runs after the poll that served them.

use std::sync::Arc;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::{POLL_WAIT, Poller, Reading};
use crate::io::consumer::context::{Notice, Sample, Thread};
use crate::io::consumer::partitions::list;
use crate::io::consumer::rebalance::{self, AssignError};
use crate::io::consumer::{ConsumerEvent, Symptom, Take, Undelivered, now, watch};
use crate::io::fault::Fault;
use crate::pipeline::partition::PartitionName;

impl<T: Take> Poller<T> {
    pub(super) fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Assign(assigned) => {
                self.partitions.disturb_all();
                self.assigned = Some(assigned);
            }
            Notice::Revoke { partitions, lost } => {
                self.partitions.disturb_all();
                self.on_revoke(&partitions, lost);
            }
            Notice::Statistics { samples, threads } => self.on_statistics(&samples, threads),
        }
    }

    pub(super) fn take_up(&mut self, assigned: TopicPartitionList) {
        match rebalance::assign(&self.consumer, &mut self.partitions, &assigned, self.start_from) {
            Ok(new) => {
                if matches!(self.reading, Reading::Paused) {
                    let new: Vec<PartitionName> = new.iter().map(|one| one.at.clone()).collect();
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
                self.tell_fault(Fault { code: "NoCommitPoint".to_owned(), text }, true);
                self.assigned = Some(assigned);
                self.poll(POLL_WAIT);
            }
            Err(AssignError::Refused(error)) => self.fail(&error, "assigned partitions cannot be taken up"),
        }
    }

    pub(super) fn on_revoke(&mut self, partitions: &TopicPartitionList, lost: bool) {
        if let Some(waiting) = self.assigned.take() {
            self.assigned = rebalance::without(&waiting, partitions); // what was not taken up yet need not be settled
        }
        let mut which = Vec::new();
        let mut told = Vec::new();
        for one in partitions.elements() {
            let topic = self.partitions.topic(one.topic());
            told.extend(self.partitions.assignment(&topic, one.partition()));
            which.push(PartitionName { topic, partition: one.partition() });
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
        self.forget_waiting();
        if !told.is_empty() {
            self.tell(ConsumerEvent::Lost(told));
        }
    }

    pub(super) fn on_statistics(&mut self, samples: &[Sample], threads: Vec<Thread>) {
        let now = now();
        let delivers = !matches!(self.reading, Reading::Paused)
            && !self.is_denied
            && self.revoked.is_empty()
            && self.assigned.is_none();
        let mut waits: Vec<Undelivered> = self.threads.look(now, threads).into_iter().collect();
        let (mut marks, mut queued) = (Vec::new(), false);
        for Sample { topic, partition, figures, link } in samples {
            let Some((topic, part)) = self.partitions.get_mut(topic, *partition) else {
                continue;
            };
            let at = PartitionName { topic: Arc::clone(topic), partition: *partition };
            let position = part.position();
            let ended = part.ended(figures.eof_offset, figures.fetchq_cnt == 0);
            let epoch = part.epoch();
            let mark = if self.reads_committed { figures.ls_offset } else { figures.hi_offset };
            let symptom = watch::symptom(&at, figures, *link, mark, position, self.request_timeout);
            let symptom = symptom.filter(|_| delivers && !part.is_paused());
            let since = part.watch.look(now, symptom.is_some(), watch::moving(figures, *link, position));
            waits.extend(symptom.zip(since).map(|(symptom, since)| Undelivered { symptom, since }));
            queued |= delivers && figures.fetchq_cnt > 0 && !part.is_paused();
            if mark >= 0 {
                marks.push((at.clone(), mark));
            }
            let gone = part.take_gone(figures.lo_offset);
            if let Some((from, to)) = gone {
                self.tell(ConsumerEvent::Jumped { at: at.clone(), from, to });
            }
            if let Some(offset) = ended {
                self.tell(ConsumerEvent::Ended { at, epoch, offset });
            }
        }
        if !marks.is_empty() {
            self.tell(ConsumerEvent::Watermarks(marks));
        }
        let since = self.partitions.queue.look(now, queued, self.polled);
        waits.extend(since.map(|since| Undelivered { symptom: Symptom::Queued, since }));
        self.tell(ConsumerEvent::Delivers(waits.into_iter().min_by_key(|wait| wait.since)));
    }
}
