//! The rule file: what is in it, and the same rules in a hurry. Also holds it to the runbook.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

const RULES: &str = include_str!("../../../helm/oms-sync-worker/rules/oms-sync-worker.rules.yaml");
const RUNBOOK: &str = include_str!("../../../docs/runbook.md");
const METRICS: &str = include_str!("../../fixtures/metrics.txt");

/// The rules with every time divided: `[30m]`, `for: 5m`, `offset 15m`, and seconds, which are written `15 * 60`.
pub(super) fn hurried(factor: u64) -> String {
    let mut hurried = String::new();
    let mut rest = RULES;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        let unit = ["s", "m", "h", "d"].iter().position(|unit| after.starts_with(unit));
        let alone = !after[1.min(after.len())..].starts_with(|c: char| c.is_alphanumeric());
        hurried.push_str(before);
        if let Some(unit) = unit.filter(|_| alone) {
            let seconds = number.parse::<u64>().unwrap() * [1, 60, 3600, 86400][unit];
            write!(hurried, "{}s", seconds / factor).unwrap();
            rest = &after[1..];
        } else {
            hurried.push_str(number);
            rest = after;
        }
    }
    hurried.push_str(rest);
    hurried.replace("* 60", &format!("* {}", 60 / factor))
}

fn document() -> Value {
    config::Config::builder()
        .add_source(config::File::from_str(RULES, config::FileFormat::Yaml))
        .build()
        .unwrap()
        .try_deserialize()
        .unwrap()
}

fn rules() -> Vec<Value> {
    let groups = document()["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn text<'a>(rule: &'a Value, path: &str) -> &'a str {
    rule.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} of {rule}"))
}

/// The names of all alerts, in order.
pub(super) fn alerts() -> Vec<String> {
    rules().iter().filter_map(|rule| Some(rule.get("alert")?.as_str()?.to_owned())).collect()
}

/// The metrics of the worker that an expression names.
pub(super) fn metrics_of(expression: &str) -> BTreeSet<&str> {
    let names = expression.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    names.filter(|name| name.starts_with("oms_sync_")).collect()
}

/// Whether the worker exports such a series; a histogram has three kinds of them.
pub(super) fn is_exported(series: &str) -> bool {
    let name = series.trim_start_matches("oms_sync_");
    METRICS.lines().any(|line| {
        let mut words = line.split(' ');
        let (documented, kind) = (words.next().unwrap(), words.next());
        documented == name
            || (kind == Some("histogram")
                && ["_bucket", "_sum", "_count"].iter().any(|end| name.strip_suffix(end) == Some(documented)))
    })
}

#[test]
fn every_alert_says_what_is_wrong_and_has_its_section_in_the_runbook() {
    let sections: Vec<&str> = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut named = Vec::new();
    for rule in rules().iter().filter(|rule| rule.get("alert").is_some()) {
        let alert = text(rule, "/alert");
        assert!(["critical", "warning"].contains(&text(rule, "/labels/severity")), "{alert}");
        assert!(text(rule, "/annotations/summary").contains("$labels.job"), "{alert} says whose fault it is");
        assert!(!text(rule, "/annotations/description").is_empty(), "{alert}");
        let expected = format!("docs/runbook.md#{}", alert.to_lowercase());
        assert_eq!(text(rule, "/annotations/runbook_url"), expected, "{alert}");
        named.push(alert.to_owned());
    }
    assert_eq!(named, sections, "sections of docs/runbook.md, in the order of the alerts");
}

#[test]
fn every_section_of_the_runbook_answers_the_same_questions() {
    for section in RUNBOOK.split("\n## ").skip(1) {
        let (alert, text) = section.split_once('\n').unwrap();
        for question in ["**Means.**", "**First look.**", "**Likely causes.**", "**Do.**", "**Over when.**"] {
            assert!(text.contains(question), "{alert} has no {question}");
        }
    }
}

#[test]
fn rules_ask_for_metrics_that_the_worker_exports() {
    for rule in rules() {
        for metric in metrics_of(text(&rule, "/expr")) {
            assert!(is_exported(metric), "{metric} is not exported, {rule}");
        }
    }
}

#[test]
fn rules_in_a_hurry_are_the_same_rules_with_shorter_times() {
    let hurried = hurried(20);
    for text in ["for: 15s", "[90s]", "[4320s]", "offset 45s", "< 15 * 3", "$value | humanize"] {
        assert!(hurried.contains(text), "{text} is not in {hurried}");
    }
    assert!(!hurried.contains("m]") && !hurried.contains("* 60"));
}
