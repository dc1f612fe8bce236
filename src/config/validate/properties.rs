//! The rules of `kafka.properties`: what the worker owns, what contradicts the group protocol, what librdkafka refuses.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::config::problem::Findings;
use crate::config::properties::{Properties, is_secret};

/// Properties that the worker sets itself, and what to write instead.
const OWNED: [(&str, &str); 16] = [
    ("bootstrap.servers", "use kafka.brokers"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("group.id", "use kafka.group_id"),
    ("auto.offset.reset", "use kafka.start_from and kafka.out_of_range"),
    ("enable.auto.commit", "the worker commits only what is settled; leave it out"),
    ("auto.commit.enable", "the worker commits only what is settled; leave it out"),
    ("auto.commit.interval.ms", "use kafka.commit_interval"),
    ("enable.auto.offset.store", "the worker commits only what is settled; leave it out"),
    ("offset.store.method", "the worker commits only what is settled; leave it out"),
    ("enable.partition.eof", "the worker needs it for the lag; leave it out"),
    ("enable.idempotence", "dead letters are always produced so; leave it out"),
    ("acks", "dead letters always wait for all replicas; leave it out"),
    ("request.required.acks", "dead letters always wait for all replicas; leave it out"),
    ("transactional.id", "the worker does not use transactions; leave it out"),
    ("delivery.report.only.error", "the worker waits for every delivery report; leave it out"),
    ("statistics.interval.ms", "the worker needs it for the lag; leave it out"),
];

/// What librdkafka refuses together with `group.protocol=consumer`.
const CLASSIC_ONLY: [&str; 4] =
    ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy", "group.protocol.type"];

/// Assignment strategies that the worker knows how to follow; the first is cooperative, the others are not.
const STRATEGIES: [&str; 3] = ["cooperative-sticky", "range", "roundrobin"];

/// Adds a problem for each property that the worker owns, that contradicts another, or that librdkafka refuses.
pub(super) fn check(properties: &Properties, findings: &mut Findings) {
    let new_protocol =
        properties.as_map().get("group.protocol").is_some_and(|value| value.eq_ignore_ascii_case("consumer"));
    for (name, value) in properties.iter() {
        let path = format!("kafka.properties.{name}");
        if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            findings.add(&path, "the worker owns this property", instead);
        } else if new_protocol && CLASSIC_ONLY.contains(&name) {
            findings.add(&path, "cannot be set with group.protocol=consumer", "leave it out; the broker decides it");
        } else if name == "partition.assignment.strategy" {
            check_strategy(&path, value, findings);
        } else if let Some(why) = refused_by_librdkafka(name, value) {
            findings.add(&path, &why, "see librdkafka's CONFIGURATION.md for names and values");
        }
    }
}

fn check_strategy(path: &str, value: &str, findings: &mut Findings) {
    let named: Vec<&str> = value.split(',').map(str::trim).collect();
    let mixed = named.len() > 1 && named.contains(&STRATEGIES[0]);
    if mixed || named.iter().any(|name| !STRATEGIES.contains(name)) {
        let advice = "write cooperative-sticky, or range, or roundrobin, or range,roundrobin";
        findings.add(path, "not a strategy that the worker can follow", advice);
    }
}

/// Sets the one property on an empty configuration and asks librdkafka what it thinks.
fn refused_by_librdkafka(name: &str, value: &str) -> Option<String> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, why, ..)) if !is_secret(name) => Some(why),
        Err(_) => Some("librdkafka does not take it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: serde_json::Value) -> Vec<String> {
        let mut findings = Findings::default();
        check(&serde_json::from_value(json).unwrap(), &mut findings);
        findings.into_problems().iter().map(|problem| format!("{}: {}", problem.path, problem.what)).collect()
    }

    #[test]
    fn what_the_worker_owns_is_refused_by_name() {
        let found = problems(serde_json::json!({
            "enable.auto.commit": true, "group.id": "g", "auto.offset.reset": "latest", "security.protocol": "SASL_SSL"
        }));
        assert_eq!(
            found,
            [
                "kafka.properties.auto.offset.reset: the worker owns this property",
                "kafka.properties.enable.auto.commit: the worker owns this property",
                "kafka.properties.group.id: the worker owns this property",
            ]
        );
    }

    #[test]
    fn the_new_protocol_refuses_what_the_old_one_takes() {
        let old =
            serde_json::json!({ "session.timeout.ms": 10000, "partition.assignment.strategy": "range,roundrobin" });
        assert!(problems(old.clone()).is_empty());
        let mut new = old;
        new["group.protocol"] = "consumer".into();
        assert_eq!(problems(new).len(), 2);
    }

    #[test]
    fn strategies_are_known_ones_and_not_mixed() {
        for (strategy, count) in [("cooperative-sticky", 0), ("sticky", 1), ("range,cooperative-sticky", 1)] {
            let found = problems(serde_json::json!({ "partition.assignment.strategy": strategy }));
            assert_eq!(found.len(), count, "{strategy}");
        }
    }

    #[test]
    fn librdkafka_is_asked_about_every_name_and_value() {
        let found = problems(serde_json::json!({ "sasl.mechanizm": "PLAIN", "socket.timeout.ms": "soon" }));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("sasl.mechanizm") && found[1].contains("socket.timeout.ms"), "{found:?}");
    }
}
