//! Dead letters on their way: written a bounded number at a time, written again until Kafka acknowledges them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::entry::{PartitionIx, RecordRef};
use super::failure::Failure;
use super::record::Record;
use super::time::Time;
use super::{Effect, Effects, Pipeline};

/// Dead letters that are out at once.
pub const MAX_LETTERS_IN_FLIGHT: usize = 500;

/// Names a dead letter until it is acknowledged.
pub type LetterId = usize;

/// A dead letter: the record, and one kind of what failed in it.
#[derive(Debug)]
pub struct DeadLetter {
    /// The source record.
    pub record: Arc<Record>,
    /// What failed.
    pub failure: Failure,
}

#[derive(Debug)]
struct Letter {
    source: RecordRef,
    epoch: u64,
    content: Arc<DeadLetter>,
    sent: Option<Time>,
    failures: u32,
}

/// All dead letters that are not acknowledged.
#[derive(Debug, Default)]
pub struct Letters {
    all: slab::Slab<Letter>,
    /// Those that are not out, by the moment at which they may go.
    outbox: BTreeSet<(Time, LetterId)>,
}

impl Letters {
    pub(super) fn push(&mut self, source: RecordRef, epoch: u64, record: Arc<Record>, failure: Failure) {
        let content = Arc::new(DeadLetter { record, failure });
        let id = self.all.insert(Letter { source, epoch, content, sent: None, failures: 0 });
        self.outbox.insert((Time::START, id));
    }

    /// Forgets the letters of a partition that are not out; those that are out are acknowledged to nobody.
    pub(super) fn forget(&mut self, partition: PartitionIx) {
        let all = &mut self.all;
        self.outbox.retain(|(_, id)| {
            let stays = all[*id].source.partition != partition;
            if !stays {
                all.remove(*id);
            }
            stays
        });
    }

    /// Letters that are not acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether every letter is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many could not be written so far, and are tried again.
    #[must_use]
    pub fn failing(&self) -> usize {
        self.all.iter().filter(|(_, letter)| letter.failures > 0).count()
    }

    /// When the oldest letter that is out went out.
    #[must_use]
    pub fn oldest_out(&self) -> Option<Time> {
        self.all.iter().filter_map(|(_, letter)| letter.sent).min()
    }

    /// When the next one may go out, where one waits for its time.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        let room = self.all.len() - self.outbox.len() < MAX_LETTERS_IN_FLIGHT;
        self.outbox.first().map(|(ready, _)| *ready).filter(|_| room)
    }
}

impl Pipeline {
    pub(super) fn write_letters(&mut self, now: Time, out: &mut Effects) {
        while self.letters.next_due().is_some_and(|due| due <= now) {
            let Some((_, id)) = self.letters.outbox.pop_first() else { return };
            let letter = &mut self.letters.all[id];
            letter.sent = Some(now);
            out.actions.push(Effect::DeadLetter(id, letter.content.clone()));
        }
    }

    pub(super) fn letter_done(&mut self, id: LetterId, written: bool, now: Time) {
        let Some(letter) = self.letters.all.get_mut(id) else {
            return;
        };
        let (source, epoch) = (letter.source, letter.epoch);
        letter.sent = None;
        let live = self.partitions.live(source.partition, epoch);
        if !written && live.is_some() {
            letter.failures = letter.failures.saturating_add(1);
            let wait = self.settings.backoff.full_jitter(letter.failures, &mut self.random);
            self.letters.outbox.insert((now.after(wait), id));
            return;
        }
        self.letters.all.remove(id);
        if let Some(partition) = live {
            partition.letters -= 1;
            self.close_one(source);
        }
    }
}
