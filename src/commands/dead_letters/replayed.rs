//! What was replayed: one record a dead letter in a compacted topic beside the dead-letter topic, written after the replay
//! was acknowledged and never before.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rustc_hash::FxHashSet;

use super::identity::Identity;
use super::letter::Said;
use super::place::{ANSWER_TIMEOUT, Place};
use super::reader::Reader;

/// Letters that are known as replayed; with more the commands end. About 40 bytes each, so at most 400 MB.
const MAX_REPLAYED: usize = 10_000_000;
/// Failed keys of one letter that its record names, for people; the identity has them all.
const KEYS_NAMED: usize = 10;

/// All that was replayed so far.
pub(super) type Replayed = FxHashSet<Identity>;

/// Where it is written down.
pub(super) fn topic_of(dead_letter_topic: &str) -> String {
    format!("{dead_letter_topic}.replayed")
}

/// Reads it all; what is no identity is passed over.
pub(super) async fn load(place: &Place, existing: &BTreeSet<String>) -> anyhow::Result<Replayed> {
    let topics: Vec<String> =
        place.topics.iter().map(|topic| topic_of(topic)).filter(|topic| existing.contains(topic)).collect();
    let mut reader = Reader::open(place, &topics, false)?;
    let mut replayed = Replayed::default();
    while let Some(record) = reader.next().await? {
        replayed.extend(record.key.as_deref().and_then(Identity::parse));
        if replayed.len() > MAX_REPLAYED {
            bail!("more than {MAX_REPLAYED} replayed dead letters in {}: delete old records of it", topics.join(", "));
        }
    }
    Ok(replayed)
}

/// What is written for people beside the identity.
pub(super) fn note(said: &Said, to: &str) -> String {
    let keys: Vec<&str> = said.keys.iter().take(KEYS_NAMED).map(String::as_str).collect();
    serde_json::json!({
        "topic": said.topic, "partition": said.partition, "offset": said.offset, "replays": said.replays,
        "failed_keys": keys, "failed_keys_total": said.keys.len(), "to": to,
    })
    .to_string()
}

/// Makes the topics that are missing.
pub(super) async fn create(place: &Place, existing: &BTreeSet<String>) -> anyhow::Result<()> {
    let missing = place.topics.iter().map(|topic| topic_of(topic)).filter(|topic| !existing.contains(topic));
    for topic in missing {
        create_one(place, &topic).await.with_context(|| {
            format!(
                "cannot make topic {topic}, which notes what was replayed; make it yourself:\n  \
                 kafka-topics.sh --bootstrap-server {} --create --topic {topic} --partitions 1 --config cleanup.policy=compact",
                place.client.brokers
            )
        })?;
    }
    Ok(())
}

async fn create_one(place: &Place, topic: &str) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &place.client.brokers).set("client.id", &place.client.client_id);
    for (name, value) in &place.client.properties {
        config.set(name, value);
    }
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // -1: as many copies as the brokers make by default.
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIMEOUT)).request_timeout(Some(ANSWER_TIMEOUT));
    for result in admin.create_topics([&new], &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => bail!("{code}"),
        }
    }
    Ok(())
}
