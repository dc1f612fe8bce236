//! A record's bytes in one piece, because there may be a million of them.

use std::sync::Arc;

use super::record::{Header, Record};

/// A header; its value may be null.
pub type NameAndValue<'a> = (&'a str, Option<&'a [u8]>);

/// What a record is packed of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// As in [`Record::offset`].
    pub offset: i64,
    /// As in [`Record::timestamp_ms`].
    pub timestamp_ms: Option<i64>,
    /// As in [`Record::key`].
    pub key: Option<&'a [u8]>,
    /// As in [`Record::value`].
    pub value: Option<&'a [u8]>,
    /// In order.
    pub headers: &'a [NameAndValue<'a>],
}

/// Key and value, then for each header its name and value; not its partition, which the ledger knows that it gets into.
#[derive(Debug)]
pub struct Packed {
    offset: i64,
    timestamp_ms: i64,
    key: Length,
    value: Length,
    bytes: Box<[u8]>,
}

/// What stands for a record without a timestamp, which Kafka counts from the Unix epoch.
const NO_TIMESTAMP: i64 = i64::MIN;

/// How long something is that may be null.
#[derive(Clone, Copy, Debug)]
struct Length(u32);

impl Length {
    const NULL: Self = Self(u32::MAX);

    /// No part of a record is as long as 4 GiB: Kafka's own lengths are 31 bits.
    fn of(bytes: Option<&[u8]>) -> Self {
        bytes.map_or(Self::NULL, |bytes| Self(u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1)))
    }

    /// Takes so much from the front.
    fn take<'a>(self, from: &mut &'a [u8]) -> Option<&'a [u8]> {
        if self.0 == Self::NULL.0 {
            return None;
        }
        let (part, rest) = from.split_at_checked(self.0 as usize).unwrap_or((from, &[]));
        *from = rest;
        Some(part)
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk::<4>()?;
        *from = rest;
        Some(Self(u32::from_le_bytes(*bytes)))
    }
}

impl Packed {
    /// Packs a record, in one allocation.
    #[must_use]
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts { offset, timestamp_ms, key, value, headers } = parts;
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let of_headers = headers.iter().map(|(name, value)| 2 * size_of::<Length>() + name.len() + length(*value));
        let mut bytes = Vec::with_capacity(length(key) + length(value) + of_headers.sum::<usize>());
        bytes.extend_from_slice(key.unwrap_or_default());
        bytes.extend_from_slice(value.unwrap_or_default());
        for (name, value) in headers {
            bytes.extend_from_slice(&Length::of(Some(name.as_bytes())).0.to_le_bytes());
            bytes.extend_from_slice(&Length::of(*value).0.to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(value.unwrap_or_default());
        }
        Self {
            offset,
            timestamp_ms: timestamp_ms.unwrap_or(NO_TIMESTAMP),
            key: Length::of(key),
            value: Length::of(value),
            bytes: bytes.into_boxed_slice(),
        }
    }

    /// As in [`Record::offset`].
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// As in [`Record::timestamp_ms`].
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        Some(self.timestamp_ms).filter(|timestamp| *timestamp != NO_TIMESTAMP)
    }

    /// As in [`Record::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len() - 2 * size_of::<Length>() * self.headers().count()
    }

    /// As in [`Record::value`].
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.parts().1
    }

    /// Name and value of each header, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let (_, _, mut rest) = self.parts();
        std::iter::from_fn(move || {
            let (name, value) = (Length::read(&mut rest)?, Length::read(&mut rest)?);
            Some((name.take(&mut rest)?, value.take(&mut rest)))
        })
    }

    /// The record as it was delivered.
    #[must_use]
    pub fn unpack(&self, topic: Arc<str>, partition: i32) -> Record {
        let (key, value, _) = self.parts();
        let header = |(name, value): (&[u8], Option<&[u8]>)| Header {
            name: String::from_utf8_lossy(name).into(), // it was text when it was packed
            value: value.map(Into::into),
        };
        Record {
            topic,
            partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms(),
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: self.headers().map(header).collect(),
        }
    }

    /// Key, value, and the bytes of the headers.
    fn parts(&self) -> (Option<&[u8]>, Option<&[u8]>, &[u8]) {
        let mut rest = &*self.bytes;
        (self.key.take(&mut rest), self.value.take(&mut rest), rest)
    }
}

impl From<&Record> for Packed {
    fn from(record: &Record) -> Self {
        let Record { offset, timestamp_ms, key, value, headers, .. } = record;
        let headers: Vec<_> = headers.iter().map(|header| (&*header.name, header.value.as_deref())).collect();
        Self::new(Parts {
            offset: *offset,
            timestamp_ms: *timestamp_ms,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        })
    }
}
