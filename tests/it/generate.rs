//! `generate` against librdkafka's mock cluster.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and bounds its own time"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Parser;
use oms_sync_worker::commands::generate::{
    GenerateArgs, GeneratedFormat, GeneratedRecord, Generator, GeneratorConfig, WriteError, WriteSettings, run, write,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

const TOPIC: &str = "generated";
const PARTITIONS: i32 = 3;
const CONFIG: GeneratorConfig =
    GeneratorConfig { format: GeneratedFormat::AwsS3, records: 1_000, keys: 400, buckets: 3, seed: 42 };

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: GenerateArgs,
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    cluster
}

fn settings(brokers: String) -> WriteSettings {
    WriteSettings { brokers, topic: TOPIC.to_owned(), rate: None, delivery_timeout: Duration::from_secs(10) }
}

/// Everything in the topic, as partition and text of key and value.
fn read_all(brokers: &str, count: usize) -> Vec<(i32, String, String)> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "reader").create().unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut found = Vec::new();
    while found.len() < count {
        assert!(Instant::now() < deadline, "only {} records of {count} arrived", found.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        found.push((message.partition(), text(message.key()), text(message.payload())));
    }
    found
}

#[test]
fn everything_generated_is_in_the_topic_and_counted() {
    let cluster = cluster();
    let mut seen = 0;
    let written = write(&settings(cluster.bootstrap_servers()), Generator::new(CONFIG), |count| seen = count).unwrap();
    assert_eq!((written.records, written.distinct_keys, seen), (1_000, 400, 1_000));

    let found = read_all(&cluster.bootstrap_servers(), 1_000);
    let mut values: Vec<_> = found.iter().map(|(_, key, value)| (key.clone(), value.clone())).collect();
    let mut expected: Vec<_> = Generator::new(CONFIG).map(|GeneratedRecord { key, value, .. }| (key, value)).collect();
    values.sort();
    expected.sort();
    assert_eq!(values, expected);

    let bytes: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(written.bytes, bytes as u64);
    assert_eq!(written.buckets.values().sum::<u64>(), 1_000);
    assert_eq!(written.buckets.len(), 3);
    let mut homes = BTreeMap::new();
    for (partition, key, _) in &found {
        assert_eq!(homes.entry(key).or_insert(partition), &partition, "an object stays in its partition");
    }
}

#[test]
fn the_command_writes_what_its_arguments_say() {
    let cluster = cluster();
    let brokers = cluster.bootstrap_servers();
    let arguments = ["generate", "--brokers", &brokers, "--topic", TOPIC, "--format", "native", "--records", "20"];
    let cli = Cli::parse_from(arguments);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(cli.args)).unwrap();
    let found = read_all(&brokers, 20);
    assert!(found.iter().all(|(_, _, value)| value.starts_with(r#"{"bucket":"bucket-0","key":"in/"#)));
}

#[test]
fn a_rate_is_kept() {
    let cluster = cluster();
    let settings = WriteSettings { rate: Some(200), ..settings(cluster.bootstrap_servers()) };
    let written = write(&settings, Generator::new(GeneratorConfig { records: 101, ..CONFIG }), |_| ()).unwrap();
    assert!(written.elapsed >= Duration::from_millis(500), "{:?}", written.elapsed);
}

#[test]
fn a_record_that_the_broker_refuses_is_an_error() {
    let cluster = cluster();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refused]);
    let error = write(&settings(cluster.bootstrap_servers()), Generator::new(CONFIG), |_| ()).unwrap_err();
    let WriteError::Delivery { failed, first, .. } = error else { panic!("{error}") };
    assert!(failed >= 1);
    assert!(first.contains("authorization"), "{first}");
}

#[test]
fn an_unreachable_broker_is_an_error_within_the_timeout() {
    // Bound and never accepting anything of Kafka's: a port where no broker answers.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let brokers = port.local_addr().unwrap().to_string();
    let settings = WriteSettings { delivery_timeout: Duration::from_secs(1), ..settings(brokers) };
    let error = write(&settings, Generator::new(CONFIG), |_| ()).unwrap_err();
    assert!(matches!(error, WriteError::Delivery { confirmed: 0, .. }), "{error}");
}
