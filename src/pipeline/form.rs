//! The forms of a dead letter, for topics that take less than the source topic did: what is left out, and which keys go
//! into one letter. Every form together says all failed keys and where the record stands; none is dropped.

use std::cmp::Reverse;
use std::sync::Arc;

use super::letters::DeadLetter;

/// What a dead letter holds, from the most to the least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Form {
    /// Key, value and headers of the record, and all keys that failed.
    #[default]
    Whole,
    /// Without the value.
    NoValue,
    /// Without value, headers and a long key; with [`LARGE_PART_BYTES`] of failed keys at most.
    LargePart,
    /// The same with [`SMALL_PART_BYTES`] at most.
    SmallPart,
    /// The same with one failed key.
    OneKey,
}

/// Failed keys of one letter, in bytes of JSON: fits into the 1 MiB that a topic takes by default.
pub const LARGE_PART_BYTES: usize = 512 << 10;
/// The same for smaller topics: fits into 64 KiB.
pub const SMALL_PART_BYTES: usize = 32 << 10;
/// Bytes of a record's key that letters without headers keep.
pub const MAX_KEPT_KEY_BYTES: usize = 1 << 10;

impl Form {
    /// Whether a smaller letter can be made.
    #[must_use]
    pub fn can_shrink(self) -> bool {
        self.next().is_some()
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::NoValue),
            Self::NoValue => Some(Self::LargePart),
            Self::LargePart => Some(Self::SmallPart),
            Self::SmallPart => Some(Self::OneKey),
            Self::OneKey => None,
        }
    }

    fn max_key_bytes(self) -> usize {
        match self {
            Self::Whole | Self::NoValue => usize::MAX,
            Self::LargePart => LARGE_PART_BYTES,
            Self::SmallPart => SMALL_PART_BYTES,
            Self::OneKey => 0,
        }
    }
}

/// The letters that take the place of one that is too large for its topic; none where nothing smaller can be made of it.
#[must_use]
pub fn smaller(letter: &DeadLetter) -> Vec<DeadLetter> {
    let Some(form) = letter.form.next() else { return Vec::new() };
    let parts = split(&letter.failure.keys, form.max_key_bytes());
    let part = |keys| DeadLetter {
        record: Arc::clone(&letter.record),
        failure: super::failure::Failure { keys, ..letter.failure.clone() },
        form,
        keys_in_all: letter.keys_in_all,
    };
    parts.into_iter().map(part).collect()
}

/// Long keys are packed first, so that few parts are needed; the same keys always make the same parts.
fn split(keys: &[Box<str>], max_bytes: usize) -> Vec<Vec<Box<str>>> {
    let mut keys = keys.to_vec();
    if max_bytes != usize::MAX {
        keys.sort_unstable_by(|a, b| (Reverse(a.len()), a).cmp(&(Reverse(b.len()), b)));
    }
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for key in keys {
        let size = json_bytes(&key);
        let fits = bytes + size <= max_bytes;
        if let Some(part) = parts.last_mut().filter(|part| fits || part.is_empty()) {
            part.push(key);
            bytes += size;
        } else {
            parts.push(vec![key]);
            bytes = size;
        }
    }
    parts
}

/// At most so many bytes is the key in a JSON array.
fn json_bytes(key: &str) -> usize {
    let escaped = key.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    });
    escaped.sum::<usize>() + 3
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::super::intake::{Reject, RejectStage};
    use super::super::record::Record;
    use super::super::time::Time;
    use super::*;

    fn letter(keys: Vec<Box<str>>) -> DeadLetter {
        let reject = Reject { stage: RejectStage::Route, reason: "no_route", key: None };
        let failure = Failure { keys, ..Failure::rejected(reject, Time::START) };
        DeadLetter::whole(Arc::new(Record::at("t", 0, 0)), failure)
    }

    /// All letters of a form, and none of them lacks or doubles a key.
    fn forms(letter: DeadLetter) -> Vec<Vec<DeadLetter>> {
        let mut expected: Vec<_> = letter.failure.keys.clone();
        expected.sort_unstable();
        let mut all = vec![vec![letter]];
        loop {
            let next: Vec<_> = all.last().unwrap().iter().flat_map(smaller).collect();
            if next.is_empty() {
                return all;
            }
            let mut keys: Vec<_> = next.iter().flat_map(|part| part.failure.keys.clone()).collect();
            keys.sort_unstable();
            assert_eq!(keys, expected, "{:?}", next[0].form);
            assert!(next.iter().all(|part| part.keys_in_all == expected.len()));
            all.push(next);
        }
    }

    fn key_bytes(letter: &DeadLetter) -> usize {
        serde_json::json!(letter.failure.keys).to_string().len()
    }

    #[test]
    fn ten_thousand_long_keys_are_split_into_few_letters_that_fit() {
        let keys = (0..10_000).map(|n| format!("{n:01024}").into()).collect();
        let forms = forms(letter(keys));
        assert_eq!(forms.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 20, 333, 10_000]);
        for (form, max) in [(2, LARGE_PART_BYTES), (3, SMALL_PART_BYTES)] {
            assert!(forms[form].iter().all(|part| key_bytes(part) <= max + 1));
        }
    }

    #[test]
    fn what_json_escapes_counts_as_it_is_written() {
        let keys = (0..1_000).map(|n| format!("{n}\"\\\u{1}\n中{}", "\u{2}".repeat(100)).into()).collect();
        for part in &forms(letter(keys))[3] {
            assert!(key_bytes(part) <= SMALL_PART_BYTES + 1, "{}", key_bytes(part));
        }
    }

    #[test]
    fn a_letter_without_keys_stays_one() {
        let forms = forms(letter(Vec::new()));
        assert!(forms.iter().all(|letters| letters.len() == 1));
        assert_eq!(forms.last().unwrap()[0].form, Form::OneKey);
    }
}
