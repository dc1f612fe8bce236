//! What is unsettled of one partition, in the order in which it was read, and the commit point that follows from it.
//! Only unsettled records cost memory: neither offsets that never came nor records that are settled behind one that is
//! not, of which there may be very many while a task is held.

use super::chain::{Chain, Linked, Links};
use super::entry::{PartitionIx, RecordRef};
use super::failure::Failures;
use super::kept::Kept;
use super::table::Table;
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
    pub record: Kept,
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
    pub failures: Failures,
}

/// A slot among the other unsettled ones.
#[derive(Debug)]
struct Place {
    seq: Seq,
    links: Links,
    slot: Slot,
}

impl Linked for Place {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// The unsettled records of one partition.
#[derive(Debug, Default)]
pub struct Ledger {
    slots: Table<Place>,
    /// In the order in which they were read.
    order: Chain,
    /// Records that were read.
    read: Seq,
    end: Option<i64>,
}

impl Ledger {
    /// Appends a record that was just read. `partition` goes into what refers to it.
    pub fn push(&mut self, partition: PartitionIx, slot: Slot) -> RecordRef {
        let seq = self.read;
        self.read += 1;
        self.end = Some(slot.record.offset() + 1);
        let id = self.slots.insert(Place { seq, links: Links::LOOSE, slot });
        self.order.push(id, &mut self.slots);
        RecordRef { partition, slot: id, seq }
    }

    /// The slot of a record that is not settled.
    pub fn slot(&mut self, record: RecordRef) -> Option<&mut Slot> {
        let place = self.slots.get_mut(record.slot)?;
        (place.seq == record.seq).then_some(&mut place.slot)
    }

    /// Takes a record out that is settled.
    pub fn settle(&mut self, record: RecordRef) -> Option<Slot> {
        self.slot(record)?;
        self.order.remove(record.slot, &mut self.slots);
        Some(self.slots.remove(record.slot).slot)
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
        self.first().map_or(self.end, |first| Some(first.slot.record.offset()))
    }

    /// The next offset after the last one that was read.
    #[must_use]
    pub fn end(&self) -> Option<i64> {
        self.end
    }

    /// Records that are read and not behind the commit point; those that are settled among them are only counted.
    #[must_use]
    pub fn uncommitted(&self) -> usize {
        let first = self.first().map_or(self.read, |first| first.seq);
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
        self.first().map(|first| first.slot.admitted)
    }

    fn first(&self) -> Option<&Place> {
        self.slots.get(self.order.first()?)
    }

    /// The charges of everything unsettled, added up.
    #[must_use]
    pub fn charged(&self) -> (usize, usize) {
        let charges = self.slots.iter().map(|(_, place)| place.slot.charge);
        charges.fold((0, 0), |sum, charge| (sum.0 + charge.0 as usize, sum.1 + charge.1 as usize))
    }
}

impl Slot {
    /// What of its charge is each change's: one change, and its part of the bytes.
    #[must_use]
    pub fn part(&self) -> (usize, usize) {
        (1, (self.charge.1 / self.charge.0.max(1)) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::record::Record;

    fn slot(offset: i64) -> Slot {
        Slot {
            record: Kept::from(&Record::at("t", 0, offset)),
            admitted: Time::START,
            open: 1,
            charge: (1, 200),
            has_ended: false,
            outcome: Outcome::Skipped,
            failures: Failures::default(),
        }
    }

    #[test]
    fn the_commit_point_never_passes_an_unsettled_record() {
        let mut ledger = Ledger::default();
        let seqs = [10, 11, 20].map(|offset| ledger.push(0, slot(offset)));
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
        let seq = ledger.push(0, slot(5));
        ledger.ended(9);
        assert_eq!(ledger.commit_point(), Some(5));
        ledger.settle(seq).unwrap();
        assert_eq!(ledger.commit_point(), Some(9));
    }

    #[test]
    fn a_million_records_settled_behind_one_that_is_not_are_counted_and_cost_nothing() {
        let mut ledger = Ledger::default();
        let held = ledger.push(0, slot(0));
        for offset in 1..=1_000_000 {
            let seq = ledger.push(0, slot(offset));
            ledger.settle(seq).unwrap();
        }
        assert_eq!((ledger.uncommitted(), ledger.unsettled(), ledger.charged()), (1_000_001, 1, (1, 200)));
        assert_eq!(ledger.commit_point(), Some(0));
        ledger.settle(held).unwrap();
        assert_eq!((ledger.uncommitted(), ledger.commit_point()), (0, Some(1_000_001)));
    }

    #[test]
    fn what_is_settled_is_not_found_again_even_where_another_record_took_its_place() {
        let mut ledger = Ledger::default();
        let first = ledger.push(0, slot(0));
        ledger.settle(first).unwrap();
        let second = ledger.push(0, slot(1));
        assert_eq!(second.slot, first.slot);
        assert!(ledger.slot(first).is_none() && ledger.settle(first).is_none());
        assert_eq!(ledger.slot(second).unwrap().record.offset(), 1);
    }

    #[test]
    fn the_commit_point_is_the_oldest_unsettled_record_in_whatever_order_they_are_settled() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut ledger, mut unsettled) = (Ledger::default(), Vec::new());
        for offset in 0..2_000 {
            unsettled.push(ledger.push(0, slot(offset)));
            while unsettled.len() > 20 || random.bool() && !unsettled.is_empty() {
                let settled = unsettled.remove(random.usize(..unsettled.len()));
                assert!(ledger.settle(settled).is_some());
            }
            let oldest = unsettled.first().map_or(ledger.read, |record| record.seq);
            assert_eq!(ledger.commit_point(), Some(i64::try_from(oldest).unwrap()));
            assert_eq!((ledger.unsettled(), ledger.uncommitted() as u64), (unsettled.len(), ledger.read - oldest));
        }
    }
}
