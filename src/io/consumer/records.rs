//! Copies a record out of librdkafka's memory, byte for byte. Never looks at what the bytes mean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message as _};

use crate::pipeline::record::{Header, Record};

/// The record, with nothing borrowed: a borrowed one would pin the whole fetched batch.
pub(crate) fn copy(message: &BorrowedMessage<'_>, topic: Arc<str>) -> Record {
    Record {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(Into::into),
        value: message.payload().map(Into::into),
        headers: message.headers().map(copy_headers).unwrap_or_default(),
    }
}

/// rdkafka 0.39 panics on a header whose name is not UTF-8 and offers no other way to read it. Such a header is left
/// out with a warning: a record that ends the process would end it again after every restart.
fn copy_headers(headers: &BorrowedHeaders) -> Box<[Header]> {
    (0..headers.count())
        .filter_map(|index| {
            let read = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
            let Ok(header) = read else {
                tracing::warn!(index, "a header whose name is not UTF-8 was left out of a record");
                return None;
            };
            header.map(|header| Header { name: header.key.into(), value: header.value.map(Into::into) })
        })
        .collect()
}
