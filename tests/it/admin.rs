//! The admin server over a real socket, the metrics' contract, and the commands that read them.

#![expect(clippy::unwrap_used, reason = "what a test's own steps need must be there")]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::brokers::CLOSED;
use oms_sync_worker::io::admin::{Admin, AdminState, MAX_CONNECTIONS};
use oms_sync_worker::metrics::labels::{ChangeAction, RecordOutcome, TaskState};
use oms_sync_worker::metrics::{Metrics, PartitionGauges, TaskGauges};
use oms_sync_worker::pipeline::answer::{HoldReason, Pressure, Status, Verdict};
use oms_sync_worker::pipeline::key::TaskId;

/// Longest wait of any read in these tests.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    admin: Admin,
    state: Arc<AdminState>,
    metrics: Arc<Metrics>,
}

fn server(beat_timeout: Duration) -> Server {
    let state = Arc::new(AdminState::new(beat_timeout));
    let metrics = Arc::new(Metrics::new([task("routed")]).unwrap());
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let admin = Admin::start(loopback, Arc::clone(&state), Arc::clone(&metrics)).unwrap();
    Server { admin, state, metrics }
}

fn task(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.admin.addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request and returns the whole answer, head included.
fn ask(server: &Server, method: &str, path: &str) -> String {
    let mut stream = connect(server);
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[track_caller]
fn check(server: &Server, path: &str, status: u16, body: &str) {
    let answer = ask(server, "GET", path);
    let (head, found) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert_eq!(found, body, "{path}");
}

#[test]
fn probes_say_why_they_fail() {
    let server = server(PATIENCE * 10);
    check(&server, "/livez", 200, "ok\n");
    check(&server, "/readyz", 503, "starting\n");
    server.state.set_unready(vec!["not in the group".to_owned(), "draining".to_owned()]);
    check(&server, "/readyz", 503, "not in the group\ndraining\n");
    server.state.set_unready(Vec::new());
    check(&server, "/readyz", 200, "ok\n");
    server.state.set_stall(Some("a commit has not ended for 300 s".to_owned()));
    check(&server, "/livez", 503, "a commit has not ended for 300 s\n");
    server.state.set_stall(None);
    server.state.set_status(r#"{"tasks":[]}"#.into());
    check(&server, "/status", 200, r#"{"tasks":[]}"#);
    check(&server, "/", 404, "try /metrics, /livez, /readyz or /status\n");
}

#[test]
fn a_loop_that_does_not_turn_is_not_alive() {
    let server = server(Duration::ZERO);
    check(&server, "/livez", 503, "the loop has not turned for 0 s, the bound is 0 s\n");
    let metrics = ask(&server, "GET", "/metrics");
    assert!(metrics.contains("\noms_sync_stalled 1\n"), "a stuck loop cannot say so itself: {metrics}");
}

#[test]
fn only_get_and_head_are_answered() {
    let server = server(PATIENCE);
    let head = ask(&server, "HEAD", "/status");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let post = ask(&server, "POST", "/livez");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.to_ascii_lowercase().contains("allow: get, head"), "{post}");
}

#[test]
fn slow_clients_do_not_keep_a_probe_out() {
    let server = server(PATIENCE);
    let mut slow: Vec<TcpStream> = (0..MAX_CONNECTIONS * 2).map(|_| connect(&server)).collect();
    for stream in &mut slow {
        // The oldest are closed already; what matters is that none of them is ever finished.
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").ok();
    }
    check(&server, "/livez", 200, "ok\n");
    let mut rest = Vec::new();
    let oldest = slow[0].read_to_end(&mut rest);
    assert!(oldest.is_err() || rest.is_empty(), "the oldest is closed without an answer");
}

#[test]
fn a_taken_port_is_a_clear_error() {
    let server = server(PATIENCE);
    let state = Arc::new(AdminState::new(PATIENCE));
    let refused = Admin::start(server.admin.addr(), state, Arc::clone(&server.metrics)).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("admin.listen: cannot listen on {}", server.admin.addr())), "{refused}");
}

#[test]
fn health_asks_the_server() {
    let server = server(PATIENCE * 10);
    let health = |url: String| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_oms-sync-worker")).args(["health", "--url", &url]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let livez = format!("http://{}/livez", server.admin.addr());
    assert_eq!(health(livez.clone()), (Some(0), "ok\n".to_owned(), String::new()));
    server.state.set_stall(Some("stuck".to_owned()));
    let (code, _, told) = health(livez);
    assert!(code == Some(1) && told.contains("503") && told.contains("stuck"), "{code:?} {told}");
    let (code, _, told) = health(format!("http://{CLOSED}/livez"));
    assert!(code == Some(1) && told.contains("cannot connect"), "{code:?} {told}");
}

/// Makes one series of every metric.
fn touch(metrics: &Metrics) {
    let topic = metrics.topic("t");
    topic.consumed.inc();
    metrics.show_pace(Some(66.5));
    topic.settled(RecordOutcome::Accepted).inc();
    metrics.changes("aws-s3", ChangeAction::Sync, "").inc();
    let routed = metrics.task(&task("routed"));
    routed.keys_accepted.inc_by(10);
    routed.submissions(Verdict::Accepted, Status::Http(200)).inc();
    routed.submissions(Verdict::Busy(Pressure::Throttled), Status::Timeout).inc();
    metrics.show_partition(
        "t",
        3,
        PartitionGauges { commit_point: Some(1), lag: Some(7), ..PartitionGauges::default() },
    );
    metrics.dead_letters("t", "too_long").inc();
    metrics.kafka_errors("Transport").inc();
    metrics.show_credentials_expiry(Some(Duration::from_hours(500_000)));
    metrics.show_task_state(&task("routed"), TaskState::Stopped);
    metrics.show_memory_limit(Some(1 << 28));
}

#[test]
fn metrics_are_the_documented_ones() {
    let server = server(PATIENCE);
    touch(&server.metrics);
    let text = server.metrics.text().unwrap();
    let documented: BTreeSet<String> = include_str!("../fixtures/metrics.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.trim().to_owned())
        .collect();
    assert_eq!(exported(&text), documented);
}

/// `name type labels` of every family of ours; names and labels as they are in the text.
fn exported(text: &str) -> BTreeSet<String> {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE oms_sync_"));
    let described = families.map(|family| {
        let (name, _) = family.split_once(' ').unwrap();
        let samples = text.lines().filter_map(|line| line.strip_prefix("oms_sync_")?.strip_prefix(name));
        let labels: BTreeSet<&str> = samples.filter(|rest| !rest.starts_with("_total")).flat_map(label_names).collect();
        let labels: Vec<&str> = labels.into_iter().filter(|label| *label != "le").collect();
        format!("{family} {}", labels.join(",")).trim_end().to_owned()
    });
    described.collect()
}

fn label_names(sample: &str) -> Vec<&str> {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    inside.split(',').filter_map(|pair| Some(pair.split_once('=')?.0)).collect()
}

#[test]
fn task_labels_are_bounded_and_gauges_of_others_are_added_up() {
    let metrics = Metrics::new([task("routed")]).unwrap();
    metrics.task(&task("stranger-1")).keys_accepted.inc();
    metrics.task(&task("stranger-2")).keys_accepted.inc();
    let state = |pending_keys, oldest_pending_seconds| TaskGauges {
        pending_keys,
        oldest_pending_seconds,
        ..TaskGauges::default()
    };
    let (one, two, routed) = (task("stranger-1"), task("stranger-2"), task("routed"));
    metrics.show_tasks([(&one, state(2, 1.5)), (&two, state(3, 0.5)), (&routed, state(7, 0.0))]);
    let text = metrics.text().unwrap();
    for line in [
        "oms_sync_keys_accepted_total{task=\"other\"} 2",
        "oms_sync_pending_keys{task=\"other\"} 5",
        "oms_sync_oldest_pending_seconds{task=\"other\"} 1.5",
        "oms_sync_pending_keys{task=\"routed\"} 7",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("stranger"), "{text}");
    metrics.show_tasks([]);
    assert!(metrics.text().unwrap().contains("oms_sync_pending_keys{task=\"routed\"} 0"));
}

#[test]
fn discovered_tasks_get_labels_up_to_a_bound_and_lose_their_gauges_when_they_are_gone() {
    let metrics = Metrics::new([]).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(task);
    let has = |series: &str| metrics.text().unwrap().lines().any(|line| line.starts_with(series));
    metrics.route(&[a.clone(), b.clone()], 2);
    metrics.task(&a).keys_accepted.inc();
    metrics.show_holds(&[]);
    metrics.show_task_state(&a, TaskState::Stopped);
    assert!(has(r#"oms_sync_pending_keys{task="a"} 0"#) && has(r#"oms_sync_task_state{state="stopped",task="a"} 1"#));
    metrics.route(&[b.clone(), c.clone()], 2);
    metrics.task(&c).keys_accepted.inc();
    metrics.show_holds(&[]);
    assert!(has(r#"oms_sync_keys_accepted_total{task="a"} 1"#), "a counter stays");
    for gone in ["pending_keys{", "hold{reason=\"permission\",", "task_state{state=\"stopped\","] {
        assert!(!has(&format!("oms_sync_{gone}task=\"a\"")), "{gone}");
    }
    assert!(has(r#"oms_sync_keys_accepted_total{task="other"} 1"#), "two had a label already");
    metrics.route(&[a], 2);
    assert!(has(r#"oms_sync_pending_keys{task="a"} 0"#) && !has(r#"oms_sync_pending_keys{task="b"}"#));
    metrics.show_routes_hold(true);
    assert!(has(r#"oms_sync_hold{reason="routes",task=""} 1"#));
}

#[test]
fn holds_come_and_go_and_revoked_partitions_leave_no_series() {
    let metrics = Metrics::new([task("routed")]).unwrap();
    let hold =
        |reason: &str, task: &str, value: u8| format!("oms_sync_hold{{reason=\"{reason}\",task=\"{task}\"}} {value}\n");
    let routed = task("routed");
    metrics.show_holds(&[(HoldReason::Endpoint, None), (HoldReason::Permission, Some(&routed))]);
    let text = metrics.text().unwrap();
    assert!(text.contains(&hold("endpoint", "", 1)) && text.contains(&hold("permission", "routed", 1)), "{text}");
    assert!(text.contains(&hold("credentials", "", 0)), "{text}");
    metrics.show_holds(&[]);
    let text = metrics.text().unwrap();
    assert!(text.contains(&hold("endpoint", "", 0)) && text.contains(&hold("permission", "routed", 0)), "{text}");

    metrics.show_partition("t", 1, PartitionGauges { commit_point: Some(5), ..PartitionGauges::default() });
    metrics.show_partition("t", 2, PartitionGauges { commit_point: Some(6), ..PartitionGauges::default() });
    metrics.forget_partition("t", 1);
    let text = metrics.text().unwrap();
    assert!(text.contains("commit_point{partition=\"2\"") && !text.contains("partition=\"1\""), "{text}");
}

#[test]
fn the_expiry_of_credentials_is_shown_only_while_they_expire() {
    let metrics = Metrics::new([]).unwrap();
    let name = "oms_sync_credentials_expiry_timestamp_seconds";
    assert!(!metrics.text().unwrap().contains(name));
    metrics.show_credentials_expiry(Some(Duration::from_hours(500_000)));
    assert!(metrics.text().unwrap().contains(&format!("{name} 1800000000\n")));
    metrics.show_credentials_expiry(None);
    assert!(!metrics.text().unwrap().contains(name));
}

#[test]
fn the_exposition_is_well_formed_and_holds_the_process() {
    let server = server(PATIENCE);
    touch(&server.metrics);
    let answer = ask(&server, "GET", "/metrics");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("process_resident_memory_bytes") && body.contains("oms_sync_build_info{"), "{body}");
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok() && name.starts_with(|c: char| c.is_ascii_lowercase()), "{line}");
    }
    let helped = body.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(helped, body.lines().filter(|line| line.starts_with("# TYPE ")).count());
}

#[test]
fn a_request_rate_is_shown_only_while_there_is_one() {
    let metrics = Metrics::new([]).unwrap();
    let shown = |metrics: &Metrics| metrics.text().unwrap().contains("\noms_sync_paced_requests_per_second 66.5\n");
    assert!(!metrics.text().unwrap().contains("oms_sync_paced"));
    metrics.show_pace(Some(66.5));
    assert!(shown(&metrics), "{}", metrics.text().unwrap());
    metrics.show_pace(None);
    assert!(!metrics.text().unwrap().contains("oms_sync_paced"));
}
