//! Which task a change belongs to. A look-up costs a hash or a few, however many routes there are; never a scan.

use rustc_hash::{FxHashMap, FxHashSet};
use thiserror::Error;

use super::key::TaskId;
use crate::formats::Reason;

/// One row of the routing table.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    /// Where changes go.
    pub task: TaskId,
    /// The source bucket.
    pub bucket: String,
    /// What the raw key must begin with; `None` and empty take every key.
    pub prefix: Option<String>,
}

/// Why a change has no task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RouteError {
    /// No route is for that bucket and key.
    #[error("no route is for this bucket and key: add one, or name the task in the record")]
    NoRoute,
    /// The record names a task that is in no route.
    #[error("the record names a task that is in no route: add a route for it, or leave `routes` empty")]
    UnknownTask,
    /// The record names what can be no task id.
    #[error("the record names a task that is no task id")]
    InvalidTask,
    /// It is not known yet, and will be: the record must wait for another table.
    #[error("the table of routes does not tell yet")]
    Undecided,
}

impl RouteError {
    /// As a reason to skip or reject; `None` where the record must wait.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::NoRoute => Some(Reason::NoRoute),
            Self::UnknownTask => Some(Reason::UnknownTask),
            Self::InvalidTask => Some(Reason::InvalidTask),
            Self::Undecided => None,
        }
    }
}

/// The routing table. An empty one takes every task that a record names, and nothing else; one that was discovered takes
/// the tasks that were listed.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    tasks: FxHashSet<TaskId>,
    buckets: FxHashMap<Box<str>, Prefixes>,
    discovered: Option<Discovered>,
}

/// What a table knows of its own gaps that was made by asking OMS.
#[derive(Clone, Debug)]
enum Discovered {
    /// Nothing was listed so far.
    NotYet,
    /// Whose changes these buckets' are is open.
    Except(FxHashSet<Box<str>>),
}

/// The routes of one bucket.
#[derive(Clone, Debug, Default)]
struct Prefixes {
    /// The different lengths of prefixes in bytes, longest first.
    lengths: Vec<usize>,
    tasks: FxHashMap<Box<[u8]>, TaskId>,
}

impl Prefixes {
    fn find(&self, key: &[u8]) -> Option<&TaskId> {
        self.lengths.iter().find_map(|&length| self.tasks.get(key.get(..length)?))
    }
}

impl Routes {
    /// Builds the table. Of two routes for the same bucket and prefix the first counts; configuration refuses them.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut table = Self::default();
        for Route { task, bucket, prefix } in routes {
            let prefixes = table.buckets.entry(bucket.into()).or_default();
            let prefix = prefix.unwrap_or_default().into_bytes().into_boxed_slice();
            if !prefixes.lengths.contains(&prefix.len()) {
                prefixes.lengths.push(prefix.len());
            }
            prefixes.tasks.entry(prefix).or_insert_with(|| task.clone());
            table.tasks.insert(task);
        }
        for prefixes in table.buckets.values_mut() {
            prefixes.lengths.sort_unstable_by(|a, b| b.cmp(a));
        }
        table
    }

    /// The table before OMS has told anything: every change must wait that could be of some task.
    #[must_use]
    pub fn undecided() -> Self {
        Self { discovered: Some(Discovered::NotYet), ..Self::default() }
    }

    /// A table that was made of all tasks of the project. Changes of the `open` buckets must wait.
    #[must_use]
    pub fn discovered<'a>(
        routes: Vec<Route>,
        tasks: impl Iterator<Item = TaskId>,
        open: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut table = Self::new(routes);
        table.tasks.extend(tasks);
        table.discovered = Some(Discovered::Except(open.map(Into::into).collect()));
        table
    }

    /// The tasks that are routed, in no order.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.iter()
    }

    /// The task of a change: the one that it names, else that of the longest prefix of its bucket that its raw key has.
    pub fn route(&self, bucket: Option<&str>, key: &str, named_task: Option<&str>) -> Result<TaskId, RouteError> {
        if let Some(name) = named_task {
            return self.named(name);
        }
        let Some(bucket) = bucket else { return Err(RouteError::NoRoute) };
        if self.is_open(bucket) {
            return Err(RouteError::Undecided);
        }
        let prefixes = self.buckets.get(bucket);
        prefixes.and_then(|prefixes| prefixes.find(key.as_bytes())).cloned().ok_or(RouteError::NoRoute)
    }

    fn is_open(&self, bucket: &str) -> bool {
        match &self.discovered {
            None => false,
            Some(Discovered::NotYet) => true,
            Some(Discovered::Except(open)) => open.contains(bucket),
        }
    }

    fn named(&self, name: &str) -> Result<TaskId, RouteError> {
        if let Some(task) = self.tasks.get(name) {
            return Ok(task.clone());
        }
        let task = TaskId::new(name).map_err(|_| RouteError::InvalidTask)?;
        match &self.discovered {
            None if self.tasks.is_empty() => Ok(task),
            Some(Discovered::NotYet) => Err(RouteError::Undecided),
            None | Some(Discovered::Except(_)) => Err(RouteError::UnknownTask),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(task: &str, bucket: &str, prefix: Option<&str>) -> Route {
        Route { task: TaskId::new(task).unwrap(), bucket: bucket.to_owned(), prefix: prefix.map(str::to_owned) }
    }

    fn table() -> Routes {
        Routes::new(vec![
            route("all", "landing", None),
            route("in", "landing", Some("in/")),
            route("deep", "landing", Some("in/deep/")),
            route("cn", "照片", Some("中")),
        ])
    }

    fn check(bucket: &str, key: &str, named: Option<&str>, expected: Result<&str, RouteError>) {
        let found = table().route(Some(bucket), key, named);
        assert_eq!(found.as_ref().map(TaskId::as_str).map_err(|error| *error), expected, "{bucket} {key} {named:?}");
    }

    #[test]
    fn the_longest_prefix_wins() {
        check("landing", "x", None, Ok("all"));
        check("landing", "in", None, Ok("all"));
        check("landing", "in/", None, Ok("in"));
        check("landing", "in/deep/er", None, Ok("deep"));
        check("照片", "中文", None, Ok("cn"));
    }

    #[test]
    fn without_a_route_there_is_no_task() {
        check("landin", "in/x", None, Err(RouteError::NoRoute));
        check("照片", "文", None, Err(RouteError::NoRoute));
        assert_eq!(table().route(None, "in/x", None), Err(RouteError::NoRoute));
        assert_eq!(Routes::default().route(Some("landing"), "x", None), Err(RouteError::NoRoute));
    }

    #[test]
    fn a_named_task_goes_before_the_bucket_if_it_is_routed() {
        check("landing", "in/x", Some("cn"), Ok("cn"));
        check("landing", "in/x", Some("other"), Err(RouteError::UnknownTask));
        check("landing", "in/x", Some("no task"), Err(RouteError::InvalidTask));
    }

    #[test]
    fn an_empty_table_takes_every_valid_task() {
        let routes = Routes::default();
        assert_eq!(routes.route(None, "x", Some("any")).unwrap().as_str(), "any");
        assert_eq!(routes.route(None, "x", Some("")), Err(RouteError::InvalidTask));
    }

    #[test]
    fn before_anything_is_listed_every_change_waits_that_could_have_a_task() {
        let routes = Routes::undecided();
        assert_eq!(routes.route(Some("landing"), "x", None), Err(RouteError::Undecided));
        assert_eq!(routes.route(None, "x", Some("any")), Err(RouteError::Undecided));
        assert_eq!(routes.route(None, "x", Some("no task")), Err(RouteError::InvalidTask));
        assert_eq!(routes.route(None, "x", None), Err(RouteError::NoRoute));
    }

    #[test]
    fn a_discovered_table_takes_listed_tasks_only_and_lets_open_buckets_wait() {
        let spare = TaskId::new("spare").unwrap();
        let routes = vec![route("in", "landing", Some("in/")), route("x", "open", None)];
        let routes = Routes::discovered(routes, std::iter::once(spare), std::iter::once("open"));
        assert_eq!(routes.route(Some("landing"), "in/x", None).unwrap().as_str(), "in");
        assert_eq!(routes.route(Some("landing"), "x", None), Err(RouteError::NoRoute));
        assert_eq!(routes.route(Some("open"), "x", None), Err(RouteError::Undecided));
        assert_eq!(routes.route(Some("open"), "x", Some("spare")).unwrap().as_str(), "spare");
        assert_eq!(routes.route(None, "x", Some("other")), Err(RouteError::UnknownTask));
        let empty = Routes::discovered(Vec::new(), std::iter::empty(), std::iter::empty());
        assert_eq!(empty.route(None, "x", Some("any")), Err(RouteError::UnknownTask));
    }

    #[test]
    fn the_first_of_two_equal_routes_counts() {
        let routes = Routes::new(vec![route("a", "b", None), route("c", "b", Some(""))]);
        assert_eq!(routes.route(Some("b"), "x", None).unwrap().as_str(), "a");
        assert_eq!(routes.tasks().count(), 2);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_scan_finds(prefixes in proptest::collection::vec("[ab]{0,4}", 0..8), key in "[ab]{0,6}") {
            let routes: Vec<_> =
                prefixes.iter().enumerate().map(|(i, prefix)| route(&format!("t{i}"), "b", Some(prefix))).collect();
            let mut best: Option<&Route> = None;
            for route in &routes {
                let prefix = route.prefix.as_deref().unwrap_or_default();
                let longer = best.is_none_or(|best| prefix.len() > best.prefix.as_deref().unwrap_or_default().len());
                if key.starts_with(prefix) && longer {
                    best = Some(route);
                }
            }
            let expected = best.map(|route| route.task.clone()).ok_or(RouteError::NoRoute);
            prop_assert_eq!(Routes::new(routes.clone()).route(Some("b"), &key, None), expected);
        }
    }
}
