//! Temporary credentials as the metadata service, pod identity and IAM write them. Pure; its errors never quote them.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::ask::Reply;
use super::source::{Expiry, Obtained, SourceError};
use super::{Credentials, Identity};

#[derive(Deserialize)]
struct Wrapped {
    #[serde(alias = "credentials")]
    credential: Keys,
}

/// All spellings that Huawei Cloud's SDKs take (`auth/internal.py` of the one for Python, `_process_credential`) and those
/// of the guide to CCE's pod identity (`cce_10_1110`).
#[derive(Deserialize)]
struct Keys {
    #[serde(alias = "accessKeyId", alias = "access_key_id")]
    access: Zeroizing<String>,
    #[serde(alias = "secretAccessKey", alias = "secret_access_key")]
    secret: Zeroizing<String>,
    #[serde(alias = "securityToken", alias = "security_token")]
    securitytoken: Option<Zeroizing<String>>,
    #[serde(alias = "expiration")]
    expires_at: String,
}

pub(super) fn read(reply: &Reply) -> Result<Obtained, SourceError> {
    // The text of a JSON error may quote a value.
    let shape = |_| SourceError::Unavailable("the answer is not the JSON of temporary credentials".to_owned());
    let keys = match serde_json::from_slice::<Wrapped>(&reply.body) {
        Ok(wrapped) => wrapped.credential,
        Err(_) => serde_json::from_slice::<Keys>(&reply.body).map_err(shape)?,
    };
    let token = keys.securitytoken.as_ref().map(|token| token.as_str());
    let credentials = Credentials::new(&keys.access, &keys.secret, token)
        .map_err(|why| SourceError::Unavailable(format!("the answer cannot be used: {why}")))?;
    Ok(Obtained {
        identity: Identity::Keys(credentials),
        expiry: Some(expiry(&keys.expires_at, reply.now(), reply.skew())?),
        whole: true,
        skew: reply.skew(),
    })
}

/// `now` is the source's own clock where it tells the time, so that ours may be off.
pub(super) fn expiry(text: &str, now: SystemTime, skew: Option<String>) -> Result<Expiry, SourceError> {
    let skew = skew.map(|skew| format!("; {skew}")).unwrap_or_default();
    let unread = |_| SourceError::Unavailable("the answer does not say in RFC 3339 when it expires".to_owned());
    let at = humantime::parse_rfc3339(text.trim()).map_err(unread)?;
    match at.duration_since(now) {
        Ok(left) if left > Duration::ZERO => Ok(Expiry { at, left }),
        _ => {
            let when = humantime::format_rfc3339_seconds(at);
            Err(SourceError::Unavailable(format!("the answer expired at {when} already{skew}")))
        }
    }
}
