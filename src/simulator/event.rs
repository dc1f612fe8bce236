//! The body of an event, as strictly as OMS's API page states it: 1 to 10 keys, each URL-encoded, 1 to 16,384 characters.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::pipeline::key::MAX_ENCODED_KEY_CHARS;

/// Most keys of an event. Source: the `CreateSyncEvents` API page.
pub(super) const MAX_KEYS: usize = 10;

/// The body. Other members are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    object_keys: Vec<Cow<'a, str>>,
}

/// Why an event is refused: the code and the message of the answer.
pub(super) type Refusal = (&'static str, String);

impl<'a> Event<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let event: Self = serde_json::from_slice(body).map_err(|error| ("OMS.0067", error.to_string()))?;
        let count = event.object_keys.len();
        if !(1..=MAX_KEYS).contains(&count) {
            return Err(("OMS.0001", format!("object_keys must hold 1 to {MAX_KEYS} keys, not {count}")));
        }
        event.object_keys.iter().try_for_each(|key| check(key))?;
        Ok(event)
    }

    /// The keys as they came, encoded.
    pub(super) fn keys(&self) -> Vec<&str> {
        self.object_keys.iter().map(|key| &**key).collect()
    }
}

/// The raw key: `+` is a blank, `%XX` a byte.
pub(super) fn decoded(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn check(key: &str) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(("OMS.0002", format!("the object key {key:.200?} {why}")));
    if key.is_empty() || key.len() > MAX_ENCODED_KEY_CHARS {
        return refuse("must have 1 to 16384 characters");
    }
    if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%+".contains(&b)) {
        return refuse("is not URL-encoded");
    }
    let escape = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !key.split('%').skip(1).all(escape) {
        return refuse("holds an invalid escape");
    }
    if key.contains('%') && percent_decode_str(key).decode_utf8().is_err() {
        return refuse("is not UTF-8 once decoded");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(body: &str) -> Option<&'static str> {
        Event::read(body.as_bytes()).err().map(|(code, _)| code)
    }

    fn of_keys(keys: &[&str]) -> Option<&'static str> {
        code_of(&serde_json::json!({ "object_keys": keys }).to_string())
    }

    #[test]
    fn one_to_ten_encoded_keys_are_taken() {
        assert_eq!(of_keys(&["a"]), None);
        assert_eq!(of_keys(&["test%2F001.txt", "test+001.txt", "test%2b001.txt", "%E4%B8%AD~-_."]), None);
        assert_eq!(of_keys(&["a"; 10]), None);
        assert_eq!(of_keys(&["a".repeat(16_384).as_str()]), None);
        assert_eq!(code_of(r#"{"object_keys":["\u0061"],"more":1}"#), None);
    }

    #[test]
    fn another_number_of_keys_is_refused() {
        assert_eq!(of_keys(&[]), Some("OMS.0001"));
        assert_eq!(of_keys(&["a"; 11]), Some("OMS.0001"));
    }

    #[test]
    fn what_is_not_the_documented_json_is_refused() {
        for body in ["", "{", "[]", "{}", r#"{"object_keys":"a"}"#, r#"{"object_keys":[1]}"#, r#"{"object_keys":null}"#]
        {
            assert_eq!(code_of(body), Some("OMS.0067"), "{body}");
        }
    }

    #[test]
    fn a_badly_encoded_key_is_refused() {
        for key in ["", "a/b", "a b", "é", "a%", "a%2", "a%zz", "%", "%%41", "a%FF", "%C3", "a*b", &"a".repeat(16_385)]
        {
            assert_eq!(of_keys(&["good", key]), Some("OMS.0002"), "{key:.20}");
        }
    }

    #[test]
    fn a_key_is_decoded_as_a_form() {
        assert_eq!(decoded("a%2Fb+c%2Bd%25"), "a/b c+d%");
    }
}
