//! One request to one answer: quota and faults first, then the signature, then what OMS checks, then the ledger.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use super::answer::{self, Body, Broken};
use super::conditions::About;
use super::event::Event;
use super::faults::{Failure, Faults, Rule};
use super::tasks::{TaskStatus, no_tasks};
use super::{Shared, signature};

/// Largest body that the gateway takes with a signature. Source: OMS's page on authentication.
const MAX_BODY_BYTES: usize = 12 * 1024 * 1024;
/// Bounds of `ListSyncTasks`. Source: its API page.
const MAX_LIMIT: usize = 100;
const DEFAULT_LIMIT: usize = 10;
const MAX_OFFSET: usize = 10_000;

/// What a path asks for, in which project.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Target<'a> {
    project: &'a str,
    call: Call<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call<'a> {
    Submit(&'a str),
    Show(&'a str),
    List,
}

/// How a request ends.
enum Outcome {
    Answer(Response<Body>),
    Failure(Failure),
}

/// Answers a request; `Err` resets the connection.
#[expect(clippy::disallowed_methods, reason = "a server: quotas, signatures and the ledger need the time")]
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (arrival, now) = (SystemTime::now(), Instant::now());
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if let Some(control_path) = path.strip_prefix("/_simulator/") {
        return Ok(control(shared, &parts.method, control_path, body).await);
    }
    let target = target(path);
    let early = before(shared, target, now);
    let outcome = match (early, read(body).await) {
        (None, Ok(body)) => process(shared, &parts, target, &body, (arrival, now)),
        (None, Err(answer)) => Outcome::Answer(answer),
        (Some(Outcome::Failure(failure)), Ok(body)) if failure.comes_after() => {
            process(shared, &parts, target, &body, (arrival, now));
            Outcome::Failure(failure)
        }
        (Some(outcome), _) => outcome,
    };
    deliver(shared, outcome).await
}

/// The quota and the faults that do not look into the request.
fn before(shared: &Shared, target: Option<Target<'_>>, now: Instant) -> Option<Outcome> {
    let mut state = shared.state();
    state.ledger.totals.requests += 1;
    match state.conditions.admit(now) {
        Err(retry_after) => Some(Outcome::Answer(answer::throttled(retry_after))),
        Ok(()) => state.conditions.fault(about(target), now).map(|rule| outcome_of(&rule)),
    }
}

fn outcome_of(rule: &Rule) -> Outcome {
    match (rule.failure, rule.status) {
        (Some(failure), _) => Outcome::Failure(failure),
        (None, status) => Outcome::Answer(answer::of_rule(rule, status.unwrap_or(500))),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Response<Body>> {
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|_| answer::error(413, "APIGW.0201", "the body is too large or not complete"))
}

fn process(
    shared: &Shared,
    parts: &Parts,
    target: Option<Target<'_>>,
    body: &Bytes,
    (arrival, now): (SystemTime, Instant),
) -> Outcome {
    let gatekeeper = shared.state().gatekeeper.clone();
    if let Some(keys) = gatekeeper.keys()
        && let Err(why) = signature::check(parts, body, keys, gatekeeper.clock(arrival))
    {
        shared.state().ledger.totals.failed_signatures += 1;
        let message = format!("Incorrect IAM authentication information: {why}");
        return Outcome::Answer(answer::error(401, "APIGW.0301", &message));
    }
    let Some(target) = target else {
        return Outcome::Answer(answer::error(404, "APIGW.0101", "The API does not exist or has not been published"));
    };
    let own = target.project == shared.project_id;
    match (&parts.method, target.call) {
        (&Method::POST, Call::Submit(task)) => submit(shared, own, task, body, (arrival, now)),
        (&Method::GET, Call::Show(task)) => Outcome::Answer(show(shared, own, task, parts)),
        (&Method::GET, Call::List) => Outcome::Answer(list(shared, own, parts)),
        _ => Outcome::Answer(answer::error(405, "APIGW.0501", "The method is not supported")),
    }
}

/// `CreateSyncEvents`.
fn submit(shared: &Shared, own: bool, task: &str, body: &[u8], (arrival, now): (SystemTime, Instant)) -> Outcome {
    let event = Event::read(body);
    let mut state = shared.state();
    let status = if own { state.tasks.status(task) } else { None };
    let event = match (status, event) {
        (None, _) => return Outcome::Answer(unknown_task()),
        (Some(_), Err((code, why))) => return Outcome::Answer(answer::error(400, code, &why)),
        (Some(TaskStatus::Stopped), Ok(_)) => {
            return Outcome::Answer(answer::error(400, "OMS.0066", "The task is not running"));
        }
        (Some(TaskStatus::Synchronizing), Ok(event)) => event,
    };
    let keys = event.keys();
    let fault = state.conditions.fault_of_keys(About { task: Some(task), event: true }, &keys, now);
    let fault = fault.map(|rule| outcome_of(&rule));
    if fault.as_ref().is_none_or(|fault| matches!(fault, Outcome::Failure(failure) if failure.comes_after())) {
        let since = arrival.duration_since(UNIX_EPOCH).unwrap_or_default();
        let arrival_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        if let Some(journal) = &mut state.journal {
            journal.write(arrival_ms, task, &keys);
        }
        state.ledger.record(task, &keys, arrival_ms);
    }
    fault.unwrap_or_else(|| Outcome::Answer(answer::empty()))
}

/// `ShowSyncTask`.
fn show(shared: &Shared, own: bool, task: &str, parts: &Parts) -> Response<Body> {
    let digits = |time: &str| !time.is_empty() && time.bytes().all(|b| b.is_ascii_digit());
    if !parameter(parts, "query_time").is_some_and(digits) {
        return answer::error(400, "OMS.0001", "query_time is missing or not a number of milliseconds");
    }
    let state = shared.state();
    let shown = state.tasks.show(task, state.ledger.accepted_keys(task)).filter(|_| own);
    shown.map_or_else(unknown_task, |task| answer::ok(&task))
}

/// `ListSyncTasks`.
fn list(shared: &Shared, own: bool, parts: &Parts) -> Response<Body> {
    let number = |name, default: usize| parameter(parts, name).map_or(Ok(default), str::parse);
    let status = match parameter(parts, "status") {
        None => Ok(None),
        Some("SYNCHRONIZING") => Ok(Some(TaskStatus::Synchronizing)),
        Some("STOPPED") => Ok(Some(TaskStatus::Stopped)),
        Some(_) => Err(()),
    };
    match (number("limit", DEFAULT_LIMIT), number("offset", 0), status) {
        (Ok(limit @ 1..=MAX_LIMIT), Ok(offset @ 0..=MAX_OFFSET), Ok(status)) if own => {
            answer::ok(&shared.state().tasks.list(status, offset, limit))
        }
        (Ok(1..=MAX_LIMIT), Ok(0..=MAX_OFFSET), Ok(_)) => answer::ok(&no_tasks()),
        _ => answer::error(400, "OMS.0001", "limit, offset or status is not valid"),
    }
}

fn unknown_task() -> Response<Body> {
    answer::error(404, "OMS.1009", "The task does not exist")
}

fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn target(path: &str) -> Option<Target<'_>> {
    let parts: Vec<_> = path.strip_prefix("/v2/")?.split('/').collect();
    let (project, call) = match parts[..] {
        [project, "sync-tasks"] => (project, Call::List),
        [project, "sync-tasks", task] => (project, Call::Show(task)),
        [project, "sync-tasks", task, "events"] => (project, Call::Submit(task)),
        _ => return None,
    };
    Some(Target { project, call })
}

fn about(target: Option<Target<'_>>) -> About<'_> {
    match target.map(|target| target.call) {
        Some(Call::Submit(task)) => About { task: Some(task), event: true },
        Some(Call::Show(task)) => About { task: Some(task), event: false },
        Some(Call::List) | None => About { task: None, event: false },
    }
}

/// Waits out the latency, counts the answer and lets it go, or does not.
async fn deliver(shared: &Shared, outcome: Outcome) -> Result<Response<Body>, Broken> {
    let delay = shared.state().conditions.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match outcome {
        Outcome::Failure(Failure::ResetBefore | Failure::ResetAfter) => Err(Broken),
        Outcome::Failure(Failure::Hang | Failure::HangAfter) => std::future::pending().await,
        Outcome::Failure(Failure::ResetDuring) => Ok(answer::broken()),
        Outcome::Failure(Failure::Drip) => Ok(answer::dripping()),
        Outcome::Answer(mut answer) => {
            let mut state = shared.state();
            let clock = state.gatekeeper.clock(now());
            let totals = &mut state.ledger.totals;
            *totals.answers.entry(answer.status().as_u16()).or_default() += 1;
            let headers =
                [("x-request-id", format!("{:032x}", totals.requests)), ("date", httpdate::fmt_http_date(clock))];
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::try_from(value)
                    && !answer.headers().contains_key(name)
                {
                    answer.headers_mut().insert(name, value);
                }
            }
            Ok(answer)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server: its answers tell the time")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The simulator's own paths.
async fn control(shared: &Arc<Shared>, method: &Method, path: &str, body: Incoming) -> Response<Body> {
    match (method, path, read(body).await) {
        (_, _, Err(refused)) => refused,
        (&Method::GET, "totals", Ok(_)) => answer::ok(&shared.state().ledger.totals),
        (&Method::GET, "ledger", Ok(_)) => ledger(Arc::clone(shared)).await,
        (&Method::POST, "faults", Ok(json)) => match Faults::from_json(&json) {
            Ok(faults) => {
                shared.set_faults(faults);
                answer::empty()
            }
            Err(error) => answer::error(400, "SIMULATOR", &error.to_string()),
        },
        _ => answer::error(
            404,
            "SIMULATOR",
            "there is GET /_simulator/ledger, GET /_simulator/totals and POST /_simulator/faults",
        ),
    }
}

/// A million keys make some 200 MB and take a second: written from a copy, on another thread.
async fn ledger(shared: Arc<Shared>) -> Response<Body> {
    let written = tokio::task::spawn_blocking(move || {
        let ledger = shared.state().ledger.clone();
        answer::ok(&ledger)
    });
    written.await.unwrap_or_else(|error| answer::error(500, "SIMULATOR", &error.to_string()))
}
