//! An event: the keys of one `CreateSyncEvents` body.

use bytes::Bytes;
use smallvec::SmallVec;

use super::answer::Answer;
use super::entry::{Entries, EntryId, TaskIx};

/// Most keys that OMS takes in one event. Source: the `CreateSyncEvents` API page.
pub const MAX_EVENT_KEYS: usize = 10;

/// Keys that are sent together.
#[derive(Debug)]
pub struct Event {
    /// The task that they belong to.
    pub task: TaskIx,
    /// The keys; 1 to [`MAX_EVENT_KEYS`].
    pub entries: SmallVec<[EntryId; MAX_EVENT_KEYS]>,
    /// Where the keys come from.
    pub origin: Origin,
    /// Submissions of this event so far.
    pub attempts: u32,
}

/// Whether an event's keys may go back to the waiting ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Cut from what waited: it dissolves when it is not answered for good.
    Cut,
    /// Part of an event that OMS refused: it stays as it is until it is accepted or alone.
    Refused,
    /// Part of an event that OMS kept answering with a fault: the same, but a key alone is retried for ever.
    Faulted,
}

/// An event whose keys OMS refused for good.
#[derive(Debug)]
pub struct Doomed {
    /// The event.
    pub event: Event,
    /// Why, as a word in snake case.
    pub reason: &'static str,
    /// What OMS said.
    pub answer: Answer,
}

impl Event {
    /// Both halves, in order, as events of their own. The event has at least two keys.
    #[must_use]
    pub fn halves(mut self, origin: Origin) -> [Self; 2] {
        let second = self.entries.drain(self.entries.len().div_ceil(2)..).collect();
        let half = |entries| Self { task: self.task, entries, origin, attempts: 0 };
        [half(self.entries), half(second)]
    }

    /// The request body: `{"object_keys":["...",...]}`. An encoded key needs no JSON escape.
    #[must_use]
    pub fn body(&self, entries: &Entries) -> Bytes {
        const HEAD: &str = r#"{"object_keys":["#;
        let keys = || self.entries.iter().map(|id| entries[*id].key.as_str());
        let mut body = String::with_capacity(HEAD.len() + keys().map(|key| key.len() + 3).sum::<usize>() + 2);
        body.push_str(HEAD);
        for (at, key) in keys().enumerate() {
            body.push_str(if at == 0 { "\"" } else { ",\"" });
            body.push_str(key);
            body.push('"');
        }
        body.push_str("]}");
        Bytes::from(body)
    }
}
