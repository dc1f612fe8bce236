//! What the demo writes: generated records with some repeats, deletes, records of several changes, and one poison
//! record. Pure: the same seed makes the same plan.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::commands::generate::{GeneratedFormat, GeneratedRecord, Generator, GeneratorConfig};

/// Buckets, each with a task of its own.
pub(super) const BUCKETS: u32 = 4;
/// OMS refuses every key that begins so; about one in 256 does.
pub(super) const REFUSED_PREFIX: &str = "in/00/";
/// The value of the poison record.
pub(super) const POISON: &str = "this is not JSON";

/// One record in so many says again that a recent object changed.
const REPEAT_EVERY: u32 = 10;
/// One record in so many tells of a deleted object.
const DELETE_EVERY: u32 = 40;
/// One record in so many holds [`SEVERAL`] changes.
const SEVERAL_EVERY: u32 = 20;
const SEVERAL: usize = 3;
/// How many records back a repeated change may be.
const RECENT: usize = 300;

/// One object change, as the plan knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    /// Bucket of the object.
    pub(super) bucket: String,
    /// Raw key of the object.
    pub(super) key: String,
    /// The object was deleted: nothing to synchronize.
    pub(super) deleted: bool,
}

/// One record to write. The poison record has no changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Planned {
    /// Kafka key.
    pub(super) key: String,
    /// Kafka value.
    pub(super) value: String,
    /// The changes in it.
    pub(super) changes: Vec<Change>,
}

/// The records, without end.
pub(super) struct Plan {
    fresh: Generator,
    recent: VecDeque<Planned>,
    poison_at: Option<u64>,
    next: u64,
    rng: Rng,
}

impl Plan {
    /// `keys` different objects, each once and then at random; a poison record at that place, counted from 0.
    pub(super) fn new(seed: u64, keys: u64, poison_at: Option<u64>) -> Self {
        let config =
            GeneratorConfig { format: GeneratedFormat::AwsS3, records: u64::MAX, keys, buckets: BUCKETS, seed };
        Self { fresh: Generator::new(config), recent: VecDeque::new(), poison_at, next: 0, rng: Rng::with_seed(seed) }
    }

    fn take_fresh(&mut self, count: usize, event_name: Option<&str>) -> Option<Planned> {
        let generated: Vec<_> = self.fresh.by_ref().take(count).collect();
        let key = generated.first()?.key.clone();
        let documents = generated.iter().flat_map(|record| s3_records(&record.value, event_name));
        let value = json!({ "Records": documents.collect::<Vec<_>>() }).to_string();
        let change = |GeneratedRecord { bucket, object_key, .. }| Change {
            bucket,
            key: object_key,
            deleted: event_name.is_some(),
        };
        Some(Planned { key, value, changes: generated.into_iter().map(change).collect() })
    }

    fn repeat(&mut self) -> Option<Planned> {
        let back = self.rng.usize(..self.recent.len().max(1));
        self.recent.get(back).cloned()
    }
}

impl Iterator for Plan {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let number = self.next;
        self.next += 1;
        if self.poison_at == Some(number) {
            return Some(Planned { key: "poison".to_owned(), value: POISON.to_owned(), changes: Vec::new() });
        }
        if self.rng.u32(..REPEAT_EVERY) == 0
            && let Some(repeated) = self.repeat()
        {
            return Some(repeated);
        }
        if self.rng.u32(..DELETE_EVERY) == 0 {
            return self.take_fresh(1, Some("ObjectRemoved:Delete"));
        }
        let several = self.rng.u32(..SEVERAL_EVERY) == 0;
        let planned = self.take_fresh(if several { SEVERAL } else { 1 }, None)?;
        self.recent.push_back(planned.clone());
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        Some(planned)
    }
}

/// The elements of a notification's `Records`, with another event name if one is given.
fn s3_records(value: &str, event_name: Option<&str>) -> Vec<Value> {
    let mut document: Value = serde_json::from_str(value).unwrap_or_default();
    let Some(Value::Array(mut records)) = document.get_mut("Records").map(Value::take) else {
        return Vec::new();
    };
    if let Some(name) = event_name {
        for record in &mut records {
            record["eventName"] = name.into();
        }
    }
    records
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::formats::{self, Action, DecodeOptions};
    use crate::pipeline::record::Record;

    fn plan(seed: u64) -> Vec<Planned> {
        Plan::new(seed, u64::MAX, Some(50)).take(2_000).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_plan() {
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn the_worker_decodes_what_the_plan_says() {
        for planned in plan(3) {
            let record = Record { value: Some(planned.value.into_bytes().into()), ..Record::at("t", 0, 0) };
            let decoded = formats::decode(&record, &DecodeOptions::default());
            if planned.changes.is_empty() {
                assert_eq!(decoded[0].outcome.action(), Action::Reject);
                continue;
            }
            assert_eq!(decoded.len(), planned.changes.len());
            for (decoded, change) in decoded.iter().zip(&planned.changes) {
                let expected = if change.deleted { Action::Skip } else { Action::Sync };
                assert_eq!(decoded.outcome.action(), expected);
                assert_eq!(decoded.key.as_deref(), Some(change.key.as_str()));
                assert_eq!(decoded.bucket.as_deref(), Some(change.bucket.as_str()));
            }
        }
    }

    #[test]
    fn there_is_one_poison_record_and_some_of_everything_else() {
        let all = plan(4);
        let poison: Vec<_> = all.iter().enumerate().filter(|(_, planned)| planned.changes.is_empty()).collect();
        assert_eq!(poison.len(), 1);
        assert_eq!(poison[0].0, 50);
        let changes: Vec<_> = all.iter().flat_map(|planned| &planned.changes).collect();
        let distinct: HashSet<_> = changes.iter().map(|change| (&change.bucket, &change.key)).collect();
        assert!(distinct.len() < changes.len() && changes.len() > all.len());
        assert!(changes.iter().any(|change| change.deleted));
        assert!(changes.iter().any(|change| change.key.starts_with(REFUSED_PREFIX)));
    }
}
