//! Log set-up: one line an event on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

const DEFAULT_FILTER: &str = "warn,fairlead=info";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Starts logging. `filter` is a list of levels by module (`info,fairlead::adapters=debug`); a filter that cannot be read is an error.
///
/// # Errors
/// What is wrong with the filter.
pub fn start_logs(format: LogFormat, filter: Option<&str>) -> Result<(), String> {
    let filter = filter.filter(|filter| !filter.is_empty()).unwrap_or(DEFAULT_FILTER);
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("cannot read the log filter `{filter}`: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start, in tests, keeps the first.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
