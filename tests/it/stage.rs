//! A stage for whole workers: a topic on a broker, the simulator, and workers as child processes of the real binary.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oms_sync_worker::commands::generate::{
    GeneratedFormat, Generator, GeneratorConfig, WriteSettings, bucket_name, write,
};
use oms_sync_worker::oms::credentials::Credentials;
use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding};
use oms_sync_worker::simulator::{Faults, Simulator, SimulatorConfig};

use crate::brokers::{committed, end_offset, unique};

/// Longest that a stage waits for anything.
pub(crate) const BOUND: Duration = Duration::from_mins(2);
/// Buckets that are written to; each has a task of the same number.
const BUCKETS: u32 = 4;

/// A topic, its dead-letter topic's name, and an OMS.
pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) servers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    partitions: i32,
    /// Task and bucket, in pairs.
    routes: Vec<(String, String)>,
    generated: Vec<GeneratorConfig>,
}

/// Polls until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < BOUND, "not within {BOUND:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Status and body of what a server on loopback answers; HTTP/1.0, so that the body comes whole.
pub(crate) fn http_get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn task(bucket: u32) -> String {
    format!("task-{bucket}")
}

impl Stage {
    /// With the buckets that [`Self::generate`] writes to. The topics are there already.
    pub(crate) fn on(servers: &str, topic: &str, partitions: i32, faults: &str) -> Self {
        let routes = (0..BUCKETS).map(|n| (task(n), bucket_name(n.into()))).collect();
        Self::with_routes(servers, topic, partitions, faults, routes)
    }

    /// With these tasks, each for a bucket.
    pub(crate) fn with_routes(
        servers: &str,
        topic: &str,
        partitions: i32,
        faults: &str,
        routes: Vec<(String, String)>,
    ) -> Self {
        let tasks = routes.iter().map(|(task, bucket)| format!("{task}:{bucket}").parse().unwrap()).collect();
        let config = SimulatorConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            project_id: "project".to_owned(),
            tasks,
            credentials: Some(Credentials::new("AK", "SK", None).unwrap()),
            faults: Faults::from_json(faults.as_bytes()).unwrap(),
            seed: 1,
            journal: None,
        };
        Self {
            simulator: Simulator::start(config).unwrap(),
            servers: servers.to_owned(),
            topic: topic.to_owned(),
            group: unique("workers"),
            partitions,
            routes,
            generated: Vec::new(),
        }
    }

    pub(crate) fn faults(&self, json: &str) {
        self.simulator.set_faults(Faults::from_json(json.as_bytes()).unwrap());
    }

    /// Writes S3 notifications of different objects.
    pub(crate) fn generate(&mut self, records: u64) {
        let seed = self.generated.len() as u64 + 1;
        let config = GeneratorConfig { format: GeneratedFormat::AwsS3, records, keys: records, buckets: BUCKETS, seed };
        let settings = WriteSettings {
            brokers: self.servers.clone(),
            topic: self.topic.clone(),
            rate: None,
            delivery_timeout: Duration::from_mins(1),
        };
        write(&settings, Generator::new(config), |_| {}).unwrap();
        self.generated.push(config);
    }

    /// A worker with this stage's configuration; `extra` variables come on top.
    pub(crate) fn worker(&self, extra: &[(&str, &str)]) -> WorkerProcess {
        let mut all = self.configuration();
        all.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
        WorkerProcess::start(&all)
    }

    /// This stage as a worker is told of it.
    pub(crate) fn configuration(&self) -> Vec<(&'static str, String)> {
        let routes: Vec<_> =
            self.routes.iter().map(|(task, bucket)| serde_json::json!({"task": task, "bucket": bucket})).collect();
        vec![
            ("OMS_SYNC__KAFKA__BROKERS", self.servers.clone()),
            ("OMS_SYNC__KAFKA__TOPICS", self.topic.clone()),
            ("OMS_SYNC__KAFKA__GROUP_ID", self.group.clone()),
            ("OMS_SYNC__OMS__ENDPOINT", format!("http://{}", self.simulator.addr())),
            ("OMS_SYNC__OMS__PROJECT_ID", "project".to_owned()),
            ("OMS_SYNC__ROUTES", serde_json::json!(routes).to_string()),
            ("OMS_SYNC__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("HUAWEICLOUD_SDK_AK", "AK".to_owned()),
            ("HUAWEICLOUD_SDK_SK", "SK".to_owned()),
        ]
    }

    /// Whether the group's commit points are at the ends of all partitions, as an independent client sees it.
    pub(crate) fn is_settled(&self) -> bool {
        let committed = committed(&self.servers, &self.group, &self.topic, self.partitions);
        (0..self.partitions).zip(committed).all(|(partition, point)| {
            let end = end_offset(&self.servers, &self.topic, partition);
            point == Some(end) || (point.is_none() && end == 0)
        })
    }

    /// Keys that OMS has accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.simulator.ledger().totals.accepted_keys
    }

    /// Every generated object is in the ledger of its task. Returns how often keys were accepted once too often.
    pub(crate) fn check_ledger(&self) -> u64 {
        let ledger = self.simulator.ledger();
        let mut objects = 0;
        for record in self.generated.iter().flat_map(|config| Generator::new(*config)) {
            let number = record.bucket.rsplit('-').next().unwrap();
            let key = EncodedKey::encode(&record.object_key, KeyEncoding::Percent).unwrap();
            let found = ledger.get(&format!("task-{number}"), key.as_str());
            assert!(found.is_some(), "{} of {} is lost", record.object_key, record.bucket);
            objects += 1;
        }
        ledger.totals.accepted_keys - objects
    }
}

/// A worker as a process. Killed when dropped.
pub(crate) struct WorkerProcess {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl WorkerProcess {
    fn start(variables: &[(&str, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
        command.arg("run").env_clear().envs(variables.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, log }
    }

    /// The log so far, a line each.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log().iter().any(|line| line.contains(text))
    }

    /// Status and body of a page of the admin server.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http_get(&self.admin(), path)
    }

    /// Where its admin server listens; waits until it does.
    pub(crate) fn admin(&self) -> String {
        let mut admin = None;
        wait_until("the worker logs its admin address", || {
            let started = self.log().into_iter().find(|line| line.contains("\"started\""));
            let line: Option<serde_json::Value> = started.map(|line| serde_json::from_str(&line).unwrap());
            admin = line.map(|line| line["admin"].as_str().unwrap().to_owned());
            admin.is_some()
        });
        admin.unwrap()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_until("the worker is ready", || self.get("/readyz").0 == 200);
    }

    /// The value of a series, written as in the text format.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// SIGTERM, and the exit code that follows.
    pub(crate) fn terminate(mut self) -> i32 {
        self.signal("TERM");
        self.exit_code()
    }

    pub(crate) fn exit_code(&mut self) -> i32 {
        let mut code = None;
        wait_until("the worker ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code().unwrap()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- log of worker {}:\n{}", self.child.id(), self.log().join("\n"));
        }
        self.child.kill().ok(); // it has ended already
        self.child.wait().ok();
    }
}
