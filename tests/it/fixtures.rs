//! The sample records in `tests/fixtures/records`, and what is expected of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

/// One record.
pub(crate) struct Fixture {
    /// Path below [`folder`].
    pub(crate) file: String,
    /// Its value; `None` is Kafka's null.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
    /// What the user has to say about it, where it does not show.
    pub(crate) key_encoding: Option<String>,
    pub(crate) expected: Vec<Expected>,
}

/// One change that is expected.
#[derive(Deserialize)]
pub(crate) struct Expected {
    action: String,
    pub(crate) bucket: Option<String>,
    #[serde(rename = "object_key_raw")]
    pub(crate) key: Option<String>,
    kind: String,
}

#[derive(Deserialize)]
struct Meta {
    kafka_headers: BTreeMap<String, String>,
    parser_options: BTreeMap<String, Value>,
    value_kind: String,
}

impl Expected {
    /// What is to be done. The list was written before there were rejects: what is malformed, and a document of no known
    /// format, is one.
    pub(crate) fn action(&self, fixture: &Fixture) -> &str {
        let is_reject = self.kind == "malformed" || fixture.file == "malformed/unrelated_app_json.json";
        if is_reject { "reject" } else { &self.action }
    }

    pub(crate) fn as_json(&self, fixture: &Fixture) -> Value {
        json!({"action": self.action(fixture), "bucket": self.bucket, "key": self.key, "kind": self.kind})
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records")
}

pub(crate) fn all() -> Vec<Fixture> {
    let read = |file: &str| fs::read(folder().join(file)).unwrap();
    let mut expected: BTreeMap<String, Vec<Expected>> = serde_json::from_slice(&read("expected.json")).unwrap();
    let meta: BTreeMap<String, Meta> = serde_json::from_slice(&read("meta.json")).unwrap();
    let fixture = |(file, meta): (String, Meta)| Fixture {
        value: (meta.value_kind != "null").then(|| read(&file)),
        headers: meta.kafka_headers,
        key_encoding: meta.parser_options.get("key_encoding").and_then(Value::as_str).map(str::to_owned),
        expected: expected.remove(&file).unwrap(),
        file,
    };
    meta.into_iter().map(fixture).collect()
}
