//! `check`: looks at a whole set-up before it is deployed, and says in plain words what is wrong and what to do.
//!
//! `settings` looks at the configuration, `kafka` and `oms` ask both sides. What an answer means is said by `brokers`,
//! `topics`, `rights`, `points`, `answers`, `routes` and `tasks`, which are pure; `report` writes it all down. No group is joined,
//! no offset committed, no record and no event left behind, and a wrong key costs one failed signature.

mod answers;
mod brokers;
mod deadline;
mod finding;
mod kafka;
mod oms;
mod points;
mod questions;
mod report;
mod rights;
mod routes;
mod settings;
mod tasks;
mod topics;

use std::io::{Write as _, stdout};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use clap::Args;

use super::config_file::ConfigFile;
use super::exit::Exit;
use crate::config::Config;
use deadline::Deadline;
use finding::Finding;
use report::Sums;

/// What a step may take over the whole bound, to end by itself.
const GRACE: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "Examples:
  oms-sync-worker check --config worker.yaml
  oms-sync-worker check --config worker.yaml --format json | jq '.checks[] | select(.state == \"failed\")'

Exit code 0: ready to run, perhaps with warnings; 1: something failed. Nothing is changed: no group is joined, no offset
committed, no record and no event written, and a wrong key costs one failed signature. Secrets are never printed.";

/// How the result is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    /// A line a check, and what to do below it
    Table,
    /// One JSON document: passed, sums, checks
    Json,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Longest time for all of it; what is not looked at by then is told
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Looks at everything and prints the result to standard output.
///
/// # Errors
/// Standard output is closed, or a thread cannot be started.
pub fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let findings = look(args)?;
    let text = match args.format {
        Format::Table => report::table(&findings),
        Format::Json => report::json(&findings),
    };
    write!(stdout(), "{text}")?;
    Ok(if Sums::of(&findings).failed == 0 { Exit::Done } else { Exit::Refused })
}

fn look(args: &CheckArgs) -> anyhow::Result<Vec<Finding>> {
    let loaded = match args.file.load() {
        Ok(loaded) => loaded,
        Err(problems) => {
            let mut findings = settings::problems(&problems);
            let rest = ["Kafka", "OMS"].map(|check| Finding::not_tried(check, "the configuration has problems"));
            findings.extend(rest);
            return Ok(findings);
        }
    };
    let deadline = Deadline::after(args.timeout);
    let mut findings = vec![settings::origins(&loaded.effective)];
    findings.extend(settings::warnings(&loaded.warnings));
    findings.extend(settings::assess(&loaded.config, open_files()));
    let config = Arc::new(loaded.config);
    let kafka = on_its_own_thread(Arc::clone(&config), deadline)?;
    let oms = on_runtime(&config, deadline)?;
    let kafka = kafka.recv_timeout(deadline.left() + GRACE).unwrap_or_else(|_| vec![overdue("Kafka")]);
    findings.extend(kafka);
    findings.extend(oms);
    Ok(findings)
}

/// Kafka's client blocks: what does not end in time is left to the end of the process.
fn on_its_own_thread(config: Arc<Config>, deadline: Deadline) -> std::io::Result<mpsc::Receiver<Vec<Finding>>> {
    let (tell, told) = mpsc::channel();
    let look = move || tell.send(kafka::look(&config, deadline)).ok(); // nobody may listen any more
    std::thread::Builder::new().name("check-kafka".to_owned()).spawn(look)?;
    Ok(told)
}

fn on_runtime(config: &Config, deadline: Deadline) -> std::io::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let look = async { tokio::time::timeout(deadline.left() + GRACE, oms::look(config, deadline)).await };
    let findings = runtime.block_on(look).unwrap_or_else(|_| vec![overdue("OMS")]);
    runtime.shutdown_background();
    Ok(findings)
}

fn overdue(check: &str) -> Finding {
    Finding::failed(check, "not done within --timeout", "allow more time with --timeout, or see what is slow")
}

/// How many files this process may have open.
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}
