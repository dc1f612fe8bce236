//! Brokers to test against, and what tests ask of them: librdkafka's mock cluster inside the process, and a real Apache
//! Kafka in a container. Every test uses topics and groups of its own; see [`unique`].

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testcontainers::core::{ExecCommand, IntoContainerPort as _, WaitFor};
use testcontainers::runners::SyncRunner as _;
use testcontainers::{Container, GenericImage, ImageExt as _};

/// Longest that any single thing asked of a broker may take.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A name that no other test of this or another run uses.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{next}", std::process::id())
}

/// A real broker in a container; removed when this is dropped, and when the process ends in whatever way.
pub(crate) struct RealBroker {
    pub(crate) servers: String,
    container: Container<GenericImage>,
    _reaper: Reaper,
}

impl RealBroker {
    /// Stops the broker as an operator would. Its data stay.
    pub(crate) fn stop(&self) {
        apart(|| self.container.stop().unwrap());
    }

    /// Grants everybody these operations on these resources, both as `kafka-acls.sh` takes them.
    pub(crate) fn grant(&self, rights: &[&str]) {
        let servers = self.servers.as_str();
        let tool = ["/opt/kafka/bin/kafka-acls.sh", "--bootstrap-server", servers, "--add", "--allow-principal"];
        let command = ExecCommand::new(tool.iter().chain(&["User:ANONYMOUS"]).chain(rights).copied());
        apart(|| {
            let mut ended = self.container.exec(command).unwrap();
            let told = [ended.stdout_to_vec().unwrap(), ended.stderr_to_vec().unwrap()].concat();
            let told = String::from_utf8_lossy(&told);
            assert_eq!(ended.exit_code().unwrap(), Some(0), "{told}");
        });
    }

    /// Starts it again and waits until it is ready.
    pub(crate) fn start(&self) {
        apart(|| self.container.start().unwrap());
    }
}

/// The broker that all tests share, or `None` with the reason printed where there is no Docker.
pub(crate) fn real() -> Option<&'static RealBroker> {
    static SHARED: OnceLock<Result<RealBroker, String>> = OnceLock::new();
    or_skipped(SHARED.get_or_init(|| launch(&[])).as_ref().map_err(Clone::clone))
}

/// A broker for one test alone, which may stop it.
pub(crate) fn own() -> Option<RealBroker> {
    or_skipped(launch(&[]))
}

/// A broker for one test alone that heeds rights: what no right is granted on is open to everybody, all else is not.
pub(crate) fn guarded() -> Option<RealBroker> {
    or_skipped(launch(&[
        ("KAFKA_AUTHORIZER_CLASS_NAME", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND", "true"),
    ]))
}

fn or_skipped<T>(broker: Result<T, String>) -> Option<T> {
    match broker {
        Ok(broker) => Some(broker),
        Err(reason) => {
            let required = std::env::var_os("OMS_SYNC_TEST_REQUIRE_DOCKER").is_some_and(|value| value == "1");
            assert!(!required, "OMS_SYNC_TEST_REQUIRE_DOCKER=1 and no docker ({reason})");
            println!("skipped: no docker ({reason})");
            None
        }
    }
}

/// Starts a container; the host's port must be known before, since the broker tells it to its clients. Another process
/// may take that port in between: then once more.
fn launch(more: &[(&'static str, &str)]) -> Result<RealBroker, String> {
    apart(|| launch_at(free_port(), more).or_else(|_| launch_at(free_port(), more)))
}

fn launch_at(port: u16, more: &[(&'static str, &str)]) -> Result<RealBroker, String> {
    let image = GenericImage::new("apache/kafka", "4.3.1")
        .with_wait_for(WaitFor::message_on_stdout("Kafka Server started"))
        .with_mapped_port(port, port.tcp())
        .with_startup_timeout(Duration::from_mins(2));
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let image =
        environment(port).into_iter().chain(more).fold(image, |image, (name, value)| image.with_env_var(name, value));
    let container = image.start().map_err(|error| error.to_string())?;
    let reaper = Reaper::of(container.id());
    Ok(RealBroker { servers: format!("127.0.0.1:{port}"), container, _reaper: reaper })
}

/// One variable switches the image's default configuration off, so this is the whole of it.
fn environment(port: u16) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("KAFKA_LISTENERS", format!("PLAINTEXT://:{port},CONTROLLER://:{}", if port == 9093 { 9094 } else { 9093 })),
        ("KAFKA_ADVERTISED_LISTENERS", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", format!("1@localhost:{}", if port == 9093 { 9094 } else { 9093 })),
    ];
    let fixed = [
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
        ("KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS", "500"),
        ("KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS", "500"),
        ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
        ("KAFKA_HEAP_OPTS", "-Xmx384m"),
    ];
    all.extend(fixed.map(|(name, value)| (name, value.to_owned())));
    all
}

/// Nothing listens there, nor will: no system gives that port out. A free one may be another test's by then.
pub(crate) const CLOSED: &str = "127.0.0.1:1";

/// A port of loopback that nothing listens on now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// A shell that waits for its standard input to end, which it does with this process however that ends, and then removes
/// the container. What is kept in a static is never dropped.
struct Reaper(Child);

impl Reaper {
    fn of(container: &str) -> Self {
        use std::os::unix::process::CommandExt as _;
        let child = Command::new("sh")
            .args(["-c", r#"cat; docker rm -f -v "$0""#, container])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // not ended by a Ctrl-C that is meant for the tests
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// Runs on a thread of its own, so that tests with a tokio runtime may call what brings its own along.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// librdkafka's own cluster of one broker, with real sockets on loopback.
pub(crate) struct MockBroker {
    owner: BaseProducer,
}

impl MockBroker {
    pub(crate) fn start() -> Self {
        let owner: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create().unwrap();
        quick_first_rebalance(&owner);
        Self { owner }
    }

    pub(crate) fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.owner.client().mock_cluster().unwrap()
    }

    pub(crate) fn servers(&self) -> String {
        self.cluster().bootstrap_servers()
    }

    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) {
        self.cluster().create_topic(topic, partitions, 1).unwrap();
    }
}

#[expect(
    unsafe_code,
    reason = "rdkafka has no call for the mock cluster's rebalance delay; 3 s instead of 50 ms a test"
)]
fn quick_first_rebalance(owner: &BaseProducer) {
    use rdkafka::bindings::{rd_kafka_handle_mock_cluster, rd_kafka_mock_group_initial_rebalance_delay_ms};
    // SAFETY: the client lives through the call, and the mock cluster lives as long as the client.
    unsafe {
        let cluster = rd_kafka_handle_mock_cluster(owner.client().native_ptr());
        assert!(!cluster.is_null());
        rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 50);
    }
}

// ---- what tests ask of any broker ----

/// Makes a topic on a real broker; `config` are its settings.
pub(crate) fn create_topic(servers: &str, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    let admin = admin(servers);
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    new.config = config.to_vec();
    let options = AdminOptions::new().operation_timeout(Some(BOUND));
    for result in wait_for(admin.create_topics([&new], &options)).unwrap() {
        result.unwrap();
    }
}

/// Deletes a partition's records below an offset, as retention would.
pub(crate) fn delete_records(servers: &str, topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
    let admin = admin(servers);
    let options = AdminOptions::new().operation_timeout(Some(BOUND));
    let deleted = wait_for(admin.delete_records(&list, &options)).unwrap();
    deleted.elements().iter().for_each(|one| one.error().unwrap());
}

/// Deletes a topic, and waits until the broker no longer lists it.
pub(crate) fn delete_topic(servers: &str, topic: &str) {
    let admin = admin(servers);
    let options = AdminOptions::new().operation_timeout(Some(BOUND));
    for result in wait_for(admin.delete_topics(&[topic], &options)).unwrap() {
        result.unwrap();
    }
    crate::stage::wait_until("the topic is gone", || {
        let metadata = admin.inner().fetch_metadata(None, BOUND).unwrap();
        metadata.topics().iter().all(|found| found.name() != topic)
    });
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", servers).create().unwrap()
}

/// Completes a future that needs nothing but polling; bounded.
pub(crate) fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> T {
    apart(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(2 * BOUND, future).await }).unwrap()
    })
}

/// Reads partition 0 from its oldest record on; its end is told as an error.
pub(crate) fn from_beginning(servers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", unique("reader"))
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// Writes records with these values to a partition, in order, and waits until they are acknowledged.
pub(crate) fn produce(servers: &str, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("message.max.bytes", "33554432");
    let producer: BaseProducer = config.create().unwrap();
    send_all(&producer, topic, partition, values);
    producer.flush(BOUND).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}

fn send_all(producer: &BaseProducer, topic: &str, partition: i32, values: impl IntoIterator<Item = String>) {
    for value in values {
        producer.send(BaseRecord::<(), _>::to(topic).partition(partition).payload(&value)).unwrap();
        producer.poll(Duration::ZERO);
    }
}

/// Writes records in a transaction and ends it. Leaves one control record after them.
pub(crate) fn transact(servers: &str, topic: &str, partition: i32, values: &[&str], commit: bool) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("transactional.id", unique("transaction"))
        .create()
        .unwrap();
    producer.init_transactions(BOUND).unwrap();
    producer.begin_transaction().unwrap();
    send_all(&producer, topic, partition, values.iter().map(|&value| value.to_owned()));
    producer.flush(BOUND).unwrap();
    if commit { producer.commit_transaction(BOUND) } else { producer.abort_transaction(BOUND) }.unwrap();
}

/// A client that is no member of any group.
fn observer(servers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", servers).set("group.id", group).create().unwrap()
}

/// The group's commit points of the first partitions of a topic, by an independent consumer.
pub(crate) fn committed(servers: &str, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    let (observer, began) = (observer(servers, group), Instant::now());
    let list = loop {
        let looked_up = observer.committed_offsets(list.clone(), BOUND);
        // A broker that has just begun to keep groups says so at first.
        let is_early =
            matches!(&looked_up, Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NotCoordinator));
        if !is_early || began.elapsed() > BOUND {
            break looked_up.unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let offset = |offset| {
        if let Offset::Offset(offset) = offset { Some(offset) } else { None }
    };
    list.elements().iter().map(|one| offset(one.offset())).collect()
}

/// The broker's end of a partition, control records included.
pub(crate) fn end_offset(servers: &str, topic: &str, partition: i32) -> i64 {
    observer(servers, &unique("observer")).fetch_watermarks(topic, partition, BOUND).unwrap().1
}
