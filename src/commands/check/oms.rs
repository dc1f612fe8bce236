//! The checks of OMS in their order. Signs nothing any more once a signature was refused: one failed signature is all
//! that wrong credentials cost.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::answers;
use super::deadline::Deadline;
use super::finding::Finding;
use super::routes;
use super::tasks::{self, check_of};
use crate::config::{Config, Route};
use crate::oms::client::OmsClient;
use crate::oms::tasks::{Task, TaskList};
use crate::pipeline::answer::{Answer, HoldReason, Pressure, Verdict};
use crate::pipeline::key::TaskId;
use crate::worker;

/// Tasks that are asked for one by one; an account has five by default.
const MAX_TASKS: usize = 100;
/// Longest wait for a source of credentials.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for one answer, if `oms.request_timeout` is not shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How often OMS is asked that throttles; nobody judges a signature then.
const ATTEMPTS: usize = 3;
/// Pause before asking again, if OMS does not say how long.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const CREDENTIALS: &str = "credentials";
const SIGNATURE: &str = "signed request";
const CLOCK: &str = "clock";
const NO_TIME: &str = "the time was up: allow more with --timeout";

/// Looks at credentials, endpoint, clock and tasks.
pub(super) async fn look(config: &Config, deadline: Deadline) -> Vec<Finding> {
    let untried = |why: &str| untried(config, why);
    let (client, credentials) = match client(config, deadline).await {
        Ok(found) => found,
        Err(finding) => {
            let why = "there are no credentials";
            let first = [finding, Finding::not_tried(SIGNATURE, why), Finding::not_tried(CLOCK, why)];
            return first.into_iter().chain(untried(why)).collect();
        }
    };
    let mut clocks = None;
    let listed = list(&client, &mut clocks, deadline).await;
    let signature = match &listed {
        Ok(_) => Finding::ok(SIGNATURE, "accepted: OMS told the project's tasks"),
        Err(answer) => answers::failure(SIGNATURE, answer, "oms:synctask:list"),
    };
    let mut findings = vec![credentials, signature, answers::clock(CLOCK, clocks)];
    let all = match listed {
        Ok(all) => {
            findings.push(tasks::project(&all.tasks, &config.oms.project_id));
            if all.tasks.is_empty() {
                findings.extend(untried("the project has no tasks"));
                return findings;
            }
            all
        }
        // A right that is missing says that the signature is right: tasks can be asked for.
        Err(answer) if answer.verdict == Verdict::Hold(HoldReason::Permission) && config.discovery.is_none() => {
            TaskList { tasks: Vec::new(), is_whole: true }
        }
        Err(_) => {
            findings.extend(untried(&format!("see {SIGNATURE}")));
            return findings;
        }
    };
    let routes: Cow<'_, [Route]> = match worker::discovery(config) {
        Some(discovery) => {
            let (found, more) = routes::discovered(&all, &discovery.prefixes);
            findings.extend(more);
            found.into()
        }
        None => Cow::Borrowed(&config.routes),
    };
    findings.extend(each(&client, config, &routed(&routes), &all.tasks, deadline).await);
    match &config.discovery {
        Some(_) => {}
        None if routes.is_empty() => findings.push(tasks::no_routes(&all.tasks)),
        None => findings.extend(tasks::unrouted(&all.tasks, &routes)),
    }
    findings
}

/// What depends on the tasks and cannot be looked at.
fn untried(config: &Config, why: &str) -> Vec<Finding> {
    let discovered = config.discovery.iter().map(|_| routes::CHECK.to_owned());
    let named = routed(&config.routes).into_keys().map(|id| check_of(id.as_str()));
    discovered.chain(named).map(|check| Finding::not_tried(check, why)).collect()
}

/// The routes by their task.
fn routed(routes: &[Route]) -> BTreeMap<&TaskId, Vec<&Route>> {
    let mut by_task = BTreeMap::<_, Vec<_>>::new();
    for route in routes {
        by_task.entry(&route.task).or_default().push(route);
    }
    by_task
}

/// The credentials, and a client that signs with them.
async fn client(config: &Config, deadline: Deadline) -> Result<(OmsClient, Finding), Finding> {
    let failed = |why: String, remedy: &str| Finding::failed(CREDENTIALS, why, remedy);
    let by_name = "put right what the message names";
    let mut settings = worker::oms(config).map_err(|error| failed(error.to_string(), by_name))?;
    let sources = worker::credentials::sources(config, settings.ca_pem.as_deref());
    let mut sources = sources.map_err(|error| failed(error.to_string(), by_name))?;
    let time = deadline.left().min(CREDENTIALS_TIMEOUT);
    let obtained = match tokio::time::timeout(time, sources.obtain()).await {
        Ok(Ok(obtained)) => obtained,
        Ok(Err(error)) => {
            let remedy =
                "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or set up the source that oms.credentials.source names";
            return Err(failed(error.to_string(), remedy));
        }
        Err(_) => {
            return Err(failed(
                "the source did not answer in time".to_owned(),
                "see whether it can be reached from here",
            ));
        }
    };
    let source = sources.taken().map_or("unknown", crate::oms::credentials::source::Source::name);
    let until = obtained.expiry.map(|end| format!(", until {}", humantime::format_rfc3339_seconds(end.at)));
    let finding = Finding::ok(CREDENTIALS, format!("source {source}{}", until.unwrap_or_default()));
    settings.credentials = Some(obtained.identity);
    settings.request_timeout = settings.request_timeout.min(ANSWER_TIMEOUT);
    let client = OmsClient::new(settings).map_err(|error| failed(error.to_string(), by_name))?;
    Ok((client, finding))
}

/// The project's tasks; asked for again only while OMS throttles.
async fn list(
    client: &OmsClient,
    clocks: &mut Option<crate::oms::clock::Clocks>,
    deadline: Deadline,
) -> Result<TaskList, Box<Answer>> {
    let mut attempt = 1;
    loop {
        let listed = client.list_tasks_and_clocks(clocks).await;
        match &listed {
            Err(answer) if answer.verdict == Verdict::Busy(Pressure::Throttled) && attempt < ATTEMPTS => {
                let pause = answer.retry_after.unwrap_or(PAUSE).min(LONGEST_PAUSE);
                if deadline.left() < pause {
                    return listed;
                }
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
            _ => return listed,
        }
    }
}

/// Each routed task by itself: the answer tells more than the list, and the worker needs the right to ask so.
async fn each(
    client: &OmsClient,
    config: &Config,
    routed: &BTreeMap<&TaskId, Vec<&Route>>,
    all: &[Task],
    deadline: Deadline,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stopped = None;
    for (at, (id, routes)) in routed.iter().enumerate() {
        let check = check_of(id.as_str());
        let why = if deadline.is_over() { Some(NO_TIME.to_owned()) } else { stopped.clone() };
        let why = why.or_else(|| (at >= MAX_TASKS).then(|| format!("no more than {MAX_TASKS} are asked for")));
        if let Some(why) = why {
            findings.push(Finding::not_tried(check, why));
            continue;
        }
        let shown = client.show_task(id).await;
        if let Err(answer) = &shown
            && answer.verdict == Verdict::Hold(HoldReason::Credentials)
        {
            stopped = Some(format!("a signature was refused, see {check}"));
        }
        findings.push(tasks::task(id.as_str(), routes, &shown, all, config.stopped_tasks));
    }
    findings
}
