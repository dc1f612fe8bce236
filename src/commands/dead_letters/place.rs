//! Which dead-letter topics, on which brokers, and how the worker reads the records that they are about. Decides nothing
//! else; never writes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::commands::config_file::ConfigFile;
use crate::config::Config;
use crate::formats::DecodeOptions;
use crate::io::dead_letter::ProducerSettings;
use crate::worker;

/// Longest wait for the brokers' answer to one question.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How these commands name themselves to the brokers. As a group it has no offsets and no members.
const CLIENT_ID: &str = "oms-sync-dead-letters";

/// Where the dead letters are.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct PlaceArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Kafka's bootstrap servers, comma-separated; then no configuration is read, and --topic is needed
    #[arg(long, value_name = "B", conflicts_with = "config", requires = "topic")]
    brokers: Option<String>,
    /// Dead-letter topic; may be given more than once [default: those of the configuration]
    #[arg(long, value_name = "T")]
    topic: Vec<String>,
}

/// Brokers and topics.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) client: ProducerSettings,
    /// The dead-letter topics, each once.
    pub(super) topics: Vec<String>,
    config: Option<Config>,
}

impl PlaceArgs {
    pub(super) fn find(&self) -> anyhow::Result<Place> {
        let config = if self.brokers.is_none() { Some(self.config.load()?.config) } else { None };
        let by_name = || ProducerSettings {
            brokers: self.brokers.clone().unwrap_or_default(),
            client_id: String::new(),
            properties: BTreeMap::new(),
        };
        let mut client = config.as_ref().map_or_else(by_name, worker::producer);
        CLIENT_ID.clone_into(&mut client.client_id);
        let topics: BTreeSet<String> = match &config {
            Some(config) if self.topic.is_empty() => config.dead_letter_topics().into_values().collect(),
            _ => self.topic.iter().cloned().collect(),
        };
        Ok(Place { client, topics: topics.into_iter().collect(), config })
    }
}

impl Place {
    /// How the worker reads this topic: as its defaults say where no configuration is known.
    pub(super) fn options(&self, topic: &str) -> DecodeOptions {
        self.config.as_ref().map_or_else(DecodeOptions::default, |config| config.decode_options(topic))
    }

    /// A consumer that is given its partitions and never asks for, nor tells, a group's offsets.
    pub(super) fn consumer<C>(&self) -> anyhow::Result<C>
    where
        C: rdkafka::config::FromClientConfig,
    {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", &self.client.brokers).set("client.id", &self.client.client_id);
        for (name, value) in &self.client.properties {
            config.set(name, value);
        }
        for (name, value) in [
            ("group.id", CLIENT_ID), // librdkafka assigns nothing without one
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.queue.backoff.ms", "20"),
        ] {
            config.set(name, value);
        }
        config.create().with_context(|| format!("cannot make a Kafka client for {}", self.client.brokers))
    }

    /// All topics that there are. None is asked for by its name, which would create it on brokers that do so.
    pub(super) fn existing_topics(&self) -> anyhow::Result<BTreeSet<String>> {
        let consumer: BaseConsumer = self.consumer()?;
        let metadata = consumer
            .fetch_metadata(None, ANSWER_TIMEOUT)
            .with_context(|| format!("no answer from Kafka at {}: check address and security", self.client.brokers))?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Fails where a dead-letter topic is not there.
    pub(super) fn check_topics(&self, existing: &BTreeSet<String>) -> anyhow::Result<()> {
        let missing: Vec<&str> =
            self.topics.iter().filter(|topic| !existing.contains(*topic)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        bail!(
            "no dead-letter topic {} at {}, or this client may not see it: check --topic, or dead_letter.topic",
            missing.join(", "),
            self.client.brokers
        )
    }
}
