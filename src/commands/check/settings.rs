//! What the configuration says, looked at without asking anyone: values that are allowed but cannot be meant. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::finding::Finding;
use crate::config::{Config, Effective, PREFIX, Problems};
use crate::oms::client::is_clear_text;

/// Values of these origins are nobody's: a default, and what follows from another value.
const NOT_GIVEN: [&str; 3] = ["default", "oms.region", "HOME"];
/// Variables that the line names; of the others their number.
const NAMED: usize = 3;
/// Requests at once that no gateway answers in good time: it lets 200 a second through by default (API Gateway's
/// documentation of request throttling), so at this the last of them waits for 5 s.
const MAX_SENSIBLE_IN_FLIGHT: u32 = 1_000;
/// Files and connections that a worker has besides its requests: brokers, metrics, librdkafka's pipes.
const OTHER_FILES: u64 = 64;

/// A finding a problem.
pub(super) fn problems(problems: &Problems) -> Vec<Finding> {
    let finding = |problem: &crate::config::Problem| {
        let from = problem.origin.as_ref().map(|origin| format!(" (from {origin})")).unwrap_or_default();
        Finding::failed("configuration", format!("{}: {}{from}", problem.path, problem.what), problem.instead.clone())
    };
    problems.0.iter().map(finding).collect()
}

/// Where the values came from: the file, and variables of the environment.
pub(super) fn origins(effective: &Effective) -> Finding {
    let origins: BTreeSet<_> = effective.0.iter().map(|setting| setting.origin.as_str()).collect();
    let given = origins.into_iter().filter(|origin| !NOT_GIVEN.contains(origin));
    let (variables, mut from): (Vec<_>, Vec<_>) = given.map(str::to_owned).partition(|origin| is_variable(origin));
    let more = variables.len().saturating_sub(NAMED);
    if !variables.is_empty() {
        let named = variables[..variables.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        from.push(format!("the environment ({named}{more})"));
    }
    Finding::ok("configuration", format!("valid; from {}", from.join(" and ")))
}

fn is_variable(origin: &str) -> bool {
    origin.starts_with(PREFIX) || origin.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// What is allowed but looks wrong, as the worker's log says it at the start.
pub(super) fn warnings(warnings: &[String]) -> impl Iterator<Item = Finding> {
    let remedy = "if it is meant, there is nothing to do";
    warnings.iter().map(move |warning| Finding::warning("configuration", warning, remedy))
}

/// `open_files`: how many this process may have.
pub(super) fn assess(config: &Config, open_files: Option<u64>) -> Vec<Finding> {
    vec![endpoint(config), in_flight(config, open_files), drain(config)]
}

fn endpoint(config: &Config) -> Finding {
    let endpoint = &config.oms.endpoint;
    if is_clear_text(endpoint) {
        return Finding::warning(
            "oms.endpoint",
            format!("{endpoint} is not encrypted: whoever is on the way reads the tokens and may change the requests"),
            "write https://",
        );
    }
    let note = if endpoint.starts_with("http:") { ", not encrypted (loopback)" } else { "" };
    Finding::ok("oms.endpoint", format!("{endpoint}{note}"))
}

fn in_flight(config: &Config, open_files: Option<u64>) -> Finding {
    const CHECK: &str = "oms.max_in_flight";
    let (most, timeout) = (config.oms.max_in_flight, config.oms.request_timeout);
    let needed = u64::from(most) + OTHER_FILES;
    if let Some(allowed) = open_files.filter(|allowed| *allowed < needed) {
        return Finding::warning(
            CHECK,
            format!("{most} requests at once need about {needed} open files, {allowed} are allowed here"),
            format!("raise the limit where the worker runs (ulimit -n), or write at most {}", room(allowed)),
        );
    }
    if let Some(rate) = config.oms.max_requests_per_second
        && f64::from(most) > (rate * timeout.as_secs_f64()).ceil()
    {
        let span = humantime::format_duration(timeout);
        return Finding::warning(
            CHECK,
            format!("{most} requests at once are never out: at {rate} a second none is out longer than {span}"),
            format!(
                "lower it to {} or less, or raise oms.max_requests_per_second",
                (rate * timeout.as_secs_f64()).ceil()
            ),
        );
    }
    if most > MAX_SENSIBLE_IN_FLIGHT {
        return Finding::warning(
            CHECK,
            format!("{most} requests at once: a gateway that lets 200 a second through answers the last of them late"),
            format!("write at most {MAX_SENSIBLE_IN_FLIGHT}; 64 do in most cases"),
        );
    }
    let files = open_files.map(|allowed| format!("; {allowed} open files are allowed here")).unwrap_or_default();
    Finding::ok(CHECK, format!("{most} requests at once{files}"))
}

/// Requests at once that leave room for the other files.
fn room(allowed: u64) -> u64 {
    allowed.saturating_sub(OTHER_FILES).max(1)
}

fn drain(config: &Config) -> Finding {
    const CHECK: &str = "shutdown.drain_timeout";
    let (drain, request) = (config.shutdown.drain_timeout, config.oms.request_timeout);
    let [drain_text, request_text] =
        [drain, request].map(|span: Duration| humantime::format_duration(span).to_string());
    if drain < request / 2 {
        return Finding::warning(
            CHECK,
            format!(
                "{drain_text}, but a request may take {request_text}: ends will often cut requests off (exit code 3)"
            ),
            "raise it, or lower oms.request_timeout; what is cut off is sent again by the next worker",
        );
    }
    Finding::ok(CHECK, format!("{drain_text}; stop a worker with more than that before it is killed"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::config::load;

    fn config(more: &[(&str, &str)]) -> crate::config::Loaded {
        let mut env = std::collections::BTreeMap::from([
            ("OMS_SYNC__KAFKA__BROKERS", "k:9092"),
            ("OMS_SYNC__KAFKA__TOPICS", "t"),
            ("OMS_SYNC__OMS__ENDPOINT", "https://oms.example.com"),
            ("OMS_SYNC__OMS__PROJECT_ID", "p"),
        ]);
        env.extend(more.iter().copied());
        load(None, env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
    }

    fn check(more: &[(&str, &str)], open_files: Option<u64>, warned: &str) {
        let findings = assess(&config(more).config, open_files);
        let found: Vec<_> = findings.iter().filter(|it| it.state != State::Ok).map(|it| it.check.as_str()).collect();
        assert_eq!(found.join(" "), warned, "{more:?} {open_files:?}: {findings:?}");
    }

    #[test]
    fn defaults_are_in_order() {
        check(&[], Some(1_024), "");
        check(&[], None, "");
    }

    #[test]
    fn requests_at_once_are_held_against_files_rate_and_sense() {
        check(&[], Some(127), "oms.max_in_flight");
        check(&[], Some(128), "");
        let rate = |rate| ("OMS_SYNC__OMS__MAX_REQUESTS_PER_SECOND", rate);
        check(&[rate("2")], None, "oms.max_in_flight");
        check(&[rate("2.2")], None, "");
        check(&[("OMS_SYNC__OMS__MAX_IN_FLIGHT", "1000")], None, "");
        check(&[("OMS_SYNC__OMS__MAX_IN_FLIGHT", "1001")], None, "oms.max_in_flight");
    }

    #[test]
    fn clear_text_is_for_this_machine_only() {
        check(&[("OMS_SYNC__OMS__ENDPOINT", "http://oms.example.com")], None, "oms.endpoint");
        check(&[("OMS_SYNC__OMS__ENDPOINT", "http://127.0.0.1:8080")], None, "");
    }

    #[test]
    fn a_drain_leaves_time_for_a_request() {
        check(&[("OMS_SYNC__SHUTDOWN__DRAIN_TIMEOUT", "15s")], None, "");
        check(&[("OMS_SYNC__SHUTDOWN__DRAIN_TIMEOUT", "14s")], None, "shutdown.drain_timeout");
    }

    #[test]
    fn the_environment_is_told_by_some_names_and_never_by_values() {
        let loaded = config(&[("HUAWEICLOUD_SDK_AK", "secret"), ("HUAWEICLOUD_SDK_SK", "secret"), ("HOME", "/root")]);
        let told = origins(&loaded.effective).seen;
        let expected =
            "valid; from the environment (HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, OMS_SYNC__KAFKA__BROKERS and 3 more)";
        assert_eq!(told, expected);
    }
}
