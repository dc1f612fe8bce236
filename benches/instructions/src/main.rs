//! Does one thing a number of times, for `run.sh` to count instructions by: `instructions NAME TIMES`; without a name it
//! prints all names.
//!
//! The pure parts are compiled in here by themselves, from the worker's own sources, so that neither librdkafka nor an
//! HTTP client has to be built. Two numbers of times, and what is done before does not count. Never part of the worker.

mod work;

#[path = "../../../src"]
mod worker {
    #![allow(dead_code, reason = "only what is counted is used")]
    pub mod formats;
    pub mod pipeline;
    pub mod oms {
        pub mod sign;
        pub mod credentials {
            mod identity;
            pub use identity::Credentials;
        }
    }
}
pub use worker::{formats, oms, pipeline};

use std::io::Write as _;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = work::all();
    match arguments.as_slice() {
        [] => {
            for (name, _) in all {
                writeln!(std::io::stdout(), "{name}")?;
            }
            Ok(())
        }
        [name, times] => {
            let found = all.into_iter().find(|(known, _)| known == name);
            let Some((_, work)) = found else { anyhow::bail!("no such work: {name}") };
            work(times.parse()?)
        }
        _ => anyhow::bail!("give a name and a number of times, or nothing"),
    }
}
