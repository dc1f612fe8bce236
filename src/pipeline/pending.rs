//! The keys of one task that wait to be sent: one entry a key, oldest first, with those that back off set aside.
//! Every operation costs at most O(log n) of what waits, but for [`Pending::hurry`] and [`Pending::retain`], which a revoke
//! calls once.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::chain::Chain;
use super::entry::{Entries, Entry, EntryId};
use super::key::EncodedKey;
use super::time::Time;

/// Waiting keys of one task.
#[derive(Debug, Default)]
pub struct Pending {
    /// Every waiting entry, by key.
    by_key: HashTable<EntryId>,
    /// Wanted by a revoke: sent before all others.
    urgent: Chain,
    /// New ones, in order of arrival.
    fresh: Chain,
    /// Came back unsent or unanswered and may go again, by age.
    returned: BTreeSet<(Time, EntryId)>,
    /// Came back and back off, by the moment at which they may go again.
    delayed: BTreeSet<(Time, EntryId)>,
}

/// Where an entry waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nowhere: it is sent, or part of an event that stays as it is.
    Out,
    /// Wanted by a revoke.
    Urgent,
    /// New.
    Fresh,
    /// Came back and may go again.
    Returned,
    /// Backs off.
    Delayed,
}

impl Pending {
    /// The waiting entry of that key.
    #[must_use]
    pub fn find(&self, key: &EncodedKey, entries: &Entries) -> Option<EntryId> {
        self.by_key.find(hash(key), |id| entries[*id].key == *key).copied()
    }

    /// A new entry begins to wait.
    pub fn push(&mut self, id: EntryId, entries: &mut Entries) {
        self.index(id, entries);
        self.fresh.push(id, entries);
        entries[id].place = Place::Fresh;
    }

    /// An entry comes back and may go again at its `ready_at`.
    pub fn push_back(&mut self, id: EntryId, now: Time, entries: &mut Entries) {
        self.index(id, entries);
        let entry = &mut entries[id];
        if entry.ready_at <= now {
            self.returned.insert((entry.first_seen, id));
            entry.place = Place::Returned;
        } else {
            self.delayed.insert((entry.ready_at, id));
            entry.place = Place::Delayed;
        }
    }

    /// Takes out an entry that waits.
    pub fn take(&mut self, id: EntryId, entries: &mut Entries) {
        if let Ok(found) = self.by_key.find_entry(hash(&entries[id].key), |other| *other == id) {
            found.remove();
        }
        self.leave(id, entries);
    }

    /// Lets entries whose backoff has ended go again.
    pub fn wake(&mut self, now: Time, entries: &mut Entries) {
        while let Some((ready, id)) = self.delayed.first().copied() {
            if ready > now {
                return;
            }
            self.delayed.pop_first();
            self.returned.insert((entries[id].first_seen, id));
            entries[id].place = Place::Returned;
        }
    }

    /// Takes the next entry to send: what a revoke wants first, then by age.
    pub fn pop(&mut self, entries: &mut Entries) -> Option<EntryId> {
        let id = self.urgent.first().or_else(|| self.first_by_age(entries))?;
        self.take(id, entries);
        Some(id)
    }

    fn first_by_age(&self, entries: &Entries) -> Option<EntryId> {
        let fresh = self.fresh.first().map(|id| (entries[id].first_seen, id));
        fresh.into_iter().chain(self.returned.first().copied()).min().map(|(_, id)| id)
    }

    /// When the oldest entry that may go now began to wait.
    #[must_use]
    pub fn oldest(&self, entries: &Entries) -> Option<Time> {
        let first = self.urgent.first().into_iter().chain(self.first_by_age(entries));
        first.map(|id| entries[id].first_seen).min()
    }

    /// When the first entry that backs off may go again.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        self.delayed.first().map(|(ready, _)| *ready)
    }

    /// Entries that may go now.
    #[must_use]
    pub fn sendable(&self) -> usize {
        self.by_key.len() - self.delayed.len()
    }

    /// Entries that wait, those that back off included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Every entry that waits, in no order.
    pub fn ids(&self) -> impl Iterator<Item = EntryId> {
        self.by_key.iter().copied()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether a revoke waits for an entry here.
    #[must_use]
    pub fn has_urgent(&self) -> bool {
        self.urgent.first().is_some()
    }

    /// Moves the entries that may go now and that `wanted` picks to the front, in order of age, and names all that are
    /// there then. O(n).
    pub fn hurry(&mut self, entries: &mut Entries, wanted: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let may_go = |place| matches!(place, Place::Fresh | Place::Returned);
        let picks = |id: &EntryId| may_go(entries[*id].place) && wanted(&entries[*id]);
        let mut picked: Vec<_> = self.ids().filter(picks).map(|id| (entries[id].first_seen, id)).collect();
        picked.sort_unstable();
        for (_, id) in picked {
            self.leave(id, entries);
            self.urgent.push(id, entries);
            entries[id].place = Place::Urgent;
        }
        self.urgent.ids(entries)
    }

    /// Forgets the entries that `keep` does not want, and gives them back. O(n).
    pub fn retain(&mut self, entries: &mut Entries, keep: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let gone: Vec<EntryId> = self.ids().filter(|id| !keep(&entries[*id])).collect();
        for id in &gone {
            self.take(*id, entries);
        }
        gone
    }

    fn index(&mut self, id: EntryId, entries: &Entries) {
        self.by_key.insert_unique(hash(&entries[id].key), id, |other| hash(&entries[*other].key));
    }

    fn leave(&mut self, id: EntryId, entries: &mut Entries) {
        let Entry { first_seen, ready_at, .. } = entries[id];
        match std::mem::replace(&mut entries[id].place, Place::Out) {
            Place::Out => {}
            Place::Urgent => self.urgent.remove(id, entries),
            Place::Fresh => self.fresh.remove(id, entries),
            Place::Returned => drop(self.returned.remove(&(first_seen, id))),
            Place::Delayed => drop(self.delayed.remove(&(ready_at, id))),
        }
    }
}

fn hash(key: &EncodedKey) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(key)
}
