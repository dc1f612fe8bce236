//! The HTTP client: one call, one attempt, one answer. It never re-sends and never follows a redirect; what comes
//! next is decided elsewhere.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, Request, Response, Url};

use super::clock::{self, Clocks};
use super::credentials::Identity;
use super::failure;
use super::sign::{SignError, Signer, date_text};
use super::trust::{self, TrustError};
use super::verdict::{Reply, VerdictCodes, classify};
use crate::pipeline::answer::{Answer, Verdict};
use crate::pipeline::key::TaskId;

/// How much of an answer's body is read, in bytes; the connection of a longer one is closed.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// An idle connection is closed before a gateway or a load balancer would close it under a request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("oms-sync-worker/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROJECT_ID: HeaderName = HeaderName::from_static("x-project-id");
const SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the client needs to know.
#[derive(Clone, Debug)]
pub struct OmsSettings {
    /// `http` or `https` URL of OMS, without `/v2`; a `/` at its end is dropped.
    pub endpoint: String,
    /// Project that the tasks belong to.
    pub project_id: String,
    /// What requests are signed with; `None` where it is not known yet. See [`OmsClient::with_credentials`].
    pub credentials: Option<Identity>,
    /// Bound of making a connection, TLS included.
    pub connect_timeout: Duration,
    /// Bound of a whole attempt, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// Trust anchors besides the system's, as PEM text.
    pub ca_pem: Option<Vec<u8>>,
    /// Requests at once; as many idle connections are kept.
    pub max_in_flight: usize,
    /// What error codes mean.
    pub codes: VerdictCodes,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum OmsClientError {
    /// The endpoint is not a URL with a host.
    #[error("oms.endpoint {0:?} is not a URL such as https://oms.cn-north-4.myhuaweicloud.com: {1}")]
    Endpoint(String, String),
    /// The project id cannot go into a header.
    #[error("oms.project_id holds a character that cannot go into a header: write it as the console shows it")]
    ProjectId,
    /// The security token or IAM token cannot go into a header.
    #[error("the token holds a character that cannot go into a header: copy it again")]
    Token,
    /// The extra trust anchors are not PEM certificates.
    #[error("oms.ca_file: {0}")]
    CaFile(#[from] TrustError),
    /// There is nobody to trust.
    #[error("the system has no trust anchors {0:?}; install ca-certificates, set SSL_CERT_FILE, or write oms.ca_file")]
    NoAnchors(String),
    /// The requests cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The HTTP library refused the settings.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
}

/// Submits events to OMS. Cheap to share by reference; connections are pooled inside. Its credentials never change:
/// others make another client of the same pool.
pub struct OmsClient {
    http: Client,
    proof: Option<Proof>,
    /// `Host` as it goes over the wire, for signatures.
    host: String,
    project_id: String,
    endpoint: Url,
    /// Path of the project's tasks: that of the endpoint, then `/v2/{project_id}/sync-tasks`.
    tasks_path: String,
    codes: VerdictCodes,
    /// `x-sdk-date` of the second it was written for.
    date: Mutex<(u64, HeaderValue)>,
}

impl OmsClient {
    /// Builds the client; connects to nothing.
    pub fn new(settings: OmsSettings) -> Result<Self, OmsClientError> {
        let url = endpoint_url(&settings.endpoint)?;
        let host = host_of(&url);
        let path = url.path().trim_end_matches('/');
        Ok(Self {
            http: http_client(&settings, &url)?,
            proof: settings.credentials.map(|it| Proof::new(it, &host, &settings.project_id)).transpose()?,
            tasks_path: format!("{path}/v2/{}/sync-tasks", settings.project_id),
            host,
            project_id: settings.project_id,
            codes: settings.codes,
            date: no_date(),
            endpoint: url,
        })
    }

    /// The same client with other credentials: connections are shared, requests that are out keep theirs.
    pub fn with_credentials(&self, identity: Identity) -> Result<Self, OmsClientError> {
        Ok(Self {
            http: self.http.clone(),
            proof: Some(Proof::new(identity, &self.host, &self.project_id)?),
            host: self.host.clone(),
            project_id: self.project_id.clone(),
            endpoint: self.endpoint.clone(),
            tasks_path: self.tasks_path.clone(),
            codes: self.codes.clone(),
            date: no_date(),
        })
    }

    /// One attempt to submit an event. `body` is sent as it is: `{"object_keys":["..."]}`, keys encoded. Signed anew
    /// each time. A failure of the transport is an answer too.
    #[expect(clippy::disallowed_methods, reason = "a shell: the signature and Retry-After dates need the time")]
    pub async fn submit(&self, task: &TaskId, body: Bytes) -> Answer {
        let path = format!("{}/{}/events", self.tasks_path, task.as_str());
        match self.send(Method::POST, &path, "", body, SystemTime::now()).await {
            Ok(reply) => self.classify(&reply, SystemTime::now()),
            Err(answer) => *answer,
        }
    }

    /// One query, signed like an event: its JSON, or what the answer means; and what the clocks showed when it arrived.
    #[expect(clippy::disallowed_methods, reason = "a shell: the signature and Retry-After dates need the time")]
    pub(super) async fn query(&self, path: &str, query: &str) -> (Result<Vec<u8>, Box<Answer>>, Option<Clocks>) {
        let path = format!("{}{path}", self.tasks_path);
        let reply = match self.send(Method::GET, &path, query, Bytes::new(), SystemTime::now()).await {
            Ok(reply) => reply,
            Err(answer) => return (Err(answer), None),
        };
        let ours = SystemTime::now();
        let date = reply.headers.get(DATE).and_then(|date| date.to_str().ok());
        let clocks = clock::other_clock(date).map(|theirs| Clocks { ours, theirs });
        let answer = self.classify(&reply, ours);
        (if answer.verdict == Verdict::Accepted { Ok(reply.body) } else { Err(Box::new(answer)) }, clocks)
    }

    fn classify(&self, reply: &RawReply, now: SystemTime) -> Answer {
        let header = |name: &HeaderName| reply.headers.get(name).and_then(|value| value.to_str().ok());
        let parts = Reply {
            status: reply.status,
            retry_after: header(&RETRY_AFTER),
            request_id: header(&REQUEST_ID),
            date: header(&DATE),
            body: &reply.body,
            is_cut_off: reply.is_cut_off,
        };
        classify(&parts, now, &self.codes, self.proof.as_ref().and_then(|proof| proof.identity.token()))
    }

    /// Signs and sends; `path` and `query` are in canonical form already.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Bytes,
        now: SystemTime,
    ) -> Result<RawReply, Box<Answer>> {
        let Some(proof) = &self.proof else { return Err(Box::new(failure::no_credentials())) };
        let mut request = Request::new(method, self.url(path, query));
        if let Some((name, token)) = &proof.token {
            request.headers_mut().insert(name, token.clone());
        }
        if let Some(signer) = &proof.signer {
            let date = self.date(now);
            let date_text = date.to_str().unwrap_or_default();
            let authorization = signer.authorization(request.method().as_str(), path, query, date_text, &body);
            let Ok(authorization) = HeaderValue::try_from(authorization) else {
                return Err(Box::new(failure::no_credentials())); // never: an access key is ASCII
            };
            request.headers_mut().insert(SDK_DATE, date);
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        *request.body_mut() = Some(body.into());
        let answered = async { read(self.http.execute(request).await?).await };
        answered.await.map_err(|error| Box::new(failure::answer(error)))
    }

    /// Of the endpoint, whose text is parsed once and not for each request.
    fn url(&self, path: &str, query: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }

    fn date(&self, now: SystemTime) -> HeaderValue {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut kept = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != second
            && let Ok(value) = HeaderValue::try_from(date_text(now))
        {
            *kept = (second, value);
        }
        kept.1.clone()
    }
}

/// What goes with each request so that OMS knows whose it is.
struct Proof {
    identity: Identity,
    /// For an access key; a token of IAM signs nothing.
    signer: Option<Signer>,
    token: Option<(HeaderName, HeaderValue)>,
}

impl Proof {
    fn new(identity: Identity, host: &str, project_id: &str) -> Result<Self, OmsClientError> {
        let (signer, name) = match &identity {
            Identity::Keys(credentials) => (Some(Signer::new(credentials, host, project_id)?), SECURITY_TOKEN),
            Identity::Token(_) => (None, AUTH_TOKEN),
        };
        let header = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| OmsClientError::Token)?;
            value.set_sensitive(true);
            Ok::<_, OmsClientError>((name, value))
        };
        let token = identity.token().map(header).transpose()?;
        Ok(Self { identity, signer, token })
    }
}

fn no_date() -> Mutex<(u64, HeaderValue)> {
    Mutex::new((u64::MAX, HeaderValue::from_static("")))
}

/// An answer, before anyone has judged it.
struct RawReply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    is_cut_off: bool,
}

/// Reads the body up to its bound. Dropping a response that has more to say closes its connection.
async fn read(mut response: Response) -> Result<RawReply, reqwest::Error> {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    let mut is_cut_off = false;
    while let Some(part) = response.chunk().await? {
        let room = MAX_BODY_BYTES - body.len();
        body.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room {
            is_cut_off = true;
            break;
        }
    }
    Ok(RawReply { status, headers, body, is_cut_off })
}

fn endpoint_url(endpoint: &str) -> Result<Url, OmsClientError> {
    let refuse = |why: &str| OmsClientError::Endpoint(endpoint.to_owned(), why.to_owned());
    let url = Url::parse(endpoint).map_err(|error| refuse(&error.to_string()))?;
    match (url.scheme(), url.query(), url.fragment()) {
        ("http" | "https", None, None) => Ok(url),
        _ => Err(refuse("write http or https, a host and nothing after the path")),
    }
}

/// The `Host` header that goes with the URL: with the port unless it is the scheme's own.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn http_client(settings: &OmsSettings, url: &Url) -> Result<Client, OmsClientError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(constant_headers(settings)?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(settings.max_in_flight)
        .tcp_keepalive(TCP_KEEPALIVE)
        .tcp_nodelay(true);
    if is_loopback(url) {
        // A proxy from the environment is for the way out, never for this machine.
        builder = builder.no_proxy();
    }
    builder = builder.tls_certs_only(anchors(settings, url)?);
    builder.build().map_err(|error| OmsClientError::Http(failure::describe(&error)))
}

/// The system's trust anchors and those of `oms.ca_file`; without TLS there are none to load.
fn anchors(settings: &OmsSettings, url: &Url) -> Result<Vec<Certificate>, OmsClientError> {
    let mut all = settings.ca_pem.as_deref().map(trust::certificates).transpose()?.unwrap_or_default();
    if url.scheme() == "https" {
        match trust::system() {
            Ok(anchors) => all.extend(anchors),
            Err(why) if all.is_empty() => return Err(OmsClientError::NoAnchors(why)),
            Err(_) => {}
        }
    }
    Ok(all)
}

fn constant_headers(settings: &OmsSettings) -> Result<HeaderMap, OmsClientError> {
    let project_id = HeaderValue::from_str(&settings.project_id).map_err(|_| OmsClientError::ProjectId)?;
    Ok(HeaderMap::from_iter([(CONTENT_TYPE, JSON), (PROJECT_ID, project_id)]))
}

/// Whether requests go over a network that others can read.
#[must_use]
pub fn is_clear_text(endpoint: &str) -> bool {
    Url::parse(endpoint).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oms::credentials::Credentials;

    fn settings(endpoint: &str) -> OmsSettings {
        OmsSettings {
            endpoint: endpoint.to_owned(),
            project_id: "p".to_owned(),
            credentials: Credentials::new("AK", "SK", None).unwrap().into(),
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(1),
            ca_pem: None,
            max_in_flight: 1,
            codes: VerdictCodes::default(),
        }
    }

    #[test]
    fn the_endpoint_loses_its_last_slash_and_keeps_its_path() {
        for (endpoint, tasks) in [
            ("https://oms.example.com", "https://oms.example.com/v2/p/sync-tasks"),
            ("https://oms.example.com/", "https://oms.example.com/v2/p/sync-tasks"),
            ("http://h:8080/oms//", "http://h:8080/oms/v2/p/sync-tasks"),
        ] {
            let client = OmsClient::new(settings(endpoint)).unwrap();
            assert_eq!(client.url(&client.tasks_path, "").as_str(), tasks);
            let page = client.url(&format!("{}/t", client.tasks_path), "limit=5&offset=10");
            assert_eq!(page.as_str(), format!("{tasks}/t?limit=5&offset=10"));
            assert_eq!(page.path(), format!("{}/t", client.tasks_path), "what is signed");
        }
    }

    #[test]
    fn the_signed_host_has_the_port_that_goes_over_the_wire() {
        for (endpoint, host) in [
            ("https://OMS.example.com:443", "oms.example.com"),
            ("http://h:80", "h"),
            ("http://h:8080", "h:8080"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(host_of(&endpoint_url(endpoint).unwrap()), host);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for endpoint in ["", "oms.example.com", "ftp://h", "http://", "https://h/?a=b", "https://h/#f"] {
            let refused = OmsClient::new(settings(endpoint)).err();
            assert!(matches!(refused, Some(OmsClientError::Endpoint(..))), "{endpoint}: {refused:?}");
        }
    }

    #[test]
    fn trust_anchors_that_are_none_are_refused() {
        let ca_pem = Some(b"not PEM".to_vec());
        let refused = OmsClient::new(OmsSettings { ca_pem, ..settings("http://h") }).err();
        assert!(matches!(refused, Some(OmsClientError::CaFile(TrustError::Empty))), "{refused:?}");
    }

    #[test]
    fn only_this_machine_is_reached_without_the_proxy() {
        for (endpoint, expected) in
            [("http://127.0.0.1:1", true), ("http://localhost", true), ("http://[::1]:1", true), ("http://h", false)]
        {
            assert_eq!(is_loopback(&endpoint_url(endpoint).unwrap()), expected, "{endpoint}");
        }
    }
}
