//! Whether the routes lead to tasks that take events, and whose bucket is the routes'. Pure.

use super::finding::Finding;
use crate::config::{Route, StoppedTasks};
use crate::oms::tasks::{Task, TaskState};
use crate::pipeline::answer::{Answer, Verdict};

/// Tasks that a line names; of the others their number.
const NAMED: usize = 5;
/// Loses updates of objects that are there already. Source: API page of `ShowSyncTask`.
const NO_OVERWRITE: &str = "NO_OVERWRITE";

/// The name of the check of a task.
pub(super) fn check_of(task: &str) -> String {
    format!("task {task}")
}

/// What the project has. Without any task the project is probably the wrong one.
pub(super) fn project(tasks: &[Task], project: &str) -> Finding {
    const CHECK: &str = "tasks of the project";
    if tasks.is_empty() {
        return Finding::failed(
            CHECK,
            format!("project {project} has none"),
            "check oms.project_id and oms.region (or oms.endpoint), or create a synchronization task in the console of OMS",
        );
    }
    Finding::ok(CHECK, format!("{}: {}", tasks.len(), named(tasks)))
}

/// Without routes each record must name its task.
pub(super) fn no_routes(tasks: &[Task]) -> Finding {
    let example = tasks.first().map(|task| format!(", such as {}", task.sync_task_id)).unwrap_or_default();
    Finding::ok("routes", format!("none: each record must name its task{example}"))
}

/// One routed task; `routes` are those that lead to it.
pub(super) fn task(
    id: &str,
    routes: &[&Route],
    shown: &Result<Task, Box<Answer>>,
    all: &[Task],
    stopped: StoppedTasks,
) -> Finding {
    let check = check_of(id);
    let task = match shown {
        Ok(task) => task,
        Err(answer) if answer.verdict == Verdict::UnknownTask => {
            let remedy = format!("write one of this project's into routes: {}", named(all));
            return Finding::failed(check, "the project has no such task", remedy);
        }
        Err(answer) => return super::answers::failure(&check, answer, "oms:synctask:get"),
    };
    if task.status == TaskState::Stopped {
        return Finding::failed(
            check,
            format!("STOPPED{}: {}", of_bucket(task), fate_of_changes(stopped)),
            "start it in the console of OMS: that needs the right oms:synctask:update and the keys of both buckets",
        );
    }
    let other = |route: &&&Route| task.src_bucket.as_ref().is_some_and(|bucket| *bucket != route.bucket);
    if let Some(route) = routes.iter().find(other) {
        let bucket = task.src_bucket.as_deref().unwrap_or_default();
        return Finding::failed(
            check,
            format!("its source bucket is {bucket}, the route's is {}", route.bucket),
            format!(
                "write bucket: {bucket} into the route, or the task of {}: OMS would not find the objects",
                route.bucket
            ),
        );
    }
    if task.object_overwrite_mode.as_deref() == Some(NO_OVERWRITE) {
        return Finding::warning(
            check,
            format!("{NO_OVERWRITE}{}: an object that has changed is not copied again", of_bucket(task)),
            "if changes are to arrive, make a task with another overwrite mode",
        );
    }
    match (task.status, &task.src_bucket) {
        (TaskState::Unknown, _) => Finding::warning(
            check,
            "its state is neither SYNCHRONIZING nor STOPPED",
            "look at it in the console of OMS: events may be refused",
        ),
        (_, None) => Finding::warning(
            check,
            "SYNCHRONIZING, but OMS does not tell its source bucket",
            format!("see in the console of OMS that it is {}", buckets(routes)),
        ),
        (_, Some(_)) => Finding::ok(check, format!("SYNCHRONIZING{}", of_bucket(task))),
    }
}

/// Tasks that no route leads to.
pub(super) fn unrouted(tasks: &[Task], routes: &[Route]) -> Option<Finding> {
    let is_routed = |task: &&Task| !routes.iter().any(|route| route.task.as_str() == task.sync_task_id);
    let rest: Vec<_> = tasks.iter().filter(is_routed).cloned().collect();
    let seen = || format!("no route leads to {}: nothing of theirs is submitted", named(&rest));
    (!rest.is_empty()).then(|| Finding::ok("tasks without a route", seen()))
}

fn fate_of_changes(stopped: StoppedTasks) -> &'static str {
    match stopped {
        StoppedTasks::Wait => "its changes will only wait",
        StoppedTasks::DeadLetter => "its changes will be dead-lettered, as stopped_tasks says",
    }
}

fn of_bucket(task: &Task) -> String {
    task.src_bucket.as_ref().map(|bucket| format!(", source bucket {bucket}")).unwrap_or_default()
}

fn buckets(routes: &[&Route]) -> String {
    let mut buckets: Vec<_> = routes.iter().map(|route| route.bucket.as_str()).collect();
    buckets.dedup();
    buckets.join(", ")
}

fn named(tasks: &[Task]) -> String {
    let name = |task: &Task| match &task.src_bucket {
        Some(bucket) => format!("{} (bucket {bucket})", task.sync_task_id),
        None => task.sync_task_id.clone(),
    };
    let names: Vec<_> = tasks.iter().take(NAMED).map(name).collect();
    let more = tasks.len() - names.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::pipeline::answer::Status;
    use crate::pipeline::key::TaskId;

    fn task_of(bucket: Option<&str>, status: TaskState, mode: Option<&str>) -> Task {
        Task {
            sync_task_id: "a".to_owned(),
            src_bucket: bucket.map(str::to_owned),
            status,
            object_overwrite_mode: mode.map(str::to_owned),
        }
    }

    fn route(bucket: &str) -> Route {
        Route { task: TaskId::new("a").unwrap(), bucket: bucket.to_owned(), prefix: None }
    }

    #[track_caller]
    fn check(shown: Task, state: State, told: &str) {
        let found = task("a", &[&route("landing")], &Ok(shown), &[], StoppedTasks::Wait);
        assert_eq!(found.state, state, "{found:?}");
        assert!(found.seen.contains(told), "{found:?}");
    }

    #[test]
    fn a_task_must_be_synchronizing_and_of_the_routes_bucket() {
        use TaskState::{Stopped, Synchronizing, Unknown};
        check(task_of(Some("landing"), Synchronizing, Some("FULL_OVERWRITE")), State::Ok, "SYNCHRONIZING");
        check(task_of(Some("landing"), Stopped, None), State::Failed, "STOPPED");
        check(task_of(Some("other"), Synchronizing, None), State::Failed, "its source bucket is other");
        check(task_of(Some("landing"), Synchronizing, Some(NO_OVERWRITE)), State::Warning, "not copied again");
        check(task_of(Some("landing"), Unknown, None), State::Warning, "neither");
        check(task_of(None, Synchronizing, None), State::Warning, "does not tell its source bucket");
    }

    #[test]
    fn a_task_that_is_not_there_names_those_that_are() {
        let answer = Answer {
            verdict: Verdict::UnknownTask,
            status: Status::Http(404),
            retry_after: None,
            error_code: None,
            error_message: None,
            request_id: None,
        };
        let all = vec![task_of(Some("landing"), TaskState::Synchronizing, None); 7];
        let found = task("b", &[&route("landing")], &Err(Box::new(answer)), &all, StoppedTasks::Wait);
        assert_eq!(found.state, State::Failed);
        let remedy = found.remedy.unwrap();
        assert!(remedy.contains("a (bucket landing)") && remedy.ends_with(" and 2 more"), "{remedy}");
    }

    #[test]
    fn tasks_without_a_route_are_noted_and_a_project_without_tasks_fails() {
        let tasks = [task_of(Some("landing"), TaskState::Synchronizing, None)];
        assert_eq!(unrouted(&tasks, &[route("landing")]), None);
        assert!(unrouted(&tasks, &[]).unwrap().seen.contains("a (bucket landing)"));
        assert_eq!(project(&[], "p").state, State::Failed);
        assert_eq!(project(&tasks, "p").seen, "1: a (bucket landing)");
    }
}
