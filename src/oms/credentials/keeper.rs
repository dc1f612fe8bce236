//! When a source is asked again, and what its answers are news of. Pure: `now` and the random numbers are given to it, so
//! that days of refreshing are tested in no time. Does no I/O.

use std::time::{Duration, SystemTime};

use super::source::{Expiry, Obtained, SourceError};
use super::{Credentials, Identity};
use crate::pipeline::time::Time;

/// How often files are looked at.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How long a change of files is left alone that looks half done: a new access key with the old secret key.
pub const HALF_CHANGE_SETTLES: Duration = Duration::from_secs(30);
/// Share of their remaining time after which temporary credentials are renewed, lowest and highest.
const RENEW_AFTER: (f64, f64) = (0.5, 0.67);
/// Shortest time between two questions that succeed, whatever asks for them.
pub const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// Longest time without a question for credentials that expire.
const MAX_INTERVAL: Duration = Duration::from_hours(24);
/// Waits after a question that failed, first and longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Waits after a refusal, first and longest: IAM locks a user after some wrong passwords.
const REFUSED: (Duration, Duration) = (Duration::from_mins(5), Duration::from_hours(1));

/// What the worker is told.
#[derive(Clone, Debug)]
pub enum News {
    /// Other credentials than before.
    Offered(Identity),
    /// There are none, or none any more.
    Missing(String),
    /// Those that are there are good for some time yet, but no others can be had.
    Problem(String),
}

/// Keeps one source's credentials.
#[derive(Debug)]
pub struct Keeper {
    latest: Option<Identity>,
    /// Read once, and not taken yet.
    unsettled: Option<(Identity, Time)>,
    expires_at: Option<SystemTime>,
    /// When the latest end, on the worker's clock.
    ends: Option<Time>,
    ask_at: Time,
    asked: Option<Time>,
    failures: u32,
    refused: bool,
    said: Option<String>,
}

impl Keeper {
    /// Asks at once.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            latest: None,
            unsettled: None,
            expires_at: None,
            ends: None,
            ask_at: now,
            asked: None,
            failures: 0,
            refused: false,
            said: None,
        }
    }

    /// When something is due: a question, or the end of the credentials.
    #[must_use]
    pub fn next(&self) -> Time {
        self.ends.map_or(self.ask_at, |ends| ends.min(self.ask_at))
    }

    /// Whether the source is to be asked now.
    #[must_use]
    pub fn is_due(&self, now: Time) -> bool {
        self.ask_at <= now
    }

    /// When the latest credentials expire.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// OMS refuses them: the source is asked soon, unless it refuses itself.
    pub fn hurry(&mut self, now: Time) {
        if !self.refused {
            let soon = self.asked.map_or(now, |asked| now.max(asked.after(MIN_INTERVAL)));
            self.ask_at = self.ask_at.min(soon);
        }
    }

    /// The latest credentials have come to their end without others.
    pub fn expire(&mut self, now: Time) -> Option<News> {
        if self.ends.is_none_or(|ends| ends > now) {
            return None;
        }
        let when = self.expires_at.map(|at| humantime::format_rfc3339_seconds(at).to_string()).unwrap_or_default();
        let why = self.said.as_deref().unwrap_or("no others were asked for in time");
        let news = News::Missing(format!("the credentials expired at {when}, and there are no others: {why}"));
        (self.latest, self.ends, self.expires_at) = (None, None, None);
        Some(news)
    }

    /// The source gave credentials; `polled` is whether it has to be looked at to see a change.
    pub fn obtained(&mut self, it: Obtained, polled: bool, now: Time, random: &mut fastrand::Rng) -> Option<News> {
        (self.failures, self.refused, self.said, self.asked) = (0, false, None, Some(now));
        self.ask_at = now.after(wait(&it, polled, random));
        if self.latest.as_ref() == Some(&it.identity) {
            self.unsettled = None;
            self.expire_with(it.expiry, now);
            return None;
        }
        if !self.is_settled(&it, now) {
            return None;
        }
        self.unsettled = None;
        self.expire_with(it.expiry, now);
        self.latest = Some(it.identity.clone());
        Some(News::Offered(it.identity))
    }

    fn expire_with(&mut self, expiry: Option<Expiry>, now: Time) {
        self.expires_at = expiry.map(|expiry| expiry.at);
        self.ends = expiry.map(|expiry| now.after(expiry.left));
    }

    /// Files that are not swapped as one are taken once they were read twice alike, and later where only a part of them
    /// has changed. The first ones are taken as they are.
    fn is_settled(&mut self, it: &Obtained, now: Time) -> bool {
        let Some(latest) = self.latest.as_ref().filter(|_| !it.whole) else { return true };
        let since = match &self.unsettled {
            Some((identity, since)) if *identity == it.identity => *since,
            _ => {
                self.unsettled = Some((it.identity.clone(), now));
                return false;
            }
        };
        is_complete_change(latest, &it.identity) || now.since(since) >= HALF_CHANGE_SETTLES
    }

    /// The source gave nothing.
    pub fn failed(&mut self, error: &SourceError, polled: bool, now: Time, random: &mut fastrand::Rng) -> Option<News> {
        self.asked = Some(now);
        self.refused = matches!(error, SourceError::Refused(_));
        let (first, longest) = if self.refused { REFUSED } else { RETRY };
        let wait = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let polls = polled && self.latest.is_some();
        self.ask_at = now.after(if polls { POLL_INTERVAL } else { wait.mul_f64(0.75 + random.f64() / 4.0) });
        let said = error.to_string();
        if self.said.as_ref() == Some(&said) {
            return None;
        }
        self.said = Some(said.clone());
        Some(if self.latest.is_some() { News::Problem(said) } else { News::Missing(said) })
    }
}

fn wait(it: &Obtained, polled: bool, random: &mut fastrand::Rng) -> Duration {
    let (low, high) = RENEW_AFTER;
    match it.expiry {
        Some(Expiry { left, .. }) => {
            let share = low + (high - low) * random.f64();
            left.mul_f64(share).clamp(MIN_INTERVAL.min(left / 2), MAX_INTERVAL)
        }
        None if polled => POLL_INTERVAL,
        None => MAX_INTERVAL,
    }
}

/// Whether every part has changed, as when other keys are given out.
fn is_complete_change(old: &Identity, new: &Identity) -> bool {
    let (Identity::Keys(old), Identity::Keys(new)) = (old, new) else { return true };
    let token = Credentials::security_token;
    let tokens_differ = token(old) != token(new) || token(new).is_none();
    old.access_key() != new.access_key() && old.secret_key() != new.secret_key() && tokens_differ
}

#[cfg(test)]
mod tests;
