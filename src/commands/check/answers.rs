//! What an answer of OMS that is no success says, and what to do. Pure.

use std::time::Duration;

use super::finding::Finding;
use crate::oms::clock::Clocks;
use crate::oms::sign::skew;
use crate::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use crate::worker::remedy;

/// Difference of the clocks that is worth a warning.
const SKEW_WARNED: Duration = Duration::from_mins(1);
/// Difference at which OMS's gateway refuses signatures. Source: its signing guide, overview.
const SKEW_REFUSED: Duration = Duration::from_mins(15);

/// Begins the gateway's reading of a request whose signature it refused. Source: its guide to signing, error examples.
const ECHO: &str = ", canonicalRequest";

/// In the words of the worker; `right` is what the question needs.
pub(super) fn failure(check: &str, answer: &Answer, right: &str) -> Finding {
    let failed = |remedy: &str| Finding::failed(check, said(answer), remedy);
    match answer.verdict {
        Verdict::Hold(HoldReason::Credentials) => failed(&format!(
            "{}; this was one failed signature, no more were made: five in five minutes lock an access key",
            remedy(HoldReason::Credentials)
        )),
        Verdict::Hold(HoldReason::Permission) => failed(&format!("give the identity the right {right}")),
        Verdict::Hold(reason) => failed(remedy(reason)),
        Verdict::Busy(Pressure::Throttled) => {
            failed("OMS throttles this account: check again later; if it goes on, ask for a higher quota")
        }
        Verdict::Busy(_) => match (answer.status, parted(answer)) {
            (Status::Http(_), _) | (_, None) => failed("OMS cannot serve at the moment: check again later"),
            (_, Some((what, advice))) => Finding::failed(check, what, advice),
        },
        Verdict::Accepted | Verdict::Refused | Verdict::UnknownTask | Verdict::TaskStopped => {
            failed(remedy(HoldReason::Endpoint))
        }
    }
}

/// Status, code and message, as far as they are there; without the request as the gateway read it, which some messages
/// end with and only helps who writes signatures.
fn said(answer: &Answer) -> String {
    let code = answer.error_code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
    let message = answer.error_message.as_deref().map(|text| text.split_once(ECHO).map_or(text, |(text, _)| text));
    let message = message.map(|text| format!(": {text}")).unwrap_or_default();
    format!("answered {}{code}{message}", answer.status)
}

/// What failed on the way, and what to do about it: the client puts both into the message.
fn parted(answer: &Answer) -> Option<(&str, &str)> {
    answer.error_message.as_deref()?.split_once("; ")
}

/// This machine's clock against OMS's.
pub(super) fn clock(check: &str, clocks: Option<Clocks>) -> Finding {
    const REMEDY: &str = "set this machine's clock right (NTP): signatures are refused from 15 minutes on";
    let Some(Clocks { ours, theirs }) = clocks else {
        return Finding::not_tried(check, "no answer of OMS told the time");
    };
    let apart = Duration::from_secs(skew(ours, theirs).as_secs());
    if apart < SKEW_WARNED {
        return Finding::ok(check, format!("within {} s of OMS's", apart.as_secs() + 1));
    }
    let side = if theirs > ours { "behind" } else { "ahead of" };
    let seen = format!("{} {side} OMS's", humantime::format_duration(apart));
    if apart < SKEW_REFUSED { Finding::warning(check, seen, REMEDY) } else { Finding::failed(check, seen, REMEDY) }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::finding::State;
    use super::*;

    fn answer(verdict: Verdict, status: Status, message: &str) -> Answer {
        Answer {
            verdict,
            status,
            retry_after: None,
            error_code: None,
            error_message: Some(message.into()),
            request_id: None,
        }
    }

    #[track_caller]
    fn check(verdict: Verdict, status: Status, told: &str) {
        let found = failure("signature", &answer(verdict, status, "what; do this; and that"), "oms:synctask:list");
        assert_eq!(found.state, State::Failed);
        assert!(found.remedy.as_ref().is_some_and(|remedy| remedy.contains(told)), "{found:?}");
    }

    #[test]
    fn each_answer_says_what_to_do_in_the_words_of_the_worker() {
        check(Verdict::Hold(HoldReason::Credentials), Status::Http(401), "one failed signature");
        check(Verdict::Hold(HoldReason::Permission), Status::Http(403), "oms:synctask:list");
        check(Verdict::Hold(HoldReason::Account), Status::Http(400), remedy(HoldReason::Account));
        check(Verdict::Hold(HoldReason::Endpoint), Status::Http(404), remedy(HoldReason::Endpoint));
        check(Verdict::UnknownTask, Status::Http(404), remedy(HoldReason::Endpoint));
        check(Verdict::Busy(Pressure::Throttled), Status::Http(429), "quota");
        check(Verdict::Busy(Pressure::Overloaded), Status::Http(503), "check again later");
    }

    #[test]
    fn the_request_as_the_gateway_read_it_is_left_out() {
        let echo =
            answer(Verdict::Hold(HoldReason::Credentials), Status::Http(401), "no: fail, canonicalRequest:GET|/");
        assert_eq!(failure("s", &echo, "").seen, "answered 401: no: fail");
    }

    #[test]
    fn what_failed_on_the_way_is_told_apart_from_what_to_do() {
        let found =
            failure("s", &answer(Verdict::Busy(Pressure::Overloaded), Status::Tls, "what; do this; and that"), "");
        assert_eq!((found.seen.as_str(), found.remedy.as_deref()), ("what", Some("do this; and that")));
    }

    #[test]
    fn a_clock_is_warned_of_from_a_minute_on_and_fails_at_a_quarter_of_an_hour() {
        let at = |ours: u64, theirs: u64| {
            let [ours, theirs] = [ours, theirs].map(|second| UNIX_EPOCH + Duration::from_secs(second));
            clock("clock", Some(Clocks { ours, theirs }))
        };
        assert_eq!(at(1_000, 1_059).state, State::Ok);
        assert_eq!(at(1_000, 1_060).state, State::Warning);
        assert_eq!(at(1_060, 1_000).seen, "1m ahead of OMS's");
        assert_eq!(at(1_000, 1_899).state, State::Warning);
        assert_eq!((at(1_000, 1_900).state, at(1_000, 1_900).seen.as_str()), (State::Failed, "15m behind OMS's"));
        assert_eq!(clock("clock", None).state, State::NotTried);
    }
}
