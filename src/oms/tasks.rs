//! What OMS tells of the project's tasks: `ShowSyncTask` and `ListSyncTasks`. One attempt a call; decides nothing.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::client::OmsClient;
use super::clock::Clocks;
use super::error_body::bounded;
use super::verdict::MAX_MESSAGE_BYTES;
use crate::pipeline::answer::{Answer, HoldReason, Pressure, Status, Verdict};
use crate::pipeline::discovery::table::{ListedState, ListedTask, Listing};
use crate::pipeline::inquiry::Standing;
use crate::pipeline::key::TaskId;

/// Tasks a page: small, so that a page fits into the bound of an answer's body.
const PAGE: usize = 20;
/// Highest offset of `ListSyncTasks`. Source: its API page.
const MAX_OFFSET: usize = 10_000;
/// How often the list is read again that changed while its pages were read.
const ATTEMPTS: usize = 3;

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

/// The tasks of a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskList {
    /// In the order of OMS.
    pub tasks: Vec<Task>,
    /// Whether these are all; beyond offset 10,000 OMS cannot be asked.
    pub is_whole: bool,
}

#[derive(Deserialize)]
struct Page {
    tasks: Vec<Task>,
    #[serde(default)]
    count: Option<usize>,
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
                Ok(list) if list.tasks.is_empty() => Standing::EmptyProject,
                _ => Standing::Missing,
            },
            Err(answer) => Standing::Unknown(*answer),
        }
    }

    /// All tasks of the project, page by page. A list that changed meanwhile, so that a task may have slipped from one
    /// page to another, is read again.
    pub async fn list_tasks(&self) -> Result<TaskList, Box<Answer>> {
        self.list_tasks_and_clocks(&mut None).await
    }

    /// The same. `clocks` is set to what the clocks showed at the latest answer that told the time, whatever it was.
    pub async fn list_tasks_and_clocks(&self, clocks: &mut Option<Clocks>) -> Result<TaskList, Box<Answer>> {
        for _ in 0..ATTEMPTS {
            if let Some(list) = self.read_pages(clocks).await? {
                return Ok(list);
            }
        }
        Err(Box::new(answer(
            Verdict::Busy(Pressure::Overloaded),
            "the list of tasks changed while its pages were read",
        )))
    }

    /// The list, unless it changed between two pages.
    async fn read_pages(&self, clocks: &mut Option<Clocks>) -> Result<Option<TaskList>, Box<Answer>> {
        let mut pages = Vec::new();
        for offset in (0..=MAX_OFFSET).step_by(PAGE) {
            let (body, showed) = self.query("", &format!("limit={PAGE}&offset={offset}")).await;
            *clocks = showed.or(*clocks);
            pages.push(parse::<Page>(&body?)?);
            if pages.last().is_some_and(|page| page.tasks.len() < PAGE) {
                return Ok(is_of_one_piece(&pages).then(|| TaskList::of(pages, true)));
            }
        }
        Ok(Some(TaskList::of(pages, false)))
    }

    /// The project's tasks, for the table of routes. A task whose id is none makes no table without it.
    pub async fn listing(&self) -> Result<Listing, Box<Answer>> {
        let TaskList { tasks, is_whole } = self.list_tasks().await?;
        let tasks = tasks.into_iter().map(ListedTask::try_from).collect::<Result<_, _>>()?;
        Ok(Listing { tasks, is_whole })
    }
}

impl TaskList {
    fn of(pages: Vec<Page>, is_whole: bool) -> Self {
        Self { tasks: pages.into_iter().flat_map(|page| page.tasks).collect(), is_whole }
    }
}

impl TryFrom<Task> for ListedTask {
    type Error = Box<Answer>;

    fn try_from(task: Task) -> Result<Self, Box<Answer>> {
        let id = TaskId::new(&task.sync_task_id).map_err(|_| Box::new(not_of_oms("a task's id is not one")))?;
        let state = match task.status {
            TaskState::Synchronizing => ListedState::Synchronizing,
            TaskState::Stopped => ListedState::Stopped,
            TaskState::Unknown => ListedState::Unknown,
        };
        let bucket = task.src_bucket.filter(|bucket| !bucket.is_empty()).map(String::into_boxed_str);
        Ok(Self { id, bucket, state })
    }
}

/// Whether no task is there twice, and the pages agree on how many there are. What `count` counts, all tasks or those of
/// the page, the API page does not say.
fn is_of_one_piece(pages: &[Page]) -> bool {
    let ids: Vec<_> = pages.iter().flat_map(|page| &page.tasks).map(|task| task.sync_task_id.as_str()).collect();
    let distinct = ids.iter().collect::<BTreeSet<_>>().len();
    let all = |agrees: fn(&Page, usize) -> bool| pages.iter().all(|page| agrees(page, ids.len()));
    let counted = all(|page, total| page.count.is_none_or(|count| count == total))
        || all(|page, _| page.count.is_none_or(|count| count == page.tasks.len()));
    distinct == ids.len() && counted
}

/// A successful answer of another shape does not come from OMS.
fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Box<Answer>> {
    serde_json::from_slice(body).map_err(|error| Box::new(not_of_oms(&error.to_string())))
}

fn not_of_oms(why: &str) -> Answer {
    answer(Verdict::Hold(HoldReason::Endpoint), &format!("not what OMS tells of tasks: {why}"))
}

fn answer(verdict: Verdict, message: &str) -> Answer {
    Answer {
        verdict,
        status: Status::Http(200),
        retry_after: None,
        error_code: None,
        error_message: Some(bounded(message, MAX_MESSAGE_BYTES)),
        request_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages, each of its count and ids.
    fn pages(all: &[(Option<usize>, &[&str])]) -> Vec<Page> {
        let task = |id: &&str| Task {
            sync_task_id: (*id).to_owned(),
            src_bucket: None,
            status: TaskState::Synchronizing,
            object_overwrite_mode: None,
        };
        all.iter().map(|(count, ids)| Page { tasks: ids.iter().map(task).collect(), count: *count }).collect()
    }

    #[test]
    fn a_list_that_changed_between_two_pages_is_noticed() {
        for (all, expected) in [
            (&[(Some(3), &["a", "b"][..]), (Some(3), &["c"][..])][..], true),
            (&[(Some(2), &["a", "b"]), (Some(1), &["c"])], true),
            (&[(None, &["a", "b"]), (None, &["c"])], true),
            (&[(Some(4), &["a", "b"]), (Some(3), &["d"])], false),
            (&[(Some(4), &["a", "b"]), (Some(4), &["d"])], false),
            (&[(None, &["a", "b"]), (None, &["b"])], false),
            (&[(Some(0), &[])], true),
        ] {
            assert_eq!(is_of_one_piece(&pages(all)), expected, "{all:?}");
        }
    }

    #[test]
    fn a_task_whose_id_is_none_is_not_left_out_in_silence() {
        let task = pages(&[(None, &["a b"])]).remove(0).tasks.remove(0);
        assert_eq!(ListedTask::try_from(task).unwrap_err().verdict, Verdict::Hold(HoldReason::Endpoint));
    }

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
