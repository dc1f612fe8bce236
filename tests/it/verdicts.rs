//! What the client makes of answers and of their absence, over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use crate::brokers::CLOSED;
use bytes::Bytes;
use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use oms_sync_worker::oms::credentials::Credentials;
use oms_sync_worker::oms::verdict::VerdictCodes;
use oms_sync_worker::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use oms_sync_worker::pipeline::key::TaskId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Every test ends within this.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
const BODY: &[u8] = br#"{"object_keys":["a"]}"#;

pub(crate) fn settings(endpoint: &str) -> OmsSettings {
    OmsSettings {
        endpoint: endpoint.to_owned(),
        project_id: "p1".to_owned(),
        credentials: Credentials::new("AK", "SK", None).unwrap().into(),
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(10),
        ca_pem: None,
        max_in_flight: 4,
        codes: VerdictCodes::default(),
    }
}

pub(crate) async fn submit(client: &OmsClient) -> Answer {
    let task = TaskId::new("t1").unwrap();
    let submission = client.submit(&task, Bytes::from_static(BODY));
    tokio::time::timeout(BOUND, submission).await.expect("an answer within the bound")
}

pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

/// Reads one request; `None` when the connection ended first.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(BODY) {
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(text).unwrap())
}

/// A server that reads one request, answers with these bytes and closes; gives the request.
pub(crate) fn answer_once(listener: TcpListener, bytes: Vec<u8>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = request(&mut stream).await.unwrap();
        // The client may have seen enough before all is written.
        stream.write_all(&bytes).await.ok();
        request
    })
}

pub(crate) async fn answer_to(bytes: impl Into<Vec<u8>>) -> Answer {
    let (listener, endpoint) = listen().await;
    let server = answer_once(listener, bytes.into());
    let answer = submit(&OmsClient::new(settings(&endpoint)).unwrap()).await;
    server.await.unwrap();
    answer
}

pub(crate) fn http(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

pub(crate) async fn check(status: u16, body: &str, expected: Verdict) {
    let answer = answer_to(http(status, "", body)).await;
    assert_eq!((answer.verdict, answer.status), (expected, Status::Http(status)), "{status} {body}");
}

pub(crate) async fn check_code(status: u16, code: &str, expected: Verdict) {
    let answer = answer_to(http(status, "", &format!(r#"{{"error_code":"{code}","error_msg":"m"}}"#))).await;
    assert_eq!((answer.verdict, answer.error_code.as_deref()), (expected, Some(code)), "{status}");
}

#[tokio::test]
async fn accepted_is_2xx_with_an_empty_body_or_json_without_a_code() {
    check(200, "", Verdict::Accepted).await;
    check(201, "{}", Verdict::Accepted).await;
    check(204, "", Verdict::Accepted).await;
}

#[tokio::test]
async fn any_other_2xx_is_a_hold_of_the_endpoint() {
    check(200, "<html><body>Please log in</body></html>", Verdict::Hold(HoldReason::Endpoint)).await;
    check_code(200, "OMS.0001", Verdict::Hold(HoldReason::Endpoint)).await;
}

#[tokio::test]
async fn a_bad_request_is_judged_by_its_code() {
    check_code(400, "OMS.0061", Verdict::Refused).await;
    check_code(400, "APIGW.0201", Verdict::Refused).await;
    check_code(400, "OMS.0054", Verdict::UnknownTask).await;
    check_code(400, "OMS.0068", Verdict::Hold(HoldReason::Credentials)).await;
    check_code(400, "OMS.0202", Verdict::Hold(HoldReason::Account)).await;
    check_code(400, "OMS.0206", Verdict::Hold(HoldReason::Permission)).await;
    check_code(400, "OMS.0066", Verdict::TaskStopped).await;
    check_code(400, "OMS.1001", Verdict::Busy(Pressure::Overloaded)).await;
    check_code(400, "APIGW.0103", Verdict::Hold(HoldReason::Endpoint)).await;
}

#[tokio::test]
async fn a_bad_request_without_a_code_is_a_hold_of_the_endpoint() {
    for body in ["", "Bad Request", "{}", "<html>"] {
        check(400, body, Verdict::Hold(HoldReason::Endpoint)).await;
        check(404, body, Verdict::Hold(HoldReason::Endpoint)).await;
    }
}

#[tokio::test]
async fn not_found_is_an_unknown_task_only_with_a_code_of_oms() {
    check_code(404, "OMS.1009", Verdict::UnknownTask).await;
    check_code(404, "APIGW.0101", Verdict::Hold(HoldReason::Endpoint)).await;
}

#[tokio::test]
async fn the_other_statuses_have_one_meaning_each() {
    check(413, "", Verdict::Refused).await;
    check_code(401, "APIGW.0301", Verdict::Hold(HoldReason::Credentials)).await;
    check_code(403, "OMS.0206", Verdict::Hold(HoldReason::Permission)).await;
    for status in [301, 304, 405, 414, 418, 431, 494] {
        check(status, "", Verdict::Hold(HoldReason::Endpoint)).await;
    }
    for status in [408, 425, 501, 503, 599] {
        check(status, "", Verdict::Busy(Pressure::Overloaded)).await;
    }
    for status in [500, 502, 504] {
        check(status, "", Verdict::Busy(Pressure::Faulted)).await;
    }
    check(429, "", Verdict::Busy(Pressure::Throttled)).await;
    check_code(503, "APIGW.0308", Verdict::Busy(Pressure::Throttled)).await;
}

#[tokio::test]
async fn the_headers_of_an_answer_are_read() {
    let answer = answer_to(http(429, "Retry-After: 7\r\nX-Request-Id: abc\r\n", "")).await;
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(answer.request_id.as_deref(), Some("abc"));
    let past = answer_to(http(503, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "")).await;
    assert_eq!(past.retry_after, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_reset() {
    for bytes in [
        "",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
    ] {
        let answer = answer_to(bytes).await;
        let got = (answer.verdict, answer.status);
        assert_eq!(got, (Verdict::Busy(Pressure::Overloaded), Status::Reset), "{bytes:?}");
        assert!(answer.error_message.is_some_and(|message| !message.is_empty()), "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_reset() {
    let answer = answer_to("220 mail.example.com ESMTP\r\n").await;
    assert_eq!((answer.verdict, answer.status), (Verdict::Busy(Pressure::Overloaded), Status::Reset));
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout_and_so_is_half_an_answer() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"] {
        let (listener, endpoint) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            // Until the client gives up.
            stream.read_u8().await.ok()
        });
        let request_timeout = Duration::from_millis(200);
        let answer = submit(&OmsClient::new(OmsSettings { request_timeout, ..settings(&endpoint) }).unwrap()).await;
        let got = (answer.verdict, answer.status);
        assert_eq!(got, (Verdict::Busy(Pressure::Overloaded), Status::Timeout), "{bytes:?}");
        assert_eq!(server.await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_apart() {
    let answer = submit(&OmsClient::new(settings(&format!("http://{CLOSED}"))).unwrap()).await;
    assert_eq!((answer.verdict, answer.status), (Verdict::Busy(Pressure::Overloaded), Status::Connect));
}

#[tokio::test]
async fn a_failed_tls_handshake_is_told_apart() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (listener, endpoint) = listen().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The first bytes of the client's greeting.
            stream.read_u8().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            while stream.read_u8().await.is_ok() {}
        });
        let answer = submit(&OmsClient::new(settings(&endpoint.replace("http:", "https:"))).unwrap()).await;
        server.await.unwrap();
        assert_eq!((answer.verdict, answer.status), (Verdict::Busy(Pressure::Overloaded), Status::Tls), "{answer:?}");
        assert!(answer.error_message.unwrap().contains("port of oms.endpoint"));
    }
}

#[tokio::test]
async fn a_connection_is_reused_and_a_request_on_it_never_repeated() {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        request(&mut stream).await.unwrap();
        listener
    });
    let client = OmsClient::new(settings(&endpoint)).unwrap();
    assert_eq!(submit(&client).await.verdict, Verdict::Accepted);
    assert_eq!(submit(&client).await.status, Status::Reset);
    let listener = server.await.unwrap().into_std().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_request_carries_what_it_should_and_no_more() {
    let (listener, endpoint) = listen().await;
    let server = answer_once(listener, http(200, "", "").into_bytes());
    let client = OmsClient::new(OmsSettings {
        credentials: Credentials::new("AK", "SK", Some("TOKEN")).unwrap().into(),
        ..settings(&format!("{endpoint}/"))
    });
    submit(&client.unwrap()).await;
    let request = server.await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /v2/p1/sync-tasks/t1/events HTTP/1.1");
    assert_eq!(body.as_bytes(), BODY);
    let mut names: Vec<_> = lines.iter().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-project-id",
        "x-sdk-date",
        "x-security-token",
    ];
    assert_eq!(names, expected);
    assert!(lines.contains(&concat!("user-agent: oms-sync-worker/", env!("CARGO_PKG_VERSION"))), "{head}");
    assert!(head.contains("SignedHeaders=host;x-project-id;x-sdk-date;x-security-token, Signature="), "{head}");
}
