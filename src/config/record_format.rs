//! The word for a record format in the configuration: `auto`, or the name of one.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::formats::Format;

/// The word for formats that are recognised record by record.
const AUTO: &str = "auto";

/// The format of records; `None` recognises it record by record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordFormat(pub Option<Format>);

fn words() -> Vec<&'static str> {
    [AUTO].into_iter().chain(Format::ALL.map(Format::as_str)).collect()
}

impl Serialize for RecordFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.map_or(AUTO, Format::as_str))
    }
}

impl<'de> Deserialize<'de> for RecordFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        match Format::from_name(&word) {
            None if word != AUTO => {
                Err(de::Error::invalid_value(de::Unexpected::Str(&word), &"auto or the name of a format"))
            }
            format => Ok(Self(format)),
        }
    }
}

impl JsonSchema for RecordFormat {
    fn schema_name() -> Cow<'static, str> {
        "RecordFormat".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": words() })
    }
}
