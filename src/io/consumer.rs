//! The Kafka consumer: one plain thread that polls, and one ordered channel to the loop.
//!
//! Everything that happens (assignments, records, errors) goes through that one channel in the order in which librdkafka
//! told it; results of commits come through it too, from the thread that makes them. The loop answers with [`Command`]s. Nothing here decides what to commit, when to
//! commit, or when a revoked partition may go; it never reads ahead of [`MAX_OPEN_BATCHES`].
//!
//! The rebalance scheme: a revoke is only recorded ([`ConsumerEvent::Revoked`]); the loop drains, commits, waits for
//! the result and sends [`Command::Unassign`]. Until then librdkafka keeps *every* partition of this member from
//! delivering, not just the revoked ones. A lost assignment is given up at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use committer::Committer;

use crate::pipeline::partition::PartitionName;

mod committer;
mod context;
mod ends;
mod errors;
mod events;
mod partitions;
mod poller;
mod rebalance;
mod records;
mod settings;
mod watch;

pub use events::{Assignment, Batch, Command, ConsumerEvent, Permit, Symptom, Take, Undelivered};
pub(crate) use records::copy;
pub use settings::{ConsumerSettings, MissingOffset, STATISTICS_INTERVAL, request_timeout};

/// Most records in a batch.
pub const MAX_BATCH_RECORDS: usize = 512;
/// A batch ends once its records' own bytes have reached this.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Most batches that the loop may hold without having admitted them (dropped their [`Permit`]).
pub const MAX_OPEN_BATCHES: usize = 4;

/// What reaches the polling thread.
#[derive(Debug)]
enum Signal {
    Command(Command),
    Admitted,
}

/// The handle of a running consumer thread. Dropping it closes the consumer without waiting for it.
#[derive(Debug)]
pub struct KafkaConsumer {
    signals: mpsc::Sender<Signal>,
    commits: mpsc::Sender<committer::Request>,
    turns: Arc<Heartbeat>,
    thread: Option<JoinHandle<()>>,
}

/// When the thread last went round its loop.
#[derive(Debug)]
struct Heartbeat {
    started: Instant,
    last_turn_ms: AtomicU64,
}

impl Heartbeat {
    fn beat(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.started).as_millis();
        self.last_turn_ms.store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last_turn(&self) -> Instant {
        self.started + Duration::from_millis(self.last_turn_ms.load(Ordering::Relaxed))
    }
}

/// The consumer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A property that librdkafka refuses, or properties that do not go together.
    #[error("Kafka client refused its configuration: {0}; check kafka.properties")]
    Config(#[source] KafkaError),
    /// The topics cannot be subscribed to.
    #[error("cannot subscribe to the topics: {0}; check kafka.topics")]
    Subscribe(#[source] KafkaError),
    /// The operating system gave no thread.
    #[error("cannot start the consumer thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// The loop would wait for ever for a thread that is gone without a word: others keep the channel open.
struct ToldWhenPanicking(Events);

impl Drop for ToldWhenPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send(ConsumerEvent::Closed).ok(); // nobody listens any more
        }
    }
}

impl KafkaConsumer {
    /// Creates the client, subscribes and starts polling. Does not wait for a broker.
    ///
    /// `take` is asked on the polling thread for each record.
    pub fn start(
        settings: &ConsumerSettings,
        take: impl Take + Send + 'static,
    ) -> Result<(Self, UnboundedReceiver<ConsumerEvent>), StartError> {
        let (callbacks, noticed) = mpsc::channel();
        let context = context::Context::new(callbacks);
        let consumer: BaseConsumer<_> =
            settings.client_config().create_with_context(context).map_err(StartError::Config)?;
        Self::around(Arc::new(consumer), noticed, settings, take)
    }

    fn around(
        consumer: Arc<BaseConsumer<context::Context>>,
        noticed: mpsc::Receiver<context::Notice>,
        settings: &ConsumerSettings,
        take: impl Take + Send + 'static,
    ) -> Result<(Self, UnboundedReceiver<ConsumerEvent>), StartError> {
        let (events, receiver) = unbounded_channel();
        let (signals, inbox) = mpsc::channel();
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(StartError::Subscribe)?;
        let committer = Committer::start(Arc::clone(&consumer), events.clone()).map_err(StartError::Thread)?;
        let commits = committer.requests.clone();
        let told = events.clone();
        let turns = Arc::new(Heartbeat { started: now(), last_turn_ms: AtomicU64::new(0) });
        let links =
            poller::Links { inbox, signals: signals.clone(), noticed, events, committer, turns: Arc::clone(&turns) };
        let poller = poller::Poller::new(consumer, links, settings, take);
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || {
                let _told = ToldWhenPanicking(told);
                poller.run();
            })
            .map_err(StartError::Thread)?;
        Ok((Self { signals, commits, turns, thread: Some(thread) }, receiver))
    }

    /// Asks for something; looked at within 50 ms, sooner while records flow. Nothing once the thread has ended.
    pub fn send(&self, command: Command) {
        self.signals.send(Signal::Command(command)).ok(); // ended: told by ConsumerEvent::Closed or a closed channel
    }

    /// Commits next offsets. Answered by one [`ConsumerEvent::Committed`], which takes up to a minute while the
    /// coordinator is away; a further commit waits for it, so have one out at a time.
    pub fn commit(&self, offsets: Vec<(PartitionName, i64)>) {
        self.commits.send(committer::Request::Commit(offsets)).ok(); // as above
    }

    /// When the thread last went round its loop: at least every few seconds while it is well.
    #[must_use]
    pub fn last_turn(&self) -> Instant {
        self.turns.last_turn()
    }

    /// Waits until the thread has ended. May take as long as leaving the group does: send [`Command::Close`] before,
    /// and wait for [`ConsumerEvent::Closed`] with a bound.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // a panic of it was printed by the panic hook
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.send(Command::Close);
    }
}

#[expect(clippy::disallowed_methods, reason = "a shell: it stamps its own turns and backs off by the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Where events go.
type Events = UnboundedSender<ConsumerEvent>;

#[cfg(test)]
mod tests;
