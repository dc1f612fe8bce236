//! Which error codes mean what: `oms.verdict_codes`. A list that is written replaces its default as a whole. Only names
//! codes; `verdict` says what follows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the error codes of OMS and its gateway mean, at status 400; `throttled` at any status of 400 and above. A list
/// that is written replaces the default; no code may be in two lists.
///
/// The defaults are the codes of OMS's and the gateway's error-code pages (`OMS.*`; `APIGW.*` with the older `APIG.*`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VerdictCodes {
    /// Authentication failed: the whole worker holds.
    pub credentials: Vec<String>,
    /// The account is restricted, frozen, not verified or has no rights: the whole worker holds.
    pub account: Vec<String>,
    /// Not the right endpoint or project: the whole worker holds, as it does for every code that no list and no prefix names.
    pub endpoint: Vec<String>,
    /// No right on this task: the task holds.
    pub permission: Vec<String>,
    /// The task is unknown: every key of the event is dead-lettered.
    pub unknown_task: Vec<String>,
    /// The state of the task forbids events: its changes wait.
    pub task_stopped: Vec<String>,
    /// An internal error or a quota: tried again for ever.
    pub busy: Vec<String>,
    /// The event is refused, although the code does not begin with one of `own_prefixes`.
    pub refused: Vec<String>,
    /// Too many requests, at any status of 400 and above: the request rate of the whole worker is lowered.
    pub throttled: Vec<String>,
    /// What the codes of OMS itself begin with. Such a code that is in no list refuses the event at 400; any such code at 404 means that the task is unknown.
    pub own_prefixes: Vec<String>,
}

impl Default for VerdictCodes {
    fn default() -> Self {
        let list = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        Self {
            credentials: list(&["OMS.0068", "OMS.1005"]),
            account: list(&["OMS.0072", "OMS.0201", "OMS.0202", "OMS.0203", "OMS.0204"]),
            endpoint: Vec::new(),
            permission: list(&["OMS.0053", "OMS.0205", "OMS.0206"]),
            unknown_task: list(&["OMS.0054", "OMS.1009"]),
            task_stopped: list(&["OMS.0063", "OMS.0065", "OMS.0066", "OMS.0070"]),
            busy: list(&["OMS.1001", "OMS.1021"]),
            refused: list(&["APIGW.0201", "APIG.0201"]),
            throttled: list(&["APIGW.0308", "APIG.0308"]),
            own_prefixes: list(&["OMS."]),
        }
    }
}

impl VerdictCodes {
    /// The lists of whole codes by name: all but `own_prefixes`.
    #[must_use]
    pub fn lists(&self) -> [(&'static str, &[String]); 9] {
        [
            ("credentials", &self.credentials),
            ("account", &self.account),
            ("endpoint", &self.endpoint),
            ("permission", &self.permission),
            ("unknown_task", &self.unknown_task),
            ("task_stopped", &self.task_stopped),
            ("busy", &self.busy),
            ("refused", &self.refused),
            ("throttled", &self.throttled),
        ]
    }
}
