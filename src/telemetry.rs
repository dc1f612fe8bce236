//! The log: to standard output, as text or JSON; librdkafka's own messages too, for a filter that names them. Never logs secrets:
//! it prints what it is given, and types that hold secrets redact themselves.

use std::io::{IsTerminal, stdout};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not a filter.
    #[error("log.level: not a tracing filter: {0}; write for example info")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("the log is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of this process. Call it once, before anything logs.
///
/// # Errors
/// The filter cannot be read, or the log is set up already.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(filter_text(&log.level))?;
    let plain = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stdout).log_internal_errors(false);
    if writes_json(log.format, stdout().is_terminal()) {
        plain.json().flatten_event(true).finish().try_init()?;
    } else {
        plain.with_ansi(stdout().is_terminal()).finish().try_init()?;
    }
    Ok(())
}

/// librdkafka and its wrapper repeat themselves several times a second while a broker is away. What they say reaches the
/// log through the worker, once; their own words come only when the filter names them.
fn filter_text(level: &str) -> String {
    if level.contains("rdkafka") { level.to_owned() } else { format!("{level},librdkafka=off,rdkafka=off") }
}

fn writes_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn librdkafka_speaks_only_when_it_is_asked() {
        assert_eq!(filter_text("info"), "info,librdkafka=off,rdkafka=off");
        assert_eq!(filter_text("info,librdkafka=debug"), "info,librdkafka=debug");
    }

    #[test]
    fn auto_is_json_where_nobody_looks() {
        assert!(writes_json(LogFormat::Auto, false) && writes_json(LogFormat::Json, true));
        assert!(!writes_json(LogFormat::Auto, true) && !writes_json(LogFormat::Text, false));
    }
}
