//! The dashboard: its panels' queries against a Prometheus that has watched busy workers, and what keeps its file in order.

use std::collections::BTreeSet;

use serde_json::Value;

use super::prometheus::Prometheus;
use super::rules::{is_exported, metrics_of};

const DASHBOARD: &str = include_str!("../../../helm/oms-sync-worker/dashboards/oms-sync-worker.json");

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

/// A panel's title with each of its queries.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let queries = panels(dashboard).into_iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap()))
    });
    queries.collect()
}

pub(super) fn every_panel_has_data(prometheus: &Prometheus) {
    let dashboard = dashboard();
    let mut empty = Vec::new();
    for (title, query) in queries(&dashboard) {
        // There is neither a namespace nor a pod here, which `.*` says as well.
        let asked =
            ["$namespace", "$job", "$pod"].iter().fold(query.to_owned(), |query, name| query.replace(name, ".*"));
        let points = prometheus.points(&asked.replace("$__rate_interval", "15s"));
        println!("{points:>6} points  {title}: {query}");
        if points == 0 {
            empty.push(title);
        }
    }
    assert_eq!(empty, Vec::<&str>::new(), "panels without data");
}

#[test]
fn panels_have_titles_of_their_own_texts_units_and_places_that_do_not_overlap() {
    let dashboard = dashboard();
    let (mut titles, mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(titles.insert(title), "{title} is there twice");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has the id of another");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title} is too wide");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{title} covers another panel at {x}, {y}");
            }
        }
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title} is not explained");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(unit.is_string() || panel["type"] == "heatmap", "{title} has no unit");
        }
    }
}

#[test]
fn queries_ask_for_metrics_that_the_worker_exports_of_the_chosen_workers() {
    let dashboard = dashboard();
    for (title, query) in queries(&dashboard) {
        let metrics = metrics_of(query);
        for metric in &metrics {
            assert!(is_exported(metric), "{title}: {metric} is not exported");
        }
        let selectors = query.matches(r#"{namespace=~"$namespace",job=~"$job",pod=~"$pod""#).count();
        let series =
            query.matches("oms_sync_").count() + query.matches("process_").count() + query.matches("up{").count();
        assert_eq!(selectors, series, "{title}: each series is of the chosen workers");
    }
}

#[test]
fn each_row_is_there() {
    let dashboard = dashboard();
    let rows: Vec<&str> = panels(&dashboard)
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert_eq!(rows, ["Is it working?", "OMS", "Kafka", "Dead letters", "Resources"]);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "namespace", "job", "pod"]);
}
