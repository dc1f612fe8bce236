//! The configuration in effect: every value, its default included, with where it came from. Secrets are redacted.

use std::fmt;

use serde_json::Value;

use super::problem::{Origins, origin_of};

/// Origin of a value that nobody gave.
const DEFAULT: &str = "default";

/// One value in effect.
#[derive(Clone, PartialEq, Debug)]
pub struct Setting {
    /// Its path, such as `kafka.topics`.
    pub path: String,
    /// The value, or `"***"` for a secret.
    pub value: Value,
    /// The file, the environment variable, or `default`.
    pub origin: String,
}

/// Every value in effect, in the order of paths. `Display` gives a line each: `path = value  # origin`.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective(pub Vec<Setting>);

impl Effective {
    /// `document` is serialised already, and so redacted.
    pub(super) fn new(document: &Value, origins: &Origins) -> Self {
        let mut settings = Vec::new();
        flatten(document, String::new(), origins, &mut settings);
        Self(settings)
    }

    /// Everything that is not null, in one line for the log.
    #[must_use]
    pub fn log_line(&self) -> String {
        let given = self.0.iter().filter(|setting| !setting.value.is_null());
        given.map(|setting| format!("{}={}", setting.path, setting.value)).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Setting { path, value, origin }| writeln!(f, "{path} = {value}  # {origin}"))
    }
}

fn flatten(value: &Value, path: String, origins: &Origins, settings: &mut Vec<Setting>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let dot = if path.is_empty() { "" } else { "." };
            map.iter().for_each(|(key, value)| flatten(value, format!("{path}{dot}{key}"), origins, settings));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, item)| flatten(item, format!("{path}[{index}]"), origins, settings));
        }
        leaf => {
            let origin = origin_of(origins, &path).unwrap_or(DEFAULT).to_owned();
            settings.push(Setting { path, value: leaf.clone(), origin });
        }
    }
}
