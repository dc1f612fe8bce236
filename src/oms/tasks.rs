//! What OMS tells of the project's tasks: `ShowSyncTask` and `ListSyncTasks`. One attempt a call; decides nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::client::OmsClient;
use super::clock::Clocks;
use super::error_body::bounded;
use super::verdict::MAX_MESSAGE_BYTES;
use crate::pipeline::answer::{Answer, HoldReason, Status, Verdict};
use crate::pipeline::inquiry::Standing;
use crate::pipeline::key::TaskId;

/// Tasks a page: small, so that a page fits into the bound of an answer's body.
const PAGE: usize = 20;
/// Highest offset of `ListSyncTasks`. Source: its API page.
const MAX_OFFSET: usize = 10_000;

/// A task as OMS describes it; other members are ignored.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Task {
    /// Its id, as OMS wrote it.
    pub sync_task_id: String,
    /// Source bucket.
    #[serde(default)]
    pub src_bucket: Option<String>,
    /// Whether it takes events.
    #[serde(default)]
    pub status: TaskState,
    /// What happens to objects that are there already; `NO_OVERWRITE` loses updates.
    #[serde(default)]
    pub object_overwrite_mode: Option<String>,
}

/// State of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskState {
    /// Takes events.
    Synchronizing,
    /// Stopped by someone: its changes wait.
    Stopped,
    /// A text that the API page does not list.
    #[default]
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Page {
    tasks: Vec<Task>,
}

impl OmsClient {
    /// One task. `Err` tells what the answer means, as for an event: `UnknownTask` for a task that is not there.
    #[expect(clippy::disallowed_methods, reason = "a shell: OMS wants the month that its counters are for")]
    pub async fn show_task(&self, task: &TaskId) -> Result<Task, Box<Answer>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let query = format!("query_time={}", now.as_millis());
        parse(&self.query(&format!("/{}", task.as_str()), &query).await.0?)
    }

    /// How a task stands: the last question before keys of it are dead-lettered. For a task that is not there the
    /// project's tasks are asked for too: a project without any looks like the wrong one.
    pub async fn standing(&self, task: &TaskId) -> Standing {
        match self.show_task(task).await {
            Ok(Task { status: TaskState::Stopped, .. }) => Standing::Stopped,
            Ok(_) => Standing::Active,
            Err(answer) if answer.verdict == Verdict::UnknownTask => match self.list_tasks().await {
                Ok(tasks) if tasks.is_empty() => Standing::EmptyProject,
                _ => Standing::Missing,
            },
            Err(answer) => Standing::Unknown(*answer),
        }
    }

    /// All tasks of the project, page by page; tasks beyond offset 10,000 cannot be asked for.
    pub async fn list_tasks(&self) -> Result<Vec<Task>, Box<Answer>> {
        self.list_tasks_and_clocks(&mut None).await
    }

    /// The same. `clocks` is set to what the clocks showed at the latest answer that told the time, whatever it was.
    pub async fn list_tasks_and_clocks(&self, clocks: &mut Option<Clocks>) -> Result<Vec<Task>, Box<Answer>> {
        let mut all = Vec::new();
        for offset in (0..=MAX_OFFSET).step_by(PAGE) {
            let (body, showed) = self.query("", &format!("limit={PAGE}&offset={offset}")).await;
            *clocks = showed.or(*clocks);
            let page: Page = parse(&body?)?;
            let last = page.tasks.len() < PAGE;
            all.extend(page.tasks);
            if last {
                break;
            }
        }
        Ok(all)
    }
}

/// A successful answer of another shape does not come from OMS.
fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Box<Answer>> {
    serde_json::from_slice(body).map_err(|error| {
        Box::new(Answer {
            verdict: Verdict::Hold(HoldReason::Endpoint),
            status: Status::Http(200),
            retry_after: None,
            error_code: None,
            error_message: Some(bounded(&format!("not what OMS tells of tasks: {error}"), MAX_MESSAGE_BYTES)),
            request_id: None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_is_not_listed_is_unknown() {
        for (status, expected) in [
            ("SYNCHRONIZING", TaskState::Synchronizing),
            ("STOPPED", TaskState::Stopped),
            ("PAUSED", TaskState::Unknown),
        ] {
            let json = format!(r#"{{"sync_task_id":"a","status":"{status}","more":[]}}"#);
            assert_eq!(parse::<Task>(json.as_bytes()).unwrap().status, expected);
        }
    }
}
