//! Why keys wait, in words, for `/status`. Decides nothing.

use crate::metrics::labels::hold_reason;
use crate::pipeline::report::{Report, TaskReport};
use crate::pipeline::task::Block;
use crate::pipeline::time::Time;

/// Why a task's keys are not on their way, in words; nothing where none wait.
pub(super) fn waits_because(task: &TaskReport, report: &Report, now: Time) -> Option<String> {
    if task.pending == 0 {
        return None;
    }
    if let Some(hold) = &report.hold {
        let seconds = now.since(hold.since).as_secs();
        return Some(format!("the worker holds ({}) for {seconds} s", hold_reason(hold.reason)));
    }
    if let Some(block) = &task.block {
        let why = match block.reason {
            Block::Permission => "OMS denies permission for it",
            Block::Stopped => "the task is stopped",
        };
        return Some(format!("{why} ({}), for {} s", block.said, now.since(block.since).as_secs()));
    }
    if task.paused_until > now {
        let seconds = task.paused_until.since(now).as_secs_f64();
        return Some(format!("its requests fail; the next one goes out in {seconds:.1} s"));
    }
    if report.pace.paused_until > now {
        let seconds = report.pace.paused_until.since(now).as_secs_f64();
        return Some(format!("OMS throttles and asks the worker to pause; it goes on in {seconds:.1} s"));
    }
    if task.in_flight >= task.concurrency_limit {
        return Some("as many requests are out as may be".to_owned());
    }
    if let Some(rate) = report.pace.rate.filter(|_| report.pace.gated) {
        return Some(format!("requests are paced at {rate:.1} a second, because of {}", limited_by(report)));
    }
    Some("it waits for company, a retry or its turn".to_owned())
}

/// What the request rate of the whole worker comes from.
pub(super) fn limited_by(report: &Report) -> &'static str {
    if report.pace.throttled { "throttling (429)" } else { "oms.max_requests_per_second" }
}
