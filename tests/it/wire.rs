//! Answers that are too long, too slow, cut off or odd: each ends, within its bounds, with a verdict that dead-letters
//! nothing.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use oms_sync_worker::oms::client::{MAX_BODY_BYTES, OmsClient, OmsSettings};
use oms_sync_worker::oms::verdict::MAX_MESSAGE_BYTES;
use oms_sync_worker::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use crate::verdicts::{BOUND, answer_to, http, listen, request, settings, submit};

const ENDPOINT: Verdict = Verdict::Hold(HoldReason::Endpoint);
const OVERLOADED: Verdict = Verdict::Busy(Pressure::Overloaded);
/// What a server may get rid of before the client closes: the buffers of two sockets, and not a body of 1 GiB.
const MAX_WRITTEN: u64 = 64 << 20;
const GIB: u64 = 1 << 30;

/// Submits to a server that answers with `head` and then `part`, again and again, 1 GiB at most. Gives the answer and
/// how much was written.
async fn flood(head: &'static str, part: Vec<u8>) -> (Answer, u64) {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut written = 0;
        while written < GIB && stream.write_all(&part).await.is_ok() {
            written += part.len() as u64;
        }
        written
    });
    let answer = submit(&OmsClient::new(settings(&endpoint)).unwrap()).await;
    let written = tokio::time::timeout(BOUND, server).await.expect("the client closes the connection").unwrap();
    (answer, written)
}

#[tokio::test]
async fn a_body_of_a_gib_is_read_to_its_bound_and_closed() {
    let plain = vec![b'x'; 64 << 10];
    let blanks = [b"10000\r\n", &vec![b' '; 64 << 10][..], b"\r\n"].concat();
    for (head, part, status) in [
        (
            "HTTP/1.1 400 X\r\ncontent-length: 1073741824\r\n\r\n{\"error_code\":\"OMS.0061\",\"x\":\"",
            plain.clone(),
            400,
        ),
        ("HTTP/1.1 200 X\r\ncontent-length: 1073741824\r\n\r\n", plain.clone(), 200),
        ("HTTP/1.1 404 X\r\n\r\n", plain, 404),
        // Blanks alone are an empty body, and `{}` accepts: but not where there was more.
        ("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n", blanks.clone(), 200),
        ("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", blanks, 200),
    ] {
        let (answer, written) = flood(head, part).await;
        println!("{head:?}: {written} bytes written, {}", &answer.said()[..40.min(answer.said().len())]);
        assert_eq!(answer.status, Status::Http(status), "{head:?}");
        assert!(answer.error_message.is_none_or(|message| message.len() <= MAX_MESSAGE_BYTES));
        assert!(written < MAX_WRITTEN, "{written} bytes of {head:?}");
        assert_eq!(answer.verdict, ENDPOINT, "{head:?}");
    }
}

#[tokio::test]
async fn a_header_without_end_is_a_reset_within_bounds() {
    for (head, part) in [
        ("HTTP/1.1 200 OK\r\nx: ", vec![b'a'; 4096]),
        ("HTTP/1.1 200 OK\r\n", b"x-one: of many\r\n".repeat(256)),
        ("HTTP/1.1 200 ", vec![b'a'; 4096]),
    ] {
        let (answer, written) = flood(head, part).await;
        println!("{head:?}: {written} bytes written, {}", answer.said());
        assert_eq!((answer.verdict, answer.status), (OVERLOADED, Status::Reset), "{head:?}");
        assert!(written < MAX_WRITTEN, "{written} bytes of {head:?}");
        assert!(answer.error_message.unwrap().contains("check scheme, host and port of oms.endpoint"), "{head:?}");
    }
}

#[tokio::test]
async fn a_body_that_fits_its_bound_to_the_byte_is_whole() {
    let exact = format!("{{}}{}", " ".repeat(MAX_BODY_BYTES - 2));
    assert_eq!(answer_to(http(200, "", &exact)).await.verdict, Verdict::Accepted);
    assert_eq!(answer_to(http(200, "", &(exact + " "))).await.verdict, ENDPOINT);
}

/// A server that repeats `drop` every 10 ms after `head`, until nobody listens.
async fn drip(head: &'static str, drop: &'static str, request_timeout: Duration) -> Answer {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut pace = interval(Duration::from_millis(10));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            if stream.write_all(drop.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    let answer = submit(&OmsClient::new(OmsSettings { request_timeout, ..settings(&endpoint) }).unwrap()).await;
    tokio::time::timeout(BOUND, server).await.expect("the client closes the connection").unwrap();
    answer
}

#[tokio::test]
async fn what_drips_ends_by_the_request_timeout() {
    for (head, drop) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", " "),
        ("HTTP/1.1 400 X\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("HTTP/1.1 200 OK\r\nx: ", "a"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let answer = drip(head, drop, Duration::from_millis(300)).await;
        assert_eq!((answer.verdict, answer.status), (OVERLOADED, Status::Timeout), "{head:?}");
        assert!(answer.error_message.unwrap().contains("raise oms.request_timeout"), "{head:?}");
    }
}

/// What the client makes of a server that reads so much of the request and then closes.
async fn closed_after(read: usize) -> Answer {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut begun = vec![0; read];
        stream.read_exact(&mut begun).await.unwrap();
    });
    let answer = submit(&OmsClient::new(settings(&endpoint)).unwrap()).await;
    server.await.unwrap();
    answer
}

#[tokio::test]
async fn a_connection_closed_before_during_and_after_the_request_is_a_reset() {
    for read in [0, 1, 100] {
        let answer = closed_after(read).await;
        println!("after {read} bytes: {}", answer.said());
        assert_eq!((answer.verdict, answer.status), (OVERLOADED, Status::Reset), "{read}: {answer:?}");
        assert!(answer.error_message.unwrap().contains("check the network"), "{read}");
    }
    for answered in ["", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{"] {
        let answer = answer_to(answered).await;
        assert_eq!((answer.verdict, answer.status), (OVERLOADED, Status::Reset), "{answered:?}");
    }
}

/// Two submissions to a server that closes each connection after this answer, without saying so before.
#[tokio::test]
async fn http_1_0_ends_its_answer_by_closing_and_the_next_request_gets_a_connection_of_its_own() {
    for answered in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n{\"id\": 1}",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (listener, endpoint) = listen().await;
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
                request(&mut stream).await.unwrap();
                stream.write_all(answered.as_bytes()).await.unwrap();
            }
        });
        let client = OmsClient::new(settings(&endpoint)).unwrap();
        for _ in 0..2 {
            let answer = submit(&client).await;
            assert_eq!((answer.verdict, answer.status), (Verdict::Accepted, Status::Http(200)), "{answered:?}");
        }
        server.await.unwrap();
    }
    let refused = answer_to("HTTP/1.0 400 X\r\n\r\n{\"error_code\":\"OMS.0061\"}").await;
    assert_eq!(refused.verdict, Verdict::Refused);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"] {
        let accepted = answer_to(interim.to_owned() + interim + &http(200, "", "")).await;
        assert_eq!((accepted.verdict, accepted.status), (Verdict::Accepted, Status::Http(200)), "{interim:?}");
        let refused = answer_to(interim.to_owned() + &http(400, "", r#"{"error_code":"OMS.0061"}"#)).await;
        assert_eq!((refused.verdict, refused.status), (Verdict::Refused, Status::Http(400)), "{interim:?}");
    }
}

/// Were it unpacked, 1 GiB of blanks would be an empty body, which accepts, or would fill the memory.
#[tokio::test]
async fn a_gzip_bomb_stays_packed() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..64 {
        bomb.write_all(&vec![b' '; 16 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let answer = answer_to([head.into_bytes(), bomb].concat()).await;
    assert_eq!((answer.verdict, answer.status), (ENDPOINT, Status::Http(200)));
    assert!(answer.error_message.is_some_and(|message| message.len() <= MAX_MESSAGE_BYTES));

    // A body that would accept, packed although nobody asked for it.
    let mut small = GzEncoder::new(Vec::new(), Compression::fast());
    small.write_all(b"{}").unwrap();
    let small = small.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", small.len());
    assert_eq!(answer_to([head.into_bytes(), small].concat()).await.verdict, ENDPOINT);
}

#[tokio::test]
async fn a_redirect_to_another_host_sends_nothing_there() {
    let (elsewhere, location) = listen().await;
    for status in [301, 302, 303, 307, 308] {
        let answer = answer_to(http(status, &format!("location: {location}/v2/p1\r\n"), "")).await;
        assert_eq!((answer.verdict, answer.status), (ENDPOINT, Status::Http(status)));
    }
    // A followed redirect would have connected before it answered.
    let elsewhere = elsewhere.into_std().unwrap();
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
