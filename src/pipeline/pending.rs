//! The keys of one task that wait to be sent: one entry a key, oldest first, with those that back off set aside.
//! Every operation costs at most O(log n) of what waits, but for [`Pending::retain`], which a revoke calls once.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::entry::{Entries, Entry, EntryId};
use super::key::EncodedKey;
use super::time::Time;

/// Waiting keys of one task.
#[derive(Debug, Default)]
pub struct Pending {
    /// Every waiting entry, by key.
    by_key: HashTable<EntryId>,
    /// Wanted by a revoke: sent before all others.
    urgent: VecDeque<(EntryId, u64)>,
    /// New ones, in order of arrival. May hold entries that are gone; their serial tells.
    fresh: VecDeque<(EntryId, u64)>,
    /// Came back unsent or unanswered and may go again, by age.
    returned: BTreeMap<(Time, u64), EntryId>,
    /// Came back and back off, by the moment at which they may go again.
    delayed: BTreeMap<(Time, u64), EntryId>,
}

impl Pending {
    /// The waiting entry of that key.
    #[must_use]
    pub fn find(&self, key: &EncodedKey, entries: &Entries) -> Option<EntryId> {
        self.by_key.find(hash(key), |id| entries[*id].key == *key).copied()
    }

    /// A new entry begins to wait.
    pub fn push(&mut self, id: EntryId, entries: &Entries) {
        self.index(id, entries);
        self.fresh.push_back((id, entries[id].serial));
    }

    /// An entry comes back and may go again at its `ready_at`.
    pub fn push_back(&mut self, id: EntryId, now: Time, entries: &Entries) {
        self.index(id, entries);
        let Entry { serial, first_seen, ready_at, .. } = entries[id];
        if ready_at <= now {
            self.returned.insert((first_seen, serial), id);
        } else {
            self.delayed.insert((ready_at, serial), id);
        }
    }

    /// Stops to index an entry that is about to be absorbed by another one of the same key.
    pub fn forget(&mut self, id: EntryId, entries: &Entries) {
        let Entry { serial, first_seen, ready_at, ref key, .. } = entries[id];
        if let Ok(found) = self.by_key.find_entry(hash(key), |other| *other == id) {
            found.remove();
        }
        self.returned.remove(&(first_seen, serial));
        self.delayed.remove(&(ready_at, serial));
    }

    /// Lets entries whose backoff has ended go again.
    pub fn wake(&mut self, now: Time, entries: &Entries) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let id = first.remove();
            self.returned.insert((entries[id].first_seen, entries[id].serial), id);
        }
    }

    /// Takes the next entry to send: what a revoke wants first, then by age.
    pub fn pop(&mut self, entries: &Entries) -> Option<EntryId> {
        let id = self.pop_urgent(entries).or_else(|| self.pop_oldest(entries))?;
        if let Ok(found) = self.by_key.find_entry(hash(&entries[id].key), |other| *other == id) {
            found.remove();
        }
        Some(id)
    }

    fn pop_urgent(&mut self, entries: &Entries) -> Option<EntryId> {
        self.skip_gone(entries);
        self.urgent.pop_front().map(|(id, _)| id)
    }

    fn pop_oldest(&mut self, entries: &Entries) -> Option<EntryId> {
        self.skip_gone(entries);
        let fresh = self.fresh.front().map(|(id, serial)| (entries[*id].first_seen, *serial));
        let returned = self.returned.first_key_value().map(|(age, _)| *age);
        match (fresh, returned) {
            (Some(fresh), Some(returned)) if fresh < returned => self.fresh.pop_front().map(|(id, _)| id),
            (_, Some(_)) => self.returned.pop_first().map(|(_, id)| id),
            _ => self.fresh.pop_front().map(|(id, _)| id),
        }
    }

    /// Drops what is no longer there from the front of the queues.
    fn skip_gone(&mut self, entries: &Entries) {
        for queue in [&mut self.urgent, &mut self.fresh] {
            while queue.front().is_some_and(|(id, serial)| entries.live(*id, *serial).is_none()) {
                queue.pop_front();
            }
        }
    }

    /// When the oldest entry that may go now began to wait.
    pub fn oldest(&mut self, entries: &Entries) -> Option<Time> {
        self.skip_gone(entries);
        let queued = [self.urgent.front(), self.fresh.front()].into_iter().flatten();
        let fresh = queued.map(|(id, _)| entries[*id].first_seen).min();
        let returned = self.returned.first_key_value().map(|((age, _), _)| *age);
        fresh.into_iter().chain(returned).min()
    }

    /// When the first entry that backs off may go again.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        self.delayed.first_key_value().map(|((ready, _), _)| *ready)
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
    pub fn has_urgent(&mut self, entries: &Entries) -> bool {
        self.skip_gone(entries);
        !self.urgent.is_empty()
    }

    /// Moves the entries that may go now and that `wanted` picks to the front, in order of age, and names all that are
    /// there then. O(n).
    pub fn hurry(&mut self, entries: &Entries, wanted: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let mut picked: Vec<(Time, u64, EntryId)> = Vec::new();
        self.fresh.retain(|(id, serial)| match entries.live(*id, *serial) {
            Some(entry) if wanted(entry) => {
                picked.push((entry.first_seen, *serial, *id));
                false
            }
            live => live.is_some(),
        });
        self.returned.retain(|(age, serial), id| {
            let stays = !wanted(&entries[*id]);
            if !stays {
                picked.push((*age, *serial, *id));
            }
            stays
        });
        picked.sort_unstable();
        self.urgent.extend(picked.into_iter().map(|(_, serial, id)| (id, serial)));
        self.urgent.retain(|(id, serial)| entries.live(*id, *serial).is_some());
        self.urgent.iter().map(|(id, _)| *id).collect()
    }

    /// Forgets the entries that `keep` does not want, and gives them back. O(n).
    pub fn retain(&mut self, entries: &Entries, keep: impl Fn(&Entry) -> bool) -> Vec<EntryId> {
        let mut gone = Vec::new();
        self.by_key.retain(|id| {
            let stays = keep(&entries[*id]);
            if !stays {
                gone.push(*id);
            }
            stays
        });
        let stays = |id: &EntryId, serial: u64| entries.live(*id, serial).is_some_and(&keep);
        self.urgent.retain(|(id, serial)| stays(id, *serial));
        self.fresh.retain(|(id, serial)| stays(id, *serial));
        self.returned.retain(|(_, serial), id| stays(id, *serial));
        self.delayed.retain(|(_, serial), id| stays(id, *serial));
        gone
    }

    fn index(&mut self, id: EntryId, entries: &Entries) {
        self.by_key.insert_unique(hash(&entries[id].key), id, |other| hash(&entries[*other].key));
    }
}

fn hash(key: &EncodedKey) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(key)
}
