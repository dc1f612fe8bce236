//! Takes a record out of librdkafka's memory, byte for byte. Never looks at what the bytes mean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message as _};
use smallvec::SmallVec;

use crate::pipeline::packed::{NameAndValue, Packed, Parts};
use crate::pipeline::record::Record;

/// The record, with nothing borrowed: a borrowed one would pin the whole fetched batch.
pub(super) fn pack(message: &BorrowedMessage<'_>) -> Packed {
    Packed::new(Parts {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key(),
        value: message.payload(),
        headers: &message.headers().map(headers).unwrap_or_default(),
    })
}

/// The same, part by part, for those who read few.
pub(crate) fn copy(message: &BorrowedMessage<'_>, topic: Arc<str>) -> Record {
    pack(message).unpack(topic, message.partition())
}

/// Name and value of each. rdkafka 0.39 panics on a header whose name is not UTF-8 and offers no other way to read it.
/// Such a header is left out with a warning: a record that ends the process would end it again after every restart.
fn headers(headers: &BorrowedHeaders) -> SmallVec<[NameAndValue<'_>; 4]> {
    (0..headers.count())
        .filter_map(|index| {
            let read = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
            let Ok(header) = read else {
                tracing::warn!(index, "a header whose name is not UTF-8 was left out of a record");
                return None;
            };
            header.map(|header| (header.key, header.value))
        })
        .collect()
}
