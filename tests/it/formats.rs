//! Every producer family through a real Kafka and the worker: what OMS accepts, what is skipped, what is dead-lettered.

use std::collections::{BTreeMap, BTreeSet};

use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::brokers::{self, create_topic, unique};
use crate::fixtures::{self, Fixture};
use crate::stage::{BOUND, Stage, wait_until};

/// Records as the fixtures have them, a null value and headers included.
fn produce(servers: &str, topic_of: impl Fn(&Fixture) -> String, fixtures: &[Fixture]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for fixture in fixtures {
        let add = |headers: OwnedHeaders, (name, value): (&String, &String)| {
            headers.insert(Header { key: name, value: Some(value) })
        };
        let headers = fixture.headers.iter().fold(OwnedHeaders::new(), add);
        let topic = topic_of(fixture);
        let record = BaseRecord::<(), [u8]>::to(&topic).partition(0).headers(headers);
        let record = match &fixture.value {
            Some(value) => record.payload(value),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(BOUND).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

#[test]
fn every_fixture_does_in_the_worker_what_is_expected_of_it() {
    let Some(broker) = brokers::real() else { return };
    let fixtures = fixtures::all();
    let (topic, raw_topic) = (unique("objects"), unique("objects-raw"));
    for topic in [&topic, &raw_topic] {
        create_topic(&broker.servers, topic, 1, &[]);
    }
    let letters = unique("letters");
    create_topic(&broker.servers, &letters, 1, &[]);

    let mut synced: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut counts, mut lettered) = (BTreeMap::<&str, u32>::new(), 0);
    for fixture in &fixtures {
        for change in &fixture.expected {
            *counts.entry(change.action(fixture)).or_default() += 1;
            if change.action(fixture) == "sync" {
                let (bucket, key) = (change.bucket.clone().unwrap(), change.key.as_deref().unwrap());
                let key = EncodedKey::encode(key, KeyEncoding::Percent).unwrap();
                synced.entry(bucket).or_default().insert(key.as_str().to_owned());
            }
        }
        lettered += i64::from(fixture.expected.iter().any(|change| change.action(fixture) == "reject"));
    }
    let routes = synced.keys().map(|bucket| (format!("task-{bucket}"), bucket.clone())).collect();
    let stage = Stage::with_routes(&broker.servers, &topic, 1, "{}", routes);
    let topic_of = |fixture: &Fixture| match fixture.key_encoding.as_deref() {
        Some("raw") => raw_topic.clone(),
        other => other.map_or(topic.clone(), |other| panic!("no topic is read as {other}")),
    };
    produce(&broker.servers, topic_of, &fixtures);

    let topics = format!("{topic},{raw_topic}");
    let options = serde_json::json!({(raw_topic.as_str()): {"key_encoding": "raw"}}).to_string();
    let worker = stage.worker(&[
        ("OMS_SYNC__KAFKA__TOPICS", &topics),
        ("OMS_SYNC__RECORDS__TOPICS", &options),
        ("OMS_SYNC__DEAD_LETTER__TOPIC", &letters),
    ]);
    let is_settled = |topic: &str| {
        let end = brokers::end_offset(&broker.servers, topic, 0);
        brokers::committed(&broker.servers, &stage.group, topic, 1) == [Some(end)]
    };
    wait_until("lag is 0 in both topics", || is_settled(&topic) && is_settled(&raw_topic));

    let ledger = stage.simulator.ledger();
    for (bucket, keys) in &synced {
        let accepted = ledger.keys(&format!("task-{bucket}")).map(|(key, _)| key.to_owned()).collect();
        assert_eq!(keys, &accepted, "{bucket}");
    }
    assert_eq!(brokers::end_offset(&broker.servers, &letters, 0), lettered, "dead letters");
    let (_, metrics) = worker.get("/metrics");
    for (action, expected) in counts {
        let lines = metrics.lines().filter(|line| line.starts_with("oms_sync_changes_total{"));
        let of_action = lines.filter(|line| line.contains(&format!("action=\"{action}\"")));
        let found: f64 = of_action.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
        assert!((found - f64::from(expected)).abs() < 0.5, "{action}: {found} counted, {expected} expected");
    }
    assert_eq!(worker.terminate(), 0);
}
