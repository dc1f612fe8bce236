//! The README's table of configuration keys, made of the schema so that it cannot differ from the code.

use serde_json::Value;

use super::schema::{Kind, Node, schema};

/// Markdown: a row a key, with its path, default and meaning.
#[must_use]
pub fn markdown_table() -> String {
    let schema = schema();
    let mut text = String::from("| key | default | meaning |\n|---|---|---|\n");
    rows(Node(&schema), "", &mut text);
    text
}

fn rows(node: Node, path: &str, text: &mut String) {
    for (key, inner) in node.keys().into_iter().flatten() {
        let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let below = |node: Node| node.keys().is_some();
        if below(inner) {
            rows(inner, &place, text);
            continue;
        }
        text.push_str(&row(&place, inner));
        if let Some(element) = inner.items().filter(|node| below(*node)) {
            rows(element, &format!("{place}[]"), text);
        } else if let Some(element) = inner.map_values().filter(|node| below(*node)) {
            rows(element, &format!("{place}.<name>"), text);
        }
    }
}

fn row(path: &str, node: Node) -> String {
    let default = match node.default() {
        _ if node.description().starts_with("Required") => String::new(),
        None => String::new(),
        Some(Value::Null) => "`null`".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    };
    let meaning = node.description().replace('\n', " ").replace('|', "\\|");
    let choices: Vec<String> = node.choices().iter().map(|word| format!("`{word}`")).collect();
    let choices = match choices.split_last() {
        Some((last, [])) if node.kind() != Kind::Structure => format!(" Only {last}."),
        Some((last, others)) if !others.is_empty() => format!(" One of {} and {last}.", others.join(", ")),
        _ => String::new(),
    };
    format!("| `{path}` | {default} | {meaning}{choices} |\n")
}
