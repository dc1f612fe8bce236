//! Configuration: one YAML file and the environment, validated as a whole, every problem at once.
//!
//! The steps, one file each: `tree` merges file and `environment`, `sdk_environment` fills gaps, `unknown` finds keys
//! that nobody knows, `decode` gives types to values (`document`, `sections`), `validate` makes the [`Config`].
//! Nothing here reads the process's environment except [`process_environment`]. No secret is ever printed.

mod decode;
mod document;
mod effective;
mod environment;
mod problem;
mod properties;
mod record_format;
mod routes;
mod schema;
mod sdk_environment;
mod secret;
mod sections;
mod settings;
mod table;
mod tree;
mod units;
mod unknown;
mod validate;

use std::path::{Path, PathBuf};

use problem::Findings;
use schema::Node;

pub use document::CredentialSource;
pub use effective::{Effective, Setting};
pub use environment::PREFIX;
pub use problem::{Problem, Problems};
pub use properties::Properties;
pub use record_format::RecordFormat;
pub use schema::schema;
pub use secret::{REDACTED, Secret};
pub use sections::{
    Admin, Breaker, DeadLetter, Events, Limits, Log, LogFormat, OffsetPolicy, ReadKeys, Records, Retry, Shutdown,
    StoppedTasks, TopicRecords, Unusable, WrittenKeys,
};
pub use settings::{AccessKeys, Config, Credentials, Discovery, IamUser, Kafka, Oms, Route};
pub use table::markdown_table;

/// Names the file where the command line does not.
pub const FILE_VARIABLE: &str = "OMS_SYNC_CONFIG";

/// A configuration that can be run with, and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The validated values.
    pub config: Config,
    /// Every value as it is in effect, redacted.
    pub effective: Effective,
    /// What is allowed but looks wrong; for the log.
    pub warnings: Vec<String>,
}

/// Loads the file (or the one that [`FILE_VARIABLE`] names, or none) and the environment.
///
/// # Errors
/// Every problem of the configuration at once.
pub fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    let env: Vec<(String, String)> = env.into_iter().collect();
    let named = env.iter().find(|(name, path)| name == FILE_VARIABLE && !path.is_empty());
    let file = file.map(Path::to_owned).or_else(|| named.map(|(_, path)| PathBuf::from(path)));
    let schema = schema();
    let root = Node(&schema);

    let mut findings = Findings::default();
    let mut tree = tree::merge(file.as_deref(), &env, root, &mut findings);
    if file.is_some_and(|path| findings.covers(&path.display().to_string())) {
        return Err(Problems(findings.into_problems())); // without the file all else would be missing too
    }
    sdk_environment::fill(&env, &mut tree.values, &mut tree.origins);
    findings.set_origins(tree.origins.clone());
    unknown::remove(&mut tree.values, root, &mut findings);
    let mut document = decode::decode(&mut tree.values, root, &mut findings);

    let region = validate::oms::region_warning(&document.oms);
    let warnings = region.into_iter().chain(environment::near_misses(&env)).collect();
    if let Some(endpoint) = validate::oms::derived_endpoint(&document.oms) {
        document.oms.endpoint = Some(endpoint);
        tree.origins.insert("oms.endpoint".to_owned(), "oms.region".to_owned());
    }
    let effective = Effective::new(&serde_json::to_value(&document).unwrap_or_default(), &tree.origins);
    let config = validate::validate(document, &mut findings);
    match (config, findings.into_problems()) {
        (Some(config), problems) if problems.is_empty() => Ok(Loaded { config, effective, warnings }),
        (_, mut problems) => {
            problems.sort_by(|one, other| one.path.cmp(&other.path));
            Err(Problems(problems))
        }
    }
}

/// The variables of this process. What is not UTF-8 keeps U+FFFD in its place, which [`load`] refuses.
#[must_use]
pub fn process_environment() -> Vec<(String, String)> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
}
