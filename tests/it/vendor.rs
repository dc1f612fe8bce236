//! Requests signed here, judged by the vendor's own SDK: `tests/vendor/verify.py` recomputes each signature with
//! `huaweicloudsdkcore`. Skipped, and said so, where Python or that package is missing; `OMS_SYNC_TEST_REQUIRE_SDK=1`
//! makes that a failure.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use bytes::Bytes;
use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use oms_sync_worker::oms::credentials::Credentials;
use oms_sync_worker::oms::sign::{self, date_text};
use oms_sync_worker::pipeline::answer::{HoldReason, Status, Verdict};
use oms_sync_worker::pipeline::key::{EncodedKey, KeyEncoding, TaskId};
use serde_json::json;

use crate::verdicts::settings;

const ACCESS_KEY: &str = "AK";
const SECRET_KEY: &str = "SK/+=.~%*";
/// Which Python runs the verifier.
const PYTHON: &str = "OMS_SYNC_TEST_PYTHON";
/// Makes a missing SDK a failure.
const REQUIRE: &str = "OMS_SYNC_TEST_REQUIRE_SDK";

/// The verifier as a process; it ends with its standard input.
struct Verifier {
    child: Child,
    host: String,
}

impl Verifier {
    /// `None`, with the reason printed, where it cannot run.
    fn start() -> Option<Self> {
        let python = std::env::var(PYTHON).unwrap_or_else(|_| "python3".to_owned());
        let probe = Command::new(&python).args(["-c", "import huaweicloudsdkcore.signer.signer"]).output();
        let why = match probe {
            Ok(output) if output.status.success() => return Some(Self::run(&python)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
        assert!(!required, "{REQUIRE}=1, but {python} has no huaweicloudsdkcore: {why}");
        eprintln!("skipped: {python} has no huaweicloudsdkcore ({why}); see tests/vendor/requirements.txt");
        None
    }

    fn run(python: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vendor/verify.py");
        let mut command = Command::new(python);
        command.arg(script).args([ACCESS_KEY, SECRET_KEY]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, host: format!("127.0.0.1:{}", port.trim()) }
    }

    fn client(&self, change: impl FnOnce(&mut OmsSettings)) -> OmsClient {
        let mut settings = OmsSettings {
            credentials: Credentials::new(ACCESS_KEY, SECRET_KEY, None).unwrap().into(),
            ..settings(&format!("http://{}", self.host))
        };
        change(&mut settings);
        OmsClient::new(settings).unwrap()
    }

    /// Sends a request that `sign::authorization` signed, after `tamper` had its way with it. Gives the status.
    async fn send(&self, written: &Written<'_>, tamper: impl FnOnce(&mut reqwest::Request)) -> u16 {
        let date = date_text(SystemTime::now());
        let headers = [("Host", self.host.as_str()), ("X-Sdk-Date", &date), ("X-Note", written.note)];
        let url = format!("http://{}{}", self.host, written.target);
        let signed = sign::Request { method: written.method, url: &url, headers: &headers, body: written.body };
        let authorization = sign::authorization(&signed, ACCESS_KEY, SECRET_KEY).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = http
            .request(written.method.parse().unwrap(), &url)
            .header("x-sdk-date", date)
            .header("x-note", written.note)
            .header("authorization", authorization)
            .body(written.body.to_vec())
            .build()
            .unwrap();
        tamper(&mut request);
        http.execute(request).await.unwrap().status().as_u16()
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok(); // it ends with its input
    }
}

/// A request as a test writes it; path and query in one.
struct Written<'a> {
    method: &'a str,
    target: &'a str,
    note: &'a str,
    body: &'a [u8],
}

const PLAIN: Written<'_> = Written { method: "POST", target: "/v2/p/x?a=1&b=2", note: "n", body: b"{\"a\":1}" };

fn task() -> TaskId {
    TaskId::new("31e9b7e6-6ffb-452f-9842-6ce354d99d75").unwrap()
}

#[tokio::test]
async fn events_of_the_client_are_accepted_by_the_vendors_signer() {
    let Some(verifier) = Verifier::start() else { return };
    let encode = |key: &str, encoding| EncodedKey::encode(key, encoding).unwrap().as_str().to_owned();
    let odd = ["a b+c~*.txt", "日本/ü?&=#%.jpg", "../x//y/", "\u{1f600}\"\\\n"];
    let percent = json!({"object_keys": odd.map(|key| encode(key, KeyEncoding::Percent))}).to_string();
    let form = json!({"object_keys": odd.map(|key| encode(key, KeyEncoding::Form))}).to_string();
    let raw = json!({ "object_keys": odd }).to_string();
    let large = json!({"object_keys": vec!["%E6".repeat(5000); 10]}).to_string();
    let token = |settings: &mut OmsSettings| {
        settings.credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, Some("gQpjbi1ub3J0aC00/+=.~%")).unwrap().into();
    };
    let below_a_path = |settings: &mut OmsSettings| settings.endpoint.push_str("/gateway/oms/");
    let clients = [verifier.client(|_| {}), verifier.client(token), verifier.client(below_a_path)];
    for client in &clients {
        for body in [&percent, &form, &raw, &large, "", "{}", "\u{feff}\u{0}"] {
            let answer = client.submit(&task(), Bytes::from(body.to_owned())).await;
            let got = (answer.verdict, answer.status);
            assert_eq!(got, (Verdict::Accepted, Status::Http(200)), "{}: {answer:?}", &body[..body.len().min(40)]);
        }
    }
}

#[tokio::test]
async fn queries_of_the_client_are_accepted_by_the_vendors_signer() {
    let Some(verifier) = Verifier::start() else { return };
    let client = verifier.client(|_| {});
    assert_eq!(client.show_task(&task()).await.unwrap().sync_task_id, "t1");
    assert_eq!(client.list_tasks().await.unwrap().tasks, []);
}

#[tokio::test]
async fn any_request_that_is_signed_here_is_accepted_by_the_vendors_signer() {
    let Some(verifier) = Verifier::start() else { return };
    for (method, target, note, body) in [
        ("GET", "/", "n", &b""[..]),
        ("GET", "/v2/p/sync-tasks?limit=100&offset=0&status=STOPPED", "n", b""),
        ("GET", "/q?b=2&a=1&a=0&B=3&a%20b=c%20d", "n", b""),
        ("GET", "/q?x=%E6%97%A5%E6%9C%AC&%C3%BC=%2F%2B%26%3D~-_.*%2A", "n", b""),
        ("GET", "/q?empty=&last=", "n", b""),
        ("GET", "/v2/%E6%97%A5%20x~/a%2Bb", "n", b""),
        ("DELETE", "/v2/p/x/", "  blanks around and  inside ", b""),
        ("PUT", "/v2/p/x", "n", "ünïcode 日本".as_bytes()),
        ("POST", "/v2/p/x", "n", &[0, 255, 13, 10, 128]),
    ] {
        let status = verifier.send(&Written { method, target, note, body }, |_| {}).await;
        assert_eq!(status, 200, "{method} {target} {note:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_by_the_vendors_signer() {
    let Some(verifier) = Verifier::start() else { return };
    let wrong = |settings: &mut OmsSettings| {
        settings.credentials = Credentials::new(ACCESS_KEY, "WRONG", Some("TOKEN")).unwrap().into();
    };
    let answer = verifier.client(wrong).submit(&task(), Bytes::from_static(b"{}")).await;
    assert_eq!((answer.verdict, answer.status), (Verdict::Hold(HoldReason::Credentials), Status::Http(401)));
    assert_eq!(answer.error_code.as_deref(), Some("APIGW.0301"));
}

#[tokio::test]
async fn a_request_that_was_tampered_with_is_refused_by_the_vendors_signer() {
    type Tamper = fn(&mut reqwest::Request);
    let Some(verifier) = Verifier::start() else { return };
    assert_eq!(verifier.send(&PLAIN, |_| {}).await, 200);
    let tampers: [(&str, Tamper); 7] = [
        ("method", |request| *request.method_mut() = reqwest::Method::PUT),
        ("path", |request| request.url_mut().set_path("/v2/p/y")),
        ("query", |request| request.url_mut().set_query(Some("a=1&b=3"))),
        ("body", |request| *request.body_mut() = Some("{\"a\":2}".into())),
        ("date", |request| drop(request.headers_mut().insert("x-sdk-date", "20200101T000000Z".parse().unwrap()))),
        ("signed header", |request| drop(request.headers_mut().insert("x-note", "m".parse().unwrap()))),
        ("signature", |request| drop(request.headers_mut().remove("authorization"))),
    ];
    for (what, tamper) in tampers {
        assert_eq!(verifier.send(&PLAIN, tamper).await, 401, "{what}");
    }
}
