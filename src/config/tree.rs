//! File and environment, merged into one tree in which every value knows where it came from.

use std::path::Path;

use config::{ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::environment;
use super::problem::{Findings, Origins, Problem};
use super::schema::Node;

/// The merged values, without nulls (a null is the default), and where each came from.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) values: Json,
    pub(super) origins: Origins,
}

/// One layer of values.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Reads and merges. Structures are merged key by key, lists are replaced as a whole.
pub(super) fn merge(file: Option<&Path>, env: &[(String, String)], root: Node, findings: &mut Findings) -> Tree {
    let from_file = file.map(|path| read(path, findings)).unwrap_or_default();
    let from_environment = environment::collect(env, root, findings);
    let layers = config::Config::builder().add_source(Layer(from_file)).add_source(Layer(from_environment)).build();
    let mut tree = Tree { values: Json::Object(serde_json::Map::new()), ..Tree::default() };
    match layers {
        Ok(merged) => {
            if let Some(values) = to_json(merged.cache, String::new(), &mut tree.origins) {
                tree.values = values;
            }
        }
        Err(why) => findings.add("configuration", &why.to_string(), "correct it"),
    }
    tree
}

fn read(path: &Path, findings: &mut Findings) -> Map<String, Value> {
    let name = path.display().to_string();
    let mut refuse = |what: String, instead: &str| {
        let problem = Problem { path: name.clone(), origin: None, what, instead: instead.to_owned() };
        findings.add_problem(problem);
        Map::new()
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) => return refuse(format!("cannot be read: {why}"), "name a readable file with --config"),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match FileFormat::Yaml.parse(Some(&name), text) {
        Ok(tree) => tree,
        Err(why) => refuse(format!("is not YAML with keys and values: {why}"), "correct the file"),
    }
}

/// To plain JSON, noting origins; `None` for a null.
fn to_json(value: Value, path: String, origins: &mut Origins) -> Option<Json> {
    let origin = value.origin().map(str::to_owned);
    let json = match value.kind {
        ValueKind::Nil => return None,
        ValueKind::Boolean(value) => value.into(),
        ValueKind::I64(value) => value.into(),
        ValueKind::U64(value) => value.into(),
        ValueKind::I128(value) => value.to_string().into(),
        ValueKind::U128(value) => value.to_string().into(),
        ValueKind::Float(value) => value.into(),
        ValueKind::String(value) => value.into(),
        ValueKind::Array(items) => {
            let items = items.into_iter().enumerate();
            // A null in a list keeps its place, so that paths stay those of the file.
            let items = items.map(|(i, item)| to_json(item, format!("{path}[{i}]"), origins).unwrap_or(Json::Null));
            Json::Array(items.collect())
        }
        ValueKind::Table(map) => {
            let dot = if path.is_empty() { "" } else { "." };
            let entries = map.into_iter();
            let entries = entries.filter_map(|(k, v)| to_json(v, format!("{path}{dot}{k}"), origins).map(|v| (k, v)));
            return Some(Json::Object(entries.collect()));
        }
    };
    if let Some(origin) = origin {
        origins.insert(path, origin);
    }
    Some(json)
}
