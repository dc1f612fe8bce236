//! The written document to the validated [`Config`]: every rule that a type alone does not keep. Changes no value.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{self, Document};
use super::problem::Findings;
use super::routes::Routes;
use super::sections::{Limits, Retry, Shutdown};
use super::settings::{Config, Kafka, Oms, Route};
use super::{kafka_properties, validate_oms};
use crate::pipeline::key::TaskId;

/// Longest duration that any setting takes.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest name of a Kafka topic. Source: Apache Kafka's `Topic.legalName`.
const MAX_TOPIC_CHARS: usize = 249;
/// Most requests at once that any setting takes.
const MAX_IN_FLIGHT: u32 = 4_096;
/// What a task or project id looks like.
const ID: &str = "letters, digits and hyphens, 1 to 1024 of them";

/// Checks everything. `None` only where something required is missing; there is a problem then.
pub(super) fn validate(document: Document, findings: &mut Findings) -> Option<Config> {
    check_ranges(&document, findings);
    check_topics(&document, findings);
    let routes = check_routes(document.routes, findings);
    let kafka = check_kafka(document.kafka, findings);
    let oms = validate_oms::check(document.oms, findings);
    if tracing_subscriber::EnvFilter::builder().parse(&document.log.level).is_err() {
        findings.add("log.level", "not a tracing filter", "write for example info, or info,oms_sync_worker=debug");
    }
    Some(Config {
        kafka: kafka?,
        oms: oms?,
        routes: routes?,
        records: document.records,
        events: document.events,
        retry: document.retry,
        dead_letter: document.dead_letter,
        limits: document.limits,
        shutdown: document.shutdown,
        admin: document.admin,
        log: document.log,
    })
}

/// Whether a text is an id as OMS writes them. Source: the OMS API pages.
pub(super) fn is_id(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The trimmed text, or a problem where it is missing, empty or no id.
pub(super) fn id<'a>(path: &str, text: Option<&'a str>, what: &str, findings: &mut Findings) -> Option<&'a str> {
    let found = required(path, text, &format!("write {what}"), findings)?;
    if is_id(found) {
        return Some(found);
    }
    findings.add(path, &format!("not {what}"), &format!("write {ID}"));
    None
}

/// The trimmed text, or a problem where there is none.
pub(super) fn required<'a>(path: &str, text: Option<&'a str>, instead: &str, findings: &mut Findings) -> Option<&'a str> {
    let found = text.map(str::trim).filter(|text| !text.is_empty());
    if found.is_none() {
        findings.add(path, "missing", instead);
    }
    found
}

fn check_kafka(kafka: document::Kafka, findings: &mut Findings) -> Option<Kafka> {
    kafka_properties::check(&kafka.properties, findings);
    let brokers = required("kafka.brokers", kafka.brokers.as_deref(), "write host:port", findings);
    let group_id = required("kafka.group_id", Some(&kafka.group_id), "write the name of the consumer group", findings);
    Some(Kafka {
        brokers: brokers?.to_owned(),
        group_id: group_id?.to_owned(),
        topics: kafka.topics,
        start_from: kafka.start_from,
        out_of_range: kafka.out_of_range,
        commit_interval: kafka.commit_interval,
        properties: kafka.properties,
    })
}

fn check_topics(document: &Document, findings: &mut Findings) {
    let topics = &document.kafka.topics;
    if topics.is_empty() {
        findings.add("kafka.topics", "missing", "write a list of topics, such as [object-changes]");
    }
    for (index, topic) in topics.iter().enumerate() {
        let path = format!("kafka.topics[{index}]");
        check_topic(&path, topic, findings);
        if let Some(first) = topics[..index].iter().position(|earlier| earlier == topic) {
            findings.add(&path, &format!("the same as kafka.topics[{first}]"), "name each topic once");
        }
        let source = topics.iter().find(|source| document.dead_letter.topic_of(source) == *topic);
        if let Some(source) = source {
            let what = format!("{topic} is also the dead-letter topic of {source}");
            findings.add(&path, &what, "take it out, or name another dead_letter.topic");
        }
        if document.dead_letter.topic.is_none() {
            check_topic(&path, &document.dead_letter.topic_of(topic), findings);
        }
    }
    if let Some(topic) = &document.dead_letter.topic {
        check_topic("dead_letter.topic", topic, findings);
    }
    for topic in document.records.topics.keys().filter(|topic| !topics.contains(topic)) {
        findings.add(&format!("records.topics.{topic}"), "not one of kafka.topics", "add it there or take it out here");
    }
}

fn check_topic(path: &str, topic: &str, findings: &mut Findings) {
    let legal = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    if topic.starts_with('^') {
        findings.add(path, "a pattern of topics", "name each topic; patterns are not taken");
    } else if topic.is_empty() || topic == "." || topic == ".." || !topic.chars().all(legal) {
        findings.add(path, &format!("{topic:?} is not the name of a topic"), "write letters, digits, '.', '_' and '-'");
    } else if topic.len() > MAX_TOPIC_CHARS {
        let what = format!("the name of the topic {topic} has {} characters", topic.len());
        findings.add(path, &what, &format!("write at most {MAX_TOPIC_CHARS}"));
    }
}

fn check_routes(routes: Routes, findings: &mut Findings) -> Option<Vec<Route>> {
    let Routes::List(written) = routes else {
        findings.add("routes", "not available yet: discover", "write the list of routes");
        return None;
    };
    let mut seen: Vec<(Option<String>, Option<String>)> = Vec::new();
    let mut checked = Some(Vec::new());
    for (index, route) in written.into_iter().enumerate() {
        let path = format!("routes[{index}]");
        let task = id(&format!("{path}.task"), route.task.as_deref(), "the id of a synchronization task", findings);
        let bucket = required(&format!("{path}.bucket"), route.bucket.as_deref(), "write the source bucket", findings);
        let prefix = route.prefix.filter(|prefix| !prefix.is_empty());
        let place = (bucket.map(str::to_owned), prefix);
        if let Some(first) = seen.iter().position(|earlier| place.0.is_some() && *earlier == place) {
            findings.add(&path, &format!("the same bucket and prefix as routes[{first}]"), "keep one of the two");
        }
        seen.push(place.clone());
        let made = task.and_then(task_id).zip(place.0).map(|(task, bucket)| Route { task, bucket, prefix: place.1 });
        checked = checked.zip(made).map(|(mut all, one)| {
            all.push(one);
            all
        });
    }
    checked
}

/// The one place where text becomes a task id.
fn task_id(text: &str) -> Option<TaskId> {
    TaskId::new(text).ok()
}

fn check_ranges(document: &Document, findings: &mut Findings) {
    let Document { kafka, oms, records, events, admin: _, .. } = document;
    let Retry { initial, max, max_retry_after } = document.retry;
    let Shutdown { drain_timeout, revoke_timeout, stall_timeout } = document.shutdown;
    let Limits { max_unsettled_changes, max_unsettled_bytes, max_pending_keys_per_task, .. } = document.limits;
    let mut spans = vec![
        ("kafka.commit_interval", kafka.commit_interval),
        ("oms.connect_timeout", oms.connect_timeout),
        ("oms.request_timeout", oms.request_timeout),
        ("oms.hold_probe_interval", oms.hold_probe_interval),
        ("retry.initial", initial),
        ("retry.max", max),
        ("retry.max_retry_after", max_retry_after),
        ("shutdown.drain_timeout", drain_timeout),
        ("shutdown.revoke_timeout", revoke_timeout),
        ("shutdown.stall_timeout", stall_timeout),
    ];
    spans.retain(|(_, span)| span.is_zero() || *span > LONGEST);
    for (path, _) in spans {
        findings.add(path, "out of range", "write more than 0s and at most 24h");
    }
    if events.linger > LONGEST {
        findings.add("events.linger", "out of range", "write at most 24h");
    }
    if initial > max {
        findings.add("retry.initial", "longer than retry.max", "write at most retry.max");
    }
    let mut within = |path: &str, value: u64, range: RangeInclusive<u64>| {
        if !range.contains(&value) {
            let instead = format!("write {} to {}", range.start(), range.end());
            findings.add(path, &format!("{value} is out of range"), &instead);
        }
    };
    within("events.max_keys", events.max_keys as u64, 1..=10);
    within("oms.max_in_flight", oms.max_in_flight.into(), 1..=MAX_IN_FLIGHT.into());
    within("oms.max_in_flight_per_task", oms.max_in_flight_per_task.into(), 1..=MAX_IN_FLIGHT.into());
    within("records.max_changes", records.max_changes as u64, 1..=1_000_000);
    within("limits.max_unsettled_changes", max_unsettled_changes as u64, 1..=100_000_000);
    within("limits.max_unsettled_bytes", max_unsettled_bytes, 1..=1 << 40);
    within("limits.max_pending_keys_per_task", max_pending_keys_per_task as u64, 1..=100_000_000);
    within("limits.max_uncommitted_records", document.limits.max_uncommitted_records as u64, 1..=1_000_000_000);
    within("limits.max_tasks", document.limits.max_tasks as u64, 1..=1_000_000);
}
