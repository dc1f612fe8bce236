//! From the project's tasks to the table of routes, and what is wrong with it. A function of the list, the prefixes and
//! the table before.

use std::collections::BTreeMap;

use crate::pipeline::key::TaskId;
use crate::pipeline::route::{Route, Routes};

/// A task of the project, as OMS lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedTask {
    /// Its id.
    pub id: TaskId,
    /// Its source bucket, where OMS tells one.
    pub bucket: Option<Box<str>>,
    /// Whether it takes events.
    pub state: ListedState,
}

/// What OMS says of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListedState {
    /// It takes events.
    Synchronizing,
    /// Someone has stopped it.
    Stopped,
    /// A state that this build does not know; it may take events.
    Unknown,
}

/// The tasks of the project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// In no order.
    pub tasks: Vec<ListedTask>,
    /// Whether these are all: OMS lists no more than some ten thousand.
    pub is_whole: bool,
}

/// The table of routes, with what it was made of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// Which task gets what, by bucket and prefix. No two have the same bucket and prefix.
    pub routes: Vec<Route>,
    /// All tasks of the project, by id.
    pub tasks: Vec<ListedTask>,
    /// Tasks that get in each other's way.
    pub conflicts: Vec<Conflict>,
    /// What is not as one would expect it, and stops nothing. For people.
    pub notes: Vec<String>,
}

/// Tasks that claim the same keys of the same bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The bucket.
    pub bucket: String,
    /// What its keys begin with.
    pub prefix: Option<String>,
    /// Two or more, by id.
    pub tasks: Vec<TaskId>,
    /// The one of them that had these keys before, and keeps them. Without one all changes of the bucket wait.
    pub kept: Option<TaskId>,
}

impl Conflict {
    /// For people: who, and what becomes of the changes.
    #[must_use]
    pub fn told(&self) -> String {
        let names: Vec<_> = self.tasks.iter().map(TaskId::as_str).collect();
        let prefix = self.prefix.as_ref().map(|prefix| format!(" and prefix {prefix:?}")).unwrap_or_default();
        let outcome = match &self.kept {
            Some(task) => format!("its changes go to {task} as before"),
            None => "its changes wait".to_owned(),
        };
        format!("tasks {} have the same source bucket {}{prefix}: {outcome}", names.join(" and "), self.bucket)
    }
}

/// What to do about a conflict.
pub const CONFLICT_REMEDY: &str = "give all but one of them a key prefix of its own in discovery.prefixes and start the worker anew, or delete \
     the tasks that are too many";

/// A prefix for a task that the project does not have.
fn stray(task: &TaskId) -> String {
    format!("discovery.prefixes names task {task}, which the project does not have")
}

/// The keys of a bucket that a task claims.
type Place<'a> = (&'a str, Option<&'a str>);

impl Table {
    /// The table for these tasks. `prefixes` are by task. Where tasks claim the same keys, the one keeps them that has
    /// them in `last`.
    #[must_use]
    pub fn new(listed: &[ListedTask], prefixes: &BTreeMap<TaskId, String>, last: Option<&Self>) -> Self {
        let tasks: BTreeMap<&TaskId, &ListedTask> = listed.iter().map(|task| (&task.id, task)).collect();
        let mut claims = BTreeMap::<Place<'_>, Vec<&TaskId>>::new();
        let mut table = Self::default();
        for task in tasks.values() {
            match &task.bucket {
                Some(bucket) => {
                    let prefix = prefixes.get(&task.id).map(String::as_str);
                    claims.entry((bucket, prefix)).or_default().push(&task.id);
                }
                None => {
                    table.notes.push(format!("OMS tells no source bucket of task {}: no route leads to it", task.id));
                }
            }
        }
        for ((bucket, prefix), claimants) in claims {
            let kept = last.and_then(|last| last.owner((bucket, prefix))).filter(|owner| claimants.contains(owner));
            let route = |task: &TaskId| Route {
                task: task.clone(),
                bucket: bucket.to_owned(),
                prefix: prefix.map(str::to_owned),
            };
            if let [only] = claimants[..] {
                table.routes.push(route(only));
                continue;
            }
            table.routes.extend(kept.map(route));
            table.conflicts.push(Conflict {
                bucket: bucket.to_owned(),
                prefix: prefix.map(str::to_owned),
                tasks: claimants.into_iter().cloned().collect(),
                kept: kept.cloned(),
            });
        }
        table.notes.extend(prefixes.keys().filter(|task| !tasks.contains_key(task)).map(stray));
        table.tasks = tasks.into_values().cloned().collect();
        table
    }

    fn owner(&self, (bucket, prefix): Place<'_>) -> Option<&TaskId> {
        let route = self.routes.iter().find(|route| route.bucket == bucket && route.prefix.as_deref() == prefix);
        route.map(|route| &route.task)
    }

    /// Buckets whose changes must wait, because nobody can say whose they are.
    pub fn open_buckets(&self) -> impl Iterator<Item = &str> {
        self.conflicts.iter().filter(|conflict| conflict.kept.is_none()).map(|conflict| conflict.bucket.as_str())
    }

    /// As look-ups want it.
    #[must_use]
    pub fn to_routes(&self) -> Routes {
        let tasks = self.tasks.iter().map(|task| task.id.clone());
        Routes::discovered(self.routes.clone(), tasks, self.open_buckets())
    }

    /// What OMS said of a task.
    #[must_use]
    pub fn state(&self, task: &TaskId) -> Option<ListedState> {
        let at = self.tasks.binary_search_by(|listed| listed.id.cmp(task)).ok()?;
        Some(self.tasks[at].state)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    fn task(text: &str, bucket: &str) -> ListedTask {
        let bucket = (!bucket.is_empty()).then(|| bucket.into());
        ListedTask { id: id(text), bucket, state: ListedState::Synchronizing }
    }

    fn prefixes(all: &[(&str, &str)]) -> BTreeMap<TaskId, String> {
        all.iter().map(|(task, prefix)| (id(task), (*prefix).to_owned())).collect()
    }

    /// `bucket/prefix>task`, in order.
    fn shown(table: &Table) -> Vec<String> {
        let prefix = |route: &Route| route.prefix.as_deref().map(|prefix| format!("/{prefix}")).unwrap_or_default();
        table.routes.iter().map(|route| format!("{}{}>{}", route.bucket, prefix(route), route.task)).collect()
    }

    #[test]
    fn each_bucket_goes_to_its_task() {
        let table = Table::new(&[task("t2", "b"), task("t1", "a")], &prefixes(&[]), None);
        assert_eq!(shown(&table), ["a>t1", "b>t2"]);
        assert!(table.conflicts.is_empty() && table.notes.is_empty(), "{table:?}");
        let routes = table.to_routes();
        assert_eq!(routes.route(Some("b"), "k", None).unwrap(), id("t2"));
    }

    #[test]
    fn prefixes_tell_tasks_of_one_bucket_apart() {
        let listed = [task("all", "b"), task("in", "b"), task("out", "b")];
        let table = Table::new(&listed, &prefixes(&[("in", "in/"), ("out", "out/")]), None);
        assert_eq!(shown(&table), ["b>all", "b/in/>in", "b/out/>out"]);
        assert!(table.conflicts.is_empty());
        let routes = table.to_routes();
        assert_eq!(routes.route(Some("b"), "in/x", None).unwrap(), id("in"));
        assert_eq!(routes.route(Some("b"), "x", None).unwrap(), id("all"));
    }

    #[test]
    fn two_tasks_for_one_bucket_are_named_and_its_changes_wait() {
        use crate::pipeline::route::RouteError;
        let listed = [task("t2", "b"), task("t1", "b"), task("t3", "c"), task("in", "b")];
        let table = Table::new(&listed, &prefixes(&[("in", "in/")]), None);
        let told = table.conflicts[0].told();
        assert_eq!(told, "tasks t1 and t2 have the same source bucket b: its changes wait");
        let routes = table.to_routes();
        assert_eq!(routes.route(Some("b"), "k", None), Err(RouteError::Undecided));
        assert_eq!(routes.route(Some("b"), "in/k", None), Err(RouteError::Undecided), "the whole bucket");
        assert_eq!(routes.route(Some("c"), "k", None).unwrap(), id("t3"), "others go on");
        assert_eq!(routes.route(Some("nowhere"), "k", None), Err(RouteError::NoRoute));
    }

    #[test]
    fn the_same_prefix_twice_is_a_conflict_of_its_own() {
        let listed = [task("t1", "b"), task("t2", "b"), task("t3", "b")];
        let table = Table::new(&listed, &prefixes(&[("t1", "in/"), ("t2", "in/")]), None);
        let told = table.conflicts[0].told();
        assert_eq!(told, "tasks t1 and t2 have the same source bucket b and prefix \"in/\": its changes wait");
    }

    #[test]
    fn who_had_the_bucket_before_keeps_it_while_others_claim_it_too() {
        let none = prefixes(&[]);
        let first = Table::new(&[task("t5", "b")], &none, None);
        let both = [task("t5", "b"), task("t1", "b"), task("new", "c")];
        let second = Table::new(&both, &none, Some(&first));
        assert_eq!(shown(&second), ["b>t5", "c>new"]);
        assert!(second.conflicts[0].told().ends_with("its changes go to t5 as before"), "{second:?}");
        assert_eq!(second.open_buckets().count(), 0);
        assert_eq!(Table::new(&both, &none, Some(&second)), second, "for as long as it lasts");
        let three = [task("t5", "a"), task("t1", "b"), task("t2", "b")];
        let third = Table::new(&three, &none, Some(&second));
        assert_eq!(third.open_buckets().collect::<Vec<_>>(), ["b"], "the one that had it is for another bucket now");
        let fourth = Table::new(&[task("t5", "a"), task("t2", "b")], &none, Some(&third));
        assert_eq!((shown(&fourth), fourth.conflicts), (vec!["a>t5".to_owned(), "b>t2".to_owned()], vec![]));
    }

    #[test]
    fn a_task_without_a_bucket_and_a_prefix_without_a_task_are_noted() {
        let table = Table::new(&[task("t1", ""), task("t2", "b")], &prefixes(&[("gone", "x/")]), None);
        assert_eq!(shown(&table), ["b>t2"]);
        assert!(table.notes[0].contains("no source bucket of task t1"), "{:?}", table.notes);
        assert!(table.notes[1].contains("task gone, which the project does not have"), "{:?}", table.notes);
        assert_eq!(table.to_routes().route(None, "k", Some("t1")).unwrap(), id("t1"), "a record may name it");
        assert_eq!((table.state(&id("t1")), table.state(&id("gone"))), (Some(ListedState::Synchronizing), None));
    }

    proptest! {
        #[test]
        fn no_two_routes_are_alike_and_none_is_lost_but_in_a_conflict(
            buckets in proptest::collection::vec("[abc]", 0..8),
            prefixed in proptest::collection::btree_map(0..8_usize, "[xy]/", 0..8),
        ) {
            let listed: Vec<_> = buckets.iter().enumerate().map(|(n, bucket)| task(&format!("t{n}"), bucket)).collect();
            let prefixes = prefixed.iter().map(|(n, prefix)| (id(&format!("t{n}")), prefix.clone())).collect();
            let table = Table::new(&listed, &prefixes, None);
            let mut places: Vec<_> = table.routes.iter().map(|r| (r.bucket.clone(), r.prefix.clone())).collect();
            places.dedup();
            prop_assert_eq!(places.len(), table.routes.len());
            let in_conflict: usize = table.conflicts.iter().map(|conflict| conflict.tasks.len()).sum();
            prop_assert_eq!(table.routes.len() + in_conflict, listed.len());
            prop_assert_eq!(Table::new(&listed, &prefixes, Some(&table)), table);
        }
    }
}
