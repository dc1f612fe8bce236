//! `simulate`: the OMS simulator as a server of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::oms::credentials::Credentials;
use crate::simulator::{Faults, Ledger, Rule, SimulatedTask, Simulator, SimulatorConfig};

const EXAMPLES: &str = r#"Examples:
  oms-sync-worker simulate --project p1 --task 31e9b7e6:landing --access-key AK --secret-key SK --latency 20ms
  oms-sync-worker simulate --project p1 --task t1 --fault status=503,ratio=0.1 --fault 'keys=*.bad,status=400'
  curl http://127.0.0.1:8080/_simulator/ledger
  curl http://127.0.0.1:8080/_simulator/totals
  curl http://127.0.0.1:8080/_simulator/faults -d '{"rules":[{"failure":"reset_after","count":3}],"latency":"50ms"}'

A fault is name=value pairs separated by commas, or JSON. The first that applies to a request decides.
  which requests: task=ID, keys=PATTERN (events that hold such a key; * is any text), all_requests=true (queries too),
                  ratio=0.1, count=5, for=10s
  what happens:   status=CODE with code=, message=, body= and (in JSON) headers, or
                  failure=reset_before|reset_during|reset_after|hang|hang_after|drip
POST /_simulator/faults takes {"latency","jitter","requests_per_second","burst","retry_after","rules":[FAULT...],
"tasks":[{"id","bucket","status":"SYNCHRONIZING|STOPPED","object_overwrite_mode"}...],"remove_tasks":[ID...],
"access_keys":[{"access_key","secret_key"}...],"clock_ahead_seconds"}; what it names replaces what was."#;

/// Serve as OMS would: signature, limits, tasks, throttling and faults, with a ledger of every accepted key.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Project that the tasks belong to.
    #[arg(long, value_name = "ID")]
    pub project: String,
    /// A task, with its source bucket if there is one. May be repeated.
    #[arg(long = "task", value_name = "ID[:BUCKET]", required = true)]
    pub tasks: Vec<SimulatedTask>,
    /// Access key that requests must be signed with; without it no signature is checked.
    #[arg(long, value_name = "AK", requires = "secret_key")]
    pub access_key: Option<String>,
    /// Its secret key.
    #[arg(long, value_name = "SK", requires = "access_key")]
    pub secret_key: Option<String>,
    /// Every answer waits so long, such as 20ms.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub latency: Option<Duration>,
    /// Up to so much more, evenly spread.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub jitter: Option<Duration>,
    /// A fault (see below). May be repeated.
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Rule>,
    /// Quota; what exceeds it gets 429 APIGW.0308.
    #[arg(long, value_name = "N")]
    pub requests_per_second: Option<f64>,
    /// Requests that may come at once before the quota holds [default: a second's quota].
    #[arg(long, value_name = "N", requires = "requests_per_second")]
    pub burst: Option<f64>,
    /// Retry-After of those 429, whole seconds.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub retry_after: Option<Duration>,
    /// Write the ledger to this file, as JSON, when ended with SIGTERM or SIGINT.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Write a line for each accepted event to this file, as JSON, before it is answered.
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Seed of ratios and jitter.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    // Before the address is printed, so that a signal that follows it is not missed.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let ledger_file = args.ledger.clone();
    let simulator = Simulator::start(config(args)?)?;
    writeln!(std::io::stdout(), "OMS simulator listening on http://{}", simulator.addr())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let ledger = simulator.shutdown();
    ledger_file.map_or(Ok(()), |file| write(&ledger, &file))
}

fn config(args: SimulateArgs) -> anyhow::Result<SimulatorConfig> {
    let credentials = match (args.access_key, args.secret_key) {
        (Some(access_key), Some(secret_key)) => Some(Credentials::new(&access_key, &secret_key, None)?),
        _ => None,
    };
    let faults = Faults {
        latency: args.latency,
        jitter: args.jitter,
        requests_per_second: args.requests_per_second,
        burst: args.burst,
        retry_after: args.retry_after,
        rules: Some(args.faults),
        ..Faults::default()
    };
    Ok(SimulatorConfig {
        listen: args.listen,
        project_id: args.project,
        tasks: args.tasks,
        credentials,
        faults,
        seed: args.seed,
        journal: args.journal,
    })
}

fn write(ledger: &Ledger, file: &Path) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
        serde_json::to_writer(&mut out, ledger)?;
        Ok(out.flush()?)
    };
    write().with_context(|| format!("cannot write the ledger to {}: choose another file with --ledger", file.display()))
}
