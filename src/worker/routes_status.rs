//! What `/status`, `/readyz` and the log tell of discovered routes. Decides nothing.

use serde_json::{Value, json};

use crate::pipeline::discovery::RoutesReport;
use crate::pipeline::discovery::table::{ListedState, Table};
use crate::pipeline::route::Route;
use crate::pipeline::time::Time;

/// Routes that `/status` shows, and tasks; of the others their number.
const SHOWN: usize = 1_000;
/// Routes that a line of the log names.
const LOGGED: usize = 10;
/// Before OMS has said anything.
const NOT_LISTED: &str = "the project's tasks are not listed yet";

/// Whether the table is missing or not what the project's tasks are.
pub(super) fn is_wanting(routes: &RoutesReport) -> bool {
    routes.table.is_none() || routes.problem.is_some()
}

/// Why the worker is not ready. A problem does not count once there is a table.
pub(super) fn unready_because(routes: &RoutesReport) -> Option<String> {
    let said = routes.problem.as_ref().map_or(NOT_LISTED, |problem| &problem.said);
    routes.table.is_none().then(|| format!("no routes yet: {said}"))
}

pub(super) fn of(routes: &RoutesReport, now: Time) -> Value {
    let table = routes.table.as_deref();
    let problem = routes.problem.as_ref();
    json!({
        "in_use": table.is_some(),
        "problem": problem.map(|problem| &problem.said).or(table.is_none().then_some(&NOT_LISTED.into())),
        "problem_for_seconds": problem.map(|problem| now.since(problem.since).as_secs_f64()),
        "listed_seconds_ago": routes.listed_at.map(|at| now.since(at).as_secs_f64()),
        "next_listing_in_seconds": routes.next_listing.map(|at| at.since(now).as_secs_f64()),
        "table": table.map(rows),
        "more_routes": table.map(|table| table.routes.len().saturating_sub(SHOWN)),
        "waiting_buckets": table.map(|table| table.open_buckets().collect::<Vec<_>>()),
        "notes": table.map(|table| &table.notes[..table.notes.len().min(SHOWN)]),
    })
}

fn rows(table: &Table) -> Vec<Value> {
    let row = |route: &Route| {
        let state = match table.state(&route.task) {
            Some(ListedState::Synchronizing) => "synchronizing",
            Some(ListedState::Stopped) => "stopped",
            Some(ListedState::Unknown) | None => "unknown",
        };
        json!({ "bucket": route.bucket, "prefix": route.prefix, "task": route.task.as_str(), "state": state })
    };
    table.routes.iter().take(SHOWN).map(row).collect()
}

/// Routes in a line.
pub(super) fn line(routes: &[Route]) -> String {
    let route = |route: &Route| {
        let prefix = route.prefix.as_ref().map(|prefix| format!(" {prefix:?}")).unwrap_or_default();
        format!("{}{prefix} -> {}", route.bucket, route.task)
    };
    let named: Vec<_> = routes.iter().take(LOGGED).map(route).collect();
    match routes.len() {
        0 => "none".to_owned(),
        all if all > named.len() => format!("{} and {} more", named.join(", "), all - named.len()),
        _ => named.join(", "),
    }
}
