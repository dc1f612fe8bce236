//! A value, or an item of an array, parsed once: what it is shows while it is read.
//!
//! The first member is peeked at, because a batch needs nothing of all that a [`Document`] has room for.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use super::document::{Document, Entry};
use super::shape::{List, Object, Text};

/// The member of batches.
const RECORDS: &str = "Records";

/// A value, or an item of an array.
pub(super) enum Item<'a> {
    /// A document whose first member is `Records`, as nearly all are: nothing else in it is looked at.
    Batch(List<Object<Entry<'a>>>),
    Document(Box<Document<'a>>),
    Text(Cow<'a, str>),
    Other,
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Item<'de>, E> {
        Ok(Item::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Item<'de>, E> {
        Ok(Item::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Item<'de>, E> {
        Ok(Item::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Item<'de>, E> {
        Ok(Item::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Item<'de>, E> {
        Ok(Item::Other)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Item<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Item::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
        let Some(first) = map.next_key::<Text<'de>>()? else {
            return Ok(Item::Document(Box::default()));
        };
        if first.as_str() == Some(RECORDS) {
            let records: List<Object<Entry<'de>>> = map.next_value()?;
            if records.0.is_some() {
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    if name.as_str() == Some(RECORDS) {
                        return Err(A::Error::duplicate_field(RECORDS));
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                return Ok(Item::Batch(records));
            }
            // Not what it seems: without that member, then.
            return Document::deserialize(MapAccessDeserializer::new(map)).map(|d| Item::Document(Box::new(d)));
        }
        let members = MapAccessDeserializer::new(FirstAgain { first: first.0, map });
        Document::deserialize(members).map(|document| Item::Document(Box::new(document)))
    }
}

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

/// The members of an object whose first name was read already.
struct FirstAgain<'a, A> {
    first: Option<Cow<'a, str>>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for FirstAgain<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(first.into_deserializer()).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Calls the function for each item of an array.
pub(super) struct EachItem<F>(pub(super) F);

impl<'de, F: FnMut(Item<'de>)> Visitor<'de> for EachItem<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}
