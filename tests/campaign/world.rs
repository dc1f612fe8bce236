//! Everything that a campaign runs and breaks, and what faults ask of Kafka.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use crate::clock::Clock;
use crate::fleet::{Fleet, Membership};
use crate::kafka::Kafka;
use crate::network::Network;
use crate::oms::Oms;
use crate::oracles::Injected;
use crate::producer::Writer;
use crate::story::{Ms, What};
use crate::watch::Watch;

const KAFKA_BOUND: Duration = Duration::from_secs(20);
/// How long after a fault a worker may still need more than its drain's deadline to end.
const EXCUSED_FOR: Ms = 30_000;

/// Everything that there is.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) replicas: usize,
    /// Records a second.
    pub(crate) rate: u32,
    pub(crate) kafka: Kafka,
    pub(crate) network: Network,
    pub(crate) oms: Oms,
    pub(crate) oms_proxy: u16,
    pub(crate) fleet: Fleet,
    pub(crate) watch: Watch,
    pub(crate) writer: Mutex<Option<Writer>>,
    pub(crate) injected: Mutex<Vec<Injected>>,
}

/// Id, leader and replicas of a partition.
pub(crate) type Partition = (i32, i32, Vec<i32>);

impl World {
    pub(crate) fn injected(&self) -> std::sync::MutexGuard<'_, Vec<Injected>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// SIGTERM; the exit code must be 0, or 3 where a fault has kept an answer away.
    pub(crate) fn terminate(&self, number: usize) -> anyhow::Result<Membership> {
        self.fleet.await_begun(number);
        let asked = self.clock.now();
        let (membership, code) = self.fleet.terminate(number)?;
        let now = self.clock.now();
        let other = |fault: &Injected| {
            !fault.kind.starts_with("worker:") && fault.to.is_none_or(|to| to.saturating_add(EXCUSED_FOR) > asked)
        };
        let excused = self.injected().iter().any(other);
        if !(code == Some(0) || (code == Some(3) && excused)) {
            let told = format!("worker {number} ended with {code:?} after SIGTERM, {} ms later", now - asked);
            self.watch.story().violate(now, What::WorkerEnded, told);
        }
        Ok(membership)
    }

    pub(crate) fn task_gone(&self) {
        self.watch.story().task_gone(self.clock.now());
    }

    pub(crate) fn task_back(&self) {
        self.watch.story().task_back(self.clock.now());
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.servers()).set("log_level", "0");
        Ok(config.create()?)
    }

    /// The partitions of a topic as they are now.
    pub(crate) fn layout(&self, topic: &str) -> anyhow::Result<Vec<Partition>> {
        let admin = self.admin()?;
        let metadata = admin.inner().fetch_metadata(Some(topic), KAFKA_BOUND)?;
        let topic = metadata.topics().first().context("no such topic")?;
        let mut partitions: Vec<_> =
            topic.partitions().iter().map(|one| (one.id(), one.leader(), one.replicas().to_vec())).collect();
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// Makes a topic whose records are stamped by the broker; one that is there already is no error.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
        new.config = vec![("message.timestamp.type", "LogAppendTime"), ("min.insync.replicas", "2")];
        let admin = self.admin()?;
        let results = wait_for(admin.create_topics([&new], &options()))??;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Err((topic, code)) => Err(anyhow!("cannot make {topic}: {code}")),
        })
    }

    pub(crate) fn delete_topic(&self, topic: &str) -> anyhow::Result<()> {
        let admin = self.admin()?;
        let results = wait_for(admin.delete_topics(&[topic], &options()))??;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) => Ok(()),
            Err((topic, code)) => Err(anyhow!("cannot delete {topic}: {code}")),
        })
    }

    pub(crate) fn add_partitions(&self, topic: &str, count: i32) -> anyhow::Result<()> {
        let admin = self.admin()?;
        let more = NewPartitions::new(topic, usize::try_from(count)?);
        let results = wait_for(admin.create_partitions([&more], &options()))??;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) => Ok(()),
            Err((topic, code)) => Err(anyhow!("cannot add partitions to {topic}: {code}")),
        })
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(KAFKA_BOUND)).request_timeout(Some(KAFKA_BOUND))
}

/// Completes a future that needs nothing but polling.
fn wait_for<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(2 * KAFKA_BOUND, future).await }).context("Kafka does not answer")
}
