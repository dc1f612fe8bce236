//! How producers write keys. Strict: what cannot be decoded is refused, never guessed at or replaced.

use std::borrow::Cow;

use memchr::memchr2;

/// Form-decodes a key: `+` is a blank, `%XX` a byte. `None` for an invalid escape or where the bytes are no UTF-8.
pub(super) fn decode_form(key: Cow<'_, str>) -> Option<Cow<'_, str>> {
    decode(key, b' ')
}

/// As [`decode_form`], with `+` for itself.
pub(super) fn decode_percent(key: Cow<'_, str>) -> Option<Cow<'_, str>> {
    decode(key, b'+')
}

fn decode(key: Cow<'_, str>, plus: u8) -> Option<Cow<'_, str>> {
    let bytes = key.as_bytes();
    let Some(plain) = memchr2(b'%', b'+', bytes) else {
        return Some(key);
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    decoded.extend_from_slice(&bytes[..plain]);
    let mut rest = bytes[plain..].iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'+' => plus,
            b'%' => hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expected: Option<&str>) {
        assert_eq!(decode_form(Cow::Borrowed(written)).as_deref(), expected, "{written}");
    }

    #[test]
    fn a_key_is_decoded_once() {
        check("a/b.txt", Some("a/b.txt"));
        check("red+flower%2b1%2F%E7%85%A7.jpg", Some("red flower+1/照.jpg"));
        check("100%252F", Some("100%2F"));
        check("", Some(""));
    }

    #[test]
    fn an_invalid_escape_is_refused() {
        for written in ["100%", "%2", "%zz", "a%2x", "%+1"] {
            check(written, None);
        }
    }

    #[test]
    fn what_is_no_utf8_is_refused() {
        check("%FF", None);
        check("%ED%A0%80", None);
    }
}
