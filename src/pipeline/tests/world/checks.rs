//! What holds after each step, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::pipeline::entry::{EntryId, TaskIx};

impl World {
    pub(in crate::pipeline::tests) fn check_commit(&self, partition: usize, offset: i64) {
        assert!(self.assigned[partition].is_some(), "a partition that is not ours is not committed");
        let passed = &self.logs[partition][..usize::try_from(offset).unwrap()];
        let open: Vec<_> = passed.iter().enumerate().filter(|(_, changes)| !changes.is_empty()).collect();
        assert!(open.is_empty(), "commit {offset} of {partition} passes {open:?}");
    }

    /// Every entry is in exactly one place; nothing is cut short while more may go.
    pub(in crate::pipeline::tests) fn check_places(&mut self) {
        let mut places: BTreeMap<EntryId, usize> = BTreeMap::new();
        for (_, task) in self.pipeline.tasks.iter() {
            let mut keys = BTreeSet::new();
            let doomed = task.doomed.iter().map(|doomed| &doomed.event);
            let parts = task.parts.values().chain(doomed).flat_map(|part| part.entries.iter().copied());
            for id in task.pending.ids().chain(parts) {
                *places.entry(id).or_default() += 1;
            }
            for id in task.pending.ids() {
                assert!(keys.insert(self.pipeline.entries[id].key.clone()), "a key waits in one entry only");
            }
        }
        for (_, sent) in &self.pipeline.flight {
            for id in &sent.event.entries {
                *places.entry(*id).or_default() += 1;
            }
        }
        assert!(places.values().all(|count| *count == 1), "an entry is in one place: {places:?}");
        assert_eq!(places.len(), self.pipeline.entries.len(), "no entry is nowhere");
        self.check_charges();
        let (changes, _) = self.pipeline.budget.used();
        let charged: usize = self.pipeline.partitions.iter().map(|(_, p)| p.ledger.charged().0).sum();
        let detached = self.pipeline.partitions.iter().any(|(_, p)| p.detached);
        assert!(detached || changes == charged, "the budget is what the ledgers hold: {changes}, {charged}");
    }

    /// Each task is charged for what waits for its keys, and for nothing else.
    fn check_charges(&mut self) {
        let mut charges: BTreeMap<TaskIx, (usize, usize)> = BTreeMap::new();
        for (_, entry) in self.pipeline.entries.iter_mut() {
            for record in &entry.records {
                let slot = self.pipeline.partitions[record.partition].ledger.slot(*record).unwrap();
                let sum = charges.entry(entry.task).or_default();
                *sum = (sum.0 + slot.part().0, sum.1 + slot.part().1);
            }
        }
        for (ix, task) in self.pipeline.tasks.iter() {
            assert_eq!(task.charged, charges.get(&ix).copied().unwrap_or_default(), "{}", task.id);
        }
    }
}
