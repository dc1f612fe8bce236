//! `config`: prints the configuration in effect, or its schema. Secrets are never printed.

use std::io::{Write, stdout};

use clap::Args;

use super::config_file::ConfigFile;
use super::exit::Exit;
use crate::config;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Print the JSON schema of the configuration instead; reads no configuration
    #[arg(long, conflicts_with = "config")]
    schema: bool,
}

/// Prints to standard output; warnings go to standard error.
///
/// # Errors
/// The configuration has problems, or standard output is closed.
pub fn run(args: &ConfigArgs) -> anyhow::Result<Exit> {
    if args.schema {
        writeln!(stdout(), "{:#}", config::schema())?;
        return Ok(Exit::Done);
    }
    let loaded = args.file.load()?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    write!(stdout(), "{}", loaded.effective)?;
    Ok(Exit::Done)
}
