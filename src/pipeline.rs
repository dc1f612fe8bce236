//! The pure core: every decision of the worker, as `step(now, input) -> effects`.
//!
//! In the order in which a record meets them: [`kept`] (upon [`packed`] and [`view`]; apart it is a [`record`]),
//! [`intake`] (decode, [`route`], [`key`]), [`budget`] and `admit`, [`ledger`], [`pending`] per [`task`] (upon [`table`]
//! and [`chain`]), `dispatch` ([`event`], [`pressure`], [`pace`] and [`share`], [`hold`], [`trust`]), `settle`
//! ([`answer`], [`credentials`], [`inquiry`], `stopped`, [`failure`], [`breaker`], [`letters`], [`form`]), [`commits`];
//! beside it [`discovery`], `rebalance` and [`drain`].
//!
//! Nothing in here does I/O, reads a clock, or knows tokio, rdkafka, reqwest or prometheus. Nothing it does for one
//! record, answer or tick costs more than O(log n) of what waits; a rebalance, a list of the tasks, a stop, a change of
//! credentials or a breaker that closes may walk all of it once.

mod admit;
pub mod answer;
pub mod breaker;
pub mod budget;
pub mod chain;
pub mod commits;
pub mod credentials;
pub mod discovery;
mod dispatch;
pub mod drain;
pub mod entry;
pub mod event;
pub mod failure;
pub mod form;
pub mod hold;
pub mod inquiry;
pub mod intake;
pub mod kept;
pub mod key;
pub mod ledger;
pub mod letters;
pub mod pace;
pub mod packed;
pub mod partition;
pub mod pending;
pub mod pressure;
mod rebalance;
pub mod record;
pub mod report;
pub mod retry;
pub mod route;
pub mod settings;
mod settle;
pub mod share;
mod stopped;
pub mod table;
pub mod task;
pub mod time;
pub mod trust;
pub mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::vec;

use bytes::Bytes;

use answer::{Answer, HoldReason};
use breaker::Breaker;
use budget::Budget;
use commits::Commits;
use credentials::CredentialNews;
use discovery::Discovery;
use discovery::table::{Listing, Table};
use dispatch::Flight;
use drain::Drain;
use entry::{Entries, TaskIx};
use hold::Hold;
use inquiry::Standing;
use intake::Incoming;
use key::TaskId;
use letters::{DeadLetter, LetterId, Letters};
use pace::Pace;
use partition::{PartitionName, Partitions};
use rebalance::Revoke;
use report::SettledCounts;
use route::Route;
use settings::Settings;
use task::{Block, Tasks};
use time::Time;
use trust::CredentialTrust;

/// Names a submission until its answer comes.
pub type SubmissionId = usize;

/// A partition that was assigned.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Which.
    pub name: PartitionName,
    /// Another one for each assignment of whatever partition: records are placed by it alone.
    pub epoch: u64,
    /// The group's commit point, where it is known.
    pub committed: Option<i64>,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Partitions were assigned.
    Assigned(Vec<Assigned>),
    /// Partitions are to be given back; the consumer keeps them until [`Effect::Unassign`].
    Revoked(Vec<PartitionName>),
    /// Partitions are gone already.
    Lost(Vec<PartitionName>),
    /// Records were read, each with the epoch of its partition's assignment.
    Records(Vec<(u64, Incoming)>),
    /// There is nothing to read below that offset in an assignment of a partition.
    Ended(PartitionName, u64, i64),
    /// A submission was answered.
    Answered(SubmissionId, Answer),
    /// OMS was asked how a task stands.
    TaskStands(TaskId, Standing),
    /// OMS has told the project's tasks, or has not.
    Listed(Result<Listing, Box<Answer>>),
    /// A dead letter was acknowledged, or could not be written.
    LetterDone(LetterId, bool),
    /// A dead letter is larger than its topic takes.
    LetterTooLarge(LetterId),
    /// The commit that was asked for has its result.
    Committed(Result<(), CommitError>),
    /// Something about the credentials. Without any such news there are some from the start.
    Credentials(CredentialNews),
    /// Time went by.
    Tick,
    /// The worker is to end: settle what is under way and say when that is done.
    Drain,
}

/// Why a commit did not succeed. Both are normal: it is tried again, or the partitions have a new owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CommitError {
    /// The broker could not be reached or refused.
    Failed,
    /// The group has moved on: rebalance in progress, illegal generation, unknown member.
    Fenced,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send an event.
    Submit {
        /// Names it in [`Input::Answered`].
        id: SubmissionId,
        /// To which task.
        task: TaskId,
        /// The JSON body.
        body: Bytes,
        /// Keys in it.
        keys: usize,
        /// Whether to sign it with the credentials that were offered last; else with those in use.
        candidate: bool,
    },
    /// Ask OMS how a task stands, with the credentials in use.
    AskTask(TaskId),
    /// Ask OMS for all tasks of the project, with the credentials in use. One such question is out at a time.
    ListTasks,
    /// From now on records are routed by this table; those that waited for one are looked at again.
    Route(Arc<Table>),
    /// From now on the credentials that were offered last are in use.
    AdoptCredentials,
    /// OMS refuses the credentials: see whether there are others.
    RefreshCredentials,
    /// Write a dead letter.
    DeadLetter(LetterId, Arc<DeadLetter>),
    /// Commit these next offsets.
    Commit(Vec<(PartitionName, i64)>),
    /// Stop delivering a partition.
    Pause(PartitionName),
    /// Deliver it again.
    Resume(PartitionName),
    /// Give revoked partitions back now.
    Unassign(Vec<PartitionName>),
    /// The drain is over. `unanswered` requests and dead letters were still out when its time was up.
    Drained {
        /// Requests and dead letters without an answer.
        unanswered: usize,
    },
    /// Something that people want to read in the log.
    Notice(Notice),
}

/// A change of state worth a line in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The whole worker holds.
    HoldBegan(HoldReason, Box<str>),
    /// A probe was answered by a hold again.
    HoldGoesOn(HoldReason, Box<str>),
    /// It goes on.
    HoldEnded(HoldReason),
    /// Offered credentials were refused; those in use are used on.
    CredentialsRefused(Box<str>),
    /// One task holds.
    TaskBlocked(TaskId, Block, Box<str>),
    /// It goes on.
    TaskUnblocked(TaskId, Block),
    /// Keys of a task are dead-lettered, told at most once a minute a task: the reason, and what OMS said.
    Condemned(TaskId, &'static str, Box<str>),
    /// There is a table of routes with other routes than before.
    RoutesChanged {
        /// The table.
        table: Arc<Table>,
        /// Routes that it has not any more.
        gone: Vec<Route>,
    },
    /// The table of routes cannot be made, or not as the project's tasks are: why. Told when that changes.
    RoutesProblem {
        /// For people, with what to do.
        said: Box<str>,
        /// Whether there is an earlier table, which stays in use.
        has_table: bool,
    },
    /// The table of routes is what the project's tasks are, after a problem.
    RoutesInOrder,
    /// Too much is refused: dead letters wait from now on. Says why.
    BreakerOpened(Box<str>),
    /// The breaker is still open and probes; that many dead letters wait.
    BreakerProbes(usize),
    /// Dead letters are written again; that many had waited.
    BreakerClosed(usize),
    /// Revoked partitions are given back, with that many records of them unsettled.
    GivenBack(usize),
}

/// Everything that one step asks for. Made once and emptied by the caller.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be done, in order.
    pub actions: Vec<Effect>,
    /// Kafka timestamps (milliseconds since the Unix epoch) of records whose keys were just accepted, one a key.
    pub accepted_timestamps_ms: Vec<i64>,
}

/// What was read, in order.
#[derive(Debug)]
enum Read {
    /// Records, each with the epoch of its partition's assignment.
    Records(vec::IntoIter<(u64, Incoming)>),
    /// All below that offset of a partition.
    End(PartitionName, u64, i64),
}

/// All state of the worker that is not a connection.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    random: fastrand::Rng,
    /// Read, but not let in yet.
    intake: VecDeque<Read>,
    budget: Budget,
    partitions: Partitions,
    /// Whether a partition may have become too full, or empty enough.
    pauses_changed: bool,
    entries: Entries,
    tasks: Tasks,
    flight: Flight,
    pace: Pace,
    trust: CredentialTrust,
    hold: Option<Hold<HoldReason>>,
    /// When the whole client may send again, where tasks wait for that.
    gate: Option<Time>,
    /// Questions about tasks that are out.
    inquiries: usize,
    /// Stopped tasks for which something may wait that is to be dead-lettered.
    stopped_tasks: BTreeSet<TaskIx>,
    /// Where the routes are not written but asked for.
    discovery: Option<Discovery>,
    breaker: Breaker,
    letters: Letters,
    commits: Commits,
    revoke: Option<Revoke>,
    drain: Option<Drain>,
    settled: SettledCounts,
    serials: u64,
}

impl Pipeline {
    /// A pipeline without partitions.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            random: fastrand::Rng::with_seed(settings.seed),
            intake: VecDeque::new(),
            budget: Budget::new(settings.max_unsettled_changes, settings.max_unsettled_bytes),
            partitions: Partitions::default(),
            pauses_changed: false,
            entries: Entries::default(),
            tasks: Tasks::default(),
            flight: Flight::default(),
            pace: Pace::new(settings.max_requests_per_second),
            trust: CredentialTrust::default(),
            hold: None,
            gate: None,
            inquiries: 0,
            stopped_tasks: BTreeSet::new(),
            discovery: settings.discovery.clone().map(Discovery::new),
            breaker: Breaker::new(settings.breaker, settings.hold_probe_interval),
            letters: Letters::default(),
            commits: Commits::default(),
            revoke: None,
            drain: None,
            settled: SettledCounts::default(),
            serials: 0,
            settings,
        }
    }

    /// Takes in what happened at `now` and adds what is to be done to `out`.
    pub fn step(&mut self, now: Time, input: Input, out: &mut Effects) {
        self.breaker.begin(now);
        match input {
            Input::Assigned(partitions) => self.assigned(partitions, out),
            Input::Revoked(names) => self.revoked(&names, now),
            Input::Lost(names) => self.lost(&names),
            Input::Records(records) => self.intake.push_back(Read::Records(records.into_iter())),
            Input::Ended(name, epoch, offset) => self.intake.push_back(Read::End(name, epoch, offset)),
            Input::Answered(id, answer) => self.answered(id, answer, now, out),
            Input::TaskStands(task, standing) => self.task_stands(&task, standing, now, out),
            Input::Listed(listed) => self.listed(listed, now, out),
            Input::LetterDone(id, written) => self.letter_done(id, written, now),
            Input::LetterTooLarge(id) => self.letter_too_large(id, now),
            Input::Committed(result) => self.committed(result),
            Input::Credentials(news) => self.credentials_changed(news, now, out),
            Input::Tick => {}
            Input::Drain => self.begin_drain(now),
        }
        if self.is_full() {
            self.dispatch(now, out); // an answer's place is taken before it is looked at whether more is needed
        }
        self.admit_all(now);
        self.condemn_stopped(now, out);
        self.turn_breaker(now, out);
        self.list_if_due(now, out);
        self.dispatch(now, out);
        self.list_if_due(now, out); // as the probe, where no event was one
        self.write_letters(now, out);
        self.apply_pauses(out);
        self.commit_if_due(now, out);
        self.advance_revoke(now, out);
        self.advance_drain(now, out);
    }

    /// When the next [`Input::Tick`] has something to do; `None` if only another input can change anything.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Time> {
        let gate = self.gate.filter(|_| self.tasks.any_queued());
        let times = [
            gate,
            self.tasks.next_due(),
            self.discovery.as_ref().and_then(Discovery::next_due),
            self.breaker.next_due().filter(|_| self.drain.is_none()),
            self.letters.next_due(),
            self.commits.next_due(),
            self.revoke.as_ref().map(Revoke::next_due),
            self.drain.as_ref().and_then(|drain| drain.next_due(self.commits.out_since().is_some())),
        ];
        times.into_iter().flatten().min()
    }

    /// Whether records wait to be let in. As long as they do, no more should be read.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.intake.is_empty()
    }

    fn next_serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }
}
