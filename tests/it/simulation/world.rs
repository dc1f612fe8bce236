//! A simulated world: a broker with its group, workers that live and die, one virtual clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use oms_sync_worker::pipeline::answer::{Answer, Status};
use oms_sync_worker::pipeline::credentials::CredentialNews;
use oms_sync_worker::pipeline::discovery::DiscoverySettings;
use oms_sync_worker::pipeline::intake::Incoming;
use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use oms_sync_worker::pipeline::letters::{DeadLetter, LetterId};
use oms_sync_worker::pipeline::partition::PartitionName;
use oms_sync_worker::pipeline::record::Record;
use oms_sync_worker::pipeline::settings::Settings;
use oms_sync_worker::pipeline::time::Time;
use oms_sync_worker::pipeline::{Assigned, CommitError, Effect, Effects, Input, Notice, Pipeline, SubmissionId};

use super::oms::{Change, Oms, UNKNOWN_TASK};

/// How long a dead or silent worker stays in the group.
const SESSION: Duration = Duration::from_secs(10);
/// How long the world is unwell.
const TROUBLE: Duration = Duration::from_secs(90);
/// By then all must be settled.
const END: Duration = Duration::from_hours(3);

/// What a run went through.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Totals {
    pub(crate) changes: u64,
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) dead_letters: u64,
    pub(crate) kills: u64,
    pub(crate) revokes: u64,
    pub(crate) losses: u64,
    pub(crate) fenced: u64,
    pub(crate) holds: u64,
    pub(crate) unanswered: u64,
    pub(crate) listings: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.changes += other.changes;
        self.requests += other.requests;
        self.accepted += other.accepted;
        self.dead_letters += other.dead_letters;
        self.kills += other.kills;
        self.revokes += other.revokes;
        self.losses += other.losses;
        self.fenced += other.fenced;
        self.holds += other.holds;
        self.unanswered += other.unanswered;
        self.listings += other.listings;
    }
}

enum Happening {
    Arrive(usize, u64, SubmissionId, Vec<Change>),
    Answer(usize, u64, SubmissionId, Answer),
    Letter(usize, u64, LetterId, Arc<DeadLetter>),
    Stand(usize, u64, TaskId),
    List(usize, u64),
    /// Next offsets, each with the generation of its partition's assignment when it was sent.
    Commit(usize, u64, Vec<(PartitionName, i64, u64)>),
    Wake(usize, u64),
    Credentials(usize, u64),
    Produce,
    Poll,
    Rebalance,
    Kill,
    Expire(usize, u64),
    Start(usize),
    Mood,
}

struct Worker {
    pipeline: Option<Pipeline>,
    life: u64,
    /// Epoch and next offset of each partition that it reads.
    reads: BTreeMap<usize, (u64, usize)>,
}

struct LogEntry {
    written: Time,
    changes: Vec<Change>,
    dead_lettered: Vec<Change>,
}

pub(crate) struct World {
    random: fastrand::Rng,
    now: Time,
    serial: u64,
    agenda: BTreeMap<(Time, u64), Happening>,
    workers: Vec<Worker>,
    logs: Vec<Vec<LogEntry>>,
    committed: Vec<usize>,
    /// Who owns a partition as the group sees it, and who is to have it next.
    owner: Vec<Option<usize>>,
    /// Counts the assignments of a partition: a commit of an earlier one is fenced.
    generation: Vec<u64>,
    heir: Vec<Option<usize>>,
    oms: Oms,
    /// Whether its workers list the project's tasks now and then, and so never come to rest.
    lists: bool,
    totals: Totals,
}

fn name(partition: usize) -> PartitionName {
    PartitionName { topic: "t".into(), partition: i32::try_from(partition).unwrap() }
}

fn number(name: &PartitionName) -> usize {
    usize::try_from(name.partition).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let (workers, partitions) = (random.usize(1..4), random.usize(1..6));
        let mut world = Self {
            now: Time::START,
            serial: 0,
            agenda: BTreeMap::new(),
            workers: (0..workers).map(|_| Worker { pipeline: None, life: 0, reads: BTreeMap::new() }).collect(),
            logs: (0..partitions).map(|_| Vec::new()).collect(),
            committed: vec![0; partitions],
            owner: vec![None; partitions],
            generation: vec![0; partitions],
            heir: vec![None; partitions],
            oms: Oms::new(),
            lists: random.bool(),
            totals: Totals::default(),
            random,
        };
        (0..workers).for_each(|worker| world.start(worker));
        for first in [Happening::Produce, Happening::Poll, Happening::Rebalance, Happening::Kill, Happening::Mood] {
            world.plan(Duration::ZERO, first);
        }
        world
    }

    /// Runs to the end and checks it.
    pub(crate) fn run(mut self) -> Totals {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.now = at;
            if self.lists && !self.in_trouble() && self.is_committed() {
                break;
            }
            assert!(at < Time::since_start(END), "not at rest after {END:?}: {:?}", self.reports());
            self.happen(happening);
        }
        for (p, log) in self.logs.iter().enumerate() {
            assert_eq!(self.committed[p], log.len(), "lag of partition {p}: {:?}", self.workers.len());
            for entry in log {
                for change in &entry.changes {
                    assert!(self.is_settled(entry, *change), "{change:?} of partition {p} is lost");
                }
                assert!(entry.dead_lettered.iter().all(|change| Oms::is_refused(*change)), "wrongly dead-lettered");
            }
        }
        self.totals.accepted = self.oms.accepted_total;
        self.totals.changes = self.logs.iter().flatten().map(|entry| entry.changes.len() as u64).sum();
        self.totals
    }

    fn reports(&mut self) -> Vec<String> {
        let pipelines = self.workers.iter_mut().filter_map(|worker| worker.pipeline.as_mut());
        pipelines.map(|pipeline| format!("{:?}", pipeline.report())).collect()
    }

    fn is_committed(&self) -> bool {
        self.logs.iter().zip(&self.committed).all(|(log, committed)| log.len() == *committed)
    }

    fn in_trouble(&self) -> bool {
        self.now < Time::since_start(TROUBLE)
    }

    fn plan(&mut self, wait: Duration, happening: Happening) {
        self.serial += 1;
        self.agenda.insert((self.now.after(wait), self.serial), happening);
    }

    fn plan_within(&mut self, seconds: f64, happening: Happening) {
        let wait = Duration::from_secs_f64(self.random.f64() * seconds);
        self.plan(wait, happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive(worker, life, id, changes) => {
                let (answer, wait) = self.oms.request(&changes, self.now, &mut self.random);
                self.totals.unanswered += u64::from(answer.status == Status::Timeout);
                self.plan(wait, Happening::Answer(worker, life, id, answer));
            }
            Happening::Answer(worker, life, id, answer) => self.input(worker, life, Input::Answered(id, answer)),
            Happening::Letter(worker, life, id, letter) => self.write_letter(worker, life, id, &letter),
            Happening::Stand(worker, life, task) => {
                let standing = self.oms.standing(&task, &mut self.random);
                self.input(worker, life, Input::TaskStands(task, standing));
            }
            Happening::List(worker, life) => {
                let listed = self.oms.listing(&mut self.random);
                self.totals.listings += 1;
                self.input(worker, life, Input::Listed(listed));
            }
            Happening::Commit(worker, life, offsets) => self.commit(worker, life, &offsets),
            Happening::Wake(worker, life) => self.input(worker, life, Input::Tick),
            Happening::Credentials(worker, life) => self.credentials(worker, life),
            Happening::Produce => self.produce(),
            Happening::Poll => self.poll(),
            Happening::Rebalance => self.rebalance(),
            Happening::Kill => self.kill(),
            Happening::Expire(worker, life) => self.expire(worker, life),
            Happening::Start(worker) => self.start(worker),
            Happening::Mood => self.change_mood(),
        }
    }

    fn change_mood(&mut self) {
        if self.in_trouble() {
            self.oms.change_mood(&mut self.random);
            self.plan_within(20.0, Happening::Mood);
        } else {
            self.oms.mood = super::oms::Mood::Well;
            self.oms.healed = true;
        }
    }

    /// A source of credentials has news: others, or that there are none until it has them again.
    fn credentials(&mut self, worker: usize, life: u64) {
        let news = if self.in_trouble() && self.random.u8(..) < 80 {
            self.plan_within(10.0, Happening::Credentials(worker, life));
            CredentialNews::Missing("expired".into())
        } else {
            CredentialNews::Offered
        };
        self.input(worker, life, Input::Credentials(news));
    }

    fn produce(&mut self) {
        let partition = self.random.usize(0..self.logs.len());
        let count = self.random.usize(0..6);
        let changes = (0..count).map(|_| {
            let task = if self.random.u8(..) < 4 { UNKNOWN_TASK } else { self.random.u8(0..3) };
            (task, self.random.u8(0..40))
        });
        let mut changes: Vec<Change> = changes.collect();
        changes.sort_unstable();
        changes.dedup();
        self.logs[partition].push(LogEntry { written: self.now, changes, dead_lettered: Vec::new() });
        if self.in_trouble() {
            self.plan_within(3.0, Happening::Produce);
        } else {
            self.plan(Duration::ZERO, Happening::Poll);
        }
    }

    /// Delivers what there is to every worker that has room, then again a little later while there is more to come.
    fn poll(&mut self) {
        for worker in 0..self.workers.len() {
            for p in self.workers[worker].reads.keys().copied().collect::<Vec<_>>() {
                self.deliver(worker, p);
            }
        }
        let behind = (0..self.logs.len()).any(|p| self.committed[p] < self.logs[p].len());
        if self.in_trouble() || behind {
            self.plan_within(0.4, Happening::Poll);
        }
    }

    fn deliver(&mut self, worker: usize, p: usize) {
        let Worker { pipeline: Some(pipeline), life, reads } = &mut self.workers[worker] else { return };
        let Some((epoch, next)) = reads.get_mut(&p).filter(|_| !pipeline.is_full()) else { return };
        let (epoch, from, life) = (*epoch, *next, *life);
        let until = self.logs[p].len().min(from + 5);
        if until == from {
            return;
        }
        *next = until;
        let records: Vec<_> = (from..until).map(|at| (epoch, incoming(p, at, &self.logs[p][at].changes))).collect();
        self.input(worker, life, Input::Records(records));
        if until == self.logs[p].len() {
            self.input(worker, life, Input::Ended(name(p), epoch, i64::try_from(until).unwrap()));
        }
    }

    fn input(&mut self, worker: usize, life: u64, input: Input) {
        if self.workers[worker].life != life {
            return; // the process that it was for is dead
        }
        let Some(pipeline) = &mut self.workers[worker].pipeline else { return };
        let mut out = Effects::default();
        pipeline.step(self.now, input, &mut out);
        if let Some(wakeup) = pipeline.next_wakeup() {
            self.plan(wakeup.since(self.now), Happening::Wake(worker, life));
        }
        for effect in out.actions {
            self.perform(worker, life, effect);
        }
    }

    fn perform(&mut self, worker: usize, life: u64, effect: Effect) {
        match effect {
            Effect::Submit { id, task, body, .. } => {
                self.totals.requests += 1;
                let changes = parse(&task, &body);
                assert_eq!(Oms::keys(&changes).len(), changes.len(), "a key is in an event once");
                self.plan_within(0.01, Happening::Arrive(worker, life, id, changes));
            }
            Effect::ListTasks => self.plan_within(0.2, Happening::List(worker, life)),
            Effect::AskTask(task) => self.plan_within(0.1, Happening::Stand(worker, life, task)),
            Effect::DeadLetter(id, letter) => self.plan_within(0.05, Happening::Letter(worker, life, id, letter)),
            Effect::Commit(offsets) => {
                let of = |(name, offset): (PartitionName, i64)| {
                    let generation = self.generation[number(&name)];
                    (name, offset, generation)
                };
                let offsets = offsets.into_iter().map(of).collect();
                self.plan_within(0.5, Happening::Commit(worker, life, offsets));
            }
            Effect::Unassign(names) => names.iter().for_each(|name| self.given_back(worker, number(name))),
            Effect::Notice(Notice::HoldBegan(..)) => self.totals.holds += 1,
            Effect::Pause(_)
            | Effect::Resume(_)
            | Effect::Drained { .. }
            | Effect::Notice(_)
            | Effect::Route(_)
            | Effect::AdoptCredentials => {}
            Effect::RefreshCredentials => self.plan_within(5.0, Happening::Credentials(worker, life)),
        }
    }

    fn write_letter(&mut self, worker: usize, life: u64, id: LetterId, letter: &DeadLetter) {
        let written = !self.in_trouble() || self.random.u8(..) > 40;
        if written {
            self.totals.dead_letters += 1;
            let task = letter.failure.refusal.as_ref().unwrap().task.as_str().parse().unwrap();
            let p = usize::try_from(letter.record.partition).unwrap();
            let entry = &mut self.logs[p][usize::try_from(letter.record.offset).unwrap()];
            entry.dead_lettered.extend(letter.failure.keys.iter().map(|key| (task, key.parse().unwrap())));
        }
        if !written && self.random.bool() {
            self.input(worker, life, Input::LetterTooLarge(id));
            return;
        }
        let acknowledged = written && (!self.in_trouble() || self.random.u8(..) > 20);
        self.input(worker, life, Input::LetterDone(id, acknowledged));
    }

    /// The broker takes a commit from the owner only, even if that has died meanwhile.
    fn commit(&mut self, worker: usize, life: u64, offsets: &[(PartitionName, i64, u64)]) {
        let owns = |name: &PartitionName, generation: u64| {
            let p = number(name);
            self.owner[p] == Some(worker) && self.workers[worker].life == life && self.generation[p] == generation
        };
        let result = if !offsets.iter().all(|(name, _, generation)| owns(name, *generation)) {
            self.totals.fenced += 1;
            Err(CommitError::Fenced)
        } else if self.in_trouble() && self.random.u8(..) < 30 {
            Err(CommitError::Failed)
        } else {
            for (name, offset, _) in offsets {
                self.check_commit(number(name), usize::try_from(*offset).unwrap());
            }
            Ok(())
        };
        self.input(worker, life, Input::Committed(result));
    }

    fn check_commit(&mut self, p: usize, offset: usize) {
        for (at, entry) in self.logs[p].iter().enumerate().take(offset) {
            let open: Vec<_> = entry.changes.iter().filter(|change| !self.is_settled(entry, **change)).collect();
            assert!(open.is_empty(), "commit {offset} of partition {p} passes {open:?} at {at}");
        }
        self.committed[p] = offset;
    }

    fn is_settled(&self, entry: &LogEntry, change: Change) -> bool {
        self.oms.has(change, entry.written) || entry.dead_lettered.contains(&change)
    }

    fn start(&mut self, worker: usize) {
        let discovery = DiscoverySettings { interval: Duration::from_secs(20), prefixes: BTreeMap::new() };
        let settings = Settings {
            discovery: self.lists.then_some(discovery),
            max_in_flight: self.random.usize(1..8),
            max_in_flight_per_task: self.random.usize(1..5),
            max_unsettled_changes: self.random.usize(5..200),
            max_pending_keys_per_task: self.random.usize(2..50),
            max_blocked_share_per_task: self.random.f64().max(0.1),
            max_uncommitted_records: self.random.usize(2..50),
            max_requests_per_second: self.random.bool().then_some(50.0),
            hold_probe_interval: Duration::from_secs(5),
            seed: self.random.u64(..),
            ..Settings::default()
        };
        self.workers[worker].pipeline = Some(Pipeline::new(settings));
        self.workers[worker].life += 1;
        self.plan_within(2.0, Happening::Rebalance);
        let life = self.workers[worker].life;
        if self.random.bool() {
            self.input(worker, life, Input::Credentials(CredentialNews::Awaited));
            self.plan_within(5.0, Happening::Credentials(worker, life));
        }
        self.plan_within(60.0, Happening::Credentials(worker, life)); // temporary ones are renewed
    }

    /// Gives every partition a new owner among the living. Those that have one are asked for it first.
    fn rebalance(&mut self) {
        let living: Vec<_> = (0..self.workers.len()).filter(|w| self.workers[*w].pipeline.is_some()).collect();
        let Some(any) = self.random.choice(&living).copied() else { return };
        for p in 0..self.logs.len() {
            let heir = self.random.choice(&living).copied().unwrap_or(any);
            if self.heir[p].is_some() {
                continue; // on its way already
            }
            match self.owner[p] {
                None => self.assign(p, heir),
                Some(owner) if owner == heir || !living.contains(&owner) => {}
                Some(owner) => {
                    self.heir[p] = Some(heir);
                    let life = self.workers[owner].life;
                    if self.random.u8(..) < 40 {
                        self.lose(owner, life, p);
                    } else {
                        self.totals.revokes += 1;
                        self.workers[owner].reads.remove(&p);
                        self.input(owner, life, Input::Revoked(vec![name(p)]));
                    }
                }
            }
        }
        if self.in_trouble() {
            self.plan_within(15.0, Happening::Rebalance);
        }
    }

    fn assign(&mut self, p: usize, worker: usize) {
        self.owner[p] = Some(worker);
        self.generation[p] += 1;
        self.serial += 1;
        let epoch = self.serial;
        let life = self.workers[worker].life;
        self.workers[worker].reads.insert(p, (epoch, self.committed[p]));
        let committed = Some(i64::try_from(self.committed[p]).unwrap());
        self.input(worker, life, Input::Assigned(vec![Assigned { name: name(p), epoch, committed }]));
    }

    fn lose(&mut self, worker: usize, life: u64, p: usize) {
        self.totals.losses += 1;
        self.workers[worker].reads.remove(&p);
        self.input(worker, life, Input::Lost(vec![name(p)]));
        self.given_back(worker, p);
    }

    fn given_back(&mut self, worker: usize, p: usize) {
        if self.owner[p] == Some(worker) {
            self.owner[p] = None;
            match self.heir[p].take().filter(|heir| self.workers[*heir].pipeline.is_some()) {
                Some(heir) => self.assign(p, heir),
                None => self.plan_within(1.0, Happening::Rebalance),
            }
        }
    }

    fn kill(&mut self) {
        if !self.in_trouble() {
            return;
        }
        self.plan_within(60.0, Happening::Kill);
        let worker = self.random.usize(0..self.workers.len());
        if self.workers[worker].pipeline.take().is_some() {
            self.totals.kills += 1;
            self.workers[worker].reads.clear();
            let life = self.workers[worker].life;
            self.plan(SESSION, Happening::Expire(worker, life));
            self.plan_within(20.0, Happening::Start(worker));
        }
    }

    /// The group notices that a worker is dead; one that was started again in its place joins as a new member.
    fn expire(&mut self, worker: usize, life: u64) {
        for p in 0..self.logs.len() {
            let reads = self.workers[worker].reads.contains_key(&p);
            if self.owner[p] == Some(worker) && !(reads && self.workers[worker].life != life) {
                self.owner[p] = None;
                self.heir[p] = None;
            }
        }
        self.plan_within(1.0, Happening::Rebalance);
    }
}

fn incoming(p: usize, at: usize, changes: &[Change]) -> Incoming {
    let record = Record::at("t", i32::try_from(p).unwrap(), i64::try_from(at).unwrap());
    let change = |(task, key): &Change| {
        let key = EncodedKey::encode(&key.to_string(), KeyEncoding::Percent).unwrap();
        (TaskId::new(&task.to_string()).unwrap(), key)
    };
    Incoming::new(&record, changes.iter().map(change).collect(), Vec::new())
}

fn parse(task: &TaskId, body: &[u8]) -> Vec<Change> {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        object_keys: Vec<&'a str>,
    }
    let task = task.as_str().parse().unwrap();
    let body: Body<'_> = serde_json::from_slice(body).unwrap();
    body.object_keys.iter().map(|key| (task, key.parse().unwrap())).collect()
}
