//! CloudEvents: what stands around the data, in a record's headers or as members of a document.
//!
//! Source: github.com/cloudevents/spec, `kafka-protocol-binding.md`. Structured mode is told by the members
//! `specversion` and `type`, since many bridges leave out the content type; binary mode by the header `ce_type`. Batches
//! are arrays of structured events. An event is an envelope: its data is read by the family that its type or its own
//! shape tells.

use std::borrow::Cow;

use super::document::Document;
use super::envelope::{Content, Envelope};
use super::header_text;
use crate::pipeline::view::RecordView;

/// What an event says about its data. Empty where there is no event.
#[derive(Clone, Debug, Default)]
pub(super) struct Context<'a> {
    pub(super) event_type: Option<Cow<'a, str>>,
    pub(super) source: Option<Cow<'a, str>>,
    pub(super) subject: Option<Cow<'a, str>>,
}

impl Context<'_> {
    pub(super) fn event_type(&self) -> &str {
        self.event_type.as_deref().unwrap_or_default()
    }
}

/// The context of a record in binary mode.
pub(super) fn of_headers(record: RecordView<'_>) -> Option<Context<'_>> {
    let event_type = header_text(record, "ce_type")?;
    let content_type = header_text(record, "content-type").unwrap_or_default().as_bytes();
    let structured = b"application/cloudevents";
    if content_type.get(..structured.len()).is_some_and(|start| start.eq_ignore_ascii_case(structured)) {
        return None;
    }
    let text = |name| header_text(record, name).map(Cow::Borrowed);
    Some(Context { event_type: Some(event_type.into()), source: text("ce_source"), subject: text("ce_subject") })
}

pub(super) fn is_structured(document: &Document<'_>) -> bool {
    document.specversion.0.is_some() && document.kind_of_event.0.is_some()
}

/// An event in structured mode as an envelope.
pub(super) fn envelope<'a>(document: &mut Document<'a>) -> Envelope<'a> {
    let Document { kind_of_event, source, subject, data, data_base64, .. } = document;
    let context = Context { event_type: kind_of_event.0.take(), source: source.0.take(), subject: subject.0.take() };
    let enclosed = data_base64.text().map_or_else(|| Content::of(*data), Content::Base64);
    Envelope { context, ..Envelope::of("CloudEvents", enclosed) }
}
