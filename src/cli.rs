//! The command line: which command, with which arguments, and what the process says with its exit code.
//! It never ends the process; `main` does.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::sync::OnceLock;

use clap::{Parser, Subcommand};

use crate::commands::{self, exit::Exit};
use crate::config::Problems;
use crate::io::admin::AdminError;
use crate::metrics::REVISION;

/// Reads object-change records from Kafka and submits them to Huawei Cloud OMS as synchronization events.
#[derive(Debug, Parser)]
#[command(name = "oms-sync-worker", version = version(), max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order of `--help`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the worker until a signal ends it
    #[command(after_help = "Example: oms-sync-worker run --config worker.yaml")]
    Run(commands::run::RunArgs),
    /// See the whole job done with nothing installed: embedded Kafka, embedded OMS with faults, and every key accounted for
    Demo(commands::demo::DemoArgs),
    /// Look at a whole set-up before it is deployed: what is wrong with it, and what to do
    Check(commands::check::CheckArgs),
    /// Serve as OMS would: signature, limits, tasks, throttling and faults, with a ledger of every accepted key
    Simulate(commands::simulate::SimulateArgs),
    /// Write object-change records to a topic and print what was written as JSON
    Generate(commands::generate::GenerateArgs),
    /// Show what the worker would do with a record: one JSON line an object change, or an account of each step
    Decode(commands::decode::DecodeArgs),
    /// List dead letters, or send their failed keys again
    DeadLetters(commands::dead_letters::DeadLettersArgs),
    /// Print the effective configuration, secrets redacted, each value with where it came from
    #[command(after_help = "Example: oms-sync-worker config --config worker.yaml")]
    Config(commands::config::ConfigArgs),
    /// Ask a running worker whether it is alive; for container health checks
    #[command(after_help = "Example: oms-sync-worker health --url http://127.0.0.1:9464/livez")]
    Health(commands::health::HealthArgs),
}

/// Runs the command that the arguments name. Failures are told on standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(told) => {
            let exit = if told.use_stderr() { Exit::Refused } else { Exit::Done };
            // Nowhere is left to tell that this cannot be told.
            told.print().ok();
            return exit;
        }
    };
    perform(cli.command).unwrap_or_else(|failure| tell(&failure))
}

fn perform(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run(args) => commands::run::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Simulate(args) => block_on(commands::simulate::run(args)).map(|()| Exit::Done),
        Command::Generate(args) => block_on(commands::generate::run(args)).map(|()| Exit::Done),
        Command::Decode(args) => commands::decode::run(&args).map(|()| Exit::Done),
        Command::DeadLetters(args) => commands::dead_letters::run(args),
        Command::Config(args) => commands::config::run(&args),
        Command::Health(args) => commands::health::run(&args),
    }
}

fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

fn tell(failure: &anyhow::Error) -> Exit {
    let io = failure.downcast_ref::<std::io::Error>();
    if io.is_some_and(|why| why.kind() == ErrorKind::BrokenPipe) {
        return Exit::Done; // Whoever read the output has seen enough.
    }
    eprintln!("{failure:#}");
    let is_refused =
        failure.is::<Problems>() || failure.is::<AdminError>() || failure.is::<commands::dead_letters::Wrong>();
    if is_refused { Exit::Refused } else { Exit::Fatal }
}

fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| format!("{} (revision {REVISION})", env!("CARGO_PKG_VERSION")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(args: &[&str]) -> Exit {
        run(args.iter().map(OsString::from))
    }

    #[test]
    fn the_commands_are_well_formed_and_show_an_example() {
        use clap::CommandFactory;
        let mut cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands_mut() {
            assert!(command.render_long_help().to_string().contains("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn bad_arguments_end_with_1_and_help_with_0() {
        assert_eq!(exit(&["oms-sync-worker", "--help"]), Exit::Done);
        assert_eq!(exit(&["oms-sync-worker", "--version"]), Exit::Done);
        assert_eq!(exit(&["oms-sync-worker", "no-such-command"]), Exit::Refused);
        assert_eq!(exit(&["oms-sync-worker"]), Exit::Refused);
    }
}
