//! The consumer thread: records, back-pressure, commits, errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oms_sync_worker::io::consumer::{Command, ConsumerEvent, ConsumerSettings, MAX_BATCH_RECORDS, MAX_OPEN_BATCHES};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::brokers::{self, BOUND, MockBroker, unique};
use crate::member::{Member, places};

/// What `quiet` means for a member that nothing is expected of: longer than it holds back before it pauses.
const QUIET: Duration = Duration::from_millis(1500);

pub(crate) fn count(from: usize, to: usize) -> impl Iterator<Item = String> {
    (from..to).map(|n| n.to_string())
}

pub(crate) fn mock(partitions: i32) -> (MockBroker, ConsumerSettings) {
    let broker = MockBroker::start();
    broker.create_topic("t", partitions);
    let settings = ConsumerSettings::new(&broker.servers(), &["t"], "g");
    (broker, settings)
}

// ---- records ----

#[test]
fn a_record_is_copied_byte_for_byte() {
    let (broker, settings) = mock(1);
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker.servers()).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some(&[0xff, 0][..]) })
        .insert(Header { key: "a", value: None::<&[u8]> })
        .insert(Header { key: "b", value: Some(&[][..]) });
    let full = BaseRecord::to("t").key(&[0xfe][..]).payload(&[0, 1][..]).headers(headers).timestamp(1_700_000_000_123);
    producer.send(full).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<[u8], [u8]>::to("t")).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::to("t").key(&[][..]).payload(&[][..])).map_err(|(error, _)| error).unwrap();
    producer.flush(BOUND).unwrap();

    let mut member = Member::join(&settings);
    member.until_records(3);
    let full = &member.records[0].1;
    assert_eq!((&*full.topic, full.partition, full.offset, full.timestamp_ms), ("t", 0, 0, Some(1_700_000_000_123)));
    assert_eq!((full.key.as_deref(), full.value.as_deref()), (Some(&[0xfe][..]), Some(&[0, 1][..])));
    let headers: Vec<_> = full.headers.iter().map(|header| (&*header.name, header.value.as_deref())).collect();
    assert_eq!(headers, [("a", Some(&[0xff, 0][..])), ("a", None), ("b", Some(&[][..]))]);
    let null = &member.records[1].1;
    assert_eq!((null.key.as_deref(), null.value.as_deref(), null.headers.len()), (None, None, 0));
    let empty = &member.records[2].1;
    assert_eq!((empty.key.as_deref(), empty.value.as_deref()), (Some(&[][..]), Some(&[][..])));
    member.leave();
}

#[test]
fn nothing_is_lost_or_repeated_while_batches_are_not_admitted() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("permits");
    brokers::create_topic(&broker.servers, &topic, 2, &[]);
    let total = 10_000;
    brokers::produce(&broker.servers, &topic, 0, count(0, total / 2));
    brokers::produce(&broker.servers, &topic, 1, count(0, total / 2));
    let mut member = Member::join(&ConsumerSettings::new(&broker.servers, &[&topic], &unique("group")));
    member.until_owning(2);
    // Twice it is left without a permit for so long that it pauses.
    for _ in 0..2 {
        let mut open = Vec::new();
        while let Some(event) = member.next_within(QUIET) {
            open.push(event);
        }
        let batches = open.iter().filter(|event| matches!(event, ConsumerEvent::Records(_))).count();
        assert_eq!(batches, MAX_OPEN_BATCHES);
        assert!(member.records.len() < total, "all of it was read: nothing was held back");
        drop(open);
    }
    member.until_records(total);
    for partition in [0, 1] {
        assert_eq!(member.offsets(partition), (0..5000).collect::<Vec<_>>());
    }
    member.leave();
}

#[test]
fn a_batch_is_bounded_in_records_and_bytes() {
    let (broker, settings) = mock(1);
    brokers::produce(&broker.servers(), "t", 0, (0..40).map(|_| "x".repeat(30_000)));
    brokers::produce(&broker.servers(), "t", 0, count(0, 2000));
    let mut member = Member::join(&settings);
    let (mut records, mut bytes) = (0, 0);
    member.until("all records", |member, event| {
        if let ConsumerEvent::Records(batch) = event {
            records = records.max(batch.records.len());
            bytes = bytes.max(batch.records.iter().map(|(_, one)| one.record.bytes()).sum());
        }
        (member.records.len() == 2040).then_some(())
    });
    assert!(records <= MAX_BATCH_RECORDS, "{records}");
    assert!(bytes < 256 * 1024 + 30_000, "{bytes}");
    member.leave();
}

#[test]
fn a_held_partition_delivers_nothing_until_resumed_and_then_goes_on_where_it_was() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("held");
    brokers::create_topic(&broker.servers, &topic, 2, &[]);
    let mut member = Member::join(&ConsumerSettings::new(&broker.servers, &[&topic], &unique("group")));
    member.until_owning(2);
    let held = member.owned.keys().find(|at| at.partition == 0).unwrap().clone();
    member.send(Command::Pause(vec![held.clone()]));
    // A permit's hold in between must not lift the loop's.
    brokers::produce(&broker.servers, &topic, 1, count(0, 5000));
    let mut open = Vec::new();
    while let Some(event) = member.next_within(QUIET) {
        open.push(event);
    }
    drop(open);
    member.until_records(5000);
    brokers::produce(&broker.servers, &topic, 0, count(0, 10));
    while member.next_within(QUIET).is_some() {}
    assert!(member.offsets(0).is_empty());
    member.send(Command::Resume(vec![held]));
    member.until_records(5010);
    assert_eq!(member.offsets(0), (0..10).collect::<Vec<_>>());
    member.leave();
}

#[test]
fn a_partition_that_was_held_before_it_was_revoked_comes_back_unpaused() {
    let Some(broker) = brokers::real() else { return };
    let (topic, group) = (unique("comeback"), unique("group"));
    brokers::create_topic(&broker.servers, &topic, 2, &[]);
    let settings = ConsumerSettings::new(&broker.servers, &[&topic], &group);
    let mut first = Member::join(&settings);
    first.until_owning(2);
    first.send(Command::Pause(first.owned.keys().cloned().collect()));
    let mut second = Member::join(&settings);
    let revoked = first.until_revoked();
    first.send(Command::Unassign(places(&revoked)));
    second.until_owning(1);
    second.leave();
    first.until_owning(2);
    brokers::produce(&broker.servers, &topic, revoked[0].at.partition, count(0, 3));
    first.until_records(3);
    first.leave();
}

// ---- commits ----

#[test]
fn a_commit_tells_its_result() {
    let (broker, settings) = mock(1);
    brokers::produce(&broker.servers(), "t", 0, count(0, 5));
    let mut member = Member::join(&settings);
    member.until_records(5);
    let at = member.owned.keys().next().unwrap().clone();
    assert_eq!(member.commit(vec![(at.clone(), 5)]), Ok(()));
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    broker.cluster().request_errors(RDKafkaApiKey::OffsetCommit, &[refusal]);
    let fault = member.commit(vec![(at.clone(), 4)]).unwrap_err();
    assert_eq!(fault.code, "RebalanceInProgress");
    assert_eq!(brokers::committed(&broker.servers(), "g", "t", 1), [Some(5)]);
    assert_eq!(member.commit(vec![(at, 4)]), Ok(()), "an explicit offset, also a lower one");
    assert_eq!(brokers::committed(&broker.servers(), "g", "t", 1), [Some(4)]);
    member.leave();
}

/// Why commits are synchronous, on a thread of their own. When this fails, rdkafka has learnt to tell: think again.
#[test]
fn an_asynchronous_commit_of_rdkafka_tells_nothing() {
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);
    impl ClientContext for Counting {}
    impl ConsumerContext for Counting {
        fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (broker, _) = mock(1);
    let told = Counting::default();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.servers()).set("group.id", "g").set("enable.auto.commit", "false");
    let consumer: BaseConsumer<Counting> = config.create_with_context(told.clone()).unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let deadline = Instant::now() + BOUND;
    while consumer.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "no assignment");
        drop(consumer.poll(Duration::from_millis(50)));
    }
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(3)).unwrap();
    consumer.commit(&list, CommitMode::Async).unwrap();
    while brokers::committed(&broker.servers(), "g", "t", 1) != [Some(3)] {
        assert!(Instant::now() < deadline, "the commit did not arrive");
        drop(consumer.poll(Duration::from_millis(50)));
    }
    while consumer.poll(QUIET).is_some() {}
    assert_eq!(told.0.load(Ordering::Relaxed), 0);
    drop(list);
}

// ---- trouble ----

#[test]
fn a_topic_that_does_not_exist_is_told_and_read_once_it_does() {
    let Some(broker) = brokers::real() else { return };
    let topic = unique("late");
    let mut settings = ConsumerSettings::new(&broker.servers, &[&topic], &unique("group"));
    settings.properties.insert("topic.metadata.refresh.interval.ms".into(), "500".into());
    let mut member = Member::join(&settings);
    let (fault, fatal) = member.until_fault("UnknownTopicOrPartition");
    assert!(!fatal && fault.text.contains(&topic), "{fault}");
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    brokers::produce(&broker.servers, &topic, 0, count(0, 1));
    member.until_records(1);
    member.leave();
}

#[test]
fn errors_while_no_broker_answers_are_told_rarely_and_the_thread_goes_round() {
    let (broker, settings) = mock(1);
    let mut member = Member::join(&settings);
    member.until_owning(1);
    broker.cluster().broker_down(1).unwrap();
    let (from, mut told) = (Instant::now(), 0);
    while from.elapsed() < Duration::from_secs(4) {
        if let Some(ConsumerEvent::Error { fatal, .. }) = member.next_within(Duration::from_millis(200)) {
            assert!(!fatal);
            told += 1;
        }
        assert!(member.consumer().last_turn().elapsed() < Duration::from_secs(3));
    }
    assert!((1..=15).contains(&told), "{told} errors told in 4 s");
    broker.cluster().broker_up(1).unwrap();
    brokers::produce(&broker.servers(), "t", 0, count(0, 1));
    member.until_records(1);
    member.leave();
}

#[test]
fn the_consumer_goes_on_after_the_broker_was_restarted() {
    let Some(broker) = brokers::own() else { return };
    let (topic, group) = (unique("restart"), unique("group"));
    brokers::create_topic(&broker.servers, &topic, 1, &[]);
    brokers::produce(&broker.servers, &topic, 0, count(0, 10));
    let mut settings = ConsumerSettings::new(&broker.servers, &[&topic], &group);
    settings.statistics_interval = Duration::from_millis(500);
    let mut member = Member::join(&settings);
    member.until_records(10);
    let at = member.owned.keys().next().unwrap().clone();
    assert_eq!(member.commit(vec![(at.clone(), 4)]), Ok(()));
    broker.stop();
    member.until("error", |_, event| matches!(event, ConsumerEvent::Error { .. }).then_some(()));
    broker.start();
    brokers::produce(&broker.servers, &topic, 0, count(10, 20));
    // Whether the member keeps its assignment or gets it anew, nothing is missing after the last start.
    member.until("the records since", |member, _| member.offsets(0).contains(&19).then_some(()));
    let mut offsets = member.offsets(0);
    offsets.dedup();
    let last_start = offsets.windows(2).rposition(|pair| pair[1] != pair[0] + 1).map_or(0, |index| index + 1);
    assert_eq!(offsets[last_start..], (offsets[last_start]..20).collect::<Vec<_>>());
    assert!(offsets[last_start] <= 4 || last_start == 0, "{offsets:?}");
    assert_eq!(member.commit(vec![(at, 20)]), Ok(()));
    member.leave();
    assert_eq!(brokers::committed(&broker.servers, &group, &topic, 1), [Some(20)]);
}

#[test]
fn a_handle_that_is_dropped_ends_the_thread() {
    let (_broker, settings) = mock(1);
    let seen = Arc::new(Mutex::new(()));
    let held = Arc::clone(&seen);
    let mut member = Member::join_with(&settings, move |_| drop(held.lock()));
    member.until_owning(1);
    drop(member);
    let deadline = Instant::now() + BOUND;
    while Arc::strong_count(&seen) > 1 {
        assert!(Instant::now() < deadline, "the thread still holds what it was given");
        std::thread::yield_now();
    }
}

#[test]
fn a_thread_that_panics_is_told_as_closed() {
    let (broker, settings) = mock(1);
    brokers::produce(&broker.servers(), "t", 0, count(0, 1));
    let mut member = Member::join_with(&settings, |_| panic!("a record that the decoder did not expect"));
    let until = Instant::now() + Duration::from_secs(10);
    let mut closed = false;
    while !closed && Instant::now() < until {
        closed = matches!(member.next_within(QUIET), Some(ConsumerEvent::Closed));
    }
    assert!(closed, "nobody polls any more, and the loop was not told: it waits for ever");
}
