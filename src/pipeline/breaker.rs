//! The dead-letter breaker: when too much is refused, dead letters wait in memory and their records stay uncommitted. One
//! probe at a time finds out whether the cause is gone: keys that OMS refused are asked for again.
//!
//! Never lets out more dead letters a minute than its limit, while it is open none but one a probe, and drops none.

mod turn;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use super::entry::TaskIx;
use super::hold::Hold;
use super::key::EncodedKey;
use super::letters::LetterId;
use super::time::Time;
use window::{Counts, Window, excess};

/// How much may be refused. Without the first two limits there is no breaker.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BreakerLimits {
    /// Dead letters in any minute, at least 1.
    pub max_per_minute: Option<u32>,
    /// The part of a minute's records that may end in dead letters, above 0 and below 1.
    pub max_ratio: Option<f64>,
    /// Records that a minute must have before their ratio counts, at least 1.
    pub min_records: u32,
}

impl BreakerLimits {
    /// No breaker.
    pub const NONE: Self = Self { max_per_minute: None, max_ratio: None, min_records: 1 };

    fn is_on(&self) -> bool {
        self.max_per_minute.is_some() || self.max_ratio.is_some()
    }
}

/// What the breaker knows, and the letters that wait at it.
#[derive(Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    /// First pause between probes.
    interval: Duration,
    now: Time,
    window: Window,
    /// Set while it is open; says which limit was passed.
    open: Option<Hold<()>>,
    /// Letters that came of an answer of OMS: their keys can be asked for again.
    refused: VecDeque<LetterId>,
    /// Letters of what could not be read or routed, which asking again does not help.
    unusable: VecDeque<LetterId>,
    probe: Option<Probe>,
    /// Letters that the next probe asks for again.
    probe_size: usize,
}

/// A probe that is out: the last of its keys, and until when it is waited for.
#[derive(Debug)]
struct Probe {
    task: TaskIx,
    key: EncodedKey,
    until: Time,
}

impl Breaker {
    pub(super) fn new(limits: BreakerLimits, interval: Duration) -> Self {
        Self {
            limits,
            interval,
            now: Time::START,
            window: Window::default(),
            open: None,
            refused: VecDeque::new(),
            unusable: VecDeque::new(),
            probe: None,
            probe_size: 1,
        }
    }

    /// All that is told from now on happens at that moment.
    pub(super) fn begin(&mut self, now: Time) {
        self.now = now;
    }

    /// A record has its verdicts for the first time, and that many dead letters.
    pub(super) fn record_ended(&mut self, letters: usize) {
        if self.limits.is_on() {
            let made = u32::try_from(letters).unwrap_or(u32::MAX);
            let counts = Counts { records: 1, refused: u32::from(letters > 0), made, written: 0 };
            self.window.add(counts, self.now);
        }
    }

    /// A letter is to be written.
    pub(super) fn push(&mut self, id: LetterId, can_be_asked_again: bool) {
        let waiting = if can_be_asked_again { &mut self.refused } else { &mut self.unusable };
        waiting.push_back(id);
    }

    /// Keeps the letters that are still wanted.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(LetterId) -> bool) {
        self.refused.retain(|id| wanted(*id));
        self.unusable.retain(|id| wanted(*id));
    }

    /// OMS has accepted a key: where it is the probe's, the next probe may be twice as large.
    pub(super) fn key_accepted(&mut self, task: TaskIx, key: &EncodedKey) {
        if self.is_probed(task, key)
            && let Some(open) = &mut self.open
        {
            open.probe_at_once(self.interval, self.now);
            self.probe = None;
            self.probe_size = self.probe_size.saturating_mul(2);
        }
    }

    /// OMS has refused a key: where it is the probe's, the next probe comes later and is a small one.
    pub(super) fn key_refused(&mut self, task: TaskIx, key: &EncodedKey, random: &mut fastrand::Rng) {
        if self.is_probed(task, key)
            && let Some(open) = &mut self.open
        {
            let said = std::mem::take(&mut open.said);
            open.held_again((), said, self.now, random);
            self.probe = None;
            self.probe_size = 1;
        }
    }

    fn is_probed(&self, task: TaskIx, key: &EncodedKey) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.task == task && probe.key == *key)
    }

    /// Why it is open, since when, and when the next probe goes out.
    #[must_use]
    pub fn open(&self) -> Option<&Hold<()>> {
        self.open.as_ref()
    }

    /// Dead letters that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.refused.len() + self.unusable.len()
    }

    /// When time alone changes something.
    #[must_use]
    pub(super) fn next_due(&self) -> Option<Time> {
        match &self.open {
            Some(open) => open.next_probe().or(self.probe.as_ref().map(|probe| probe.until)),
            None => self.window.next_change().filter(|_| self.waiting() > 0),
        }
    }

    fn excess(&mut self) -> Option<Box<str>> {
        excess(self.window.sum(self.now), &self.limits)
    }

    /// Whether the minute was fine: by enough records, or because nothing waits any more.
    fn has_recovered(&mut self) -> bool {
        let enough = self.window.sum(self.now).records >= self.limits.min_records;
        let nothing_waits = self.waiting() == 0 && self.probe.is_none();
        (enough || nothing_waits) && self.excess().is_none()
    }

    fn may_write(&mut self) -> bool {
        let written = self.window.sum(self.now).written;
        self.limits.max_per_minute.is_none_or(|max| written < max)
    }
}
