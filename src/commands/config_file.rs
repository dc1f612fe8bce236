//! The argument `--config`, which most commands have.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Loaded, Problems};

/// Where the configuration is.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigFile {
    /// Configuration file (YAML). Without it: the file that `OMS_SYNC_CONFIG` names; the environment alone is enough
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigFile {
    /// Loads it, with this process's environment on top.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(&self) -> Result<Loaded, Problems> {
        config::load(self.config.as_deref(), config::process_environment())
    }
}
