//! The dead-letter producer: one letter in, one delivery report out. Never retries by itself beyond what librdkafka does
//! within [`DELIVERY_TIMEOUT`], and never says delivered before every in-sync replica has the letter.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::Either;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use crate::io::fault::Fault;
use crate::pipeline::record::Record;

/// After this a letter that was not acknowledged has failed, and may be produced again.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// With letters to a topic or one of its partitions failing for longer than this, in a way that another producer may not
/// know, the producer is made anew.
pub const FAILING_LIMIT: Duration = Duration::from_mins(1);
/// Names of the headers that dead letters carry begin with this.
pub const HEADER_PREFIX: &str = "oms-sync.";
/// The code of a [`Fault`] whose letter is larger than librdkafka or the topic takes.
pub const TOO_LARGE: &str = "MessageSizeTooLarge";
/// How long one look at a topic may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Letters are few: little memory, quick to notice a broker that came back. What is too large is for the broker to say.
const TUNING: [(&str, &str); 8] = [
    ("batch.num.messages", "1"), // a broker refuses a batch as a whole: each letter is judged by its own size
    ("compression.type", "lz4"),
    ("topic.metadata.propagation.max.ms", "10000"), // before DELIVERY_TIMEOUT, so that an unknown topic is told as such
    ("message.max.bytes", "33554432"),
    ("queue.buffering.max.messages", "10000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.max.ms", "5000"),
];

/// What the promises stand on; over the user's properties.
const OWNED: [(&str, &str); 2] = [("enable.idempotence", "true"), ("acks", "all")];

/// What a producer is made of.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// `bootstrap.servers`.
    pub brokers: String,
    /// How this client names itself to the brokers.
    pub client_id: String,
    /// librdkafka properties of the user that a producer knows: connection and security.
    pub properties: BTreeMap<String, String>,
}

impl ProducerSettings {
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        config.set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string());
        let user = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in TUNING.into_iter().chain(user).chain(OWNED) {
            config.set(name, value);
        }
        config
    }
}

/// A dead letter to be written.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Where to.
    pub topic: String,
    /// Key, value and headers of this go along verbatim, but for headers that begin with [`HEADER_PREFIX`]: those are
    /// of an earlier dead letter.
    pub record: Arc<Record>,
    /// What is written after the record's own headers: the full names with their values.
    pub headers: Vec<(String, String)>,
}

/// The producer. Its futures do not borrow it.
#[derive(Debug)]
pub struct DeadLetters {
    settings: ProducerSettings,
    current: Mutex<Current>,
}

struct Current {
    producer: FutureProducer,
    failing_since: FailingSince,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current").field("failing_since", &self.failing_since).finish_non_exhaustive()
    }
}

/// Where letters fail and none was written since.
///
/// librdkafka can go on asking the wrong broker for ever: it takes what it is told of a topic that was made anew for
/// outdated (<https://github.com/confluentinc/librdkafka/issues/4898>), and may not take a leader back that was away
/// (<https://github.com/confluentinc/librdkafka/issues/5430>). That is told as a timeout, and other partitions go on.
#[derive(Clone, Debug, Default)]
struct FailingSince(Arc<Mutex<BTreeMap<Place, Instant>>>);

/// A topic, or one partition of it.
type Place = (String, Option<i32>);

impl FailingSince {
    /// A letter ended so, in that partition if it came to one.
    fn note(&self, topic: String, partition: Option<i32>, result: Result<(), &KafkaError>, now: Instant) {
        let mut failing = lock(&self.0);
        match result {
            Ok(()) => {
                failing.remove(&(topic.clone(), partition));
                failing.remove(&(topic, None)); // the topic is known
            }
            Err(error) if is_stale(error) => drop(failing.entry((topic, partition)).or_insert(now)),
            Err(_) => {}
        }
    }

    /// What has failed for too long.
    fn too_long(&self, now: Instant) -> Option<String> {
        let failing = lock(&self.0);
        let long = failing.iter().find(|(_, since)| now.saturating_duration_since(**since) > FAILING_LIMIT);
        long.map(|((topic, partition), _)| {
            let place = partition.map(|partition| format!("[{partition}]")).unwrap_or_default();
            format!("letters to {topic}{place} fail for more than {} s", FAILING_LIMIT.as_secs())
        })
    }
}

impl DeadLetters {
    /// Creates the client; does not wait for a broker.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(settings: ProducerSettings) -> Result<Self, Fault> {
        let current = Mutex::new(make(&settings)?);
        Ok(Self { settings, current })
    }

    /// Sends one letter. The result comes with the delivery report, after [`DELIVERY_TIMEOUT`] at the latest; a letter
    /// that failed may still have been written. A full queue is an error answer like any other: try again later.
    ///
    /// After a fatal error, or where letters fail for longer than [`FAILING_LIMIT`], the producer is made anew first; what
    /// the old one had not delivered then fails.
    pub fn produce(&self, letter: &Letter) -> impl Future<Output = Result<(), Fault>> + Send + use<> {
        let mut current = lock(&self.current);
        if let Some(why) = worn_out(&current, now()) {
            tracing::warn!(why, "dead-letter producer is made anew");
            match make(&self.settings) {
                Ok(new) => retire(std::mem::replace(&mut *current, new)),
                Err(fault) => return Either::Left(std::future::ready(Err(fault))),
            }
        }
        let failing_since = current.failing_since.clone();
        let topic = letter.topic.clone();
        let sent = send(&current.producer, letter);
        Either::Right(async move {
            let (partition, result) = match sent {
                Ok(report) => match report.await {
                    Ok(Ok(delivery)) => (Some(delivery.partition), Ok(())),
                    Ok(Err((error, message))) => (Some(message.partition()), Err(error)),
                    Err(_) => (None, Err(KafkaError::Canceled)),
                },
                Err(error) => (None, Err(error)),
            };
            failing_since.note(topic, partition.filter(|partition| *partition >= 0), result.as_ref().copied(), now());
            result.map_err(|error| Fault::new(&error, None))
        })
    }

    /// What is wrong with these topics, as far as the brokers' metadata tells: one line a problem. The list of all topics
    /// is asked for, since asking for one by its name would create it on brokers that do so. Needs a tokio runtime.
    pub fn topic_problems(&self, topics: &[String]) -> impl Future<Output = Vec<String>> + Send + use<> {
        let producer = lock(&self.current).producer.clone();
        let topics = topics.to_vec();
        async move {
            let asked = tokio::task::spawn_blocking(move || problems(&producer, &topics)).await;
            asked.unwrap_or_else(|error| vec![format!("the topics were not looked at: {error}")])
        }
    }
}

/// The record's headers without those of an earlier dead letter, then the new ones.
fn headers(record: &Record, new: &[(String, String)]) -> OwnedHeaders {
    let kept = record.headers.iter().filter(|header| !header.name.starts_with(HEADER_PREFIX));
    let size = record.headers.len() + new.len();
    let headers = kept.fold(OwnedHeaders::new_with_capacity(size), |headers, header| {
        headers.insert(Header { key: &header.name, value: header.value.as_deref() })
    });
    new.iter().fold(headers, |headers, (name, value)| headers.insert(Header { key: name, value: Some(value) }))
}

fn send(
    producer: &FutureProducer,
    letter: &Letter,
) -> Result<rdkafka::producer::future_producer::DeliveryFuture, KafkaError> {
    let record = FutureRecord {
        topic: &letter.topic,
        partition: None,
        payload: letter.record.value.as_deref(),
        key: letter.record.key.as_deref(),
        timestamp: None, // librdkafka stamps it with the time at which it is written
        headers: Some(headers(&letter.record, &letter.headers)),
    };
    producer.send_result(record).map_err(|(error, _)| error)
}

fn make(settings: &ProducerSettings) -> Result<Current, Fault> {
    let producer = settings.client_config().create().map_err(|error| Fault::new(&error, None))?;
    Ok(Current { producer, failing_since: FailingSince::default() })
}

/// Dropping a producer waits for its threads: not on the caller's.
fn retire(old: Current) {
    let dropping = std::thread::Builder::new().name("kafka-retire".to_owned()).spawn(move || drop(old));
    if let Err(error) = dropping {
        tracing::warn!(%error, "no thread to drop the old producer on");
    }
}

fn worn_out(current: &Current, now: Instant) -> Option<String> {
    if let Some((code, text)) = current.producer.client().fatal_error() {
        return Some(format!("fatal error {code:?}: {text}"));
    }
    current.failing_since.too_long(now)
}

/// Whether another producer may know better.
fn is_stale(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{MessageTimedOut, UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    let code = error.rdkafka_error_code();
    matches!(code, Some(UnknownTopic | UnknownTopicOrPartition | UnknownPartition | MessageTimedOut))
}

fn problems(producer: &FutureProducer, topics: &[String]) -> Vec<String> {
    let metadata = match producer.client().fetch_metadata(None, METADATA_TIMEOUT) {
        Ok(metadata) => metadata,
        Err(error) => return vec![format!("the brokers do not answer: {error}")],
    };
    let problem = |topic: &String| {
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Some(format!(
                "topic {topic} does not exist, or this client may not see it; create it or grant DESCRIBE"
            ));
        };
        match found.error().map(RDKafkaErrorCode::from) {
            Some(code) => Some(format!("topic {topic}: {code}")),
            None if found.partitions().is_empty() => Some(format!("topic {topic} has no partitions yet")),
            None => None,
        }
    };
    topics.iter().filter_map(problem).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // plain values: none is left half-written
}

#[expect(clippy::disallowed_methods, reason = "a shell: it measures how long a topic has been unknown")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;
    use crate::pipeline::record::Header as RecordHeader;

    fn record(headers: &[(&str, Option<&[u8]>)]) -> Record {
        let header =
            |&(name, value): &(&str, Option<&[u8]>)| RecordHeader { name: name.into(), value: value.map(Into::into) };
        Record {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: headers.iter().map(header).collect(),
        }
    }

    #[test]
    fn source_headers_come_first_and_those_of_an_earlier_letter_are_replaced() {
        let record =
            record(&[("a", Some(&[0xff])), ("oms-sync.reason", Some(b"old")), ("oms-sync-task", None), ("a", None)]);
        let headers = headers(&record, &[("oms-sync.reason".into(), "new".into())]);
        let listed: Vec<(&str, Option<&[u8]>)> = headers.iter().map(|header| (header.key, header.value)).collect();
        let expected: [(&str, Option<&[u8]>); 4] =
            [("a", Some(&[0xff])), ("oms-sync-task", None), ("a", None), ("oms-sync.reason", Some(b"new"))];
        assert_eq!(listed, expected);
    }

    #[test]
    fn idempotence_cannot_be_switched_off_by_a_property() {
        let settings = ProducerSettings {
            brokers: "127.0.0.1:9092".into(),
            client_id: "c".into(),
            properties: [("enable.idempotence", "false"), ("acks", "0")].map(|(n, v)| (n.into(), v.into())).into(),
        };
        let config = settings.client_config();
        assert_eq!((config.get("enable.idempotence"), config.get("acks")), (Some("true"), Some("all")));
        config.create_native_config().unwrap();
    }

    #[test]
    fn letters_that_fail_for_over_a_minute_wear_the_producer_out_unless_their_partition_takes_others() {
        let settings =
            ProducerSettings { brokers: "127.0.0.1:1".into(), client_id: "c".into(), properties: BTreeMap::new() };
        let current = make(&settings).unwrap();
        let start = now();
        let late = start + FAILING_LIMIT + Duration::from_secs(1);
        let unknown = KafkaError::MessageProduction(RDKafkaErrorCode::UnknownTopic);
        let timed_out = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        let refused = KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed);
        let note = |partition, result| current.failing_since.note("t.dlq".into(), partition, result, start);
        note(Some(2), Err(&refused));
        assert_eq!(worn_out(&current, late), None, "another producer has no other rights");
        note(None, Err(&unknown));
        assert_eq!(worn_out(&current, start + FAILING_LIMIT), None);
        assert_eq!(worn_out(&current, late).unwrap(), "letters to t.dlq fail for more than 60 s");
        note(Some(0), Ok(()));
        assert_eq!(worn_out(&current, late), None, "it is known again");
        note(Some(1), Err(&timed_out));
        note(Some(0), Ok(()));
        assert_eq!(worn_out(&current, late).unwrap(), "letters to t.dlq[1] fail for more than 60 s");
        note(Some(1), Ok(()));
        assert_eq!(worn_out(&current, late), None);
    }
}
