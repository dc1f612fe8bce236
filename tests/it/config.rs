//! Configuration as a whole: layers, problems, secrets, schema, and the README's table. Reads no real environment.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what a test's own steps need must be there")]

use std::path::{Path, PathBuf};
use std::process::Command;

use oms_sync_worker::config::{Loaded, Problems, Secret, StoppedTasks, load, markdown_table, schema};

const MINIMAL: [(&str, &str); 6] = [
    ("OMS_SYNC__KAFKA__BROKERS", "kafka:9092"),
    ("OMS_SYNC__KAFKA__TOPICS", "a, b"),
    ("OMS_SYNC__OMS__REGION", "cn-north-4"),
    ("OMS_SYNC__OMS__PROJECT_ID", "1234"),
    ("OMS_SYNC__OMS__CREDENTIALS__ACCESS_KEY", "access-key-in-clear"),
    ("OMS_SYNC__OMS__CREDENTIALS__SECRET_KEY", "secret-key-in-clear"),
];

fn from_environment(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load(None, owned(variables))
}

/// The minimal environment, and these on top of it.
fn minimal_with(more: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let given = |name: &str| more.iter().any(|(other, _)| *other == name);
    let minimal = MINIMAL.into_iter().filter(|(name, _)| !given(name));
    load(None, minimal.chain(more.iter().copied()).map(|(name, text)| (name.to_owned(), text.to_owned())))
}

fn from_file(yaml: &str, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.yaml");
    std::fs::write(&path, yaml).unwrap();
    load(Some(&path), owned(variables))
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// `path: what` of each problem.
fn told(result: Result<Loaded, Problems>) -> Vec<String> {
    let problems = result.expect_err("must be refused").0;
    problems.iter().map(|problem| format!("{}: {}; {}", problem.path, problem.what, problem.instead)).collect()
}

#[track_caller]
fn check_told(result: Result<Loaded, Problems>, expected: &[&str]) {
    let found = told(result);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(name)
}

#[test]
fn the_environment_alone_is_enough() {
    let loaded = minimal_with(&[
        ("OMS_SYNC__ROUTES", r#"[{"task":"31e9","bucket":"landing"},{"task":"77","bucket":"landing","prefix":"in/"}]"#),
        ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"security.protocol":"SASL_SSL","sasl.password":"pass-in-clear"}"#),
        ("OMS_SYNC__OMS__MAX_REQUESTS_PER_SECOND", "12.5"),
        ("OMS_SYNC__EVENTS__MAX_KEYS", "7"),
        ("OMS_SYNC__DEAD_LETTER__BREAKER", r#"{"max_per_minute":600,"max_ratio":0.5}"#),
        ("OMS_SYNC__DEAD_LETTER__BREAKER__MIN_RECORDS", "50"),
        ("OMS_SYNC__ADMIN__UNREADY_ON_HOLD", "true"),
        ("OMS_SYNC__OMS__CA_FILE", ""),
        ("OMS_SYNC__LIMITS__MAX_UNSETTLED_BYTES", "1 MiB"),
    ])
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.kafka.topics, ["a", "b"]);
    assert_eq!(config.oms.project_id, "1234");
    assert_eq!(config.oms.endpoint, "https://oms.cn-north-4.myhuaweicloud.com");
    assert_eq!(config.oms.max_requests_per_second, Some(12.5));
    assert_eq!((config.events.max_keys, config.admin.unready_on_hold, config.oms.ca_file), (7, true, None));
    let breaker = config.dead_letter.breaker;
    assert_eq!((breaker.max_per_minute, breaker.max_ratio, breaker.min_records), (Some(600), Some(0.5), 50));
    assert_eq!(config.limits.max_unsettled_bytes, 1 << 20);
    assert_eq!(config.kafka.properties.as_map()["sasl.password"], "pass-in-clear");
    assert_eq!((config.routes.len(), config.routes[1].prefix.as_deref()), (2, Some("in/")));
}

#[test]
fn all_problems_come_at_once_with_their_paths() {
    let yaml = "
kafka:
  brokers: [a, b]
  topics: object-changes
  commit_interval: 5
  start_from: latests
  propertys: {}
  properties: {enable.auto.commit: true, group.id: g}
oms:
  project_id: 1234
  endpoint: ftp://x
  max_in_flight: many
  request_timeout: 0s
  credentials: {access_key: ak, secret_key: 99}
routes:
  - {task: bad_id, bucket: b}
  - just text
  - {bucket: c}
  - {task: t, bucket: d}
  - {task: u, bucket: d}
events: {max_keys: 11}
limits: {max_unsettled_bytes: 64}
dead_letter: {breaker: {max_per_minute: 0, max_ratio: 1}}
";
    let result = from_file(yaml, &[("OMS_SYNC__LOG__FORMAT", "xml"), ("OMS_SYNC__RETRY__INITIAL", "soon")]);
    let expected = [
        "dead_letter.breaker.max_per_minute: 0 is out of range; write 1 to 1000000",
        "dead_letter.breaker.max_ratio: out of range; write a number above 0 and below 1",
        "events.max_keys: 11 is out of range; write 1 to 10",
        "kafka.brokers: invalid type: sequence, expected a string; write one text",
        "kafka.commit_interval: invalid type: integer `5`, expected a string; write it with its unit, for example 1s",
        "kafka.properties.enable.auto.commit: the worker owns this property",
        "kafka.properties.group.id: the worker owns this property; use kafka.group_id",
        "kafka.propertys: unknown key; did you mean kafka.properties?",
        "kafka.start_from: unknown variant `latests`",
        "kafka.topics: invalid type: string \"object-changes\", expected a sequence; write a list: [object-changes]",
        "limits.max_unsettled_bytes: invalid type: integer `64`, expected a string; write it with its unit, for example 24MiB",
        "log.format: unknown variant `xml`",
        "oms.credentials.secret_key: has the wrong type; put it in quotes",
        "oms.endpoint: neither http nor https",
        "oms.max_in_flight: invalid type: string \"many\", expected u32; write a whole number",
        "oms.project_id: invalid type: integer `1234`, expected a string; put it in quotes",
        "oms.request_timeout: out of range; write more than 0s",
        "retry.initial: \"soon\" is not a duration with a unit",
        "routes[0].task: not the id of a synchronization task",
        "routes[1]: invalid type: string \"just text\", expected a route with task and bucket",
        "routes[2].task: missing",
        "routes[4]: the same bucket and prefix as routes[3]",
    ];
    check_told(result, &expected);
}

#[test]
fn an_empty_configuration_says_what_is_required() {
    check_told(
        from_environment(&[]),
        &[
            "kafka.brokers: missing",
            "kafka.topics: missing",
            "oms.endpoint: missing; write oms.region or oms.endpoint",
            "oms.project_id: missing",
        ],
    );
}

#[test]
fn the_environment_wins_over_the_file_and_the_sdk_variables_come_last() {
    let yaml = "
kafka: {brokers: file:9092, topics: [file], properties: {security.protocol: SASL_SSL, sasl.username: file}}
oms: {region: cn-east-3, endpoint: 'https://file.example/base/', project_id: from-file}
";
    let loaded = from_file(
        yaml,
        &[
            ("OMS_SYNC__KAFKA__TOPICS", "env"),
            ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"sasl.username":"env"}"#),
            ("HUAWEICLOUD_SDK_PROJECT_ID", "from-sdk"),
            ("HUAWEICLOUD_SDK_AK", " h-ak "),
            ("HUAWEICLOUD_SDK_SK", "h-sk"),
            ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "h-token"),
            ("CLOUD_SDK_AK", "c-ak"),
            ("CLOUD_SDK_SK", "c-sk"),
        ],
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!((config.kafka.brokers.as_str(), config.kafka.topics.as_slice()), ("file:9092", &["env".to_owned()][..]));
    assert_eq!(config.kafka.properties.as_map()["sasl.username"], "env");
    assert_eq!(config.kafka.properties.as_map()["security.protocol"], "SASL_SSL");
    assert_eq!(config.oms.project_id, "from-file");
    assert_eq!(config.oms.endpoint, "https://file.example/base", "an endpoint wins over a region");
    let credentials = config.oms.credentials.keys.as_ref().unwrap();
    let token = credentials.security_token.as_ref().map(Secret::expose);
    assert_eq!(
        (credentials.access_key.expose(), credentials.secret_key.expose(), token),
        ("h-ak", "h-sk", Some("h-token"))
    );

    let origin = |path: &str| {
        let setting = loaded.effective.0.iter().find(|setting| setting.path == path);
        setting.map(|setting| setting.origin.clone()).unwrap_or_default()
    };
    assert_eq!(origin("kafka.topics"), "OMS_SYNC__KAFKA__TOPICS");
    assert!(origin("kafka.brokers").ends_with("worker.yaml"));
    assert_eq!(origin("oms.credentials.access_key"), "HUAWEICLOUD_SDK_AK");
    assert_eq!(origin("kafka.group_id"), "default");
}

#[test]
fn a_problem_names_the_variable_or_the_file_it_came_from() {
    let text = minimal_with(&[("OMS_SYNC__EVENTS__LINGER", "200")]).unwrap_err().to_string();
    assert!(text.starts_with("1 configuration problem:\n  events.linger: "), "{text}");
    assert!(text.ends_with("(from OMS_SYNC__EVENTS__LINGER)"), "{text}");
    let text = minimal_with(&[("OMS_SYNC__KAFKA__BROKER", "x")]).unwrap_err().to_string();
    assert!(
        text.contains("kafka.broker: unknown key; did you mean kafka.brokers? (from OMS_SYNC__KAFKA__BROKER)"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_a_problem_with_its_name() {
    check_told(load(Some(Path::new("/nowhere/w.yaml")), owned(&MINIMAL)), &["/nowhere/w.yaml: cannot be read"]);
    for yaml in ["kafka: [", "- a list", "a: 1\na: 2", "a: 1\n---\nb: 1"] {
        let text = from_file(yaml, &MINIMAL).unwrap_err().to_string();
        assert!(text.contains("worker.yaml: is not YAML with keys and values"), "{yaml}: {text}");
    }
    assert!(from_file("\u{feff}# nothing\n", &MINIMAL).is_ok());
    assert!(from_file("kafka:\n  properties:\noms: {ca_file: null}\n", &MINIMAL).is_ok(), "null is the default");
    let named = minimal_with(&[("OMS_SYNC_CONFIG", "/nowhere/named.yaml")]);
    check_told(named, &["/nowhere/named.yaml: cannot be read"]);
    assert!(minimal_with(&[("OMS_SYNC_CONFIG", "")]).is_ok());
}

#[test]
fn topics_are_checked_against_each_other_and_the_dead_letter_topics() {
    let topics = |list| minimal_with(&[("OMS_SYNC__KAFKA__TOPICS", list)]);
    check_told(topics("^a.*"), &["kafka.topics[0]: a pattern of topics"]);
    check_told(topics("a,b,a"), &["kafka.topics[2]: the same as kafka.topics[0]"]);
    check_told(topics("a,a.dlq"), &["kafka.topics[1]: a.dlq is also the dead-letter topic of a"]);
    check_told(topics("a b"), &["kafka.topics[0]: \"a b\" is not the name of a topic"]);
    check_told(topics(""), &["kafka.topics: missing"]);
    let own = minimal_with(&[("OMS_SYNC__DEAD_LETTER__TOPIC", "b")]);
    check_told(own, &["kafka.topics[1]: b is also the dead-letter topic of a"]);
    let other = minimal_with(&[("OMS_SYNC__RECORDS__TOPICS", r#"{"c":{"format":"native"}}"#)]);
    check_told(other, &["records.topics.c: not one of kafka.topics"]);
}

#[test]
fn a_written_list_of_codes_replaces_its_default_and_no_code_has_two_meanings() {
    let codes = minimal_with(&[("OMS_SYNC__OMS__VERDICT_CODES__BUSY", "OMS.0077,OMS.1001")]).unwrap().config.oms;
    assert_eq!(codes.verdict_codes.busy, ["OMS.0077", "OMS.1001"]);
    assert_eq!(codes.verdict_codes.credentials, ["OMS.0068", "OMS.1005"], "the others keep theirs");

    let yaml = "
oms:
  verdict_codes:
    credentials: []
    endpoint: [OMS.0005, OMS.0005]
    busy: [OMS.1001, OMS.0066]
    refused: ['', 'two words']
    own_prefixes: ['']
";
    check_told(
        from_file(yaml, &MINIMAL),
        &[
            "oms.verdict_codes.busy[1]: OMS.0066 is also oms.verdict_codes.task_stopped[2]; keep one of the two",
            "oms.verdict_codes.endpoint[1]: OMS.0005 is also oms.verdict_codes.endpoint[0]; keep one of the two",
            "oms.verdict_codes.own_prefixes[0]: \"\" is not what an error code begins with; write for example OMS.",
            "oms.verdict_codes.refused[0]: \"\" is not an error code; write for example OMS.0063",
            "oms.verdict_codes.refused[1]: \"two words\" is not an error code",
        ],
    );
    let unknown = from_file("oms: {verdict_codes: {bussy: []}}", &MINIMAL);
    check_told(unknown, &["oms.verdict_codes.bussy: unknown key; did you mean oms.verdict_codes.busy?"]);
}

#[test]
fn routes_may_be_the_word_discover_with_prefixes_that_tell_tasks_apart() {
    let config = minimal_with(&[("OMS_SYNC__ROUTES", "discover")]).unwrap().config;
    let discovery = config.discovery.unwrap();
    assert_eq!((discovery.interval.as_secs(), discovery.prefixes.len(), config.routes.len()), (300, 0, 0));
    assert_eq!(config.stopped_tasks, StoppedTasks::Wait);
    let yaml = "
kafka: {brokers: k, topics: [t]}
oms: {region: cn-north-4, project_id: p}
routes: discover
discovery:
  interval: 30s
  prefixes: {31e9-b7: in/, 77aa: out/}
stopped_tasks: dead_letter
";
    let config = from_file(yaml, &[]).unwrap().config;
    let discovery = config.discovery.unwrap();
    let prefixes: Vec<_> = discovery.prefixes.iter().map(|(task, prefix)| (task.as_str(), prefix.as_str())).collect();
    assert_eq!((discovery.interval.as_secs(), prefixes), (30, vec![("31e9-b7", "in/"), ("77aa", "out/")]));
    assert_eq!(config.stopped_tasks, StoppedTasks::DeadLetter);
    let given = ("OMS_SYNC__DISCOVERY__PREFIXES", r#"{"31e9":"in/"}"#);
    let config = minimal_with(&[("OMS_SYNC__ROUTES", "discover"), given]).unwrap().config;
    assert_eq!(config.discovery.unwrap().prefixes.len(), 1);
    let listed = minimal_with(&[("OMS_SYNC__ROUTES", r#"[{"task":"31e9","bucket":"landing"}]"#)]).unwrap().config;
    assert_eq!(listed.discovery, None);
}

#[test]
fn what_is_wrong_with_a_discovery_is_told_at_once() {
    let yaml = "
kafka: {brokers: k, topics: [t]}
oms: {region: cn-north-4, project_id: p}
routes: discover
discovery:
  interval: 999ms
  prefixes: {bad_id: in/, 31e9: ''}
stopped_tasks: dead-letter
";
    let expected = [
        "discovery.interval: out of range; write 1s to 24h",
        "discovery.prefixes.31e9: empty; write what the keys begin with",
        "discovery.prefixes.bad_id: not the id of a synchronization task; write letters",
        "stopped_tasks: unknown variant `dead-letter`, expected `wait` or `dead_letter`; write one of wait, dead_letter",
    ];
    check_told(from_file(yaml, &[]), &expected);
    let without = minimal_with(&[("OMS_SYNC__DISCOVERY__INTERVAL", "1m")]);
    check_told(without, &["discovery: the routes are written; write routes: discover, or leave discovery out"]);
    let other_word = minimal_with(&[("OMS_SYNC__ROUTES", "discovery")]);
    check_told(
        other_word,
        &["routes: invalid value: string \"discovery\", expected a list of routes or the word discover"],
    );
}

#[test]
fn each_source_of_credentials_says_what_it_lacks() {
    let with = |source: &'static str, more: &[(&'static str, &'static str)]| {
        let minimal = MINIMAL.into_iter().filter(|(name, _)| !name.contains("CREDENTIALS"));
        let all: Vec<_> =
            minimal.chain([("OMS_SYNC__OMS__CREDENTIALS__SOURCE", source)]).chain(more.iter().copied()).collect();
        from_environment(&all)
    };
    for source in ["auto", "file", "ecs"] {
        assert!(with(source, &[]).is_ok(), "{source}");
    }
    check_told(with("static", &[]), &["oms.credentials.access_key: missing", "oms.credentials.secret_key: missing"]);
    check_told(with("auto", &[("HUAWEICLOUD_SDK_AK", "ak")]), &["oms.credentials.secret_key: missing"]);
    check_told(with("profile", &[]), &["oms.credentials.profile_file: missing"]);
    check_told(with("cce", &[]), &["oms.credentials.pod_identity_url: missing; set HC_CONTAINER"]);
    check_told(
        with("cce", &[("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://h/x")]),
        &["oms.credentials.pod_identity_token_file: missing", "oms.credentials.pod_identity_url: missing"],
    );
    check_told(
        with("token", &[("OMS_SYNC__OMS__CREDENTIALS__USER__NAME", "n")]),
        &["oms.credentials.user.domain: missing", "oms.credentials.user.password: missing"],
    );
    let metadata = [("OMS_SYNC__OMS__CREDENTIALS__METADATA_ENDPOINT", "169.254.169.254")];
    check_told(with("ecs", &metadata), &["oms.credentials.metadata_endpoint: not a URL"]);
    let found = with("profile", &[("HOME", "/home/w")]).unwrap().config.oms.credentials;
    assert_eq!(found.profile_file.as_deref(), Some(Path::new("/home/w/.huaweicloud/credentials")));
    assert_eq!(found.iam_endpoint, "https://iam.cn-north-4.myhuaweicloud.com");
}

#[test]
fn endpoints_are_plain_urls() {
    for (endpoint, why) in [
        ("oms.example.com", "not a URL"),
        ("https://user:pw-in-clear@oms.example.com", "holds a user or a password"),
        ("https://oms.example.com?a=b", "holds a query"),
        ("https://oms.example.com#a", "holds a fragment"),
    ] {
        let result = minimal_with(&[("OMS_SYNC__OMS__ENDPOINT", endpoint)]);
        let found = told(result);
        assert!(
            found[0].starts_with(&format!("oms.endpoint: {why}")) && !found[0].contains("pw-in-clear"),
            "{found:?}"
        );
    }
    let warnings = |name| minimal_with(&[("OMS_SYNC__OMS__REGION", name)]).unwrap().warnings;
    assert!(warnings("cn-north-4").is_empty());
    assert!(warnings("cn-moon-1")[0].contains("cn-moon-1"));
}

#[test]
fn a_property_of_kafka_can_have_a_variable_of_its_own() {
    let loaded = minimal_with(&[
        ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"security.protocol":"SASL_SSL","sasl.password":"old-in-clear"}"#),
        ("OMS_SYNC__KAFKA__PROPERTIES__SASL_PASSWORD", r#"pass "in-clear" {\"#),
        ("OMS_SYNC__KAFKA__PROPERTIES__GROUP_INSTANCE_ID", "worker-0"),
    ])
    .unwrap();
    let properties = loaded.config.kafka.properties.as_map();
    assert_eq!(properties["sasl.password"], r#"pass "in-clear" {\"#, "as it is, and before the structure");
    assert_eq!((&*properties["security.protocol"], &*properties["group.instance.id"]), ("SASL_SSL", "worker-0"));
    assert!(!format!("{loaded:?}\n{}", loaded.effective).contains("in-clear"));

    let refused = minimal_with(&[
        ("OMS_SYNC__KAFKA__PROPERTIES__GROUP_ID", "g"),
        ("OMS_SYNC__KAFKA__PROPERTIES__SASL_PASSWORT", "in-clear"),
        ("OMS_SYNC__RECORDS__TOPICS__A__FORMAT", "native"),
    ]);
    check_told(
        refused,
        &[
            "kafka.properties.group.id: the worker owns this property",
            "kafka.properties.sasl.passwort: ",
            "records.topics.a.format: a structure is given as a whole",
        ],
    );
}

#[test]
fn secrets_appear_nowhere() {
    let loaded = minimal_with(&[
        ("OMS_SYNC__OMS__CREDENTIALS__SECURITY_TOKEN", "token-in-clear"),
        ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"security.protocol":"SASL_SSL","sasl.password":"pass-in-clear"}"#),
    ])
    .unwrap();
    let shown = format!("{loaded:?}\n{}\n{}", loaded.effective, loaded.effective.log_line());
    assert!(!shown.contains("in-clear"), "{shown}");
    assert!(shown.contains("kafka.properties.sasl.password=\"***\""), "{shown}");
    assert_eq!(loaded.effective.log_line().lines().count(), 1);

    let refused = minimal_with(&[
        ("OMS_SYNC__OMS__CREDENTIALS__SECRET_KEY", "in-clear with blank"),
        ("OMS_SYNC__OMS__CREDENTIALS__USER", r#"{"password": {"in-clear": true}}"#),
        ("OMS_SYNC__ROUTES", r#"[{"in-clear"}]"#),
        ("OMS_SYNC__KAFKA__PROPERTIES", r#"{"sasl.password": ["in-clear"], "ssl.key.pem": "in-clear"}"#),
    ]);
    let refused = refused.unwrap_err();
    assert!(refused.0.len() >= 4, "{refused}");
    assert!(!format!("{refused} {refused:?}").replace("password.in-clear", "").contains("in-clear"), "{refused}");
}

#[test]
fn the_documented_file_is_accepted() {
    let config = load(Some(&fixture("full.yaml")), []).unwrap().config;
    assert!(config.oms.credentials.user.is_some());
}

#[test]
fn every_documented_default_is_the_default() {
    let loaded = from_environment(&MINIMAL).unwrap();
    let shown = loaded.effective.to_string();
    for line in [
        "kafka.group_id = \"oms-sync-worker\"",
        "kafka.start_from = \"earliest\"",
        "kafka.commit_interval = \"1s\"",
        "oms.connect_timeout = \"5s\"",
        "oms.request_timeout = \"30s\"",
        "oms.max_in_flight = 64",
        "oms.max_in_flight_per_task = 16",
        "oms.max_requests_per_second = null",
        "oms.key_encoding = \"percent\"",
        "oms.hold_probe_interval = \"1m\"",
        "records.format = \"auto\"",
        "records.folder_markers = \"sync\"",
        "records.unrecognised = \"dead_letter\"",
        "records.max_changes = 10000",
        "events.max_keys = 10",
        "events.linger = \"200ms\"",
        "dead_letter.breaker.max_per_minute = null",
        "dead_letter.breaker.max_ratio = null",
        "dead_letter.breaker.min_records = 100",
        "retry.initial = \"500ms\"",
        "retry.max = \"1m\"",
        "retry.max_retry_after = \"5m\"",
        "limits.max_unsettled_changes = 100000",
        "limits.max_unsettled_bytes = \"24MiB\"",
        "limits.max_pending_keys_per_task = 50000",
        "limits.max_blocked_share_per_task = 0.75",
        "limits.max_uncommitted_records = 1000000",
        "limits.max_tasks = 1000",
        "shutdown.drain_timeout = \"25s\"",
        "shutdown.revoke_timeout = \"5s\"",
        "shutdown.stall_timeout = \"5m\"",
        "admin.listen = \"0.0.0.0:9464\"",
        "log.level = \"info\"",
    ] {
        assert!(shown.lines().any(|shown| shown == format!("{line}  # default")), "{line} is not in\n{shown}");
    }
}

#[test]
fn the_command_prints_what_is_in_effect_or_ends_with_1() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oms-sync-worker"));
        let output = command.arg("config").env_clear().envs(variables.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, shown, told) = run(&MINIMAL);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(shown.contains("kafka.topics = [\"a\",\"b\"]  # OMS_SYNC__KAFKA__TOPICS\n"), "{shown}");
    let (code, shown, told) = run(&MINIMAL[1..3]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    assert!(told.starts_with("2 configuration problems:\n  kafka.brokers: missing"), "{told}");
}

#[test]
fn a_level_that_is_no_level_is_refused() {
    let level = |text| minimal_with(&[("OMS_SYNC__LOG__LEVEL", text)]);
    assert!(level("info,oms_sync_worker=debug").is_ok() && level("WARN").is_ok());
    check_told(level("verbose"), &["log.level: not a tracing filter"]);
    check_told(level("info,x=loud"), &["log.level: not a tracing filter"]);
}

#[test]
fn the_schema_knows_every_documented_key_and_refuses_others() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["events"]["properties"]["linger"]["default"], "200ms");
    assert_eq!(schema["properties"]["oms"]["properties"]["credentials"]["additionalProperties"], false);
}

#[test]
fn the_readme_shows_every_key() {
    const BEGIN: &str = "<!-- config:begin -->\n";
    const END: &str = "<!-- config:end -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README.md has no <!-- config:begin -->");
    let (shown, after) = rest.split_once(END).expect("README.md has no <!-- config:end -->");
    let table = markdown_table();
    #[expect(clippy::disallowed_methods, reason = "asks whether to rewrite the README")]
    let rewrite = std::env::var("UPDATE_README").is_ok_and(|value| value == "1");
    if rewrite {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert!(shown == table, "run the test with UPDATE_README=1, or put this into README.md:\n{table}");
    }
}
