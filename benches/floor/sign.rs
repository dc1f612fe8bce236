//! SDK-HMAC-SHA256 with all kept that does not change: the keyed HMAC, and for each task and second the hash of what
//! stands before the body's own.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Url;
use reqwest::header::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::cost::Cost;
use super::work::Event;
use super::{Args, Route, work};

pub(super) struct Signer {
    mac: Hmac<Sha256>,
    prefix: String,
    /// Canonical request up to the date, a task each.
    before_date: Vec<String>,
    kept: RefCell<Kept>,
}

/// What holds for a second.
struct Kept {
    second: u64,
    date: HeaderValue,
    date_text: String,
    /// Hash states before the body's hash, a task each.
    states: Vec<Sha256>,
}

const NAMES: &str = "host;x-project-id;x-sdk-date";

impl Signer {
    pub(super) fn new(args: &Args, routes: &[Route]) -> anyhow::Result<Self> {
        let url = Url::parse(&args.endpoint)?;
        let host = url.host_str().context("--endpoint has no host")?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let project = &args.project_id;
        let canonical = |route: &Route| {
            let path = format!("/v2/{project}/sync-tasks/{}/events/", route.task);
            format!("POST\n{path}\n\nhost:{host}\nx-project-id:{project}\nx-sdk-date:")
        };
        Ok(Self {
            mac: Hmac::new_from_slice(args.secret_key.as_bytes())?,
            prefix: format!("SDK-HMAC-SHA256 Access={}, SignedHeaders={NAMES}, Signature=", args.access_key),
            before_date: routes.iter().map(canonical).collect(),
            kept: RefCell::new(Kept {
                second: 0,
                date: HeaderValue::from_static(""),
                date_text: String::new(),
                states: Vec::new(),
            }),
        })
    }

    /// `X-Sdk-Date` and `Authorization`.
    #[expect(clippy::disallowed_methods, reason = "a signature has the time in it")]
    pub(super) fn sign(&self, event: &Event) -> anyhow::Result<(HeaderValue, HeaderValue)> {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH)?.as_secs();
        let mut kept = self.kept.borrow_mut();
        if kept.second != second {
            *kept = self.keep(second, now)?;
        }
        let mut digits = [0; 64];
        hex::encode_to_slice(Sha256::digest(&event.body), &mut digits)?;
        let mut hash = kept.states[event.task].clone();
        hash.update(digits);
        hex::encode_to_slice(hash.finalize(), &mut digits)?;
        let mut mac = self.mac.clone();
        for part in [b"SDK-HMAC-SHA256\n", kept.date_text.as_bytes(), b"\n", &digits] {
            mac.update(part);
        }
        hex::encode_to_slice(mac.finalize().into_bytes(), &mut digits)?;
        let mut text = Vec::with_capacity(self.prefix.len() + digits.len());
        text.extend_from_slice(self.prefix.as_bytes());
        text.extend_from_slice(&digits);
        Ok((kept.date.clone(), HeaderValue::from_maybe_shared(bytes::Bytes::from(text))?))
    }

    fn keep(&self, second: u64, now: SystemTime) -> anyhow::Result<Kept> {
        let date_text = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
        let state = |before: &String| Sha256::new_with_prefix(format!("{before}{date_text}\n\n{NAMES}\n"));
        let states = self.before_date.iter().map(state).collect();
        Ok(Kept { second, date: HeaderValue::from_str(&date_text)?, date_text, states })
    }
}

/// `sign` alone.
pub(super) fn alone(args: &Args, routes: &[Route]) -> anyhow::Result<Cost> {
    let events = work::sample(args, routes)?;
    let signer = Signer::new(args, routes)?;
    let mut failed = None;
    let cost = Cost::of_repeating(|| {
        for event in &events {
            if let Err(error) = signer.sign(std::hint::black_box(event)) {
                failed = Some(error);
            }
        }
        (events.iter().map(|event| event.keys).sum(), events.len())
    });
    failed.map_or(Ok(cost), Err)
}
