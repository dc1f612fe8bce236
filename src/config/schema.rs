//! The JSON schema of the configuration, and what other steps ask it: which keys there are and what type a value has.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::document::Document;

/// The schema of the whole document, without references, so that it can be walked key by key.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}

/// What kind of value a place in the configuration takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    /// A list of plain values.
    List,
    /// Keys and values, or a list of such.
    Structure,
}

/// One place in the schema.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a>(pub(crate) &'a Value);

impl<'a> Node<'a> {
    /// Of several alternatives the one with structure, else the first that is not null.
    fn alternative(self) -> Self {
        let Some(alternatives) = ["anyOf", "oneOf"].iter().find_map(|word| self.0.get(*word)?.as_array()) else {
            return self;
        };
        let structured = |value: &&Value| ["object", "array"].iter().any(|name| has_type(value, name));
        let chosen = alternatives.iter().find(structured);
        let chosen = chosen.or_else(|| alternatives.iter().find(|value| !has_type(value, "null")));
        chosen.map_or(self, |value| Node(value).alternative())
    }

    pub(crate) fn kind(self) -> Kind {
        let node = self.alternative();
        let is = |name| has_type(node.0, name);
        if is("object") {
            Kind::Structure
        } else if is("array") {
            let structured = node.items().is_some_and(|items| items.kind() == Kind::Structure);
            if structured { Kind::Structure } else { Kind::List }
        } else if is("string") || node.0.get("type").is_none() {
            Kind::Text
        } else if is("integer") {
            Kind::Integer
        } else if is("number") {
            Kind::Number
        } else {
            Kind::Boolean
        }
    }

    pub(crate) fn is_nullable(self) -> bool {
        let alternatives = self.0.get("anyOf").and_then(Value::as_array);
        has_type(self.0, "null") || alternatives.is_some_and(|all| all.iter().any(|value| has_type(value, "null")))
    }

    /// Whether values here must not be shown.
    pub(crate) fn is_secret(self) -> bool {
        let marked = |value: &Value| value.get("writeOnly").is_some();
        marked(self.0) || marked(self.alternative().0)
    }

    /// Whether a value here is a duration or a size.
    pub(crate) fn has_unit(self) -> bool {
        self.alternative().0.get("pattern").is_some()
    }

    /// The keys that are known here; `None` where any key is (a map) or none is (not a structure).
    pub(crate) fn keys(self) -> Option<impl Iterator<Item = (&'a String, Node<'a>)>> {
        let properties = self.alternative().0.get("properties")?.as_object()?;
        Some(properties.iter().map(|(key, value)| (key, Node(value))))
    }

    pub(crate) fn key(self, name: &str) -> Option<Node<'a>> {
        self.alternative().0.get("properties")?.get(name).map(Node)
    }

    /// What every value of a map looks like.
    pub(crate) fn map_values(self) -> Option<Node<'a>> {
        self.alternative().0.get("additionalProperties").filter(|value| value.is_object()).map(Node)
    }

    /// What every element of a list looks like.
    pub(crate) fn items(self) -> Option<Node<'a>> {
        self.alternative().0.get("items").map(Node)
    }

    pub(crate) fn default(self) -> Option<&'a Value> {
        self.0.get("default")
    }

    /// An example of a value: the default, or one that the schema names.
    pub(crate) fn example(self) -> Option<&'a Value> {
        let default = self.default().filter(|value| !value.is_null());
        default.or_else(|| self.alternative().0.get("examples")?.get(0))
    }

    pub(crate) fn description(self) -> &'a str {
        self.0.get("description").and_then(Value::as_str).unwrap_or_default()
    }

    /// The words to choose from, where a value is one of a few.
    pub(crate) fn choices(self) -> Vec<&'a str> {
        let Some(found) = ["anyOf", "oneOf"].iter().find_map(|word| self.0.get(*word)?.as_array()) else {
            return word_list(self.0);
        };
        found.iter().flat_map(|value| Node(value).choices()).collect()
    }
}

fn word_list(value: &Value) -> Vec<&str> {
    let several = value.get("enum").and_then(Value::as_array).into_iter().flatten();
    value.get("const").into_iter().chain(several).filter_map(Value::as_str).collect()
}

fn has_type(value: &Value, name: &str) -> bool {
    match value.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_kind_that_people_expect() {
        let schema = schema();
        let kind = |path: &str| {
            let node = path.split('.').try_fold(Node(&schema), Node::key);
            node.map(|node| (node.kind(), node.is_nullable()))
        };
        assert_eq!(kind("kafka.brokers"), Some((Kind::Text, true)));
        assert_eq!(kind("kafka.topics"), Some((Kind::List, false)));
        assert_eq!(kind("kafka.properties"), Some((Kind::Structure, false)));
        assert_eq!(kind("kafka.start_from"), Some((Kind::Text, false)));
        assert_eq!(kind("routes"), Some((Kind::Structure, false)));
        assert_eq!(kind("oms.max_in_flight"), Some((Kind::Integer, false)));
        assert_eq!(kind("oms.max_requests_per_second"), Some((Kind::Number, true)));
        assert_eq!(kind("admin.unready_on_hold"), Some((Kind::Boolean, false)));
        assert_eq!(kind("oms.credentials.secret_key"), Some((Kind::Text, true)));
        assert_eq!(kind("nothing"), None);
    }

    #[test]
    fn secrets_and_choices_are_marked() {
        let schema = schema();
        let at = |path: &str| path.split('.').try_fold(Node(&schema), Node::key).unwrap();
        assert!(at("oms.credentials.secret_key").is_secret());
        assert!(!at("oms.project_id").is_secret());
        assert_eq!(at("kafka.start_from").choices(), ["earliest", "latest", "fail"]);
    }
}
