//! A record while it is unsettled. One of which a dead letter is made is unpacked and then shared with it, so that it is
//! not held twice.

use std::sync::Arc;

use super::packed::Packed;
use super::partition::PartitionName;
use super::record::Record;
use super::view::RecordView;

/// An unsettled record, byte for byte, but for its partition.
#[derive(Debug)]
pub struct Kept(Form);

#[derive(Debug)]
enum Form {
    Packed(Packed),
    Shared(Arc<Record>),
}

impl Kept {
    /// Its offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        match &self.0 {
            Form::Packed(packed) => packed.offset(),
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
            Form::Packed(packed) => packed.bytes(),
            Form::Shared(record) => record.bytes(),
        }
    }

    /// The record as it was delivered.
    #[must_use]
    pub fn unpack(&self, at: &PartitionName) -> Arc<Record> {
        match &self.0 {
            Form::Packed(packed) => Arc::new(packed.unpack(Arc::clone(&at.topic), at.partition)),
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

impl From<Packed> for Kept {
    fn from(packed: Packed) -> Self {
        Self(Form::Packed(packed))
    }
}

impl From<&Record> for Kept {
    fn from(record: &Record) -> Self {
        Self::from(Packed::from(record))
    }
}

impl<'a> From<&'a Kept> for RecordView<'a> {
    fn from(kept: &'a Kept) -> Self {
        match &kept.0 {
            Form::Packed(packed) => Self::from(packed),
            Form::Shared(record) => Self::from(&**record),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::record::Header;

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
            let mut kept = Kept::from(&record);
            for _ in 0..2 {
                prop_assert_eq!((kept.offset(), kept.timestamp_ms()), (record.offset, record.timestamp_ms));
                prop_assert_eq!(kept.bytes(), record.bytes());
                let (packed, apart) = (RecordView::from(&kept), RecordView::from(&record));
                prop_assert_eq!(packed.value, apart.value);
                for Header { name, .. } in &record.headers {
                    for name in [name.to_string(), name.to_ascii_uppercase(), format!("{name}?")] {
                        prop_assert_eq!(packed.header(&name), apart.header(&name));
                    }
                }
                prop_assert_eq!(&*kept.share(&at), &record);
            }
        }
    }

    #[test]
    fn a_record_that_is_asked_for_again_is_the_same_one() {
        let at = PartitionName { topic: "t".into(), partition: 0 };
        let mut kept = Kept::from(&Record::at("t", 0, 7));
        assert!(Arc::ptr_eq(&kept.share(&at), &kept.share(&at)));
    }

    #[test]
    fn a_kept_record_costs_forty_bytes_beside_its_own() {
        assert_eq!(size_of::<Kept>(), 40);
    }
}
