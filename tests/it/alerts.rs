//! Every alert, end to end: the real fault in a running worker, a real Prometheus with the rules, and the alert fires and is
//! over once the fault is taken away; nothing else fires meanwhile. And every panel of the dashboard finds data there.
//!
//! Takes about five minutes, so it runs only with `OMS_SYNC_TEST_ALERTS=1`. Needs Prometheus (`.ci/prometheus`), Docker,
//! python3, and root with control groups for the faults of a thread and of memory.

mod dashboard;
mod faults;
mod means;
mod prometheus;
mod rules;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prometheus::Prometheus;

/// Rules run so many times faster than they are written.
const HURRY: u64 = 20;
/// Longest wait for an alert to fire or to be over.
const BOUND: Duration = Duration::from_mins(8);
/// How long an alert must be gone to be over: a scrape that is late is no end of it.
const SETTLED: Duration = Duration::from_secs(6);

/// A job of the Prometheus: the workers that one fault is for.
struct Job<'a> {
    name: &'static str,
    /// All alerts that its fault makes.
    alerts: &'static [&'static str],
    prometheus: &'a Prometheus,
}

impl Job<'_> {
    /// Waits until the alert fires; `labels` are some of its labels.
    fn fires(&self, alert: &str, labels: &[(&str, &str)]) {
        let fires = |firing: &[prometheus::Alert]| firing.iter().any(|one| one.is(alert, labels));
        self.until(&format!("{alert} {labels:?} fires"), Duration::ZERO, fires);
    }

    fn is_over(&self, alert: &str) {
        let is_over = |firing: &[prometheus::Alert]| !firing.iter().any(|one| one.is(alert, &[]));
        self.until(&format!("{alert} is over"), SETTLED, is_over);
    }

    /// Every alert of the fault has fired since the beginning and no other. While its workers are still there.
    fn has_told_all(&self) {
        let alerts: BTreeSet<String> = self.alerts.iter().map(|&alert| alert.to_owned()).collect();
        assert_eq!(self.prometheus.ever_fired(self.name), alerts, "alerts of job {}", self.name);
    }

    /// Waits until it has been so for a while.
    fn until(&self, what: &str, lasting: Duration, is_so: impl Fn(&[prometheus::Alert]) -> bool) {
        let (began, mut since) = (Instant::now(), None);
        loop {
            let firing = self.prometheus.firing(self.name);
            since = is_so(&firing).then(|| since.unwrap_or_else(Instant::now));
            if since.is_some_and(|since| since.elapsed() >= lasting) {
                return println!("{:>5.1} s  {}: {what}", self.prometheus.age().as_secs_f64(), self.name);
            }
            assert!(began.elapsed() < BOUND, "{}: not within {BOUND:?}: {what}; {firing:?}", self.name);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn every_alert_fires_for_its_fault_and_for_no_other_and_is_over_after_it() {
    if std::env::var_os("OMS_SYNC_TEST_ALERTS").is_none_or(|value| value != "1") {
        return println!("skipped: set OMS_SYNC_TEST_ALERTS=1, see CONTRIBUTING.md");
    }
    let prometheus = Prometheus::start(&rules::hurried(HURRY));
    std::thread::scope(|scope| {
        for (name, fault, alerts) in faults::ALL {
            let job = Job { name, alerts, prometheus: &prometheus };
            scope.spawn(move || fault(&job));
        }
    });
    let seen: BTreeSet<&str> = faults::ALL.iter().flat_map(|(_, _, alerts)| *alerts).copied().collect();
    for alert in rules::alerts() {
        assert!(seen.contains(alert.as_str()), "{alert} has no fault here");
    }
    dashboard::every_panel_has_data(&prometheus);
}
