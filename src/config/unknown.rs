//! Finds keys that are in no schema and names the nearest that is.

use serde_json::Value;

use super::problem::Findings;
use super::schema::Node;

/// How alike two names must be to suggest one for the other, 0 to 1.
const LIKENESS: f64 = 0.75;

/// Takes every unknown key out of the tree and adds a problem for each.
pub(super) fn remove(values: &mut Value, root: Node, findings: &mut Findings) {
    let mut known = Vec::new();
    list_paths(root, "", &mut known);
    walk(values, root, "", &known, findings);
}

fn walk(value: &mut Value, node: Node, path: &str, known: &[String], findings: &mut Findings) {
    if let (Value::Array(items), Some(inner)) = (&mut *value, node.items()) {
        for (index, item) in items.iter_mut().enumerate() {
            walk(item, inner, &format!("{path}[{index}]"), known, findings);
        }
    }
    let Value::Object(map) = value else { return };
    if let Some(inner) = node.map_values() {
        map.iter_mut().for_each(|(key, value)| walk(value, inner, &join(path, key), known, findings));
    } else if node.keys().is_some() {
        map.retain(|key, value| {
            let place = join(path, key);
            let Some(inner) = node.key(key) else {
                findings.add(&place, "unknown key", &advice(key, &place, node, known));
                return false;
            };
            walk(value, inner, &place, known, findings);
            true
        });
    }
}

fn advice(key: &str, place: &str, node: Node, known: &[String]) -> String {
    let siblings = node.keys().into_iter().flatten().map(|(name, _)| name.as_str());
    let parent = place.len() - key.len();
    if let Some(nearest) = nearest(key, siblings) {
        return format!("did you mean {}{nearest}?", &place[..parent]);
    }
    let elsewhere = known.iter().find(|path| path.rsplit('.').next() == Some(key));
    let elsewhere = elsewhere.map(String::as_str).or_else(|| nearest(place, known.iter().map(String::as_str)));
    elsewhere.map_or_else(|| "leave it out".to_owned(), |path| format!("did you mean {path}?"))
}

fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = names.map(|name| (strsim::jaro_winkler(&key.to_ascii_lowercase(), name), name));
    let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= LIKENESS).then_some(best.1)
}

fn list_paths(node: Node, path: &str, paths: &mut Vec<String>) {
    for (key, inner) in node.keys().into_iter().flatten() {
        let place = join(path, key);
        list_paths(inner, &place, paths);
        paths.push(place);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::schema::schema;

    fn found(mut tree: Value) -> Vec<String> {
        let schema = schema();
        let mut findings = Findings::default();
        remove(&mut tree, Node(&schema), &mut findings);
        findings.into_problems().iter().map(|problem| format!("{}: {}", problem.path, problem.instead)).collect()
    }

    #[test]
    fn the_nearest_known_key_is_named() {
        let tree = json!({
            "kafka": { "broker": "k:9092", "properties": { "any.name": 1 } },
            "routes": [{ "task": "t", "buckett": "b" }],
            "records": { "topics": { "a.b": { "formatt": "auto" } } },
            "max_keys": 5,
            "zzz": true
        });
        assert_eq!(
            found(tree),
            [
                "kafka.broker: did you mean kafka.brokers?",
                "max_keys: did you mean events.max_keys?",
                "records.topics.a.b.formatt: did you mean records.topics.a.b.format?",
                "routes[0].buckett: did you mean routes[0].bucket?",
                "zzz: leave it out",
            ]
        );
    }
}
