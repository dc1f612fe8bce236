//! What is unsettled of one partition, in the order in which it was read, and the commit point that follows from it.
//! Only unsettled records cost memory: neither offsets that never came nor records that are settled behind one that is
//! not, of which there may be very many while a task is held.

use std::collections::BTreeMap;
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

/// A record that is read and not settled.
#[derive(Debug)]
pub struct Slot {
    /// The record.
    pub record: Arc<Record>,
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
    slots: BTreeMap<Seq, Slot>,
    /// Records that were read.
    read: Seq,
    end: Option<i64>,
}

impl Ledger {
    /// Appends a record that was just read.
    pub fn push(&mut self, slot: Slot) -> Seq {
        let seq = self.read;
        self.read += 1;
        self.end = Some(slot.record.offset + 1);
        self.slots.insert(seq, slot);
        seq
    }

    /// The slot of a record that is not settled.
    pub fn slot(&mut self, seq: Seq) -> Option<&mut Slot> {
        self.slots.get_mut(&seq)
    }

    /// Takes a record out that is settled.
    pub fn settle(&mut self, seq: Seq) -> Option<Slot> {
        self.slots.remove(&seq)
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
        self.slots.first_key_value().map_or(self.end, |(_, slot)| Some(slot.record.offset))
    }

    /// The next offset after the last one that was read.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// Records that are read and not behind the commit point; those that are settled among them are only counted.
    #[must_use]
    pub fn uncommitted(&self) -> usize {
        let first = self.slots.first_key_value().map_or(self.read, |(seq, _)| *seq);
        usize::try_from(self.read - first).unwrap_or(usize::MAX)
    }

    /// Records that are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.slots.len()
    }

    /// When the oldest unsettled record was taken in.
    #[must_use]
    pub fn oldest(&self) -> Option<Time> {
        self.slots.first_key_value().map(|(_, slot)| slot.admitted)
    }

    /// The charges of everything unsettled, added up.
    #[must_use]
    pub fn charged(&self) -> (usize, usize) {
        let charges = self.slots.values().map(|slot| slot.charge);
        charges.fold((0, 0), |sum, charge| (sum.0 + charge.0 as usize, sum.1 + charge.1 as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(offset: i64) -> Slot {
        Slot {
            record: Arc::new(Record::at("t", 0, offset)),
            admitted: Time::START,
            open: 1,
            charge: (1, 200),
            has_ended: false,
            outcome: Outcome::Skipped,
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_commit_point_never_passes_an_unsettled_record() {
        let mut ledger = Ledger::default();
        let seqs = [10, 11, 20].map(|offset| ledger.push(slot(offset)));
        ledger.settle(seqs[1]).unwrap();
        assert_eq!(ledger.commit_point(), Some(10));
        ledger.settle(seqs[0]).unwrap();
        assert_eq!(ledger.commit_point(), Some(20));
        ledger.settle(seqs[2]).unwrap();
        assert_eq!(ledger.commit_point(), Some(21));
        assert_eq!(ledger.uncommitted(), 0);
    }

    #[test]
    fn the_end_of_the_partition_counts_only_when_nothing_is_unsettled() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.commit_point(), None);
        let seq = ledger.push(slot(5));
        ledger.ended(9);
        assert_eq!(ledger.commit_point(), Some(5));
        ledger.settle(seq).unwrap();
        assert_eq!(ledger.commit_point(), Some(9));
    }

    #[test]
    fn a_million_records_settled_behind_one_that_is_not_are_counted_and_cost_nothing() {
        let mut ledger = Ledger::default();
        let held = ledger.push(slot(0));
        for offset in 1..=1_000_000 {
            let seq = ledger.push(slot(offset));
            ledger.settle(seq).unwrap();
        }
        assert_eq!((ledger.uncommitted(), ledger.unsettled(), ledger.charged()), (1_000_001, 1, (1, 200)));
        assert_eq!(ledger.commit_point(), Some(0));
        ledger.settle(held).unwrap();
        assert_eq!((ledger.uncommitted(), ledger.commit_point()), (0, Some(1_000_001)));
    }
}
