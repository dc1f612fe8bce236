//! What `/status` tells of dead letters. Decides nothing.

use serde_json::{Value, json};

use super::notices::BREAKER_REMEDY;
use crate::pipeline::report::Report;
use crate::pipeline::time::Time;

/// `problem` is why one could not be written.
pub(super) fn of(report: &Report, problem: Option<&str>, now: Time) -> Value {
    let breaker = report.breaker.as_ref().map(|breaker| {
        json!({
            "said": breaker.said,
            "for_seconds": now.since(breaker.since).as_secs_f64(),
            "next_probe_in_seconds": breaker.next_probe.map(|at| at.since(now).as_secs_f64()),
            "remedy": BREAKER_REMEDY,
        })
    });
    json!({
        "unacknowledged": report.letters, "failing": report.letters_failing, "problem": problem,
        "waiting_at_breaker": report.letters_waiting, "breaker": breaker,
    })
}
