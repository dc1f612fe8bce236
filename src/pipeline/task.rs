//! The state of each OMS task, and the order in which tasks may send.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::answer::Answer;
use super::entry::{Entries, PartitionIx, TaskIx};
use super::event::{Doomed, Event};
use super::hold::Hold;
use super::key::TaskId;
use super::pending::Pending;
use super::pressure::Pressure;
use super::settings::Settings;
use super::table::Table;
use super::time::Time;
use super::trust::CredentialsNumber;

/// Why one task may not send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Block {
    /// The identity lacks a right on it.
    Permission,
    /// It is stopped.
    Stopped,
}

/// One task.
#[derive(Debug)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Keys that wait.
    pub pending: Pending,
    /// Parts of refused or faulted events, by the moment at which they may go, never refilled.
    pub parts: BTreeMap<(Time, u64), Event>,
    /// Requests that are out.
    pub in_flight: usize,
    /// How hard it may be pressed.
    pub pressure: Pressure,
    /// Why it may not send.
    pub block: Option<Hold<Block>>,
    /// What dead letters say of its stop, once OMS has confirmed it and they are to be written.
    pub stopped: Option<Box<Answer>>,
    /// Whether it was told that its changes are dead-lettered because of that.
    pub told_stopped: bool,
    /// Events that are dead-lettered unless OMS says that the task, or the project, is not as it should be.
    pub doomed: Vec<Doomed>,
    /// Which credentials OMS is being asked with how the task stands.
    pub asking: Option<CredentialsNumber>,
    /// When OMS last said something that keeps nobody from dead-lettering.
    pub stood_at: Option<Time>,
    /// When OMS last accepted an event of it.
    pub accepted_at: Option<Time>,
    /// Partitions that are paused until fewer of its keys wait.
    pub pauses: Vec<PartitionIx>,
    /// Changes and bytes of the budget that its keys take up, those that are out included.
    pub charged: (usize, usize),
    /// What it did since the last report.
    pub counts: TaskCounts,
    queued: bool,
    /// Its part of [`Tasks::ready`].
    ready: usize,
    timer: Option<Time>,
}

/// What happened to a task's keys since the last report.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TaskCounts {
    /// Changes that joined a waiting key.
    pub coalesced: u64,
    /// Keys that OMS accepted.
    pub accepted: u64,
}

/// When a task may send next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// At once.
    Now,
    /// Not before that moment.
    At(Time),
    /// Not before something else happens to it.
    Idle,
}

impl Task {
    fn new(id: TaskId, settings: &Settings) -> Self {
        Self {
            id,
            pending: Pending::default(),
            parts: BTreeMap::new(),
            in_flight: 0,
            pressure: Pressure::new(settings.task_slots()),
            block: None,
            stopped: None,
            told_stopped: false,
            doomed: Vec::new(),
            asking: None,
            stood_at: None,
            accepted_at: None,
            pauses: Vec::new(),
            charged: (0, 0),
            counts: TaskCounts::default(),
            queued: false,
            ready: 0,
            timer: None,
        }
    }

    /// It may send again: why it might not.
    pub fn unblock(&mut self) -> Option<Block> {
        (self.stopped, self.told_stopped) = (None, false);
        self.block.take().map(|block| block.reason)
    }

    /// When it may send, by its own state alone. With `flush` nothing waits for company.
    pub fn readiness(&mut self, entries: &mut Entries, settings: &Settings, flush: bool, now: Time) -> Readiness {
        if self.in_flight >= self.pressure.limit() {
            return Readiness::Idle;
        }
        self.pending.wake(now, entries);
        let Some(work) = self.work_at(entries, settings, flush, now) else {
            return Readiness::Idle;
        };
        let mut at = work.max(self.pressure.not_before());
        if let Some(block) = &self.block {
            let Some(probe) = block.next_probe() else {
                return Readiness::Idle;
            };
            at = at.max(probe);
        }
        if at <= now { Readiness::Now } else { Readiness::At(at) }
    }

    fn work_at(&mut self, entries: &Entries, settings: &Settings, flush: bool, now: Time) -> Option<Time> {
        if self.pending.sendable() >= settings.max_keys || self.pending.has_urgent() {
            return Some(now);
        }
        let linger = if flush { std::time::Duration::ZERO } else { settings.linger };
        let lingered = self.pending.oldest(entries).map(|oldest| oldest.after(linger));
        let part = self.parts.first_key_value().map(|((ready, _), _)| *ready);
        lingered.into_iter().chain(part).chain(self.pending.next_wake()).min()
    }

    /// Whether partitions that bring more for it are to be paused.
    #[must_use]
    pub fn is_full(&self, settings: &Settings) -> bool {
        let (changes, bytes) = settings.blocked_share();
        let is_blocked = self.block.is_some() || self.pressure.fails();
        self.pending.len() >= settings.max_pending_keys_per_task
            || (is_blocked && (self.charged.0 >= changes || self.charged.1 >= bytes))
    }

    /// Whether half of its room is free, so that paused partitions may go on.
    #[must_use]
    pub fn has_room(&self, settings: &Settings) -> bool {
        let (changes, bytes) = settings.blocked_share();
        self.pending.len() <= settings.max_pending_keys_per_task / 2
            && self.charged.0 <= changes / 2
            && self.charged.1 <= bytes / 2
    }

    /// A record waits for a key of it: a change and its bytes.
    pub fn charge(&mut self, (changes, bytes): (usize, usize)) {
        self.charged = (self.charged.0 + changes, self.charged.1 + bytes);
    }

    /// It waits no longer.
    pub fn refund(&mut self, (changes, bytes): (usize, usize)) {
        self.charged = (self.charged.0.saturating_sub(changes), self.charged.1.saturating_sub(bytes));
    }

    /// Whether nothing would be lost if its state were forgotten.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.parts.is_empty()
            && self.in_flight == 0
            && self.doomed.is_empty()
            && self.pauses.is_empty()
    }
}

/// All tasks with state; who may send, in turn; and when others may.
#[derive(Debug, Default)]
pub struct Tasks {
    table: Table<Task>,
    by_id: FxHashMap<TaskId, TaskIx>,
    queue: VecDeque<TaskIx>,
    timers: BTreeSet<(Time, TaskIx)>,
    ready: usize,
    /// What tasks did since the last report whose state is gone.
    pub departed: Vec<(TaskId, TaskCounts)>,
}

impl Tasks {
    /// The task of that id, and whether it is new. Where there are `settings.max_tasks` already, a new one takes the place
    /// of an idle one.
    pub fn find_or_insert(&mut self, id: &TaskId, settings: &Settings) -> (TaskIx, bool) {
        if let Some(ix) = self.by_id.get(id) {
            return (*ix, false);
        }
        if self.table.len() >= settings.max_tasks
            && let Some(idle) = self.idle()
        {
            self.remove(idle);
        }
        let ix = self.table.insert(Task::new(id.clone(), settings));
        self.by_id.insert(id.clone(), ix);
        (ix, true)
    }

    /// The task of that id, if it has state.
    #[must_use]
    pub fn find(&self, id: &TaskId) -> Option<TaskIx> {
        self.by_id.get(id).copied()
    }

    /// The task at an index, unless its state is gone.
    pub fn get_mut(&mut self, ix: TaskIx) -> Option<&mut Task> {
        self.table.get_mut(ix)
    }

    /// Whether a record for these tasks may be let in: it brings no new one, or there is room for one. The bound is
    /// passed only by the tasks of a single record.
    pub fn admits<'a>(&self, mut tasks: impl Iterator<Item = &'a TaskId>, settings: &Settings) -> bool {
        self.table.len() < settings.max_tasks || tasks.all(|id| self.by_id.contains_key(id)) || self.idle().is_some()
    }

    fn idle(&self) -> Option<TaskIx> {
        self.table.iter().find(|(_, task)| task.is_idle()).map(|(ix, _)| ix)
    }

    fn remove(&mut self, ix: TaskIx) {
        let task = self.table.remove(ix);
        self.by_id.remove(&task.id);
        if task.counts != TaskCounts::default() {
            self.departed.push((task.id, task.counts));
        }
        self.queue.retain(|queued| *queued != ix);
        self.ready -= task.ready;
        if let Some(timer) = task.timer {
            self.timers.remove(&(timer, ix));
        }
    }

    /// Puts a task into the queue or on the clock, as its state says.
    pub fn schedule(&mut self, ix: TaskIx, readiness: Readiness) {
        let task = &mut self.table[ix];
        let at = match readiness {
            Readiness::At(at) => Some(at),
            Readiness::Now | Readiness::Idle => None,
        };
        if task.timer != at {
            if let Some(old) = task.timer.take() {
                self.timers.remove(&(old, ix));
            }
            task.timer = at;
            self.timers.extend(at.map(|at| (at, ix)));
        }
        if readiness == Readiness::Now && !task.queued {
            task.queued = true;
            self.queue.push_back(ix);
        }
    }

    /// The task whose turn it is; it leaves the queue.
    pub fn next_in_turn(&mut self) -> Option<TaskIx> {
        let ix = self.queue.pop_front()?;
        self.table[ix].queued = false;
        Some(ix)
    }

    /// Whether a task is in the queue.
    #[must_use]
    pub fn is_queued(&self, ix: TaskIx) -> bool {
        self.table[ix].queued
    }

    /// Whether any task wants to send at once.
    #[must_use]
    pub fn any_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Counts the full events anew that wait for a task's turn. Of a task that may have few requests more, few count: its
    /// answers may be slow, and nobody else is to wait for them.
    pub fn count_ready(&mut self, ix: TaskIx, max_keys: usize, per_request: usize) {
        let task = &mut self.table[ix];
        let slots = if task.queued { task.pressure.limit().saturating_sub(task.in_flight) } else { 0 };
        let ready = (task.pending.sendable() / max_keys).min(per_request * slots);
        self.ready = self.ready - task.ready + ready;
        task.ready = ready;
    }

    /// Full events of all tasks in the queue, as they were counted when something changed for them.
    #[must_use]
    pub const fn ready(&self) -> usize {
        self.ready
    }

    /// A task whose moment has come.
    pub fn due(&mut self, now: Time) -> Option<TaskIx> {
        let (at, ix) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        self.table[ix].timer = None;
        Some(ix)
    }

    /// When the next task's moment comes.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// All tasks.
    pub fn iter(&self) -> impl Iterator<Item = (TaskIx, &Task)> {
        self.table.iter()
    }

    /// All tasks.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (TaskIx, &mut Task)> {
        self.table.iter_mut()
    }
}

impl std::ops::Index<TaskIx> for Tasks {
    type Output = Task;
    fn index(&self, ix: TaskIx) -> &Task {
        &self.table[ix]
    }
}

impl std::ops::IndexMut<TaskIx> for Tasks {
    fn index_mut(&mut self, ix: TaskIx) -> &mut Task {
        &mut self.table[ix]
    }
}
