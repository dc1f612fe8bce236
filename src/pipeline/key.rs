//! Object keys as OMS wants them: URL-encoded. Never normalised, trimmed or guessed at.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

/// Longest encoded key that OMS takes, in characters (all ASCII). Source: the `CreateSyncEvents` API page.
pub const MAX_ENCODED_KEY_CHARS: usize = 16_384;

/// Longest task id. Source: the `CreateSyncEvents` API page.
pub const MAX_TASK_ID_CHARS: usize = 1_024;

/// All but `A-Za-z0-9-_.~`.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An object key in its encoded form: only `A-Za-z0-9-_.~%+`, 1 to [`MAX_ENCODED_KEY_CHARS`] characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EncodedKey(Box<str>);

/// How a blank is written in an encoded key; all else is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyEncoding {
    /// As `%20`.
    #[default]
    Percent,
    /// As `+`.
    Form,
}

/// Why a key cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum KeyError {
    /// A key of no characters.
    #[error("the object key is empty")]
    Empty,
    /// Longer than [`MAX_ENCODED_KEY_CHARS`] once encoded.
    #[error("the object key has {0} characters once encoded, OMS takes at most {MAX_ENCODED_KEY_CHARS}")]
    TooLong(usize),
}

impl EncodedKey {
    /// Encodes a raw key; hexadecimal digits are in upper case.
    pub fn encode(raw: &str, encoding: KeyEncoding) -> Result<Self, KeyError> {
        if raw.is_empty() {
            return Err(KeyError::Empty);
        }
        let mut encoded = String::with_capacity(encoded_chars(raw, encoding));
        for part in utf8_percent_encode(raw, &ESCAPED) {
            encoded.push_str(if encoding == KeyEncoding::Form && part == "%20" { "+" } else { part });
        }
        if encoded.len() > MAX_ENCODED_KEY_CHARS {
            return Err(KeyError::TooLong(encoded.len()));
        }
        Ok(Self(encoded.into_boxed_str()))
    }

    /// The encoded form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The raw key.
    #[must_use]
    pub fn decode(&self) -> Cow<'_, str> {
        if !self.0.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            return Cow::Borrowed(&self.0);
        }
        // A plus sign that belongs to the key is `%2B` in both encodings.
        let blanks = self.0.replace('+', " ");
        Cow::Owned(percent_decode_str(&blanks).decode_utf8_lossy().into_owned())
    }
}

/// The exact length, so that a key costs one allocation.
fn encoded_chars(raw: &str, encoding: KeyEncoding) -> usize {
    raw.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => 1,
            b' ' if encoding == KeyEncoding::Form => 1,
            _ => 3,
        })
        .sum()
}

/// The id of an OMS synchronization task: `[A-Za-z0-9-]{1,1024}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(Arc<str>);

/// A text that is no task id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a task id has 1 to {MAX_TASK_ID_CHARS} of the characters A-Z a-z 0-9 -")]
pub struct InvalidTaskId;

impl TaskId {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, InvalidTaskId> {
        let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if allowed && (1..=MAX_TASK_ID_CHARS).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTaskId)
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for TaskId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(raw: &str, encoding: KeyEncoding) -> String {
        EncodedKey::encode(raw, encoding).unwrap().as_str().to_owned()
    }

    #[test]
    fn the_examples_of_the_api_page_hold() {
        assert_eq!(encode("test/001.txt", KeyEncoding::Percent), "test%2F001.txt");
        assert_eq!(encode("test+001.txt", KeyEncoding::Percent), "test%2B001.txt");
        assert_eq!(encode("test 001.txt", KeyEncoding::Form), "test+001.txt");
        assert_eq!(encode("test 001.txt", KeyEncoding::Percent), "test%20001.txt");
    }

    #[test]
    fn everything_but_the_unreserved_is_escaped_in_upper_case() {
        assert_eq!(encode("aZ9-_.~*中😀%", KeyEncoding::Form), "aZ9-_.~%2A%E4%B8%AD%F0%9F%98%80%25");
        assert_eq!(encode("../a//b\n", KeyEncoding::Percent), "..%2Fa%2F%2Fb%0A");
    }

    #[test]
    fn a_key_is_refused_only_where_oms_would() {
        assert_eq!(EncodedKey::encode("", KeyEncoding::Percent), Err(KeyError::Empty));
        assert!(EncodedKey::encode(&"a".repeat(MAX_ENCODED_KEY_CHARS), KeyEncoding::Percent).is_ok());
        let long = "中".repeat(1_821);
        assert_eq!(EncodedKey::encode(&long, KeyEncoding::Percent), Err(KeyError::TooLong(16_389)));
    }

    #[test]
    fn a_task_id_has_letters_digits_and_dashes() {
        assert_eq!(TaskId::new("31e9b7e6-6ffb").unwrap().to_string(), "31e9b7e6-6ffb");
        assert!(TaskId::new(&"x".repeat(1_024)).is_ok());
        for text in ["", "a b", "a_b", "é", &"x".repeat(1_025)] {
            assert_eq!(TaskId::new(text), Err(InvalidTaskId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_gives_the_raw_key_back(raw in "[ -~]{1,40}|\\PC{1,40}|(?s).{1,40}") {
            for encoding in [KeyEncoding::Percent, KeyEncoding::Form] {
                let key = EncodedKey::encode(&raw, encoding).unwrap();
                prop_assert_eq!(key.decode(), raw.as_str());
                prop_assert_eq!(key.as_str().len(), encoded_chars(&raw, encoding));
                prop_assert!(key.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%+".contains(&b)));
            }
        }
    }
}
