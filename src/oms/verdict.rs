//! What an answer of OMS, or of the gateway before it, means. Pure: status, headers and body in, [`Answer`] out.
//!
//! When in doubt nothing is dead-lettered: what does not look like OMS is a hold, never a refusal.

use std::time::{Duration, SystemTime};

use crate::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};

use super::clock;
pub use super::codes::VerdictCodes;
use super::error_body::{self, ErrorBody};

/// Longest error code that is kept, in bytes.
pub const MAX_CODE_BYTES: usize = 128;
/// Longest error message that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024;
/// Longest request id that is kept, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 128;

/// An answer as it came in, the parts that decide.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// HTTP status code.
    pub status: u16,
    /// `Retry-After`: seconds, or an HTTP date.
    pub retry_after: Option<&'a str>,
    /// `X-Request-Id`.
    pub request_id: Option<&'a str>,
    /// `Date`: what the other side's clock showed.
    pub date: Option<&'a str>,
    /// The body, or its bounded beginning.
    pub body: &'a [u8],
    /// Whether there was more. The beginning of a body tells nothing: it may be blank, or whole JSON, by chance.
    pub is_cut_off: bool,
}

/// Classifies a complete answer. `now` is its arrival, for a `Retry-After` that is a date. `token` is removed from the
/// message wherever it stands: a gateway may echo the signed headers. Where a signature was refused and the clocks
/// disagree, the message begins with that.
#[must_use]
pub fn classify(reply: &Reply<'_>, now: SystemTime, codes: &VerdictCodes, token: Option<&str>) -> Answer {
    let error = if reply.is_cut_off { ErrorBody::NotJson } else { error_body::parse(reply.body) };
    let message = match &error {
        ErrorBody::Error { message, .. } => message.as_deref().map(|m| clean(m, token)),
        ErrorBody::NotJson => Some(clean(&String::from_utf8_lossy(reply.body), token)),
        ErrorBody::Empty | ErrorBody::OtherJson => None,
    };
    let skew = if reply.status == 401 { clock::told(reply.date, now) } else { None };
    let message = match (skew, message) {
        (Some(skew), message) => Some(error_body::bounded(
            &format!("{skew}; {}", message.as_deref().unwrap_or("no message")),
            MAX_MESSAGE_BYTES,
        )),
        (None, message) => message,
    };
    Answer {
        verdict: verdict(reply.status, &error, codes),
        status: Status::Http(reply.status),
        retry_after: reply.retry_after.and_then(|text| retry_after(text, now)),
        error_code: error.code().map(|code| error_body::bounded(code, MAX_CODE_BYTES)),
        error_message: message.filter(|m| !m.is_empty()),
        request_id: reply.request_id.map(|id| error_body::bounded(id, MAX_REQUEST_ID_BYTES)),
    }
}

fn clean(message: &str, token: Option<&str>) -> Box<str> {
    error_body::bounded(&error_body::redacted(message, token), MAX_MESSAGE_BYTES)
}

fn verdict(status: u16, error: &ErrorBody, codes: &VerdictCodes) -> Verdict {
    let code = error.code();
    if status >= 400 && code.is_some_and(|code| contains(&codes.throttled, code)) {
        return Verdict::Busy(Pressure::Throttled);
    }
    match status {
        200..=299 if matches!(error, ErrorBody::Empty | ErrorBody::OtherJson) => Verdict::Accepted,
        400 => code.map_or(Verdict::Hold(HoldReason::Endpoint), |code| bad_request(code, codes)),
        401 => Verdict::Hold(HoldReason::Credentials),
        403 => Verdict::Hold(HoldReason::Permission),
        404 if code.is_some_and(|code| is_own(code, codes)) => Verdict::UnknownTask,
        413 => Verdict::Refused,
        429 => Verdict::Busy(Pressure::Throttled),
        500 | 502 | 504 => Verdict::Busy(Pressure::Faulted),
        408 | 425 | 501..=599 => Verdict::Busy(Pressure::Overloaded),
        _ => Verdict::Hold(HoldReason::Endpoint),
    }
}

/// Status 400 with a code: the code decides, because OMS reports rights, accounts and its own faults so as well.
fn bad_request(code: &str, codes: &VerdictCodes) -> Verdict {
    let named = [
        (&codes.credentials, Verdict::Hold(HoldReason::Credentials)),
        (&codes.account, Verdict::Hold(HoldReason::Account)),
        (&codes.endpoint, Verdict::Hold(HoldReason::Endpoint)),
        (&codes.permission, Verdict::Hold(HoldReason::Permission)),
        (&codes.unknown_task, Verdict::UnknownTask),
        (&codes.task_stopped, Verdict::TaskStopped),
        (&codes.busy, Verdict::Busy(Pressure::Overloaded)),
        (&codes.refused, Verdict::Refused),
    ];
    let found = named.into_iter().find(|(list, _)| contains(list, code)).map(|(_, verdict)| verdict);
    let unnamed = if is_own(code, codes) { Verdict::Refused } else { Verdict::Hold(HoldReason::Endpoint) };
    found.unwrap_or(unnamed)
}

fn contains(list: &[String], code: &str) -> bool {
    list.iter().any(|known| known == code)
}

fn is_own(code: &str, codes: &VerdictCodes) -> bool {
    codes.own_prefixes.iter().any(|prefix| code.starts_with(prefix.as_str()))
}

/// Seconds, or an HTTP date; one that has passed is zero. `None` for any other text.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok().map(|at| at.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn verdict_of(status: u16, body: &str) -> Verdict {
        let reply = Reply { status, body: body.as_bytes(), ..Reply::default() };
        classify(&reply, UNIX_EPOCH, &VerdictCodes::default(), None).verdict
    }

    fn check(status: u16, codes: &[&str], expected: Verdict) {
        for code in codes {
            let body = format!(r#"{{"error_code":"{code}","error_msg":"m"}}"#);
            assert_eq!(verdict_of(status, &body), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_success_is_accepted_only_with_an_empty_body_or_json_without_a_code() {
        for (status, body) in [(200, ""), (200, " \r\n"), (200, "{}"), (201, r#"{"id":1}"#), (204, ""), (299, "[]")] {
            assert_eq!(verdict_of(status, body), Verdict::Accepted, "{status} {body}");
        }
        for body in ["<html>login</html>", "{", r#"{"error_code":"OMS.0001"}"#, r#"{"error_code":"X"}"#] {
            assert_eq!(verdict_of(200, body), Verdict::Hold(HoldReason::Endpoint), "{body}");
        }
    }

    #[test]
    fn the_beginning_of_a_longer_body_accepts_and_refuses_nothing() {
        for (status, body) in [(200, " "), (200, "{}"), (400, r#"{"error_code":"OMS.0061"}"#)] {
            let reply = Reply { status, body: body.as_bytes(), is_cut_off: true, ..Reply::default() };
            let verdict = classify(&reply, UNIX_EPOCH, &VerdictCodes::default(), None).verdict;
            assert_eq!(verdict, Verdict::Hold(HoldReason::Endpoint), "{status} {body}");
        }
    }

    #[test]
    fn a_bad_request_is_judged_by_its_code() {
        let hold = Verdict::Hold;
        check(400, &["OMS.0001", "OMS.0061", "OMS.0077", "OMS.9999", "APIGW.0201", "APIG.0201"], Verdict::Refused);
        check(400, &["OMS.0054", "OMS.1009"], Verdict::UnknownTask);
        check(400, &["OMS.0068", "OMS.1005"], hold(HoldReason::Credentials));
        check(400, &["OMS.0072", "OMS.0201", "OMS.0202", "OMS.0203", "OMS.0204"], hold(HoldReason::Account));
        check(400, &["OMS.0053", "OMS.0205", "OMS.0206"], hold(HoldReason::Permission));
        check(400, &["OMS.0063", "OMS.0065", "OMS.0066", "OMS.0070"], Verdict::TaskStopped);
        check(400, &["OMS.1001", "OMS.1021"], Verdict::Busy(Pressure::Overloaded));
        check(
            400,
            &["APIGW.0103", "APIGW.0106", "APIG.0101", "IAM.0001", "oms.0001", "400"],
            hold(HoldReason::Endpoint),
        );
    }

    #[test]
    fn an_answer_without_a_code_is_not_from_oms() {
        for status in [400, 404] {
            for body in
                ["", "no", "<html>", "{}", r#"{"error_msg":"m"}"#, r#"{"error_code":null}"#, r#"{"error_code":""}"#]
            {
                assert_eq!(verdict_of(status, body), Verdict::Hold(HoldReason::Endpoint), "{status} {body}");
            }
        }
    }

    #[test]
    fn not_found_refuses_only_with_a_code_of_oms() {
        check(404, &["OMS.1009", "OMS.0054", "OMS.0001"], Verdict::UnknownTask);
        check(404, &["APIGW.0101", "APIG.0101", "APIGW.0201"], Verdict::Hold(HoldReason::Endpoint));
    }

    #[test]
    fn every_other_status_has_one_meaning_with_and_without_a_body() {
        let busy = Verdict::Busy;
        let rows = [
            (&[401][..], Verdict::Hold(HoldReason::Credentials)),
            (&[403], Verdict::Hold(HoldReason::Permission)),
            (&[413], Verdict::Refused),
            (&[408, 425, 501, 503, 505, 599], busy(Pressure::Overloaded)),
            (&[500, 502, 504], busy(Pressure::Faulted)),
            (&[429], busy(Pressure::Throttled)),
            (&[300, 301, 302, 304, 307, 308, 399], Verdict::Hold(HoldReason::Endpoint)),
            (
                &[402, 405, 406, 409, 410, 414, 418, 422, 431, 451, 494, 499, 600, 999],
                Verdict::Hold(HoldReason::Endpoint),
            ),
        ];
        for (statuses, expected) in rows {
            for status in statuses {
                assert_eq!(verdict_of(*status, ""), expected, "{status}");
                assert_eq!(verdict_of(*status, "<html>"), expected, "{status}");
                check(*status, &["OMS.0068", "APIGW.0301"], expected);
            }
        }
    }

    #[test]
    fn the_throttling_code_means_throttled_at_any_error_status() {
        for status in [400, 403, 404, 429, 500, 503] {
            check(status, &["APIGW.0308", "APIG.0308"], Verdict::Busy(Pressure::Throttled));
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 02:00:00 GMT").unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Tue, 24 Nov 2026 02:01:30 GMT", Some(90)),
            ("Tue, 24 Nov 2026 01:00:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn what_is_kept_of_an_answer_is_bounded_and_clean() {
        let body = serde_json::json!({
            "error_code": "C".repeat(500),
            "error_msg": format!("verify fail x-security-token:SECRET|{} \u{7}", "é".repeat(2000)),
        });
        let body = body.to_string();
        let id = "i".repeat(500);
        let reply = Reply { status: 401, body: body.as_bytes(), request_id: Some(&id), ..Reply::default() };
        let answer = classify(&reply, UNIX_EPOCH, &VerdictCodes::default(), Some("OTHER"));
        assert_eq!(answer.error_code.unwrap().len(), MAX_CODE_BYTES);
        assert_eq!(answer.request_id.unwrap().len(), MAX_REQUEST_ID_BYTES);
        let message = answer.error_message.unwrap();
        assert!(message.len() <= MAX_MESSAGE_BYTES && message.len() > MAX_MESSAGE_BYTES - 2);
        assert!(!message.contains("SECRET"), "{message}");
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_a_refused_signature_and_with_nothing_else() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 02:00:00 GMT").unwrap();
        let message = |status, date| {
            let reply =
                Reply { status, date: Some(date), body: br#"{"error_code":"c","error_msg":"m"}"#, ..Reply::default() };
            classify(&reply, now, &VerdictCodes::default(), None).error_message.unwrap()
        };
        assert!(message(401, "Tue, 24 Nov 2026 02:20:00 GMT").starts_with("this machine's clock is 20m behind"));
        assert_eq!(&*message(401, "Tue, 24 Nov 2026 02:01:00 GMT"), "m");
        assert_eq!(&*message(403, "Tue, 24 Nov 2026 02:20:00 GMT"), "m");
    }

    #[test]
    fn a_body_that_is_not_json_is_the_message() {
        let reply = Reply { status: 502, body: b"<h1>Bad\r\nGateway</h1>\xff", ..Reply::default() };
        let answer = classify(&reply, UNIX_EPOCH, &VerdictCodes::default(), None);
        assert_eq!((answer.error_code, answer.error_message.as_deref()), (None, Some("<h1>Bad  Gateway</h1>\u{fffd}")));
    }
}
