//! The rules of the section `oms`: endpoint, project, credentials. What this build cannot do yet is refused, not ignored.

use reqwest::Url;

use super::{credentials, id, is_id, required, verdict_codes};
use crate::config::document;
use crate::config::problem::Findings;
use crate::config::settings::Oms;

/// Regions known to have synchronization tasks. Source: the API page of `CreateSyncEvents`.
const KNOWN_REGIONS: [&str; 3] = ["cn-north-4", "cn-east-3", "cn-southwest-2"];

pub(super) fn check(mut oms: document::Oms, findings: &mut Findings) -> Option<Oms> {
    let endpoint = check_endpoint(&oms, findings);
    let project_id = id("oms.project_id", oms.project_id.as_deref(), "the id of the project", findings);
    let project_id = project_id.map(str::to_owned);
    let iam = oms.region.as_deref().map(str::trim).filter(|region| is_id(region));
    let iam = iam.map(|region| format!("https://iam.{region}.myhuaweicloud.com"));
    let credentials = credentials::check(std::mem::take(&mut oms.credentials), iam, findings);
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
    base_url("oms.endpoint", written, EXAMPLE, findings)
}

/// A URL to which paths can be added, without a slash at its end.
pub(super) fn base_url(path: &str, written: &str, example: &str, findings: &mut Findings) -> Option<String> {
    let wrong = match Url::parse(written) {
        Err(why) => format!("not a URL: {why}"),
        Ok(url) if !["http", "https"].contains(&url.scheme()) => "neither http nor https".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "holds a user or a password".to_owned(),
        Ok(url) if url.query().is_some() => "holds a query".to_owned(),
        Ok(url) if url.fragment().is_some() => "holds a fragment".to_owned(),
        Ok(url) => return Some(url.as_str().trim_end_matches('/').to_owned()),
    };
    findings.add(path, &wrong, example);
    None
}
