//! A real Prometheus on loopback, and what is asked of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::brokers::free_port;
use crate::stage::{http_get, wait_until};

const CONFIG: &str = "
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: workers
    file_sd_configs: [{files: ['*.json'], refresh_interval: 1s}]
";

/// Killed when dropped; its data are removed.
pub(super) struct Prometheus {
    child: Child,
    address: String,
    home: tempfile::TempDir,
    began: Instant,
}

/// An alert that fires.
#[derive(Debug)]
pub(super) struct Alert(Value);

impl Alert {
    /// Whether it is this one and has these labels.
    pub(super) fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.0["labels"]["alertname"] == name && labels.iter().all(|(label, value)| self.0["labels"][label] == *value)
    }
}

/// Where the programs are: the folder that `.ci/prometheus` prints.
pub(super) fn program(name: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/prometheus");
    let folder = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(folder.status.success(), "{script} found no Prometheus");
    PathBuf::from(String::from_utf8(folder.stdout).unwrap().trim()).join(name)
}

impl Prometheus {
    pub(super) fn start(rules: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
        write("prometheus.yaml", CONFIG);
        write("rules.yaml", rules);
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}/prometheus.yaml", home.path().display()))
            .arg(format!("--storage.tsdb.path={}/data", home.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .spawn()
            .unwrap();
        wait_until("Prometheus listens", || std::net::TcpStream::connect(&address).is_ok());
        wait_until("Prometheus is ready", || http_get(&address, "/-/ready").0 == 200);
        Self { child, address, home, began: Instant::now() }
    }

    /// How long it has run.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// From now on these are the workers of a job.
    pub(super) fn scrape(&self, job: &str, targets: &[&str]) {
        let list = serde_json::json!([{"targets": targets, "labels": {"job": job}}]).to_string();
        let file = self.home.path().join(format!("{job}.json"));
        std::fs::write(file.with_extension("new"), list).unwrap();
        std::fs::rename(file.with_extension("new"), file).unwrap();
    }

    /// What of a job's alerts fires now. Says so where a text has a hole in it.
    pub(super) fn firing(&self, job: &str) -> Vec<Alert> {
        let answer = self.ask("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing" && alert["labels"]["job"] == job);
        let firing: Vec<Alert> = firing.cloned().map(Alert).collect();
        for Alert(alert) in &firing {
            let annotations = alert["annotations"].to_string();
            assert!(!annotations.contains("<error") && !annotations.contains("<no value>"), "{annotations}");
        }
        firing
    }

    /// The names of a job's alerts that have fired since the beginning.
    pub(super) fn ever_fired(&self, job: &str) -> BTreeSet<String> {
        let query = format!(r#"count by (alertname) (max_over_time(ALERTS{{alertstate="firing",job="{job}"}}[1h]))"#);
        let answer = self.ask(&format!("/api/v1/query?query={}", utf8_percent_encode(&query, NON_ALPHANUMERIC)));
        let found = answer["data"]["result"].as_array().unwrap().iter();
        found.map(|series| series["metric"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// How many points a query has had since the beginning, numbers only.
    pub(super) fn points(&self, query: &str) -> usize {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let start = now - self.age().as_secs();
        let answer = self.ask(&format!("/api/v1/query_range?query={query}&start={start}&end={now}&step=5"));
        let series = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        let points = series.flat_map(|series| series["values"].as_array().unwrap());
        points.filter(|point| point[1] != "NaN").count()
    }

    fn ask(&self, path: &str) -> Value {
        let (status, body) = http_get(&self.address, path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok(); // it has ended already
        self.child.wait().ok();
    }
}
