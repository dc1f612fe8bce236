//! What the fuzz targets share: how bytes become a record, and what has to hold for every record.
//!
//! The decoder is compiled in here by itself, from the worker's own sources: neither librdkafka nor an HTTP client has to
//! be built, and a decoder that began to need one would no longer build. Never part of the worker.

#[path = "../../src"]
mod decoder {
    pub mod formats;
    pub mod pipeline {
        pub mod packed;
        pub mod record;
        pub mod view;
    }
}
pub mod case;
pub mod input;
pub mod seeds;
pub mod sound;
#[path = "../../tests/it/records/wrap.rs"]
mod wrap;

pub use decoder::{formats, pipeline};

/// One change: format, action, bucket, key and reason.
pub type Item = (Option<formats::Format>, &'static str, Option<String>, Option<String>, Option<&'static str>);

/// What a record's decoding gives.
#[must_use]
pub fn list(changes: &formats::Changes<'_>) -> Vec<Item> {
    let own = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let of = |change: &formats::Change<'_>| {
        let (action, reason) = (change.outcome.action().as_str(), change.outcome.reason().map(formats::Reason::as_str));
        (change.format, action, own(&change.bucket), own(&change.key), reason)
    };
    changes.iter().map(of).collect()
}
