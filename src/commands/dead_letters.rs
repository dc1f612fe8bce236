//! `dead-letters`: what OMS or the worker refused, listed and sent again.
//!
//! Both commands read the dead-letter topics from the beginning and never touch a group's offsets. `letter` reads the
//! headers, `filter` says which are meant, `plan` what is written for one, `identity` which is which, `rows` how they look:
//! all pure. `place`, `reader`, `replayed` and `source` speak to Kafka.

mod filter;
mod identity;
mod letter;
mod list;
mod place;
mod plan;
mod reader;
mod replay;
mod replayed;
mod rows;
mod source;

use clap::{Args, Subcommand};

pub use list::ListArgs;
pub use replay::{ReplayArgs, Wrong};

use super::exit::Exit;

/// Lists dead letters, or sends their failed keys again.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  oms-sync-worker dead-letters list --config worker.yaml\n  \
                        oms-sync-worker dead-letters replay --config worker.yaml --dry-run")]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Show dead letters: counts for each reason, then a line each
    List(ListArgs),
    /// Send the failed keys of dead letters again
    Replay(ReplayArgs),
}

/// Runs the command that the arguments name.
pub fn run(args: DeadLettersArgs) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command {
        Command::List(args) => runtime.block_on(list::run(&args)),
        Command::Replay(args) => runtime.block_on(replay::run(&args)),
    }
}
