//! What the polling thread knows of its partitions: epoch, position, pauses, end. Pure; never more than is assigned.

use std::sync::Arc;

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rustc_hash::FxHashMap;

use super::Assignment;
use super::ends::End;
use super::watch::{Moving, Watch};
use crate::pipeline::partition::PartitionName;

/// One assigned partition.
#[derive(Debug)]
pub(super) struct Part {
    epoch: u64,
    committed: Option<i64>,
    last: Option<i64>,
    /// The widest span of offsets below a delivered record that was never delivered, since the last statistics.
    gap: Option<(i64, i64)>,
    end: End,
    pub(super) watch: Watch<Moving>,
    /// Paused by the loop's command.
    held: bool,
    /// Paused because its next record waits for another table of routes.
    pub(super) waits: bool,
}

impl Part {
    /// Next offset expected: after the last record, or where reading starts if that is known.
    pub(super) fn position(&self) -> Option<i64> {
        self.last.map(|last| last + 1).or(self.committed)
    }

    /// Whether it is not to be delivered.
    pub(super) fn is_paused(&self) -> bool {
        self.held || self.waits
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// An end that the statistics tell and that may be told on. There is none while a record waits, which is below it.
    pub(super) fn ended(&mut self, eof_offset: i64, queue_empty: bool) -> Option<i64> {
        let position = self.position();
        if self.waits { None } else { self.end.sample(eof_offset, queue_empty, position) }
    }

    /// The span of offsets that the broker did not have any more when reading came to them: where from, and where reading
    /// went on. Other gaps are left by control records, aborted transactions and compaction, inside of what the broker has.
    pub(super) fn take_gone(&mut self, oldest: i64) -> Option<(i64, i64)> {
        self.gap.take().filter(|(from, _)| *from < oldest)
    }
}

/// What a delivered record is.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Noted {
    /// The next one, of that epoch.
    Next(u64),
    /// The very one that was delivered last: a pause fell between its delivery and the position's update.
    Repeated,
    /// Below the position: the partition's log was replaced. The assignment begins anew.
    Restarted {
        /// The assignment that is over.
        old: Assignment,
        /// The one that begins with this record.
        new: Assignment,
        /// The position that it was expected at.
        from: i64,
    },
    /// Of a partition that is not assigned.
    Unassigned,
}

/// The assigned partitions.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    topics: Vec<(Arc<str>, FxHashMap<i32, Part>)>,
    epoch: u64,
    /// The queue of what was fetched, by how much polling has given so far.
    pub(super) queue: Watch<u64>,
}

impl Partitions {
    /// The one shared name of a topic.
    pub(super) fn topic(&mut self, name: &str) -> Arc<str> {
        let index = self.topic_index(name);
        Arc::clone(&self.topics[index].0)
    }

    fn topic_index(&mut self, name: &str) -> usize {
        if let Some(index) = self.topics.iter().position(|(topic, _)| **topic == *name) {
            return index;
        }
        self.topics.push((name.into(), FxHashMap::default()));
        self.topics.len() - 1
    }

    /// Begins an assignment under a new epoch.
    pub(super) fn assign(&mut self, topic: &str, partition: i32, committed: Option<i64>) -> Assignment {
        self.epoch += 1;
        let index = self.topic_index(topic);
        let (topic, parts) = &mut self.topics[index];
        let part = Part {
            epoch: self.epoch,
            committed,
            last: None,
            gap: None,
            end: End::default(),
            watch: Watch::default(),
            held: false,
            waits: false,
        };
        parts.insert(partition, part);
        Assignment { at: PartitionName { topic: Arc::clone(topic), partition }, epoch: self.epoch, committed }
    }

    /// Ends an assignment.
    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        if let Some((_, parts)) = self.topics.iter_mut().find(|(name, _)| **name == *topic) {
            parts.remove(&partition);
        }
    }

    /// An assigned partition.
    pub(super) fn get_mut(&mut self, topic: &str, partition: i32) -> Option<(&Arc<str>, &mut Part)> {
        let (name, parts) = self.topics.iter_mut().find(|(name, _)| **name == *topic)?;
        Some((name, parts.get_mut(&partition)?))
    }

    /// The assignment of a partition as it was told.
    pub(super) fn assignment(&mut self, topic: &str, partition: i32) -> Option<Assignment> {
        let (name, part) = self.get_mut(topic, partition)?;
        let at = PartitionName { topic: Arc::clone(name), partition };
        Some(Assignment { at, epoch: part.epoch, committed: part.committed })
    }

    /// Takes note of a delivered record.
    pub(super) fn note(&mut self, topic: &str, partition: i32, offset: i64) -> Noted {
        let Some((_, part)) = self.get_mut(topic, partition) else {
            return Noted::Unassigned;
        };
        if part.last == Some(offset) {
            return Noted::Repeated;
        }
        if part.position().is_none_or(|position| offset >= position) {
            let gap = part.position().map(|from| (from, offset)).filter(|(from, to)| from < to);
            part.gap = part.gap.into_iter().chain(gap).max_by_key(|(from, to)| to - from);
            part.last = Some(offset);
            part.end.delivered();
            return Noted::Next(part.epoch);
        }
        let (held, from) = (part.held, part.position().unwrap_or(offset));
        let Some(old) = self.assignment(topic, partition) else {
            return Noted::Unassigned;
        };
        let new = self.assign(topic, partition, None);
        if let Some((_, part)) = self.get_mut(topic, partition) {
            (part.held, part.last) = (held, Some(offset));
            part.end.delivered();
        }
        Noted::Restarted { old, new, from }
    }

    /// An end was delivered, of which librdkafka's wrapper tells the partition's number only: it says something where
    /// just one topic has that number.
    pub(super) fn note_end(&mut self, partition: i32) {
        let mut parts = self.topics.iter_mut().filter_map(|(_, parts)| parts.get_mut(&partition));
        if let (Some(part), None) = (parts.next(), parts.next()) {
            part.end.delivered();
        }
    }

    /// Every fetcher starts again from its position.
    pub(super) fn disturb_all(&mut self) {
        for part in self.topics.iter_mut().flat_map(|(_, parts)| parts.values_mut()) {
            part.end.disturb();
        }
        self.excuse_all();
    }

    /// There is a reason for which nothing may have been delivered.
    pub(super) fn excuse_all(&mut self) {
        self.queue.reset();
        for part in self.topics.iter_mut().flat_map(|(_, parts)| parts.values_mut()) {
            part.watch.reset();
        }
    }

    /// The partitions that are to be delivered.
    pub(super) fn not_held(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, parts) in &self.topics {
            for (&partition, _) in parts.iter().filter(|(_, part)| !part.is_paused()) {
                list.add_partition(topic, partition);
            }
        }
        list
    }

    /// Those of a list that are to be delivered.
    pub(super) fn without_paused(&self, list: &TopicPartitionList) -> TopicPartitionList {
        let mut rest = TopicPartitionList::new();
        for one in list.elements() {
            if self.get(one.topic(), one.partition()).is_some_and(|part| !part.is_paused()) {
                rest.add_partition(one.topic(), one.partition());
            }
        }
        rest
    }

    /// Sets the loop's hold, and gives those of them that are now to be paused, or to be resumed.
    pub(super) fn hold(&mut self, which: &[PartitionName], held: bool) -> TopicPartitionList {
        self.change(which, |part| part.held = held)
    }

    /// Lets them wait for another table of routes, or not any more; gives the same.
    pub(super) fn let_wait(&mut self, which: &[PartitionName], waits: bool) -> TopicPartitionList {
        self.change(which, |part| part.waits = waits)
    }

    fn change(&mut self, which: &[PartitionName], set: impl Fn(&mut Part)) -> TopicPartitionList {
        let mut changed = TopicPartitionList::new();
        for at in which {
            if let Some((_, part)) = self.get_mut(&at.topic, at.partition) {
                let was_paused = part.is_paused();
                set(part);
                if part.is_paused() != was_paused {
                    part.end.disturb();
                    changed.add_partition(&at.topic, at.partition);
                }
            }
        }
        changed
    }

    /// Whether a partition's next record waits for another table of routes.
    pub(super) fn waits(&self, topic: &str, partition: i32) -> bool {
        self.get(topic, partition).is_some_and(|part| part.waits)
    }

    /// Whether that is a partition's assignment of now.
    pub(super) fn is_current(&self, topic: &str, partition: i32, epoch: u64) -> bool {
        self.get(topic, partition).is_some_and(|part| part.epoch == epoch)
    }

    fn get(&self, topic: &str, partition: i32) -> Option<&Part> {
        let (_, parts) = self.topics.iter().find(|(name, _)| **name == *topic)?;
        parts.get(&partition)
    }
}

/// A list for librdkafka. It must be dropped before the consumer is: one that outlives it makes closing hang.
pub(super) fn list(partitions: &[PartitionName]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for at in partitions {
        list.add_partition(&at.topic, at.partition);
    }
    list
}

/// The offset of a list's element, where it is one.
pub(super) fn concrete(offset: Offset) -> Option<i64> {
    if let Offset::Offset(offset) = offset { Some(offset) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assignment_has_an_epoch_of_its_own() {
        let mut partitions = Partitions::default();
        let first = partitions.assign("t", 0, None).epoch;
        assert_ne!(partitions.assign("t", 1, None).epoch, first);
        partitions.remove("t", 0);
        assert_eq!(partitions.note("t", 0, 5), Noted::Unassigned);
        assert_ne!(partitions.assign("t", 0, None).epoch, first);
    }

    #[test]
    fn the_last_record_again_is_told_as_repeated() {
        let mut partitions = Partitions::default();
        let epoch = partitions.assign("t", 0, Some(5)).epoch;
        assert_eq!(partitions.note("t", 0, 5), Noted::Next(epoch));
        assert_eq!(partitions.note("t", 0, 5), Noted::Repeated);
        assert_eq!(partitions.note("t", 0, 9), Noted::Next(epoch), "offsets may have gaps");
    }

    #[test]
    fn an_offset_below_the_position_begins_a_new_assignment() {
        let mut partitions = Partitions::default();
        let old = partitions.assign("t", 0, Some(100));
        let noted = partitions.note("t", 0, 0);
        let Noted::Restarted { old: ended, new, from: 100 } = noted else { panic!("{noted:?}") };
        assert_eq!(ended, old);
        assert_ne!(new.epoch, old.epoch);
        assert_eq!(new.committed, None);
        assert_eq!(partitions.note("t", 0, 1), Noted::Next(new.epoch));
    }

    #[test]
    fn only_what_the_broker_does_not_have_any_more_is_gone() {
        let mut partitions = Partitions::default();
        partitions.assign("t", 0, Some(100));
        for offset in [100, 102, 110, 111, 113] {
            partitions.note("t", 0, offset);
        }
        let mut gone = |oldest| partitions.get_mut("t", 0).unwrap().1.take_gone(oldest);
        assert_eq!(gone(50), None, "control records, aborted and compacted ones");
        partitions.note("t", 0, 120);
        partitions.note("t", 0, 500);
        partitions.note("t", 0, 502);
        let mut gone = |oldest| partitions.get_mut("t", 0).unwrap().1.take_gone(oldest);
        assert_eq!(gone(500), Some((121, 500)));
        assert_eq!(gone(500), None, "told once");
    }

    #[test]
    fn an_end_that_may_be_of_either_topic_says_nothing() {
        let mut partitions = Partitions::default();
        partitions.assign("a", 0, Some(1));
        partitions.assign("b", 0, Some(1));
        partitions.assign("b", 1, Some(1));
        for number in [0, 1] {
            partitions.note_end(number);
        }
        let mut told = |topic, partition| {
            let (_, part) = partitions.get_mut(topic, partition).unwrap();
            part.end.sample(7, true, Some(1));
            part.end.sample(7, true, Some(1))
        };
        assert_eq!((told("a", 0), told("b", 0), told("b", 1)), (None, None, Some(7)));
    }

    #[test]
    fn holding_twice_is_one_change() {
        let mut partitions = Partitions::default();
        let at = partitions.assign("t", 0, None).at;
        assert_eq!(partitions.hold(std::slice::from_ref(&at), true).count(), 1);
        assert_eq!(partitions.hold(std::slice::from_ref(&at), true).count(), 0);
        assert_eq!(partitions.not_held().count(), 0);
        assert_eq!(partitions.hold(&[at], false).count(), 1);
    }

    #[test]
    fn no_end_is_told_of_a_partition_that_waits_for_routes_and_it_is_told_afterwards() {
        let mut partitions = Partitions::default();
        let at = [partitions.assign("t", 0, Some(0)).at];
        partitions.note("t", 0, 0);
        partitions.let_wait(&at, true);
        partitions.note_end(0); // was queued already
        let ended = |partitions: &mut Partitions| partitions.get_mut("t", 0).unwrap().1.ended(2, true);
        assert_eq!(
            (ended(&mut partitions), ended(&mut partitions)),
            (None, None),
            "it would pass the record that waits"
        );
        partitions.let_wait(&at, false);
        partitions.note_end(0);
        assert_eq!((ended(&mut partitions), ended(&mut partitions)), (None, Some(2)));
    }

    #[test]
    fn a_partition_that_waits_for_routes_and_is_held_goes_on_when_both_are_over() {
        let mut partitions = Partitions::default();
        let at = [partitions.assign("t", 0, None).at];
        assert_eq!(partitions.let_wait(&at, true).count(), 1);
        assert_eq!(partitions.hold(&at, true).count(), 0, "it is paused already");
        assert_eq!(partitions.let_wait(&at, false).count(), 0);
        assert_eq!(partitions.not_held().count(), 0);
        assert_eq!(partitions.hold(&at, false).count(), 1);
        assert_eq!(partitions.not_held().count(), 1);
    }
}
