//! TLS with real certificates: who is trusted, what is said of who is not, how connections are used, and that nothing
//! is dead-lettered meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use oms_sync_worker::oms::{sign, trust};
use oms_sync_worker::pipeline::answer::{Answer, Pressure, Status, Verdict};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Barrier, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::brokers::CLOSED;
use crate::brokers::{MockBroker, unique};
use crate::certified::{Authority, Service, TlsServer, VALID, accept};
use crate::proxy::{ENDPOINT, TRUST, submitted};
use crate::stage::{Stage, wait_until};
use crate::verdicts::{answer_once, listen, settings, submit};

const HOST: &str = "127.0.0.1";

fn client(endpoint: &str, ca_pem: Option<String>) -> OmsClient {
    OmsClient::new(OmsSettings { ca_pem: ca_pem.map(String::into_bytes), ..settings(endpoint) }).unwrap()
}

#[track_caller]
fn check_failed(answer: &Answer, status: Status, advice: &str) {
    assert_eq!((answer.verdict, answer.status), (Verdict::Busy(Pressure::Overloaded), status), "{answer:?}");
    let message = answer.error_message.as_deref().unwrap();
    assert!(message.contains(advice), "{message}\ndoes not say\n{advice}");
}

#[tokio::test]
async fn every_certificate_of_the_ca_file_is_trusted() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, format!("# two of them\n{}\n{}", first.pem(), second.pem())).unwrap();
    let ca_pem = Some(String::from_utf8(trust::read(&path).unwrap()).unwrap());
    for authority in [first, second] {
        let server = TlsServer::start(authority.server(HOST, VALID), accept()).await;
        let answer = submit(&client(&server.endpoint(), ca_pem.clone())).await;
        assert_eq!((answer.verdict, answer.status), (Verdict::Accepted, Status::Http(200)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_wrong_says_what_to_do_and_gets_no_request() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let clock = "check this machine's clock";
    for (what, config, advice) in [
        ("expired", known.server(HOST, (2000, 2001)), clock),
        ("not yet valid", known.server(HOST, (3999, 4000)), clock),
        (
            "another address",
            known.server("127.0.0.2", VALID),
            "write a host into oms.endpoint that the certificate names",
        ),
        (
            "another host",
            known.server("oms.example.com", VALID),
            "write a host into oms.endpoint that the certificate names",
        ),
        ("unknown issuer", unknown.server(HOST, VALID), "put the certificate of its issuer into oms.ca_file"),
    ] {
        let server = TlsServer::start(config, accept()).await;
        let answer = submit(&client(&server.endpoint(), Some(known.pem()))).await;
        println!("{what}: {}", answer.said());
        check_failed(&answer, Status::Tls, advice);
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "{what}: tried once");
        assert_eq!(server.events.load(Ordering::SeqCst), 0, "{what}: nothing was sent");
    }
}

#[tokio::test]
async fn without_a_ca_file_the_system_is_asked_whom_to_trust() {
    let server = TlsServer::start(Authority::new("private").server(HOST, VALID), accept()).await;
    let answer = match OmsClient::new(settings(&server.endpoint())) {
        Ok(client) => submit(&client).await,
        Err(refused) => return assert!(refused.to_string().contains("install ca-certificates"), "{refused}"),
    };
    check_failed(&answer, Status::Tls, "put the certificate of its issuer into oms.ca_file");
}

#[tokio::test]
async fn the_systems_trust_anchors_and_those_of_the_ca_file_are_both_trusted() {
    let (system, own) = (Authority::new("system"), Authority::new("own"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("system.pem");
    std::fs::write(&path, system.pem()).unwrap();
    let (path, trust) = (path.to_str().unwrap(), own.pem());
    for (authority, with_both) in [(&system, "Accepted 200"), (&own, "Accepted 200"), (&Authority::new("x"), "Busy")] {
        let server = TlsServer::start(authority.server(HOST, VALID), accept()).await;
        let told = submitted(&[(ENDPOINT, &server.endpoint()), ("SSL_CERT_FILE", path), (TRUST, &trust)]).await;
        assert!(told.starts_with(with_both), "{told}");
    }
    let server = TlsServer::start(own.server(HOST, VALID), accept()).await;
    let told = submitted(&[(ENDPOINT, &server.endpoint()), ("SSL_CERT_FILE", path)]).await;
    assert!(told.contains("UnknownIssuer"), "without the ca_file: {told}");

    let nothing = folder.path().join("nothing.pem");
    let told = submitted(&[(ENDPOINT, &server.endpoint()), ("SSL_CERT_FILE", nothing.to_str().unwrap())]).await;
    println!("{told}");
    assert!(told.contains("nothing.pem") && told.contains("install ca-certificates"), "{told}");
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_and_the_reverse_name_the_scheme() {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The first bytes of the client's greeting.
        stream.read_u8().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        while stream.read_u8().await.is_ok() {}
    });
    let answer = submit(&client(&endpoint.replace("http:", "https:"), None)).await;
    server.await.unwrap();
    println!("plain: {}", answer.said());
    check_failed(&answer, Status::Tls, "what answers does not speak TLS: check scheme and port of oms.endpoint");

    let server = TlsServer::start(Authority::new("any").server(HOST, VALID), accept()).await;
    let answer = submit(&client(&server.endpoint().replace("https:", "http:"), None)).await;
    println!("reverse: {}", answer.said());
    check_failed(&answer, Status::Reset, "check scheme, host and port of oms.endpoint");
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_by_the_connect_timeout() {
    let (listener, endpoint) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok() // until the client gives up
    });
    let connect_timeout = Duration::from_millis(200);
    let endpoint = endpoint.replace("http:", "https:");
    let client = OmsClient::new(OmsSettings { connect_timeout, ..settings(&endpoint) }).unwrap();
    check_failed(&submit(&client).await, Status::Connect, "check oms.endpoint, name resolution, the network");
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_nobody_takes_says_what_to_check() {
    let answer = submit(&client(&format!("https://{CLOSED}"), None)).await;
    println!("nobody: {}", answer.said());
    check_failed(&answer, Status::Connect, "check oms.endpoint, name resolution, the network");
}

#[tokio::test]
async fn as_many_connections_are_kept_as_requests_may_be_out() {
    const AT_ONCE: usize = 16;
    const ROUNDS: usize = 8;
    let authority = Authority::new("any");
    let together = Service::Accept(Arc::new(Barrier::new(AT_ONCE)));
    let server = TlsServer::start(authority.server(HOST, VALID), together).await;
    let ca_pem = Some(authority.pem().into_bytes());
    let client = OmsClient::new(OmsSettings { ca_pem, max_in_flight: AT_ONCE, ..settings(&server.endpoint()) });
    let client = client.unwrap();
    for _ in 0..ROUNDS {
        // None of them is answered before all are there, so they need a connection each.
        let answers = join_all((0..AT_ONCE).map(|_| submit(&client))).await;
        assert!(answers.iter().all(|answer| answer.verdict == Verdict::Accepted), "{answers:?}");
    }
    assert_eq!(server.events.load(Ordering::SeqCst), AT_ONCE * ROUNDS);
    let connections = server.connections.load(Ordering::SeqCst);
    println!("{} requests on {connections} connections", AT_ONCE * ROUNDS);
    // A connection may still be on its way back to the pool when the next round begins.
    assert!((AT_ONCE..2 * AT_ONCE).contains(&connections), "{connections}");
}

/// What a request over HTTP/2 says of itself, beside its `Authorization` and what that should be.
type Seen = (hyper::Version, Option<String>, String, String);

/// Answers one connection over HTTP/2 and tells what it saw.
async fn serve_http2(listener: tokio::net::TcpListener, config: ServerConfig, seen: oneshot::Sender<Seen>) {
    let (stream, _) = listener.accept().await.unwrap();
    let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let seen = Arc::new(std::sync::Mutex::new(Some(seen)));
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let what = look(request).await;
            seen.lock().unwrap().take().map(|seen| seen.send(what));
            Ok::<_, Infallible>(hyper::Response::new(http_body_util::Full::new(Bytes::new())))
        }
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.serve_connection(TokioIo::new(stream), service).await.ok(); // the client ends it as it likes
}

async fn look(request: hyper::Request<Incoming>) -> Seen {
    let (parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string);
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| parts.headers[name].to_str().unwrap();
    let host = authority.clone().unwrap_or_default();
    let signed = ["x-sdk-date", "x-project-id"].map(|name| (name, header(name)));
    let headers: Vec<_> = signed.into_iter().chain([("host", host.as_str())]).collect();
    let url = parts.uri.to_string();
    let expected = sign::Request { method: "POST", url: &url, headers: &headers, body: &body };
    let expected = sign::authorization(&expected, "AK", "SK").unwrap();
    (parts.version, authority, header("authorization").to_owned(), expected)
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_offers_it_and_the_signature_is_right_there_too() {
    let authority = Authority::new("any");
    let mut config = authority.server(HOST, VALID);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (listener, endpoint) = listen().await;
    let (tell, told) = oneshot::channel();
    let server = tokio::spawn(serve_http2(listener, config, tell));
    let answer = submit(&client(&endpoint.replace("http:", "https:"), Some(authority.pem()))).await;
    assert_eq!(answer.verdict, Verdict::Accepted, "{answer:?}");
    let (version, host, authorization, expected) = told.await.unwrap();
    assert_eq!((version, host.as_deref()), (hyper::Version::HTTP_2, endpoint.strip_prefix("http://")));
    assert_eq!(authorization, expected);
    server.await.unwrap();
}

#[tokio::test]
async fn an_http_endpoint_needs_no_trust_anchors() {
    let (listener, endpoint) = listen().await;
    let server = answer_once(listener, crate::certified::ACCEPTED.to_vec());
    assert_eq!(submit(&client(&endpoint, None)).await.verdict, Verdict::Accepted);
    server.await.unwrap();
}

#[test]
fn a_ca_file_that_cannot_be_used_ends_the_start_with_its_name_and_what_to_do() {
    let stage = Stage::on("127.0.0.1:1", "objects", 1, "{}");
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "not PEM").unwrap();
    let missing = folder.path().join("missing.pem");
    for (path, said) in [(&garbage, "holds no PEM certificate; write"), (&missing, "cannot be read: ")] {
        let path = Path::new(path).to_str().unwrap();
        let mut worker = stage.worker(&[("OMS_SYNC__OMS__CA_FILE", path)]);
        assert_eq!(worker.exit_code(), 1);
        let told = format!("oms.ca_file {path}: {said}");
        wait_until("it is told", || worker.has_logged(&told));
    }
}

#[test]
fn a_worker_dead_letters_nothing_while_the_certificate_is_wrong_and_goes_on_when_it_is_renewed() {
    let broker = MockBroker::start();
    let topic = unique("objects");
    broker.create_topic(&topic, 1);
    broker.create_topic(&format!("{topic}.dlq"), 1);
    let mut stage = Stage::on(&broker.servers(), &topic, 1, "{}");
    stage.generate(200);
    let authority = Authority::new("any");
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();

    let (expired, to) = (authority.server(HOST, (2000, 2001)), stage.simulator.addr());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(TlsServer::start(expired, Service::Forward(to)));
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || runtime.block_on(stopped));

    let endpoint = server.endpoint();
    let worker = stage.worker(&[
        ("OMS_SYNC__OMS__ENDPOINT", &endpoint),
        ("OMS_SYNC__OMS__CA_FILE", ca_file.to_str().unwrap()),
        ("OMS_SYNC__RETRY__INITIAL", "50ms"),
        ("OMS_SYNC__RETRY__MAX", "200ms"),
    ]);
    let failed = r#"oms_sync_submissions_total{status="tls",task="task-1",verdict="busy"}"#;
    wait_until("ten attempts have failed", || worker.metric(failed).is_some_and(|failed| failed >= 10.0));
    assert!(worker.has_logged("check this machine's clock"), "{:?}", worker.log());
    assert!(worker.log().len() < 30, "one line a change, not one an attempt: {:?}", worker.log());
    server.show(authority.server(HOST, VALID));
    wait_until("lag is 0", || stage.is_settled());
    stage.check_ledger();
    let letters = worker.get("/metrics").1;
    let letters: Vec<_> =
        letters.lines().filter(|line| line.starts_with("oms_sync_keys_dead_lettered_total")).collect();
    assert!(!letters.is_empty() && letters.iter().all(|line| line.ends_with(" 0")), "{letters:?}");
    assert_eq!(worker.terminate(), 0);
    stop.send(()).ok(); // the thread is there, and if not the join says so
    thread.join().unwrap().unwrap();
}
