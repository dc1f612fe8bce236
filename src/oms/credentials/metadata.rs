//! The metadata service of an ECS: temporary credentials of the machine's agency. Version 2 asks for a token first; where
//! there is none the older way without is taken. Source: ECS guide (`ecs_03_0166`, `ecs_03_2167`) and the SDK for Python
//! (`auth/internal.py`, `MetadataAccessor`).

use bytes::Bytes;
use reqwest::Method;

use super::ask::{Asker, Question, Reply, ask as ask_once};
use super::source::{Obtained, SourceError};
use super::temporary;

/// Where it listens on every machine.
pub const METADATA_ENDPOINT: &str = "http://169.254.169.254";
const TOKEN_PATH: &str = "/meta-data/latest/api/token";
const KEY_PATH: &str = "/openstack/latest/securitykey";
/// How long a token of the service is to last, seconds; asked for anew each time all the same.
const TOKEN_TTL_SECONDS: &str = "21600";
/// What it says where no agency is bound to the machine.
const NO_AGENCY: &str = "Please configure Cloud Service Agency first";

pub(super) async fn ask(asker: &Asker, endpoint: &str) -> Result<Obtained, SourceError> {
    let mut reply = key(asker, endpoint).await?;
    if reply.status == 401 && !says_no_agency(&reply) {
        reply = key(asker, endpoint).await?; // with a new token, once
    }
    match reply.status {
        200 => temporary::read(&reply),
        _ if says_no_agency(&reply) => {
            Err(SourceError::Unavailable("no agency is bound to this machine: bind one in the console".to_owned()))
        }
        404 => Err(SourceError::Unavailable(reply.refusal(": is an agency bound to this machine?"))),
        _ => Err(SourceError::Unavailable(reply.refusal(""))),
    }
}

async fn key(asker: &Asker, endpoint: &str) -> Result<Reply, SourceError> {
    let question = Question {
        method: Method::PUT,
        url: format!("{endpoint}{TOKEN_PATH}"),
        headers: &[("x-metadata-token-ttl-seconds", TOKEN_TTL_SECONDS)],
        body: Bytes::new(),
    };
    let reply = ask_once(&asker.local, question).await?;
    let token = match reply.status {
        200 => Some(std::str::from_utf8(&reply.body).map(str::trim).unwrap_or_default()),
        404 | 405 | 503 => None, // version 1
        _ => return Err(SourceError::Unavailable(reply.refusal(" when it was asked for a token"))),
    };
    let headers: Vec<_> = token.map(|token| ("x-metadata-token", token)).into_iter().collect();
    let url = format!("{endpoint}{KEY_PATH}");
    ask_once(&asker.local, Question { method: Method::GET, url, headers: &headers, body: Bytes::new() }).await
}

fn says_no_agency(reply: &Reply) -> bool {
    reply.body.windows(NO_AGENCY.len()).any(|text| text == NO_AGENCY.as_bytes())
}
