//! `dead-letters replay`: the failed keys of dead letters once more to where they came from. What is written is
//! `plan`'s matter, which letter is which `identity`'s. Never notes a letter as replayed before Kafka has acknowledged its
//! record, so one that an end of whatever kind cuts off goes again in the next run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::filter::Filter;
use super::identity::Identity;
use super::letter::Letter;
use super::list::now;
use super::place::{Place, PlaceArgs};
use super::plan::{Outgoing, Target, needs_source, plan};
use super::reader::Reader;
use super::replayed::{self, Replayed};
use super::source::Sources;
use crate::commands::exit::Exit;
use crate::commands::printable::printable;
use crate::io::signal::{Ending, Endings};
use crate::pipeline::record::Record;

/// Letters whose records are not acknowledged.
const MAX_IN_FLIGHT: usize = 100;
/// Letters that are left are told one by one up to here, then only counted.
const MAX_LEFT_TOLD: u64 = 100;

/// Arguments of `dead-letters replay`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  oms-sync-worker dead-letters replay --config worker.yaml --reason refused --dry-run\n  \
                        oms-sync-worker dead-letters replay --config worker.yaml --task 31e9b7e6 --rate 100"
)]
pub struct ReplayArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    filter: Filter,
    /// Where to: `source`, the topic that each came from, or `topic NAME`
    #[arg(long, value_names = ["source|topic", "NAME"], num_args = 1..=2, default_value = "source")]
    to: Vec<String>,
    /// Print what would go, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Most letters a second, 1 to 1000 [default: as fast as Kafka takes them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: Option<u32>,
    /// A letter that was replayed so often is told and left
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_replays: u32,
    /// Most letters that are replayed, the oldest [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Also what an earlier run has replayed
    #[arg(long)]
    again: bool,
}

/// Replays, and prints a summary to standard output.
pub(super) async fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    let to = destination(&args.to)?;
    let place = args.place.find()?;
    let existing = place.existing_topics()?;
    place.check_topics(&existing)?;
    let replayed = replayed::load(&place, &existing).await?;
    if !args.dry_run {
        replayed::create(&place, &existing).await?;
    }
    let reader = Reader::open(&place, &place.topics, false)?;
    let producer = place.client.client_config().set("partitioner", "murmur2_random").create();
    let producer = producer.context("cannot make a Kafka producer")?;
    let bar = progress(reader.len());
    let (sources, summary) = (Sources::default(), Summary::default());
    let run = Run { args, place: &place, existing, to, replayed, now: now(), bar, sources, summary };
    run.all(reader, producer).await
}

/// `None` is the topic that each letter came from.
fn destination(to: &[String]) -> anyhow::Result<Option<&str>> {
    match to.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["source"] => Ok(None),
        ["topic", name] => Ok(Some(name)),
        _ => Err(Wrong("--to is source, or topic and its name: --to topic object-changes".to_owned()).into()),
    }
}

/// Wrong arguments that clap cannot know of.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(String);

/// What became of the letters that the filters take.
#[derive(Debug, Default)]
struct Summary {
    letters: u64,
    keys: u64,
    whole: u64,
    before: u64,
    left: u64,
}

struct Run<'a> {
    args: &'a ReplayArgs,
    place: &'a Place,
    existing: BTreeSet<String>,
    to: Option<&'a str>,
    replayed: Replayed,
    now: SystemTime,
    bar: ProgressBar,
    sources: Sources,
    summary: Summary,
}

/// A record to write, and what is noted then.
struct Shipment {
    outgoing: Outgoing,
    /// Where its record stood first.
    source: String,
    keys: u64,
    identity: Identity,
    note: String,
    noted_in: String,
}

impl Run<'_> {
    async fn all(mut self, mut reader: Reader, producer: FutureProducer) -> anyhow::Result<Exit> {
        let mut endings = Endings::new().context("signals cannot be taken over")?;
        let mut pace = self.args.rate.map(pace);
        let (mut ready, mut out, mut planned) = (None::<Shipment>, JoinSet::new(), 0);
        let (mut reading, mut interrupted, mut failure) = (true, false, None);
        while reading || ready.is_some() || !out.is_empty() {
            tokio::select! {
                ending = endings.next() => {
                    if ending == Ending::AtOnce {
                        return Ok(Exit::DrainDeadline);
                    }
                    (reading, interrupted, ready) = (false, true, None);
                }
                Some(done) = out.join_next() => {
                    if let Err(error) = done.context("a replay was cut off").and_then(|done| done).map(|sent| self.sent(sent)) {
                        (reading, ready) = (false, None);
                        failure.get_or_insert(error);
                    }
                }
                () = due(&mut pace), if ready.is_some() && out.len() < self.most_in_flight() => {
                    out.extend(ready.take().map(|shipment| ship(producer.clone(), shipment)));
                }
                record = reader.next(), if reading && ready.is_none() => match record {
                    Ok(Some(record)) => {
                        self.bar.inc(1);
                        ready = self.consider(record);
                        planned += u64::from(ready.is_some());
                        if self.args.dry_run {
                            ready.take().into_iter().for_each(|shipment| self.would_send(&shipment));
                        }
                        reading = self.args.limit.is_none_or(|limit| planned < limit);
                    }
                    Ok(None) => reading = false,
                    Err(error) => {
                        reading = false;
                        failure.get_or_insert(error);
                    }
                },
            }
        }
        self.finish(interrupted, failure)
    }

    /// The first goes alone: where replays cannot be noted, that is all that goes again in the next run.
    const fn most_in_flight(&self) -> usize {
        if self.summary.letters == 0 { 1 } else { MAX_IN_FLIGHT }
    }

    /// What is to be written for a record, if anything.
    fn consider(&mut self, record: Record) -> Option<Shipment> {
        let mut letter = Letter::of(record);
        if !self.args.filter.takes(&letter, self.now) {
            return None;
        }
        let identity = letter.said.as_ref().ok().map(Identity::of);
        if !self.args.again && identity.is_some_and(|identity| self.replayed.contains(&identity)) {
            self.summary.before += 1;
            return None;
        }
        match self.complete(&mut letter).and_then(|()| self.shipment(&letter)) {
            Ok(shipment) => {
                // A letter that a crash has doubled goes once.
                self.replayed.insert(shipment.identity);
                Some(shipment)
            }
            Err(why) => {
                self.leave(&letter.record, &why);
                None
            }
        }
    }

    /// Reads the record that a letter is about where the letter lacks what is needed of it.
    fn complete(&mut self, letter: &mut Letter) -> Result<(), String> {
        let Ok(said) = &mut letter.said else { return Ok(()) };
        if needs_source(said, &self.place.options(self.to.unwrap_or(&said.topic))) {
            let source = self.sources.fetch(self.place, &letter.record)?;
            (letter.record.key, letter.record.value) = (source.key, source.value);
            letter.record.headers = source.headers;
            said.omitted = None;
        }
        Ok(())
    }

    fn shipment(&self, letter: &Letter) -> Result<Shipment, String> {
        let said = letter.said.as_ref().map_err(|problem| format!("no dead letter of a worker: {problem}"))?;
        let topic = self.to.unwrap_or(&said.topic);
        self.check_target(topic)?;
        let (came_from, read_as) = (self.place.options(&said.topic), self.place.options(topic));
        let (came_from, read_as, max_replays) = (&came_from, &read_as, self.args.max_replays);
        let outgoing = plan(letter, Target { topic, came_from, read_as, max_replays })?;
        Ok(Shipment {
            identity: Identity::of(said),
            source: format!("{}[{}]@{}", said.topic, said.partition, said.offset),
            keys: said.keys.len() as u64,
            note: replayed::note(said, topic),
            noted_in: replayed::topic_of(&letter.record.topic),
            outgoing,
        })
    }

    fn check_target(&self, topic: &str) -> Result<(), String> {
        if self.place.topics.iter().any(|own| own == topic || replayed::topic_of(own) == topic) {
            return Err(format!("{} is itself one of the dead-letter topics", printable(topic)));
        }
        if !self.existing.contains(topic) {
            return Err(format!("topic {} does not exist, or this client may not see it", printable(topic)));
        }
        Ok(())
    }

    fn leave(&mut self, record: &Record, why: &str) {
        self.summary.left += 1;
        let Record { topic, partition, offset, .. } = record;
        if self.summary.left <= MAX_LEFT_TOLD {
            self.bar.suspend(|| println!("left {topic}[{partition}]@{offset}: {why}"));
        }
    }

    fn would_send(&mut self, shipment: &Shipment) {
        let Shipment { outgoing: Outgoing { record, is_whole }, source, keys, .. } = shipment;
        let part = || String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
        let what = if *is_whole { "the whole record".into() } else { part() };
        let line = printable(&format!("{source} ({keys} failed keys) would go to {} as {what}", record.topic));
        self.bar.suspend(|| println!("{line}"));
        self.sent((*keys, *is_whole));
    }

    fn sent(&mut self, (keys, is_whole): (u64, bool)) {
        self.summary.letters += 1;
        self.summary.keys += keys;
        self.summary.whole += u64::from(is_whole);
    }

    fn finish(self, interrupted: bool, failure: Option<anyhow::Error>) -> anyhow::Result<Exit> {
        self.bar.finish_and_clear();
        let Summary { letters, keys, whole, before, left } = self.summary;
        let would = if self.args.dry_run { "would replay" } else { "replayed" };
        println!("{would} {letters} dead letters with {keys} failed keys ({whole} as whole records)");
        println!("{before} were replayed before, {left} are left");
        if interrupted {
            println!("interrupted: the next run goes on where this one ended");
        }
        let stopped = "stopped: what was acknowledged is noted, the rest goes in the next run";
        failure.map_or(Ok(Exit::Done), |failure| Err(failure.context(stopped)))
    }
}

/// Writes the record, and notes it once it is acknowledged.
async fn ship(producer: FutureProducer, shipment: Shipment) -> anyhow::Result<(u64, bool)> {
    let Shipment { outgoing: Outgoing { record, is_whole }, keys, identity, note, noted_in, .. } = shipment;
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, header| {
        headers.insert(Header { key: &header.name, value: header.value.as_deref() })
    });
    let topic = Arc::clone(&record.topic);
    let mut replay = FutureRecord::<[u8], [u8]>::to(&topic).headers(headers);
    (replay.key, replay.payload) = (record.key.as_deref(), record.value.as_deref());
    write(&producer, replay).await?;
    let name = identity.to_string();
    write(&producer, FutureRecord::to(&noted_in).key(name.as_bytes()).payload(note.as_bytes())).await?;
    Ok((keys, is_whole))
}

async fn write(producer: &FutureProducer, record: FutureRecord<'_, [u8], [u8]>) -> anyhow::Result<()> {
    let topic = record.topic.to_owned();
    let report = producer.send_result(record).map_err(|(error, _)| error);
    let told = match report {
        Ok(report) => {
            report.await.map_err(|_| anyhow!("the producer has ended"))?.map_err(|(error, _)| error).map(drop)
        }
        Err(error) => Err(error),
    };
    told.map_err(|error| {
        let denied = error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed);
        let remedy = if denied { ": grant this client WRITE on it" } else { "" };
        anyhow!(error).context(format!("Kafka did not take a record for topic {topic}{remedy}"))
    })
}

fn pace(rate: u32) -> Interval {
    let mut pace = interval(Duration::from_secs(1) / rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

async fn due(pace: &mut Option<Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}

/// Drawn on standard error, and only where that is a terminal.
fn progress(records: u64) -> ProgressBar {
    let bar = ProgressBar::new(records);
    let template = "{wide_bar} {human_pos}/{human_len} dead letters read, {per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
