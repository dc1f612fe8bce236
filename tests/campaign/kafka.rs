//! Three real Kafka brokers (each a controller too) as processes on loopback, from the jars that
//! `.ci/images/kafka-native.sh` fetches. Workers reach them by a listener of its own, behind the campaign's proxies.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::clock::wait_until;
use crate::processes::{Processes, end};

/// Brokers; their ids are 1 to this.
pub(crate) const BROKERS: usize = 3;
/// The one whose log folder is a small file system, where that can be made.
pub(crate) const SMALL: usize = 3;
const CLUSTER: &str = "5L6g3nShT-eMCtK--X86sw";
const START_BOUND: Duration = Duration::from_mins(2);
const STOP_BOUND: Duration = Duration::from_secs(40);

pub(crate) struct Kafka {
    folder: PathBuf,
    classpath: String,
    archive: PathBuf,
    log_config: PathBuf,
    port: u16,
    /// Why there is no small file system.
    pub(crate) no_small_disk: Option<String>,
    running: [Mutex<Option<Child>>; BROKERS],
    processes: Processes,
}

impl Kafka {
    /// Configures and formats the brokers; `disk_mib` is the size of the small file system.
    pub(crate) fn new(
        jars: &Path,
        folder: &Path,
        port: u16,
        disk_mib: u64,
        processes: &Processes,
    ) -> anyhow::Result<Self> {
        let libs = fs::canonicalize(jars.join("libs")).with_context(|| format!("no libs in {}", jars.display()))?;
        let mut names: Vec<_> = fs::read_dir(&libs)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
            .map(|path| path.display().to_string())
            .collect();
        names.sort();
        ensure!(!names.is_empty(), "no jars in {}", libs.display());
        let mut kafka = Self {
            folder: folder.to_owned(),
            classpath: names.join(":"),
            archive: libs.join("kafka.jsa"),
            log_config: libs.join("log4j2.yaml"),
            port,
            no_small_disk: None,
            running: Default::default(),
            processes: processes.clone(),
        };
        kafka.no_small_disk =
            crate::processes::mount(&kafka.data(SMALL), disk_mib).err().map(|error| error.to_string());
        for id in 1..=BROKERS {
            kafka.configure(id)?;
        }
        Ok(kafka)
    }

    /// Where the campaign's own clients reach the brokers.
    pub(crate) fn servers(&self) -> String {
        (1..=BROKERS).map(|id| format!("127.0.0.1:{}", self.client_port(id))).collect::<Vec<_>>().join(",")
    }

    /// The ports of the workers' proxies and what is behind each.
    pub(crate) fn proxied(&self, id: usize) -> (u16, u16) {
        let id = u16::try_from(id).unwrap_or(0);
        (self.port + 30 + id, self.port + 20 + id)
    }

    fn client_port(&self, id: usize) -> u16 {
        self.port + u16::try_from(id).unwrap_or(0)
    }

    fn home(&self, id: usize) -> PathBuf {
        self.folder.join(format!("broker-{id}"))
    }

    /// A broker's log folder.
    pub(crate) fn data(&self, id: usize) -> PathBuf {
        self.home(id).join("data")
    }

    fn configure(&self, id: usize) -> anyhow::Result<()> {
        fs::create_dir_all(self.data(id))?;
        let voters: Vec<_> = (1..=BROKERS).map(|id| format!("{id}@127.0.0.1:{}", self.client_port(id) + 10)).collect();
        let (proxy, behind) = self.proxied(id);
        let (clients, controller) = (self.client_port(id), self.client_port(id) + 10);
        let properties = format!(
            "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={}\n\
             listeners=PLAINTEXT://127.0.0.1:{clients},WORKERS://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{clients},WORKERS://127.0.0.1:{proxy}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,WORKERS:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\nlog.dirs={}\n{SETTINGS}",
            voters.join(","),
            self.data(id).display()
        );
        fs::write(self.home(id).join("server.properties"), properties)?;
        let config = self.home(id).join("server.properties").display().to_string();
        let level = "-Dkafka.log.level=ERROR";
        self.java(&[level], "kafka.tools.StorageTool", &["format", "-t", CLUSTER, "-c", &config]).map(drop)
    }

    /// Runs one of Kafka's tools to its end.
    pub(crate) fn java(&self, flags: &[&str], class: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("java");
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]).args(flags);
        command.arg(format!("-Dlog4j2.configurationFile={}", self.log_config.display()));
        command.args(["-cp", &self.classpath, class]).args(arguments).stdin(Stdio::null());
        let output = command.output().context("cannot run java: install Java 17, such as openjdk-17-jre-headless")?;
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "{class} {arguments:?} failed: {told}");
        Ok(told)
    }

    /// Starts a broker that is down; see [`Self::wait_ready`].
    pub(crate) fn launch(&self, id: usize) -> anyhow::Result<()> {
        let mut running = lock(&self.running[id - 1]);
        if running.is_some() {
            return Ok(());
        }
        let log = File::create(self.home(id).join("server.log"))?;
        let mut command = Command::new("java");
        command.args([
            "-Xms64m",
            "-Xmx320m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
        ]);
        if self.archive.exists() {
            command.arg(format!("-XX:SharedArchiveFile={}", self.archive.display()));
        }
        command.arg(format!("-Dlog4j2.configurationFile={}", self.log_config.display()));
        command.args(["-cp", &self.classpath, "kafka.Kafka"]).arg(self.home(id).join("server.properties"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *running = Some(self.processes.spawn(&mut command)?);
        Ok(())
    }

    pub(crate) fn wait_ready(&self, id: usize) -> anyhow::Result<()> {
        let log = self.home(id).join("server.log");
        let mut ended = false;
        let ready = wait_until(START_BOUND, || {
            let mut running = lock(&self.running[id - 1]);
            ended = running.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            ended || fs::read_to_string(&log).is_ok_and(|text| text.contains("Kafka Server started"))
        });
        if ended {
            *lock(&self.running[id - 1]) = None;
            bail!("broker {id} ended while starting: see {}", log.display());
        }
        ensure!(ready, "broker {id} is not ready within {START_BOUND:?}: see {}", log.display());
        Ok(())
    }

    pub(crate) fn start(&self, id: usize) -> anyhow::Result<()> {
        self.launch(id)?;
        self.wait_ready(id)
    }

    /// SIGKILL.
    pub(crate) fn kill(&self, id: usize) -> anyhow::Result<()> {
        let child = lock(&self.running[id - 1]).take();
        child.map_or(Ok(()), |mut child| {
            child.kill()?;
            child.wait()?;
            Ok(())
        })
    }

    /// SIGTERM, and SIGKILL where that does not end it.
    pub(crate) fn stop(&self, id: usize) -> anyhow::Result<()> {
        let child = lock(&self.running[id - 1]).take();
        child.map_or(Ok(()), |mut child| end(&mut child, STOP_BOUND).map(drop))
    }

    /// Whether the broker has ended by itself.
    pub(crate) fn has_ended(&self, id: usize) -> bool {
        let mut running = lock(&self.running[id - 1]);
        running.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Ends all brokers at once, whatever they do.
    pub(crate) fn kill_all(&self) {
        (1..=BROKERS).for_each(|id| drop(self.kill(id)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What all brokers have in common. Timeouts are shorter than Kafka's own, so that many faults fit into an hour.
const SETTINGS: &str = "\
num.partitions=3
default.replication.factor=3
min.insync.replicas=2
auto.create.topics.enable=false
unclean.leader.election.enable=false
offsets.topic.replication.factor=3
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=6000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
log.segment.bytes=67108864
log.retention.ms=-1
num.io.threads=4
num.network.threads=2
";
/// Partitions of Kafka's own topic of commit points, as set above.
pub(crate) const OFFSETS_PARTITIONS: i32 = 10;
