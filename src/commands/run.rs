//! `run`: the worker, until a signal ends it.

use anyhow::Context as _;
use clap::Args;
use tracing::{error, info, warn};

use super::config_file::ConfigFile;
use super::exit::Exit;
use crate::io::signal::Endings;
use crate::metrics::REVISION;
use crate::telemetry;
use crate::worker::{Ended, Worker};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigFile,
}

/// Runs the worker.
pub fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let loaded = args.config.load()?;
    telemetry::init(&loaded.config.log)?;
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    info!(version = env!("CARGO_PKG_VERSION"), revision = REVISION, "{}", loaded.effective.log_line());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut endings = Endings::new().context("signals cannot be taken over")?;
        let worker = match Worker::start(&loaded.config) {
            Ok(worker) => worker,
            Err(refused) => {
                error!("{refused}");
                return Ok(Exit::Refused);
            }
        };
        info!(admin = %worker.admin_addr(), "started");
        Ok(match worker.run(async || endings.next().await).await? {
            Ended::Drained => Exit::Done,
            Ended::DeadlinePassed => Exit::DrainDeadline,
        })
    });
    // Blocking look-ups may still wait for brokers; nobody waits for them.
    runtime.shutdown_background();
    ended
}
