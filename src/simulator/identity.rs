//! Whose signatures OMS takes and what its clock shows, both to be changed at run time: keys are rotated, clocks go wrong.
//! Pure: the time is an argument.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};

use crate::oms::credentials::Credentials;

use super::faults::Faults;

/// An access key with its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessKey(Credentials);

/// `{"access_key": ..., "secret_key": ...}`
impl<'de> Deserialize<'de> for AccessKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            access_key: String,
            secret_key: String,
        }
        let pair = Pair::deserialize(deserializer)?;
        let credentials = Credentials::new(&pair.access_key, &pair.secret_key, None);
        credentials.map(Self).map_err(serde::de::Error::custom)
    }
}

/// What signatures are checked with.
#[derive(Clone)]
pub(super) struct Gatekeeper {
    /// `None` checks no signature.
    keys: Option<Arc<[Credentials]>>,
    clock_ahead_seconds: i64,
}

impl Gatekeeper {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self { keys: credentials.map(|one| Arc::from([one])), clock_ahead_seconds: 0 }
    }

    /// Puts in force what `faults` names.
    pub(super) fn change(&mut self, faults: &mut Faults) {
        if let Some(keys) = faults.access_keys.take()
            && self.keys.is_some()
        {
            self.keys = Some(keys.into_iter().map(|AccessKey(credentials)| credentials).collect());
        }
        self.clock_ahead_seconds = faults.clock_ahead_seconds.take().unwrap_or(self.clock_ahead_seconds);
    }

    /// The keys that are valid; `None` where no signature is checked.
    pub(super) fn keys(&self) -> Option<&[Credentials]> {
        self.keys.as_deref()
    }

    /// What OMS's clock shows when this machine's shows `now`.
    pub(super) fn clock(&self, now: SystemTime) -> SystemTime {
        let apart = Duration::from_secs(self.clock_ahead_seconds.unsigned_abs());
        let shown = if self.clock_ahead_seconds < 0 { now.checked_sub(apart) } else { now.checked_add(apart) };
        shown.unwrap_or(now)
    }
}
