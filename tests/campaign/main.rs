//! The fault campaign: real brokers, the OMS simulator and workers as processes, broken at random, and observers that
//! prove that nothing is lost and nothing dead-lettered that OMS did not refuse. See docs/reliability.md.
//!
//! Without `--minutes` or `--one-by-one` it says what it is and does nothing, so that `cargo test` is not held up.

#![expect(clippy::disallowed_methods, reason = "a program of its own, with clocks")]

mod campaign;
mod clock;
mod faults;
mod fleet;
mod http;
mod kafka;
mod network;
mod oms;
mod options;
mod oracles;
mod processes;
mod producer;
mod records;
mod report;
mod schedule;
mod story;
mod watch;
mod world;

use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser as _;

use campaign::{Campaign, say};
use options::Options;

fn main() -> anyhow::Result<ExitCode> {
    let asked = ["--minutes", "--one-by-one", "--kinds", "--help"];
    if !std::env::args().any(|argument| asked.iter().any(|name| argument.starts_with(name))) {
        say(
            "skipped; cargo test --release --test campaign -- --minutes 60 --seed 1 --replicas 3 breaks things for an hour",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse();
    let mut kinds = faults::kinds();
    if options.kinds == ["list"] {
        for kind in kinds {
            println!("{}", kind.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(options.minutes.is_some() || options.one_by_one.is_some(), "name --minutes or --one-by-one");
    for name in &options.kinds {
        ensure!(kinds.iter().any(|kind| kind.name == name), "there is no kind {name:?}: see --kinds list");
    }
    kinds.retain(|kind| options.kinds.is_empty() || options.kinds.iter().any(|name| name == kind.name));
    let report = options.folder.join("report.md");
    let campaign = Campaign::start(options.clone(), kinds)?;
    match options.one_by_one {
        Some(times) => campaign.one_by_one(times)?,
        None => campaign.at_random()?,
    }
    let well = campaign.finish()?;
    println!("{}", std::fs::read_to_string(&report)?);
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
