//! The pod identity service of CCE: temporary credentials for the pod's service account. Source: CCE guide (`cce_10_1110`)
//! and the SDK for Python (`auth/internal.py`, `PodIdentityAccessor`).

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::Method;

use super::ask::{Asker, Question, ask as ask_once};
use super::source::{Obtained, SourceError};
use super::{files, temporary};

/// Where it is and what it knows the pod by; CCE sets both as variables in the pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodIdentity {
    /// `HC_CONTAINER_CREDENTIALS_FULL_URI`.
    pub url: String,
    /// `HC_CONTAINER_AUTHORIZATION_TOKEN_FILE`; read anew each time, since the kubelet replaces it.
    pub token_file: PathBuf,
}

pub(super) async fn ask(asker: &Asker, pod: &PodIdentity) -> Result<Obtained, SourceError> {
    let token = files::apart(pod.token_file.clone(), files::read_text).await?;
    let question = Question {
        method: Method::POST,
        url: pod.url.clone(),
        headers: &[("authorization", &token), ("content-type", "application/json")],
        body: Bytes::from_static(b"{}"),
    };
    let reply = ask_once(&asker.local, question).await?;
    match reply.status {
        200..=299 => temporary::read(&reply),
        401 | 403 => Err(SourceError::Unavailable(reply.refusal(": does the service account have a pod identity?"))),
        _ => Err(SourceError::Unavailable(reply.refusal(""))),
    }
}
