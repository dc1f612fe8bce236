//! The checks of Kafka in their order, and which of them depends on which. Asks by `questions`; what answers mean is
//! said elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::ClientConfig;

use super::brokers::{self, Reached};
use super::deadline::Deadline;
use super::finding::{Finding, State};
use super::points;
use super::questions::{self, Connection};
use super::rights::{self, Client};
use super::topics::{self, Partition, Role, Topic, check_of};
use crate::config::Config;
use crate::worker;

/// How this command names itself to the brokers.
const CLIENT_ID: &str = "oms-sync-check";
/// Addresses that are tried; with more brokers the first ones stand for all.
const MAX_ADDRESSES: usize = 20;
const NO_KAFKA: &str = "Kafka was not reached";
const NO_TIME: &str = "the time was up: allow more with --timeout";

/// Looks at all that the worker needs of Kafka.
pub(super) fn look(config: &Config, deadline: Deadline) -> Vec<Finding> {
    let settings = Settings::of(config);
    let named = config.kafka.brokers.split(',').map(str::trim).filter(|at| !at.is_empty()).map(str::to_owned).collect();
    let (reached, connection) = reach(&settings.consumer, named, deadline);
    let mut findings = vec![brokers::named(&reached)];
    let look = Look { config, settings, deadline };
    match connection {
        None => findings.extend(look.names().into_iter().map(|name| Finding::not_tried(name, NO_KAFKA))),
        Some(connection) => findings.extend(look.with(&connection)),
    }
    findings
}

/// What the clients are made of.
struct Settings {
    consumer: ClientConfig,
    producer: ClientConfig,
    client: Client,
}

impl Settings {
    fn of(config: &Config) -> Self {
        let mut consumer = worker::consumer(config).client_config();
        consumer
            .set("client.id", CLIENT_ID)
            .set("statistics.interval.ms", "0")
            .set("allow.auto.create.topics", "false");
        consumer.remove("group.instance.id"); // that of a worker
        let mut producer = worker::producer(config).client_config();
        producer.set("client.id", CLIENT_ID).set("allow.auto.create.topics", "false");
        let client = Client::new(&config.kafka.brokers, consumer.get("sasl.username"));
        Self { consumer, producer, client }
    }
}

/// Tries addresses at the same time; the first that answers, in their order, is asked everything else.
fn reach(config: &ClientConfig, mut addresses: Vec<String>, deadline: Deadline) -> (Vec<Reached>, Option<Connection>) {
    addresses.truncate(MAX_ADDRESSES);
    let results: Vec<_> = std::thread::scope(|scope| {
        let attempts: Vec<_> =
            addresses.iter().map(|at| scope.spawn(|| questions::connect(config, at, deadline))).collect();
        attempts.into_iter().map(|attempt| attempt.join().unwrap_or_else(|_| Err(Vec::new()))).collect()
    });
    let mut first = None;
    let reached = addresses.into_iter().zip(results).map(|(at, result)| {
        let result = result.map(|connection| {
            first.get_or_insert(connection);
        });
        (at, result)
    });
    (reached.collect(), first)
}

struct Look<'a> {
    config: &'a Config,
    settings: Settings,
    deadline: Deadline,
}

impl Look<'_> {
    /// The checks that need Kafka.
    fn names(&self) -> Vec<String> {
        let targets = self.targets();
        let topics = self.config.kafka.topics.iter().chain(&targets).map(|name| check_of(name));
        topics.chain([format!("group {}", self.config.kafka.group_id)]).collect()
    }

    /// The dead-letter topics, each once.
    fn targets(&self) -> Vec<String> {
        let targets: BTreeSet<_> = self.config.dead_letter_topics().into_values().collect();
        targets.into_iter().collect()
    }

    fn with(&self, connection: &Connection) -> Vec<Finding> {
        let cluster = &connection.cluster;
        let (advertised, _) = reach(&self.settings.consumer, cluster.brokers.clone(), self.deadline);
        let mut findings = vec![brokers::advertised(&advertised)];
        if findings[0].state == State::Failed {
            findings.extend(self.names().into_iter().map(|name| Finding::not_tried(name, "a broker is out of reach")));
            return findings;
        }
        let sources: Vec<&str> = self.config.kafka.topics.iter().map(String::as_str).collect();
        let letters = self.config.dead_letter_topics();
        let targets = self.targets();
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let mut there = BTreeMap::new();
        for (name, role) in
            sources.iter().map(|it| (*it, Role::Source)).chain(targets.iter().map(|it| (*it, Role::DeadLetter)))
        {
            let found = cluster.topics.get(name);
            let asked = if found.is_none() { connection.absence(name, self.deadline) } else { None };
            let finding = topics::existence(name, role, found, asked.as_ref(), &self.settings.client);
            if let (State::Ok, Some(topic)) = (finding.state, found) {
                there.insert(name, topic);
            }
            findings.push(finding);
        }
        findings.extend(self.letters(&letters, &there));
        findings.extend(sources.iter().map(|topic| {
            self.unless_missing(&there, "read", topic, |partitions| {
                rights::read(topic, &connection.read(topic, partitions, self.deadline), &self.settings.client)
            })
        }));
        findings.extend(self.group(connection, &sources, &there));
        findings.extend(self.writes(&targets, &there));
        findings
    }

    /// A check of a topic that is only made where the topic is there and time is left.
    fn unless_missing(
        &self,
        there: &BTreeMap<&str, &Topic>,
        what: &str,
        topic: &str,
        check: impl FnOnce(&[Partition]) -> Finding,
    ) -> Finding {
        let name = format!("{what} {topic}");
        match there.get(topic) {
            None => Finding::not_tried(name, format!("see {}", check_of(topic))),
            Some(_) if self.deadline.is_over() => Finding::not_tried(name, NO_TIME),
            Some(found) => check(&found.partitions),
        }
    }

    /// The settings of dead-letter topics beside those of their sources.
    fn letters(&self, letters: &BTreeMap<&str, String>, there: &BTreeMap<&str, &Topic>) -> Vec<Finding> {
        let names: Vec<&str> = there.keys().copied().collect();
        let settings = block_on(questions::topic_settings(&self.settings.producer, &names, self.deadline));
        let settings = settings.unwrap_or_default();
        let finding = |(source, letters): (&&str, &String)| {
            let of_source = settings.get(*source)?;
            let own = settings.get(letters)?;
            let replicas =
                there.get(letters.as_str())?.partitions.iter().map(|it| it.replicas).min().unwrap_or_default();
            Some(topics::dead_letter_settings((source, of_source), (letters, own), replicas))
        };
        letters.iter().filter_map(finding).collect()
    }

    /// The right to commit, and where the group stands.
    fn group(&self, connection: &Connection, sources: &[&str], there: &BTreeMap<&str, &Topic>) -> Vec<Finding> {
        let kafka = &self.config.kafka;
        let there: Vec<_> = sources.iter().filter_map(|name| Some((*name, *there.get(name)?))).collect();
        let check = format!("group {}", kafka.group_id);
        let Some((first, _)) = there.first() else {
            return vec![Finding::not_tried(check, "there is no topic to commit for")];
        };
        if self.deadline.is_over() {
            return vec![Finding::not_tried(check, NO_TIME)];
        }
        let committed: Vec<_> =
            there.iter().map(|(name, topic)| connection.committed(name, &topic.partitions, self.deadline)).collect();
        let asked = committed.iter().find_map(|it| it.as_ref().err()).map_or(Ok(()), Err);
        let commit = asked.is_ok().then(|| connection.commit_nowhere(first));
        let mut findings = vec![rights::group(&kafka.group_id, asked, commit.as_ref(), &self.settings.client)];
        for ((name, topic), committed) in there.iter().zip(&committed) {
            let Ok(committed) = committed else { continue };
            let points = connection.points(name, &topic.partitions, committed, self.deadline);
            let unknown = topic.partitions.len() - points.len();
            findings.push(points::assess(name, &points, unknown, kafka.start_from, kafka.out_of_range));
        }
        findings
    }

    fn writes(&self, targets: &[&str], there: &BTreeMap<&str, &Topic>) -> Vec<Finding> {
        let Settings { producer, client, .. } = &self.settings;
        let write = |topic: &&str| {
            self.unless_missing(there, "write", topic, |_| {
                let outcome = block_on(questions::write(producer, topic, self.deadline));
                outcome.map_or_else(
                    |error| Finding::failed(format!("write {topic}"), error.to_string(), "check again"),
                    |outcome| rights::write(topic, &outcome, client),
                )
            })
        };
        let mut findings: Vec<_> = targets.iter().map(write).collect();
        if findings.iter().any(|it| it.state == State::Ok) && !self.deadline.is_over() {
            findings.push(rights::idempotence(&questions::producer_id(producer, self.deadline), client));
        }
        findings
    }
}

/// On this thread, which waits for Kafka and nothing else.
fn block_on<T>(question: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(question))
}
