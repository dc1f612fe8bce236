//! Record to work: decode, route and encode in one go, so that the loop sees only tasks and encoded keys.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::kept::Kept;
use super::key::{EncodedKey, KeyEncoding, KeyError, TaskId};
use super::route::{RouteError, Routes};
use crate::formats::{self, Action, Change, DecodeOptions, Format, Outcome, Reason};

/// A record with what has to be done for it. With neither changes nor rejects it is settled as skipped.
#[derive(Debug)]
pub struct Incoming {
    /// The record.
    pub record: Kept,
    /// Object changes to submit, in the record's order. A key may occur more than once.
    pub changes: SmallVec<[(TaskId, EncodedKey); 1]>,
    /// What can never be submitted; dead-lettered once the changes have their verdicts.
    pub rejects: Vec<Reject>,
}

impl Incoming {
    /// A record that was decoded and routed.
    #[must_use]
    pub fn new(record: impl Into<Kept>, changes: SmallVec<[(TaskId, EncodedKey); 1]>, rejects: Vec<Reject>) -> Self {
        Self { record: record.into(), changes, rejects }
    }
}

/// A part of a record that can never be submitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Where it failed.
    pub stage: RejectStage,
    /// One of a fixed set of words in snake case: header `oms-sync.reason` and metric label.
    pub reason: &'static str,
    /// The raw key, where there is one; listed in `oms-sync.failed-keys` at stage route.
    pub key: Option<Box<str>>,
}

/// The stage that rejected: header `oms-sync.stage`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RejectStage {
    /// The bytes are no record of a known format, or a key in them is unusable.
    Decode,
    /// No task for it.
    Route,
}

/// What becomes of a change that cannot be used, where the user may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unusable {
    /// It is dead-lettered.
    #[default]
    DeadLetter,
    /// It is skipped and counted.
    Skip,
}

/// How records become work.
#[derive(Clone, Debug, Default)]
pub struct IntakeSettings {
    /// How records are read, except in [`Self::topics`].
    pub decode: DecodeOptions,
    /// How the records of single topics are read.
    pub topics: FxHashMap<Box<str>, DecodeOptions>,
    /// A document of no known format.
    pub unrecognised: Unusable,
    /// A bucket and key without a route.
    pub no_route: Unusable,
    /// How keys are written for OMS.
    pub key_encoding: KeyEncoding,
}

/// Decodes, routes and encodes. Cheap to clone apart from its settings; has no state.
#[derive(Clone, Debug)]
pub struct Intake {
    settings: IntakeSettings,
    routes: Arc<Routes>,
}

impl Intake {
    /// An intake for the routes.
    #[must_use]
    pub const fn new(settings: IntakeSettings, routes: Arc<Routes>) -> Self {
        Self { settings, routes }
    }

    /// From now on by this table.
    pub fn set_routes(&mut self, routes: Arc<Routes>) {
        self.routes = routes;
    }

    /// What has to be done for a record; each of its changes is counted once in the tally.
    ///
    /// # Errors
    /// The record as it was, where the table does not tell yet what becomes of it. Nothing is counted then.
    pub fn take(&self, topic: &str, record: Kept, tally: &mut Tally) -> Result<Incoming, Kept> {
        let options = self.settings.topics.get(topic).unwrap_or(&self.settings.decode);
        let mut changes = SmallVec::new();
        let mut rejects = Vec::new();
        let mut counts = SmallVec::<[Counted; 4]>::new();
        let mut undecided = false;
        for change in formats::decode(&record, options) {
            let (outcome, work) = self.judge(&change);
            undecided |= outcome == Outcome::Sync && work.is_none();
            changes.extend(work);
            counts.push(Counted { format: change.format, action: outcome.action(), reason: outcome.reason() });
            if let Outcome::Reject(reason) = outcome {
                rejects.push(Reject::new(reason, change));
            }
        }
        if undecided {
            return Err(record);
        }
        counts.into_iter().for_each(|counted| tally.add(counted));
        Ok(Incoming::new(record, changes, rejects))
    }

    /// What becomes of a change once it is routed and policies are applied: for a sync the task and the key, or nothing
    /// where the table does not tell yet.
    #[must_use]
    pub fn judge(&self, change: &Change<'_>) -> (Outcome, Option<(TaskId, EncodedKey)>) {
        if change.outcome != Outcome::Sync {
            return (self.apply_policy(change.outcome), None);
        }
        match self.work(change) {
            Ok(work) => (Outcome::Sync, work),
            Err(reason) => (self.apply_policy(Outcome::Reject(reason)), None),
        }
    }

    /// A key as it is written for OMS.
    ///
    /// # Errors
    /// An empty key, and one that is longer than OMS takes.
    pub fn encode(&self, key: &str) -> Result<EncodedKey, KeyError> {
        EncodedKey::encode(key, self.settings.key_encoding)
    }

    fn work(&self, change: &Change<'_>) -> Result<Option<(TaskId, EncodedKey)>, Reason> {
        let key = change.key.as_deref().unwrap_or_default();
        let routed = self.routes.route(change.bucket.as_deref(), key, change.task.as_deref());
        match routed.map_err(RouteError::reason) {
            Ok(task) => Ok(Some((task, self.encode(key)?))),
            Err(Some(reason)) => Err(reason),
            Err(None) => self.encode(key).map(|_| None).map_err(Reason::from), // a key that is none needs no task
        }
    }

    fn apply_policy(&self, outcome: Outcome) -> Outcome {
        let policy = match outcome {
            Outcome::Reject(Reason::Unrecognised) => self.settings.unrecognised,
            Outcome::Reject(Reason::NoRoute) => self.settings.no_route,
            _ => return outcome,
        };
        match (policy, outcome) {
            (Unusable::Skip, Outcome::Reject(reason)) => Outcome::Skip(reason),
            _ => outcome,
        }
    }
}

impl From<KeyError> for Reason {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Empty => Self::EmptyKey,
            KeyError::TooLong(_) => Self::KeyTooLong,
        }
    }
}

impl Reject {
    fn new(reason: Reason, change: Change<'_>) -> Self {
        let stage = match reason {
            Reason::NoRoute | Reason::UnknownTask | Reason::InvalidTask => RejectStage::Route,
            _ => RejectStage::Decode,
        };
        let key = change.key.filter(|_| stage == RejectStage::Route).map(|key| key.into_owned().into_boxed_str());
        Self { stage, reason: reason.as_str(), key }
    }
}

/// The labels of one count of `oms_sync_changes_total`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Counted {
    /// The producer family, where one was recognised.
    pub format: Option<Format>,
    /// What was done.
    pub action: Action,
    /// Why; a sync has no reason.
    pub reason: Option<Reason>,
}

/// Changes by format, action and reason since it was last drained. Bounded by the number of such combinations.
#[derive(Clone, Debug, Default)]
pub struct Tally(SmallVec<[(Counted, u64); 4]>);

impl Tally {
    /// Counts one change.
    pub fn add(&mut self, counted: Counted) {
        match self.0.iter_mut().find(|(known, _)| *known == counted) {
            Some((_, count)) => *count += 1,
            None => self.0.push((counted, 1)),
        }
    }

    /// Takes the counts out and leaves none.
    pub fn drain(&mut self) -> impl Iterator<Item = (Counted, u64)> + '_ {
        self.0.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::formats::KeyText;
    use crate::pipeline::record::Record;
    use crate::pipeline::route::Route;

    const TOPIC: &str = "object-changes";

    fn record(value: &str) -> Kept {
        Kept::from(&Record { value: Some(value.as_bytes().into()), ..Record::at(TOPIC, 0, 7) })
    }

    fn intake(settings: IntakeSettings) -> Intake {
        let route = Route { task: TaskId::new("t1").unwrap(), bucket: "b".into(), prefix: None };
        Intake::new(settings, Arc::new(Routes::new(vec![route])))
    }

    #[test]
    fn a_record_becomes_tasks_encoded_keys_and_rejects() {
        let long = "中".repeat(2_000);
        let value = json!([
            {"bucket": "b", "keys": ["a b", long]}, {"bucket": "nowhere", "key": "k"},
            {"sync_task_id": "t2", "key": "k"}, {"sync_task_id": "t 2", "key": "k"}, {"bucket": "b", "key": "x", "event": "deleted"},
        ]);
        let mut tally = Tally::default();
        let incoming = intake(IntakeSettings::default()).take(TOPIC, record(&value.to_string()), &mut tally).unwrap();
        let changes: Vec<_> = incoming.changes.iter().map(|(task, key)| (task.as_str(), key.as_str())).collect();
        assert_eq!(changes, [("t1", "a%20b")]);
        let rejects: Vec<_> = incoming.rejects.iter().map(|r| (r.stage, r.reason, r.key.as_deref())).collect();
        assert_eq!(
            rejects,
            [
                (RejectStage::Decode, "key_too_long", None),
                (RejectStage::Route, "no_route", Some("k")),
                (RejectStage::Route, "unknown_task", Some("k")),
                (RejectStage::Route, "invalid_task", Some("k")),
            ]
        );
        assert_eq!(tally.drain().map(|(_, count)| count).sum::<u64>(), 6);
        assert_eq!(tally.drain().count(), 0);
    }

    #[test]
    fn a_record_that_the_table_cannot_place_yet_comes_back_uncounted() {
        let mut tally = Tally::default();
        let mut intake = intake(IntakeSettings::default());
        intake.set_routes(Arc::new(Routes::undecided()));
        let value = json!([{"bucket": "b", "key": "x", "event": "deleted"}, {"bucket": "b", "key": "k"}]).to_string();
        let waits = intake.take(TOPIC, record(&value), &mut tally).unwrap_err();
        assert_eq!(tally.drain().count(), 0);
        let deleted = r#"{"bucket":"b","key":"x","event":"deleted"}"#;
        assert!(
            intake.take(TOPIC, record(deleted), &mut tally).unwrap().changes.is_empty(),
            "what needs no task needs no table"
        );
        let route = Route { task: TaskId::new("t1").unwrap(), bucket: "b".into(), prefix: None };
        intake.set_routes(Arc::new(Routes::new(vec![route])));
        assert_eq!(intake.take(TOPIC, waits, &mut tally).unwrap().changes.len(), 1);
        assert_eq!(tally.drain().map(|(_, count)| count).sum::<u64>(), 3);
    }

    #[test]
    fn policies_turn_rejects_into_counted_skips() {
        let settings =
            IntakeSettings { unrecognised: Unusable::Skip, no_route: Unusable::Skip, ..IntakeSettings::default() };
        let intake = intake(settings);
        let mut tally = Tally::default();
        for value in ["{}", r#"{"bucket":"nowhere","key":"k"}"#, "broken"] {
            let incoming = intake.take(TOPIC, record(value), &mut tally).unwrap();
            assert_eq!(incoming.rejects.len(), usize::from(value == "broken"), "{value}");
        }
        let counted: Vec<_> =
            tally.drain().map(|(c, n)| (c.action.as_str(), c.reason.map(Reason::as_str), n)).collect();
        assert_eq!(
            counted,
            [("skip", Some("unrecognised"), 1), ("skip", Some("no_route"), 1), ("reject", Some("invalid_json"), 1)]
        );
    }

    #[test]
    fn a_topic_may_have_options_of_its_own() {
        let mut settings = IntakeSettings::default();
        let form = DecodeOptions { key_text: KeyText::Form, ..DecodeOptions::default() };
        settings.topics.insert(TOPIC.into(), form);
        let value = r#"{"bucket":"b","key":"a+b"}"#;
        let incoming = intake(settings).take(TOPIC, record(value), &mut Tally::default()).unwrap();
        assert_eq!(incoming.changes[0].1.decode(), "a b");
    }
}
