//! The written document to the validated [`Config`]: every rule that a type alone does not keep. Changes no value.

mod credentials;
pub(super) mod oms;
mod properties;
mod ranges;
mod topics;
mod verdict_codes;

use std::collections::BTreeMap;

use super::document::{self, Document};
use super::problem::Findings;
use super::routes::{self, Routes};
use super::settings::{Config, Discovery, Kafka, Route};
use crate::pipeline::key::TaskId;

/// What a task or project id looks like.
const ID: &str = "letters, digits and hyphens, 1 to 1024 of them";

/// Checks everything. `None` only where something required is missing; there is a problem then.
pub(super) fn validate(document: Document, findings: &mut Findings) -> Option<Config> {
    ranges::check(&document, findings);
    topics::check(&document, findings);
    let discovery = check_discovery(&document.routes, document.discovery, findings);
    let routes = check_routes(document.routes, findings);
    let kafka = check_kafka(document.kafka, findings);
    let oms = oms::check(document.oms, findings);
    if !is_filter(&document.log.level) {
        findings.add("log.level", "not a tracing filter", "write for example info, or info,oms_sync_worker=debug");
    }
    Some(Config {
        kafka: kafka?,
        oms: oms?,
        routes: routes?,
        discovery,
        stopped_tasks: document.stopped_tasks,
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

/// A lone word would name a target, not a level: `verbose` would be taken and show nothing.
fn is_filter(text: &str) -> bool {
    let lone_word = text.chars().all(char::is_alphanumeric);
    let known = !lone_word || text.parse::<tracing::level_filters::LevelFilter>().is_ok();
    known && tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
}

/// Whether a text is an id as OMS writes them. Source: the OMS API pages.
fn is_id(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The trimmed text, or a problem where it is missing, empty or no id.
fn id<'a>(path: &str, text: Option<&'a str>, what: &str, findings: &mut Findings) -> Option<&'a str> {
    let found = required(path, text, &format!("write {what}"), findings)?;
    if is_id(found) {
        return Some(found);
    }
    findings.add(path, &format!("not {what}"), &format!("write {ID}"));
    None
}

/// The trimmed text, or a problem where there is none.
fn required<'a>(path: &str, text: Option<&'a str>, instead: &str, findings: &mut Findings) -> Option<&'a str> {
    let found = text.map(str::trim).filter(|text| !text.is_empty());
    if found.is_none() {
        findings.add(path, "missing", instead);
    }
    found
}

fn check_kafka(kafka: document::Kafka, findings: &mut Findings) -> Option<Kafka> {
    properties::check(&kafka.properties, findings);
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

fn check_routes(routes: Routes, findings: &mut Findings) -> Option<Vec<Route>> {
    let Routes::List(written) = routes else { return Some(Vec::new()) };
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

/// How routes are found, where they are not written.
fn check_discovery(routes: &Routes, written: routes::Discovery, findings: &mut Findings) -> Option<Discovery> {
    let Routes::Word(_) = routes else {
        if written != routes::Discovery::default() {
            findings.add("discovery", "the routes are written", "write routes: discover, or leave discovery out");
        }
        return None;
    };
    let mut prefixes = BTreeMap::new();
    for (name, prefix) in written.prefixes {
        let path = format!("discovery.prefixes.{name}");
        if prefix.is_empty() {
            findings.add(&path, "empty", "write what the keys begin with, or leave the task out");
        }
        if let Some(task) = id(&path, Some(&name), "the id of a synchronization task", findings).and_then(task_id) {
            prefixes.insert(task, prefix);
        }
    }
    Some(Discovery { interval: written.interval, prefixes })
}

/// The one place where text becomes a task id.
fn task_id(text: &str) -> Option<TaskId> {
    TaskId::new(text).ok()
}
