//! The tasks of the project, and how OMS tells of them.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pipeline::key::{InvalidTaskId, TaskId};

/// A synchronization task.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedTask {
    /// Its id.
    pub id: String,
    /// Its source bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Whether it takes events.
    #[serde(default)]
    pub status: TaskStatus,
    /// What happens to objects that are there already; by default they are compared.
    #[serde(default)]
    pub object_overwrite_mode: Option<String>,
}

/// What OMS does by default with objects that are there already.
const COMPARED: &str = "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE";

/// State of a task, as OMS writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskStatus {
    /// Takes events.
    #[default]
    Synchronizing,
    /// Refuses events.
    Stopped,
}

/// `--task`: an id, or `id:bucket`.
impl FromStr for SimulatedTask {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        let (id, bucket) = text.split_once(':').map_or((text, None), |(id, bucket)| (id, Some(bucket.to_owned())));
        TaskId::new(id)?;
        Ok(Self { id: id.to_owned(), bucket, status: TaskStatus::default(), object_overwrite_mode: None })
    }
}

/// All tasks, by id.
pub(super) struct Tasks(BTreeMap<String, SimulatedTask>);

impl Tasks {
    pub(super) fn new(tasks: Vec<SimulatedTask>) -> Self {
        let mut all = Self(BTreeMap::new());
        all.change(tasks, &[]);
        all
    }

    /// Creates or changes, then deletes. A change that names no bucket keeps the one there is.
    pub(super) fn change(&mut self, tasks: Vec<SimulatedTask>, removed: &[String]) {
        for mut task in tasks {
            let known = self.0.remove(&task.id).and_then(|known| known.bucket);
            task.bucket = task.bucket.or(known);
            self.0.insert(task.id.clone(), task);
        }
        for id in removed {
            self.0.remove(id);
        }
    }

    pub(super) fn status(&self, id: &str) -> Option<TaskStatus> {
        self.0.get(id).map(|task| task.status)
    }

    /// The answer of `ShowSyncTask`.
    pub(super) fn show(&self, id: &str, accepted_keys: u64) -> Option<Value> {
        self.0.get(id).map(|task| describe(task, accepted_keys))
    }

    /// The answer of `ListSyncTasks`: one page, and how many there are.
    pub(super) fn list(&self, status: Option<TaskStatus>, offset: usize, limit: usize) -> Value {
        let wanted: Vec<_> = self.0.values().filter(|task| status.is_none_or(|status| task.status == status)).collect();
        let page: Vec<_> = wanted.iter().skip(offset).take(limit).map(|task| describe(task, 0)).collect();
        json!({ "tasks": page, "count": wanted.len() })
    }
}

/// The answer of `ListSyncTasks` in a project without tasks.
pub(super) fn no_tasks() -> Value {
    json!({ "tasks": [], "count": 0 })
}

fn describe(task: &SimulatedTask, accepted_keys: u64) -> Value {
    json!({
        "sync_task_id": task.id,
        "src_cloud_type": "AWS",
        "src_region": "us-east-1",
        "src_bucket": task.bucket,
        "dst_region": "cn-north-4",
        "dst_bucket": "destination",
        "create_time": 1_700_000_000_000_u64,
        "last_start_time": 1_700_000_000_000_u64,
        "status": task.status,
        "description": "",
        "enable_metadata_migration": true,
        "enable_restore": false,
        "object_overwrite_mode": task.object_overwrite_mode.as_deref().unwrap_or(COMPARED),
        "consistency_check": "size_last_modified",
        "monthly_acceptance_request": accepted_keys,
        "monthly_success_object": accepted_keys,
        "monthly_failure_object": 0,
        "monthly_skip_object": 0,
        "monthly_size": 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_written_with_or_without_its_bucket() {
        let task: SimulatedTask = "31e9-b7:land:ing".parse().unwrap();
        assert_eq!((task.id.as_str(), task.bucket.as_deref()), ("31e9-b7", Some("land:ing")));
        assert_eq!("31e9".parse::<SimulatedTask>().unwrap().bucket, None);
        assert!("a/b".parse::<SimulatedTask>().is_err());
    }

    #[test]
    fn a_change_without_a_bucket_keeps_it() {
        let mut tasks = Tasks::new(vec!["a:b".parse().unwrap()]);
        tasks.change(vec![SimulatedTask { status: TaskStatus::Stopped, ..("a".parse().unwrap()) }], &[]);
        let shown = tasks.show("a", 3).unwrap();
        assert_eq!((&shown["src_bucket"], &shown["status"]), (&json!("b"), &json!("STOPPED")));
        assert_eq!(shown["monthly_acceptance_request"], 3);
    }

    #[test]
    fn a_page_of_tasks_tells_how_many_there_are() {
        let tasks = Tasks::new(["a", "b", "c"].map(|id| id.parse().unwrap()).to_vec());
        let page = tasks.list(Some(TaskStatus::Synchronizing), 1, 1);
        assert_eq!((page["count"].as_u64(), page["tasks"][0]["sync_task_id"].as_str()), (Some(3), Some("b")));
        assert_eq!(tasks.list(Some(TaskStatus::Stopped), 0, 10), no_tasks());
    }
}
