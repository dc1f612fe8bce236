//! The worker: one loop that owns the pipeline by value, tells it what happened and performs what it asks for.
//! Every decision is the pipeline's; nothing here waits for anything but the loop's next input.

mod clock;
pub(crate) mod credentials;
mod ended;
mod happened;
mod letter;
mod letter_status;
mod notices;
mod omitted;
mod parts;
mod publish;
mod routes_status;
mod stall;
mod topics;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use rustc_hash::FxHashSet;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::io::admin::{Admin, AdminState};
use crate::io::consumer::{Command, ConsumerEvent, KafkaConsumer, Permit};
use crate::io::dead_letter::{DeadLetters, Letter, TOO_LARGE};
use crate::io::fault::Fault;
use crate::io::signal::Ending;
use crate::metrics::Metrics;
use crate::oms::client::OmsClient;
use crate::oms::credentials::refresh::Refresher;
use crate::pipeline::answer::{Answer, Verdict};
use crate::pipeline::credentials::CredentialNews;
use crate::pipeline::discovery::table::Listing;
use crate::pipeline::inquiry::Standing;
use crate::pipeline::key::TaskId;
use crate::pipeline::letters::{DeadLetter, LetterId};
use crate::pipeline::record::Record;
use crate::pipeline::{Effect, Effects, Input, Pipeline, SubmissionId};

use clock::Clock;
use credentials::CredentialStatus;
pub use ended::{Ended, WorkerError};
pub(crate) use notices::remedy;
pub(crate) use parts::{consumer, discovery, intake, oms, producer};
use publish::Publisher;

/// How often metrics, probes and `/status` are brought up to date.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// Most answers that one turn of the loop takes in, so that nothing else waits for long.
const ANSWERS_A_TURN: usize = 64;
/// Share of `shutdown.drain_timeout` that leaving the group may take after the last commit.
const LEAVE_SHARE: f64 = 0.1;

/// A worker that is connected to nothing yet, but answers on its admin address.
pub struct Worker {
    clock: Clock,
    pipeline: Pipeline,
    effects: Effects,
    consumer: KafkaConsumer,
    events: UnboundedReceiver<ConsumerEvent>,
    permits: Vec<Permit>,
    oms: Arc<OmsClient>,
    /// With the credentials that were offered last, until they are in use.
    candidate: Option<Arc<OmsClient>>,
    credentials: CredentialStatus,
    refresher: Refresher,
    submissions: FuturesUnordered<BoxFuture<'static, Answered>>,
    dead_letters: Arc<DeadLetters>,
    inquiries: FuturesUnordered<BoxFuture<'static, (TaskId, Standing)>>,
    /// The project's tasks being listed.
    listings: FuturesUnordered<BoxFuture<'static, Result<Listing, Box<Answer>>>>,
    letters: FuturesUnordered<BoxFuture<'static, Written>>,
    letter_source: letter::Source,
    topics: topics::Watch,
    /// Tasks whose events OMS does not take at the moment.
    failing_tasks: FxHashSet<TaskId>,
    dead_letter_log: notices::DeadLetterLog,
    /// Whether a dead letter that could not be written was told of.
    letters_failing: bool,
    metrics: Arc<Metrics>,
    publisher: Publisher,
    admin: Admin,
    drained: Option<usize>,
    leave_timeout: Duration,
}

/// A submission with its answer.
struct Answered {
    id: SubmissionId,
    task: TaskId,
    keys: usize,
    took: Duration,
    answer: Answer,
}

/// A dead letter with its delivery report.
struct Written {
    id: LetterId,
    letter: Arc<DeadLetter>,
    result: Result<(), Fault>,
}

impl Worker {
    /// Makes all parts. The admin server answers from now on, and the consumer tries to reach Kafka.
    pub fn start(config: &Config) -> Result<Self, WorkerError> {
        let metrics = Arc::new(Metrics::new(config.routes.iter().map(|route| route.task.clone()))?);
        let state = Arc::new(AdminState::new(config.shutdown.stall_timeout));
        let admin = Admin::start(config.admin.listen, Arc::clone(&state), Arc::clone(&metrics))?;
        let mut settings = parts::oms(config)?;
        let sources = credentials::sources(config, settings.ca_pem.as_deref())?;
        settings.credentials = sources.given().cloned();
        let awaited = settings.credentials.is_none();
        let oms = Arc::new(OmsClient::new(settings)?);
        let dead_letters = Arc::new(DeadLetters::new(parts::producer(config)).map_err(WorkerError::Producer)?);
        let take = parts::CountedIntake::new(config, &metrics);
        let (consumer, events) = KafkaConsumer::start(&parts::consumer(config), take)?;
        let clock = Clock::start();
        let credentials = CredentialStatus { source: (!awaited).then_some("static"), ..CredentialStatus::default() };
        let mut worker = Self {
            clock,
            pipeline: Pipeline::new(parts::pipeline(config, fastrand::u64(..))),
            effects: Effects::default(),
            consumer,
            events,
            permits: Vec::new(),
            oms,
            candidate: None,
            credentials,
            refresher: Refresher::start(sources),
            submissions: FuturesUnordered::new(),
            topics: topics::Watch::start(Arc::clone(&dead_letters), config),
            dead_letters,
            inquiries: FuturesUnordered::new(),
            listings: FuturesUnordered::new(),
            letters: FuturesUnordered::new(),
            letter_source: letter::Source::new(config),
            failing_tasks: FxHashSet::default(),
            dead_letter_log: notices::DeadLetterLog::default(),
            letters_failing: false,
            publisher: Publisher::new(config, Arc::clone(&metrics), state),
            metrics,
            admin,
            drained: None,
            leave_timeout: config.shutdown.drain_timeout.mul_f64(LEAVE_SHARE),
        };
        if awaited {
            worker.step(Input::Credentials(CredentialNews::Awaited));
        } else {
            info!(source = "static", "credentials are those of the configuration or the environment");
        }
        Ok(worker)
    }

    /// Where the admin server listens.
    #[must_use]
    pub fn admin_addr(&self) -> std::net::SocketAddr {
        self.admin.addr()
    }

    /// Runs until it is asked to end and has drained, or until Kafka fails for good. `next_ending` must not lose an
    /// ending when its future is dropped.
    pub async fn run(mut self, mut next_ending: impl AsyncFnMut() -> Ending) -> Result<Ended, WorkerError> {
        let mut publish = tokio::time::interval(PUBLISH_INTERVAL);
        publish.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wakeup = self.pipeline.next_wakeup().map(|time| self.clock.instant(time));
            let sleep = tokio::time::sleep_until(wakeup.unwrap_or_else(|| self.clock.far()));
            tokio::select! {
                ending = next_ending() => match ending {
                    Ending::Drain => self.drain(),
                    Ending::AtOnce => {
                        warn!("asked again to end: leaving everything as it is");
                        return Ok(Ended::DeadlinePassed);
                    }
                },
                Some(answered) = self.submissions.next() => self.answers(answered),
                Some(written) = self.letters.next() => self.written(written),
                Some((task, standing)) = self.inquiries.next() => self.step(Input::TaskStands(task, standing)),
                Some(listed) = self.listings.next() => self.step(Input::Listed(listed)),
                event = self.events.recv() => self.happened(event.ok_or(WorkerError::ConsumerGone)?)?,
                told = self.refresher.changed() => self.credentials_changed(told),
                () = sleep, if wakeup.is_some() => self.step(Input::Tick),
                problems = self.topics.changed() => self.publisher.topic_problems(problems),
                _ = publish.tick() => self.publish(),
            }
            if let Some(unanswered) = self.drained {
                return Ok(tokio::select! {
                    ended = self.leave(unanswered) => ended,
                    _ = next_ending() => Ended::DeadlinePassed,
                });
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.pipeline.step(self.clock.now(), input, &mut self.effects);
        let mut actions = std::mem::take(&mut self.effects.actions);
        for effect in actions.drain(..) {
            self.perform(effect);
        }
        self.effects.actions = actions;
        if !self.effects.accepted_timestamps_ms.is_empty() {
            let now = clock::unix_ms();
            for timestamp in self.effects.accepted_timestamps_ms.drain(..) {
                self.metrics.record_to_accepted.observe(clock::seconds_between(timestamp, now));
            }
        }
        // With no permit back the consumer reads no more, which is what a drain wants too.
        if !self.pipeline.is_full() && !self.pipeline.is_draining() {
            self.permits.clear();
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Submit { id, task, body, keys, candidate } => {
                let newer = self.candidate.as_ref().filter(|_| candidate);
                let (oms, clock) = (Arc::clone(newer.unwrap_or(&self.oms)), self.clock);
                let sent = clock.now();
                self.submissions.push(Box::pin(async move {
                    let answer = oms.submit(&task, body).await;
                    Answered { id, task, keys, took: clock.now().since(sent), answer }
                }));
            }
            Effect::AskTask(task) => {
                let oms = Arc::clone(&self.oms);
                self.inquiries.push(Box::pin(async move {
                    let standing = oms.standing(&task).await;
                    (task, standing)
                }));
            }
            Effect::ListTasks => {
                let oms = Arc::clone(&self.oms);
                self.listings.push(Box::pin(async move { oms.listing().await }));
            }
            Effect::Route(table) => {
                self.publisher.routed(table.tasks.iter().map(|task| task.id.clone()).collect());
                self.consumer.send(Command::Route(Arc::new(table.to_routes())));
            }
            Effect::AdoptCredentials => {
                if let Some(newer) = self.candidate.take() {
                    self.oms = newer;
                }
            }
            Effect::RefreshCredentials => self.refresher.hurry(),
            Effect::DeadLetter(id, letter) => {
                let report = self.dead_letters.produce(&Letter {
                    topic: self.letter_source.topic(&letter.record.topic),
                    record: omitted::kept(&letter),
                    headers: self.letter_source.headers(&letter, self.clock),
                });
                self.letters.push(Box::pin(async move { Written { id, letter, result: report.await } }));
            }
            Effect::Commit(offsets) => self.consumer.commit(offsets),
            Effect::Pause(name) => self.consumer.send(Command::Pause(vec![name])),
            Effect::Resume(name) => self.consumer.send(Command::Resume(vec![name])),
            Effect::Unassign(names) => {
                self.publisher.unassigned(&names);
                self.consumer.send(Command::Unassign(names));
            }
            Effect::Drained { unanswered } => self.drained = Some(unanswered),
            Effect::Notice(notice) => notices::log(&notice),
        }
    }

    /// Takes in an answer and those that are there as well, which is cheaper than a turn of the loop for each.
    fn answers(&mut self, first: Answered) {
        self.answered(first);
        for _ in 1..ANSWERS_A_TURN {
            if self.drained.is_some() {
                return;
            }
            let Some(Some(answered)) = self.submissions.next().now_or_never() else { return };
            self.answered(answered);
        }
    }

    fn answered(&mut self, answered: Answered) {
        let Answered { id, task, keys, took, answer } = answered;
        self.publisher.task(&task).submissions(answer.verdict, answer.status).inc();
        self.metrics.submission_duration(answer.verdict.into()).observe(took.as_secs_f64());
        match answer.verdict {
            Verdict::Accepted => {
                self.metrics.event_keys.observe(f64::from(u32::try_from(keys).unwrap_or(u32::MAX)));
                if self.failing_tasks.remove(&task) {
                    info!(%task, "OMS takes this task's events again");
                }
            }
            Verdict::Busy(_) => {
                if self.failing_tasks.insert(task.clone()) {
                    let (status, code) = (answer.status, answer.error_code.as_deref());
                    let message = answer.error_message.as_deref();
                    warn!(%task, %status, code, message, "OMS does not take this task's events now; trying again");
                }
            }
            _ => debug!(%task, ?answer, "not accepted"),
        }
        self.step(Input::Answered(id, answer));
    }

    fn written(&mut self, written: Written) {
        let Written { id, letter, result } = written;
        let is_written = result.is_ok();
        match &result {
            Ok(()) => {
                self.metrics.dead_letters(&letter.record.topic, letter.failure.reason).inc();
                if let Some(refusal) = &letter.failure.refusal {
                    self.publisher.task(&refusal.task).keys_dead_lettered.inc_by(letter.failure.keys.len() as u64);
                }
                self.dead_letter_log.tell(&letter, self.clock.now());
            }
            Err(fault) if fault.code == TOO_LARGE && letter.form.can_shrink() => {
                self.metrics.dead_letter_failures.inc();
                self.dead_letter_log.tell_too_large(&letter, &self.letter_source.topic(&letter.record.topic));
            }
            Err(fault) => {
                self.metrics.dead_letter_failures.inc();
                let to = self.letter_source.topic(&letter.record.topic);
                let remedy = notices::letter_remedy(&fault.code);
                let Record { topic, partition, offset, .. } = &*letter.record;
                let problem = format!(
                    "the dead letter of {topic}[{partition}]@{offset} cannot be written to {to}: {fault}{remedy}"
                );
                if !std::mem::replace(&mut self.letters_failing, true) {
                    warn!("{problem}; trying again, the partition's commit point waits");
                }
                self.publisher.letter_problem(problem);
            }
        }
        let is_too_large = result.is_err_and(|fault| fault.code == TOO_LARGE);
        self.step(if is_too_large { Input::LetterTooLarge(id) } else { Input::LetterDone(id, is_written) });
    }

    fn drain(&mut self) {
        info!("asked to end: reading no more, settling what is under way");
        self.step(Input::Drain);
        self.publish();
    }

    fn publish(&mut self) {
        let (now, last_turn) = (self.clock.now(), self.consumer.last_turn());
        let report = self.pipeline.report();
        if self.letters_failing && report.letters_failing == 0 {
            self.letters_failing = false;
            info!("dead letters are written again");
        }
        self.publisher.publish(&report, &self.credentials, now, self.clock.time_of(last_turn));
    }
}

#[cfg(test)]
mod injected;
