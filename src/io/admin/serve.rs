//! Connections and answers of the admin server. Everything about a client is bounded: number, time, header size.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::state::AdminState;
use crate::metrics::{self, Metrics};

/// Connections at once. One more ends the oldest, so that slow clients cannot keep a probe out.
pub const MAX_CONNECTIONS: usize = 64;
/// Longest life of a connection, from its acceptance to the last byte of the answer.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Most header fields of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Pause after a connection could not be accepted, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Serves for ever.
pub(super) async fn accept(listener: TcpListener, state: Arc<AdminState>, metrics: Arc<Metrics>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(why) => return tracing::error!(error = %why, "the admin server cannot listen"),
    };
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(why) => {
                tracing::warn!(error = %why, "the admin server could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let connection = serve(stream, Arc::clone(&state), Arc::clone(&metrics));
        open.push_back(tokio::spawn(connection).abort_handle());
    }
}

async fn serve(stream: TcpStream, state: Arc<AdminState>, metrics: Arc<Metrics>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &state, &metrics);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::debug!(error = %why, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

fn answer(method: &Method, path: &str, state: &AdminState, metrics: &Metrics) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut refusal = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match path {
        "/metrics" => scrape(state, metrics),
        "/livez" => probe(state.stall().as_slice()),
        "/readyz" => probe(&state.unready()),
        "/status" => respond(StatusCode::OK, JSON, state.status().as_bytes().to_vec()),
        _ => respond(StatusCode::NOT_FOUND, TEXT, "try /metrics, /livez, /readyz or /status\n"),
    }
}

/// What the loop told, and what is found out here: a loop that is stuck cannot say so itself.
fn scrape(state: &AdminState, metrics: &Metrics) -> Response<Full<Bytes>> {
    metrics.stalled.set(state.stall().is_some().into());
    metrics.show_memory_limit(metrics::memory_limit());
    match metrics.text() {
        Ok(text) => respond(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(why) => respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{why}\n")),
    }
}

/// 200, or 503 with a reason a line.
fn probe(problems: &[String]) -> Response<Full<Bytes>> {
    if problems.is_empty() {
        return respond(StatusCode::OK, TEXT, "ok\n");
    }
    let reasons: String = problems.iter().flat_map(|reason| [reason.as_str(), "\n"]).collect();
    respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, reasons)
}

fn respond(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
