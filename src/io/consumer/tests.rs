//! A client that stops delivering, made by pausing librdkafka behind the thread's back; as its own bugs have left it.

#![expect(clippy::disallowed_methods, reason = "tests bound their waits by the clock")]

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use smallvec::SmallVec;

use super::*;
use crate::pipeline::intake::Incoming;
use crate::pipeline::kept::Kept;
use crate::pipeline::route::Routes;

const BOUND: Duration = Duration::from_secs(30);
const RECORDS: i64 = 10_000;

fn incoming(record: Kept) -> Incoming {
    Incoming::new(record, SmallVec::new(), Vec::new())
}

/// Takes nothing before it has a table of routes.
#[derive(Default)]
struct Undecided {
    has_table: bool,
}

impl Take for Undecided {
    fn take(&mut self, _: &str, record: Kept) -> Result<Incoming, Kept> {
        if self.has_table { Ok(incoming(record)) } else { Err(record) }
    }

    fn set_routes(&mut self, _: Arc<Routes>) {
        self.has_table = true;
    }
}

struct Member {
    consumer: KafkaConsumer,
    inner: Arc<BaseConsumer<context::Context>>,
    events: UnboundedReceiver<ConsumerEvent>,
    delivered: i64,
}

impl Member {
    fn join(servers: &str, group: &str) -> Self {
        Self::join_with(servers, group, incoming)
    }

    fn join_with(servers: &str, group: &str, take: impl Take + Send + 'static) -> Self {
        let mut settings = ConsumerSettings::new(servers, &["t"], group);
        settings.statistics_interval = Duration::from_millis(100);
        let (callbacks, noticed) = mpsc::channel();
        let context = context::Context::new(callbacks);
        let inner: Arc<BaseConsumer<_>> = Arc::new(settings.client_config().create_with_context(context).unwrap());
        let (consumer, events) = KafkaConsumer::around(Arc::clone(&inner), noticed, &settings, take).unwrap();
        Self { consumer, inner, events, delivered: 0 }
    }

    fn next(&mut self) -> ConsumerEvent {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Ok(event) = self.events.try_recv() {
                if let ConsumerEvent::Records(batch) = &event {
                    self.delivered += i64::try_from(batch.records.len()).unwrap();
                }
                return event;
            }
            assert!(Instant::now() < deadline, "nothing happens");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn next_wait(&mut self) -> Option<Undelivered> {
        loop {
            if let ConsumerEvent::Delivers(wait) = self.next() {
                return wait;
            }
        }
    }

    fn leave(mut self) {
        drop(self.inner);
        self.consumer.send(Command::Close);
        while !matches!(self.events.blocking_recv(), Some(ConsumerEvent::Closed)) {}
        self.consumer.join();
    }
}

/// The broker lives as long as the first part.
fn broker_with_records() -> (BaseProducer, String) {
    let owner: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create().unwrap();
    let cluster = owner.client().mock_cluster().unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
    for _ in 0..RECORDS {
        producer.send(BaseRecord::<(), _>::to("t").payload("record")).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(BOUND).unwrap();
    drop(cluster);
    (owner, servers)
}

#[test]
fn a_partition_that_waits_for_routes_is_no_stall_and_goes_on_with_the_record_that_waited() {
    let (_owner, servers) = broker_with_records();
    let mut member = Member::join_with(&servers, "waits", Undecided::default());
    let waits = |event: &ConsumerEvent| matches!(event, ConsumerEvent::WaitsForRoutes(names) if names.len() == 1);
    while !waits(&member.next()) {}
    let mut looks = 0;
    while looks < 20 {
        match member.next() {
            ConsumerEvent::Delivers(wait) => {
                assert_eq!(wait, None);
                looks += 1;
            }
            event => assert!(matches!(event, ConsumerEvent::Watermarks(_)), "{event:?}"),
        }
    }
    member.consumer.send(Command::Route(Arc::new(Routes::default())));
    let (mut expected, mut is_told) = (0, false);
    while expected < RECORDS {
        match member.next() {
            ConsumerEvent::Records(Batch { records, .. }) => {
                for (_, incoming) in records {
                    assert_eq!(incoming.record.offset(), expected);
                    expected += 1;
                }
            }
            ConsumerEvent::WaitsForRoutes(names) => is_told = names.is_empty(),
            _ => {}
        }
    }
    assert!(is_told, "nothing waits any more");
    member.leave();
}

#[test]
fn a_client_that_stops_delivering_is_told_with_the_time_since_and_another_one_goes_on() {
    let (_owner, servers) = broker_with_records();
    let mut member = Member::join(&servers, "stopped");
    let mut open = Vec::new();
    while open.len() < MAX_OPEN_BATCHES {
        match member.next() {
            ConsumerEvent::Delivers(wait) => assert_eq!(wait, None),
            event => open.extend(matches!(event, ConsumerEvent::Records(_)).then_some(event)),
        }
    }
    let at = PartitionName { topic: "t".into(), partition: 0 };
    let list = partitions::list(std::slice::from_ref(&at));
    member.inner.pause(&list).unwrap(); // throws away what was fetched ahead
    drop(list);
    drop(open);
    let (mut before, mut looks) = (None, 0);
    while looks < 10 {
        let wait = member.next_wait();
        looks = if wait.is_some() && wait == before { looks + 1 } else { 0 };
        before = wait;
    }
    let stopped_at = before.unwrap(); // it counts from the first look
    assert_eq!(stopped_at.symptom, Symptom::NotDelivered(at));
    assert!(member.delivered < RECORDS, "{} delivered", member.delivered);
    assert!(stopped_at.since.elapsed() > Duration::from_millis(900));
    assert!(member.consumer.last_turn().elapsed() < Duration::from_secs(2), "the thread itself goes round");
    member.leave();

    let mut again = Member::join(&servers, "started anew");
    while again.delivered < RECORDS {
        if let ConsumerEvent::Delivers(Some(wait)) = again.next() {
            assert!(wait.since.elapsed() < Duration::from_secs(1), "a restart heals: {wait:?}");
        }
    }
    again.leave();
}
