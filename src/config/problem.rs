//! What is wrong with a configuration: every problem at once, each with its path, origin and what to write instead.
//! Never the value of a secret.

use std::collections::BTreeMap;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Path of the value, such as `oms.project_id` or `routes[2].task`.
    pub path: String,
    /// The file or the environment variable it came from; `None` where nothing was given.
    pub origin: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.instead)?;
        match &self.origin {
            Some(origin) => write!(f, " (from {origin})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration; at least one problem. `Display` gives a line each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} configuration problem{}:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Where each value came from: path to file or variable. Paths not in it have their default.
pub(crate) type Origins = BTreeMap<String, String>;

/// Problems as they are found.
#[derive(Default)]
pub(crate) struct Findings {
    origins: Origins,
    problems: Vec<Problem>,
}

impl Findings {
    /// From here on problems say where their value came from.
    pub(crate) fn set_origins(&mut self, origins: Origins) {
        self.origins = origins;
    }

    /// Adds a problem, unless the path or what it is part of has one already: one mistake, one line.
    pub(crate) fn add(&mut self, path: &str, what: &str, instead: &str) {
        if self.covers(path) {
            return;
        }
        let origin = origin_of(&self.origins, path).map(str::to_owned);
        self.add_problem(Problem { path: path.to_owned(), origin, what: what.to_owned(), instead: instead.to_owned() });
    }

    /// Adds a problem whose origin is known to the caller.
    pub(crate) fn add_problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether the path or what it is part of has a problem.
    pub(crate) fn covers(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| is_within(path, &problem.path))
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// Where the value at a path came from, or the list it is part of, or the first value that is part of it.
pub(crate) fn origin_of<'a>(origins: &'a Origins, path: &str) -> Option<&'a str> {
    let holders = origins.iter().filter(|(holder, _)| is_within(path, holder));
    let holder = holders.max_by_key(|(holder, _)| holder.len());
    let found = holder.or_else(|| origins.iter().find(|(part, _)| is_within(part, path)));
    found.map(|(_, origin)| origin.as_str())
}

fn is_within(path: &str, holder: &str) -> bool {
    path.strip_prefix(holder).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistake_is_one_line() {
        let mut findings = Findings::default();
        findings.set_origins(Origins::from([("routes".to_owned(), "w.yaml".to_owned())]));
        findings.add("routes[1]", "no", "write a route");
        findings.add("routes[1].task", "missing", "write a task");
        findings.add("routes[10].task", "missing", "write a task");
        let text = Problems(findings.into_problems()).to_string();
        assert_eq!(
            text,
            "2 configuration problems:\n  routes[1]: no; write a route (from w.yaml)\n  \
             routes[10].task: missing; write a task (from w.yaml)"
        );
    }
}
