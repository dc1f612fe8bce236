//! What is written to the source topic, and what must become of it. Pure: the same seed draws the same records, and what
//! a record must come to is read from its Kafka key. Never looks at what the worker did.

use serde_json::json;

/// Tasks of the project; the last one is small, and is the one that is deleted and made again.
pub(crate) const TASKS: u32 = 8;
/// The small one.
pub(crate) const REMOVABLE: u32 = TASKS - 1;
/// Keys in a row that are of one task.
const BLOCK: u32 = 16;
/// Every so many blocks one is of the small task.
const SMALL_SHARE: u32 = 64;
/// How far back a key is taken that is written again.
const REPEAT_WITHIN: u32 = 5_000;

/// What a record is, and with that what must become of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    /// Keys that OMS takes.
    Plain,
    /// One key that OMS refuses: a dead letter.
    Refused,
    /// Keys that OMS takes, and one that it refuses: a dead letter that names the latter alone.
    Mixed,
    /// No record that can be read: a dead letter.
    Poison,
    /// A delete: nothing at all.
    Skipped,
}

/// What a record must come to: its kind, and its keys `first..first + count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) first: u32,
    pub(crate) count: u8,
}

/// A record as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Draft {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A key of an accepted event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AcceptedKey {
    /// One that OMS takes.
    Good(u32),
    /// One that must not have been accepted, as it came.
    Foreign(String),
}

impl Kind {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Plain, "plain"),
        (Self::Refused, "refused"),
        (Self::Mixed, "mixed"),
        (Self::Poison, "poison"),
        (Self::Skipped, "skipped"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Whether a dead letter must be written, whatever else happens.
    pub(crate) fn wants_letter(self) -> bool {
        matches!(self, Self::Refused | Self::Mixed | Self::Poison)
    }
}

impl Expected {
    /// Reads the Kafka key of a record.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(key).ok()?.split(' ');
        let name = parts.next()?;
        let (kind, _) = Kind::ALL.into_iter().find(|(_, other)| *other == name)?;
        let expected = Self { kind, first: parts.next()?.parse().ok()?, count: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(expected)
    }

    /// The keys that OMS must have accepted.
    pub(crate) fn good_keys(self) -> std::ops::Range<u32> {
        let wanted = matches!(self.kind, Kind::Plain | Kind::Mixed);
        self.first..self.first + if wanted { u32::from(self.count) } else { 0 }
    }

    /// The task that all its keys are of.
    pub(crate) fn task(self) -> u32 {
        task_of(self.first)
    }

    /// The raw key that OMS refuses.
    pub(crate) fn refused_key(self) -> Option<String> {
        matches!(self.kind, Kind::Refused | Kind::Mixed).then(|| format!("refuse/{}", self.first))
    }

    fn draft(self) -> Draft {
        let task = task_name(self.task());
        let mut keys: Vec<_> = self.good_keys().map(raw_key).collect();
        keys.extend(self.refused_key());
        let value = match self.kind {
            Kind::Poison => format!("{{\"sync_task_id\": \"{task}\", \"keys\": [\"poison/{}", self.first),
            Kind::Skipped => {
                json!({"sync_task_id": task, "keys": [format!("skip/{}", self.first)], "event": "deleted"}).to_string()
            }
            Kind::Plain | Kind::Refused | Kind::Mixed => json!({"sync_task_id": task, "keys": keys}).to_string(),
        };
        Draft { key: format!("{} {} {}", self.kind.name(), self.first, self.count), value }
    }
}

/// The task of a key.
pub(crate) fn task_of(key: u32) -> u32 {
    let block = key / BLOCK;
    if block % SMALL_SHARE == SMALL_SHARE - 1 { REMOVABLE } else { block % (TASKS - 1) }
}

/// A task's id.
pub(crate) fn task_name(task: u32) -> String {
    format!("task-{task}")
}

/// A key that OMS takes, as the record has it.
pub(crate) fn raw_key(key: u32) -> String {
    format!("k/{key}")
}

/// A key as it came in an event of a task.
pub(crate) fn accepted_key(task: &str, encoded: &str) -> AcceptedKey {
    let number = encoded.strip_prefix("k%2F").and_then(|number| number.parse().ok());
    match number.filter(|number| task_name(task_of(*number)) == task) {
        Some(number) => AcceptedKey::Good(number),
        None => AcceptedKey::Foreign(format!("{encoded} of {task}")),
    }
}

/// Draws one record after the other, for ever.
pub(crate) struct Drafts {
    random: fastrand::Rng,
    next: u32,
}

impl Drafts {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), next: 0 }
    }

    /// The next record.
    pub(crate) fn draw(&mut self) -> Draft {
        let (kind, count) = match self.random.u32(0..1_000) {
            0..3 => (Kind::Refused, 1),
            3..5 => (Kind::Poison, 1),
            5..7 => (Kind::Mixed, self.random.u8(1..9)),
            7..17 => (Kind::Skipped, 1),
            17..37 => (Kind::Plain, self.random.u8(2..13)),
            37..77 if self.next > 0 => {
                let back = self.random.u32(1..=REPEAT_WITHIN.min(self.next));
                return Expected { kind: Kind::Plain, first: self.next - back, count: 1 }.draft();
            }
            _ => (Kind::Plain, 1),
        };
        // All keys of a record are of one task.
        if self.next % BLOCK + u32::from(count) > BLOCK {
            self.next = (self.next / BLOCK + 1) * BLOCK;
        }
        let expected = Expected { kind, first: self.next, count };
        self.next += u32::from(count);
        expected.draft()
    }
}
