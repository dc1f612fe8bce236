//! Dead letters on their way: kept until the [`breaker`](super::breaker) lets them out, then written a bounded number at a
//! time, and written again until Kafka acknowledges them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::breaker::Breaker;
use super::entry::{PartitionIx, RecordRef};
use super::failure::Failure;
use super::form::{self, Form};
use super::ledger::Outcome;
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
    /// How much of it is written.
    pub form: Form,
    /// Keys that failed so, those of other parts included.
    pub keys_in_all: usize,
}

impl DeadLetter {
    /// With all that there is to say.
    #[must_use]
    pub fn whole(record: Arc<Record>, failure: Failure) -> Self {
        let keys_in_all = failure.keys.len();
        Self { record, failure, form: Form::Whole, keys_in_all }
    }
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
    /// Those that the breaker let out and that are not out now, by the moment at which they may go.
    outbox: BTreeSet<(Time, LetterId)>,
    /// Those that are out.
    out: usize,
}

impl Letters {
    /// A letter that the breaker is to let out.
    pub(super) fn make(&mut self, source: RecordRef, epoch: u64, record: Arc<Record>, failure: Failure) -> LetterId {
        let content = Arc::new(DeadLetter::whole(record, failure));
        self.all.insert(Letter { source, epoch, content, sent: None, failures: 0 })
    }

    /// From now on it may be written. Its record.
    pub(super) fn let_out(&mut self, id: LetterId) -> Option<RecordRef> {
        let source = self.all.get(id)?.source;
        self.outbox.insert((Time::START, id));
        Some(source)
    }

    /// Its record, and what it says.
    pub(super) fn content(&self, id: LetterId) -> Option<(RecordRef, Arc<DeadLetter>)> {
        self.all.get(id).map(|letter| (letter.source, Arc::clone(&letter.content)))
    }

    /// Forgets a letter that was not let out.
    pub(super) fn remove(&mut self, id: LetterId) {
        self.all.try_remove(id);
    }

    /// What and where it is, for people.
    pub(super) fn describe(&self, id: LetterId) -> String {
        let Some(Letter { content, .. }) = self.all.get(id) else { return String::new() };
        let (Record { topic, partition, offset, .. }, failure) = (&*content.record, &content.failure);
        let said = failure.refusal.as_ref().map(|refusal| {
            let code = refusal.error_code.as_deref().unwrap_or("no code");
            format!(", {} {code} of task {}", refusal.status, refusal.task)
        });
        format!("the last: {topic}[{partition}]@{offset}, {}{}", failure.reason, said.unwrap_or_default())
    }

    /// Forgets the letters of a partition that are not out; those that are out are acknowledged to nobody.
    pub(super) fn forget(&mut self, partition: PartitionIx, breaker: &mut Breaker) {
        let all = &mut self.all;
        let mut stays = |id: LetterId| {
            let stays = all[id].source.partition != partition;
            if !stays {
                all.remove(id);
            }
            stays
        };
        self.outbox.retain(|(_, id)| stays(*id));
        breaker.retain(stays);
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

    /// Letters that the breaker let out and that are not acknowledged.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.outbox.len() + self.out
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
        self.outbox.first().map(|(ready, _)| *ready).filter(|_| self.out < MAX_LETTERS_IN_FLIGHT)
    }
}

impl Pipeline {
    pub(super) fn write_letters(&mut self, now: Time, out: &mut Effects) {
        while self.letters.next_due().is_some_and(|due| due <= now) {
            let Some((_, id)) = self.letters.outbox.pop_first() else { return };
            let letter = &mut self.letters.all[id];
            letter.sent = Some(now);
            self.letters.out += 1;
            out.actions.push(Effect::DeadLetter(id, letter.content.clone()));
        }
    }

    /// A letter is larger than its topic takes: smaller ones take its place. Without any it is tried again as it is.
    pub(super) fn letter_too_large(&mut self, id: LetterId, now: Time) {
        let Some(letter) = self.letters.all.get(id) else { return };
        let (source, epoch) = (letter.source, letter.epoch);
        let parts = form::smaller(&letter.content);
        let Some(partition) = self.partitions.live(source.partition, epoch).filter(|_| !parts.is_empty()) else {
            return self.letter_done(id, false, now);
        };
        let more = parts.len() - 1;
        partition.letters += more;
        if let Some(slot) = partition.ledger.slot(source) {
            slot.open += u32::try_from(more).unwrap_or(u32::MAX);
        }
        if self.letters.all.remove(id).sent.is_some() {
            self.letters.out -= 1;
        }
        for part in parts {
            let id =
                self.letters.all.insert(Letter { source, epoch, content: Arc::new(part), sent: None, failures: 0 });
            self.letters.outbox.insert((Time::START, id));
        }
    }

    pub(super) fn letter_done(&mut self, id: LetterId, written: bool, now: Time) {
        let Some(letter) = self.letters.all.get_mut(id) else {
            return;
        };
        let (source, epoch) = (letter.source, letter.epoch);
        if letter.sent.take().is_some() {
            self.letters.out -= 1;
        }
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
            if let Some(slot) = partition.ledger.slot(source) {
                slot.outcome = Outcome::DeadLettered;
            }
            self.close_one(source);
        }
    }
}
