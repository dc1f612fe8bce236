//! What went wrong on the way to OMS, as an answer: no status code, but a kind, and a sentence that says what to do. Every
//! such failure is retried. Names no URL, so that nothing secret is logged.

use std::error::Error;
use std::io;

use super::error_body::bounded;
use super::verdict::MAX_MESSAGE_BYTES;
use crate::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};

/// What to do where the other side ended the handshake without a word.
const CUT_SHORT: &str = "check host and port of oms.endpoint, and whether a proxy in between lets TLS through";

pub(super) fn answer(error: reqwest::Error) -> Answer {
    let status = status(&error);
    let advice = advice(&error, status);
    let what = describe(&error.without_url());
    let what = bounded(&what, MAX_MESSAGE_BYTES - "; ".len() - advice.len());
    Answer {
        verdict: Verdict::Busy(Pressure::Overloaded),
        status,
        retry_after: None,
        error_code: None,
        error_message: Some(format!("{what}; {advice}").into()),
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
        _ if cause::<rustls::Error>(error).is_some() => Status::Tls,
        (true, false) if is_cut_short(error) => Status::Tls,
        (true, _) => Status::Connect,
        (false, true) => Status::Timeout,
        (false, false) => Status::Reset,
    }
}

/// While connecting, only the TLS handshake reads: an early end there is a connection closed during the handshake.
fn is_cut_short(error: &reqwest::Error) -> bool {
    let mut io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.any(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// What to do about it. It is tried again in any case.
fn advice(error: &reqwest::Error, status: Status) -> &'static str {
    match status {
        Status::Tls => cause::<rustls::Error>(error).map_or(CUT_SHORT, tls_advice),
        Status::Connect => "check oms.endpoint, name resolution, the network, and HTTPS_PROXY where one is set",
        Status::Timeout => "if it goes on, raise oms.request_timeout or lower oms.max_in_flight",
        _ if cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) => {
            "what answers does not speak HTTP as OMS does: check scheme, host and port of oms.endpoint"
        }
        _ => "if it goes on, check the network and what is between here and oms.endpoint",
    }
}

fn tls_advice(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => {
                "check this machine's clock; if it is right, the owner of oms.endpoint must renew the certificate"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "write a host into oms.endpoint that the certificate names"
            }
            _ => {
                "if you trust who answers, put the certificate of its issuer into oms.ca_file; else check oms.endpoint"
            }
        },
        rustls::Error::InvalidMessage(_) => "what answers does not speak TLS: check scheme and port of oms.endpoint",
        _ => CUT_SHORT,
    }
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

fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref())
}
