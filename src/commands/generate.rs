//! `generate`: writes made-up object-change records to a topic. The same seed makes the same records, so that runs
//! can be compared; nothing in a record comes from the clock.

mod records;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

pub use records::{GeneratedFormat, GeneratedRecord, Generator, GeneratorConfig, bucket_name};
pub use writer::{WriteError, WriteSettings, Written, write};

/// Writes object-change records to a topic and prints what it wrote as JSON.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:\n  oms-sync-worker generate --brokers localhost:9092 --topic object-changes \\\n    \
                        --format aws-s3 --records 100000 --buckets 8 --rate 5000 --seed 1")]
pub struct GenerateArgs {
    /// Kafka's bootstrap servers, comma-separated.
    #[arg(long, value_name = "B")]
    brokers: String,
    /// Topic to write to; it should exist.
    #[arg(long, value_name = "T")]
    topic: String,
    /// Format of the records.
    #[arg(long, value_name = "F", value_enum, default_value_t = GeneratedFormat::AwsS3)]
    format: GeneratedFormat,
    /// How many records to write.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    records: u64,
    /// How many different objects there are in all buckets together; first each is written once, then some at random
    /// [default: as many as records]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,
    /// How many buckets they are spread over: bucket-0, bucket-1 and so on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    buckets: u32,
    /// Records a second [default: as fast as Kafka takes them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Seed: the same one makes the same records.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What is printed at the end.
#[derive(Serialize)]
struct Summary<'a> {
    records: u64,
    distinct_keys: u64,
    bytes: u64,
    seconds: f64,
    buckets: &'a BTreeMap<String, u64>,
}

/// Writes the records and prints the summary to standard output. Fails if Kafka did not confirm every record.
pub async fn run(args: GenerateArgs) -> anyhow::Result<()> {
    let written = tokio::task::spawn_blocking(move || write_all(&args)).await.context("generate was interrupted")??;
    let summary = Summary {
        records: written.records,
        distinct_keys: written.distinct_keys,
        bytes: written.bytes,
        seconds: written.elapsed.as_secs_f64(),
        buckets: &written.buckets,
    };
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}

fn write_all(args: &GenerateArgs) -> anyhow::Result<Written> {
    let config = GeneratorConfig {
        format: args.format,
        records: args.records,
        keys: args.keys.unwrap_or(args.records),
        buckets: args.buckets,
        seed: args.seed,
    };
    let settings = WriteSettings {
        brokers: args.brokers.clone(),
        topic: args.topic.clone(),
        rate: args.rate,
        delivery_timeout: Duration::from_secs(30),
    };
    let bar = progress(args.records);
    let written = write(&settings, Generator::new(config), |count| bar.set_position(count));
    bar.finish_and_clear();
    written.with_context(|| format!("cannot write to topic {} at {}", args.topic, args.brokers))
}

/// Drawn on standard error, and only where that is a terminal.
fn progress(records: u64) -> ProgressBar {
    let bar = ProgressBar::new(records);
    let template = "{wide_bar} {human_pos}/{human_len} records, {per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
