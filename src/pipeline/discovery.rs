//! `routes: discover`: when OMS is asked for the project's tasks, and what its answer does to the table of routes, to the
//! tasks, and to holds. A table that was good stays in use until there is a better one; nothing is read before the first.

pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use super::credentials::is_failed_signature;
use super::entry::TaskIx;
use super::key::TaskId;
use super::task::Block;
use super::time::Time;
use super::trust::{Role, Signature};
use super::{Effect, Effects, Notice, Pipeline};
use table::{CONFLICT_REMEDY, Conflict, ListedState, ListedTask, Listing, Table};

/// What OMS says of a stopped task, in the list of all.
const LISTED_STOPPED: &str = "ListSyncTasks says STOPPED";
/// A project without tasks.
const EMPTY: &str = "the project lists no synchronization task: wrong oms.project_id or region?";
/// A list that was cut off, and what to do.
pub const CUT_OFF: (&str, &str) =
    ("the project has more tasks than OMS lists", "write the list of routes instead of discover");

/// Tasks of which no route can be made.
const NO_BUCKETS: &str = "OMS tells no source bucket of any task: write the list of routes instead of discover";

/// How routes are discovered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiscoverySettings {
    /// Between two listings.
    pub interval: Duration,
    /// What the keys of a task begin with, where several tasks have one bucket.
    pub prefixes: BTreeMap<TaskId, String>,
}

/// A listing that is out.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Time,
    signature: Signature,
    probes_worker: bool,
}

/// Why the table is missing, or is not what the project says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoutesProblem {
    /// For people, with what to do.
    pub said: Box<str>,
    /// Since when there is one.
    pub since: Time,
}

/// What is known of the project's tasks.
#[derive(Debug)]
pub struct Discovery {
    settings: DiscoverySettings,
    table: Option<Arc<Table>>,
    problem: Option<RoutesProblem>,
    /// Tasks that the last list did not have any more. Those that the next one has not either are gone.
    missing: BTreeSet<TaskId>,
    listed_at: Option<Time>,
    asked: Option<Asked>,
    not_before: Time,
    failures: u32,
    /// When time alone lets a listing go out.
    due: Option<Time>,
}

/// What people may know of it.
#[derive(Clone, Debug)]
pub struct RoutesReport {
    /// The table in use. Without one nothing is read that needs a task.
    pub table: Option<Arc<Table>>,
    /// What is wrong.
    pub problem: Option<RoutesProblem>,
    /// When OMS last told all tasks.
    pub listed_at: Option<Time>,
    /// When it is asked next; `None` while it is being asked, or something else must happen first.
    pub next_listing: Option<Time>,
}

impl Discovery {
    pub(super) fn new(settings: DiscoverySettings) -> Self {
        Self {
            settings,
            table: None,
            problem: None,
            missing: BTreeSet::new(),
            listed_at: None,
            asked: None,
            not_before: Time::START,
            failures: 0,
            due: None,
        }
    }

    /// When the next listing is due, if time alone decides.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.due
    }

    /// Whether a listing is out.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether there is a table.
    pub(super) fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Whether OMS lists the task as stopped.
    pub(super) fn says_stopped(&self, task: &TaskId) -> bool {
        self.table.as_ref().and_then(|table| table.state(task)) == Some(ListedState::Stopped)
    }

    /// The next listing need not wait.
    #[cfg(test)]
    pub(super) fn ask_at_once(&mut self) {
        self.not_before = Time::START;
    }

    pub(super) fn report(&self) -> RoutesReport {
        RoutesReport {
            table: self.table.clone(),
            problem: self.problem.clone(),
            listed_at: self.listed_at,
            next_listing: self.due,
        }
    }

    /// What is listed, and of what was listed before and is not any more: what was there the last time, and whose keys
    /// nobody else has. OMS is asked once more before such a task counts as gone.
    fn with_missing(&mut self, listed: &[ListedTask]) -> Vec<ListedTask> {
        let ids: BTreeSet<_> = listed.iter().map(|task| &task.id).collect();
        let prefixes = &self.settings.prefixes;
        let keys_of = |task: &ListedTask| Some((task.bucket.clone()?, prefixes.get(&task.id)));
        let taken: BTreeSet<_> = listed.iter().filter_map(keys_of).collect();
        let before = self.table.iter().flat_map(|table| &table.tasks).filter(|task| !ids.contains(&task.id));
        let is_missing = |task: &&ListedTask| {
            let has_heir = keys_of(task).is_some_and(|keys| taken.contains(&keys));
            !has_heir && !self.missing.contains(&task.id)
        };
        let missing: Vec<_> = before.filter(is_missing).cloned().collect();
        self.missing = missing.iter().map(|task| task.id.clone()).collect();
        listed.iter().cloned().chain(missing).collect()
    }

    /// Takes note of a problem, or that there is none; the notice of it, where that is news.
    fn note(&mut self, said: Option<Box<str>>, now: Time) -> Option<Notice> {
        let since = self.problem.as_ref().map_or(now, |problem| problem.since);
        let problem = said.map(|said| RoutesProblem { said, since });
        let notice = match (&self.problem, &problem) {
            (Some(_), None) => Some(Notice::RoutesInOrder),
            (old, Some(new)) if old.as_ref().is_none_or(|old| old.said != new.said) => {
                Some(Notice::RoutesProblem { said: new.said.clone(), has_table: self.table.is_some() })
            }
            _ => None,
        };
        self.problem = problem;
        notice
    }
}

impl Pipeline {
    /// Asks for the project's tasks, if that is due and another signature may be risked. Where the worker holds and no
    /// event waits to be the probe, the question is the probe.
    pub(super) fn list_if_due(&mut self, now: Time, out: &mut Effects) {
        let Some(discovery) = &mut self.discovery else { return };
        discovery.due = None;
        if discovery.is_asking() || self.drain.is_some() || !self.trust.is_available() {
            return;
        }
        let mut at = discovery.not_before;
        if let Some(hold) = &self.hold {
            let (Some(probe), false) = (hold.next_probe(), self.tasks.any_queued()) else { return };
            at = probe.max(self.trust.next_try());
        } else if !self.trust.is_proven() {
            if !self.flight.is_empty() || self.inquiries > 0 {
                return;
            }
            at = at.max(self.trust.next_try());
        }
        at = at.max(self.pace.next(now));
        if at > now {
            discovery.due = Some(at);
            return;
        }
        let probes_worker = self.hold.as_mut().map(|hold| hold.probing = true).is_some();
        let signature = self.trust.sign(false, probes_worker, now);
        self.pace.spend(now, &mut self.random);
        discovery.asked = Some(Asked { at: now, signature, probes_worker });
        out.actions.push(Effect::ListTasks);
    }

    /// OMS has told the project's tasks, or has not.
    pub(super) fn listed(&mut self, listed: Result<Listing, Box<Answer>>, now: Time, out: &mut Effects) {
        let Some(discovery) = &mut self.discovery else { return };
        let Some(asked) = discovery.asked.take() else { return };
        let has_table = discovery.has_table();
        let answer = match &listed {
            Ok(listing) if listing.tasks.is_empty() => told(Verdict::Hold(HoldReason::Endpoint), EMPTY),
            Ok(_) => told(Verdict::Accepted, ""),
            Err(answer) => judged(answer),
        };
        self.trust.came_back(asked.signature);
        if self.trust.role(asked.signature.by) == Role::InUse {
            self.learn_of_listing(asked, &answer, has_table, now, out);
        } else if asked.signature.is_try && is_failed_signature(&answer) {
            self.trust.count_failed(now);
        }
        match (answer.verdict, answer.status) {
            (Verdict::Busy(Pressure::Throttled), _) => {
                let wait = answer.retry_after.map(|wait| wait.min(self.settings.max_retry_after));
                self.pace.throttle(asked.at, wait, now);
            }
            (_, Status::Http(_)) => self.pace.went_through(asked.at),
            _ => {}
        }
        match listed {
            Ok(listing) if listing.is_whole && !listing.tasks.is_empty() => self.route_by(&listing, now, out),
            Ok(listing) if !listing.is_whole => {
                self.not_listed(format!("{}: {}", CUT_OFF.0, CUT_OFF.1).into(), &answer, now, out);
            }
            Ok(_) => self.not_listed(EMPTY.into(), &answer, now, out),
            Err(refused) => self.not_listed(not_told(&refused), &answer, now, out),
        }
    }

    /// What the answer says of the credentials and of a hold. A list that cannot be had stops no event that can be sent.
    fn learn_of_listing(&mut self, asked: Asked, answer: &Answer, has_table: bool, now: Time, out: &mut Effects) {
        let is_try = asked.signature.is_try;
        if self.hold.is_none() || asked.probes_worker || is_try {
            self.count_signature(answer, now);
        }
        // As for an event, a hold may have begun while a try was out.
        let probes_worker = asked.probes_worker || (is_try && self.hold.is_some());
        let only_the_list = has_table && self.hold.is_none() && answer.verdict == Verdict::Hold(HoldReason::Endpoint);
        if !only_the_list {
            self.learn_of_hold(probes_worker, answer, now, out);
        }
    }

    fn not_listed(&mut self, said: Box<str>, answer: &Answer, now: Time, out: &mut Effects) {
        let Some(discovery) = &mut self.discovery else { return };
        discovery.failures = discovery.failures.saturating_add(1);
        let backoff = &self.settings.backoff;
        let wait = match answer.verdict {
            Verdict::Busy(_) => {
                let asked_for = answer.retry_after.unwrap_or_default().min(self.settings.max_retry_after);
                backoff.full_jitter(discovery.failures, &mut self.random).max(asked_for)
            }
            _ => discovery.settings.interval.min(backoff.max).mul_f64(0.75 + self.random.f64() / 4.0),
        };
        discovery.not_before = now.after(wait);
        out.actions.extend(discovery.note(Some(said), now).map(Effect::Notice));
    }

    fn route_by(&mut self, listing: &Listing, now: Time, out: &mut Effects) {
        let Some(discovery) = &mut self.discovery else { return };
        let tasks = discovery.with_missing(&listing.tasks);
        let DiscoverySettings { interval, prefixes } = &discovery.settings;
        let last = discovery.table.as_deref();
        let table = Arc::new(Table::new(&tasks, prefixes, last));
        if table.routes.is_empty() && table.conflicts.is_empty() {
            return self.not_listed(NO_BUCKETS.into(), &told(Verdict::Accepted, ""), now, out);
        }
        let conflicts: Vec<_> = table.conflicts.iter().map(Conflict::told).collect();
        let wait = match (&discovery.missing, &conflicts[..]) {
            (missing, _) if !missing.is_empty() => (*interval).min(self.settings.backoff.initial),
            (_, []) => *interval,
            _ => (*interval).min(self.settings.backoff.max),
        };
        discovery.not_before = now.after(wait.mul_f64(0.75 + self.random.f64() / 4.0));
        (discovery.failures, discovery.listed_at) = (0, Some(now));
        let is_new = last.is_none_or(|last| *last != *table);
        let changed = last.is_none_or(|last| (&last.routes, &last.notes) != (&table.routes, &table.notes));
        let old = discovery.table.replace(Arc::clone(&table));
        let problem = (!conflicts.is_empty()).then(|| format!("{}; {CONFLICT_REMEDY}", conflicts.join("; ")).into());
        if changed {
            let kept: FxHashSet<_> = table.routes.iter().collect();
            let before = old.iter().flat_map(|old| &old.routes);
            let gone = before.filter(|route| !kept.contains(route)).cloned().collect();
            out.actions.push(Effect::Notice(Notice::RoutesChanged { table: Arc::clone(&table), gone }));
        }
        out.actions.extend(discovery.note(problem, now).map(Effect::Notice));
        if is_new {
            out.actions.push(Effect::Route(Arc::clone(&table)));
        }
        for task in &table.tasks {
            let before = old.as_ref().and_then(|old| old.state(&task.id));
            self.learn_of_state(&task.id, task.state, before, now, out);
        }
    }

    fn learn_of_state(
        &mut self,
        id: &TaskId,
        state: ListedState,
        before: Option<ListedState>,
        now: Time,
        out: &mut Effects,
    ) {
        let known = self.tasks.find(id);
        match (state, known) {
            (ListedState::Stopped, Some(ix)) => self.task_is_stopped(ix, LISTED_STOPPED, now, out),
            (ListedState::Stopped, None) if before != Some(state) => {
                let notice = Notice::TaskBlocked(id.clone(), Block::Stopped, LISTED_STOPPED.into());
                out.actions.push(Effect::Notice(notice));
            }
            (ListedState::Synchronizing, Some(ix)) => self.unblock_stopped(ix, now, out),
            (ListedState::Synchronizing, None) if before == Some(ListedState::Stopped) => {
                out.actions.push(Effect::Notice(Notice::TaskUnblocked(id.clone(), Block::Stopped)));
            }
            _ => {}
        }
    }

    fn unblock_stopped(&mut self, ix: TaskIx, now: Time, out: &mut Effects) {
        let task = &mut self.tasks[ix];
        if task.block.as_ref().is_some_and(|block| block.reason == Block::Stopped) {
            task.unblock();
            out.actions.push(Effect::Notice(Notice::TaskUnblocked(task.id.clone(), Block::Stopped)));
            self.reschedule(ix, now);
        }
    }

    /// A task has got its state: one that OMS lists as stopped begins blocked. That was told when it was listed.
    pub(super) fn begin_as_listed(&mut self, ix: TaskIx, now: Time) {
        if self.discovery.as_ref().is_some_and(|discovery| discovery.says_stopped(&self.tasks[ix].id)) {
            self.task_is_stopped(ix, LISTED_STOPPED, now, &mut Effects::default());
        }
    }
}

/// Why there is no list, for people.
fn not_told(answer: &Answer) -> Box<str> {
    let right = match answer.verdict {
        Verdict::Hold(HoldReason::Permission) => "; give the identity the right oms:synctask:list",
        _ => "",
    };
    format!("the project's tasks cannot be listed: {}{right}", answer.said()).into()
}

fn told(verdict: Verdict, message: &str) -> Answer {
    Answer {
        verdict,
        status: Status::Http(200),
        retry_after: None,
        error_code: None,
        error_message: Some(message.into()),
        request_id: None,
    }
}

/// A question is not refused as an event is: who answers so is not OMS, or not with this project.
fn judged(answer: &Answer) -> Answer {
    match answer.verdict {
        Verdict::Accepted | Verdict::Refused | Verdict::UnknownTask | Verdict::TaskStopped => {
            Answer { verdict: Verdict::Hold(HoldReason::Endpoint), ..answer.clone() }
        }
        Verdict::Hold(_) | Verdict::Busy(_) => answer.clone(),
    }
}
