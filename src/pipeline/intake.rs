//! Record to work: decode, route and encode in one go, so that the loop sees only tasks and encoded keys.

use std::sync::Arc;

use smallvec::SmallVec;

use super::key::{EncodedKey, TaskId};
use super::record::Record;

/// A record with what has to be done for it. With neither changes nor rejects it is settled as skipped.
#[derive(Debug)]
pub struct Incoming {
    /// The record, shared with the dead letters that may be made of it.
    pub record: Arc<Record>,
    /// Object changes to submit, in the record's order. A key may occur more than once.
    pub changes: SmallVec<[(TaskId, EncodedKey); 1]>,
    /// What can never be submitted; dead-lettered once the changes have their verdicts.
    pub rejects: Vec<Reject>,
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
