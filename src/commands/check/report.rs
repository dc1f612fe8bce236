//! The findings as a table for people or as JSON for programs. Pure. Never lets what others wrote steer a terminal.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{Finding, State};
use crate::commands::printable::printable;

/// Width of the table, in characters.
const WIDTH: usize = 100;
/// Widest that the column of checks becomes; a longer name pushes its line to the right.
const MAX_CHECK: usize = 34;
/// Before what to do.
const ARROW: &str = "-> ";

/// How many findings there are of each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Sums {
    pub(super) ok: usize,
    pub(super) warning: usize,
    pub(super) failed: usize,
    pub(super) not_tried: usize,
}

impl Sums {
    pub(super) fn of(findings: &[Finding]) -> Self {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        Self {
            ok: count(State::Ok),
            warning: count(State::Warning),
            failed: count(State::Failed),
            not_tried: count(State::NotTried),
        }
    }
}

/// As JSON: `passed`, the sums, and every finding.
pub(super) fn json(findings: &[Finding]) -> String {
    let sums = Sums::of(findings);
    format!("{:#}\n", serde_json::json!({ "passed": sums.failed == 0, "sums": sums, "checks": findings }))
}

/// As a table with the sums below it.
pub(super) fn table(findings: &[Finding]) -> String {
    let widest = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    let check_width = widest.clamp("CHECK".len(), MAX_CHECK);
    let margin = STATE_WIDTH + check_width + 4;
    let mut text = line("STATE", "CHECK", "SEEN", check_width);
    for finding in findings {
        let mut lines = wrapped(&printable(&finding.seen), WIDTH - margin).into_iter();
        let first = lines.next().unwrap_or_default();
        text += &line(word(finding.state), &printable(&finding.check), &first, check_width);
        let remedy = finding.remedy.iter().flat_map(|remedy| {
            let lines = wrapped(&printable(remedy), WIDTH - margin - ARROW.len()).into_iter().enumerate();
            lines.map(|(at, line)| format!("{}{line}", if at == 0 { ARROW } else { "   " }))
        });
        for more in lines.chain(remedy) {
            writeln!(text, "{:margin$}{more}", "").ok(); // a String takes all
        }
    }
    text + "\n" + &summary(Sums::of(findings)) + "\n"
}

/// The widest word of [`word`].
const STATE_WIDTH: usize = 9;

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warning => "warning",
        State::Failed => "FAILED",
        State::NotTried => "not tried",
    }
}

fn line(state: &str, check: &str, seen: &str, check_width: usize) -> String {
    format!("{state:<STATE_WIDTH$}  {check:<check_width$}  {seen}").trim_end().to_owned() + "\n"
}

fn summary(sums: Sums) -> String {
    let Sums { ok, warning, failed, not_tried } = sums;
    let verdict = match (failed, warning) {
        (0, 0) => "ready to run",
        (0, _) => "ready to run, with warnings",
        (_, _) => "not ready to run",
    };
    let warnings = if warning == 1 { "1 warning".to_owned() } else { format!("{warning} warnings") };
    format!("{verdict}: {ok} ok, {warnings}, {failed} failed, {not_tried} not tried")
}

/// Lines of at most so many characters, broken at blanks. A longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 4] {
        [
            Finding::ok("configuration", "worker.yaml"),
            Finding::failed("topic a", "does not exist \u{1b}[2J", "create it ".repeat(12).trim_end()),
            Finding::not_tried("read topic a", "topic a was not found"),
            Finding::warning("b", "c", "d"),
        ]
    }

    #[test]
    fn a_line_a_check_and_what_to_do_wrapped_below_what_was_seen() {
        let table = table(&findings());
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "STATE      CHECK          SEEN");
        assert_eq!(lines[1], "ok         configuration  worker.yaml");
        assert_eq!(lines[2], "FAILED     topic a        does not exist \\u{1b}[2J");
        assert!(lines[3].starts_with("                          -> create it"), "{table}");
        assert!(lines[4].starts_with("                             create it"), "{table}");
        assert_eq!(lines[5], "not tried  read topic a   topic a was not found");
        assert_eq!(*lines.last().unwrap(), "not ready to run: 1 ok, 1 warning, 1 failed, 1 not tried");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{table}");
    }

    #[test]
    fn a_long_word_is_not_broken_and_a_long_name_is_shown_whole() {
        assert_eq!(wrapped("a bbbbbb c d", 4), ["a", "bbbbbb", "c d"]);
        let name = "t".repeat(60);
        assert!(table(&[Finding::ok(&name, "x y")]).contains(&format!("{name}  x y")));
    }

    #[test]
    fn json_has_every_finding_and_whether_it_passed() {
        let told: serde_json::Value = serde_json::from_str(&json(&findings())).unwrap();
        assert_eq!(told["passed"], false);
        assert_eq!(told["sums"], serde_json::json!({"ok": 1, "warning": 1, "failed": 1, "not_tried": 1}));
        assert_eq!(told["checks"][2]["state"], "not_tried");
        assert_eq!(told["checks"][0]["remedy"], serde_json::Value::Null);
        let passed: serde_json::Value = serde_json::from_str(&json(&findings()[3..])).unwrap();
        assert_eq!(passed["passed"], true, "a warning does not fail");
    }
}
