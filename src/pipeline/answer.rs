//! What came back for a submission, and what it means. `oms::verdict` makes these, the pipeline acts on them.

use std::fmt;
use std::time::Duration;

/// What an answer means for the event that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// OMS took every key of the event.
    Accepted,
    /// OMS will never take this event as it is: more than one key is split, one key alone is dead-lettered.
    Refused,
    /// OMS does not know the task: every key of the event is dead-lettered.
    UnknownTask,
    /// Nothing is dead-lettered and nothing but a probe is sent until a probe succeeds.
    Hold(HoldReason),
    /// The task is stopped: its changes wait, nothing but a probe is sent for it.
    TaskStopped,
    /// Try again later, for ever.
    Busy(Pressure),
}

/// Why nothing may be sent. The first three hold the whole worker, the last one task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HoldReason {
    /// Authentication failed: wrong, expired or locked key.
    Credentials,
    /// The account is restricted, frozen or not verified.
    Account,
    /// What answers does not look like OMS: wrong host, path, project or region.
    Endpoint,
    /// The identity lacks a right on this task.
    Permission,
}

/// What kind of "later" a busy answer is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pressure {
    /// 429 or APIGW.0308: the request rate of the whole client is too high.
    Throttled,
    /// 408, 425, 503, other 5xx, timeouts and connection failures: the other side cannot keep up or cannot be reached.
    Overloaded,
    /// 500, 502, 504: a fault that may belong to these keys.
    Faulted,
}

/// How a submission ended on the wire; the label `status` of `oms_sync_submissions_total`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// An HTTP status code, 100 to 599.
    Http(u16),
    /// No complete answer within `oms.request_timeout`.
    Timeout,
    /// No connection: refused, unreachable, name not found.
    Connect,
    /// The connection broke before the answer was complete.
    Reset,
    /// TLS failed, in the handshake or after it.
    Tls,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(code) => write!(f, "{code}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Connect => f.write_str("connect"),
            Self::Reset => f.write_str("reset"),
            Self::Tls => f.write_str("tls"),
        }
    }
}

/// One answer, classified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// What was seen on the wire.
    pub status: Status,
    /// `Retry-After`, as a duration from the answer's arrival; not yet capped.
    pub retry_after: Option<Duration>,
    /// `error_code` of the body, at most 128 bytes.
    pub error_code: Option<Box<str>>,
    /// `error_msg` of the body or what the client found, at most 1,024 bytes, secrets and control characters removed.
    pub error_message: Option<Box<str>>,
    /// `X-Request-Id` of the answer, at most 128 bytes.
    pub request_id: Option<Box<str>>,
}

impl Answer {
    /// What it said, in a few words for people.
    #[must_use]
    pub fn said(&self) -> Box<str> {
        let code = self.error_code.as_deref().unwrap_or("no code");
        let message = self.error_message.as_deref().unwrap_or("no message");
        format!("{}, {code}: {message}", self.status).into()
    }
}
