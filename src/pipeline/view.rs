//! What there is to read in a record, wherever its bytes lie.

use super::packed::Packed;
use super::record::{Header, Record};

/// Value and headers of a record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Value bytes; `None` is a null value.
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Headers<'a> {
    Apart(&'a [Header]),
    Packed(&'a Packed),
}

impl<'a> RecordView<'a> {
    /// A header by its name, in whatever case; of several the last, as Kafka has it. Its value may be null.
    #[must_use]
    pub fn header(self, name: &str) -> Option<Option<&'a [u8]>> {
        match self.headers {
            Headers::Apart(all) => {
                let header = all.iter().rfind(|header| header.name.eq_ignore_ascii_case(name))?;
                Some(header.value.as_deref())
            }
            Headers::Packed(packed) => {
                let named = packed.headers().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
                named.last().map(|(_, value)| value)
            }
        }
    }
}

impl<'a> From<&'a Record> for RecordView<'a> {
    fn from(record: &'a Record) -> Self {
        Self { value: record.value.as_deref(), headers: Headers::Apart(&record.headers) }
    }
}

impl<'a> From<&'a Packed> for RecordView<'a> {
    fn from(packed: &'a Packed) -> Self {
        Self { value: packed.value(), headers: Headers::Packed(packed) }
    }
}
