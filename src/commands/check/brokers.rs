//! Which brokers answered, and what to do about those that did not. Pure.

use super::finding::Finding;
use crate::io::fault::Fault;

/// An address with what became of the attempt to reach it; the faults in the order in which they came.
pub(super) type Reached = (String, Result<(), Vec<Fault>>);

/// Told after each address has failed, without a reason.
const ALL_DOWN: &str = "AllBrokersDown";

/// The addresses of the configuration: one of them is enough to begin with.
pub(super) fn named(reached: &[Reached]) -> Finding {
    const CHECK: &str = "kafka.brokers";
    let bad: Vec<_> = reached.iter().filter_map(|(at, result)| Some((at, result.as_ref().err()?))).collect();
    let good = reached.len() - bad.len();
    let Some((_, faults)) = bad.first() else {
        return Finding::ok(CHECK, all_answer(reached));
    };
    let seen: Vec<_> = bad.iter().map(|(at, faults)| told(at, faults)).collect();
    let (seen, remedy) = (seen.join("; "), remedy(faults));
    if good == 0 {
        return Finding::failed(CHECK, seen, remedy);
    }
    Finding::warning(CHECK, format!("{good} of {} answer; {seen}", reached.len()), remedy)
}

/// The addresses that the brokers tell their clients to connect to: each of them is needed.
pub(super) fn advertised(reached: &[Reached]) -> Finding {
    const CHECK: &str = "advertised brokers";
    let bad: Vec<_> = reached.iter().filter_map(|(at, result)| Some(told(at, result.as_ref().err()?))).collect();
    if bad.is_empty() {
        return Finding::ok(CHECK, all_answer(reached));
    }
    Finding::failed(
        CHECK,
        bad.join("; "),
        "clients connect to what the brokers name in advertised.listeners: it must be known and open from here",
    )
}

fn all_answer(reached: &[Reached]) -> String {
    let all: Vec<_> = reached.iter().map(|(at, _)| at.as_str()).collect();
    format!("{} {}", all.join(", "), if all.len() == 1 { "answers" } else { "answer" })
}

fn told(address: &str, faults: &[Fault]) -> String {
    // The last one: a name with two addresses may fail by the first of them only.
    let text = match faults.iter().rfind(|fault| is_telling(fault)).or(faults.last()) {
        Some(fault) if fault.code == ALL_DOWN => "each connection ends without an answer",
        Some(fault) => fault.text.as_str(),
        None => "no answer in time",
    };
    // librdkafka begins with its own name for the connection, and ends with the state that it was in.
    let text = text.split_once("bootstrap: ").map_or(text, |(_, text)| text);
    let text = text.rsplit_once(" (after ").map_or(text, |(text, _)| text);
    format!("{address}: {text}")
}

/// Whether a fault says more than that there was no answer.
fn is_telling(fault: &Fault) -> bool {
    ![ALL_DOWN, "OperationTimedOut"].contains(&fault.code.as_str())
}

/// Whether trying again does not help.
pub(super) fn is_final(fault: &Fault) -> bool {
    ["Authentication", "SaslAuthenticationFailed", "SSL"].contains(&fault.code.as_str())
}

fn remedy(faults: &[Fault]) -> &'static str {
    let code = faults.iter().rfind(|fault| is_telling(fault)).map(|fault| fault.code.as_str());
    match code {
        Some("Authentication" | "SaslAuthenticationFailed") => {
            "check sasl.username, sasl.password and sasl.mechanism in kafka.properties; a wrong password looks like this"
        }
        Some("SSL") => {
            "check ssl.ca.location in kafka.properties, that the certificate names this host, and that the port speaks TLS"
        }
        Some("Resolve") => "check the names in kafka.brokers, and name resolution on this machine",
        Some("BrokerTransportFailure") => {
            "check host and port in kafka.brokers, that the broker runs, the network, and security.protocol"
        }
        _ => {
            "check security.protocol in kafka.properties (does this port want TLS or SASL?), host and port in kafka.brokers, \
             and the network"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn fault(code: &str, text: &str) -> Fault {
        Fault { code: code.to_owned(), text: text.to_owned() }
    }

    fn at(address: &str, faults: &[Fault]) -> Reached {
        (address.to_owned(), if faults.is_empty() { Ok(()) } else { Err(faults.to_vec()) })
    }

    #[test]
    fn one_named_broker_is_enough_and_each_that_fails_is_told() {
        let text = "b:1/bootstrap: Connection refused (after 0ms in state CONNECT)";
        let refused = at("b:1", &[fault("BrokerTransportFailure", text)]);
        let some = named(&[at("a:1", &[]), refused.clone()]);
        assert_eq!((some.state, some.seen.as_str()), (State::Warning, "1 of 2 answer; b:1: Connection refused"));
        let none = named(&[refused]);
        assert_eq!((none.state, none.seen.as_str()), (State::Failed, "b:1: Connection refused"));
        assert_eq!(named(&[at("a:1", &[])]).state, State::Ok);
    }

    #[test]
    fn what_to_do_follows_from_the_fault_that_says_most() {
        for (code, word) in
            [("Authentication", "sasl.password"), ("SSL", "ssl.ca.location"), ("Resolve", "name resolution")]
        {
            let found = named(&[at("a:1", &[fault(code, "why"), fault("AllBrokersDown", "1/1 down")])]);
            assert!(found.remedy.as_ref().is_some_and(|remedy| remedy.contains(word)), "{found:?}");
            assert_eq!(found.seen, "a:1: why");
        }
        assert_eq!(named(&[at("a:1", &[fault("OperationTimedOut", "timed out")])]).seen, "a:1: timed out");
        let closed = named(&[at("a:1", &[fault("AllBrokersDown", "1/1 brokers are down")])]);
        assert_eq!(closed.seen, "a:1: each connection ends without an answer");
        assert!(closed.remedy.is_some_and(|remedy| remedy.starts_with("check security.protocol")));
    }

    #[test]
    fn an_address_that_kafka_tells_and_nobody_reaches_is_a_failure() {
        let found = advertised(&[at("a:1", &[]), at("b:1", &[fault("Resolve", "unknown host")])]);
        assert_eq!((found.state, found.seen.as_str()), (State::Failed, "b:1: unknown host"));
        assert_eq!(advertised(&[at("a:1", &[])]).state, State::Ok);
    }
}
