//! The workers as processes of the program under test: started, ended, frozen, and looked at.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::campaign::say;
use crate::clock::{Clock, wait_until};
use crate::oracles::Size;
use crate::processes::{Processes, signal};
use crate::records::{TASKS, task_name};
use crate::{http, oms};

pub(crate) const GROUP: &str = "campaign";
pub(crate) const TOPIC: &str = "changes";
/// Session timeout of the workers, and for how long one is frozen that is to lose its partitions.
pub(crate) const SESSION: Duration = Duration::from_secs(6);
/// What the last line of the log of a static member says that Kafka did not let in, or took the name from.
const NAME_TAKEN: [&str; 2] = ["UnreleasedInstanceId", "FencedInstanceId"];
const DRAIN_BOUND: Duration = Duration::from_secs(45);
/// Longest wait for a worker to answer once it was started.
const BEGUN: Duration = Duration::from_secs(10);

/// How a worker takes part in its group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Membership {
    /// The newer `consumer` protocol, or the classic one with cooperative-sticky.
    pub(crate) newer: bool,
    /// With `group.instance.id`.
    pub(crate) stays: bool,
}

/// Where a worker may be.
struct Slot {
    child: Option<Child>,
    membership: Membership,
    /// Frozen workers answer nothing.
    frozen: bool,
    /// Somebody is about to end it.
    ending: bool,
}

pub(crate) struct Fleet {
    folder: PathBuf,
    brokers: String,
    endpoint: String,
    first_admin_port: u16,
    slots: Vec<Mutex<Slot>>,
    /// How often workers were started, by how they take part.
    starts: Mutex<std::collections::BTreeMap<Membership, u64>>,
    /// How often a static member ended so.
    names_taken: [AtomicU64; 2],
    processes: Processes,
}

impl Membership {
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Self {
        Self { newer: random.bool(), stays: random.bool() }
    }

    pub(crate) fn name(self) -> String {
        let protocol = if self.newer { "consumer" } else { "classic" };
        format!("{protocol}{}", if self.stays { ", static" } else { "" })
    }
}

impl Fleet {
    /// Room for `slots` workers, none of which runs.
    pub(crate) fn new(
        folder: &Path,
        (brokers, endpoint): (String, String),
        first_admin_port: u16,
        slots: u32,
        processes: &Processes,
    ) -> anyhow::Result<Self> {
        let empty = Membership { newer: false, stays: false };
        let slot = |_| Mutex::new(Slot { child: None, membership: empty, frozen: false, ending: false });
        let fleet = Self {
            folder: folder.to_owned(),
            brokers,
            endpoint,
            first_admin_port,
            slots: (0..slots).map(slot).collect(),
            starts: Mutex::default(),
            names_taken: Default::default(),
            processes: processes.clone(),
        };
        fleet.credentials("AK1", "SK1")?;
        Ok(fleet)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, number: usize) -> MutexGuard<'_, Slot> {
        self.slots[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the workers sign with from now on, as a mounted Secret changes: all at once.
    pub(crate) fn credentials(&self, access_key: &str, secret_key: &str) -> anyhow::Result<()> {
        let secret = self.folder.join("credentials");
        let version = secret.join(format!("..{access_key}"));
        fs::create_dir_all(&version)?;
        fs::write(version.join("access-key"), access_key)?;
        fs::write(version.join("secret-key"), secret_key)?;
        let link = secret.join("..data_tmp");
        fs::remove_file(&link).ok();
        std::os::unix::fs::symlink(version.file_name().context("no name")?, &link)?;
        fs::rename(link, secret.join("..data"))?;
        Ok(())
    }

    pub(crate) fn start(&self, number: usize, membership: Membership) -> anyhow::Result<()> {
        let mut slot = self.slot(number);
        if slot.child.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log(number))?;
        let mut properties =
            json!({"session.timeout.ms": SESSION.as_millis().to_string(), "heartbeat.interval.ms": "2000"});
        if membership.newer {
            properties = json!({"group.protocol": "consumer"});
        }
        if membership.stays {
            properties["group.instance.id"] = json!(format!("worker-{number}"));
        }
        let route = |task| json!({"task": task_name(task), "bucket": format!("bucket-{task}")});
        let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
        command.arg("run").env_clear().envs([
            ("OMS_SYNC__KAFKA__BROKERS", self.brokers.clone()),
            ("OMS_SYNC__KAFKA__TOPICS", TOPIC.to_owned()),
            ("OMS_SYNC__KAFKA__GROUP_ID", GROUP.to_owned()),
            ("OMS_SYNC__KAFKA__PROPERTIES", properties.to_string()),
            ("OMS_SYNC__OMS__ENDPOINT", self.endpoint.clone()),
            ("OMS_SYNC__OMS__PROJECT_ID", oms::PROJECT.to_owned()),
            ("OMS_SYNC__OMS__CREDENTIALS__SOURCE", "file".to_owned()),
            ("OMS_SYNC__OMS__CREDENTIALS__DIRECTORY", self.folder.join("credentials").display().to_string()),
            ("OMS_SYNC__ROUTES", json!((0..TASKS).map(route).collect::<Vec<_>>()).to_string()),
            ("OMS_SYNC__ADMIN__LISTEN", self.admin(number)),
        ]);
        command.envs(SETTINGS.iter().copied());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *slot = Slot { child: Some(self.processes.spawn(&mut command)?), membership, frozen: false, ending: false };
        *self.starts.lock().unwrap_or_else(PoisonError::into_inner).entry(membership).or_default() += 1;
        Ok(())
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.join(format!("worker-{number}.log"))
    }

    fn admin(&self, number: usize) -> String {
        format!("127.0.0.1:{}", self.first_admin_port + u16::try_from(number).unwrap_or(0))
    }

    /// SIGKILL. Gives how it took part.
    pub(crate) fn kill(&self, number: usize) -> anyhow::Result<Membership> {
        let mut slot = self.slot(number);
        let membership = slot.membership;
        if let Some(mut child) = slot.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(membership)
    }

    /// Until a worker answers. Before that SIGTERM ends it like any process: it has nothing to drain, and no exit code.
    pub(crate) fn await_begun(&self, number: usize) {
        wait_until(BEGUN, || http::request(&self.admin(number), "GET", "/livez", "").is_ok());
    }

    /// SIGTERM, and waits for the end. Gives how it took part, and the exit code; none if it had to be killed.
    pub(crate) fn terminate(&self, number: usize) -> anyhow::Result<(Membership, Option<i32>)> {
        let membership = {
            let mut slot = self.slot(number);
            slot.ending = true;
            let child = slot.child.as_ref().with_context(|| format!("worker {number} does not run"))?;
            signal(child, "TERM")?;
            slot.membership
        };
        let mut status: Option<ExitStatus> = None;
        wait_until(DRAIN_BOUND, || {
            status = self.slot(number).child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            status.is_some()
        });
        if status.is_none() {
            self.kill(number)?;
        }
        *self.slot(number) = Slot { child: None, membership, frozen: false, ending: false };
        Ok((membership, status.and_then(|status| status.code())))
    }

    pub(crate) fn freeze(&self, number: usize, frozen: bool) -> anyhow::Result<()> {
        let mut slot = self.slot(number);
        let child = slot.child.as_ref().with_context(|| format!("worker {number} does not run"))?;
        signal(child, if frozen { "STOP" } else { "CONT" })?;
        slot.frozen = frozen;
        Ok(())
    }

    /// Workers that have ended by themselves since the last look, and how; those are left out whose name in the group is
    /// another's. They are started again.
    pub(crate) fn ended(&self) -> Vec<String> {
        let mut ended = Vec::new();
        for number in 0..self.len() {
            let mut slot = self.slot(number);
            if slot.ending {
                continue;
            }
            let status = slot.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = status {
                let membership = slot.membership;
                slot.child = None;
                drop(slot);
                let last = fs::read_to_string(self.log(number)).unwrap_or_default();
                let last = last.lines().last().unwrap_or_default();
                let told = format!("worker {number} ({}) ended with {status}: {last}", membership.name());
                let excused = membership.stays && status.code() == Some(2);
                match NAME_TAKEN.iter().position(|code| excused && last.contains(code)) {
                    Some(code) => {
                        say(&told);
                        self.names_taken[code].fetch_add(1, Ordering::Relaxed);
                    }
                    None => ended.push(told),
                }
                if let Err(error) = self.start(number, membership) {
                    ended.push(format!("worker {number} cannot be started again: {error:#}"));
                }
            }
        }
        ended
    }

    /// Workers that run and are not frozen whose liveness fails, with what they say.
    pub(crate) fn not_live(&self) -> Vec<String> {
        let failing = |number: &usize| {
            let slot = self.slot(*number);
            let runs = slot.child.is_some() && !slot.frozen && !slot.ending;
            drop(slot);
            let answer =
                if runs { http::request(&self.admin(*number), "GET", "/livez", "").ok()? } else { return None };
            (answer.0 == 503).then(|| format!("worker {number}: {}", answer.1.trim()))
        };
        (0..self.len()).filter_map(|number| failing(&number)).collect()
    }

    /// What a worker's process uses.
    pub(crate) fn size(&self, number: usize, clock: Clock) -> Option<Size> {
        let id = self.slot(number).child.as_ref()?.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64;
        Some(Size { at: clock.now(), memory_kib: field("VmRSS:")?, descriptors, threads: field("Threads:")? })
    }

    pub(crate) fn is_ready(&self, number: usize) -> bool {
        http::request(&self.admin(number), "GET", "/readyz", "").is_ok_and(|(status, _)| status == 200)
    }

    pub(crate) fn runs(&self, number: usize) -> bool {
        self.slot(number).child.is_some()
    }

    /// How often a static member ended because Kafka did not let it in, and because Kafka took its name away.
    pub(crate) fn names_taken(&self) -> [u64; 2] {
        self.names_taken.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// How often workers were started, by how they take part.
    pub(crate) fn starts(&self) -> Vec<(String, u64)> {
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.iter().map(|(membership, count)| (membership.name(), *count)).collect()
    }
}

/// Where the campaign's workers differ from the defaults: bounds are shorter, so that many faults fit into an hour.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("OMS_SYNC__OMS__REQUEST_TIMEOUT", "8s"),
    ("OMS_SYNC__OMS__CONNECT_TIMEOUT", "3s"),
    ("OMS_SYNC__OMS__HOLD_PROBE_INTERVAL", "12s"),
    ("OMS_SYNC__RETRY__MAX", "8s"),
];
