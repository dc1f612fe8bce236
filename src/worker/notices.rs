//! What people read in the log: one line a change of state, never one a record.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tracing::{info, warn};

use crate::io::dead_letter::TOO_LARGE;
use crate::metrics::labels::hold_reason;
use crate::pipeline::Notice;
use crate::pipeline::answer::HoldReason;
use crate::pipeline::failure::TASK_STOPPED;
use crate::pipeline::letters::DeadLetter;
use crate::pipeline::record::Record;
use crate::pipeline::task::Block;
use crate::pipeline::time::Time;

use super::routes_status;

/// Notes on the table of routes that are logged with it.
const LOGGED_NOTES: usize = 10;
/// Shortest time between two lines about dead letters of the same reason.
const DEAD_LETTER_INTERVAL: Duration = Duration::from_mins(1);

/// What to do about a hold of the whole worker.
pub(crate) fn remedy(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::Credentials => {
            "check the access key, the secret key and the machine's clock; new ones in files or from a service are taken up at once, \
             for those of the configuration start the worker anew"
        }
        HoldReason::Account => "check the account in the cloud's console: restricted, frozen or not verified",
        HoldReason::Endpoint => "check oms.endpoint or oms.region, and oms.project_id",
        HoldReason::Permission => "give the identity the right oms:synctask:createEvent on the task",
    }
}

/// What to do about an open breaker.
pub(super) const BREAKER_REMEDY: &str = "find out why so much is refused; keys that OMS refused are asked for again by themselves once a probe \
     is accepted, for all else put records.* or routes right and start the worker anew; to have it dead-lettered all the same, raise \
     dead_letter.breaker.max_per_minute and max_ratio, or unset both, and start it anew";

/// What to do about a dead letter that cannot be written.
pub(super) fn letter_remedy(code: &str) -> &'static str {
    match code {
        TOO_LARGE => "; raise its max.message.bytes",
        "TopicAuthorizationFailed" => "; give this client the right WRITE on it",
        _ => "",
    }
}

/// Writes the line of a notice.
pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::HoldBegan(reason, said) => {
            let (reason, remedy) = (hold_reason(*reason), remedy(*reason));
            warn!(reason, %said, remedy, "hold: nothing but probes is sent, nothing is dead-lettered");
        }
        Notice::HoldGoesOn(reason, said) => {
            warn!(reason = hold_reason(*reason), %said, "hold goes on: a probe was refused too");
        }
        Notice::HoldEnded(reason) => info!(reason = hold_reason(*reason), "hold ended"),
        Notice::CredentialsRefused(said) => {
            warn!(%said, "renewed credentials were refused: those in use are used on, the new ones are tried again later");
        }
        Notice::TaskBlocked(task, block, said) => {
            warn!(%task, reason = block_reason(*block), %said, "task held: its changes wait, a probe goes out now and then");
        }
        Notice::TaskUnblocked(task, block) => info!(%task, reason = block_reason(*block), "task goes on"),
        Notice::Condemned(task, TASK_STOPPED, said) => {
            warn!(%task, reason = TASK_STOPPED, %said, "the task is stopped: its changes are dead-lettered, as stopped_tasks says");
        }
        Notice::Condemned(task, reason, said) => {
            warn!(%task, reason, %said, "OMS refuses keys of this task for good: they are dead-lettered");
        }
        Notice::RoutesChanged { table, gone } => {
            let (tasks, routes) = (table.tasks.len(), routes_status::line(&table.routes));
            let gone = (!gone.is_empty()).then(|| routes_status::line(gone));
            info!(tasks, routes, gone, "routes found");
            table.notes.iter().take(LOGGED_NOTES).for_each(|note| warn!("{note}"));
        }
        Notice::RoutesProblem { said, has_table: true } => {
            warn!(%said, "routes are in doubt: all others are in use, and nothing is dead-lettered for it");
        }
        Notice::RoutesProblem { said, has_table: false } => {
            warn!(%said, "no routes yet: nothing is read, asking OMS again");
        }
        Notice::RoutesInOrder => info!("routes are in order again"),
        Notice::BreakerOpened(said) => {
            warn!(%said, remedy = BREAKER_REMEDY, "dead-letter breaker opened: dead letters wait, their records stay uncommitted");
        }
        Notice::BreakerProbes(waiting) => warn!(waiting, "dead-letter breaker is open: a probe goes out"),
        Notice::BreakerClosed(waiting) => info!(waiting, "dead-letter breaker closed: dead letters are written again"),
        Notice::GivenBack(unsettled) => info!(unsettled, "revoked partitions are given back"),
    }
}

fn block_reason(block: Block) -> &'static str {
    match block {
        Block::Permission => hold_reason(HoldReason::Permission),
        Block::Stopped => "stopped",
    }
}

/// Tells of dead letters: the first of a reason at once, then one line a minute with how many there were.
#[derive(Debug, Default)]
pub(super) struct DeadLetterLog {
    /// By reason: when it was told last, and how many came since.
    told: FxHashMap<&'static str, (Time, u64)>,
    /// Whether one that was too large was told of.
    told_too_large: bool,
}

impl DeadLetterLog {
    /// Told once: it may happen to every letter.
    pub(super) fn tell_too_large(&mut self, letter: &DeadLetter, to: &str) {
        if !std::mem::replace(&mut self.told_too_large, true) {
            let Record { topic, partition, offset, .. } = &*letter.record;
            warn!(
                record = format!("{topic}[{partition}]@{offset}"),
                remedy = "raise the dead-letter topic's max.message.bytes above the source topic's",
                "topic {to} does not take the dead letter: written without the record's value, and in parts where it must be; \
                 told once"
            );
        }
    }

    pub(super) fn tell(&mut self, letter: &DeadLetter, now: Time) {
        let reason = letter.failure.reason;
        let (last, since) = self.told.entry(reason).or_insert((Time::START, 0));
        *since += 1;
        if *last != Time::START && now.since(*last) < DEAD_LETTER_INTERVAL {
            return;
        }
        let (record, count) = (&letter.record, *since);
        (*last, *since) = (now, 0);
        let at = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
        warn!(reason, count, record = at, "dead-lettered; the count is since the last line of this reason");
    }
}
