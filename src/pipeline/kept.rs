//! A record while it is unsettled: its bytes in one piece, because there may be a million of them. A record of which a
//! dead letter is made is unpacked and then shared with it, so that it is not held twice.

use std::sync::Arc;

use super::partition::PartitionName;
use super::record::{Header, Record};

/// An unsettled record, byte for byte. Its partition is known to whoever holds it.
#[derive(Debug)]
pub struct Kept(Form);

#[derive(Debug)]
enum Form {
    Packed(Packed),
    Shared(Arc<Record>),
}

/// Key and value, then for each header its name and value.
#[derive(Debug)]
struct Packed {
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

impl Kept {
    /// Packs a record.
    #[must_use]
    pub fn new(record: &Record) -> Self {
        let Record { key, value, headers, .. } = record;
        let lengths = 2 * size_of::<Length>() * headers.len();
        let mut bytes = Vec::with_capacity(record.bytes() + lengths);
        bytes.extend_from_slice(key.as_deref().unwrap_or_default());
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        for Header { name, value } in headers {
            bytes.extend_from_slice(&Length::of(Some(name.as_bytes())).0.to_le_bytes());
            bytes.extend_from_slice(&Length::of(value.as_deref()).0.to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        Self(Form::Packed(Packed {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms.unwrap_or(NO_TIMESTAMP),
            key: Length::of(key.as_deref()),
            value: Length::of(value.as_deref()),
            bytes: bytes.into_boxed_slice(),
        }))
    }

    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        match &self.0 {
            Form::Packed(packed) => packed.offset,
            Form::Shared(record) => record.offset,
        }
    }

    /// Kafka's timestamp, as in [`Record::timestamp_ms`].
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        match &self.0 {
            Form::Packed(packed) => packed.timestamp_ms(),
            Form::Shared(record) => record.timestamp_ms,
        }
    }

    /// Its own bytes, as in [`Record::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(packed) => packed.bytes.len() - 2 * size_of::<Length>() * packed.headers().count(),
            Form::Shared(record) => record.bytes(),
        }
    }

    /// The record as it was delivered.
    #[must_use]
    pub fn unpack(&self, at: &PartitionName) -> Arc<Record> {
        match &self.0 {
            Form::Packed(packed) => Arc::new(packed.unpack(at)),
            Form::Shared(record) => Arc::clone(record),
        }
    }

    /// The same, shared from now on.
    pub fn share(&mut self, at: &PartitionName) -> Arc<Record> {
        let shared = self.unpack(at);
        self.0 = Form::Shared(Arc::clone(&shared));
        shared
    }
}

impl Packed {
    fn timestamp_ms(&self) -> Option<i64> {
        Some(self.timestamp_ms).filter(|timestamp| *timestamp != NO_TIMESTAMP)
    }

    /// Name and value of each header.
    fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut rest = &*self.bytes;
        self.key.take(&mut rest);
        self.value.take(&mut rest);
        std::iter::from_fn(move || {
            let (name, value) = (Length::read(&mut rest)?, Length::read(&mut rest)?);
            Some((name.take(&mut rest)?, value.take(&mut rest)))
        })
    }

    fn unpack(&self, at: &PartitionName) -> Record {
        let mut rest = &*self.bytes;
        let header = |(name, value): (&[u8], Option<&[u8]>)| Header {
            name: String::from_utf8_lossy(name).into(), // it was text when it was packed
            value: value.map(Into::into),
        };
        Record {
            topic: Arc::clone(&at.topic),
            partition: at.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms(),
            key: self.key.take(&mut rest).map(Into::into),
            value: self.value.take(&mut rest).map(Into::into),
            headers: self.headers().map(header).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Option<Box<[u8]>>> {
        prop::option::of(prop::collection::vec(any::<u8>(), 0..40).prop_map(Into::into))
    }

    prop_compose! {
        fn header()(name in "\\PC{0,5}", value in bytes()) -> Header {
            Header { name: name.into(), value }
        }
    }

    prop_compose! {
        fn record()(key in bytes(), value in bytes(), headers in prop::collection::vec(header(), 0..4),
                    offset in 0..i64::MAX, timestamp_ms in prop::option::of(-1..i64::MAX)) -> Record {
            Record { timestamp_ms, key, value, headers: headers.into(), ..Record::at("t", 3, offset) }
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_as_it_was(record in record()) {
            let at = PartitionName { topic: "t".into(), partition: 3 };
            let mut kept = Kept::new(&record);
            for _ in 0..2 {
                prop_assert_eq!((kept.offset(), kept.timestamp_ms()), (record.offset, record.timestamp_ms));
                prop_assert_eq!(kept.bytes(), record.bytes());
                prop_assert_eq!(&*kept.share(&at), &record);
            }
        }
    }

    #[test]
    fn a_record_that_is_asked_for_again_is_the_same_one() {
        let at = PartitionName { topic: "t".into(), partition: 0 };
        let mut kept = Kept::new(&Record::at("t", 0, 7));
        assert!(Arc::ptr_eq(&kept.share(&at), &kept.share(&at)));
    }

    #[test]
    fn a_kept_record_costs_forty_bytes_beside_its_own() {
        assert_eq!(size_of::<Kept>(), 40);
    }
}
