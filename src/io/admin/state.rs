//! What the loop tells the admin server. Written by the loop in no time, read by the server at any time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the probes and `/status` show.
#[derive(Debug)]
pub struct AdminState {
    /// Longest time between two beats of a loop that is not stuck.
    beat_timeout: Duration,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    last_beat: Instant,
    stall: Option<String>,
    unready: Vec<String>,
    status: Arc<str>,
}

impl AdminState {
    /// Live, not ready ("starting"), with an empty status. The first beat counts from now.
    #[must_use]
    pub fn new(beat_timeout: Duration) -> Self {
        let unready = vec!["starting".to_owned()];
        Self { beat_timeout, told: Mutex::new(Told { last_beat: now(), stall: None, unready, status: "{}".into() }) }
    }

    /// The loop turns. Call it on every turn, and at least a few times within the timeout.
    pub fn beat(&self) {
        self.with(|told| told.last_beat = now());
    }

    /// Why the worker makes no progress of its own, or `None` when it does.
    pub fn set_stall(&self, reason: Option<String>) {
        self.with(|told| told.stall = reason);
    }

    /// Every reason for not being ready; none means ready.
    pub fn set_unready(&self, reasons: Vec<String>) {
        self.with(|told| told.unready = reasons);
    }

    /// What `/status` answers: a JSON text.
    pub fn set_status(&self, json: Arc<str>) {
        self.with(|told| told.status = json);
    }

    /// Why `/livez` fails.
    pub(super) fn stall(&self) -> Option<String> {
        let (stall, since) = self.with(|told| (told.stall.clone(), now().duration_since(told.last_beat)));
        let stuck = since > self.beat_timeout;
        let (since, bound) = (since.as_secs(), self.beat_timeout.as_secs());
        stall.or_else(|| stuck.then(|| format!("the loop has not turned for {since} s, the bound is {bound} s")))
    }

    pub(super) fn unready(&self) -> Vec<String> {
        self.with(|told| told.unready.clone())
    }

    pub(super) fn status(&self) -> Arc<str> {
        self.with(|told| Arc::clone(&told.status))
    }

    /// Held for a few moves only. What is told is whole at any time, so a panic elsewhere does not spoil it.
    fn with<T>(&self, act: impl FnOnce(&mut Told) -> T) -> T {
        act(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[expect(clippy::disallowed_methods, reason = "a shell: the age of the last beat is measured where it is asked")]
fn now() -> Instant {
    Instant::now()
}
