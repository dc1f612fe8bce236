//! Error bodies of OMS, the gateway and IAM: which code and message they hold, made safe to log. Pure.

use serde_json::{Map, Value};

/// Names that a code and its message go by, in the order in which the vendor's SDKs look for them.
const NAMES: [(&str, &str); 3] = [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")];
/// How deep nested objects are searched.
const MAX_DEPTH: usize = 4;
/// The header whose value an echoed canonical request would give away.
const SECRET_HEADER: &str = "x-security-token";
/// Stands for what was removed.
const REDACTED: &str = "***";

/// What the body of an answer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ErrorBody {
    /// Nothing, or white space.
    Empty,
    /// JSON that holds a code.
    Error { code: String, message: Option<String> },
    /// JSON without a code.
    OtherJson,
    /// Anything else, and JSON that was cut off.
    NotJson,
}

impl ErrorBody {
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Error { code, .. } => Some(code),
            Self::Empty | Self::OtherJson | Self::NotJson => None,
        }
    }
}

pub(super) fn parse(body: &[u8]) -> ErrorBody {
    if body.trim_ascii().is_empty() {
        return ErrorBody::Empty;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(members)) => find(&members, MAX_DEPTH).unwrap_or(ErrorBody::OtherJson),
        Ok(_) => ErrorBody::OtherJson,
        Err(_) => ErrorBody::NotJson,
    }
}

fn find(members: &Map<String, Value>, depth: usize) -> Option<ErrorBody> {
    for (code, message) in NAMES {
        if let Some(code) = members.get(code).and_then(text) {
            return Some(ErrorBody::Error { code, message: members.get(message).and_then(text) });
        }
    }
    let nested = members.values().filter_map(Value::as_object);
    nested.take(if depth == 0 { 0 } else { usize::MAX }).find_map(|inner| find(inner, depth - 1))
}

/// Numbers too: IAM writes its codes so.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Without the token, and without the value of an echoed `x-security-token`.
pub(super) fn redacted(message: &str, token: Option<&str>) -> String {
    let message = match token {
        Some(token) if !token.is_empty() => message.replace(token, REDACTED),
        _ => message.to_owned(),
    };
    let lower = message.to_ascii_lowercase();
    let (mut kept, mut rest) = (String::with_capacity(message.len()), 0);
    for (at, _) in lower.match_indices(SECRET_HEADER) {
        let name_end = at + SECRET_HEADER.len();
        let value = message[name_end..].trim_start_matches([':', '=', '"', '\'', ' ']);
        let value_start = message.len() - value.len();
        // A list of names (`x-security-token;` or `|`) is followed by no value.
        if value_start == name_end || name_end < rest {
            continue;
        }
        let value_end =
            value.find(['|', '"', '\'', ',', ';', ' ', '\r', '\n']).map_or(message.len(), |n| value_start + n);
        kept.push_str(&message[rest..value_start]);
        kept.push_str(REDACTED);
        rest = value_end;
    }
    kept.push_str(&message[rest..]);
    kept
}

/// At most `max` bytes, cut between characters; control characters become blanks.
pub(super) fn bounded(text: &str, max: usize) -> Box<str> {
    let text = text.trim();
    let cut = text.floor_char_boundary(max);
    text[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, code: Option<&str>, message: Option<&str>) {
        match parse(body.as_bytes()) {
            ErrorBody::Error { code: c, message: m } => {
                assert_eq!((Some(&*c), m.as_deref()), (code, message), "{body}");
            }
            other => assert_eq!((None, None), (code, message), "{body} is {other:?}"),
        }
    }

    #[test]
    fn codes_are_found_under_all_their_names_in_order() {
        check(r#"{"error_code":"OMS.1","error_msg":"m","code":"x"}"#, Some("OMS.1"), Some("m"));
        check(r#"{"errorCode":"OMS.2","errorMsg":"m"}"#, Some("OMS.2"), Some("m"));
        check(r#"{"code":"OMS.3","message":"m"}"#, Some("OMS.3"), Some("m"));
        check(r#"{"error":{"code":401,"message":"m","title":"t"}}"#, Some("401"), Some("m"));
        check(r#"{"a":{"b":{"error_code":"OMS.4"}}}"#, Some("OMS.4"), None);
        check(r#"{"request_id":"r","error_code":"OMS.5","error_msg":null}"#, Some("OMS.5"), None);
    }

    #[test]
    fn json_without_a_code_has_none() {
        for body in ["{}", "[]", "null", r#"{"error_msg":"m"}"#, r#"{"a":[{"error_code":"OMS.1"}]}"#] {
            check(body, None, None);
        }
        check(r#"{"a":{"b":{"c":{"d":{"e":{"error_code":"OMS.1"}}}}}}"#, None, None);
    }

    #[test]
    fn an_echoed_token_is_removed_in_any_spelling() {
        for message in [
            "POST|/v2/|host:h|x-security-token:SECRET|",
            "X-Security-Token: SECRET",
            r#"{"X-Security-Token":"SECRET"}"#,
            "x-security-token=SECRET, x-security-token=SECRET",
            "somewhere SECRETSECRET else",
        ] {
            let clean = redacted(message, Some("SECRET"));
            assert!(!clean.contains("SECRET"), "{clean}");
            if message.contains("ecurity") {
                let clean = redacted(message, None);
                assert!(!clean.contains("SECRET"), "{clean}");
            }
        }
    }

    #[test]
    fn the_rest_of_an_echo_stays() {
        let echo = "POST|host:h|x-sdk-date:D|x-security-token:T|host;x-sdk-date;x-security-token|HASH";
        assert_eq!(
            redacted(echo, None),
            "POST|host:h|x-sdk-date:D|x-security-token:***|host;x-sdk-date;x-security-token|HASH"
        );
    }
}
