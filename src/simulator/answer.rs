//! Answers as OMS and its gateway write them, and answers that break.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::faults::Rule;

/// Pause between the bytes of a dripping body, and how many there are: longer than any sane timeout.
const DRIP_PAUSE: Duration = Duration::from_secs(1);
const DRIP_BYTES: usize = 3600;

/// A whole body, or one that comes in pieces and may break.
pub(super) type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, Broken>>>>;

/// The connection is to be reset.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reset on demand")
    }
}

impl std::error::Error for Broken {}

/// An answer without a body.
pub(super) fn empty() -> Response<Body> {
    Response::new(Either::Left(Full::default()))
}

/// 200 with JSON.
pub(super) fn ok(value: &impl Serialize) -> Response<Body> {
    serde_json::to_vec(value)
        .map_or_else(|error| self::error(500, "OMS.1001", &error.to_string()), |json| body(200, json))
}

/// An error as OMS and the gateway write it.
pub(super) fn error(status: u16, code: &str, message: &str) -> Response<Body> {
    body(status, json!({ "error_code": code, "error_msg": message }).to_string())
}

/// 429, as the gateway throttles.
pub(super) fn throttled(retry_after_seconds: Option<u64>) -> Response<Body> {
    let mut answer = error(429, "APIGW.0308", "The throttling threshold has been reached");
    if let Some(seconds) = retry_after_seconds {
        answer.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    answer
}

/// What a rule with a status says.
pub(super) fn of_rule(rule: &Rule, status: u16) -> Response<Body> {
    let code = rule.code.as_deref().unwrap_or(default_code(status));
    let mut answer = match &rule.body {
        Some(text) => body(status, text.clone()),
        None if status < 400 => body(status, ""),
        None => error(status, code, rule.message.as_deref().unwrap_or("simulated fault")),
    };
    for (name, value) in &rule.headers {
        let header = (hyper::header::HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
        // Rules are checked before they are set.
        if let (Ok(name), Ok(value)) = header {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// The beginning of an answer, then a reset.
pub(super) fn broken() -> Response<Body> {
    let start = stream::iter([Ok(Frame::data(Bytes::from_static(b" ")))]);
    // The pause lets the beginning out before the error drops the connection.
    let reset = stream::once(async {
        tokio::task::yield_now().await;
        Err(Broken)
    });
    streamed(2, start.chain(reset).boxed())
}

/// An answer that takes an hour.
pub(super) fn dripping() -> Response<Body> {
    let drops = stream::repeat(()).take(DRIP_BYTES).then(|()| async {
        tokio::time::sleep(DRIP_PAUSE).await;
        Ok(Frame::data(Bytes::from_static(b" ")))
    });
    streamed(DRIP_BYTES, drops.boxed())
}

fn streamed(length: usize, body: BoxStream<'static, Result<Frame<Bytes>, Broken>>) -> Response<Body> {
    let mut answer = Response::new(Either::Right(StreamBody::new(body)));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    answer
}

fn body(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Either::Left(Full::new(text.into())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A code that the real thing gives with the status.
fn default_code(status: u16) -> &'static str {
    match status {
        400 => "OMS.0061",
        401 => "APIGW.0301",
        403 => "OMS.0206",
        404 => "OMS.1009",
        429 => "APIGW.0308",
        503 => "OMS.2004",
        500..=599 => "APIGW.0201",
        _ => "APIGW.0501",
    }
}
