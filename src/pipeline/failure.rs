//! What failed for good in a record, gathered by kind until its last change has its verdict. Each kind becomes one dead
//! letter.

use super::answer::{Answer, Status};
use super::intake::{Reject, RejectStage};
use super::key::{EncodedKey, TaskId};
use super::time::Time;

/// The reasons at stage submit: refused, an event of one key that is too large, a task that is not there, one that is
/// stopped.
pub const REFUSALS: [&str; 4] = [REFUSED, TOO_LARGE, TASK_NOT_FOUND, TASK_STOPPED];
/// OMS refused the key.
pub const REFUSED: &str = "refused";
/// OMS refused the key alone as too large.
pub const TOO_LARGE: &str = "too_large";
/// OMS does not know the task.
pub const TASK_NOT_FOUND: &str = "task_not_found";
/// The task is stopped, and the policy is not to wait for it.
pub const TASK_STOPPED: &str = "task_stopped";

/// Where a failure happened: header `oms-sync.stage`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// The record, or a key in it, could not be read.
    Decode,
    /// No task for a key.
    Route,
    /// OMS refused.
    Submit,
}

/// What OMS said about a refused key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The task it was sent to.
    pub task: TaskId,
    /// The answer's status.
    pub status: Status,
    /// The answer's `error_code`.
    pub error_code: Option<Box<str>>,
    /// The answer's `error_msg`.
    pub error_message: Option<Box<str>>,
    /// The answer's request id.
    pub request_id: Option<Box<str>>,
}

/// What has failed in a record so far; nearly always nothing, which costs no more than a pointer.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "a vector would be three times as large in each of a million slots")]
pub struct Failures(Option<Box<Vec<Failure>>>);

impl Failures {
    /// Adds a failure, to those of its kind if there are any.
    pub fn gather(&mut self, failure: Failure) {
        failure.gather_into(self.0.get_or_insert_default());
    }

    /// Takes them out and leaves none.
    #[must_use]
    pub fn take(&mut self) -> Vec<Failure> {
        self.0.take().map_or_else(Vec::new, |failures| *failures)
    }
}

/// One kind of failure in one record, with all its keys that failed so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Why, as a word in snake case.
    pub reason: &'static str,
    /// The keys, raw; empty where the record could not be read.
    pub keys: Vec<Box<str>>,
    /// OMS's answer, at stage submit.
    pub refusal: Option<Refusal>,
    /// The most submissions that one of the keys took.
    pub attempts: u32,
    /// When the first of the keys failed.
    pub first_at: Time,
}

impl Failure {
    /// A part of a record that can never be submitted.
    #[must_use]
    pub fn rejected(reject: Reject, now: Time) -> Self {
        let stage = match reject.stage {
            RejectStage::Decode => Stage::Decode,
            RejectStage::Route => Stage::Route,
        };
        Self {
            stage,
            reason: reject.reason,
            keys: reject.key.into_iter().collect(),
            refusal: None,
            attempts: 0,
            first_at: now,
        }
    }

    /// A key that OMS refused.
    #[must_use]
    pub fn refused(
        key: &EncodedKey,
        task: &TaskId,
        reason: &'static str,
        answer: &Answer,
        attempts: u32,
        now: Time,
    ) -> Self {
        let refusal = Refusal {
            task: task.clone(),
            status: answer.status,
            error_code: answer.error_code.clone(),
            error_message: answer.error_message.clone(),
            request_id: answer.request_id.clone(),
        };
        Self {
            stage: Stage::Submit,
            reason,
            keys: vec![key.decode().into()],
            refusal: Some(refusal),
            attempts,
            first_at: now,
        }
    }

    /// Adds this failure to those of its kind: same task, stage, reason, status and code.
    pub fn gather_into(self, failures: &mut Vec<Self>) {
        let Some(same) = failures.iter_mut().find(|other| other.kind() == self.kind()) else {
            failures.push(self);
            return;
        };
        same.keys.extend(self.keys);
        same.attempts = same.attempts.max(self.attempts);
    }

    fn kind(&self) -> impl PartialEq {
        let refusal = self.refusal.as_ref().map(|r| (r.task.clone(), r.status, r.error_code.clone()));
        (self.stage, self.reason, refusal)
    }
}
