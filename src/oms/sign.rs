//! Request signing: SDK-HMAC-SHA256, as the signing guide of Huawei Cloud describes it (devg-apisign, algorithm pages).
//!
//! Pure: the time is an argument, nothing is sent, and what is signed is never changed. [`authorization`] signs any
//! request; [`Signer`] gives the same result for the fixed header set of this worker, faster.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::credentials::Credentials;

/// Name of the algorithm, the first word of `Authorization`.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";
/// Header of the signing time; the one header that must be signed.
pub const DATE_HEADER: &str = "x-sdk-date";
/// Header that, when it is signed, stands for the hash of the body.
const CONTENT_HASH_HEADER: &str = "x-sdk-content-sha256";
/// Everything but `A-Za-z0-9-_.~` is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request as the signature sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method; upper-cased for signing.
    pub method: &'a str,
    /// Absolute URL, or path and query alone. A path that is escaped already is not escaped again.
    pub url: &'a str,
    /// The headers to sign, `host` and `x-sdk-date` among them as they go out. A name that holds `_` is left out.
    pub headers: &'a [(&'a str, &'a str)],
    /// The bytes that are sent.
    pub body: &'a [u8],
}

/// Why a request cannot be signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignError {
    /// OMS refuses a signature without a time.
    #[error("no x-sdk-date among the headers to sign: add it, as YYYYMMDDTHHMMSSZ in UTC")]
    NoDate,
    /// HMAC takes keys of any length, so this is not expected.
    #[error("the secret key cannot be used as an HMAC key: check its length")]
    Key(#[from] hmac::digest::InvalidLength),
}

/// The value of `Authorization` for a request.
pub fn authorization(request: &Request<'_>, access_key: &str, secret_key: &str) -> Result<String, SignError> {
    let headers = canonical_headers(request.headers);
    let date = headers.iter().find(|(name, _)| name == DATE_HEADER).ok_or(SignError::NoDate)?.1;
    let hash = Sha256::digest(canonical_request_of(request, &headers));
    let mut text = authorization_prefix(access_key, &names(&headers));
    push_signature(&mut text, Hmac::new_from_slice(secret_key.as_bytes())?, date, &hash);
    Ok(text)
}

/// The canonical request, the text whose hash is signed. A gateway echoes it when a signature is wrong.
#[must_use]
pub fn canonical_request(request: &Request<'_>) -> String {
    canonical_request_of(request, &canonical_headers(request.headers))
}

/// `YYYYMMDDTHHMMSSZ`, UTC, whole seconds.
#[must_use]
pub fn date_text(now: SystemTime) -> String {
    // A time before the epoch is written as the epoch: the formatter has no text for it.
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string().replace(['-', ':'], "")
}

/// The time that [`date_text`] wrote; `None` for any other text.
#[must_use]
pub fn parse_date(text: &str) -> Option<SystemTime> {
    let digits = |range: std::ops::Range<usize>| text.get(range).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    if text.len() != 16 || text.get(8..9)? != "T" || text.get(15..)? != "Z" {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

/// How far two times are apart, in either direction.
#[must_use]
pub fn skew(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|earlier| earlier.duration())
}

/// Signs the requests of one project with one set of credentials: `host`, `x-project-id`, `x-sdk-date` and, when there
/// is one, `x-security-token`. Keeps the keyed HMAC state and the constant parts of the canonical request.
pub struct Signer {
    mac: Hmac<Sha256>,
    authorization_prefix: String,
    before_date: String,
    after_date: Zeroizing<String>,
}

impl Signer {
    /// `host` as it goes over the wire: with the port unless it is the scheme's own.
    pub fn new(credentials: &Credentials, host: &str, project_id: &str) -> Result<Self, SignError> {
        let token = credentials.security_token();
        let names = match token {
            Some(_) => "host;x-project-id;x-sdk-date;x-security-token",
            None => "host;x-project-id;x-sdk-date",
        };
        let mut after_date = Zeroizing::new(String::from("\n"));
        if let Some(token) = token {
            after_date.push_str("x-security-token:");
            after_date.push_str(token);
            after_date.push('\n');
        }
        after_date.push('\n');
        after_date.push_str(names);
        after_date.push('\n');
        Ok(Self {
            mac: Hmac::new_from_slice(credentials.secret_key().as_bytes())?,
            authorization_prefix: authorization_prefix(credentials.access_key(), names),
            before_date: format!("host:{host}\nx-project-id:{project_id}\nx-sdk-date:"),
            after_date,
        })
    }

    /// The value of `Authorization`. `method` in upper case, `path` and `query` in canonical form: escaped, the query
    /// sorted; `date` as [`date_text`] writes it.
    #[must_use]
    pub fn authorization(&self, method: &str, path: &str, query: &str, date: &str, body: &[u8]) -> String {
        let mut hash = Sha256::new();
        for part in [method, "\n", path, if path.ends_with('/') { "\n" } else { "/\n" }, query, "\n"] {
            hash.update(part);
        }
        for part in [&*self.before_date, date, &*self.after_date] {
            hash.update(part);
        }
        let mut body_hash = [0; 64];
        hash.update(hex_of(&Sha256::digest(body), &mut body_hash));
        let mut text = String::with_capacity(self.authorization_prefix.len() + 64);
        text.push_str(&self.authorization_prefix);
        push_signature(&mut text, self.mac.clone(), date, &hash.finalize());
        text
    }
}

fn authorization_prefix(access_key: &str, names: &str) -> String {
    format!("{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature=")
}

fn push_signature(text: &mut String, mut mac: Hmac<Sha256>, date: &str, hash: &[u8]) {
    let mut buffer = [0; 64];
    for part in [ALGORITHM, "\n", date, "\n", hex_of(hash, &mut buffer)] {
        mac.update(part.as_bytes());
    }
    text.push_str(hex_of(&mac.finalize().into_bytes(), &mut buffer));
}

/// Lower-case hexadecimal digits of a SHA-256 hash, without an allocation.
fn hex_of<'a>(hash: &[u8], buffer: &'a mut [u8; 64]) -> &'a str {
    // Neither fails: 32 bytes make 64 digits, and digits are UTF-8.
    hex::encode_to_slice(hash, buffer).map_or("", |()| std::str::from_utf8(buffer).unwrap_or(""))
}

/// Names in lower case, values trimmed, sorted by name.
fn canonical_headers<'a>(headers: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    let mut all: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !name.contains('_'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    all.sort();
    all
}

fn names(headers: &[(String, &str)]) -> String {
    headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
}

fn canonical_request_of(request: &Request<'_>, headers: &[(String, &str)]) -> String {
    let (path, query) = path_and_query(request.url);
    let mut text = request.method.to_ascii_uppercase();
    text.push('\n');
    push_path(&mut text, path);
    text.push('\n');
    push_query(&mut text, query);
    text.push('\n');
    for (name, value) in headers {
        text.extend([name.as_str(), ":", value, "\n"]);
    }
    text.extend(["\n", &names(headers), "\n"]);
    let mut buffer = [0; 64];
    match headers.iter().find(|(name, _)| name == CONTENT_HASH_HEADER) {
        Some((_, value)) => text.push_str(value),
        None => text.push_str(hex_of(&Sha256::digest(request.body), &mut buffer)),
    }
    text
}

fn path_and_query(url: &str) -> (&str, &str) {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]),
        None => url,
    };
    let rest = rest.split('#').next().unwrap_or("");
    rest.split_once('?').unwrap_or((rest, ""))
}

/// Every segment decoded and escaped anew, so that an escaped path stays as it is; always ends in `/`.
fn push_path(text: &mut String, path: &str) {
    for segment in path.strip_prefix('/').unwrap_or(path).split_inclusive('/') {
        text.push('/');
        push_escaped(text, segment.strip_suffix('/').unwrap_or(segment));
    }
    text.push('/');
}

/// Parameters sorted by name, then value; a parameter without a value gets a `=`.
fn push_query(text: &mut String, query: &str) {
    let decode = |part| percent_decode_str(part).collect::<Vec<u8>>();
    let mut parameters: Vec<_> = query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    parameters.sort();
    for (i, (name, value)) in parameters.iter().enumerate() {
        let separator = if i == 0 { "" } else { "&" };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{}={}", percent_encode(name, ESCAPED), percent_encode(value, ESCAPED));
    }
}

fn push_escaped(text: &mut String, segment: &str) {
    let decoded: Vec<u8> = percent_decode_str(segment).collect();
    text.extend(percent_encode(&decoded, ESCAPED));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_date_is_utc_without_separators_and_reads_back() {
        let time = UNIX_EPOCH + Duration::from_secs(1_768_469_401);
        assert_eq!(date_text(time), "20260115T093001Z");
        assert_eq!(parse_date("20260115T093001Z"), Some(time));
    }

    #[test]
    fn other_dates_are_not_read() {
        for text in
            ["", "20260115T093001", "2026-01-15T09:30:01Z", "20261315T093001Z", "2026011éT09300Z", "+0260115T093001Z"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_without_a_date_is_not_signed() {
        let request = Request { method: "GET", url: "/", headers: &[("host", "a")], body: b"" };
        assert_eq!(authorization(&request, "ak", "sk"), Err(SignError::NoDate));
    }

    #[test]
    fn slashes_of_the_path_are_kept_and_one_is_added() {
        for (path, canonical) in
            [("", "/"), ("/", "/"), ("/a", "/a/"), ("/a/", "/a/"), ("/a//b", "/a//b/"), ("/a%2Fb", "/a%2Fb/")]
        {
            let mut text = String::new();
            push_path(&mut text, path);
            assert_eq!(text, canonical, "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_signer_agrees_with_the_general_function(
            access_key in "[A-Z0-9]{1,40}", secret_key in "[!-~]{1,100}", token in proptest::option::of("[!-~]{1,200}"),
            host in "[a-z0-9.-]{1,30}(:[0-9]{2,5})?", project in "[A-Za-z0-9-]{1,40}", task in "[A-Za-z0-9-]{1,40}",
            seconds in 0u64..4_102_444_800, body in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let credentials = Credentials::new(&access_key, &secret_key, token.as_deref()).unwrap();
            let date = date_text(UNIX_EPOCH + Duration::from_secs(seconds));
            let mut headers = vec![("X-Sdk-Date", date.as_str()), ("Host", &host), ("X-Project-Id", &project)];
            headers.extend(token.as_deref().map(|t| ("X-Security-Token", t)));
            let path = format!("/v2/{project}/sync-tasks/{task}/events");
            let url = format!("https://{host}{path}?limit=5");
            let request = Request { method: "POST", url: &url, headers: &headers, body: &body };
            let signer = Signer::new(&credentials, &host, &project).unwrap();
            prop_assert_eq!(
                signer.authorization("POST", &path, "limit=5", &date, &body),
                authorization(&request, &access_key, &secret_key).unwrap()
            );
        }
    }
}
