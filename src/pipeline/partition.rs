//! The partitions that are assigned to this worker, each with its ledger.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::entry::{PartitionIx, TaskIx};
use super::ledger::Ledger;
use super::table::Table;

/// A partition as Kafka names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionName {
    /// The topic.
    pub topic: Arc<str>,
    /// The number, at least 0.
    pub partition: i32,
}

impl std::fmt::Display for PartitionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// One partition, for the life of one assignment.
#[derive(Debug)]
pub struct Partition {
    /// What Kafka calls it.
    pub name: PartitionName,
    /// Tells this assignment from every other one.
    pub epoch: u64,
    /// What is unsettled.
    pub ledger: Ledger,
    /// The commit point that Kafka has acknowledged.
    pub committed: Option<i64>,
    /// Whether it is being given back: nothing more is taken in.
    pub revoking: bool,
    /// Whether its records are detached from everything: no verdict and no acknowledgement reaches them any more.
    pub detached: bool,
    /// Dead letters of its records that the breaker let out and Kafka has not acknowledged.
    pub letters: usize,
    /// Full tasks that it would bring more keys for.
    pub full_tasks: SmallVec<[TaskIx; 1]>,
    /// Whether the consumer was told to pause it.
    pub paused: bool,
}

/// All assigned partitions.
#[derive(Debug, Default)]
pub struct Partitions {
    table: Table<Partition>,
    by_name: FxHashMap<PartitionName, PartitionIx>,
    by_epoch: FxHashMap<u64, PartitionIx>,
}

impl Partitions {
    /// Adds a partition that was just assigned.
    pub fn insert(&mut self, name: PartitionName, epoch: u64, committed: Option<i64>) -> PartitionIx {
        let ix = self.table.insert(Partition {
            name: name.clone(),
            epoch,
            ledger: Ledger::default(),
            committed,
            revoking: false,
            detached: false,
            letters: 0,
            full_tasks: SmallVec::new(),
            paused: false,
        });
        self.by_name.insert(name, ix);
        let other = self.by_epoch.insert(epoch, ix);
        debug_assert!(other.is_none(), "records would go into another partition's ledger");
        ix
    }

    /// Takes a partition out.
    pub fn remove(&mut self, ix: PartitionIx) -> Partition {
        let partition = self.table.remove(ix);
        self.by_name.remove(&partition.name);
        self.by_epoch.remove(&partition.epoch);
        partition
    }

    /// Where a partition of that name is.
    #[must_use]
    pub fn find(&self, name: &PartitionName) -> Option<PartitionIx> {
        self.by_name.get(name).copied()
    }

    /// The partition of that assignment, if it is not over.
    #[must_use]
    pub fn assigned_as(&self, epoch: u64) -> Option<PartitionIx> {
        self.by_epoch.get(&epoch).copied()
    }

    /// The partition at `ix`, if it is still of that assignment.
    pub fn of_epoch(&mut self, ix: PartitionIx, epoch: u64) -> Option<&mut Partition> {
        self.table.get_mut(ix).filter(|partition| partition.epoch == epoch)
    }

    /// The same, if its records are not detached.
    pub fn live(&mut self, ix: PartitionIx, epoch: u64) -> Option<&mut Partition> {
        self.of_epoch(ix, epoch).filter(|partition| !partition.detached)
    }

    /// All partitions.
    pub fn iter(&self) -> impl Iterator<Item = (PartitionIx, &Partition)> {
        self.table.iter()
    }

    /// All partitions.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PartitionIx, &mut Partition)> {
        self.table.iter_mut()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl std::ops::Index<PartitionIx> for Partitions {
    type Output = Partition;
    fn index(&self, ix: PartitionIx) -> &Partition {
        &self.table[ix]
    }
}

impl std::ops::IndexMut<PartitionIx> for Partitions {
    fn index_mut(&mut self, ix: PartitionIx) -> &mut Partition {
        &mut self.table[ix]
    }
}
