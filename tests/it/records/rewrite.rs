//! JSON written otherwise: the same value in other words, and values with parts that are not theirs.

use std::fmt::Write as _;

use fastrand::Rng;
use serde_json::Value;

/// The document that a text is, as in envelopes.
pub(super) fn inner_json(text: &str) -> Option<Value> {
    if text.starts_with(['{', '[']) { serde_json::from_str(text).ok() } else { None }
}

/// The same value with other blanks, another order of members, and escapes that nobody needs; so too the JSON in texts.
pub(super) fn written_otherwise(value: &Value, seed: u64) -> String {
    let mut out = String::new();
    write(value, &mut Rng::with_seed(seed), &mut out);
    out
}

fn write(value: &Value, rng: &mut Rng, out: &mut String) {
    blanks(rng, out);
    match value {
        Value::String(text) => match inner_json(text).filter(|_| rng.bool()) {
            Some(inner) => {
                let mut text = String::new();
                write(&inner, rng, &mut text);
                quote(&text, rng, out);
            }
            None => quote(text, rng, out),
        },
        Value::Array(items) => {
            let separators = items.iter().enumerate().map(|(index, item)| (if index == 0 { "[" } else { "," }, item));
            for (separator, item) in separators {
                out.push_str(separator);
                write(item, rng, out);
            }
            out.push_str(if items.is_empty() { "[ ]" } else { "]" });
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            rng.shuffle(&mut members);
            out.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                blanks(rng, out);
                quote(name, rng, out);
                blanks(rng, out);
                out.push(':');
                write(member, rng, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
    blanks(rng, out);
}

fn blanks(rng: &mut Rng, out: &mut String) {
    out.push_str(["", "", "", " ", "\n\t", "\r\n "][rng.usize(..6)]);
}

/// A text in quotes; some of its characters are escaped, with a pair of surrogates where need be.
fn quote(text: &str, rng: &mut Rng, out: &mut String) {
    let is_escaped = rng.bool();
    out.push('"');
    for c in text.chars() {
        let needs_escape = matches!(c, '"' | '\\') || c < ' ';
        match c {
            '/' if rng.bool() => out.push_str("\\/"),
            '"' | '\\' if rng.bool() => out.extend(['\\', c]),
            c if needs_escape || (is_escaped && rng.u8(..4) == 0) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let upper = rng.bool();
                    let written = if upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
                    written.unwrap();
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The value with some of its parts replaced by parts of the others, or left out.
pub(super) fn spoil(mut value: Value, others: &[Value], seed: u64) -> Value {
    let mut rng = Rng::with_seed(seed);
    let rarity = rng.usize(4..64);
    replace(&mut value, others, rarity, &mut rng);
    value
}

fn replace(value: &mut Value, others: &[Value], rarity: usize, rng: &mut Rng) {
    if rng.usize(..rarity) == 0 {
        *value = part(&others[rng.usize(..others.len())], rng).clone();
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, others, rarity, rng)),
        Value::Object(members) => {
            members.retain(|_, _| rng.usize(..rarity) != 0);
            members.values_mut().for_each(|member| replace(member, others, rarity, rng));
        }
        Value::String(text) => {
            if let Some(mut inner) = inner_json(text) {
                replace(&mut inner, others, rarity, rng);
                *text = inner.to_string();
            }
        }
        _ => {}
    }
}

fn part<'a>(value: &'a Value, rng: &mut Rng) -> &'a Value {
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    };
    if inner.is_empty() || rng.u8(..4) == 0 { value } else { part(inner[rng.usize(..inner.len())], rng) }
}

/// The value as often as it has parts, each time with another part of it replaced.
pub(super) fn each_part_replaced(value: &Value, by: &Value) -> Vec<Value> {
    let rest: Vec<Value> = match value {
        Value::Array(items) => (0..items.len())
            .flat_map(|index| each_part_replaced(&items[index], by).into_iter().map(move |new| (index, new)))
            .map(|(index, new)| {
                let mut items = items.clone();
                items[index] = new;
                Value::Array(items)
            })
            .collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, member)| each_part_replaced(member, by).into_iter().map(move |new| (name, new)))
            .map(|(name, new)| {
                let mut members = members.clone();
                members.insert(name.clone(), new);
                Value::Object(members)
            })
            .collect(),
        _ => Vec::new(),
    };
    [vec![by.clone()], rest].concat()
}
