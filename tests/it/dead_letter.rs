//! The dead-letter producer: what is written, and what is told when it is not.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oms_sync_worker::io::consumer::ConsumerSettings;
use oms_sync_worker::io::dead_letter::{DeadLetters, Letter, ProducerSettings};
use oms_sync_worker::pipeline::record::{Header, Record};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::brokers::{self, BOUND, MockBroker, unique, wait_for};
use crate::member::Member;

fn letters(servers: &str, properties: &[(&str, &str)]) -> DeadLetters {
    let properties = properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    DeadLetters::new(ProducerSettings { brokers: servers.into(), client_id: "test".into(), properties }).unwrap()
}

type Bytes<'a> = Option<&'a [u8]>;

fn letter(topic: &str, key: Bytes<'_>, value: Bytes<'_>) -> Letter {
    let headers = [("source", Some(&[0xff, 0][..])), ("source", None), ("oms-sync.reason", Some(b"older".as_slice()))];
    let headers = headers.map(|(name, value)| Header { name: name.into(), value: value.map(Into::into) });
    let record = Record {
        topic: "t".into(),
        partition: 3,
        offset: 4,
        timestamp_ms: Some(1),
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: headers.into(),
    };
    let new = vec![("oms-sync.reason".to_owned(), "no_route".to_owned())];
    Letter { topic: topic.to_owned(), record: Arc::new(record), headers: new }
}

#[test]
fn a_letter_is_the_record_verbatim_with_the_new_headers_stamped_now() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("dlq");
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    let letters = letters(&broker.servers, &[]);
    let all: [(Bytes<'_>, Bytes<'_>); 3] = [(Some(&[0xfe]), Some(&[0, 1])), (None, None), (Some(&[]), Some(&[]))];
    for (key, value) in all {
        assert_eq!(wait_for(letters.produce(&letter(&topic, key, value))), Ok(()));
    }
    let mut reader = Member::join(&ConsumerSettings::new(&broker.servers, &[&topic], &unique("group")));
    reader.until_records(3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    for ((key, value), (_, written)) in all.iter().zip(&reader.records) {
        assert_eq!((written.key.as_deref(), written.value.as_deref()), (*key, *value));
        let headers: Vec<_> = written.headers.iter().map(|one| (&*one.name, one.value.as_deref())).collect();
        let expected: [(&str, Option<&[u8]>); 3] =
            [("source", Some(&[0xff, 0])), ("source", None), ("oms-sync.reason", Some(b"no_route"))];
        assert_eq!(headers, expected);
        let written = Duration::from_millis(written.timestamp_ms.unwrap().try_into().unwrap());
        assert!(now.abs_diff(written) < 2 * BOUND, "{written:?}");
    }
    reader.leave();
}

#[test]
fn a_missing_topic_is_told_and_written_to_once_it_exists() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("dlq-missing");
    let quick = [("topic.metadata.propagation.max.ms", "500"), ("topic.metadata.refresh.interval.ms", "500")];
    let letters = letters(&broker.servers, &quick);
    let problem = wait_for(letters.topic_problems(std::slice::from_ref(&topic))).join("; ");
    assert!(problem.contains(&topic) && problem.contains("create it"), "{problem}");
    let fault = wait_for(letters.produce(&letter(&topic, None, Some(b"v")))).unwrap_err();
    assert!(fault.code.starts_with("UnknownTopic"), "{fault:?}");
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    assert!(wait_for(letters.topic_problems(std::slice::from_ref(&topic))).is_empty());
    let mut tries = 0;
    while let Err(fault) = wait_for(letters.produce(&letter(&topic, None, Some(b"v")))) {
        tries += 1;
        assert!(tries < 20, "{fault:?}");
    }
    assert!(brokers::end_offset(&broker.servers, &topic, 0) >= 1);
}

#[test]
fn a_letter_that_is_too_large_fails_alone() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("dlq-small");
    brokers::create_topic(&broker.servers, &topic, 1, &[("max.message.bytes", "2000")]);
    let letters = letters(&broker.servers, &[("compression.type", "none")]);
    let fault = wait_for(letters.produce(&letter(&topic, None, Some(&[7; 5000])))).unwrap_err();
    assert_eq!(fault.code, "MessageSizeTooLarge");
    assert_eq!(wait_for(letters.produce(&letter(&topic, None, Some(&[7; 100])))), Ok(()));
    assert_eq!(brokers::end_offset(&broker.servers, &topic, 0), 1);
}

#[test]
fn a_broker_that_is_away_fails_letters_and_a_full_queue_does_so_at_once() {
    let broker = MockBroker::start();
    broker.create_topic("dlq", 1);
    let letters = letters(&broker.servers(), &[("message.timeout.ms", "2000"), ("queue.buffering.max.messages", "1")]);
    assert_eq!(wait_for(letters.produce(&letter("dlq", None, None))), Ok(()));
    broker.cluster().broker_down(1).unwrap();
    std::thread::sleep(Duration::from_millis(200)); // librdkafka lets go of a letter just after its report
    let first = letters.produce(&letter("dlq", None, None));
    let fault = wait_for(letters.produce(&letter("dlq", None, None))).unwrap_err();
    assert_eq!(fault.code, "QueueFull");
    assert_eq!(wait_for(first).unwrap_err().code, "MessageTimedOut");
    broker.cluster().broker_up(1).unwrap();
    let mut tries = 0;
    while let Err(fault) = wait_for(letters.produce(&letter("dlq", None, None))) {
        tries += 1;
        assert!(tries < 10, "{fault:?}");
    }
}

#[test]
fn after_a_fatal_error_the_producer_is_made_anew() {
    let broker = MockBroker::start();
    broker.create_topic("dlq", 1);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    broker.cluster().request_errors(RDKafkaApiKey::InitProducerId, &[refusal]);
    let letters = letters(&broker.servers(), &[]);
    let fault = wait_for(letters.produce(&letter("dlq", None, None))).unwrap_err();
    assert_eq!(fault.code, "PurgeQueue", "{fault:?}");
    assert_eq!(wait_for(letters.produce(&letter("dlq", None, None))), Ok(()));
}
