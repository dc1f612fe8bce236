//! Merged tree to typed document. A value of the wrong type is noted and taken out, so that the rest is looked at too.

use serde_json::Value;
use serde_path_to_error::Segment;

use super::document::Document;
use super::problem::Findings;
use super::properties;
use super::schema::{Kind, Node};

/// One step into the tree.
#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// Decodes, with a problem for each value of the wrong type; its default stands in for it.
pub(super) fn decode(values: &mut Value, root: Node, findings: &mut Findings) -> Document {
    loop {
        let failure = match serde_path_to_error::deserialize::<_, Document>(&*values) {
            Ok(document) => return document,
            Err(failure) => failure,
        };
        let mut steps = steps_of(values, failure.path());
        let path = display(&steps);
        let (what, instead) = explain(values, root, &steps, &failure.inner().to_string());
        if findings.covers(&path) {
            steps.pop(); // What stood in for it is wrong as well: give up on what it is part of.
        }
        findings.add(&path, &what, &instead);
        take_out(values, root, &steps);
    }
}

/// The part of the path that exists in the tree; serde adds the names of enum variants to it.
fn steps_of(values: &Value, path: &serde_path_to_error::Path) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut place = Some(values);
    for segment in path {
        let step = match segment {
            Segment::Map { key } => Step::Key(key.clone()),
            Segment::Seq { index } => Step::Index(*index),
            Segment::Enum { .. } | Segment::Unknown => break,
        };
        place = place.and_then(|value| child(value, &step));
        if place.is_none() {
            break;
        }
        steps.push(step);
    }
    steps
}

fn child<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    }
}

fn display(steps: &[Step]) -> String {
    let parts = steps.iter().map(|step| match step {
        Step::Key(key) => format!(".{key}"),
        Step::Index(index) => format!("[{index}]"),
    });
    parts.collect::<String>().trim_start_matches('.').to_owned()
}

/// Removes a value; an element of a list is emptied instead, so that the paths of the others stay.
fn take_out(values: &mut Value, root: Node, steps: &[Step]) {
    let Some((last, parents)) = steps.split_last() else {
        *values = Value::Object(serde_json::Map::new());
        return;
    };
    let parent = parents.iter().try_fold(&mut *values, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(*index),
    });
    match (parent, last) {
        (Some(Value::Object(map)), Step::Key(key)) => drop(map.remove(key)),
        (Some(Value::Array(items)), Step::Index(index)) => {
            let structured = node_at(root, steps).is_some_and(|node| node.kind() == Kind::Structure);
            items[*index] = if structured { Value::Object(serde_json::Map::new()) } else { String::new().into() };
        }
        _ => *values = Value::Object(serde_json::Map::new()),
    }
}

fn node_at<'a>(root: Node<'a>, steps: &[Step]) -> Option<Node<'a>> {
    steps.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => node.key(key).or_else(|| node.map_values()),
        Step::Index(_) => node.items(),
    })
}

/// What is wrong and what to write instead. The value is shown only where it is no secret.
fn explain(values: &Value, root: Node, steps: &[Step], failure: &str) -> (String, String) {
    let found = steps.iter().try_fold(values, child).unwrap_or(&Value::Null);
    let Some(node) = node_at(root, steps) else {
        return (failure.to_owned(), "correct it".to_owned());
    };
    let advice = advice(node, found);
    let hidden = node.is_secret() || is_secret_property(steps);
    let what = if hidden { "has the wrong type" } else { failure };
    (what.to_owned(), advice)
}

fn is_secret_property(steps: &[Step]) -> bool {
    matches!(steps, [.., Step::Key(parent), Step::Key(name)] if parent == "properties" && properties::is_secret(name))
}

fn advice(node: Node, found: &Value) -> String {
    let choices = node.choices();
    let example = node.example().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    match (node.kind(), found) {
        (Kind::Text, _) if !choices.is_empty() => format!("write one of {}", choices.join(", ")),
        (Kind::Text, Value::Number(_)) if node.has_unit() => {
            format!("write it with its unit, for example {}", example.unwrap_or_default())
        }
        (Kind::Text, Value::Number(_) | Value::Bool(_)) => "put it in quotes".to_owned(),
        (Kind::Text, Value::String(_)) => {
            example.map_or("correct it".to_owned(), |it| format!("write for example {it}"))
        }
        (Kind::Text, _) => "write one text".to_owned(),
        (Kind::Integer, _) => "write a whole number that is not negative".to_owned(),
        (Kind::Number, _) => "write a number".to_owned(),
        (Kind::Boolean, _) => "write true or false".to_owned(),
        (Kind::List, Value::String(text)) => format!("write a list: [{text}]"),
        (Kind::List, _) => "write a list, such as [a, b]".to_owned(),
        (Kind::Structure, _) if !choices.is_empty() => format!("write a list, or the word {}", choices.join(" or ")),
        (Kind::Structure, _) => "write keys with their values below it".to_owned(),
    }
}
