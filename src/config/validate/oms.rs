//! The rules of the section `oms`: endpoint, project, credentials. What this build cannot do yet is refused, not ignored.

use reqwest::Url;

use super::{id, is_id, required, verdict_codes};
use crate::config::document::{self, CredentialSource, User};
use crate::config::problem::Findings;
use crate::config::secret::Secret;
use crate::config::settings::{Credentials, Oms};

/// Regions known to have synchronization tasks. Source: the API page of `CreateSyncEvents`.
const KNOWN_REGIONS: [&str; 3] = ["cn-north-4", "cn-east-3", "cn-southwest-2"];

pub(super) fn check(mut oms: document::Oms, findings: &mut Findings) -> Option<Oms> {
    let endpoint = check_endpoint(&oms, findings);
    let project_id = id("oms.project_id", oms.project_id.as_deref(), "the id of the project", findings);
    let project_id = project_id.map(str::to_owned);
    let credentials = check_credentials(std::mem::take(&mut oms.credentials), findings);
    if oms.max_requests_per_second.is_some_and(|rate| !(1e-3..=1e6).contains(&rate)) {
        findings.add("oms.max_requests_per_second", "out of range", "write 0.001 to 1000000, or null");
    }
    verdict_codes::check(&oms.verdict_codes, findings);
    Some(Oms {
        endpoint: endpoint?,
        project_id: project_id?,
        credentials: credentials?,
        ca_file: oms.ca_file,
        connect_timeout: oms.connect_timeout,
        request_timeout: oms.request_timeout,
        max_in_flight: oms.max_in_flight,
        max_in_flight_per_task: oms.max_in_flight_per_task.min(oms.max_in_flight),
        max_requests_per_second: oms.max_requests_per_second,
        key_encoding: oms.key_encoding,
        hold_probe_interval: oms.hold_probe_interval,
        verdict_codes: oms.verdict_codes,
    })
}

/// A warning where the region is in use and not a known one.
pub(in crate::config) fn region_warning(oms: &document::Oms) -> Option<String> {
    let region = oms.region.as_deref().filter(|_| oms.endpoint.is_none())?.trim();
    let known = KNOWN_REGIONS.join(", ");
    (!KNOWN_REGIONS.contains(&region))
        .then(|| format!("oms.region: {region} is not known to have synchronization tasks; known are {known}"))
}

/// The endpoint that follows from the region, where none is written.
pub(in crate::config) fn derived_endpoint(oms: &document::Oms) -> Option<String> {
    let region = oms.region.as_deref().filter(|_| oms.endpoint.is_none())?.trim();
    is_id(region).then(|| format!("https://oms.{region}.myhuaweicloud.com"))
}

fn check_endpoint(oms: &document::Oms, findings: &mut Findings) -> Option<String> {
    const EXAMPLE: &str = "write for example https://oms.cn-north-4.myhuaweicloud.com";
    if oms.endpoint.is_none() && oms.region.is_some() {
        let derived = derived_endpoint(oms);
        if derived.is_none() {
            findings.add("oms.region", "not the name of a region", "write for example cn-north-4");
        }
        return derived;
    }
    let written = required("oms.endpoint", oms.endpoint.as_deref(), "write oms.region or oms.endpoint", findings)?;
    let wrong = match Url::parse(written) {
        Err(why) => format!("not a URL: {why}"),
        Ok(url) if !["http", "https"].contains(&url.scheme()) => "neither http nor https".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "holds a user or a password".to_owned(),
        Ok(url) if url.query().is_some() => "holds a query".to_owned(),
        Ok(url) if url.fragment().is_some() => "holds a fragment".to_owned(),
        Ok(url) => return Some(url.as_str().trim_end_matches('/').to_owned()),
    };
    findings.add("oms.endpoint", &wrong, EXAMPLE);
    None
}

fn check_credentials(written: document::Credentials, findings: &mut Findings) -> Option<Credentials> {
    if !matches!(written.source, CredentialSource::Auto | CredentialSource::Static) {
        findings.add("oms.credentials.source", "not available yet: this source", "write auto or static");
    }
    if written.directory.is_some() {
        findings.add("oms.credentials.directory", "not available yet: credentials from files", "take it out");
    }
    if written.user != User::default() {
        findings.add("oms.credentials.user", "not available yet: credentials of an IAM user", "take it out");
    }
    let missing = |names: &str| format!("write it, or set {names}");
    let access = missing("HUAWEICLOUD_SDK_AK or CLOUD_SDK_AK");
    let access_key = credential("oms.credentials.access_key", written.access_key, Some(&access), findings);
    let secret = missing("HUAWEICLOUD_SDK_SK or CLOUD_SDK_SK");
    let secret_key = credential("oms.credentials.secret_key", written.secret_key, Some(&secret), findings);
    let security_token = credential("oms.credentials.security_token", written.security_token, None, findings);
    Some(Credentials { access_key: access_key?, secret_key: secret_key?, security_token })
}

fn credential(path: &str, written: Option<Secret>, missing: Option<&str>, findings: &mut Findings) -> Option<Secret> {
    let found = written.filter(|secret| !secret.expose().is_empty());
    let Some(secret) = found else {
        if let Some(instead) = missing {
            findings.add(path, "missing", instead);
        }
        return None;
    };
    if secret.expose().chars().all(|c| c.is_ascii_graphic()) {
        return Some(secret);
    }
    findings.add(path, "holds a blank, a control character or a letter outside ASCII", "write it as it was given out");
    None
}
