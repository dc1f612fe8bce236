//! A key on its way to OMS, with the records that wait for it.

use smallvec::SmallVec;

use super::chain::{Linked, Links};
use super::key::EncodedKey;
use super::ledger::Seq;
use super::pending::Place;
use super::table::{Id, Table};
use super::time::Time;

/// Index of an entry in [`Entries`].
pub type EntryId = Id;
/// Index of a task in the task table.
pub type TaskIx = Id;
/// Index of an assigned partition.
pub type PartitionIx = Id;

/// A record that waits for a key: its partition and its place in that partition's ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRef {
    /// The partition.
    pub partition: PartitionIx,
    /// Where it is in its ledger.
    pub slot: Id,
    /// Tells it from a later record in the same place.
    pub seq: Seq,
}

/// One key of one task, from the first record that asks for it until its verdict.
#[derive(Debug)]
pub struct Entry {
    /// The task.
    pub task: TaskIx,
    /// The key, encoded.
    pub key: EncodedKey,
    /// Everything that settles with this key, oldest first.
    pub records: SmallVec<[RecordRef; 1]>,
    /// When the oldest of them was taken in; the entry's age counts from here.
    pub first_seen: Time,
    /// Until when it backs off.
    pub ready_at: Time,
    /// Submissions so far that carried this key.
    pub attempts: u32,
    /// Answers of 500, 502 or 504 so far.
    pub faults: u32,
    /// When the first of these came.
    pub faulted_at: Time,
    /// Whether a revoke waits for it.
    pub owed: bool,
    /// Where it waits; kept by its task's [`Pending`](super::pending::Pending), as are its neighbours there.
    pub(super) place: Place,
    links: Links,
}

impl Linked for Entry {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// All entries, waiting and sent.
pub type Entries = Table<Entry>;

impl Entry {
    /// A key that waits for one record, in no place yet.
    #[must_use]
    pub fn new(task: TaskIx, key: EncodedKey, record: RecordRef, now: Time) -> Self {
        Self {
            task,
            key,
            records: SmallVec::from_buf([record]),
            first_seen: now,
            ready_at: now,
            attempts: 0,
            faults: 0,
            faulted_at: now,
            owed: false,
            place: Place::Out,
            links: Links::LOOSE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_entries_are_88_megabytes_beside_their_keys() {
        assert_eq!(size_of::<Entry>(), 88);
    }
}
