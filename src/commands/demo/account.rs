//! The reconciliation: what became of every change that was written. Pure: it compares what Kafka confirmed with what
//! the simulator accepted, with the dead letters and with the commit points, and knows nothing of the worker.

use std::collections::{BTreeMap, HashMap};

use crate::simulator::Accepted;

use super::evidence::Letter;
use super::plan::{Change, REFUSED_PREFIX};
use super::subject::task_of;
use super::writer::Written;

/// A task and a raw key.
pub(super) type TaskKey = (String, String);

/// What is to be reconciled.
pub(super) struct Found<'a> {
    /// The records that Kafka confirmed.
    pub(super) written: &'a [Written],
    /// The keys that the simulator accepted.
    pub(super) accepted: &'a HashMap<TaskKey, Accepted>,
    /// The dead-letter topic.
    pub(super) letters: Vec<Letter>,
    /// The next offset to read, by partition.
    pub(super) commit_points: &'a BTreeMap<i32, i64>,
}

/// What became of the changes. `changes + duplicates` is `accepted + coalesced + refused + undecodable + skipped + lost`,
/// plus those wrongly dead-lettered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Account {
    /// Records that Kafka confirmed.
    pub(super) records: u64,
    /// Changes in them; the poison record counts as one.
    pub(super) changes: u64,
    /// Different objects that were to be synchronized.
    pub(super) distinct_keys: u64,
    /// Keys in accepted events, each time.
    pub(super) accepted: u64,
    /// Repeated changes that one accepted key stands for.
    pub(super) coalesced: u64,
    /// Changes in dead letters because OMS refused them, as planned.
    pub(super) refused: u64,
    /// Records in dead letters because nobody can read them, as planned.
    pub(super) undecodable: u64,
    /// Deletes, behind the commit point, neither sent nor dead-lettered.
    pub(super) skipped: u64,
    /// Changes that nothing accounts for.
    pub(super) lost: u64,
    /// Keys accepted, or dead-lettered, more often than there were changes.
    pub(super) duplicates: u64,
    /// Changes in dead letters that OMS would have taken, and letters that belong to nothing.
    pub(super) wrongly_dead_lettered: u64,
    /// Keys that OMS was sent though no change asked for it.
    pub(super) wrongly_sent: u64,
}

impl Account {
    /// Accounts for everything.
    pub(super) fn new(found: Found<'_>) -> Self {
        let mut account = Self { records: found.written.len() as u64, ..Self::default() };
        let mut letters = Letters::new(found.letters);
        let mut waiting: HashMap<TaskKey, Vec<u64>> = HashMap::new();
        for record in found.written {
            account.changes += record.changes.len().max(1) as u64;
            if record.changes.is_empty() {
                let copies = letters.take(record, None);
                account.undecodable += u64::from(copies > 0);
                account.lost += u64::from(copies == 0);
                account.duplicates += copies.saturating_sub(1);
            }
            for change in &record.changes {
                let at = (task_of(&change.bucket), change.key.clone());
                let copies = letters.take(record, Some(&at));
                account.duplicates += copies.saturating_sub(1);
                if change.deleted {
                    let passed = found.commit_points.get(&record.partition).is_some_and(|next| *next > record.offset);
                    account.delete(passed, copies);
                    continue;
                }
                let writes = waiting.entry(at).or_default();
                if copies == 0 {
                    writes.push(record.at_ms);
                } else {
                    account.dead_lettered(change);
                }
            }
        }
        account.distinct_keys = waiting.len() as u64;
        for (at, writes) in &waiting {
            account.accept(writes, found.accepted.get(at).copied());
        }
        account.wrongly_sent += found.accepted.keys().filter(|at| !waiting.contains_key(*at)).count() as u64;
        account.wrongly_dead_lettered += letters.left();
        account
    }

    /// Whether everything became what it was to become. Duplicates are allowed: the promise is at least once.
    pub(super) fn is_sound(&self) -> bool {
        self.lost == 0 && self.wrongly_dead_lettered == 0 && self.wrongly_sent == 0
    }

    fn delete(&mut self, passed: bool, copies: u64) {
        if copies > 0 {
            self.wrongly_dead_lettered += 1;
        } else if passed {
            self.skipped += 1;
        } else {
            self.lost += 1;
        }
    }

    fn dead_lettered(&mut self, change: &Change) {
        if change.key.starts_with(REFUSED_PREFIX) {
            self.refused += 1;
        } else {
            self.wrongly_dead_lettered += 1;
        }
    }

    /// A change is accounted for only by a request that arrived after its record was written.
    fn accept(&mut self, writes: &[u64], accepted: Option<Accepted>) {
        let (count, last_ms) = accepted.map_or((0, None), |key| (u64::from(key.count), Some(key.last_arrival_ms)));
        let settled = writes.iter().filter(|written| last_ms.is_some_and(|last| last >= **written)).count() as u64;
        self.lost += writes.len() as u64 - settled;
        self.accepted += count;
        self.coalesced += settled.saturating_sub(count);
        self.duplicates += count.saturating_sub(settled);
    }
}

/// The dead letters that nothing has explained yet: by source record and failed key, how many.
struct Letters(HashMap<(i32, i64, Option<TaskKey>), u64>);

impl Letters {
    fn new(letters: Vec<Letter>) -> Self {
        let mut all = HashMap::new();
        for Letter { partition, offset, task, keys } in letters {
            let task = task.unwrap_or_default();
            if keys.is_empty() {
                *all.entry((partition, offset, None)).or_default() += 1;
            }
            for key in keys {
                *all.entry((partition, offset, Some((task.clone(), key)))).or_default() += 1;
            }
        }
        Self(all)
    }

    /// How many there are of this record and key; they are explained by that.
    fn take(&mut self, record: &Written, at: Option<&TaskKey>) -> u64 {
        self.0.remove(&(record.partition, record.offset, at.cloned())).unwrap_or_default()
    }

    fn left(&self) -> u64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "in/01/a";
    const REFUSED: &str = "in/00/a";

    fn written(offset: i64, at_ms: u64, changes: &[(&str, bool)]) -> Written {
        let change = |&(key, deleted): &(&str, bool)| Change { bucket: "b".into(), key: key.into(), deleted };
        Written { partition: 0, offset, at_ms, changes: changes.iter().map(change).collect() }
    }

    fn letter(offset: i64, keys: &[&str]) -> Letter {
        let task = (!keys.is_empty()).then(|| task_of("b"));
        Letter { partition: 0, offset, task, keys: keys.iter().map(|key| (*key).to_owned()).collect() }
    }

    fn account(written: &[Written], accepted: &[(&str, u32, u64)], letters: Vec<Letter>) -> Account {
        let accepted = accepted
            .iter()
            .map(|&(key, count, last_arrival_ms)| ((task_of("b"), key.to_owned()), Accepted { count, last_arrival_ms }))
            .collect();
        let commit_points = BTreeMap::from([(0, 10)]);
        Account::new(Found { written, accepted: &accepted, letters, commit_points: &commit_points })
    }

    #[test]
    fn a_key_that_no_request_carried_after_its_record_was_written_is_lost() {
        let never = account(&[written(0, 5, &[(GOOD, false)])], &[], Vec::new());
        assert_eq!((never.lost, never.is_sound()), (1, false));
        let before = [written(0, 5, &[(GOOD, false)]), written(1, 9, &[(GOOD, false)])];
        let before = account(&before, &[(GOOD, 1, 8)], Vec::new());
        assert_eq!((before.lost, before.accepted, before.coalesced), (1, 1, 0));
    }

    #[test]
    fn repeats_are_coalesced_or_accepted_again_and_more_than_that_is_a_duplicate() {
        let twice = [written(0, 1, &[(GOOD, false)]), written(1, 2, &[(GOOD, false)])];
        for (count, coalesced, duplicates) in [(1, 1, 0), (2, 0, 0), (3, 0, 1)] {
            let account = account(&twice, &[(GOOD, count, 2)], Vec::new());
            assert_eq!((account.coalesced, account.duplicates, account.lost), (coalesced, duplicates, 0));
            assert!(account.is_sound());
        }
    }

    #[test]
    fn a_refused_key_is_accounted_for_by_a_dead_letter_of_its_own_record_only() {
        let twice = [written(0, 1, &[(REFUSED, false)]), written(1, 2, &[(REFUSED, false)])];
        let both = account(&twice, &[], vec![letter(0, &[REFUSED]), letter(1, &[REFUSED])]);
        assert_eq!((both.refused, both.lost, both.is_sound()), (2, 0, true));
        let one = account(&twice, &[], vec![letter(0, &[REFUSED]), letter(0, &[REFUSED])]);
        assert_eq!((one.refused, one.lost, one.duplicates), (1, 1, 1));
    }

    #[test]
    fn the_poison_record_is_accounted_for_by_its_dead_letter() {
        let found = account(&[written(0, 1, &[])], &[], vec![letter(0, &[])]);
        assert_eq!((found.changes, found.undecodable, found.is_sound()), (1, 1, true));
        assert_eq!(account(&[written(0, 1, &[])], &[], Vec::new()).lost, 1);
    }

    #[test]
    fn a_dead_letter_of_a_good_key_or_of_nothing_is_wrong() {
        let good = account(&[written(0, 1, &[(GOOD, false)])], &[], vec![letter(0, &[GOOD])]);
        assert_eq!((good.wrongly_dead_lettered, good.lost, good.is_sound()), (1, 0, false));
        assert_eq!(account(&[], &[], vec![letter(7, &[GOOD])]).wrongly_dead_lettered, 1);
    }

    #[test]
    fn a_delete_is_skipped_once_the_commit_point_has_passed_it_and_is_never_sent() {
        let skipped = account(&[written(9, 1, &[(GOOD, true)])], &[], Vec::new());
        assert_eq!((skipped.skipped, skipped.distinct_keys, skipped.is_sound()), (1, 0, true));
        assert_eq!(account(&[written(10, 1, &[(GOOD, true)])], &[], Vec::new()).lost, 1);
        let sent = account(&[written(9, 1, &[(GOOD, true)])], &[(GOOD, 1, 2)], Vec::new());
        assert_eq!((sent.wrongly_sent, sent.is_sound()), (1, false));
    }

    #[test]
    fn the_figures_add_up() {
        let all = [
            written(0, 1, &[(GOOD, false), (REFUSED, false), ("in/02/b", true)]),
            written(1, 2, &[(GOOD, false)]),
            written(2, 3, &[]),
        ];
        let found = account(&all, &[(GOOD, 1, 4)], vec![letter(0, &[REFUSED]), letter(2, &[])]);
        let Account { changes, accepted, coalesced, refused, undecodable, skipped, lost, duplicates, .. } = found;
        assert_eq!(changes + duplicates, accepted + coalesced + refused + undecodable + skipped + lost);
        assert_eq!((found.records, changes, found.distinct_keys), (3, 5, 2));
    }
}
