//! The OMS simulator as a process of the program under test, and what is made to go wrong in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::clock::wait_until;
use crate::http;
use crate::processes::Processes;
use crate::records::{TASKS, task_name};

pub(crate) const PROJECT: &str = "campaign";

pub(crate) struct Oms {
    address: String,
    _child: Child,
    /// Rules of the faults that are there, by the fault.
    rules: Mutex<BTreeMap<&'static str, Vec<Value>>>,
}

impl Oms {
    pub(crate) fn start(folder: &Path, port: u16, processes: &Processes) -> anyhow::Result<Self> {
        let log = File::create(folder.join("oms.log"))?;
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
        command.args(["simulate", "--listen", &address, "--project", PROJECT, "--latency", "20ms", "--jitter", "10ms"]);
        for task in 0..TASKS {
            command.args(["--task", &task_name(task)]);
        }
        command.args(["--access-key", "AK1", "--secret-key", "SK1"]).arg("--journal").arg(journal(folder));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = processes.spawn(&mut command)?;
        let oms = Self { address, _child: child, rules: Mutex::new(BTreeMap::new()) };
        ensure!(wait_until(Duration::from_secs(20), || oms.send(&json!({})).is_ok()), "the simulator does not answer");
        oms.set_rules("", None)?;
        Ok(oms)
    }

    /// Changes what is named: quota, latency, tasks, keys, clock.
    pub(crate) fn send(&self, faults: &Value) -> anyhow::Result<()> {
        let (status, told) = http::request(&self.address, "POST", "/_simulator/faults", &faults.to_string())?;
        ensure!(status == 200, "the simulator answers {status}: {told}");
        Ok(())
    }

    /// Puts these rules of a fault in force, or takes its rules away. Refused keys are always refused.
    pub(crate) fn set_rules(&self, fault: &'static str, rules: Option<Value>) -> anyhow::Result<()> {
        let mut all = self.rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match rules {
            Some(Value::Array(rules)) => drop(all.insert(fault, rules)),
            Some(rule) => drop(all.insert(fault, vec![rule])),
            None => drop(all.remove(fault)),
        }
        let refused = json!({"keys": "refuse/*", "status": 400, "code": "OMS.0001", "message": "refused on purpose"});
        let rules: Vec<_> = all.values().flatten().cloned().chain([refused]).collect();
        self.send(&json!({ "rules": rules })).context("cannot set the simulator's rules")
    }

    /// Whether its sums can be read.
    pub(crate) fn totals(&self) -> anyhow::Result<Value> {
        let (_, body) = http::request(&self.address, "GET", "/_simulator/totals", "")?;
        Ok(serde_json::from_str(&body)?)
    }
}

/// The file that has a line for every accepted event.
pub(crate) fn journal(folder: &Path) -> std::path::PathBuf {
    folder.join("oms-journal")
}
