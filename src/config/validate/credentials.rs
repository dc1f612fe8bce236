//! The rules of the section `oms.credentials`: what the chosen source needs must be there, and nothing is half written.

use super::oms::base_url;
use super::required;
use crate::config::document::{self, CredentialSource, User};
use crate::config::problem::Findings;
use crate::config::secret::Secret;
use crate::config::settings::{AccessKeys, Credentials, IamUser};

/// IAM where no region is known. Source: the SDK for Python.
const IAM_ENDPOINT: &str = "https://iam.myhuaweicloud.com";

/// `regional_iam` is the IAM of the region, where that is known.
pub(super) fn check(
    written: document::Credentials,
    regional_iam: Option<String>,
    findings: &mut Findings,
) -> Option<Credentials> {
    let keys = check_keys(written.source, written.access_key, written.secret_key, written.security_token, findings);
    let token = written.source == CredentialSource::Token;
    let user = if token || written.user != User::default() { check_user(&written.user, findings) } else { None };
    let pod_identity = match (written.pod_identity_url, written.pod_identity_token_file) {
        (Some(url), Some(file)) => {
            let example = "write the URL that CCE gave in HC_CONTAINER_CREDENTIALS_FULL_URI";
            base_url("oms.credentials.pod_identity_url", &url, example, findings).map(|url| (url, file))
        }
        (None, None) => None,
        (None, _) => missing("oms.credentials.pod_identity_url", "write it, or leave out the token file", findings),
        (_, None) => missing("oms.credentials.pod_identity_token_file", "write it, or leave out the URL", findings),
    };
    if written.source == CredentialSource::Profile && written.profile_file.is_none() {
        missing::<()>("oms.credentials.profile_file", "write it, or set HUAWEICLOUD_SDK_CREDENTIALS_FILE", findings);
    }
    if written.source == CredentialSource::Cce && pod_identity.is_none() {
        let instead = "set HC_CONTAINER_CREDENTIALS_FULL_URI and HC_CONTAINER_AUTHORIZATION_TOKEN_FILE, as CCE does";
        missing::<()>("oms.credentials.pod_identity_url", instead, findings);
    }
    let metadata = "write http://169.254.169.254";
    let metadata_endpoint =
        base_url("oms.credentials.metadata_endpoint", &written.metadata_endpoint, metadata, findings);
    let iam = written.iam_endpoint.or(regional_iam).unwrap_or_else(|| IAM_ENDPOINT.to_owned());
    let iam_endpoint = base_url("oms.credentials.iam_endpoint", &iam, "write https://iam.myhuaweicloud.com", findings);
    Some(Credentials {
        source: written.source,
        keys,
        directory: written.directory,
        profile_file: written.profile_file,
        metadata_endpoint: metadata_endpoint?,
        pod_identity,
        iam_endpoint: iam_endpoint?,
        user,
    })
}

/// An access key and a secret key, or neither; both for the source `static`.
fn check_keys(
    source: CredentialSource,
    access_key: Option<Secret>,
    secret_key: Option<Secret>,
    security_token: Option<Secret>,
    findings: &mut Findings,
) -> Option<AccessKeys> {
    let used = matches!(source, CredentialSource::Auto | CredentialSource::Static);
    let given = [&access_key, &secret_key].iter().any(|key| key.as_ref().is_some_and(|it| !it.expose().is_empty()));
    if !used || (source == CredentialSource::Auto && !given) {
        return None;
    }
    let instead = |names: &str| format!("write it, or set {names}");
    let access = instead("HUAWEICLOUD_SDK_AK or CLOUD_SDK_AK");
    let access_key = credential("oms.credentials.access_key", access_key, Some(&access), findings);
    let secret = instead("HUAWEICLOUD_SDK_SK or CLOUD_SDK_SK");
    let secret_key = credential("oms.credentials.secret_key", secret_key, Some(&secret), findings);
    let security_token = credential("oms.credentials.security_token", security_token, None, findings);
    Some(AccessKeys { access_key: access_key?, secret_key: secret_key?, security_token })
}

fn check_user(user: &User, findings: &mut Findings) -> Option<IamUser> {
    let part = |name: &str, text: Option<&str>, findings: &mut Findings| {
        let path = format!("oms.credentials.user.{name}");
        required(&path, text, "write what the IAM user logs in with", findings).map(str::to_owned)
    };
    let domain = part("domain", user.domain.as_deref(), findings);
    let name = part("name", user.name.as_deref(), findings);
    let password = user.password.clone().filter(|password| !password.expose().is_empty());
    if password.is_none() {
        missing::<()>("oms.credentials.user.password", "write what the IAM user logs in with", findings);
    }
    Some(IamUser { domain: domain?, name: name?, password: password? })
}

fn missing<T>(path: &str, instead: &str, findings: &mut Findings) -> Option<T> {
    findings.add(path, "missing", instead);
    None
}

fn credential(path: &str, written: Option<Secret>, instead: Option<&str>, findings: &mut Findings) -> Option<Secret> {
    let found = written.filter(|secret| !secret.expose().is_empty());
    let Some(secret) = found else {
        return instead.and_then(|instead| missing(path, instead, findings));
    };
    if secret.expose().chars().all(|c| c.is_ascii_graphic()) {
        return Some(secret);
    }
    findings.add(path, "holds a blank, a control character or a letter outside ASCII", "write it as it was given out");
    None
}
