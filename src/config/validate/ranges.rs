//! The ranges of numbers and durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::document::Document;
use crate::config::problem::Findings;
use crate::config::sections::{Limits, Retry, Shutdown};

/// Longest duration that any setting takes.
const LONGEST: Duration = Duration::from_hours(24);
/// Most requests at once that any setting takes.
const MAX_IN_FLIGHT: u32 = 4_096;

pub(super) fn check(document: &Document, findings: &mut Findings) {
    let Document {
        kafka,
        oms,
        records,
        events,
        admin: _,
        ..
    } = document;
    let Retry {
        initial,
        max,
        max_retry_after,
    } = document.retry;
    let Shutdown {
        drain_timeout,
        revoke_timeout,
        stall_timeout,
    } = document.shutdown;
    let Limits {
        max_unsettled_changes,
        max_unsettled_bytes,
        max_pending_keys_per_task,
        ..
    } = document.limits;
    let mut spans = vec![
        ("kafka.commit_interval", kafka.commit_interval),
        ("oms.connect_timeout", oms.connect_timeout),
        ("oms.request_timeout", oms.request_timeout),
        ("oms.hold_probe_interval", oms.hold_probe_interval),
        ("retry.initial", initial),
        ("retry.max", max),
        ("retry.max_retry_after", max_retry_after),
        ("shutdown.drain_timeout", drain_timeout),
        ("shutdown.revoke_timeout", revoke_timeout),
        ("shutdown.stall_timeout", stall_timeout),
    ];
    spans.retain(|(_, span)| span.is_zero() || *span > LONGEST);
    for (path, _) in spans {
        findings.add(path, "out of range", "write more than 0s and at most 24h");
    }
    if events.linger > LONGEST {
        findings.add("events.linger", "out of range", "write at most 24h");
    }
    if initial > max {
        findings.add("retry.initial", "longer than retry.max", "write at most retry.max");
    }
    let mut within = |path: &str, value: u64, range: RangeInclusive<u64>| {
        if !range.contains(&value) {
            let instead = format!("write {} to {}", range.start(), range.end());
            findings.add(path, &format!("{value} is out of range"), &instead);
        }
    };
    within("events.max_keys", events.max_keys as u64, 1..=10);
    within("oms.max_in_flight", oms.max_in_flight.into(), 1..=MAX_IN_FLIGHT.into());
    within(
        "oms.max_in_flight_per_task",
        oms.max_in_flight_per_task.into(),
        1..=MAX_IN_FLIGHT.into(),
    );
    within("records.max_changes", records.max_changes as u64, 1..=1_000_000);
    within(
        "limits.max_unsettled_changes",
        max_unsettled_changes as u64,
        1..=100_000_000,
    );
    within("limits.max_unsettled_bytes", max_unsettled_bytes, 1..=1 << 40);
    within(
        "limits.max_pending_keys_per_task",
        max_pending_keys_per_task as u64,
        1..=100_000_000,
    );
    within(
        "limits.max_uncommitted_records",
        document.limits.max_uncommitted_records as u64,
        1..=1_000_000_000,
    );
    within("limits.max_tasks", document.limits.max_tasks as u64, 1..=1_000_000);
}
