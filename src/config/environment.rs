//! The environment as a source of configuration: `OMS_SYNC__KAFKA__BROKERS` is `kafka.brokers`.
//! Text becomes the type that the schema names; it is not checked here. Of maps, `kafka.properties` alone can be given
//! one by one, so that a password needs no JSON around it.

use config::{Map, Value, ValueKind};
use serde_json::Value as Json;

use super::problem::{Findings, Problem};
use super::schema::{Kind, Node};

/// What every variable of the worker begins with; parts of the path are joined by two underscores.
pub const PREFIX: &str = "OMS_SYNC__";

/// What the variable of a single librdkafka property begins with, in small letters; its dots are written as underscores.
const PROPERTY: &str = "kafka__properties__";

/// The tree of all values that the environment gives. Text that cannot be read as what it must be is a problem.
pub(super) fn collect(variables: &[(String, String)], root: Node, findings: &mut Findings) -> Map<String, Value> {
    let mut ours: Vec<&(String, String)> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort(); // a longer path comes after the structure it is part of, and wins
    let mut tree = Map::new();
    for (name, text) in ours {
        let path = name[PREFIX.len()..].to_ascii_lowercase();
        let property = path.strip_prefix(PROPERTY).map(|property| property.replace('_', "."));
        let parts: Vec<&str> = match &property {
            Some(property) => vec!["kafka", "properties", property],
            None => path.split("__").collect(),
        };
        let value = if property.is_some() { utf8(name, text) } else { read(name, text, &parts, root) };
        match value {
            Ok(value) => insert(&mut tree, &parts, value),
            Err((what, instead)) => {
                let origin = Some(name.clone());
                findings.add_problem(Problem { path: parts.join("."), origin, what, instead });
            }
        }
    }
    tree
}

/// The text as it is.
fn utf8(name: &str, text: &str) -> Result<Value, (String, String)> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(("is not valid UTF-8".to_owned(), "write it as UTF-8 text".to_owned()));
    }
    Ok(Value::new(Some(&name.to_owned()), text))
}

fn read(name: &str, text: &str, parts: &[&str], root: Node) -> Result<Value, (String, String)> {
    let plain = utf8(name, text)?;
    let mut node = Some(root);
    for (depth, part) in parts.iter().enumerate() {
        if node.is_some_and(|node| node.map_values().is_some() || node.items().is_some()) {
            let holder = format!("{PREFIX}{}", parts[..depth].join("__").to_ascii_uppercase());
            return Err(("a structure is given as a whole".to_owned(), format!("write it as JSON in {holder}")));
        }
        node = node.and_then(|node| node.key(part));
    }
    // A name that is not in the schema stays text: the search for unknown keys reports it.
    node.map_or(Ok(plain), |node| typed(&name.to_owned(), text, node))
}

fn typed(origin: &String, text: &str, node: Node) -> Result<Value, (String, String)> {
    let trimmed = text.trim();
    if trimmed.is_empty() && (node.is_nullable() || node.kind() == Kind::Structure) {
        return Ok(Value::new(Some(origin), ValueKind::Nil));
    }
    let value = match node.kind() {
        Kind::Text => Value::new(Some(origin), text),
        Kind::Integer | Kind::Number | Kind::Boolean => scalar(origin, trimmed),
        Kind::List if !trimmed.starts_with('[') => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::new(Some(origin), items.map(|item| Value::new(Some(origin), item)).collect::<Vec<_>>())
        }
        Kind::Structure if !trimmed.starts_with(['[', '{']) => Value::new(Some(origin), trimmed),
        Kind::List | Kind::Structure => {
            let json = serde_json::from_str(trimmed).map_err(|why| not_json(&why))?;
            from_json(origin, json)
        }
    };
    Ok(value)
}

/// Says where the JSON is wrong, and never shows it: it may hold secrets.
fn not_json(why: &serde_json::Error) -> (String, String) {
    let place = format!("is not JSON at line {} column {}", why.line(), why.column());
    (place, "write it as JSON, with double quotes".to_owned())
}

/// A number or a truth value where the text is one; else the text, which is then refused with its path.
fn scalar(origin: &String, text: &str) -> Value {
    match serde_json::from_str::<Json>(text) {
        Ok(json @ (Json::Number(_) | Json::Bool(_))) => from_json(origin, json),
        _ => Value::new(Some(origin), text),
    }
}

fn from_json(origin: &String, json: Json) -> Value {
    let kind = match json {
        Json::Null => ValueKind::Nil,
        Json::Bool(value) => ValueKind::Boolean(value),
        Json::Number(number) => {
            let whole = number.as_i64().map(ValueKind::I64).or_else(|| number.as_u64().map(ValueKind::U64));
            whole.or_else(|| number.as_f64().map(ValueKind::Float)).unwrap_or(ValueKind::Nil)
        }
        Json::String(text) => ValueKind::String(text),
        Json::Array(items) => ValueKind::Array(items.into_iter().map(|item| from_json(origin, item)).collect()),
        Json::Object(map) => {
            ValueKind::Table(map.into_iter().map(|(key, value)| (key, from_json(origin, value))).collect())
        }
    };
    Value::new(Some(origin), kind)
}

fn insert(tree: &mut Map<String, Value>, parts: &[&str], value: Value) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    if rest.is_empty() {
        tree.insert((*first).to_owned(), value);
        return;
    }
    let place = tree.entry((*first).to_owned()).or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    if !matches!(place.kind, ValueKind::Table(_)) {
        *place = Value::new(None, Map::<String, Value>::new());
    }
    if let ValueKind::Table(table) = &mut place.kind {
        insert(table, rest, value);
    }
}

/// Variables that look like ours and are not read: one underscore where there must be two.
pub(super) fn near_misses(env: &[(String, String)]) -> impl Iterator<Item = String> {
    const KNOWN: [&str; 4] = ["OMS_SYNC__", "OMS_SYNC_CONFIG", "OMS_SYNC_REVISION", "OMS_SYNC_TEST_"];
    let missed = |name: &&String| name.starts_with("OMS_SYNC_") && !KNOWN.iter().any(|known| name.starts_with(known));
    let warning = |name: &String| format!("{name} is not read: names begin with {PREFIX}, with two underscores");
    env.iter().map(|(name, _)| name).filter(missed).map(warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_with_one_underscore_too_few_is_named() {
        let names = ["OMS_SYNC_LOG__LEVEL", "OMS_SYNC__LOG__LEVEL", "OMS_SYNC_CONFIG", "HOME"];
        let env = names.map(|name| (name.to_owned(), String::new()));
        let told: Vec<_> = near_misses(&env).collect();
        assert!(told.len() == 1 && told[0].starts_with("OMS_SYNC_LOG__LEVEL is not read"), "{told:?}");
    }
}
