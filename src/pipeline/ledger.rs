//! What is unsettled of one partition, in the order in which it was read, and the commit point that follows from it.
//! Gaps between offsets cost nothing: there is one slot a record read, none for an offset that never came.

use std::collections::VecDeque;
use std::sync::Arc;

use super::failure::Failure;
use super::record::Record;
use super::time::Time;

/// Place of a record in its partition's ledger; counts up from 0 for the life of an assignment.
pub type Seq = u64;

/// How a record was settled. Where its parts ended differently, the worst one counts: the later in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// Nothing in it needed a sync.
    Skipped,
    /// OMS accepted what it asked for.
    Accepted,
    /// A part of it was dead-lettered, and Kafka has acknowledged that.
    DeadLettered,
}

/// A record that is read and not yet behind the commit point.
#[derive(Debug)]
pub struct Slot {
    /// The record; dropped as soon as it is settled.
    pub record: Option<Arc<Record>>,
    /// Its offset.
    pub offset: i64,
    /// When the pipeline took it in.
    pub admitted: Time,
    /// Verdicts and acknowledgements that it still waits for.
    pub open: u32,
    /// What the budget was charged for it: changes and bytes.
    pub charge: (u32, u32),
    /// Whether all of it had a verdict once.
    pub has_ended: bool,
    /// The worst that happened to a part of it so far.
    pub outcome: Outcome,
    /// What failed for good, by kind; becomes dead letters when nothing else is open.
    pub failures: Vec<Failure>,
}

/// The unsettled records of one partition.
#[derive(Debug, Default)]
pub struct Ledger {
    first: Seq,
    slots: VecDeque<Slot>,
    end: Option<i64>,
}

impl Ledger {
    /// Appends a record that was just read.
    pub fn push(&mut self, slot: Slot) -> Seq {
        self.end = Some(slot.offset + 1);
        self.slots.push_back(slot);
        self.first + self.slots.len() as u64 - 1
    }

    /// The slot of a record that is not yet behind the commit point.
    pub fn slot(&mut self, seq: Seq) -> Option<&mut Slot> {
        let index = seq.checked_sub(self.first)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }

    /// Drops settled slots from the front.
    pub fn advance(&mut self) {
        while self.slots.front().is_some_and(Slot::is_settled) {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// Learns that there is nothing to read below `offset`: control records and compacted ones count as read. Whether
    /// that is news.
    pub fn ended(&mut self, offset: i64) -> bool {
        let news = self.end.is_none_or(|end| end < offset);
        if news {
            self.end = Some(offset);
        }
        news
    }

    /// The next offset to read after a crash: all before it is settled. `None` before anything is known.
    #[must_use]
    pub fn commit_point(&self) -> Option<i64> {
        self.slots.front().map_or(self.end, |slot| Some(slot.offset))
    }

    /// The next offset after the last one that was read.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// Records that are read and not behind the commit point.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether everything read is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// When the oldest unsettled record was taken in.
    #[must_use]
    pub fn oldest(&self) -> Option<Time> {
        self.slots.front().map(|slot| slot.admitted)
    }

    /// The charges of everything unsettled, added up.
    #[must_use]
    pub fn charged(&self) -> (usize, usize) {
        let unsettled = self.slots.iter().filter(|slot| !slot.is_settled());
        unsettled.fold((0, 0), |(changes, bytes), s| (changes + s.charge.0 as usize, bytes + s.charge.1 as usize))
    }
}

impl Slot {
    /// Whether nothing of the record is open any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.record.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(offset: i64) -> Slot {
        let record = Record::at("t", 0, offset);
        Slot {
            record: Some(Arc::new(record)),
            offset,
            admitted: Time::START,
            open: 1,
            charge: (1, 200),
            has_ended: false,
            outcome: Outcome::Skipped,
            failures: Vec::new(),
        }
    }

    fn settle(ledger: &mut Ledger, seq: Seq) {
        ledger.slot(seq).unwrap().record = None;
        ledger.advance();
    }

    #[test]
    fn the_commit_point_never_passes_an_unsettled_record() {
        let mut ledger = Ledger::default();
        let seqs = [10, 11, 20].map(|offset| ledger.push(slot(offset)));
        settle(&mut ledger, seqs[1]);
        assert_eq!(ledger.commit_point(), Some(10));
        settle(&mut ledger, seqs[0]);
        assert_eq!(ledger.commit_point(), Some(20));
        settle(&mut ledger, seqs[2]);
        assert_eq!(ledger.commit_point(), Some(21));
        assert!(ledger.is_empty());
    }

    #[test]
    fn the_end_of_the_partition_counts_only_when_nothing_is_unsettled() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.commit_point(), None);
        let seq = ledger.push(slot(5));
        ledger.ended(9);
        assert_eq!(ledger.commit_point(), Some(5));
        settle(&mut ledger, seq);
        assert_eq!(ledger.commit_point(), Some(9));
    }

    #[test]
    fn a_settled_slot_behind_an_unsettled_one_is_not_charged() {
        let mut ledger = Ledger::default();
        ledger.push(slot(0));
        let second = ledger.push(slot(1));
        settle(&mut ledger, second);
        assert_eq!((ledger.len(), ledger.charged()), (2, (1, 200)));
    }
}
