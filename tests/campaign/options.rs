//! What a campaign is told on its command line.

use std::path::PathBuf;

use clap::Parser;

/// Breaks the worker, Kafka and OMS at random and proves that nothing is lost. Needs Java 17, and Maven the first time.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "campaign",
    after_help = "Example:\n  cargo test --release --test campaign -- --minutes 60 --seed 1 --replicas 3"
)]
pub(crate) struct Options {
    /// How long faults are injected; without this and --one-by-one nothing is done.
    #[arg(long, value_name = "N")]
    pub(crate) minutes: Option<f64>,
    /// The same seed draws the same records and faults.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Workers. The first is never ended, so that what it uses can be compared over time.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=16))]
    pub(crate) replicas: u32,
    /// Records a second.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// Only these kinds of fault, separated by commas; --kinds list shows all.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) kinds: Vec<String>,
    /// Instead of a campaign: each kind alone, so many times, and how long recovery takes.
    #[arg(long, value_name = "N")]
    pub(crate) one_by_one: Option<u32>,
    /// Where data, logs and the report go; what an earlier campaign left there is removed.
    #[arg(long, value_name = "FOLDER", default_value = "target/campaign")]
    pub(crate) folder: PathBuf,
    /// Folder with Kafka's jars in libs; fetched into target/kafka with .ci/images/kafka-native.sh if it is not given.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) kafka: Option<PathBuf>,
    /// First of a hundred ports on loopback.
    #[arg(long, value_name = "PORT", default_value_t = 21_000, value_parser = clap::value_parser!(u16).range(1_024..=32_000))]
    pub(crate) port: u16,
}
