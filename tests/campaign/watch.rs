//! Observers that no worker knows of: each tells the story what it sees, on a thread of its own, until the campaign ends.
//! They speak to brokers and files directly, never through the proxies, and never join the workers' group.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Timestamp};
use serde::Deserialize;

use crate::clock::Clock;
use crate::fleet::{GROUP, TOPIC};
use crate::records::{Expected, accepted_key};
use crate::story::{Found, Letter, Raw, Story, What};

/// How often the commit points are asked for.
const COMMIT_PAUSE: Duration = Duration::from_millis(150);
const KAFKA_BOUND: Duration = Duration::from_secs(5);
/// How often partitions are looked for that were added.
const PARTITIONS_PAUSE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);
/// Partitions of the dead-letter topic.
pub(crate) const LETTER_PARTITIONS: i32 = 3;
const HEADER_PREFIX: &str = "oms-sync.";

/// What all observers share.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) clock: Clock,
    pub(crate) servers: String,
    story: Arc<Mutex<Story>>,
    over: Arc<AtomicBool>,
    /// Raised each time the dead-letter topic is made anew, so that it is read from its beginning.
    letters_made: Arc<AtomicU32>,
    /// The next offset to read of each of its partitions, by how often it was made anew.
    letters_read: Arc<Mutex<BTreeMap<(u32, i32), i64>>>,
}

impl Watch {
    pub(crate) fn new(clock: Clock, servers: String) -> Self {
        Self {
            clock,
            servers,
            story: Arc::default(),
            over: Arc::default(),
            letters_made: Arc::default(),
            letters_read: Arc::default(),
        }
    }

    pub(crate) fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn letters_made_anew(&self) {
        self.letters_made.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts all observers.
    pub(crate) fn start(&self, journal: &Path) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let (journal, w) = (journal.to_owned(), [(); 4].map(|()| self.clone()));
        let [records, letters, commits, accepted] = w;
        Ok(vec![
            named("records").spawn(move || records.records())?,
            named("letters").spawn(move || letters.letters())?,
            named("commits").spawn(move || commits.commits())?,
            named("accepted").spawn(move || accepted.accepted(&journal))?,
        ])
    }

    pub(crate) fn client(&self, group: &str) -> Option<BaseConsumer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("group.id", group).set("enable.auto.commit", "false");
        config.set("log_level", "0").set("reconnect.backoff.max.ms", "1000").set("auto.offset.reset", "earliest");
        config.create().ok()
    }

    /// Reads the source topic.
    fn records(&self) {
        self.read(
            TOPIC,
            || 0,
            |message| {
                let expected = message.key().and_then(Expected::of);
                let at = self.at(message);
                let Some(expected) = expected else {
                    let told = format!("offset {} holds a record of somebody else", message.offset());
                    return self.story().violate(at, What::Lost, told);
                };
                self.story().found(message.partition(), message.offset(), Found { expected, at }, raw(message));
            },
        );
    }

    /// Reads the dead-letter topic, each time from its beginning that it is made anew.
    fn letters(&self) {
        let made = || self.letters_made.load(Ordering::Relaxed);
        self.read(&dead_letter_topic(), made, |message| {
            self.see_letter(message);
            let place = ((made(), message.partition()), message.offset() + 1);
            self.letters_read.lock().unwrap_or_else(PoisonError::into_inner).extend([place]);
        });
    }

    fn see_letter(&self, message: &BorrowedMessage<'_>) {
        match self.letter(message) {
            Some(letter) => self.story().letter(letter),
            None => self.story().violate(
                self.at(message),
                What::WronglyDeadLettered,
                format!("offset {} of the dead-letter topic is no dead letter", message.offset()),
            ),
        }
    }

    /// Whether the dead-letter topic is read to its end.
    pub(crate) fn letters_are_read(&self) -> bool {
        let Some(consumer) = self.client("campaign-reader") else { return false };
        let (topic, made) = (dead_letter_topic(), self.letters_made.load(Ordering::Relaxed));
        (0..LETTER_PARTITIONS).all(|partition| {
            let end = consumer.fetch_watermarks(&topic, partition, KAFKA_BOUND).map(|(_, end)| end);
            let read = self.letters_read.lock().unwrap_or_else(PoisonError::into_inner);
            let read = read.get(&(made, partition)).copied().unwrap_or(0);
            end.is_ok_and(|end| end == read)
        })
    }

    fn letter(&self, message: &BorrowedMessage<'_>) -> Option<Letter> {
        let (key, value, headers) = raw(message);
        let (told, own): (Vec<_>, Vec<_>) = headers.into_iter().partition(|(name, _)| name.starts_with(HEADER_PREFIX));
        let text = |name: &str| {
            let found = told.iter().find(|(other, _)| other.strip_prefix(HEADER_PREFIX) == Some(name))?;
            String::from_utf8(found.1.clone()).ok()
        };
        let failed_keys = text("failed-keys").map_or(Ok(Vec::new()), |keys| serde_json::from_str(&keys)).ok()?;
        Some(Letter {
            at: self.at(message),
            failed_at: self.clock.of(humantime::parse_rfc3339(&text("first-failure-at")?).ok()?),
            source: (text("partition")?.parse().ok()?, text("offset")?.parse().ok()?),
            reason: text("reason")?,
            failed_keys,
            raw: (key, value, own),
        })
    }

    /// Reads all partitions of a topic from their beginnings; anew whenever `made` changes.
    fn read(&self, topic: &str, made: impl Fn() -> u32, mut see: impl FnMut(&BorrowedMessage<'_>)) {
        'anew: while !self.is_over() {
            let now_made = made();
            let Some(consumer) = self.client("campaign-reader") else { continue };
            let mut assigned = 0;
            let mut looked = Instant::now().checked_sub(PARTITIONS_PAUSE).unwrap_or_else(Instant::now);
            while !self.is_over() {
                if made() != now_made {
                    continue 'anew;
                }
                if looked.elapsed() >= PARTITIONS_PAUSE {
                    looked = Instant::now();
                    let there = partitions(&consumer, topic);
                    if there > assigned {
                        let mut added = TopicPartitionList::new();
                        (assigned..there).for_each(|n| drop(added.add_partition_offset(topic, n, Offset::Beginning)));
                        if consumer.incremental_assign(&added).is_ok() {
                            assigned = there;
                        }
                    }
                }
                if let Some(Ok(message)) = consumer.poll(POLL) {
                    see(&message);
                }
            }
        }
    }

    /// When the broker appended it.
    fn at(&self, message: &BorrowedMessage<'_>) -> u32 {
        match message.timestamp() {
            Timestamp::LogAppendTime(ms) | Timestamp::CreateTime(ms) => {
                self.clock.of_epoch(u64::try_from(ms).unwrap_or(0))
            }
            Timestamp::NotAvailable => self.clock.now(),
        }
    }

    /// Asks for the commit points, again and again.
    fn commits(&self) {
        let Some(consumer) = self.client(GROUP) else { return };
        while !self.is_over() {
            let partitions: Vec<_> = self.story().ends().into_keys().collect();
            let points = committed(&consumer, &partitions);
            let now = self.clock.now();
            let mut story = self.story();
            for (partition, point) in points {
                story.commit_seen(partition, point, now);
            }
            drop(story);
            std::thread::sleep(COMMIT_PAUSE);
        }
    }

    /// Follows the simulator's journal.
    fn accepted(&self, journal: &Path) {
        let Ok(file) = File::open(journal) else { return };
        let (mut file, mut line) = (BufReader::new(file), String::new());
        loop {
            let over = self.is_over();
            match file.read_line(&mut line) {
                Ok(read) if read > 0 && line.ends_with('\n') => {
                    self.accepted_event(&line);
                    line.clear();
                }
                _ if over => return,
                _ => std::thread::sleep(POLL / 4),
            }
        }
    }

    fn accepted_event(&self, line: &str) {
        #[derive(Deserialize)]
        struct Event<'a> {
            at_ms: u64,
            task: &'a str,
            keys: Vec<String>,
        }
        let mut story = self.story();
        match serde_json::from_str::<Event<'_>>(line) {
            Ok(event) => {
                let at = self.clock.of_epoch(event.at_ms);
                event.keys.iter().for_each(|key| story.accepted(accepted_key(event.task, key), at));
            }
            Err(error) => story.violate(self.clock.now(), What::Lost, format!("the journal cannot be read: {error}")),
        }
    }
}

pub(crate) fn dead_letter_topic() -> String {
    format!("{TOPIC}.dlq")
}

fn raw(message: &BorrowedMessage<'_>) -> Raw {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers = headers.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
    let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
    (bytes(message.key()), bytes(message.payload()), headers.collect())
}

/// How many partitions a topic has; 0 where that cannot be told now.
pub(crate) fn partitions(consumer: &BaseConsumer, topic: &str) -> i32 {
    let metadata = consumer.fetch_metadata(Some(topic), KAFKA_BOUND);
    let count = metadata.map_or(0, |metadata| metadata.topics().first().map_or(0, |topic| topic.partitions().len()));
    i32::try_from(count).unwrap_or(0)
}

/// The commit points of these partitions, as far as they can be told now.
pub(crate) fn committed(consumer: &BaseConsumer, partitions: &[i32]) -> Vec<(i32, i64)> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(TOPIC, *partition);
    }
    let Ok(list) = consumer.committed_offsets(list, KAFKA_BOUND) else { return Vec::new() };
    let point = |(partition, offset)| if let Offset::Offset(point) = offset { Some((partition, point)) } else { None };
    let elements = list.elements();
    let points = elements.iter().filter(|one| one.error().is_ok()).map(|one| (one.partition(), one.offset()));
    points.filter_map(point).collect()
}
