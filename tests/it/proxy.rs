//! The proxy of the environment: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. The environment is the whole process's, so
//! each submission is made by a process of its own: this test binary again, with one variable more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::certified::{ACCEPTED, Authority, TlsServer, VALID, accept};
use crate::verdicts::{BOUND, listen, request, settings, submit};

/// Where the child submits to; makes this binary the child.
pub(crate) const ENDPOINT: &str = "OMS_SYNC_TEST_PROXIED_ENDPOINT";
/// PEM text that the child trusts.
pub(crate) const TRUST: &str = "OMS_SYNC_TEST_PROXIED_TRUST";
/// What the child's line begins with.
const TOLD: &str = "submitted: ";
/// A host that only a proxy can reach: no name server knows this domain (RFC 6761).
const HOST: &str = "oms.invalid";
/// This host by an address that is not in the loopback range, for which the environment's proxy is left out anyway.
const THIS_HOST: &str = "0.0.0.0";

/// One submission in a process with these variables: `verdict status message`, or why there is no client.
pub(crate) async fn submitted(variables: &[(&str, &str)]) -> String {
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "proxy::a_proxy_of_the_environment_is_used_for_http_and_https", "--nocapture"]);
    child.env_clear().envs(variables.iter().copied()).stdout(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(BOUND, child.output()).await.unwrap().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let told = shown.lines().find_map(|line| line.split_once(TOLD)).map(|(_, told)| told.to_owned());
    told.unwrap_or_else(|| panic!("the child tells nothing:\n{shown}"))
}

/// What the child does. `None` in the process that is no child.
async fn child() -> Option<()> {
    let endpoint = std::env::var(ENDPOINT).ok()?;
    let ca_pem = std::env::var(TRUST).ok().map(String::into_bytes);
    match OmsClient::new(OmsSettings { ca_pem, ..settings(&endpoint) }) {
        Ok(client) => {
            let answer = submit(&client).await;
            println!("\n{TOLD}{:?} {}", answer.verdict, answer.said());
        }
        Err(refused) => println!("\n{TOLD}{refused}"),
    }
    Some(())
}

/// A proxy on loopback, and what it was asked for.
struct Proxy {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

/// A proxy that answers every request with these bytes, and passes what follows on to another server, if there is one.
async fn proxy(answer: &'static str, to: Option<std::net::SocketAddr>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:pw-in-clear@{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head(&mut stream).await;
            kept.lock().unwrap().push(head);
            stream.write_all(answer.as_bytes()).await.unwrap();
            if let Some(to) = to {
                let mut other = TcpStream::connect(to).await.unwrap();
                tokio::io::copy_bidirectional(&mut stream, &mut other).await.ok(); // the child ends as it likes
            }
        }
    });
    Proxy { url, heads }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap().to_ascii_lowercase()
}

impl Proxy {
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used_for_http_and_https() {
    if child().await.is_some() {
        return;
    }
    let authority = Authority::new("any");
    let server = TlsServer::start(authority.server(HOST, VALID), accept()).await;
    let tunnel = proxy("HTTP/1.1 200 Connected\r\n\r\n", Some(server.addr)).await;
    let (endpoint, trust) = (format!("https://{HOST}"), authority.pem());
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let told = submitted(&[(ENDPOINT, &endpoint), (TRUST, &trust), (name, &tunnel.url)]).await;
        assert!(told.starts_with("Accepted 200"), "{name}: {told}");
    }
    assert_eq!(server.events.load(Ordering::SeqCst), 3);
    for head in tunnel.heads() {
        assert!(head.starts_with("connect oms.invalid:443 "), "{head}");
        assert!(head.contains("\r\nproxy-authorization: basic "), "{head}");
        assert!(!head.contains("\r\nauthorization:") && !head.contains("x-project-id"), "only OMS sees these: {head}");
    }

    let plain = proxy("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None).await;
    let told = submitted(&[(ENDPOINT, &format!("http://{HOST}")), ("HTTP_PROXY", &plain.url)]).await;
    assert!(told.starts_with("Accepted 200"), "{told}");
    let heads = plain.heads();
    assert!(heads[0].starts_with("post http://oms.invalid/v2/p1/sync-tasks/t1/events "), "{heads:?}");
    assert!(heads.len() == 1 && heads[0].contains("\r\nhost: oms.invalid\r\n"), "the signed host: {heads:?}");
}

#[tokio::test]
async fn what_no_proxy_names_and_this_machine_are_reached_directly() {
    let (listener, loopback) = listen().await;
    let port = listener.local_addr().unwrap().port();
    let direct = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&direct);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            request(&mut stream).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(ACCEPTED).await.unwrap();
        }
    });
    let proxy = proxy("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None).await;
    let this_host = format!("http://{THIS_HOST}:{port}");
    for (endpoint, no_proxy, (by_proxy, directly)) in [
        (&this_host, "", (1, 0)),
        (&this_host, "oms.example.com,10.0.0.0/8", (2, 0)),
        (&this_host, "oms.example.com, 0.0.0.0/32", (2, 1)),
        (&this_host, "0.0.0.0", (2, 2)),
        (&loopback, "", (2, 3)),
    ] {
        let told = submitted(&[(ENDPOINT, endpoint), ("HTTP_PROXY", &proxy.url), ("NO_PROXY", no_proxy)]).await;
        assert!(told.starts_with("Accepted 200"), "{endpoint} {no_proxy:?}: {told}");
        let seen = (proxy.heads().len(), direct.load(Ordering::SeqCst));
        assert_eq!(seen, (by_proxy, directly), "{endpoint} {no_proxy:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_away_is_busy_says_so_and_gives_no_password_away() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refusing = proxy("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", None).await;
    let forbidding = proxy("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", None).await;
    for url in [&refusing.url, &forbidding.url, &format!("http://user:pw-in-clear@{away}")] {
        let told = submitted(&[(ENDPOINT, "https://oms.invalid"), ("HTTPS_PROXY", url)]).await;
        println!("{told}");
        assert!(told.starts_with("Busy(Overloaded) connect, "), "{told}");
        assert!(told.contains("and HTTPS_PROXY where one is set") && !told.contains("pw-in-clear"), "{told}");
    }
}
