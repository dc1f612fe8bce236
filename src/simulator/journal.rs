//! A file with a line for every accepted event, written before the answer goes out: what a checker reads while the
//! simulator runs. Never read by the simulator itself.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

/// Writes `{"at_ms":1768469401007,"task":"31e9","keys":["a%20b"]}` for each accepted event: when its request arrived,
/// milliseconds since the Unix epoch, and its keys as they came. A file that cannot be written any more is told once.
pub(super) struct Journal {
    file: File,
    is_broken: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    at_ms: u64,
    task: &'a str,
    keys: &'a [&'a str],
}

impl Journal {
    /// A new file in the place of one that is there.
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::create(path)?, is_broken: false })
    }

    pub(super) fn write(&mut self, at_ms: u64, task: &str, keys: &[&str]) {
        if self.is_broken {
            return;
        }
        let written = serde_json::to_vec(&Line { at_ms, task, keys }).map_err(std::io::Error::from);
        let written = written.and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        if let Err(error) = written {
            self.is_broken = true;
            tracing::error!(%error, "the simulator's journal ends here: give it room, and start again");
        }
    }
}
