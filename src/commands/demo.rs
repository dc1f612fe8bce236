//! `demo`: the whole job with nothing installed. Kafka and OMS are embedded, the worker is the real one, and at the end
//! every key is accounted for from what Kafka and OMS hold, never from what the worker says of itself.

mod account;
mod course;
mod evidence;
mod plan;
mod progress;
mod script;
mod subject;
mod table;
mod writer;

use std::collections::HashMap;
use std::io::{Write as _, stdout};
use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use percent_encoding::percent_decode_str;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::exit::Exit;
use crate::commands::generate::bucket_name;
use crate::io::signal::Endings;
use crate::oms::credentials::Credentials;
use crate::simulator::{Accepted, Faults, Ledger, SimulatedTask, Simulator, SimulatorConfig, TaskStatus};
use crate::worker::Ended;

use account::{Account, Found, TaskKey};
use course::Course;
use subject::Subject;
use table::Table;

const TOPIC: &str = "object-changes";
const DEAD_LETTERS: &str = "object-changes.dlq";
const PARTITIONS: i32 = 6;
const GROUP: &str = "oms-sync-demo";
const PROJECT: &str = "demo";
/// Keys of the embedded simulator and of nothing else.
const ACCESS_KEY: &str = "DEMOACCESSKEY";
const SECRET_KEY: &str = "demo-secret-key";

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  oms-sync-worker demo\n  \
                        oms-sync-worker demo --records 50000 --seed 7 --keep-running --listen 127.0.0.1:9464\n\n\
                        Exit code 0: every key is accounted for. 1: a key was lost or wrongly dead-lettered.")]
pub struct DemoArgs {
    /// How many records to write.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    records: u64,
    /// Seed: the same one writes the same records.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Go on after the reconciliation, with some records a second, until Ctrl-C: to look at /metrics and /status.
    #[arg(long)]
    keep_running: bool,
    /// Where the worker's admin server listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Runs the demo and prints the reconciliation.
pub fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    let kafka = embedded_kafka()?;
    let brokers = kafka.bootstrap_servers();
    let simulator = embedded_oms(args.seed)?;
    let subject = Subject::start(&brokers, simulator.addr(), args.listen)?;
    let mut course = Course::new(args, &brokers, &simulator)?;
    course.say(&format!("embedded Kafka at {brokers}, embedded OMS at http://{}", simulator.addr()));
    course.say(&format!("the worker's admin server: http://{0}/metrics http://{0}/status", subject.admin));
    course.say("the worker joins its consumer group; the embedded Kafka takes 3 s for that");
    let mut sound = course.run(&subject)?;
    if args.keep_running {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        sound &= runtime.block_on(async {
            // Before the table is printed, so that a signal that follows it is not missed.
            let mut endings = Endings::new().context("signals cannot be taken over")?;
            let accounted = reconcile(&simulator, &course)?;
            course.say(&format!(
                "going on until Ctrl-C; look at http://{0}/metrics and http://{0}/status",
                subject.admin
            ));
            course.go_on(&subject, endings.next()).await.map(|()| accounted)
        })?;
    }
    sound &= subject.drain()? == Ended::Drained;
    if !args.keep_running {
        sound &= reconcile(&simulator, &course)?;
    }
    Ok(if sound { Exit::Done } else { Exit::Refused })
}

/// Prints the table; whether every key is accounted for.
fn reconcile(simulator: &Simulator, course: &Course<'_>) -> anyhow::Result<bool> {
    let ledger = simulator.ledger();
    let account = Account::new(Found {
        written: course.written(),
        accepted: &accepted(&ledger),
        letters: course.evidence().dead_letters(DEAD_LETTERS, PARTITIONS)?,
        commit_points: &course.evidence().commit_points(TOPIC, PARTITIONS)?,
    });
    let verdict = if account.is_sound() {
        "Nothing was lost: every key is accounted for."
    } else {
        "Not every key is accounted for: please report this, with the seed and the number of records."
    };
    let table = Table { account: &account, totals: &ledger.totals };
    writeln!(stdout(), "{table}{verdict}")?;
    Ok(account.is_sound())
}

/// The accepted keys as OMS would read them: form-decoded.
fn accepted(ledger: &Ledger) -> HashMap<TaskKey, Accepted> {
    let raw = |key: &str| percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned();
    let of_task = |task: &str| {
        let task = task.to_owned();
        ledger.keys(&task).map(|(key, accepted)| ((task.clone(), raw(key)), accepted)).collect::<Vec<_>>()
    };
    ledger.tasks().flat_map(of_task).collect()
}

fn embedded_kafka() -> anyhow::Result<MockCluster<'static, DefaultProducerContext>> {
    let start = || {
        let kafka = MockCluster::new(1)?;
        for topic in [TOPIC, DEAD_LETTERS] {
            kafka.create_topic(topic, PARTITIONS, 1)?;
        }
        Ok::<_, rdkafka::error::KafkaError>(kafka)
    };
    start().context("the embedded Kafka does not start; it needs free ports on 127.0.0.1")
}

fn embedded_oms(seed: u64) -> anyhow::Result<Simulator> {
    let bucket = |number: u32| bucket_name(number.into());
    let task = |bucket: String| SimulatedTask {
        id: subject::task_of(&bucket),
        bucket: Some(bucket),
        status: TaskStatus::Synchronizing,
        object_overwrite_mode: None,
    };
    Ok(Simulator::start(SimulatorConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        project_id: PROJECT.to_owned(),
        tasks: (0..plan::BUCKETS).map(bucket).map(task).collect(),
        credentials: Some(Credentials::new(ACCESS_KEY, SECRET_KEY, None)?),
        faults: Faults::default(),
        seed,
        journal: None,
    })?)
}
