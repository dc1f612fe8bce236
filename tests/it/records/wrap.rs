//! Records in envelopes: each kind of them that the decoder opens, around any value. Knows nothing of the decoder, so
//! that the property tests and the fuzz target `envelopes` can hold it against the decoder.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde::de::IgnoredAny;

/// An envelope, or what stands around a document without being one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    ConfluentWire,
    CloudEventsBinary,
    CloudEventsObject,
    CloudEventsText,
    CloudEventsBase64,
    SnsText,
    SnsObject,
    Smn,
    PubsubPush,
    PubsubMessage,
    ConnectObject,
    ConnectText,
    SqsBody,
    SqsApiBody,
    LambdaSqs,
    LambdaSns,
    FunctionGraphSmn,
    EventsObject,
    EventsText,
    JsonText,
    Base64,
    Base64Url,
    Base64Text,
    /// No envelope.
    Array,
    /// No envelope.
    Blanks,
    /// A list of events with a [`SIBLING`] on either side.
    EventsBeside,
    /// A batch with a [`SIBLING`] on either side.
    LambdaSqsBeside,
    /// No envelope: an array with a [`SIBLING`] on either side.
    ArrayBeside,
}

/// What stands beside a document in the kinds that say so: a native record.
pub(crate) const SIBLING: &str = r#"{"bucket":"beside","key":"sibling"}"#;

pub(crate) const KINDS: [Kind; 28] = [
    Kind::ConfluentWire,
    Kind::CloudEventsBinary,
    Kind::CloudEventsObject,
    Kind::CloudEventsText,
    Kind::CloudEventsBase64,
    Kind::SnsText,
    Kind::SnsObject,
    Kind::Smn,
    Kind::PubsubPush,
    Kind::PubsubMessage,
    Kind::ConnectObject,
    Kind::ConnectText,
    Kind::SqsBody,
    Kind::SqsApiBody,
    Kind::LambdaSqs,
    Kind::LambdaSns,
    Kind::FunctionGraphSmn,
    Kind::EventsObject,
    Kind::EventsText,
    Kind::JsonText,
    Kind::Base64,
    Kind::Base64Url,
    Kind::Base64Text,
    Kind::Array,
    Kind::Blanks,
    Kind::EventsBeside,
    Kind::LambdaSqsBeside,
    Kind::ArrayBeside,
];

impl Kind {
    /// Levels of envelopes that it adds.
    pub(crate) const fn levels(self) -> usize {
        !matches!(self, Self::Array | Self::Blanks | Self::ArrayBeside) as usize
    }

    pub(crate) const fn has_siblings(self) -> bool {
        matches!(self, Self::EventsBeside | Self::LambdaSqsBeside | Self::ArrayBeside)
    }
}

/// What a value is, as far as it matters for what can be put around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Object,
    Array,
    /// A JSON text.
    Quoted,
    /// Text that is no JSON, base64 for example, or JSON that is no document.
    Text,
    /// What can only be a record's whole value.
    Value,
}

/// A record's value and headers.
#[derive(Clone)]
pub(crate) struct Wrapped {
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    form: Form,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", String::from_utf8_lossy(&self.value), self.headers)
    }
}

impl Wrapped {
    /// A value without anything around it: JSON or other text, not empty.
    pub(crate) fn bare(text: &str) -> Self {
        let json = text.trim_start_matches('\u{feff}').trim_ascii();
        let form = match json.as_bytes().first() {
            _ if serde_json::from_str::<IgnoredAny>(json).is_err() => Form::Text,
            Some(b'{') => Form::Object,
            Some(b'[') => Form::Array,
            Some(b'"') => Form::Quoted,
            _ => Form::Text,
        };
        Self::new(text.to_owned(), form)
    }

    fn new(text: String, form: Form) -> Self {
        Self { value: text.into_bytes(), headers: Vec::new(), form }
    }

    /// The same in an envelope; `None` where that kind cannot hold it, or would hold something else.
    pub(crate) fn wrap(mut self, kind: Kind) -> Option<Self> {
        match kind {
            Kind::ConfluentWire if self.value.first() != Some(&0) => {
                self.value.splice(..0, [0, 0, 0, 1, 0x8a]);
                self.form = Form::Value;
                return Some(self);
            }
            Kind::CloudEventsBinary if self.headers.is_empty() => {
                self.headers = vec![("ce_type", "com.example.changed"), ("ce_source", "/x"), ("ce_subject", "objects")];
                self.form = Form::Value;
                return Some(self);
            }
            _ if self.form == Form::Value => return None,
            _ => {}
        }
        let text = String::from_utf8(self.value).ok()?;
        wrap_text(&text, self.form, kind).map(|(text, form)| Self::new(text, form))
    }
}

fn wrap_text(text: &str, form: Form, kind: Kind) -> Option<(String, Form)> {
    let quoted = || serde_json::to_string(text).ok();
    // JSON that stands in JSON as it is has no byte order mark before it.
    let is_json = matches!(form, Form::Object | Form::Array) && !text.starts_with('\u{feff}');
    let document = || if is_json { Some(text.to_owned()) } else { quoted() };
    // In an array an array is no document.
    let item = || matches!(form, Form::Object | Form::Quoted).then(|| text.trim_start_matches('\u{feff}'));
    let begins_document = form != Form::Text;
    let base64 = || STANDARD.encode(text);
    let (wrapped, form) = match kind {
        Kind::CloudEventsObject => (cloud_event("data", &document()?), Form::Object),
        Kind::CloudEventsText => (cloud_event("data", &quoted()?), Form::Object),
        Kind::CloudEventsBase64 => (cloud_event("data_base64", &format!("\"{}\"", base64())), Form::Object),
        Kind::SnsText => (format!(r#"{{"Type":"Notification","Message":{}}}"#, quoted()?), Form::Object),
        Kind::SnsObject => (format!(r#"{{"Message":{},"Type":"Notification"}}"#, document()?), Form::Object),
        Kind::Smn => (format!(r#"{{"type":"Notification","message":{}}}"#, quoted()?), Form::Object),
        Kind::PubsubPush if form == Form::Object && is_json => (format!(r#"{{"message":{text}}}"#), Form::Object),
        Kind::PubsubMessage => (format!(r#"{{"data":"{}","attributes":{{"a":"b"}}}}"#, base64()), Form::Object),
        Kind::ConnectObject => (format!(r#"{{"schema":{{"type":"struct"}},"payload":{}}}"#, document()?), Form::Object),
        Kind::ConnectText => (format!(r#"{{"schema":null,"payload":{}}}"#, quoted()?), Form::Object),
        Kind::SqsBody => (format!(r#"{{"messageId":"m","body":{}}}"#, quoted()?), Form::Object),
        Kind::SqsApiBody => (format!(r#"{{"MessageId":"m","Body":{}}}"#, document()?), Form::Object),
        Kind::LambdaSqs => (format!(r#"{{"Records":[{}]}}"#, sqs(&quoted()?)), Form::Object),
        Kind::LambdaSns => {
            (format!(r#"{{"Records":[{{"EventSource":"aws:sns","Sns":{{"Message":{}}}}}]}}"#, quoted()?), Form::Object)
        }
        Kind::FunctionGraphSmn => (format!(r#"{{"record":[{{"smn":{{"message":{}}}}}]}}"#, quoted()?), Form::Object),
        Kind::EventsObject => (format!(r#"{{"events":[{}]}}"#, document()?), Form::Object),
        Kind::EventsText => (format!(r#"{{"events":[{}]}}"#, quoted()?), Form::Object),
        Kind::EventsBeside => (format!(r#"{{"events":[{SIBLING},{},{SIBLING}]}}"#, document()?), Form::Object),
        Kind::LambdaSqsBeside => {
            (format!(r#"{{"Records":[{},{},{}]}}"#, sqs(SIBLING), sqs(&quoted()?), sqs(SIBLING)), Form::Object)
        }
        Kind::JsonText if begins_document => (quoted()?, Form::Quoted),
        Kind::Base64 if begins_document => (base64(), Form::Text),
        Kind::Base64Url if begins_document => (in_lines(&URL_SAFE.encode(text)), Form::Text),
        Kind::Base64Text if begins_document => (format!("\"{}\"", STANDARD_NO_PAD.encode(text)), Form::Quoted),
        Kind::Array => (format!("[{}]", item()?), Form::Array),
        Kind::ArrayBeside => (format!("[{SIBLING},{},{SIBLING}]", item()?), Form::Array),
        Kind::Blanks => (format!("\u{feff} \r\n{}\t ", text.trim_start_matches('\u{feff}')), form),
        _ => return None, // those of whole values, and those that cannot hold it
    };
    Some((wrapped, form))
}

fn sqs(body: &str) -> String {
    format!(r#"{{"messageId":"m","body":{body},"eventSource":"aws:sqs"}}"#)
}

/// Of a type that no family takes for its own, with a subject that names no object.
fn cloud_event(member: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"com.example.changed","source":"/x","subject":"objects","{member}":{data}}}"#
    )
}

/// As some encoders write it: a line break after so many characters.
fn in_lines(base64: &str) -> String {
    let (first, second) = base64.split_at(base64.len().min(76));
    format!("{first}\r\n{second}")
}
