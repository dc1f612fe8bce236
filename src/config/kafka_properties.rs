//! `kafka.properties`: what people pass to librdkafka, and what they may not because the worker owns it.
//! Values that may be secret are never printed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::problem::Findings;
use super::secret::REDACTED;

/// Properties that the worker sets itself, and what to write instead.
const OWNED: [(&str, &str); 17] = [
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
    ("enable.random.seed", "leave it out"),
    ("consume.callback.max.messages", "the worker does not use the callback; leave it out"),
];

/// What librdkafka refuses together with `group.protocol=consumer`.
const CLASSIC_ONLY: [&str; 4] =
    ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy", "group.protocol.type"];

/// Assignment strategies that the worker knows how to follow; the first is cooperative, the others are not.
const STRATEGIES: [&str; 3] = ["cooperative-sticky", "range", "roundrobin"];

/// Properties for librdkafka, by name. `Debug` and `Serialize` redact what may be secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Each property with its value in clear, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The properties in clear. For the Kafka clients only.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(name, value)| (name, if is_secret(name) { REDACTED } else { value }))
    }
}

/// Whether the value of a property may be secret. Errs on the side of yes.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "pem", "token", "oauthbearer.config", "private", "credential"]
        .iter()
        .any(|part| name.contains(part))
}

/// Adds a problem for each property that the worker owns, that contradicts another, or that librdkafka refuses.
pub(super) fn check(properties: &Properties, findings: &mut Findings) {
    let new_protocol = properties.0.get("group.protocol").is_some_and(|value| value.eq_ignore_ascii_case("consumer"));
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

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.shown() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
        Ok(Self(map.into_iter().map(|(name, value)| (name, value.0)).collect()))
    }
}

impl JsonSchema for Properties {
    fn schema_name() -> Cow<'static, str> {
        "Properties".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
    }
}

/// A text, a number or a truth value, as text: librdkafka takes nothing else.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsText)
    }
}

struct AsText;

impl Visitor<'_> for AsText {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
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
        let old = serde_json::json!({ "session.timeout.ms": 10000, "partition.assignment.strategy": "range,roundrobin" });
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

    #[test]
    fn secret_properties_are_never_shown() {
        let json = serde_json::json!({ "sasl.password": "hunter2", "ssl.key.pem": "hunter2", "sasl.username": "u" });
        let properties: Properties = serde_json::from_value(json).unwrap();
        let shown = format!("{properties:?} {}", serde_json::to_string(&properties).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("\"u\""), "{shown}");
        assert_eq!(properties.as_map()["sasl.password"], "hunter2");
    }
}
