//! The table of routes as people write it: a list, or the word `discover`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::units;
use super::units::schema::DurationText;

/// The word that stands for routes found by asking OMS.
pub(crate) const DISCOVER: &str = "discover";

/// Routes as written.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Routes {
    /// Each of them written out.
    List(Vec<Route>),
    /// The word [`DISCOVER`].
    Word(&'static str),
}

/// A bucket, or a part of it, and the task that gets its changes.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a route with task and bucket")]
pub(crate) struct Route {
    /// Required. Id of the synchronization task.
    pub(crate) task: Option<String>,
    /// Required. Name of the source bucket.
    pub(crate) bucket: Option<String>,
    /// Only keys that begin with this; the longest prefix wins.
    pub(crate) prefix: Option<String>,
}

/// How `routes: discover` asks OMS for the project's tasks.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Discovery {
    /// Only with `routes: discover`. How often OMS is asked for the project's tasks; sooner after a failure.
    #[serde(with = "units::duration")]
    #[schemars(with = "DurationText")]
    pub(crate) interval: Duration,
    /// Only with `routes: discover`. Where several tasks read one source bucket: the key prefix of each, by task id. One of them may go without and gets all other keys.
    pub(crate) prefixes: BTreeMap<String, String>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { interval: Duration::from_mins(5), prefixes: BTreeMap::new() }
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrWord)
    }
}

/// By hand and not untagged, so that a problem inside the list keeps its path.
struct ListOrWord;

impl<'de> Visitor<'de> for ListOrWord {
    type Value = Routes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of routes or the word discover")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Routes, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Routes::List)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Routes, E> {
        if word == DISCOVER {
            return Ok(Routes::Word(DISCOVER));
        }
        Err(E::invalid_value(serde::de::Unexpected::Str(word), &self))
    }
}

impl JsonSchema for Routes {
    fn schema_name() -> Cow<'static, str> {
        "Routes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let list = generator.subschema_for::<Vec<Route>>();
        json_schema!({ "oneOf": [list, { "type": "string", "const": DISCOVER }] })
    }
}
