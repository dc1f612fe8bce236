//! The ranges of numbers and durations.

use std::time::Duration;

use crate::config::document::Document;
use crate::config::problem::Findings;
use crate::formats::MAX_CHANGES_LIMIT;

/// Longest duration that any setting takes.
const LONGEST: Duration = Duration::from_hours(24);
/// OMS is not asked more often for the project's tasks.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Most requests at once that any setting takes.
const MAX_IN_FLIGHT: u64 = 4_096;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    check_durations(document, findings);
    check_numbers(document, findings);
    if document.retry.initial > document.retry.max {
        findings.add("retry.initial", "longer than retry.max", "write at most retry.max");
    }
}

fn check_durations(document: &Document, findings: &mut Findings) {
    let Document { kafka, oms, retry, shutdown, .. } = document;
    let spans = [
        ("kafka.commit_interval", kafka.commit_interval),
        ("oms.connect_timeout", oms.connect_timeout),
        ("oms.request_timeout", oms.request_timeout),
        ("oms.hold_probe_interval", oms.hold_probe_interval),
        ("retry.initial", retry.initial),
        ("retry.max", retry.max),
        ("retry.max_retry_after", retry.max_retry_after),
        ("shutdown.drain_timeout", shutdown.drain_timeout),
        ("shutdown.revoke_timeout", shutdown.revoke_timeout),
        ("shutdown.stall_timeout", shutdown.stall_timeout),
    ];
    for (path, _) in spans.iter().filter(|(_, span)| span.is_zero() || *span > LONGEST) {
        findings.add(path, "out of range", "write more than 0s and at most 24h");
    }
    if !(SHORTEST_INTERVAL..=LONGEST).contains(&document.discovery.interval) {
        findings.add("discovery.interval", "out of range", "write 1s to 24h");
    }
    if document.events.linger > LONGEST {
        findings.add("events.linger", "out of range", "write at most 24h");
    }
}

fn check_numbers(document: &Document, findings: &mut Findings) {
    let Document { oms, records, events, limits, dead_letter, .. } = document;
    let breaker = dead_letter.breaker;
    let numbers = [
        ("events.max_keys", events.max_keys as u64, 1..=10),
        ("oms.max_in_flight", oms.max_in_flight.into(), 1..=MAX_IN_FLIGHT),
        ("oms.max_in_flight_per_task", oms.max_in_flight_per_task.into(), 1..=MAX_IN_FLIGHT),
        ("dead_letter.breaker.max_per_minute", breaker.max_per_minute.unwrap_or(1).into(), 1..=1_000_000),
        ("dead_letter.breaker.min_records", breaker.min_records.into(), 1..=1_000_000),
        ("records.max_changes", records.max_changes as u64, 1..=MAX_CHANGES_LIMIT as u64),
        ("limits.max_unsettled_changes", limits.max_unsettled_changes as u64, 1..=100_000_000),
        ("limits.max_unsettled_bytes", limits.max_unsettled_bytes, 1..=1 << 40),
        ("limits.max_pending_keys_per_task", limits.max_pending_keys_per_task as u64, 1..=100_000_000),
        ("limits.max_uncommitted_records", limits.max_uncommitted_records as u64, 1..=1_000_000_000),
        ("limits.max_tasks", limits.max_tasks as u64, 1..=1_000_000),
    ];
    for (path, value, range) in numbers {
        if !range.contains(&value) {
            let instead = format!("write {} to {}", range.start(), range.end());
            findings.add(path, &format!("{value} is out of range"), &instead);
        }
    }
    if !(limits.max_blocked_share_per_task > 0.0 && limits.max_blocked_share_per_task <= 1.0) {
        let instead = "write a number above 0 and at most 1, such as 0.75";
        findings.add("limits.max_blocked_share_per_task", "out of range", instead);
    }
    if breaker.max_ratio.is_some_and(|ratio| !(ratio > 0.0 && ratio < 1.0)) {
        let instead = "write a number above 0 and below 1, such as 0.5, or null for no such limit";
        findings.add("dead_letter.breaker.max_ratio", "out of range", instead);
    }
}
