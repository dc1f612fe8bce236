//! The rules of topics: real names, no two alike, no source that is also a dead-letter topic.

use crate::config::document::Document;
use crate::config::problem::Findings;

/// Longest name of a Kafka topic. Source: Apache Kafka's `Topic.legalName`.
const MAX_TOPIC_CHARS: usize = 249;

pub(super) fn check(document: &Document, findings: &mut Findings) {
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
