//! Workers with a backlog, one quota that they share, one virtual clock. The workers are whole pipelines that know
//! nothing of each other; the quota is a token bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use oms_sync_worker::pipeline::answer::{Answer, Pressure, Status, Verdict};
use oms_sync_worker::pipeline::intake::Incoming;
use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use oms_sync_worker::pipeline::partition::PartitionName;
use oms_sync_worker::pipeline::record::Record;
use oms_sync_worker::pipeline::settings::Settings;
use oms_sync_worker::pipeline::time::Time;
use oms_sync_worker::pipeline::{Assigned, Effect, Effects, Input, Pipeline, SubmissionId};

/// Keys that a worker has read and not yet seen accepted, at least.
const BACKLOG: usize = 1_500;
const KEYS_A_RECORD: usize = 100;
const TASKS: usize = 4;
/// A runtime wakes a sleeper at whole milliseconds.
const TIMER: Duration = Duration::from_millis(1);

/// What happens in a town.
pub(crate) struct Plan {
    /// From when to when each worker works, in seconds.
    pub(crate) workers: Vec<(f64, f64)>,
    /// From when on which quota holds: seconds, requests a second.
    pub(crate) quotas: Vec<(f64, f64)>,
    /// Requests that may come at once.
    pub(crate) burst: f64,
    /// How long an answer takes, at least; a third more on average.
    pub(crate) latency: Duration,
    /// `Retry-After` of throttled answers.
    pub(crate) retry_after: Option<Duration>,
}

impl Plan {
    /// That many workers from the start to the end, and one quota.
    pub(crate) fn new(workers: usize, quota: f64, burst: f64) -> Self {
        let latency = Duration::from_millis(20);
        Self { workers: vec![(0.0, 1e6); workers], quotas: vec![(0.0, quota)], burst, latency, retry_after: None }
    }
}

/// What was seen in a span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Requests and the throttled ones among them.
    pub(crate) requests: f64,
    pub(crate) throttled: f64,
    /// Accepted events of each worker.
    pub(crate) accepted: Vec<f64>,
    /// Keys of them.
    pub(crate) keys: f64,
    /// Requests that the quota allowed.
    pub(crate) allowed: f64,
}

impl Seen {
    /// Share of the quota that was used.
    pub(crate) fn used(&self) -> f64 {
        self.accepted.iter().sum::<f64>() / self.allowed
    }

    /// Share of requests that were throttled.
    pub(crate) fn throttled(&self) -> f64 {
        self.throttled / self.requests
    }

    /// The smallest worker's part of an even share.
    pub(crate) fn smallest(&self) -> f64 {
        let total: f64 = self.accepted.iter().sum();
        let workers = u32::try_from(self.accepted.len()).unwrap();
        self.accepted.iter().copied().fold(f64::INFINITY, f64::min) * f64::from(workers) / total
    }

    /// Keys an accepted event.
    pub(crate) fn keys_an_event(&self) -> f64 {
        self.keys / self.accepted.iter().sum::<f64>()
    }

    fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.throttled += more.throttled;
        self.keys += more.keys;
        self.allowed += more.allowed;
        self.accepted.resize(more.accepted.len().max(self.accepted.len()), 0.0);
        self.accepted.iter_mut().zip(&more.accepted).for_each(|(sum, more)| *sum += more);
    }
}

#[derive(Clone, Copy)]
enum Happening {
    Wake(usize),
    Arrive(usize, SubmissionId, usize),
    Answer(usize, SubmissionId, usize, bool),
}

struct Worker {
    pipeline: Pipeline,
    ends: Time,
    wake: Option<Time>,
    /// Keys read and not accepted.
    open: usize,
    offset: i64,
}

struct Quota {
    rate: f64,
    tokens: f64,
    filled: Time,
}

/// A town in which time goes by.
pub(crate) struct Town {
    plan: Plan,
    random: fastrand::Rng,
    now: Time,
    serial: u64,
    agenda: BTreeMap<(Time, u64), Happening>,
    workers: Vec<Worker>,
    quota: Quota,
    seconds: Vec<Seen>,
}

fn at(seconds: f64) -> Time {
    Time::since_start(Duration::from_secs_f64(seconds))
}

fn name() -> PartitionName {
    PartitionName { topic: "t".into(), partition: 0 }
}

impl Town {
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let worker = |(_, ends): &(f64, f64)| Worker {
            pipeline: Pipeline::new(Settings { seed: random.u64(..), ..Settings::default() }),
            ends: at(*ends),
            wake: None,
            open: 0,
            offset: 0,
        };
        let workers = plan.workers.iter().map(worker).collect();
        let quota = Quota { rate: plan.quotas[0].1, tokens: plan.burst, filled: Time::START };
        let mut town = Self {
            random,
            now: Time::START,
            serial: 0,
            agenda: BTreeMap::new(),
            workers,
            quota,
            seconds: Vec::new(),
            plan,
        };
        for worker in 0..town.workers.len() {
            town.wake(worker, at(town.plan.workers[worker].0));
        }
        town
    }

    /// Lets time go by to that second.
    pub(crate) fn run_to(&mut self, second: usize) -> &mut Self {
        while self.seconds.len() < second {
            let end = at(f64::from(u32::try_from(self.seconds.len()).unwrap() + 1));
            let accepted = vec![0.0; self.workers.len()];
            self.seconds.push(Seen { accepted, allowed: self.quota_now(), ..Seen::default() });
            while self.agenda.first_key_value().is_some_and(|((at, _), _)| *at < end) {
                let Some(((at, _), happening)) = self.agenda.pop_first() else { break };
                self.now = at;
                self.happen(happening);
            }
            self.now = end;
        }
        self
    }

    /// What was seen from one second to another.
    pub(crate) fn seen(&mut self, from: usize, to: usize) -> Seen {
        self.run_to(to);
        let mut sum = Seen::default();
        self.seconds[from..to].iter().for_each(|second| sum.add(second));
        sum
    }

    fn quota_now(&self) -> f64 {
        self.plan.quotas.iter().rfind(|(from, _)| at(*from) <= self.now).unwrap().1
    }

    fn second(&mut self) -> &mut Seen {
        self.seconds.last_mut().unwrap()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake(worker) => {
                if self.workers[worker].wake == Some(self.now) {
                    self.workers[worker].wake = None;
                    self.step(worker, Input::Tick);
                }
            }
            Happening::Arrive(worker, id, keys) => self.arrive(worker, id, keys),
            Happening::Answer(worker, id, keys, throttled) => {
                self.workers[worker].open -= if throttled { 0 } else { keys };
                let retry_after = self.plan.retry_after.filter(|_| throttled);
                self.step(worker, Input::Answered(id, answer(throttled, retry_after)));
            }
        }
    }

    fn arrive(&mut self, worker: usize, id: SubmissionId, keys: usize) {
        let (rate, burst, now) = (self.quota_now(), self.plan.burst, self.now);
        let quota = &mut self.quota;
        quota.tokens = (quota.tokens + now.since(quota.filled).as_secs_f64() * quota.rate).min(burst);
        (quota.rate, quota.filled) = (rate, now);
        let throttled = quota.tokens < 1.0;
        quota.tokens -= if throttled { 0.0 } else { 1.0 };
        let second = self.second();
        second.requests += 1.0;
        if throttled {
            second.throttled += 1.0;
        } else {
            second.accepted[worker] += 1.0;
            second.keys += f64::from(u32::try_from(keys).unwrap());
        }
        let longer = -(1.0 - self.random.f64()).ln() / 3.0;
        let wait = self.plan.latency + self.plan.latency.mul_f64(longer);
        self.plan_at(now.after(wait), Happening::Answer(worker, id, keys, throttled));
    }

    fn plan_at(&mut self, at: Time, happening: Happening) {
        self.serial += 1;
        self.agenda.insert((at, self.serial), happening);
    }

    fn wake(&mut self, worker: usize, wakeup: Time) {
        let wakeup = wakeup.max(self.now);
        if self.workers[worker].wake.is_none_or(|wake| wakeup < wake) {
            self.workers[worker].wake = Some(wakeup);
            self.plan_at(wakeup, Happening::Wake(worker));
        }
    }

    fn step(&mut self, worker: usize, input: Input) {
        if self.now >= self.workers[worker].ends {
            return;
        }
        self.feed(worker);
        self.input(worker, input);
        if let Some(wakeup) = self.workers[worker].pipeline.next_wakeup() {
            let late = TIMER.mul_f64(self.random.f64());
            self.wake(worker, wakeup.max(self.now).after(late));
        }
    }

    fn feed(&mut self, worker: usize) {
        if self.workers[worker].offset == 0 {
            let assigned = Assigned { name: name(), epoch: 1, committed: Some(0) };
            self.input(worker, Input::Assigned(vec![assigned]));
        }
        while self.workers[worker].open < BACKLOG {
            let state = &mut self.workers[worker];
            let record = record(state.offset);
            state.offset += 1;
            state.open += KEYS_A_RECORD;
            self.input(worker, Input::Records(vec![(1, record)]));
        }
    }

    fn input(&mut self, worker: usize, input: Input) {
        let mut out = Effects::default();
        self.workers[worker].pipeline.step(self.now, input, &mut out);
        for effect in out.actions {
            match effect {
                Effect::Submit { id, keys, .. } => {
                    let on_its_way = Duration::from_micros(self.random.u64(100..600));
                    self.plan_at(self.now.after(on_its_way), Happening::Arrive(worker, id, keys));
                }
                Effect::Commit(_) => self.input(worker, Input::Committed(Ok(()))),
                _ => {}
            }
        }
    }
}

fn record(offset: i64) -> Incoming {
    let task = TaskId::new(&format!("task-{}", usize::try_from(offset).unwrap() % TASKS)).unwrap();
    let change = |n| (task.clone(), EncodedKey::encode(&format!("{offset}-{n}"), KeyEncoding::Percent).unwrap());
    let changes = (0..KEYS_A_RECORD).map(change).collect();
    Incoming::new(&Record::at("t", 0, offset), changes, Vec::new())
}

fn answer(throttled: bool, retry_after: Option<Duration>) -> Answer {
    let throttling = (Verdict::Busy(Pressure::Throttled), Status::Http(429));
    let (verdict, status) = if throttled { throttling } else { (Verdict::Accepted, Status::Http(200)) };
    Answer { verdict, status, retry_after, error_code: None, error_message: None, request_id: None }
}
