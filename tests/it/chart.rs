//! The Helm chart as helm renders it: what stands in its objects, what each toggle adds, what is refused, and that the
//! worker takes the configuration in it. Installs nothing and needs no cluster. Without helm the tests are skipped, and
//! say so; `OMS_SYNC_TEST_REQUIRE_HELM=1` makes that a failure.

mod configuration;
mod refusals;
mod rendered;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

/// Which helm renders.
const HELM: &str = "OMS_SYNC_TEST_HELM";
/// Makes a missing helm a failure.
const REQUIRE: &str = "OMS_SYNC_TEST_REQUIRE_HELM";
/// The release that is rendered, and so what objects are called.
const NAME: &str = "r-oms-sync-worker";

/// The chart, and the helm that renders it.
struct Chart {
    helm: String,
    folder: PathBuf,
}

/// Objects of a release.
struct Objects(Vec<Value>);

impl Chart {
    /// `None`, with the reason printed, where there is no helm.
    fn find() -> Option<Self> {
        let helm = std::env::var(HELM).unwrap_or_else(|_| "helm".to_owned());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/oms-sync-worker");
        let Err(why) = Command::new(&helm).arg("version").output() else {
            return Some(Self { helm, folder });
        };
        let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
        assert!(!required, "{REQUIRE}=1, but {helm} cannot be run: {why}");
        println!("skipped: no helm ({helm}: {why}); .ci/chart fetches one");
        None
    }

    /// The values files that the chart is checked with.
    fn values_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.join("ci")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files.collect();
        files.sort();
        files
    }

    fn helm(&self, command: &[&str], values: &[&Path]) -> Output {
        let mut helm = Command::new(&self.helm);
        helm.args(command).arg("r").arg(&self.folder);
        for file in values {
            helm.arg("-f").arg(file);
        }
        helm.output().unwrap()
    }

    /// The objects for the minimal values and these on top.
    fn render(&self, values: &Value) -> Objects {
        self.render_over("minimal", values)
    }

    fn render_over(&self, base: &str, values: &Value) -> Objects {
        let output = self.with(&["template"], Some(base), values);
        assert!(output.status.success(), "{values}\n{}", text(&output.stderr));
        Objects::read(&text(&output.stdout))
    }

    /// What helm says to values that it refuses.
    fn refusal(&self, base: Option<&str>, values: &Value) -> String {
        let output = self.with(&["template"], base, values);
        assert!(!output.status.success(), "{values} was taken");
        text(&output.stderr)
    }

    /// What is told after an installation.
    fn notes(&self, values: &Value) -> String {
        let output = self.with(&["install", "--dry-run=client"], Some("minimal"), values);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).split_once("NOTES:").unwrap().1.to_owned()
    }

    fn with(&self, command: &[&str], base: Option<&str>, values: &Value) -> Output {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), values.to_string()).unwrap();
        let base = base.map(|name| self.folder.join(format!("ci/{name}-values.yaml")));
        let files: Vec<&Path> = base.iter().map(PathBuf::as_path).chain([file.path()]).collect();
        self.helm(command, &files)
    }
}

impl Objects {
    fn read(text: &str) -> Self {
        let documents = YamlLoader::load_from_str(text).unwrap();
        Self(documents.iter().map(to_json).filter(|object| !object.is_null()).collect())
    }

    fn find(&self, kind: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind)
    }

    #[track_caller]
    fn get(&self, kind: &str) -> &Value {
        self.find(kind).unwrap_or_else(|| panic!("no {kind}"))
    }

    fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.0.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// What runs the workers' pods.
    fn workload(&self) -> &Value {
        self.find("Deployment").unwrap_or_else(|| self.get("StatefulSet"))
    }

    /// The worker's pod.
    fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]
    }

    fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    /// A variable of the worker's container.
    fn variable(&self, name: &str) -> Option<&Value> {
        self.container()["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn to_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Real(text) => json!(text.parse::<f64>().unwrap()),
        Yaml::Integer(number) => json!(number),
        Yaml::String(text) => json!(text),
        Yaml::Boolean(value) => json!(value),
        Yaml::Array(items) => items.iter().map(to_json).collect(),
        Yaml::Hash(map) => map.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value))).collect(),
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("{yaml:?}"),
    }
}
