//! What went wrong on the way to OMS, as an answer: no status code, but a kind and a sentence. Every such failure is
//! retried. Names no URL, so that nothing secret is logged.

use std::error::Error;
use std::io;

use super::error_body::bounded;
use super::verdict::MAX_MESSAGE_BYTES;
use crate::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};

pub(super) fn answer(error: reqwest::Error) -> Answer {
    let status = status(&error);
    Answer {
        verdict: Verdict::Busy(Pressure::Overloaded),
        status,
        retry_after: None,
        error_code: None,
        error_message: Some(bounded(&describe(&error.without_url()), MAX_MESSAGE_BYTES)),
        request_id: None,
    }
}

/// Nothing was sent, because there is nothing to sign with.
pub(super) fn no_credentials() -> Answer {
    Answer {
        verdict: Verdict::Hold(HoldReason::Credentials),
        status: Status::Connect,
        retry_after: None,
        error_code: None,
        error_message: Some("there are no credentials yet: nothing was sent".into()),
        request_id: None,
    }
}

fn status(error: &reqwest::Error) -> Status {
    match (error.is_connect(), error.is_timeout()) {
        (true, _) if is_tls(error) => Status::Tls,
        (true, _) => Status::Connect,
        (false, true) => Status::Timeout,
        (false, false) => Status::Reset,
    }
}

/// While connecting, only the TLS handshake reads: it reports a bad certificate or a strange answer as invalid data,
/// and a connection that is closed meanwhile as an early end.
fn is_tls(error: &reqwest::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof))
}

/// The error and its causes in one line.
pub(super) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    // An I/O error that wraps another says the same as the other.
    texts.dedup();
    texts.join(": ")
}

/// The error and its causes. What an I/O error wraps counts as its cause: `source` leaves it out.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => (*error).source(),
    })
}
