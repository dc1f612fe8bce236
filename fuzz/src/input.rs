//! The input of `decode`: three bytes of options, headers, then the record's value.
//!
//! Not `arbitrary`'s own layout, so that a fixture's value stands in its seed as it is and mutations keep it.

use crate::formats::{DecodeOptions, Format, KeyText, MAX_CHANGES_LIMIT, Policy};
use crate::pipeline::record::{Header, Record};

const NAMES: [&str; 10] = [
    "oms-sync-task",
    "content-type",
    "ce_type",
    "ce_source",
    "ce_subject",
    "eventType",
    "bucketId",
    "objectId",
    "CE_Type",
    "other",
];

const MAX_CHANGES: [usize; 8] = [10_000, 0, 1, 2, 5, 1_000, MAX_CHANGES_LIMIT, usize::MAX];

/// The record and the options that an input stands for; `None` where it is too short.
#[must_use]
pub fn read(input: &[u8]) -> Option<(Record, DecodeOptions)> {
    let [format, policies, kind, rest @ ..] = input else { return None };
    let (headers, value) = headers(usize::from(kind >> 4), rest);
    let value = (kind & 8 == 0).then(|| value.into());
    let record = Record { headers: headers.into(), value, ..Record::at("t", 0, 0) };
    Some((record, options(*format, *policies, MAX_CHANGES[usize::from(kind & 7)])))
}

/// Options of two bytes.
#[must_use]
pub fn options(format: u8, policies: u8, max_changes: usize) -> DecodeOptions {
    let policy = |bit: u8| if policies & bit == 0 { Policy::Sync } else { Policy::Skip };
    DecodeOptions {
        format: usize::from(format).checked_sub(1).map(|index| Format::ALL[index % Format::ALL.len()]),
        key_text: [KeyText::Auto, KeyText::Form, KeyText::Raw, KeyText::Auto][usize::from(policies >> 6)],
        folder_markers: policy(1),
        zero_byte: policy(2),
        adls_placeholders: policy(4),
        renames: policy(8),
        untyped: policy(16),
        max_changes,
    }
}

fn headers(count: usize, mut rest: &[u8]) -> (Vec<Header>, &[u8]) {
    let mut headers = Vec::new();
    while headers.len() < count {
        let [name, high, low, tail @ ..] = rest else { break };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, tail) = tail.split_at(length.min(tail.len()));
        let value = (length != usize::from(u16::MAX)).then(|| value.into());
        headers.push(Header { name: NAMES[usize::from(*name) % NAMES.len()].into(), value });
        rest = tail;
    }
    (headers, rest)
}

/// The input of default options that [`read`] makes such a record of. Headers of other names than its own are left out.
#[must_use]
pub fn write<'a>(value: Option<&[u8]>, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut written = vec![0, 0b10100, if value.is_some() { 0 } else { 8 }];
    for (name, text) in headers {
        let index = NAMES.iter().position(|known| *known == name).and_then(|index| u8::try_from(index).ok());
        if let (Some(index), Ok(length)) = (index, u16::try_from(text.len())) {
            written[2] += 1 << 4;
            written.push(index);
            written.extend(length.to_be_bytes());
            written.extend(text.as_bytes());
        }
    }
    written.extend(value.unwrap_or_default());
    written
}
