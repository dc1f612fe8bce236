//! Whether the topics are there, and whether dead-letter topics can take what they must. Pure.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::rights::Client;
use crate::io::fault::Fault;

/// What the brokers tell of themselves.
#[derive(Clone, Default, Debug)]
pub(super) struct Cluster {
    /// `host:port` as clients are to connect.
    pub(super) brokers: Vec<String>,
    pub(super) topics: BTreeMap<String, Topic>,
}

/// A topic of the cluster.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Topic {
    pub(super) error: Option<Fault>,
    pub(super) partitions: Vec<Partition>,
}

/// A partition of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Partition {
    pub(super) id: i32,
    /// The broker that serves it, or a negative number.
    pub(super) leader: i32,
    pub(super) replicas: usize,
}

/// What a topic's configuration says, as far as the brokers tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TopicSettings {
    pub(super) max_message_bytes: u64,
    pub(super) is_compacted: bool,
    pub(super) min_insync_replicas: usize,
}

/// What a topic is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Source,
    DeadLetter,
}

/// The name of the check of a topic; others depend on it.
pub(super) fn check_of(name: &str) -> String {
    format!("topic {name}")
}

/// `asked`: what the brokers answered to the question for this topic alone, where the list of all did not name it.
pub(super) fn existence(
    name: &str,
    role: Role,
    found: Option<&Topic>,
    asked: Option<&Fault>,
    client: &Client,
) -> Finding {
    let check = check_of(name);
    let Some(topic) = found else {
        return match asked {
            Some(fault) if fault.code == "TopicAuthorizationFailed" => {
                let (seen, operation) = match role {
                    Role::Source => ("this client may not see it", "READ"),
                    Role::DeadLetter => ("this client may not see it", "WRITE"),
                };
                Finding::failed(check, seen, client.grant(operation, &format!("--topic {name}")))
            }
            _ => Finding::failed(check, "does not exist", creation(name, role, client)),
        };
    };
    if let Some(fault) = &topic.error {
        return Finding::failed(check, fault.to_string(), "look at the brokers' logs and at this topic's state");
    }
    let leaderless: Vec<_> = topic.partitions.iter().filter(|it| it.leader < 0).map(|it| it.id.to_string()).collect();
    if !leaderless.is_empty() {
        return Finding::failed(
            check,
            format!("no broker serves partition {}", leaderless.join(", ")),
            "bring back the brokers that hold it, or their disks",
        );
    }
    if topic.partitions.is_empty() {
        return Finding::failed(
            check,
            "has no partitions yet",
            "wait until the brokers have made them, then check again",
        );
    }
    let replicas = topic.partitions.iter().map(|it| it.replicas).min().unwrap_or_default();
    let copies = if replicas == 1 { "1 replica".to_owned() } else { format!("{replicas} replicas") };
    let partitions = topic.partitions.len();
    let partitions = if partitions == 1 { "1 partition".to_owned() } else { format!("{partitions} partitions") };
    Finding::ok(check, format!("{partitions} of {copies}"))
}

fn creation(name: &str, role: Role, client: &Client) -> String {
    let (partitions, why) = match role {
        Role::Source => (12, "as many workers as partitions can work"),
        Role::DeadLetter => (3, "give it a larger max.message.bytes than its source topic"),
    };
    format!("{} ({why})", client.create(name, partitions))
}

/// Whether every dead letter of a source topic fits into its dead-letter topic and stays there. `replicas` are those of
/// the dead-letter topic.
pub(super) fn dead_letter_settings(
    (source, source_settings): (&str, &Result<TopicSettings, Fault>),
    (letters, settings): (&str, &Result<TopicSettings, Fault>),
    replicas: usize,
) -> Finding {
    let check = format!("settings of {letters}");
    let (Ok(own), Ok(of_source)) = (settings, source_settings) else {
        let seen = format!("not told: DESCRIBE_CONFIGS on both topics would tell whether it takes more than {source}");
        return Finding::ok(check, seen);
    };
    if own.min_insync_replicas > replicas {
        return Finding::failed(
            check,
            format!(
                "min.insync.replicas is {}, but it has {replicas} replicas: no dead letter can be written",
                own.min_insync_replicas
            ),
            "lower min.insync.replicas, or give it more replicas",
        );
    }
    if own.is_compacted {
        return Finding::warning(
            check,
            "cleanup.policy has compact: a dead letter is removed when another one has the same key",
            "set cleanup.policy to delete, with a retention that leaves time to replay",
        );
    }
    let (most, source_most) = (own.max_message_bytes, of_source.max_message_bytes);
    if most <= source_most {
        return Finding::warning(
            check,
            format!(
                "max.message.bytes is {most}, that of {source} {source_most}: a large record's dead letter does not fit"
            ),
            format!("raise it to {}: a dead letter is the record and some headers more", source_most + HEADROOM),
        );
    }
    Finding::ok(check, format!("max.message.bytes is {most}, that of {source} {source_most}"))
}

/// More than the headers of a dead letter take, in bytes.
const HEADROOM: u64 = 262_144;

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn topic(partitions: &[(i32, usize)]) -> Topic {
        let partition = |(id, (leader, replicas))| Partition { id, leader, replicas };
        Topic { error: None, partitions: (0..).zip(partitions.iter().copied()).map(partition).collect() }
    }

    fn existence_of(found: Option<&Topic>, code: &str) -> Finding {
        let asked = Fault { code: code.to_owned(), text: String::new() };
        existence("t", Role::Source, found, Some(&asked), &Client::new("b:9092", Some("worker")))
    }

    #[test]
    fn a_topic_that_is_missing_is_told_apart_from_one_that_is_hidden() {
        let missing = existence_of(None, "UnknownTopicOrPartition");
        assert_eq!((missing.state, missing.seen.as_str()), (State::Failed, "does not exist"));
        assert!(missing.remedy.unwrap().contains("--create --topic t"));
        let hidden = existence_of(None, "TopicAuthorizationFailed");
        assert!(hidden.seen.contains("may not see it"), "{hidden:?}");
        assert!(hidden.remedy.unwrap().contains("--allow-principal User:worker --operation READ --topic t"));
    }

    #[test]
    fn a_topic_needs_partitions_with_a_leader_each() {
        assert_eq!(existence_of(Some(&topic(&[(1, 3), (2, 3)])), "").seen, "2 partitions of 3 replicas");
        assert_eq!(existence_of(Some(&topic(&[(1, 1)])), "").seen, "1 partition of 1 replica");
        assert_eq!(existence_of(Some(&topic(&[(1, 3), (-1, 3)])), "").seen, "no broker serves partition 1");
        assert_eq!(existence_of(Some(&topic(&[])), "").state, State::Failed);
    }

    const FITTING: TopicSettings =
        TopicSettings { max_message_bytes: 101, is_compacted: false, min_insync_replicas: 2 };

    fn settings(own: TopicSettings, replicas: usize) -> Finding {
        let source = TopicSettings { max_message_bytes: 100, ..FITTING };
        dead_letter_settings(("t", &Ok(source)), ("t.dlq", &Ok(own)), replicas)
    }

    #[test]
    fn a_dead_letter_topic_takes_more_than_its_source_keeps_it_and_can_be_written() {
        assert_eq!(settings(FITTING, 2).state, State::Ok);
        assert_eq!(settings(TopicSettings { max_message_bytes: 100, ..FITTING }, 2).state, State::Warning);
        assert_eq!(settings(TopicSettings { is_compacted: true, ..FITTING }, 2).state, State::Warning);
        assert_eq!(settings(FITTING, 1).state, State::Failed);
    }

    #[test]
    fn settings_that_may_not_be_looked_at_are_no_warning() {
        let hidden = Err(Fault { code: "TopicAuthorizationFailed".to_owned(), text: String::new() });
        let told = dead_letter_settings(("t", &hidden), ("t.dlq", &Ok(FITTING)), 1);
        assert_eq!(told.state, State::Ok);
        assert!(told.seen.contains("DESCRIBE_CONFIGS on both topics"), "{told:?}");
    }
}
