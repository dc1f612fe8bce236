//! The routes that a worker with `routes: discover` would find in the project's tasks. Pure.

use std::collections::BTreeMap;

use super::finding::Finding;
use crate::config::Route;
use crate::oms::tasks::TaskList;
use crate::pipeline::answer::Answer;
use crate::pipeline::discovery::CUT_OFF;
use crate::pipeline::discovery::table::{CONFLICT_REMEDY, Conflict, ListedTask, Table};
use crate::pipeline::key::TaskId;

/// The check's name.
pub(super) const CHECK: &str = "routes";
/// What to do about a note.
const NOTE_REMEDY: &str = "if it is meant, there is nothing to do";

/// The table that would be made, and what is wrong with it.
pub(super) fn discovered(all: &TaskList, prefixes: &BTreeMap<TaskId, String>) -> (Vec<Route>, Vec<Finding>) {
    if !all.is_whole {
        let (what, remedy) = CUT_OFF;
        return (Vec::new(), vec![Finding::failed(CHECK, what, remedy)]);
    }
    let listed: Result<Vec<_>, Box<Answer>> = all.tasks.iter().cloned().map(ListedTask::try_from).collect();
    let table = match listed {
        Ok(listed) => Table::new(&listed, prefixes, None),
        Err(answer) => return (Vec::new(), vec![super::answers::failure(CHECK, &answer, "oms:synctask:list")]),
    };
    let route = |route: &crate::pipeline::route::Route| Route {
        task: route.task.clone(),
        bucket: route.bucket.clone(),
        prefix: route.prefix.clone(),
    };
    let routes: Vec<Route> = table.routes.iter().map(route).collect();
    let conflict = |conflict: &Conflict| Finding::failed(CHECK, conflict.told(), CONFLICT_REMEDY);
    let mut findings = vec![found(&routes)];
    findings.extend(table.conflicts.iter().map(conflict));
    findings.extend(table.notes.iter().map(|note| Finding::warning(CHECK, note, NOTE_REMEDY)));
    (routes, findings)
}

fn found(routes: &[Route]) -> Finding {
    if routes.is_empty() {
        let remedy = "see what else is said of the routes, or create synchronization tasks in the console of OMS";
        return Finding::failed(CHECK, "discovered: none", remedy);
    }
    let line = |route: &Route| {
        let prefix = route.prefix.as_ref().map(|prefix| format!(" {prefix:?}")).unwrap_or_default();
        format!("{}{prefix} -> {}", route.bucket, route.task)
    };
    let lines: Vec<_> = routes.iter().map(line).collect();
    Finding::ok(CHECK, format!("discovered: {}", lines.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::oms::tasks::{Task, TaskState};

    fn list(tasks: &[(&str, Option<&str>)], is_whole: bool) -> TaskList {
        let task = |(id, bucket): &(&str, Option<&str>)| Task {
            sync_task_id: (*id).to_owned(),
            src_bucket: bucket.map(str::to_owned),
            status: TaskState::Synchronizing,
            object_overwrite_mode: None,
        };
        TaskList { tasks: tasks.iter().map(task).collect(), is_whole }
    }

    #[track_caller]
    fn check(list: &TaskList, expected: &[(State, &str)]) -> Vec<Route> {
        let prefixes = BTreeMap::from([(TaskId::new("in").unwrap(), "in/".to_owned())]);
        let (routes, findings) = discovered(list, &prefixes);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, (state, told)) in findings.iter().zip(expected) {
            assert!(finding.state == *state && finding.seen.contains(told), "{finding:?} is not {told}");
        }
        routes
    }

    #[test]
    fn the_table_is_told_with_conflicts_by_name_and_notes() {
        let tasks = [("in", Some("a")), ("t1", Some("a")), ("t2", Some("b")), ("t3", Some("b")), ("spare", None)];
        let told = [
            (State::Ok, "discovered: a -> t1, a \"in/\" -> in"),
            (State::Failed, "tasks t2 and t3 have the same source bucket b"),
            (State::Warning, "no source bucket of task spare"),
        ];
        assert_eq!(check(&list(&tasks, true), &told).len(), 2);
    }

    #[test]
    fn without_any_route_and_with_a_list_that_was_cut_off_it_fails() {
        let none = [(State::Failed, "discovered: none"), (State::Warning, "no source"), (State::Warning, "task in")];
        assert!(check(&list(&[("t1", None)], true), &none).is_empty());
        assert!(check(&list(&[("in", Some("a"))], false), &[(State::Failed, "more tasks than OMS lists")]).is_empty());
        check(&list(&[("a b", Some("a"))], true), &[(State::Failed, "not what OMS tells of tasks")]);
    }
}
