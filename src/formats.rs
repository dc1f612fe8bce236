//! Record bytes and headers to object changes, one file a producer family.
//!
//! Pure and total: every record gives at least one [`Change`], whatever its bytes. A value is parsed once, into
//! [`document`]; families are told apart by the members that are there, never by what a key looks like. Nothing in
//! here normalises, trims or guesses at a key, and nothing in here logs what a record holds.
//!
//! A new family is one file, one line in [`FAMILIES`], one [`Format`], and in [`document`] the members it alone has.

mod aws_s3;
mod change;
mod collect;
mod document;
mod key_text;
mod native;
mod shape;

use std::borrow::Cow;

use smallvec::smallvec;

pub use change::{Action, Change, Changes, Kind, Outcome, Reason};
use collect::Collector;
use document::{Document, EachDocument};
use serde::Deserialize as _;
use serde::de::Deserializer as _;
use shape::Object;

use crate::pipeline::record::Record;

/// The header that names a record's task, whatever its format.
pub const TASK_HEADER: &str = "oms-sync-task";

/// The most that [`DecodeOptions::max_changes`] can be: what bounds memory while a value is parsed.
pub const MAX_CHANGES_LIMIT: usize = 100_000;

/// A producer family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// The worker's own record format.
    Native,
    /// S3 event notifications of AWS.
    AwsS3,
}

/// How keys are written in the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyText {
    /// As the format has it.
    #[default]
    Auto,
    /// Form-encoded: `%XX`, and `+` for a blank.
    Form,
    /// Verbatim.
    Raw,
}

/// What becomes of an object whose key ends in `/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FolderMarkers {
    /// It is an object like any other.
    #[default]
    Sync,
    /// It is skipped.
    Skip,
}

/// How to read the records of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeOptions {
    /// The one format that is read; `None` recognises it.
    pub format: Option<Format>,
    /// How keys are written.
    pub key_text: KeyText,
    /// What becomes of folder markers.
    pub folder_markers: FolderMarkers,
    /// Most changes a record, at most [`MAX_CHANGES_LIMIT`]; a record with more is rejected as a whole.
    pub max_changes: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { format: None, key_text: KeyText::Auto, folder_markers: FolderMarkers::Sync, max_changes: 10_000 }
    }
}

/// How a family is recognised and read.
struct Family {
    format: Format,
    /// Whether the document is of this family. With `true` the format was named by the user and doubts are in its favour.
    claims: fn(&Document<'_>, &Collector<'_, '_>, bool) -> bool,
    decode: for<'a> fn(Document<'a>, &mut Collector<'_, 'a>),
}

/// Asked in this order; the most particular shapes come first.
const FAMILIES: [Family; 2] = [
    Family { format: Format::AwsS3, claims: aws_s3::claims, decode: aws_s3::decode },
    Family { format: Format::Native, claims: native::claims, decode: native::decode },
];

impl Format {
    /// All formats, for listings.
    pub const ALL: [Self; 2] = [Self::Native, Self::AwsS3];

    /// The name in configuration, metrics and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::AwsS3 => "aws-s3",
        }
    }
}

/// The object changes that a record tells of. Never empty.
#[must_use]
pub fn decode<'a>(record: &'a Record, options: &DecodeOptions) -> Changes<'a> {
    let Some(value) = record.value.as_deref() else {
        return alone(Outcome::Skip(Reason::NullValue));
    };
    if value.is_empty() {
        return alone(Outcome::Skip(Reason::EmptyValue));
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return alone(Outcome::Reject(Reason::InvalidUtf8));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut collector = Collector::new(options, header_task(record));
    match read(text, |document| read_document(document, options.format, &mut collector)) {
        Ok(()) => collector.finish(),
        Err(_) => alone(Outcome::Reject(Reason::InvalidJson)),
    }
}

/// Calls the function for each document of the text, with `None` for what is no object.
fn read<'a>(text: &'a str, mut each: impl FnMut(Option<Document<'a>>)) -> serde_json::Result<()> {
    let mut parser = serde_json::Deserializer::from_str(text);
    if text.trim_ascii_start().starts_with('[') {
        parser.deserialize_seq(EachDocument(each))?;
    } else {
        each(Object::deserialize(&mut parser)?.0);
    }
    parser.end()
}

fn read_document<'a>(document: Option<Document<'a>>, wanted: Option<Format>, collector: &mut Collector<'_, 'a>) {
    let family = document.as_ref().and_then(|document| {
        let mut families = FAMILIES.iter().filter(|family| wanted.is_none_or(|format| format == family.format));
        families.find(|family| (family.claims)(document, collector, wanted.is_some()))
    });
    match (document, family) {
        (Some(document), Some(family)) => {
            collector.set_format(family.format);
            (family.decode)(document, collector);
        }
        _ => collector.unrecognised(),
    }
}

fn alone<'a>(outcome: Outcome) -> Changes<'a> {
    smallvec![Change::without_object(None, outcome)]
}

/// The task that the header names. One that is null or no UTF-8 names a task that cannot exist, not none.
fn header_task(record: &Record) -> Option<Cow<'_, str>> {
    let header = record.headers.iter().find(|header| header.name.eq_ignore_ascii_case(TASK_HEADER))?;
    Some(String::from_utf8_lossy(header.value.as_deref().unwrap_or_default()))
}
