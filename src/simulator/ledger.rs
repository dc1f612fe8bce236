//! What the simulator accepted: every key of every task, how often, and when the latest accepted request arrived.
//!
//! About 40 bytes a key besides the key itself, so that a million keys are no burden.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};

use super::event::{MAX_KEYS, decoded};

/// As JSON: `{"totals": {...}, "tasks": {"<id>": {"keys": [{"key": raw, "encoded": as it came, "count": 1,
/// "last_arrival": RFC 3339, "last_arrival_ms": since the Unix epoch}]}}}`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Ledger {
    /// Sums over all requests.
    pub totals: Totals,
    tasks: BTreeMap<String, TaskLedger>,
}

/// Sums over all requests to OMS's own paths.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Totals {
    /// Requests that arrived.
    pub requests: u64,
    /// Events that were accepted.
    pub accepted_events: u64,
    /// Their keys, each time it was accepted.
    pub accepted_keys: u64,
    /// Accepted events by their number of keys, from 1 to 10.
    pub events_by_size: [u64; MAX_KEYS],
    /// Answers by status; a request that got none is missing here.
    pub answers: BTreeMap<u16, u64>,
    /// Answers 401 for a wrong, missing or late signature.
    pub failed_signatures: u64,
}

/// What is kept of an accepted key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// How often it was accepted.
    pub count: u32,
    /// Arrival of the latest request that it was accepted in, milliseconds since the Unix epoch.
    pub last_arrival_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct TaskLedger {
    accepted_keys: u64,
    /// By encoded key.
    keys: HashMap<Box<str>, Accepted, FxBuildHasher>,
}

impl Ledger {
    /// The accepted keys of a task, as they came (encoded), in no order.
    pub fn keys(&self, task: &str) -> impl Iterator<Item = (&str, Accepted)> {
        self.tasks.get(task).into_iter().flat_map(|task| task.keys.iter()).map(|(key, accepted)| (&**key, *accepted))
    }

    /// One accepted key of a task, by its encoded text.
    #[must_use]
    pub fn get(&self, task: &str, encoded_key: &str) -> Option<Accepted> {
        self.tasks.get(task)?.keys.get(encoded_key).copied()
    }

    /// The tasks that had a key accepted.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    pub(super) fn record(&mut self, task: &str, keys: &[&str], arrival_ms: u64) {
        self.totals.accepted_events += 1;
        self.totals.accepted_keys += keys.len() as u64;
        if let Some(events) = self.totals.events_by_size.get_mut(keys.len().wrapping_sub(1)) {
            *events += 1;
        }
        if !self.tasks.contains_key(task) {
            self.tasks.insert(task.to_owned(), TaskLedger::default());
        }
        let Some(task) = self.tasks.get_mut(task) else { return };
        task.accepted_keys += keys.len() as u64;
        for key in keys {
            if let Some(accepted) = task.keys.get_mut(*key) {
                accepted.count = accepted.count.saturating_add(1);
                accepted.last_arrival_ms = accepted.last_arrival_ms.max(arrival_ms);
            } else {
                task.keys.insert(Box::from(*key), Accepted { count: 1, last_arrival_ms: arrival_ms });
            }
        }
    }

    pub(super) fn accepted_keys(&self, task: &str) -> u64 {
        self.tasks.get(task).map_or(0, |task| task.accepted_keys)
    }
}

impl Serialize for TaskLedger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Keys<'a>(&'a TaskLedger);
        impl Serialize for Keys<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut list = serializer.serialize_seq(Some(self.0.keys.len()))?;
                for (key, accepted) in &self.0.keys {
                    list.serialize_element(&Line::new(key, *accepted))?;
                }
                list.end()
            }
        }
        let mut task = serializer.serialize_struct("TaskLedger", 1)?;
        task.serialize_field("keys", &Keys(self))?;
        task.end()
    }
}

/// A key as it is written.
#[derive(Serialize)]
struct Line<'a> {
    key: String,
    encoded: &'a str,
    count: u32,
    last_arrival: String,
    last_arrival_ms: u64,
}

impl<'a> Line<'a> {
    fn new(encoded: &'a str, accepted: Accepted) -> Self {
        let at = UNIX_EPOCH + Duration::from_millis(accepted.last_arrival_ms);
        Self {
            key: decoded(encoded),
            encoded,
            count: accepted.count,
            last_arrival: humantime::format_rfc3339_millis(at).to_string(),
            last_arrival_ms: accepted.last_arrival_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_count_and_its_latest_arrival() {
        let mut ledger = Ledger::default();
        ledger.record("t", &["a%20b", "c"], 2_000);
        ledger.record("t", &["a%20b"], 1_500);
        ledger.record("u", &["c"], 1);
        assert_eq!(ledger.get("t", "a%20b"), Some(Accepted { count: 2, last_arrival_ms: 2_000 }));
        assert_eq!(ledger.keys("u").collect::<Vec<_>>(), [("c", Accepted { count: 1, last_arrival_ms: 1 })]);
        assert_eq!((ledger.totals.accepted_events, ledger.totals.accepted_keys), (3, 4));
        assert_eq!(ledger.totals.events_by_size[..2], [2, 1]);
        assert_eq!(ledger.tasks().collect::<Vec<_>>(), ["t", "u"]);
    }

    #[test]
    fn the_json_holds_both_forms_of_the_key_and_of_the_time() {
        let mut ledger = Ledger::default();
        ledger.record("t", &["a%2Fb+c"], 1_768_469_401_007);
        let json = serde_json::to_value(&ledger).unwrap();
        let expected = serde_json::json!([{
            "key": "a/b c", "encoded": "a%2Fb+c", "count": 1,
            "last_arrival": "2026-01-15T09:30:01.007Z", "last_arrival_ms": 1_768_469_401_007_u64,
        }]);
        assert_eq!(json["tasks"]["t"]["keys"], expected);
        assert_eq!(json["totals"]["accepted_keys"], 1);
    }
}
