//! The floor: the least that a program on this project's crates and allocator spends on the same job. It consumes,
//! parses, recodes, groups, signs and sends, and commits once at the end; no ledger, no retries, no metrics: what fails
//! ends it. The yardstick of `benches/compare`, never a worker to run.
//!
//! `all` is the whole job; every other part is timed alone. Each prints its cost as a line of JSON.

mod cost;
#[path = "../notification.rs"]
mod notification;
mod send;
mod sign;
mod source;
mod work;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What to do; addresses come from the environment that the peers of `benches/compare` read too.
#[derive(Parser)]
struct Args {
    /// The part to time; without one nothing is done.
    #[arg(value_enum)]
    part: Option<Part>,
    /// Kafka's bootstrap servers.
    #[arg(long, env = "OMS_SYNC__KAFKA__BROKERS", default_value = "localhost:9092")]
    brokers: String,
    /// The topic to read, from its beginning.
    #[arg(long, env = "OMS_SYNC__KAFKA__TOPICS", default_value = "object-changes")]
    topic: String,
    /// Consumer group; a new one for each run.
    #[arg(long, env = "OMS_SYNC__KAFKA__GROUP_ID", default_value = "floor")]
    group_id: String,
    /// Where OMS or its simulator listens.
    #[arg(long, env = "OMS_SYNC__OMS__ENDPOINT", default_value = "http://127.0.0.1:8080")]
    endpoint: String,
    /// Trust anchor of an endpoint with TLS, as PEM.
    #[arg(long, env = "OMS_SYNC__OMS__CA_FILE")]
    ca_file: Option<PathBuf>,
    #[arg(long, env = "OMS_SYNC__OMS__PROJECT_ID", default_value = "p")]
    project_id: String,
    /// JSON list of routes, each with `task` and `bucket`.
    #[arg(long, env = "OMS_SYNC__ROUTES", default_value = "[]")]
    routes: String,
    #[arg(long, env = "HUAWEICLOUD_SDK_AK", default_value = "AK")]
    access_key: String,
    #[arg(long, env = "HUAWEICLOUD_SDK_SK", default_value = "SK", hide_env_values = true)]
    secret_key: String,
    /// Requests at once.
    #[arg(long, env = "PEER_IN_FLIGHT", default_value_t = 64)]
    in_flight: usize,
    /// Records to read; the job is done then.
    #[arg(long, env = "FLOOR_RECORDS", default_value_t = 100_000)]
    records: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// The whole job.
    All,
    /// Reading the topic.
    Consume,
    /// Parsing records that are in memory.
    Parse,
    /// Decoding, encoding and routing parsed keys, and grouping them to bodies.
    Group,
    /// Signing bodies.
    Sign,
    /// Sending signed bodies.
    Send,
}

/// The task that a bucket belongs to.
#[derive(Deserialize)]
struct Route {
    task: String,
    bucket: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let Some(part) = args.part else {
        println!(
            "the floor is a part of benches/compare; alone: cargo run --release --features floor --bin floor -- --help"
        );
        return Ok(());
    };
    let routes: Vec<Route> =
        serde_json::from_str(&args.routes).context("--routes is no JSON list of task and bucket")?;
    match part {
        Part::All => send::all(&args, &routes)?,
        Part::Consume => source::consume(&args)?,
        Part::Parse => work::parse_alone(&args)?,
        Part::Group => work::group_alone(&args, &routes)?,
        Part::Sign => sign::alone(&args, &routes)?,
        Part::Send => send::alone(&args, &routes)?,
    }
    .print(part);
    Ok(())
}
