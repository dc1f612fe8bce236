//! The sources of credentials over real sockets and files, each with its failures. The servers answer as the metadata
//! service, pod identity and IAM do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod whole;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use oms_sync_worker::oms::client::{OmsClient, OmsSettings};
use oms_sync_worker::oms::credentials::iam_token::IamUser;
use oms_sync_worker::oms::credentials::keeper::News;
use oms_sync_worker::oms::credentials::pod_identity::PodIdentity;
use oms_sync_worker::oms::credentials::refresh::{Refresher, Told};
use oms_sync_worker::oms::credentials::source::{Obtained, Source, SourceError, Sources};
use oms_sync_worker::oms::credentials::{AuthToken, Credentials, Identity};
use oms_sync_worker::pipeline::answer::{HoldReason, Verdict};
use oms_sync_worker::pipeline::key::TaskId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::verdicts::settings;

/// Every wait ends within this.
const BOUND: Duration = Duration::from_mins(1);

pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// A server of one answer a connection; what it answers is a function of the request. `None` is no answer, ever.
async fn serve(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            while !is_complete(&text) && stream.read_buf(&mut text).await.is_ok_and(|read| read > 0) {}
            let request = String::from_utf8(text).unwrap();
            let answer = answer(&request);
            requests.lock().unwrap().push(request);
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                None => open.push(stream),
            }
        }
    });
    (url, seen)
}

fn is_complete(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

#[expect(clippy::unnecessary_wraps, reason = "what a server answers, and some never do")]
pub(crate) fn http(status: u16, headers: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"))
}

fn in_future(seconds: i64) -> SystemTime {
    let now = SystemTime::now();
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now - span } else { now + span }
}

/// With a fraction, as the services write it.
fn rfc3339(seconds: i64) -> String {
    humantime::format_rfc3339_micros(in_future(seconds)).to_string()
}

pub(crate) fn credential(expires_in: i64) -> String {
    let at = rfc3339(expires_in);
    format!(r#"{{"credential":{{"access":"TAK","secret":"TSK","securitytoken":"TTOKEN","expires_at":"{at}"}}}}"#)
}

fn temporary() -> Identity {
    Identity::Keys(Credentials::new("TAK", "TSK", Some("TTOKEN")).unwrap())
}

async fn obtain(source: Source) -> Result<Obtained, SourceError> {
    let mut sources = Sources::new(vec![source], Vec::new(), None).unwrap();
    tokio::time::timeout(BOUND, sources.obtain()).await.unwrap()
}

#[track_caller]
fn check_refused(result: Result<Obtained, SourceError>, expected: &str) {
    let Err(error) = result else { panic!("not refused: {expected}") };
    let told = format!("{error} {error:?}");
    assert!(told.contains(expected), "{told}\ndoes not say\n{expected}");
    for secret in ["TAK", "TSK", "TTOKEN", "hunter2", "POD-TOKEN", "META-TOKEN", "IAM-TOKEN"] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// A metadata service of version 2 whose answer to the second question is this.
pub(crate) async fn metadata(answer: impl Fn() -> Option<String> + Send + 'static) -> (String, Seen) {
    serve(move |request| if request.starts_with("PUT ") { http(200, "", "META-TOKEN") } else { answer() }).await
}

#[tokio::test]
async fn an_ecs_gives_the_credentials_of_its_agency_for_a_token_of_its_metadata_service() {
    let (url, seen) = metadata(|| http(200, "", &credential(3600))).await;
    let obtained = obtain(Source::Ecs(url)).await.unwrap();
    assert_eq!(obtained.identity, temporary());
    let left = obtained.expiry.unwrap().left.as_secs();
    assert!((3500..=3600).contains(&left), "{left}");
    assert!(!format!("{obtained:?}").contains("TSK") && !format!("{obtained:?}").contains("TTOKEN"));
    let seen = seen.lock().unwrap().clone();
    assert!(seen[0].starts_with("PUT /meta-data/latest/api/token HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[0].contains("x-metadata-token-ttl-seconds: 21600\r\n"), "{seen:?}");
    assert!(seen[1].starts_with("GET /openstack/latest/securitykey HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[1].contains("x-metadata-token: META-TOKEN\r\n"), "{seen:?}");
    assert!(!seen.concat().contains("x-forwarded-for"));
}

#[tokio::test]
async fn a_metadata_service_without_tokens_is_asked_in_the_older_way() {
    for status in [404, 405, 503] {
        let answer = move |request: &str| {
            if request.starts_with("PUT ") { http(status, "", "") } else { http(200, "", &credential(3600)) }
        };
        let (url, seen) = serve(answer).await;
        assert_eq!(obtain(Source::Ecs(url)).await.unwrap().identity, temporary(), "{status}");
        assert!(!seen.lock().unwrap()[1].contains("x-metadata-token"));
    }
}

#[tokio::test]
async fn a_metadata_token_that_is_refused_is_asked_for_anew_once() {
    let (url, seen) = metadata(|| http(401, "", "Unauthorized")).await;
    check_refused(obtain(Source::Ecs(url)).await, "answered 401");
    assert_eq!(seen.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_machine_without_an_agency_is_told_so_and_asked_once() {
    let (url, seen) = metadata(|| http(401, "", "Please configure Cloud Service Agency first")).await;
    check_refused(obtain(Source::Ecs(url)).await, "no agency is bound to this machine");
    assert_eq!(seen.lock().unwrap().len(), 2);
    let (url, _) = metadata(|| http(404, "", "TSK")).await;
    check_refused(obtain(Source::Ecs(url)).await, "answered 404: is an agency bound");
}

/// What every service may answer, and what is said of it.
async fn check_failures(source: impl Fn(String) -> Source, good_headers: &str, good_body: impl Fn(i64) -> String) {
    for (status, body) in [(500, "TSK"), (302, ""), (404, "TSK"), (401, "TSK")] {
        let elsewhere = "location: http://127.0.0.1:1/\r\n";
        let (url, _) = serve(move |_| http(status, elsewhere, body)).await;
        check_refused(obtain(source(url)).await, &format!("answered {status}"));
    }
    let good = if good_headers.is_empty() { 200 } else { 201 };
    for body in ["", "TSK", "<html>TSK</html>", r#"{"credential":{"access":"TAK"}}"#, r#"{"secret":["TSK"]}"#, "[]"] {
        let headers = good_headers.to_owned();
        let (url, _) = serve(move |_| http(good, &headers, body)).await;
        check_refused(obtain(source(url)).await, "the answer");
    }
    let long = format!("{}{}", good_body(3600), " ".repeat(100_000));
    let headers = good_headers.to_owned();
    let (url, _) = serve(move |_| http(good, &headers, &long)).await;
    check_refused(obtain(source(url)).await, "longer than 65536 bytes");
    let (headers, expired) = (good_headers.to_owned(), good_body(-60));
    let (url, _) = serve(move |_| http(good, &headers, &expired)).await;
    check_refused(obtain(source(url)).await, "expired at");
    let (url, _) = serve(|_| Some(String::new())).await;
    check_refused(obtain(source(url)).await, "cannot be asked");
    check_refused(obtain(source("http://127.0.0.1:1".to_owned())).await, "cannot be asked");

    // The other side's clock shows 20 minutes (and a half, for what the test takes) more: what lasts 10 minutes more by ours is over by its.
    let date = format!("{good_headers}date: {}\r\n", httpdate::fmt_http_date(in_future(1230)));
    let (headers, body) = (date.clone(), good_body(600));
    let (url, _) = serve(move |_| http(good, &headers, &body)).await;
    check_refused(obtain(source(url)).await, "this machine's clock is 20m");
    // And what is over by ours lasts by a clock that shows less.
    let date = format!("{good_headers}date: {}\r\n", httpdate::fmt_http_date(in_future(-1230)));
    let body = good_body(-630);
    let (url, _) = serve(move |_| http(good, &date, &body)).await;
    let obtained = obtain(source(url)).await.unwrap();
    assert!((590..=602).contains(&obtained.expiry.unwrap().left.as_secs()));
    assert!(obtained.skew.unwrap().contains("ahead of"));
}

#[tokio::test]
async fn the_failures_of_a_metadata_service_are_told_without_its_words() {
    check_failures(Source::Ecs, "", credential).await;
}

fn pod(folder: &Path, url: String) -> Source {
    let token_file = folder.join("token");
    std::fs::write(&token_file, "POD-TOKEN\n").unwrap();
    Source::Cce(PodIdentity { url, token_file })
}

#[tokio::test]
async fn a_pod_gets_the_credentials_of_its_service_account() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!(
        r#"{{"credentials":{{"access_key_id":"TAK","secret_access_key":"TSK","security_token":"TTOKEN","expiration":"{}"}}}}"#,
        rfc3339(3600)
    );
    let (url, seen) = serve(move |_| http(200, "", &body)).await;
    assert_eq!(obtain(pod(folder.path(), format!("{url}/v1/credentials"))).await.unwrap().identity, temporary());
    let request = seen.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /v1/credentials HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{}"), "{request}");
    assert!(request.contains("authorization: POD-TOKEN\r\n"), "{request}");
    let gone = Source::Cce(PodIdentity { url, token_file: folder.path().join("other") });
    check_refused(obtain(gone).await, "other is not there");
}

#[tokio::test]
async fn the_failures_of_pod_identity_are_told_without_its_words() {
    let folder = tempfile::tempdir().unwrap();
    check_failures(|url| pod(folder.path(), url), "", credential).await;
}

fn user(endpoint: String) -> Source {
    Source::Token(IamUser {
        endpoint,
        domain: "account".to_owned(),
        name: "worker".to_owned(),
        password: "hunter2\"".to_owned().into(),
        project_id: "p1".to_owned(),
    })
}

fn token_body(seconds: i64) -> String {
    format!(r#"{{"token":{{"expires_at":"{}","methods":["password"]}}}}"#, rfc3339(seconds))
}

#[tokio::test]
async fn iam_gives_a_token_for_the_project_and_the_password_of_a_user() {
    let (url, seen) = serve(|_| http(201, "X-Subject-Token: IAM-TOKEN\r\n", &token_body(86_400))).await;
    let obtained = obtain(user(url)).await.unwrap();
    assert_eq!(obtained.identity.token(), Some("IAM-TOKEN"));
    assert!(matches!(obtained.identity, Identity::Token(_)));
    assert!(!format!("{obtained:?}").contains("IAM-TOKEN"));
    let request = seen.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /v3/auth/tokens?nocatalog=true HTTP/1.1\r\n"), "{request}");
    let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    let user = serde_json::json!({"name": "worker", "password": "hunter2\"", "domain": {"name": "account"}});
    let identity = serde_json::json!({"methods": ["password"], "password": {"user": user}});
    assert_eq!(body, serde_json::json!({"auth": {"identity": identity, "scope": {"project": {"id": "p1"}}}}));
}

#[tokio::test]
async fn the_failures_of_iam_are_told_without_its_words() {
    check_failures(user, "X-Subject-Token: IAM-TOKEN\r\n", token_body).await;
    let (url, _) = serve(|_| http(201, "", &token_body(60))).await;
    check_refused(obtain(user(url)).await, "no X-Subject-Token");
    let (url, _) = serve(|_| http(401, "", "")).await;
    assert!(matches!(obtain(user(url)).await, Err(SourceError::Refused(_))), "a wrong password is not tried soon");
}

#[tokio::test]
async fn a_silent_service_is_given_up_after_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    for drips in [false, true] {
        let answer = move |_: &str| drips.then(|| "HTTP/1.1 200 X\r\ncontent-length: 50\r\n\r\n{".to_owned());
        let began = std::time::Instant::now();
        let (metadata, _) = serve(answer).await;
        let (identity, _) = serve(answer).await;
        let (one, other) = tokio::join!(obtain(Source::Ecs(metadata)), obtain(pod(folder.path(), identity)));
        let expected = if drips { "asked" } else { "no answer in time" };
        check_refused(one, if drips { "" } else { expected });
        check_refused(other, expected);
        assert!(began.elapsed() < BOUND);
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

fn keys(access: &str, secret: &str, token: Option<&str>) -> Identity {
    Identity::Keys(Credentials::new(access, secret, token).unwrap())
}

#[tokio::test]
async fn a_directory_gives_its_files_and_says_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let read = || obtain(Source::File(place.to_owned()));
    check_refused(read().await, "access-key is not there");
    write(place, "access-key", "AK\n");
    check_refused(read().await, "secret-key is not there");
    write(place, "secret-key", "");
    check_refused(read().await, "the secret key is empty");
    write(place, "secret-key", "TSK with blank");
    check_refused(read().await, "holds a blank");
    write(place, "secret-key", "SK\r\n");
    assert_eq!(read().await.unwrap().identity, keys("AK", "SK", None));
    write(place, "security-token", "T\n");
    assert_eq!(read().await.unwrap().identity, keys("AK", "SK", Some("T")));
    std::fs::write(place.join("security-token"), vec![b'x'; 100_000]).unwrap();
    check_refused(read().await, "longer than");
    std::fs::write(place.join("security-token"), [0xff, 0xfe]).unwrap();
    check_refused(read().await, "cannot be read");
}

#[tokio::test]
async fn a_profile_gives_its_section_basic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let read = || obtain(Source::Profile(file.clone()));
    check_refused(read().await, "credentials is not there");
    for (text, expected) in [
        ("", "has no ak in its section [basic]"),
        ("[global]\nak = TAK\nsk = TSK\n", "has no ak"),
        ("[basic]\nak = TAK\n[global]\nsk = TSK\n", "has no sk"),
        ("[basic]\nak =\nsk = TSK\n", "the access key is empty"),
    ] {
        std::fs::write(&file, text).unwrap();
        check_refused(read().await, expected);
    }
    std::fs::write(&file, "# mine\n[global]\nak=other\n[basic]\nak = AK\r\nsk=S=K/+\nsecurity_token = T\n").unwrap();
    assert_eq!(read().await.unwrap().identity, keys("AK", "S=K/+", Some("T")));
}

/// As the kubelet writes a Secret: a folder a version, a link that is swapped, and a link for each file.
pub(crate) fn swap(mount: &Path, version: &str, access: &str, secret: &str) {
    let folder = mount.join(format!("..{version}"));
    std::fs::create_dir(&folder).unwrap();
    write(&folder, "access-key", access);
    write(&folder, "secret-key", secret);
    std::os::unix::fs::symlink(format!("..{version}"), mount.join("..data_tmp")).unwrap();
    let old = std::fs::read_link(mount.join("..data")).ok();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for name in ["access-key", "secret-key"] {
        if !mount.join(name).exists() {
            std::os::unix::fs::symlink(format!("..data/{name}"), mount.join(name)).unwrap();
        }
    }
    if let Some(old) = old {
        std::fs::remove_dir_all(mount.join(old)).unwrap();
    }
}

async fn next(refresher: &mut Refresher) -> Told {
    tokio::time::timeout(BOUND, refresher.changed()).await.unwrap()
}

#[track_caller]
fn offered(told: Told) -> Identity {
    match told.news {
        Some(News::Offered(identity)) => identity,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_secret_that_kubernetes_swaps_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    swap(folder.path(), "2026_1", "A\n", "a\n");
    let sources = Sources::new(vec![Source::File(folder.path().to_owned())], Vec::new(), None).unwrap();
    let mut refresher = Refresher::start(sources);
    let first = next(&mut refresher).await;
    assert_eq!((first.source, first.expires_at), (Some("file"), None));
    assert_eq!(offered(first), keys("A", "a", None));
    swap(folder.path(), "2026_2", "B\n", "b\n");
    assert_eq!(offered(next(&mut refresher).await), keys("B", "b", None));
}

#[tokio::test]
async fn credentials_that_are_not_there_yet_are_told_missing_and_taken_once_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources::new(vec![Source::File(folder.path().to_owned())], Vec::new(), None).unwrap();
    let mut refresher = Refresher::start(sources);
    let told = next(&mut refresher).await;
    assert!(matches!(&told.news, Some(News::Missing(why)) if why.contains("access-key is not there")), "{told:?}");
    swap(folder.path(), "1", "A", "a");
    assert_eq!(offered(next(&mut refresher).await), keys("A", "a", None));
}

#[tokio::test]
async fn what_comes_from_a_service_says_when_it_expires() {
    let (url, _) = metadata(|| http(200, "", &credential(3600))).await;
    let mut refresher = Refresher::start(Sources::new(vec![Source::Ecs(url)], Vec::new(), None).unwrap());
    let told = next(&mut refresher).await;
    assert_eq!(told.source, Some("ecs"));
    assert!(told.expires_at.unwrap() > in_future(3500));
    assert_eq!(offered(told), temporary());
}

#[tokio::test]
async fn auto_takes_the_first_that_is_there_and_passes_over_none_that_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let (url, seen) = metadata(|| http(200, "", &credential(3600))).await;
    let (directory, profile) = (folder.path().join("secret"), folder.path().join("profile"));
    let chain = || {
        let all = vec![Source::File(directory.clone()), Source::Profile(profile.clone()), Source::Ecs(url.clone())];
        Sources::new(all, vec!["static: no access key".to_owned()], None).unwrap()
    };
    let mut sources = chain();
    assert_eq!(sources.obtain().await.unwrap().identity, temporary());
    assert_eq!(sources.taken().map(Source::name), Some("ecs"));

    std::fs::write(&profile, "[basic]\nak = P\n").unwrap();
    let asked = seen.lock().unwrap().len();
    let mut broken = chain();
    check_refused(broken.obtain().await, "static: no access key; file: ");
    assert_eq!(seen.lock().unwrap().len(), asked, "a broken profile does not make it another identity");
    std::fs::write(&profile, "[basic]\nak = P\nsk = p\n").unwrap();
    assert_eq!(broken.obtain().await.unwrap().identity, keys("P", "p", None));

    std::fs::create_dir(&directory).unwrap();
    write(&directory, "access-key", "F");
    write(&directory, "secret-key", "f");
    assert_eq!(chain().obtain().await.unwrap().identity, keys("F", "f", None));
    assert_eq!(broken.obtain().await.unwrap().identity, keys("P", "p", None), "what was taken stays");
    std::fs::remove_file(&profile).unwrap();
    check_refused(broken.obtain().await, "profile: ");
}

#[tokio::test]
async fn a_token_of_iam_goes_into_its_header_and_nothing_is_signed() {
    let (url, seen) = serve(|_| http(200, "", "")).await;
    let token = Identity::Token(AuthToken::new("IAM-TOKEN").unwrap());
    let first = OmsClient::new(OmsSettings { credentials: Some(token), ..settings(&url) }).unwrap();
    let second = first.with_credentials(keys("AK2", "SK2", Some("T2"))).unwrap();
    for client in [&first, &second] {
        let task = TaskId::new("t1").unwrap();
        let answer = client.submit(&task, bytes::Bytes::from_static(b"{}")).await;
        assert_eq!(answer.verdict, Verdict::Accepted);
    }
    let seen = seen.lock().unwrap().clone();
    assert!(seen[0].contains("x-auth-token: IAM-TOKEN\r\n") && seen[0].contains("x-project-id: p1\r\n"), "{seen:?}");
    assert!(!seen[0].contains("authorization:") && !seen[0].contains("x-sdk-date:"), "{seen:?}");
    assert!(seen[1].contains("Access=AK2, ") && seen[1].contains("x-security-token: T2\r\n"), "{seen:?}");
    assert!(!seen[1].contains("x-auth-token"), "{seen:?}");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_at_all() {
    let (url, seen) = serve(|_| http(200, "", "")).await;
    let client = OmsClient::new(OmsSettings { credentials: None, ..settings(&url) }).unwrap();
    let answer = client.submit(&TaskId::new("t1").unwrap(), bytes::Bytes::from_static(b"{}")).await;
    assert_eq!(answer.verdict, Verdict::Hold(HoldReason::Credentials));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_401_of_oms_with_another_time_of_day_says_that_the_clock_is_off() {
    for (seconds, side) in [(1230, "behind"), (-1230, "ahead of")] {
        let date = format!("date: {}\r\n", httpdate::fmt_http_date(in_future(seconds)));
        let body = r#"{"error_code":"APIGW.0301","error_msg":"signature expired"}"#;
        let (url, _) = serve(move |_| http(401, &date, body)).await;
        let client = OmsClient::new(settings(&url)).unwrap();
        let said = client.submit(&TaskId::new("t1").unwrap(), bytes::Bytes::from_static(b"{}")).await.said();
        assert!(said.contains("this machine's clock is 20m") && said.contains(side), "{said}");
        assert!(said.contains("APIGW.0301") && said.contains("signature expired"), "{said}");
    }
}
