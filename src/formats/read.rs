//! From bytes to documents, and from a document to its family or, for an envelope, to the documents in it.
//!
//! Bounded: at most [`MAX_DEPTH`] envelopes in one another, each text read once, and every text in an envelope is
//! shorter than the envelope.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize as _;
use serde::de::Deserializer as _;

use super::cloud_event::{self, Context};
use super::collect::Collector;
use super::document::Document;
use super::envelope::{self, Content, Envelope};
use super::families::{FAMILIES, Source, native};
use super::item::{EachItem, Item};
use super::{Format, MAX_DEPTH, Reason, Step, records};

const BASE64: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64_STANDARD: GeneralPurpose = GeneralPurpose::new(&STANDARD, BASE64);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, BASE64);

/// Reads a record's value. What is wrong with the whole of it is an error; what is wrong with a part is collected.
pub(super) fn value<'a>(
    value: &'a [u8],
    context: Option<Context<'a>>,
    collector: &mut Collector<'_, 'a>,
) -> Result<(), Reason> {
    let mut reader = Reader { collector, depth: 0 };
    let value = match value {
        // The wire format of Confluent's serializers: a zero, and the id of a schema in four bytes.
        [0, _, _, _, _, value @ ..] => reader.enter("Confluent wire format").map(|()| value)?,
        value => value,
    };
    if context.is_some() {
        reader.enter("CloudEvents, binary mode")?;
    }
    let text = std::str::from_utf8(value).map_err(|_| Reason::InvalidUtf8)?;
    let context = context.unwrap_or_default();
    if text.is_empty() {
        reader.document(Document::default(), &context);
        return Ok(());
    }
    reader.text(text, &context)
}

struct Reader<'r, 'o, 'a> {
    collector: &'r mut Collector<'o, 'a>,
    depth: usize,
}

impl<'a> Reader<'_, '_, 'a> {
    fn enter(&mut self, envelope: &'static str) -> Result<(), Reason> {
        if self.depth == MAX_DEPTH {
            return Err(Reason::NestedTooDeep);
        }
        self.depth += 1;
        self.collector.step(|| Step::Envelope(envelope));
        Ok(())
    }

    /// Reads JSON, or base64 of it: a document, an array of them, or the text of one.
    fn text(&mut self, text: &'a str, context: &Context<'a>) -> Result<(), Reason> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
        let mut parser = serde_json::Deserializer::from_str(text);
        if text.starts_with('[') {
            let read = parser.deserialize_seq(EachItem(|item| self.item(item, &Context::default())));
            return read.and_then(|()| parser.end()).map_err(|_| Reason::InvalidJson);
        }
        match Item::deserialize(&mut parser).and_then(|item| parser.end().map(|()| item)) {
            Ok(item) => {
                self.item(item, context);
                Ok(())
            }
            Err(_) => self.base64(text, context).unwrap_or(Err(Reason::InvalidJson)),
        }
    }

    fn item(&mut self, item: Item<'a>, context: &Context<'a>) {
        self.collector.forget_format();
        match item {
            Item::Batch(records) => records::decode_all(records, self.collector, self.opener()),
            Item::Document(document) => self.document(*document, context),
            // What NooBaa sends to see whether a topic is there.
            Item::Text(text) if text == "test notification" => self.collector.skip(Reason::TestEvent),
            Item::Text(text) if begins_document(&text) => self.open(Envelope::of("JSON text", Content::Text(text))),
            Item::Text(text) if decode_base64(&text).is_some_and(|text| begins_document(&text)) => {
                self.open(Envelope::of("base64", Content::Base64(text)));
            }
            Item::Text(_) | Item::Other => self.collector.reject(Reason::Unrecognised),
        }
    }

    fn document(&mut self, mut document: Document<'a>, context: &Context<'a>) {
        if records::is_batch(&document) {
            records::complete(&mut document, context);
            return records::decode(document, self.collector, self.opener());
        }
        let collector = &mut *self.collector;
        if cloud_event::is_structured(&document) {
            return self.open(cloud_event::envelope(&mut document));
        }
        let mut source = Source { document, context };
        let family =
            FAMILIES.iter().find(|family| collector.wants(family.format) && (family.claims)(&source, collector));
        if let Some(family) = family {
            collector.set_format(family.format);
            collector.step(|| Step::Family(family.format, family.told_by));
            return (family.decode)(source, collector);
        }
        match envelope::of(&mut source.document) {
            Some(envelope) => self.open(envelope),
            // The user has said what it is, so that what is missing in it can be named.
            None if collector.options().format == Some(Format::Native) => native::decode(source, collector),
            None => collector.reject(Reason::Unrecognised),
        }
    }

    /// What opens the envelopes in a batch.
    fn opener<'o>(&self) -> impl Fn(&mut Collector<'o, 'a>, Envelope<'a>) + use<'o, 'a> {
        let depth = self.depth;
        move |collector, envelope| Reader { collector, depth }.open(envelope)
    }

    /// Reads what is in an envelope, each content by itself: one that is broken does not hide the others.
    fn open(&mut self, envelope: Envelope<'a>) {
        let depth = self.depth;
        if let Err(reason) = self.enter(envelope.name) {
            return self.collector.reject(reason);
        }
        for content in envelope.contents {
            self.collector.forget_format(); // a content that cannot be read is not of its neighbour's
            let read = match content {
                Content::Control(reason) => {
                    self.collector.skip(reason);
                    Ok(())
                }
                Content::Unreadable(reason) => Err(reason),
                Content::Nothing => {
                    self.document(Document::default(), &envelope.context);
                    Ok(())
                }
                Content::Text(text) => self.part(text, &envelope.context),
                Content::Base64(text) => match decode_base64(&text) {
                    Some(text) => self.part(Cow::Owned(text), &envelope.context),
                    None => Err(Reason::InvalidEnvelope),
                },
            };
            if let Err(reason) = read {
                self.collector.reject(reason);
            }
        }
        self.depth = depth;
    }

    fn part(&mut self, text: Cow<'a, str>, context: &Context<'a>) -> Result<(), Reason> {
        let depth = self.depth;
        match text {
            Cow::Borrowed(text) => {
                self.collector.all_or_nothing(|collector| Reader { collector, depth }.text(text, context))
            }
            Cow::Owned(text) => {
                let mut inner = self.collector.nested();
                let read = inner.all_or_nothing(|collector| Reader { collector, depth }.text(&text, context));
                self.collector.absorb(inner);
                read
            }
        }
    }

    /// Reads text that is no JSON but base64 of a document. `None` where it is not.
    fn base64(&mut self, text: &str, context: &Context<'a>) -> Option<Result<(), Reason>> {
        let decoded = decode_base64(text).filter(|text| begins_document(text))?;
        let entered = self.enter("base64");
        let read = entered.and_then(|()| self.part(Cow::Owned(decoded), context));
        self.depth -= usize::from(entered.is_ok());
        Some(read)
    }
}

fn begins_document(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_ascii_start().starts_with(['{', '[', '"'])
}

/// Base64 of UTF-8, of either alphabet, padded or not, in one line or several.
fn decode_base64(text: &str) -> Option<String> {
    let engine = if text.contains(['-', '_']) { BASE64_URL } else { BASE64_STANDARD };
    let decoded = if text.contains(|c: char| c.is_ascii_whitespace()) {
        engine.decode(text.split_ascii_whitespace().collect::<String>())
    } else {
        engine.decode(text)
    };
    String::from_utf8(decoded.ok()?).ok()
}
