//! The objects of the chart: the rights of its pods, what rolls them, what each toggle adds.

use serde_json::{Value, json};

use super::{Chart, NAME, Objects};

/// What is there whatever is chosen.
const ALWAYS: [&str; 6] = ["ConfigMap", "Deployment", "Pod", "PodDisruptionBudget", "Service", "ServiceAccount"];

/// Whether a selector takes these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
}

/// The kinds beside those that are always there.
fn added(objects: &Objects) -> Vec<&str> {
    let mut kinds = objects.kinds();
    for kind in ALWAYS {
        let place = kinds.iter().position(|found| *found == kind).unwrap_or_else(|| panic!("no {kind}"));
        kinds.remove(place);
    }
    kinds
}

#[test]
fn pods_run_as_nobody_with_no_rights_no_token_and_nothing_to_write() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render(&json!({}));
    for pod in [objects.pod(), objects.get("Pod")] {
        let spec = &pod["spec"];
        let context = &spec["securityContext"];
        assert_eq!((&context["runAsNonRoot"], &context["runAsUser"]), (&json!(true), &json!(65532)));
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(
            (&spec["automountServiceAccountToken"], &spec["enableServiceLinks"]),
            (&json!(false), &json!(false))
        );
        let container = &spec["containers"][0]["securityContext"];
        assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["allowPrivilegeEscalation"], false);
        for volume in spec["volumes"].as_array().unwrap() {
            assert!(volume["emptyDir"].is_null() && volume["hostPath"].is_null(), "{volume}");
        }
    }
    assert_eq!(objects.get("ServiceAccount")["automountServiceAccountToken"], false);
    let resources = &objects.container()["resources"];
    assert!(resources["limits"]["memory"].is_string() && resources["limits"]["cpu"].is_null(), "{resources}");
}

#[test]
fn probes_ask_the_port_that_the_worker_listens_at() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render(&json!({"config": {"admin": {"listen": "0.0.0.0:8000"}}}));
    let container = objects.container();
    assert_eq!(container["ports"], json!([{"name": "metrics", "containerPort": 8000, "protocol": "TCP"}]));
    for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "metrics"}), "{probe}");
    }
    let service = &objects.get("Service")["spec"];
    assert_eq!((&service["ports"][0]["port"], &service["publishNotReadyAddresses"]), (&json!(8000), &json!(true)));
}

#[test]
fn a_change_of_the_configuration_rolls_the_pods_and_one_of_the_credentials_does_not() {
    let Some(chart) = Chart::find() else { return };
    let template = |values: Value| chart.render_over("created-credentials", &values).pod().clone();
    let before = template(json!({}));
    assert_eq!(before["metadata"]["annotations"]["checksum/config"].as_str().unwrap().len(), 64);
    let changed = template(json!({"config": {"log": {"level": "debug"}}}));
    assert_ne!(before["metadata"]["annotations"], changed["metadata"]["annotations"]);
    assert_eq!(before["spec"], changed["spec"]);
    for same in [
        json!({"credentials": {"accessKey": "AK2", "secretKey": "SK2"}}),
        json!({"replicaCount": 7}),
        json!({"serviceMonitor": {"enabled": true}, "networkPolicy": {"enabled": true}}),
    ] {
        assert_eq!(template(same.clone()), before, "{same}");
    }
}

#[test]
fn nodes_are_drained_one_worker_at_a_time() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render(&json!({}));
    let budget = &objects.get("PodDisruptionBudget")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["minAvailable"]), (&json!(1), &Value::Null));
    assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    let at_least = chart.render(&json!({"podDisruptionBudget": {"minAvailable": "50%"}}));
    let budget = &at_least.get("PodDisruptionBudget")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["minAvailable"]), (&Value::Null, &json!("50%")));
    assert!(chart.render(&json!({"podDisruptionBudget": {"enabled": false}})).find("PodDisruptionBudget").is_none());
}

#[test]
fn selectors_take_the_workers_pods_and_not_the_one_of_helm_test() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("monitoring", &json!({"networkPolicy": {"enabled": true}}));
    let (worker, check) = (&objects.pod()["metadata"]["labels"], &objects.get("Pod")["metadata"]["labels"]);
    let spread = &objects.pod()["spec"]["topologySpreadConstraints"];
    assert_eq!(spread.as_array().unwrap().len(), 2);
    let deployment = &objects.get("Deployment")["spec"]["selector"]["matchLabels"];
    for selector in [
        deployment,
        &objects.get("Service")["spec"]["selector"],
        &objects.get("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &spread[0]["labelSelector"]["matchLabels"],
    ] {
        assert!(selects(selector, worker) && !selects(selector, check), "{selector}");
    }
    let service = &objects.get("Service")["metadata"]["labels"];
    assert!(selects(&objects.get("ServiceMonitor")["spec"]["selector"]["matchLabels"], service));
    let policy = &objects.get("NetworkPolicy")["spec"]["podSelector"]["matchLabels"];
    assert!(selects(policy, worker) && selects(policy, check), "the check needs the same ways out");
}

#[test]
fn a_deployment_replaces_one_worker_at_a_time_and_none_before_the_new_one_is_ready() {
    let Some(chart) = Chart::find() else { return };
    let spec = chart.render(&json!({})).get("Deployment")["spec"].clone();
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    assert_eq!((&spec["minReadySeconds"], &spec["replicas"]), (&json!(10), &json!(2)));
}

#[test]
fn the_made_secret_has_the_keys_that_are_mounted() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("created-credentials", &json!({"credentials": {"keys": {"accessKey": "ak"}}}));
    let secret = objects.get("Secret");
    assert_eq!(
        secret["data"],
        json!({"ak": "QUs=", "secret-key": "czNjcmV0L3dpdGgrc2lnbnM9", "security-token": "dG9rZW4="})
    );
    let volumes = objects.pod()["spec"]["volumes"].as_array().unwrap();
    let mounted = volumes.iter().find(|volume| volume["name"] == "credentials").unwrap();
    let sources = &mounted["projected"]["sources"];
    assert_eq!(sources[0]["secret"]["name"], secret["metadata"]["name"]);
    let expected = json!([{"key": "ak", "path": "access-key"}, {"key": "secret-key", "path": "secret-key"}]);
    assert_eq!(sources[0]["secret"]["items"], expected);
    assert_eq!(sources[1]["secret"]["optional"], true, "the security token may be missing");
    let named = chart.render(&json!({}));
    assert!(named.find("Secret").is_none() && named.pod().to_string().contains("oms-credentials"));
    let identity = chart.render_over("pod-identity", &json!({}));
    assert!(identity.find("Secret").is_none() && !identity.pod().to_string().contains("\"credentials\""));
}

#[test]
fn keda_scales_by_the_lag_of_each_topic_up_to_the_partitions() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("keda", &json!({}));
    assert!(objects.get("Deployment")["spec"]["replicas"].is_null(), "or an upgrade would undo the scaling");
    let spec = &objects.get("ScaledObject")["spec"];
    assert_eq!(spec["scaleTargetRef"], json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}));
    assert_eq!((&spec["minReplicaCount"], &spec["maxReplicaCount"]), (&json!(2), &json!(24)));
    let behavior = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
    assert_eq!(behavior["scaleDown"]["stabilizationWindowSeconds"], 600);
    let triggers = spec["triggers"].as_array().unwrap();
    let topics: Vec<&Value> = triggers.iter().map(|trigger| &trigger["metadata"]["topic"]).collect();
    assert_eq!(topics, ["object-changes", "other-changes"]);
    let metadata = &triggers[0]["metadata"];
    assert_eq!(metadata["bootstrapServers"], "kafka-1:9093,kafka-2:9093");
    assert_eq!((&metadata["consumerGroup"], &metadata["lagThreshold"]), (&json!("oms-sync-worker"), &json!("100000")));
    assert_eq!((&metadata["excludePersistentLag"], &metadata["sasl"]), (&json!("true"), &json!("scram_sha512")));
    let login = objects.get("TriggerAuthentication");
    assert_eq!(triggers[0]["authenticationRef"]["name"], login["metadata"]["name"]);
    assert_eq!(login["spec"]["secretTargetRef"].as_array().unwrap().len(), 2);
    let other = json!({"keda": {"secretTargetRef": [], "authenticationRef": {"name": "own"}, "maxReplicas": 6}});
    let other = chart.render_over("keda", &other);
    assert!(other.find("TriggerAuthentication").is_none());
    let spec = &other.get("ScaledObject")["spec"];
    assert_eq!(
        (&spec["maxReplicaCount"], &spec["triggers"][1]["authenticationRef"]["name"]),
        (&json!(6), &json!("own"))
    );
}

#[test]
fn an_hpa_scales_the_workload_that_there_is() {
    let Some(chart) = Chart::find() else { return };
    for kind in ["Deployment", "StatefulSet"] {
        let objects = chart.render(&json!({"kind": kind, "hpa": {"enabled": true}, "partitions": 5}));
        assert!(objects.workload()["spec"]["replicas"].is_null());
        let spec = &objects.get("HorizontalPodAutoscaler")["spec"];
        assert_eq!(spec["scaleTargetRef"], json!({"apiVersion": "apps/v1", "kind": kind, "name": NAME}));
        assert_eq!((&spec["minReplicas"], &spec["maxReplicas"]), (&json!(2), &json!(5)));
        assert_eq!(spec["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
    }
}

#[test]
fn each_toggle_adds_its_object_and_nothing_else() {
    let Some(chart) = Chart::find() else { return };
    assert_eq!(added(&chart.render(&json!({}))), Vec::<&str>::new());
    for (toggle, kind) in [
        ("serviceMonitor", "ServiceMonitor"),
        ("podMonitor", "PodMonitor"),
        ("prometheusRule", "PrometheusRule"),
        ("dashboard", "ConfigMap"),
        ("networkPolicy", "NetworkPolicy"),
        ("hpa", "HorizontalPodAutoscaler"),
        ("keda", "ScaledObject"),
    ] {
        let objects = chart.render(&json!({toggle: {"enabled": true}, "partitions": 2}));
        assert_eq!(added(&objects), [kind], "{toggle}");
    }
    let none = chart.render(&json!({"serviceAccount": {"create": false}}));
    assert!(none.find("ServiceAccount").is_none());
    assert_eq!(none.pod()["spec"]["serviceAccountName"], "default");
}

#[test]
fn alerts_are_those_of_the_file_and_lead_to_the_runbook() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("monitoring", &json!({}));
    let rules = std::fs::read_to_string(chart.folder.join("rules/oms-sync-worker.rules.yaml")).unwrap();
    let rule = objects.get("PrometheusRule");
    assert_eq!(Objects::read(&rules).0, [rule["spec"].clone()]);
    assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
    let read_at = json!({"prometheusRule": {"runbookUrl": "https://wiki.example.com/runbook.md"}});
    let rendered = chart.render_over("monitoring", &read_at).get("PrometheusRule").to_string();
    let alerts = rendered.matches("\"alert\":").count();
    assert!(alerts > 10 && rendered.matches("https://wiki.example.com/runbook.md#omssync").count() == alerts);
}

#[test]
fn the_dashboard_is_that_of_the_file() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("monitoring", &json!({}));
    let dashboard = std::fs::read_to_string(chart.folder.join("dashboards/oms-sync-worker.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let maps = objects.0.iter().filter(|object| object["kind"] == "ConfigMap");
    let map = maps.into_iter().find(|map| map["metadata"]["labels"]["grafana_dashboard"] == "1").unwrap();
    let shown: Value = serde_json::from_str(map["data"]["oms-sync-worker.json"].as_str().unwrap()).unwrap();
    assert_eq!(shown, dashboard);
}

#[test]
fn a_network_policy_lets_through_what_the_configuration_asks_for() {
    let Some(chart) = Chart::find() else { return };
    let ports = |objects: &Objects| {
        let rules = objects.get("NetworkPolicy")["spec"]["egress"].as_array().unwrap().clone();
        let of_rule = |rule: &Value| -> Vec<Value> {
            rule["ports"].as_array().unwrap().iter().map(|port| port["port"].clone()).collect()
        };
        rules.iter().map(of_rule).collect::<Vec<_>>()
    };
    let metadata = |objects: &Objects| objects.get("NetworkPolicy").to_string().contains("169.254.169.254/32");

    let plain = chart.render(&json!({"networkPolicy": {"enabled": true}}));
    assert_eq!(json!(ports(&plain)), json!([[53, 53], [9092], [443]]));
    assert!(!metadata(&plain));
    assert_eq!(
        plain.get("NetworkPolicy")["spec"]["ingress"],
        json!([{"ports": [{"port": "metrics", "protocol": "TCP"}]}])
    );

    let node = chart.render_over("ecs", &json!({}));
    assert_eq!(json!(ports(&node)), json!([[53, 53], [9092, 19092], [80], [80]]));
    assert!(metadata(&node));

    let identity = chart.render_over("pod-identity", &json!({}));
    assert_eq!(json!(ports(&identity)), json!([[53, 53], [9092, 9093], [443], [80]]));
    assert!(!metadata(&identity));
}

#[test]
fn what_can_be_added_to_a_pod_is_in_it() {
    let Some(chart) = Chart::find() else { return };
    let objects = chart.render_over("statefulset", &json!({}));
    let (pod, container) = (objects.pod(), objects.container());
    assert_eq!(objects.workload()["metadata"]["name"], "worker");
    assert_eq!(pod["metadata"]["annotations"]["example.com/owner"], "data");
    assert_eq!(pod["metadata"]["labels"]["team"], "data");
    assert!(container["image"].as_str().unwrap().starts_with("oms-sync-worker@sha256:"));
    assert_eq!(objects.variable("HTTPS_PROXY").unwrap()["value"], "http://proxy:3128");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "proxy");
    let spec = &pod["spec"];
    for (place, expected) in [
        (&spec["imagePullSecrets"], json!([{"name": "registry"}])),
        (&spec["nodeSelector"], json!({"kubernetes.io/arch": "amd64"})),
        (&spec["tolerations"], json!([{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}])),
        (&spec["priorityClassName"], json!("data")),
        (&spec["hostAliases"], json!([{"ip": "10.0.0.1", "hostnames": ["kafka"]}])),
        (&spec["terminationGracePeriodSeconds"], json!(60)),
        (&spec["topologySpreadConstraints"], Value::Null),
    ] {
        assert_eq!(*place, expected);
    }
    assert!(spec["affinity"]["nodeAffinity"].is_object());
    assert!(
        spec["volumes"].to_string().contains("kafka-ca")
            && container["volumeMounts"].to_string().contains("/etc/kafka-ca")
    );
}

#[test]
fn the_chart_installs_the_version_that_it_lies_beside() {
    let Some(chart) = Chart::find() else { return };
    let about = Objects::read(&std::fs::read_to_string(chart.folder.join("Chart.yaml")).unwrap());
    assert_eq!(about.0[0]["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart.render(&json!({})).container()["image"], format!("oms-sync-worker:{}", env!("CARGO_PKG_VERSION")));
}
