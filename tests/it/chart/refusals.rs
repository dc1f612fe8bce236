//! What the chart refuses, and the sentences that say what to write instead.

use serde_json::{Value, json};

use super::Chart;

#[track_caller]
fn check_refused(chart: &Chart, values: &Value, expected: &[&str]) {
    let told = chart.refusal(Some("minimal"), values);
    for sentence in expected {
        assert!(told.contains(sentence), "{values}\n{told}\nis not\n{sentence}");
    }
    assert_eq!(told.matches("\n  - ").count(), expected.len(), "{told}");
}

#[test]
fn an_installation_without_values_tells_all_that_is_required_at_once() {
    let Some(chart) = Chart::find() else { return };
    let told = chart.refusal(None, &json!({}));
    for sentence in [
        "config.kafka.brokers is missing: write host:port",
        "config.kafka.topics is missing: write the list of topics to read",
        "config.oms.region is missing: write the region, such as cn-north-4, or the base URL in config.oms.endpoint",
        "config.oms.project_id is missing: write the id of the project",
        "config.routes is missing: write a task and a bucket for each route, or [] if every record names its task",
        "no credentials: name a Secret that has the keys access-key and secret-key in credentials.existingSecret",
    ] {
        assert!(told.contains(sentence), "{sentence}\n{told}");
    }
    assert_eq!(told.matches("\n  - ").count(), 6, "{told}");
}

#[test]
fn a_key_that_the_chart_does_not_know_is_refused_with_its_place() {
    let Some(chart) = Chart::find() else { return };
    let values: Value = {
        let text = std::fs::read_to_string(chart.folder.join("values.yaml")).unwrap();
        super::to_json(&yaml_rust2::YamlLoader::load_from_str(&text).unwrap()[0])
    };
    let told = chart.refusal(Some("minimal"), &json!({"replicaCounts": 3}));
    assert!(told.contains("'replicaCounts' not allowed"), "{told}");
    let passed_through =
        ["config", "affinity", "nodeSelector", "podAnnotations", "podLabels", "podSecurityContext", "securityContext"];
    for (section, value) in values.as_object().unwrap() {
        if value.is_object() && !passed_through.contains(&section.as_str()) {
            let told = chart.refusal(Some("minimal"), &json!({section: {"typo": 1}}));
            assert!(told.contains(&format!("'/{section}': additional properties 'typo'")), "{section}: {told}");
        }
    }
    for wrong in [
        json!({"replicaCount": "two"}),
        json!({"kind": "DaemonSet"}),
        json!({"image": {"pullPolicy": "Sometimes"}}),
        json!({"kafka": {"secretProperties": {"sasl.password": {"name": "kafka-user"}}}}),
        json!({"extraEnv": [{"name": "A", "vale": "b"}]}),
        json!({"credentials": {"keys": {"accesskey": "ak"}}}),
    ] {
        let told = chart.refusal(Some("minimal"), &wrong);
        assert!(told.contains("don't meet the specifications of the schema"), "{wrong}: {told}");
    }
}

#[test]
fn keda_and_hpa_are_refused_together_and_without_a_bound() {
    let Some(chart) = Chart::find() else { return };
    check_refused(
        &chart,
        &json!({"keda": {"enabled": true}, "hpa": {"enabled": true}, "partitions": 3}),
        &[
            "keda.enabled and hpa.enabled are both true, and would scale against each other: set one of the two to false",
        ],
    );
    for which in ["keda", "hpa"] {
        let bound = format!(
            "partitions is missing: write how many partitions config.kafka.topics have together, \
             which is the most workers that {which} may start"
        );
        check_refused(&chart, &json!({which: {"enabled": true}}), &[&bound]);
        let too_many = json!({which: {"enabled": true, "minReplicas": 4}, "partitions": 3});
        let sentence = format!("{which}.minReplicas is 4, more than the 3 that may be started at most");
        check_refused(&chart, &too_many, &[&sentence]);
    }
    check_refused(
        &chart,
        &json!({"hpa": {"enabled": true}, "partitions": 3, "resources": {"requests": {"cpu": null}}}),
        &["there is no CPU request to measure against: write resources.requests.cpu, or hpa.metrics"],
    );
    check_refused(
        &chart,
        &json!({
            "keda": {"enabled": true}, "partitions": 3,
            "config": {"kafka": {"properties": {"security.protocol": "SASL_SSL"}}},
        }),
        &["Kafka wants a login (SASL_SSL), which KEDA does not share with the worker: write keda.secretTargetRef"],
    );
}

#[test]
fn credentials_are_there_once_and_in_a_place_that_the_source_reads() {
    let Some(chart) = Chart::find() else { return };
    let source = |name: &str| json!({"oms": {"credentials": {"source": name}}});
    check_refused(&chart, &json!({"credentials": {"existingSecret": ""}}), &["no credentials: name a Secret"]);
    check_refused(
        &chart,
        &json!({"credentials": {"accessKey": "AK", "secretKey": "SK"}}),
        &["credentials.existingSecret and keys in credentials are both given: keep one of the two"],
    );
    check_refused(
        &chart,
        &json!({"credentials": {"existingSecret": "", "accessKey": "AK"}}),
        &["credentials.accessKey and credentials.secretKey belong together: write both"],
    );
    check_refused(
        &chart,
        &json!({"config": source("cce")}),
        &["config.oms.credentials.source is cce, which does not read the Secret oms-credentials"],
    );
    for name in ["auto", "static", "token", "profile"] {
        let without = json!({"config": source(name), "credentials": {"existingSecret": ""}});
        check_refused(
            &chart,
            &without,
            &[&format!("no credentials for config.oms.credentials.source {name}: bring them")],
        );
    }
    let variable = json!([{"name": "HUAWEICLOUD_SDK_AK", "valueFrom": {"secretKeyRef": {"name": "s", "key": "ak"}}}]);
    for taken in [
        json!({"config": source("static"), "credentials": {"existingSecret": ""}, "extraEnv": variable}),
        json!({"config": source("ecs"), "credentials": {"existingSecret": ""}}),
        json!({"config": source("cce"), "credentials": {"existingSecret": ""}}),
        json!({"config": source("auto")}),
    ] {
        chart.render(&taken);
    }
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_shown() {
    let Some(chart) = Chart::find() else { return };
    for (name, sentence) in [
        ("access_key", "write it in credentials.accessKey"),
        ("secret_key", "write it in credentials.secretKey"),
        ("security_token", "write it in credentials.securityToken"),
    ] {
        let values = json!({"config": {"oms": {"credentials": {name: "in-clear"}}}});
        check_refused(&chart, &values, &[sentence]);
        assert!(!chart.refusal(Some("minimal"), &values).contains("in-clear"));
    }
    check_refused(
        &chart,
        &json!({"config": {"oms": {"credentials": {"user": {"password": "in-clear"}}}}}),
        &["bring it as OMS_SYNC__OMS__CREDENTIALS__USER__PASSWORD from a Secret, in extraEnv"],
    );
    for name in ["sasl.password", "ssl.key.pem", "ssl.key.password", "sasl.oauthbearer.client.secret"] {
        check_refused(
            &chart,
            &json!({"config": {"kafka": {"properties": {name: "in-clear"}}}}),
            &[&format!(
                "has {name}, which would be readable in a ConfigMap: name its Secret in kafka.secretProperties"
            )],
        );
    }
}

#[test]
fn a_grace_period_that_would_cut_the_drain_short_is_refused() {
    let Some(chart) = Chart::find() else { return };
    let values = |grace: Value, drain: &str| json!({"terminationGracePeriodSeconds": grace, "config": {"shutdown": {"drain_timeout": drain}}});
    check_refused(
        &chart,
        &values(json!(90), "1m 30s"),
        &["terminationGracePeriodSeconds is 90, and the worker may take 90 s to drain \
           (config.shutdown.drain_timeout): write at least 95, or leave it out"],
    );
    check_refused(&chart, &values(Value::Null, "soon"), &["config.shutdown.drain_timeout is not a duration"]);
    let grace = |grace: Value, drain: &str| {
        chart.render(&values(grace, drain)).pod()["spec"]["terminationGracePeriodSeconds"].clone()
    };
    assert_eq!(grace(json!(91), "1m 30s"), 91);
    for (drain, expected) in [("25s", 35), ("1m 30s", 100), ("2min", 130), ("1h", 3610), ("1500ms", 12)] {
        assert_eq!(grace(Value::Null, drain), expected, "{drain}");
    }
}

#[test]
fn what_would_be_deaf_doubled_or_one_member_for_all_is_refused() {
    let Some(chart) = Chart::find() else { return };
    check_refused(
        &chart,
        &json!({"config": {"admin": {"listen": "127.0.0.1:9464"}}}),
        &["config.admin.listen is 127.0.0.1:9464, where no probe reaches it: write 0.0.0.0:9464"],
    );
    check_refused(
        &chart,
        &json!({"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}}),
        &["serviceMonitor.enabled and podMonitor.enabled are both true"],
    );
    check_refused(
        &chart,
        &json!({"config": {"kafka": {"properties": {"group.instance.id": "w"}}}}),
        &["all pods would be the same member of the group: write kind=StatefulSet"],
    );
    check_refused(
        &chart,
        &json!({
            "networkPolicy": {"enabled": true}, "credentials": {"existingSecret": ""},
            "config": {"oms": {"credentials": {"source": "cce"}}},
        }),
        &["the pod identity service is not let through: write its address in networkPolicy.extraEgress"],
    );
}

#[test]
fn the_notes_warn_of_more_workers_than_partitions_and_of_what_nobody_watches() {
    let Some(chart) = Chart::find() else { return };
    let watched = json!({
        "partitions": 2, "serviceMonitor": {"enabled": true}, "prometheusRule": {"enabled": true},
    });
    let quiet = chart.notes(&watched);
    assert!(!quiet.contains("WARNING") && quiet.contains("2 workers of the group oms-sync-worker"), "{quiet}");
    let told = chart.notes(&json!({"replicaCount": 3, "partitions": 2}));
    assert!(told.contains("WARNING: 3 workers may run, and the topics have 2 partitions"), "{told}");
    assert!(
        told.contains("WARNING: Nothing tells Prometheus") && told.contains("WARNING: There are no alerts"),
        "{told}"
    );
    let scaled = chart.notes(&json!({"partitions": 2, "keda": {"enabled": true, "maxReplicas": 5}}));
    assert!(scaled.contains("WARNING: 5 workers may run"), "{scaled}");
    assert!(chart.notes(&json!({"replicaCount": 1})).contains("WARNING: There is one worker"));
}
