//! One bounded HTTP question to a service that gives credentials. Never follows a redirect, never asks twice, and wipes
//! the answers' bodies from memory.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Method};
use zeroize::Zeroizing;

use super::source::SourceError;
use crate::oms::clock;
use crate::oms::failure::describe;

/// How much of an answer is read, in bytes: one that is longer is no credentials.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Bound of a question to the machine's own services: the metadata service and pod identity. Their SDKs take 3 s and 5 s.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Bound of a question to IAM.
const IAM_TIMEOUT: Duration = Duration::from_secs(30);

/// Asks services for credentials.
#[derive(Debug)]
pub(super) struct Asker {
    /// For the metadata service and pod identity: no proxy, whatever the environment says.
    pub(super) local: Client,
    /// For IAM, which may lie behind a proxy.
    pub(super) iam: Client,
}

/// The HTTP library refused the settings, or the trust anchors cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot set up the HTTP client for credentials: {0}")]
pub struct AskerError(String);

/// A question.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: Bytes,
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) arrived: SystemTime,
}

impl Asker {
    pub(super) fn new(ca_pem: Option<&[u8]>) -> Result<Self, AskerError> {
        let fail = |error: reqwest::Error| AskerError(describe(&error));
        let mut iam = bounded(IAM_TIMEOUT);
        if let Some(pem) = ca_pem {
            iam = iam.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(fail)?);
        }
        Ok(Self { local: bounded(LOCAL_TIMEOUT).no_proxy().build().map_err(fail)?, iam: iam.build().map_err(fail)? })
    }
}

fn bounded(timeout: Duration) -> ClientBuilder {
    let redirects = reqwest::redirect::Policy::none();
    Client::builder().redirect(redirects).retry(reqwest::retry::never()).referer(false).timeout(timeout)
}

/// Asks once. Whatever was answered in full is a reply, whatever its status.
#[expect(clippy::disallowed_methods, reason = "a shell: expiry and the other side's clock are compared with the time")]
pub(super) async fn ask(client: &Client, question: Question<'_>) -> Result<Reply, SourceError> {
    let mut headers = HeaderMap::new();
    for (name, text) in question.headers {
        let unsendable = |_| SourceError::Unavailable(format!("what goes into {name} cannot go into a header"));
        let mut value = HeaderValue::from_str(text).map_err(unsendable)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    let request = client.request(question.method, question.url).headers(headers).body(question.body);
    let failed = |error: reqwest::Error| {
        let what = if error.is_timeout() { "no answer in time" } else { "cannot be asked" };
        SourceError::Unavailable(format!("{what}: {}", describe(&error.without_url())))
    };
    let mut response = request.send().await.map_err(failed)?;
    let headers = std::mem::take(response.headers_mut());
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES)); // never grows, so leaves no copies behind
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if part.len() > MAX_ANSWER_BYTES - body.len() {
            return Err(SourceError::Unavailable(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok(Reply { status: response.status().as_u16(), headers, body, arrived: SystemTime::now() })
}

impl Reply {
    /// A sentence about this machine's clock, where it is off.
    pub(super) fn skew(&self) -> Option<String> {
        clock::told(self.date(), self.arrived)
    }

    /// What the other side's clock shows, or else ours.
    pub(super) fn now(&self) -> SystemTime {
        clock::other_clock(self.date()).unwrap_or(self.arrived)
    }

    fn date(&self) -> Option<&str> {
        self.headers.get(DATE).and_then(|date| date.to_str().ok())
    }

    /// The status in words, with what follows from it; never the body, which may hold anything.
    pub(super) fn refusal(&self, hint: &str) -> String {
        let skew = self.skew().map(|skew| format!("; {skew}")).unwrap_or_default();
        format!("answered {}{hint}{skew}", self.status)
    }
}
