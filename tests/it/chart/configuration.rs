//! The worker's own configuration parser against what the chart gives it: a file, and the environment of the container.

use std::path::Path;

use oms_sync_worker::config::{Loaded, load};
use serde_json::{Value, json};

use super::{Chart, Objects, to_json};

/// What CCE adds to a pod whose service account has an identity.
const POD_IDENTITY: [(&str, &str); 2] = [
    ("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.2/v1/credentials"),
    ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/token"),
];

/// As a pod would load it; where a variable comes from elsewhere it is `from NAME`.
fn loaded(objects: &Objects) -> Loaded {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config_map(objects)).unwrap();
    let mut environment: Vec<(String, String)> = Vec::new();
    for variable in objects.container()["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        if name != "OMS_SYNC_CONFIG" {
            let value = variable["value"].as_str().map_or_else(|| format!("from {name}"), str::to_owned);
            environment.push((name.to_owned(), value));
        }
    }
    environment.extend(POD_IDENTITY.map(|(name, value)| (name.to_owned(), value.to_owned())));
    load(Some(file.path()), environment).unwrap_or_else(|problems| panic!("{problems}"))
}

fn config_map(objects: &Objects) -> &str {
    objects.get("ConfigMap")["data"]["worker.yaml"].as_str().unwrap()
}

fn yaml(text: &str) -> Value {
    to_json(&yaml_rust2::YamlLoader::load_from_str(text).unwrap()[0])
}

/// `over` on top of `under`, as Helm merges values.
fn merged(under: Value, over: &Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let below = under.remove(key).unwrap_or_default();
                under.insert(key.clone(), merged(below, value));
            }
            Value::Object(under)
        }
        (_, over) => over.clone(),
    }
}

#[test]
fn the_worker_takes_the_configuration_of_every_values_file_as_it_was_written() {
    let Some(chart) = Chart::find() else { return };
    let files = chart.values_files();
    assert!(files.len() >= 8, "{files:?}");
    let read = |path: &Path| yaml(&std::fs::read_to_string(path).unwrap());
    let defaults = read(&chart.folder.join("values.yaml"))["config"].clone();
    for file in files {
        let output = chart.helm(&["template"], &[&file]);
        assert!(output.status.success(), "{}: {}", file.display(), super::text(&output.stderr));
        let objects = Objects::read(&super::text(&output.stdout));
        let config = loaded(&objects).config;
        let breaker = config.dead_letter.breaker;
        assert!(breaker.max_per_minute.is_some() && breaker.max_ratio.is_some(), "on, without being asked for");
        let written = merged(defaults.clone(), &read(&file)["config"]);
        assert_eq!(yaml(config_map(&objects)), written, "{}", file.display());
    }
}

#[test]
fn large_numbers_and_text_that_looks_like_numbers_arrive_whole() {
    let Some(chart) = Chart::find() else { return };
    let config = loaded(&chart.render_over("created-credentials", &json!({}))).config;
    assert_eq!((config.limits.max_unsettled_changes, config.limits.max_uncommitted_records), (100_000_000, 1_000_000));
    assert_eq!((&*config.kafka.group_id, &*config.oms.project_id, &*config.kafka.topics[1]), ("007", "0815", "2026"));
    assert_eq!(config.kafka.properties.as_map()["fetch.min.bytes"], "1000000");
    assert_eq!(config.routes[0].prefix.as_deref(), Some("{{ not a template }}/"));
}

#[test]
fn a_secret_property_reaches_the_worker_beside_those_of_the_file() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("created-credentials", &json!({}));
    let variable = objects.variable("OMS_SYNC__KAFKA__PROPERTIES__SASL_PASSWORD").unwrap();
    assert_eq!(variable["valueFrom"]["secretKeyRef"], json!({"name": "kafka-user", "key": "password"}));
    let config = loaded(&objects).config;
    let properties = config.kafka.properties.as_map();
    assert_eq!(properties["sasl.password"], "from OMS_SYNC__KAFKA__PROPERTIES__SASL_PASSWORD");
    assert_eq!(properties["sasl.username"], "worker");
}

#[test]
fn each_pod_of_a_statefulset_is_a_member_under_its_own_name() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render(&json!({"kind": "StatefulSet"}));
    let variable = objects.variable("OMS_SYNC__KAFKA__PROPERTIES__GROUP_INSTANCE_ID").unwrap();
    assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
    assert!(loaded(&objects).config.kafka.properties.as_map().contains_key("group.instance.id"));
    let check = objects.get("Pod").to_string();
    assert!(!check.contains("GROUP_INSTANCE_ID"), "the pod of helm test is no member");
    assert_eq!(objects.get("StatefulSet")["spec"]["serviceName"], objects.get("Service")["metadata"]["name"]);
    assert!(chart.render(&json!({})).variable("OMS_SYNC__KAFKA__PROPERTIES__GROUP_INSTANCE_ID").is_none());
}

#[test]
fn credentials_are_files_where_the_worker_looks_for_them() {
    let Some(chart) = Chart::find() else { return };
    for directory in [None, Some("/elsewhere")] {
        let credentials = directory.map_or(json!({}), |directory| json!({"directory": directory}));
        let objects = chart.render(&json!({"config": {"oms": {"credentials": credentials}}}));
        let mounts = objects.container()["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == "credentials").unwrap();
        let config = loaded(&objects).config;
        assert_eq!(mount["mountPath"].as_str(), config.oms.credentials.directory.to_str());
        assert_eq!(mount["readOnly"], true);
    }
}
