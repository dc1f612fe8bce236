//! The OMS of a simulated world: what it answers, and what it has taken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use oms_sync_worker::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use oms_sync_worker::pipeline::discovery::table::{ListedState, ListedTask, Listing};
use oms_sync_worker::pipeline::inquiry::Standing;
use oms_sync_worker::pipeline::key::TaskId;
use oms_sync_worker::pipeline::time::Time;

/// A task and a key.
pub(crate) type Change = (u8, u8);

/// Key that is refused always.
pub(crate) const REFUSED_KEY: u8 = 0;
/// Key that meets a fault as long as the world is unwell.
pub(crate) const FAULTY_KEY: u8 = 1;
/// Task that is unknown always.
pub(crate) const UNKNOWN_TASK: u8 = 9;

/// What is wrong with it at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Well,
    Throttling,
    Down,
    Unauthorized,
    NotOms,
    Forbidding(u8),
    Stopped(u8),
    Silent,
}

pub(crate) struct Oms {
    pub(crate) mood: Mood,
    pub(crate) healed: bool,
    /// When the latest request arrived that brought a change and was accepted.
    accepted: BTreeMap<Change, Time>,
    /// Changes accepted, repetitions included.
    pub(crate) accepted_total: u64,
}

fn answer(verdict: Verdict, status: Status) -> Answer {
    Answer { verdict, status, retry_after: None, error_code: None, error_message: None, request_id: None }
}

impl Oms {
    pub(crate) fn new() -> Self {
        Self { mood: Mood::Well, healed: false, accepted: BTreeMap::new(), accepted_total: 0 }
    }

    pub(crate) fn change_mood(&mut self, random: &mut fastrand::Rng) {
        let task = random.u8(0..3);
        self.mood = match random.u8(0..12) {
            0 => Mood::Throttling,
            1 => Mood::Down,
            2 => Mood::Unauthorized,
            3 => Mood::NotOms,
            4 => Mood::Forbidding(task),
            5 => Mood::Stopped(task),
            6 => Mood::Silent,
            _ => Mood::Well,
        };
    }

    /// A request arrives. How it is answered, and how long after its arrival.
    pub(crate) fn request(&mut self, changes: &[Change], now: Time, random: &mut fastrand::Rng) -> (Answer, Duration) {
        let verdict = self.verdict(changes);
        let mut wait = Duration::from_micros(random.u64(100..40_000));
        if verdict.0 == Verdict::Accepted {
            self.accepted.extend(changes.iter().map(|change| (*change, now)));
            self.accepted_total += changes.len() as u64;
        }
        if self.mood == Mood::Silent || (!self.healed && random.u8(..) < 8) {
            wait += Duration::from_secs(30); // taken or not, its answer is never seen
            return (answer(Verdict::Busy(Pressure::Overloaded), Status::Timeout), wait);
        }
        let mut answer = answer(verdict.0, Status::Http(verdict.1));
        if matches!(answer.verdict, Verdict::Busy(_)) && random.bool() {
            answer.retry_after = Some(Duration::from_secs(random.u64(0..20)));
        }
        (answer, wait)
    }

    fn verdict(&self, changes: &[Change]) -> (Verdict, u16) {
        let task = changes[0].0;
        match self.mood {
            Mood::Throttling => (Verdict::Busy(Pressure::Throttled), 429),
            Mood::Down => (Verdict::Busy(Pressure::Overloaded), 503),
            Mood::Unauthorized => (Verdict::Hold(HoldReason::Credentials), 401),
            Mood::NotOms => (Verdict::Hold(HoldReason::Endpoint), 405),
            Mood::Forbidding(forbidden) if forbidden == task => (Verdict::Hold(HoldReason::Permission), 403),
            Mood::Stopped(stopped) if stopped == task => (Verdict::TaskStopped, 400),
            _ if task == UNKNOWN_TASK => (Verdict::UnknownTask, 404),
            _ if changes.iter().any(|(_, key)| *key == REFUSED_KEY) => (Verdict::Refused, 400),
            _ if !self.healed && changes.iter().any(|(_, key)| *key == FAULTY_KEY) => {
                (Verdict::Busy(Pressure::Faulted), 500)
            }
            _ => (Verdict::Accepted, 200),
        }
    }

    /// What it tells of a task.
    pub(crate) fn standing(&self, task: &TaskId, random: &mut fastrand::Rng) -> Standing {
        match self.mood {
            Mood::Stopped(stopped) if task.as_str() == stopped.to_string() => Standing::Stopped,
            Mood::Unauthorized => Standing::Unknown(answer(Verdict::Hold(HoldReason::Credentials), Status::Http(401))),
            Mood::Down => Standing::Unknown(answer(Verdict::Busy(Pressure::Overloaded), Status::Http(503))),
            _ if !self.healed && random.u8(..) < 20 => Standing::EmptyProject,
            _ if task.as_str() == UNKNOWN_TASK.to_string() => Standing::Missing,
            _ => Standing::Active,
        }
    }

    /// What it tells of the project's tasks.
    pub(crate) fn listing(&self, random: &mut fastrand::Rng) -> Result<Listing, Box<Answer>> {
        let refused = |verdict, status| Err(Box::new(answer(verdict, status)));
        let listed = |n: u8| ListedTask {
            id: TaskId::new(&n.to_string()).unwrap(),
            bucket: Some(n.to_string().into()),
            state: if self.mood == Mood::Stopped(n) { ListedState::Stopped } else { ListedState::Synchronizing },
        };
        match self.mood {
            Mood::Throttling => refused(Verdict::Busy(Pressure::Throttled), Status::Http(429)),
            Mood::Down => refused(Verdict::Busy(Pressure::Overloaded), Status::Http(503)),
            Mood::Unauthorized => refused(Verdict::Hold(HoldReason::Credentials), Status::Http(401)),
            Mood::NotOms => refused(Verdict::Hold(HoldReason::Endpoint), Status::Http(405)),
            Mood::Silent => refused(Verdict::Busy(Pressure::Overloaded), Status::Timeout),
            Mood::Forbidding(0) => refused(Verdict::Hold(HoldReason::Permission), Status::Http(403)),
            _ if !self.healed && random.u8(..) < 20 => Ok(Listing { tasks: Vec::new(), is_whole: true }),
            _ => Ok(Listing { tasks: (0..3).map(listed).collect(), is_whole: true }),
        }
    }

    /// Whether OMS would never take it.
    pub(crate) fn is_refused((task, key): Change) -> bool {
        task == UNKNOWN_TASK || key == REFUSED_KEY
    }

    /// Whether a request that arrived at or after `written` brought it.
    pub(crate) fn has(&self, change: Change, written: Time) -> bool {
        self.accepted.get(&change).is_some_and(|at| *at >= written)
    }

    pub(crate) fn keys(changes: &[Change]) -> BTreeSet<u8> {
        changes.iter().map(|(_, key)| *key).collect()
    }
}
