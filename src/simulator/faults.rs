//! What can be made to go wrong, as JSON: the body of `POST /_simulator/faults` and the text of `--fault`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::identity::AccessKey;
use super::tasks::SimulatedTask;

/// Faults to set. What is named replaces what was there, what is not stays.
///
/// ```json
/// {"latency": "20ms", "jitter": "5ms", "requests_per_second": 200, "burst": 20, "retry_after": "1s",
///  "rules": [{"status": 503, "ratio": 0.1}, {"keys": "*.bad", "status": 400}, {"failure": "reset_after", "count": 3}],
///  "tasks": [{"id": "31e9", "bucket": "landing", "status": "STOPPED"}], "remove_tasks": ["77aa"],
///  "access_keys": [{"access_key": "AK2", "secret_key": "SK2"}], "clock_ahead_seconds": -1200}
/// ```
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Every answer waits so long.
    #[serde(deserialize_with = "duration")]
    pub latency: Option<Duration>,
    /// Up to so much more, evenly spread.
    #[serde(deserialize_with = "duration")]
    pub jitter: Option<Duration>,
    /// Quota of requests, refilled evenly; 0 is none. What exceeds it gets 429 APIGW.0308.
    pub requests_per_second: Option<f64>,
    /// How many requests may come at once before the quota holds; at least 1, and as many as the quota's second if never set.
    pub burst: Option<f64>,
    /// `Retry-After` of those 429, whole seconds; `0s` sends none.
    #[serde(deserialize_with = "duration")]
    pub retry_after: Option<Duration>,
    /// All rules, in order: the first that applies decides. An empty list removes them.
    pub rules: Option<Vec<Rule>>,
    /// Tasks to create or change.
    pub tasks: Vec<SimulatedTask>,
    /// Tasks to delete, by id.
    pub remove_tasks: Vec<String>,
    /// All access keys that are valid from now on; an empty list lets no signature pass. Only where signatures are checked.
    pub access_keys: Option<Vec<AccessKey>>,
    /// How far OMS's clock is ahead of this machine's, or behind it, in seconds: for signatures and the `Date` of answers.
    pub clock_ahead_seconds: Option<i64>,
}

/// One fault: which requests it is for, and either `status` or `failure`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Only requests that name this task.
    pub task: Option<String>,
    /// Only events that hold a (decoded) key of this pattern; `*` stands for any text.
    pub keys: Option<String>,
    /// Queries of tasks as well, not only events.
    pub all_requests: bool,
    /// Only this share of them, 0 to 1.
    pub ratio: Option<f64>,
    /// Only so many of them.
    pub count: Option<u64>,
    /// Only for so long, from when it is set.
    #[serde(rename = "for", deserialize_with = "duration")]
    pub lasting: Option<Duration>,
    /// Answer with this status; nothing is recorded.
    pub status: Option<u16>,
    /// `error_code`; by default one that OMS or its gateway gives with the status.
    pub code: Option<String>,
    /// `error_msg`.
    pub message: Option<String>,
    /// The whole body, instead of code and message.
    pub body: Option<String>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// Break the connection or the answer.
    pub failure: Option<Failure>,
}

/// How an answer fails to arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The connection is reset, nothing is recorded.
    ResetBefore,
    /// Recorded if in order; the connection is reset within the answer.
    ResetDuring,
    /// Recorded if in order; the connection is reset before the answer.
    ResetAfter,
    /// No answer, ever; nothing is recorded.
    Hang,
    /// Recorded if in order, then no answer, ever.
    HangAfter,
    /// Recorded if in order; the answer's body comes a byte a second.
    Drip,
}

/// A rule that says nothing or too much.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleError {
    /// Not of the shape.
    #[error("{0}; write JSON, or name=value pairs such as status=503,ratio=0.1,for=10s")]
    Shape(String),
    /// Neither or both of `status` and `failure`.
    #[error("a rule needs either status or failure")]
    Outcome,
    /// A status that HTTP does not have.
    #[error("status must be 200 to 599")]
    Status,
    /// `ratio` is no share.
    #[error("ratio must be 0 to 1")]
    Ratio,
    /// A header that cannot be sent.
    #[error("the header {0} cannot be sent: use ASCII without line ends")]
    Header(String),
}

impl Failure {
    /// Whether the request is treated as any other before the answer fails.
    pub(super) fn comes_after(self) -> bool {
        match self {
            Self::ResetBefore | Self::Hang => false,
            Self::ResetDuring | Self::ResetAfter | Self::HangAfter | Self::Drip => true,
        }
    }
}

impl Rule {
    /// Refuses a rule that says nothing or too much.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.status.is_some() == self.failure.is_some() {
            return Err(RuleError::Outcome);
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err(RuleError::Status);
        }
        if self.ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)) {
            return Err(RuleError::Ratio);
        }
        let sendable = |(name, value): &(&String, &String)| {
            hyper::header::HeaderName::try_from(name.as_str()).is_ok()
                && hyper::header::HeaderValue::try_from(value.as_str()).is_ok()
        };
        let unsendable = self.headers.iter().find(|header| !sendable(header));
        unsendable.map_or(Ok(()), |(name, _)| Err(RuleError::Header(name.clone())))
    }
}

impl Faults {
    /// Reads and checks JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, RuleError> {
        let faults: Self = serde_json::from_slice(json).map_err(|error| RuleError::Shape(error.to_string()))?;
        faults.rules.iter().flatten().try_for_each(Rule::check)?;
        Ok(faults)
    }
}

/// `--fault`: a rule as JSON, or as `name=value` pairs separated by commas.
impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let shape = |error: serde_json::Error| RuleError::Shape(error.to_string());
        let value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(shape)?
        } else {
            Value::Object(pairs(text)?)
        };
        let rule: Self = serde_json::from_value(value).map_err(shape)?;
        rule.check()?;
        Ok(rule)
    }
}

fn pairs(text: &str) -> Result<Map<String, Value>, RuleError> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').ok_or_else(|| RuleError::Shape(format!("{part:?} has no =")))?;
        let number = matches!(name, "status" | "ratio" | "count" | "all_requests");
        let value = if number { serde_json::from_str(value).ok() } else { None }.unwrap_or_else(|| value.into());
        Ok((name.to_owned(), value))
    };
    text.split(',').map(pair).collect()
}

/// A duration with its unit, such as `20ms`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| humantime::parse_duration(&text)).transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_read() {
        let json = r#"{"latency": "20ms", "jitter": "5ms", "requests_per_second": 200, "burst": 20, "retry_after": "1s",
            "rules": [{"status": 503, "ratio": 0.1}, {"keys": "*.bad", "status": 400}, {"failure": "reset_after", "count": 3}],
            "tasks": [{"id": "31e9", "bucket": "landing", "status": "STOPPED"}], "remove_tasks": ["77aa"],
            "access_keys": [{"access_key": "AK2", "secret_key": "SK2"}], "clock_ahead_seconds": -1200}"#;
        let faults = Faults::from_json(json.as_bytes()).unwrap();
        assert_eq!(faults.latency, Some(Duration::from_millis(20)));
        assert_eq!(faults.rules.unwrap()[2].failure, Some(Failure::ResetAfter));
        assert_eq!(faults.remove_tasks, ["77aa"]);
        assert_eq!((faults.access_keys.unwrap().len(), faults.clock_ahead_seconds), (1, Some(-1200)));
    }

    #[test]
    fn a_rule_is_written_as_pairs_or_as_json() {
        let rule: Rule = "status=503,task=12,for=10s,ratio=0.5".parse().unwrap();
        assert_eq!(rule, r#"{"status":503,"task":"12","for":"10s","ratio":0.5}"#.parse().unwrap());
        assert_eq!(rule.lasting, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_rule_that_says_nothing_or_too_much_is_refused() {
        for text in
            ["", "ratio=0.5", "status=503,failure=hang", "status=99", "status=503,ratio=2", "what=1,status=503", "{"]
        {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
        assert!(Faults::from_json(br#"{"rules":[{}]}"#).is_err());
        assert!(Faults::from_json(br#"{"latency":20}"#).is_err());
        let blank = Faults::from_json(br#"{"access_keys":[{"access_key":"AK","secret_key":"S K"}]}"#).unwrap_err();
        assert!(blank.to_string().contains("secret key"), "{blank}");
        assert!(Faults::from_json(br#"{"rules":[{"status":503,"headers":{"a b":"c"}}]}"#).is_err());
    }
}
