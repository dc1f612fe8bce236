//! Whether a request is signed as OMS's gateway wants it. Shares the general signing function with nobody but tests,
//! so that the worker's own signer is checked by other code.

use std::time::{Duration, SystemTime};

use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;

use crate::oms::credentials::Credentials;
use crate::oms::sign::{ALGORITHM, DATE_HEADER, Request, authorization, canonical_request, parse_date, skew};

/// How far the signing time may be from the gateway's. Source: the signing guide.
const MAX_SKEW: Duration = Duration::from_mins(15);

/// Whether one of these keys signed it. `Err` holds the message of the 401.
pub(super) fn check(parts: &Parts, body: &[u8], keys: &[Credentials], now: SystemTime) -> Result<(), String> {
    let claimed = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or("no authorization")?;
    let (access_key, names) = signed_names(claimed)?;
    let credentials = keys.iter().find(|key| key.access_key() == access_key).ok_or("ak does not exist")?;
    let headers =
        names.split(';').map(|name| Some((name, value_of(&parts.headers, name)?))).collect::<Option<Vec<_>>>();
    let headers = headers.ok_or("a signed header is missing, doubled or not text")?;
    let date = headers.iter().find(|(name, _)| *name == DATE_HEADER).ok_or("x-sdk-date is not signed")?.1;
    let signed_at = parse_date(date).ok_or("x-sdk-date is not a date")?;
    if skew(signed_at, now) > MAX_SKEW {
        return Err("signature expired".to_owned());
    }
    let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
    let request = Request { method: parts.method.as_str(), url, headers: &headers, body };
    let expected = authorization(&request, credentials.access_key(), credentials.secret_key());
    if expected.as_deref() == Ok(claimed) {
        return Ok(());
    }
    // The gateway tells its own canonical request, with a bar for each line end.
    Err(format!("verify aksk signature fail, canonicalRequest:{}", canonical_request(&request).replace('\n', "|")))
}

/// The access key and the list of signed headers, if the text has the documented form.
fn signed_names(claimed: &str) -> Result<(&str, &str), String> {
    let fields = claimed.strip_prefix(ALGORITHM).and_then(|text| text.strip_prefix(" Access="));
    let (access_key, rest) = fields.and_then(|text| text.split_once(", SignedHeaders=")).ok_or("no such algorithm")?;
    let (names, _) = rest.split_once(", Signature=").ok_or("no signature")?;
    Ok((access_key, names))
}

fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = std::str::from_utf8(values.next()?.as_bytes()).ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::oms::sign::{Signer, date_text};

    const BODY: &[u8] = br#"{"object_keys":["a"]}"#;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_768_469_401)
    }

    /// A request signed at a time, changed, and then checked at `now()`.
    fn check_after(signed_at: SystemTime, change: impl FnOnce(&mut Parts)) -> Result<(), String> {
        let credentials = Credentials::new("AK", "SK", Some("TOKEN")).unwrap();
        let date = date_text(signed_at);
        let signature = Signer::new(&credentials, "h:1", "p").unwrap().authorization("POST", "/v2/x", "", &date, BODY);
        let request = hyper::Request::post("/v2/x")
            .header("host", "h:1")
            .header("x-project-id", "p")
            .header("x-sdk-date", date)
            .header("x-security-token", "TOKEN")
            .header("authorization", signature);
        let mut parts = request.body(()).unwrap().into_parts().0;
        change(&mut parts);
        check(&parts, BODY, &[Credentials::new("OTHER2", "SK2", None).unwrap(), credentials], now())
    }

    #[test]
    fn what_the_signer_signs_is_verified() {
        assert_eq!(check_after(now(), |_| ()), Ok(()));
    }

    #[test]
    fn a_signature_is_valid_for_fifteen_minutes_either_way() {
        let edge = Duration::from_mins(15);
        let beyond = edge + Duration::from_secs(1);
        assert_eq!(check_after(now() - edge, |_| ()), Ok(()));
        assert_eq!(check_after(now() + edge, |_| ()), Ok(()));
        assert_eq!(check_after(now() - beyond, |_| ()), Err("signature expired".to_owned()));
        assert_eq!(check_after(now() + beyond, |_| ()), Err("signature expired".to_owned()));
    }

    #[test]
    fn anything_that_was_changed_after_signing_is_refused() {
        let set = |name: &'static str, value: &'static str| {
            check_after(now(), |parts| drop(parts.headers.insert(name, value.parse().unwrap())))
        };
        for (name, value) in
            [("host", "other"), ("x-project-id", "q"), ("x-sdk-date", "20260115T093002Z"), ("x-security-token", "T")]
        {
            assert!(set(name, value).unwrap_err().contains("canonicalRequest"), "{name}");
        }
        assert!(check_after(now(), |parts| parts.uri = "/v2/y".parse().unwrap()).is_err());
        assert!(check_after(now(), |parts| parts.method = hyper::Method::PUT).is_err());
        assert!(check_after(now(), |parts| drop(parts.headers.remove("host"))).is_err());
        assert!(check_after(now(), |parts| drop(parts.headers.remove("authorization"))).is_err());
        let twice = check_after(now(), |parts| {
            parts.headers.append("host", "h:1".parse().unwrap());
        });
        assert!(twice.is_err());
        assert!(set("authorization", "Basic QQ==").is_err());
        assert!(set("authorization", "SDK-HMAC-SHA256 Access=OTHER, SignedHeaders=x-sdk-date, Signature=00").is_err());
        assert!(set("authorization", "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=00").is_err());
    }
}
