//! The course of the demo: writes records at a steady rate, changes what OMS is like, shows how far everything is, and
//! waits until all of it is settled. Never looks into the worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::io::signal::Ending;
use crate::simulator::Simulator;

use super::evidence::Evidence;
use super::plan::Plan;
use super::progress::{Figures, Progress};
use super::script::Stage;
use super::subject::Subject;
use super::table::answers;
use super::writer::{Writer, Written};
use super::{DemoArgs, GROUP, PARTITIONS, TOPIC};

/// Time between two looks at everything.
const TICK: Duration = Duration::from_millis(50);
/// Time between two questions for the commit points.
const COMMITS_INTERVAL: Duration = Duration::from_millis(250);
/// Records a second, unless the course would be too short or too long for them.
const RATE: f64 = 1_500.0;
/// Seconds that writing takes at least and at most; OMS's stages are shares of it.
const COURSE_SECONDS: (f64, f64) = (6.0, 20.0);
/// Share of the course that is there before the worker has joined its group, so that it can be seen to have joined.
const WARM_UP: f64 = 0.01;
/// The embedded Kafka keeps 5 MiB a partition and silently drops the oldest: so many records fit, uncompressed.
const MAX_AHEAD: u64 = 20_000;
/// With no commit point moved for so long, the demo gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Records a second and different objects with `--keep-running`.
const GOING_ON: (f64, u64) = (100.0, 10_000);

/// Everything that the demo looks at and acts on.
pub(super) struct Course<'a> {
    records: u64,
    seconds: f64,
    plan: Plan,
    writer: Writer,
    evidence: Evidence,
    simulator: &'a Simulator,
    progress: Progress,
    began: Instant,
    joined: Option<Instant>,
    sent: u64,
    written: Vec<Written>,
    commits: Commits,
}

/// Commit points as they were last seen.
struct Commits {
    points: BTreeMap<i32, i64>,
    settled: u64,
    asked: Instant,
    moved: Instant,
}

impl<'a> Course<'a> {
    /// Ready to begin.
    pub(super) fn new(args: &DemoArgs, brokers: &str, simulator: &'a Simulator) -> anyhow::Result<Self> {
        let began = now();
        Ok(Self {
            records: args.records,
            seconds: (precise(args.records) / RATE).clamp(COURSE_SECONDS.0, COURSE_SECONDS.1),
            plan: Plan::new(args.seed, u64::MAX, Some(args.records / 2)),
            writer: Writer::connect(brokers, TOPIC)?,
            evidence: Evidence::connect(brokers, GROUP)?,
            simulator,
            progress: Progress::new(args.records),
            began,
            joined: None,
            sent: 0,
            written: Vec::new(),
            commits: Commits { points: BTreeMap::new(), settled: 0, asked: began, moved: began },
        })
    }

    /// The records that Kafka confirmed.
    pub(super) fn written(&self) -> &[Written] {
        &self.written
    }

    /// The client that asks Kafka.
    pub(super) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Says what is going on.
    pub(super) fn say(&self, text: &str) {
        self.progress.say(self.began.elapsed(), text);
    }

    /// The whole course. False when not everything was settled although the demo was patient.
    pub(super) fn run(&mut self, subject: &Subject) -> anyhow::Result<bool> {
        let mut stage = None;
        loop {
            let over = self.over();
            self.enter(Stage::at(over), &mut stage);
            self.write(over)?;
            self.written.extend(self.writer.confirmed(TICK)?);
            check(subject)?;
            self.look();
            if self.is_settled() {
                break;
            }
            if self.commits.moved.elapsed() > PATIENCE {
                self.progress.finish();
                self.say("giving up: no commit point has moved for a minute; see what is missing below");
                return Ok(false);
            }
        }
        self.progress.finish();
        self.say("everything that was written is settled and committed");
        Ok(true)
    }

    /// Writes on, slowly, until it is asked to end.
    pub(super) async fn go_on(
        &mut self,
        subject: &Subject,
        ending: impl Future<Output = Ending>,
    ) -> anyhow::Result<()> {
        let (rate, objects) = GOING_ON;
        let plan = Plan::new(!0, objects, None);
        let pause = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        tokio::pin!(ending, pause);
        for planned in plan {
            tokio::select! {
                _ = &mut ending => break,
                _ = pause.tick() => self.writer.send(planned)?,
            }
            drop(self.writer.confirmed(Duration::ZERO)?);
            check(subject)?;
        }
        self.say("asked to end: the worker drains");
        Ok(())
    }

    /// How much of the course is over, 0 to 1 and more. It begins when the worker has done something.
    fn over(&self) -> f64 {
        let seconds = self.joined.map_or(0.0, |at| at.elapsed().as_secs_f64());
        WARM_UP + seconds / self.seconds
    }

    fn enter(&self, next: Stage, stage: &mut Option<Stage>) {
        if *stage == Some(next) {
            return;
        }
        *stage = Some(next);
        // Most events are full and hold a key a record.
        let needed = precise(self.records) / self.seconds / 10.0;
        self.simulator.set_faults(next.faults(needed));
        self.say(next.told());
    }

    /// Sends what is due and fits into the embedded Kafka.
    fn write(&mut self, over: f64) -> anyhow::Result<()> {
        let due = precise(self.records) * over.min(1.0);
        while precise(self.sent) < due && self.sent < self.commits.settled + MAX_AHEAD {
            let Some(planned) = self.plan.next() else { break };
            self.writer.send(planned)?;
            self.sent += 1;
        }
        Ok(())
    }

    fn look(&mut self) {
        if self.commits.asked.elapsed() >= COMMITS_INTERVAL {
            self.commits.asked = now();
            // One question that is not answered is asked again; patience bounds how often.
            if let Ok(points) = self.evidence.commit_points(TOPIC, PARTITIONS)
                && points != self.commits.points
            {
                self.commits.settled = points.values().filter_map(|next| u64::try_from(*next).ok()).sum();
                self.commits.points = points;
                self.commits.moved = now();
            }
        }
        let totals = self.simulator.totals();
        if self.joined.is_none() && (totals.requests > 0 || self.commits.settled > 0) {
            self.joined = Some(now());
        }
        let figures = Figures {
            written: self.written.len() as u64,
            settled: self.commits.settled,
            accepted: totals.accepted_keys,
            throttled: answers(&totals, |status| status == 429),
            unavailable: answers(&totals, |status| status == 503),
        };
        self.progress.show(self.began.elapsed(), figures);
    }

    /// Whether all is written and every commit point is at its partition's end.
    fn is_settled(&self) -> bool {
        let all = self.written.len() as u64 == self.records;
        all && self.commits.settled == self.records
    }
}

fn check(subject: &Subject) -> anyhow::Result<()> {
    if subject.is_gone() {
        bail!("the worker ended by itself, which it must not; please report this with the seed");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the demo runs in real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a demo are far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
