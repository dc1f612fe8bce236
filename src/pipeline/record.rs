//! A record as Kafka delivered it. Never changed, only referred to, until it is settled.

use std::sync::Arc;

/// One Kafka record: the exact bytes, kept until settled so that a dead letter can carry them verbatim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Source topic.
    pub topic: Arc<str>,
    /// Source partition, at least 0.
    pub partition: i32,
    /// Source offset, at least 0.
    pub offset: i64,
    /// Kafka's timestamp, milliseconds since the Unix epoch; `None` where the broker gave none.
    pub timestamp_ms: Option<i64>,
    /// Key bytes; `None` is a null key.
    pub key: Option<Box<[u8]>>,
    /// Value bytes; `None` is a null value (a tombstone), which is not the same as an empty one.
    pub value: Option<Box<[u8]>>,
    /// Headers in the record's order; a name may occur more than once.
    pub headers: Box<[Header]>,
}

/// One header of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Name, as UTF-8.
    pub name: Box<str>,
    /// Value; `None` is a null value.
    pub value: Option<Box<[u8]>>,
}

impl Record {
    /// A record of which nothing but its place is known: no key, a null value, no headers, no time.
    #[must_use]
    pub fn at(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        let (timestamp_ms, key, value, headers) = (None, None, None, Box::default());
        Self { topic: topic.into(), partition, offset, timestamp_ms, key, value, headers }
    }

    /// The record's own bytes: key, value, header names and values. What the byte budget is charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|h| h.name.len() + h.value.as_deref().map_or(0, <[u8]>::len)).sum();
        self.key.as_deref().map_or(0, <[u8]>::len) + self.value.as_deref().map_or(0, <[u8]>::len) + headers
    }

    /// The value of the first header of that name that is valid UTF-8; names are compared without regard to ASCII case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|h| h.name.eq_ignore_ascii_case(name))
            .find_map(|h| std::str::from_utf8(h.value.as_deref()?).ok())
    }
}
