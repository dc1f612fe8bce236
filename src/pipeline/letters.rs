//! Dead letters on their way: written a bounded number at a time, written again until Kafka acknowledges them.

use std::collections::VecDeque;
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
}

/// All dead letters that are not acknowledged.
#[derive(Debug, Default)]
pub struct Letters {
    all: slab::Slab<Letter>,
    outbox: VecDeque<LetterId>,
    failures_in_a_row: u32,
    not_before: Time,
}

impl Letters {
    pub(super) fn push(&mut self, source: RecordRef, epoch: u64, record: Arc<Record>, failure: Failure) {
        let content = Arc::new(DeadLetter { record, failure });
        self.outbox.push_back(self.all.insert(Letter { source, epoch, content, sent: None }));
    }

    /// Forgets the letters of a partition that are not out; those that are out are acknowledged to nobody.
    pub(super) fn forget(&mut self, partition: PartitionIx) {
        let all = &mut self.all;
        self.outbox.retain(|id| {
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

    /// Whether the last letter that was answered could not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failures_in_a_row > 0
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
        (room && !self.outbox.is_empty()).then_some(self.not_before)
    }
}

impl Pipeline {
    pub(super) fn write_letters(&mut self, now: Time, out: &mut Effects) {
        while self.letters.next_due().is_some_and(|due| due <= now) {
            let Some(id) = self.letters.outbox.pop_front() else {
                return;
            };
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
        if written || live.is_none() {
            self.letters.all.remove(id);
        } else {
            self.letters.outbox.push_back(id);
        }
        if !written {
            self.letters.failures_in_a_row = self.letters.failures_in_a_row.saturating_add(1);
            let wait = self.settings.backoff.full_jitter(self.letters.failures_in_a_row, &mut self.random);
            self.letters.not_before = self.letters.not_before.max(now.after(wait));
            return;
        }
        self.letters.failures_in_a_row = 0;
        self.letters.not_before = now;
        if let Some(partition) = live {
            partition.letters -= 1;
            self.close_one(source);
        }
    }
}
