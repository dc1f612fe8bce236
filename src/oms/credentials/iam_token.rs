//! A token of IAM for a user's password, scoped to the project. Source: IAM API, `POST /v3/auth/tokens`; the token comes
//! in `X-Subject-Token`, lasts 24 hours, and is void earlier after the password or the rights change.

use bytes::Bytes;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ask::{Asker, Question, Reply, ask as ask_once};
use super::source::{Obtained, SourceError};
use super::{AuthToken, Identity, temporary};

/// Room for the request, so that writing the password leaves no copy behind.
const REQUEST_BYTES: usize = 4096;

/// A user of IAM.
#[derive(Clone)]
pub struct IamUser {
    /// URL of IAM without a `/` at its end.
    pub endpoint: String,
    /// Account that the user belongs to.
    pub domain: String,
    /// Name of the user.
    pub name: String,
    /// Its password.
    pub password: Zeroizing<String>,
    /// Project that the token is for.
    pub project_id: String,
}

impl std::fmt::Debug for IamUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IamUser").field("endpoint", &self.endpoint).field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    password: &'a str,
    domain: Named<'a>,
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    expires_at: String,
}

pub(super) async fn ask(asker: &Asker, user: &IamUser) -> Result<Obtained, SourceError> {
    let question = Question {
        method: Method::POST,
        url: format!("{}/v3/auth/tokens?nocatalog=true", user.endpoint),
        headers: &[("content-type", "application/json;charset=utf8")],
        body: body(user)?,
    };
    let reply = ask_once(&asker.iam, question).await?;
    match reply.status {
        201 => read(&reply),
        // A few wrong passwords lock the user.
        400 | 401 | 403 => Err(SourceError::Refused(
            reply.refusal(": check oms.credentials.user (domain, name, password) and oms.project_id"),
        )),
        404 => Err(SourceError::Unavailable(reply.refusal(": check oms.credentials.iam_endpoint"))),
        _ => Err(SourceError::Unavailable(reply.refusal(""))),
    }
}

fn body(user: &IamUser) -> Result<Bytes, SourceError> {
    #[derive(Serialize)]
    struct Password<'a> {
        user: User<'a>,
    }
    #[derive(Serialize)]
    struct Method<'a> {
        methods: [&'static str; 1],
        password: Password<'a>,
    }
    #[derive(Serialize)]
    struct Project<'a> {
        id: &'a str,
    }
    #[derive(Serialize)]
    struct Scope<'a> {
        project: Project<'a>,
    }
    #[derive(Serialize)]
    struct Auth<'a> {
        identity: Method<'a>,
        scope: Scope<'a>,
    }
    #[derive(Serialize)]
    struct Request<'a> {
        auth: Auth<'a>,
    }
    let user_part = User { name: &user.name, password: &user.password, domain: Named { name: &user.domain } };
    let identity = Method { methods: ["password"], password: Password { user: user_part } };
    let request = Request { auth: Auth { identity, scope: Scope { project: Project { id: &user.project_id } } } };
    let mut text = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES));
    serde_json::to_writer(&mut *text, &request)
        .map_err(|_| SourceError::Unavailable("the request cannot be written".to_owned()))?;
    Ok(Bytes::from_owner(text))
}

fn read(reply: &Reply) -> Result<Obtained, SourceError> {
    let unusable = |why: &str| SourceError::Unavailable(format!("the answer {why}"));
    let token = reply.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
    let token = AuthToken::new(token.ok_or_else(|| unusable("has no X-Subject-Token"))?)
        .map_err(|why| unusable(&format!("cannot be used: {why}")))?;
    let answer: Answer =
        serde_json::from_slice(&reply.body).map_err(|_| unusable("does not say when the token expires"))?;
    let expiry = temporary::expiry(&answer.token.expires_at, reply.now(), reply.skew())?;
    Ok(Obtained { identity: Identity::Token(token), expiry: Some(expiry), whole: true, skew: reply.skew() })
}
