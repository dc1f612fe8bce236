//! The stall watchdog: whether the worker makes progress of its own. Pure; reads no clock and restarts nothing.
//!
//! A stall is a step that has neither ended nor failed within its own timeout and `shutdown.stall_timeout`, or records that
//! are known to be there and not delivered for as long. What ends in an error, a hold, a backoff, a rate limit or a full
//! budget is never one: no step of ours is out then.

use std::time::Duration;

use tracing::error;

use crate::config::Config;
use crate::io::consumer::{STATISTICS_INTERVAL, Symptom, Undelivered, request_timeout};
use crate::io::dead_letter::DELIVERY_TIMEOUT;
use crate::pipeline::report::Report;
use crate::pipeline::time::Time;

/// How long a commit may take by itself: the consumer gives up before.
const COMMIT_TIMEOUT: Duration = Duration::from_mins(2);
/// Questions that librdkafka may have to ask again before records come: where, of which broker, from which offset.
const ASKED_AGAIN: u32 = 2;
/// Looks come about once a second. After a longer gap the process was stopped, and nothing could end meanwhile.
const LONGEST_GAP: Duration = Duration::from_secs(10);

/// Looks at all steps that are out.
#[derive(Debug)]
pub(super) struct Watchdog {
    stall_timeout: Duration,
    /// Of a request to OMS.
    submission_timeout: Duration,
    /// Of a request to a broker.
    broker_timeout: Duration,
    /// When the Kafka client last told how it is doing.
    heard: Time,
    /// What it does not deliver, and since when.
    undelivered: Option<(String, Time)>,
    looked: Time,
    /// Since when looks come without a gap.
    awake: Time,
    stall: Option<String>,
}

impl Watchdog {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            stall_timeout: config.shutdown.stall_timeout,
            submission_timeout: config.oms.request_timeout,
            broker_timeout: request_timeout(config.kafka.properties.as_map()),
            heard: Time::START,
            undelivered: None,
            looked: Time::START,
            awake: Time::START,
            stall: None,
        }
    }

    /// The Kafka client has told what it does not deliver, and since when.
    pub(super) fn heard(&mut self, undelivered: Option<(String, Time)>, now: Time) {
        self.heard = now;
        self.undelivered = undelivered;
    }

    /// Why the worker makes no progress of its own, if it does not.
    pub(super) fn look(&mut self, report: &Report, last_poll: Time, now: Time) -> Option<&str> {
        if now.since(self.looked) > LONGEST_GAP {
            self.awake = now;
        }
        self.looked = now;
        let (what, since) = self.undelivered.as_ref().map_or(("", None), |(what, since)| (what.as_str(), Some(*since)));
        let steps = [
            ("the Kafka client has not polled", Some(last_poll), Duration::ZERO),
            ("the Kafka client tells nothing of itself", Some(self.heard), STATISTICS_INTERVAL),
            ("a request to OMS has no end", report.oldest_submission, self.submission_timeout),
            ("a dead letter has no delivery report", report.oldest_letter, DELIVERY_TIMEOUT),
            ("a commit has no result", report.commit_since, COMMIT_TIMEOUT),
            (what, since, self.broker_timeout * ASKED_AGAIN),
        ];
        let stall = steps.into_iter().find_map(|(what, since, own)| {
            let waited = now.since(since?.max(self.awake));
            (waited > own + self.stall_timeout).then(|| format!("{what} for {} s", waited.as_secs()))
        });
        if let Some(stall) = stall.as_ref().filter(|_| self.stall.is_none()) {
            error!("stalled: {stall}");
        }
        self.stall = stall;
        self.stall()
    }

    /// What the last look found.
    pub(super) fn stall(&self) -> Option<&str> {
        self.stall.as_deref()
    }
}

/// What is not delivered, in words.
pub(super) fn describe(undelivered: &Undelivered) -> String {
    match &undelivered.symptom {
        Symptom::NotDelivered(at) => format!("records of {at} are there and not delivered"),
        Symptom::Silent(at) => format!("nothing comes over the connection that {at} is fetched over"),
        Symptom::Queued => "fetched records are queued and not delivered".to_owned(),
        Symptom::Still(broker) => format!("the Kafka client's thread for {broker} has not turned"),
    }
}

#[cfg(test)]
mod tests;
