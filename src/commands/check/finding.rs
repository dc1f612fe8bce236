//! One line of the result: what was looked at, what was seen, and what to do. Pure. Holds no secret.

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// In order.
    Ok,
    /// The worker runs, but something is probably not as it is meant.
    Warning,
    /// The worker would not do its job.
    Failed,
    /// It could not be looked at, because something before it failed.
    NotTried,
}

/// One check with its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) state: State,
    /// What was looked at.
    pub(super) check: String,
    /// What was seen; for what was not tried, why.
    pub(super) seen: String,
    /// What to do about it, for failures and warnings.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { state: State::Ok, check: check.into(), seen: seen.into(), remedy: None }
    }

    pub(super) fn warning(check: impl Into<String>, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warning, check: check.into(), seen: seen.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn failed(check: impl Into<String>, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Failed, check: check.into(), seen: seen.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn not_tried(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self { state: State::NotTried, check: check.into(), seen: why.into(), remedy: None }
    }
}
