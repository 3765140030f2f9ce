//! Log set-up: one line an event on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
    let colored = std::io::stderr().is_terminal();
    // A second start, in tests, keeps the first.
    let _ = tracing::subscriber::set_global_default(lines(format, filter, std::io::stderr, colored)?);
    Ok(())
}

/// Writes a line for each event that passes the filter.
fn lines<W>(
    format: LogFormat,
    filter: Option<&str>,
    writer: W,
    colored: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter.filter(|filter| !filter.is_empty()).unwrap_or(DEFAULT_FILTER);
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("cannot read the log filter `{filter}`: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colored);
    Ok(match format {
        LogFormat::Text => Box::new(lines.with_target(false).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of one line each of two modules, at two levels.
    fn logged(format: LogFormat, filter: Option<&str>) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = lines(format, filter, move || writer.clone(), false).expect("a filter");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "fairlead::controller", policy = "argocd/web", to = "1.0.2", "moved flask");
            tracing::debug!(target: "fairlead::adapters::oci", registry = "ghcr.io", "asked");
            tracing::info!(target: "kube_runtime", "a watch began");
        });
        let bytes = buffer.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).expect("a log is text")
    }

    fn messages(filter: Option<&str>) -> Vec<String> {
        let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
        let message = |line: &str| parse(line)["message"].as_str().expect("each has a message").to_owned();
        logged(LogFormat::Json, filter).lines().map(message).collect()
    }

    #[test]
    fn levels_are_set_by_module_and_ours_alone_speak_unless_asked() {
        assert_eq!(messages(None), ["moved flask"]);
        assert_eq!(messages(Some("")), ["moved flask"]);
        assert_eq!(messages(Some("info")), ["moved flask", "a watch began"]);
        assert_eq!(messages(Some("warn,fairlead::adapters=debug")), ["asked"]);
        assert_eq!(messages(Some("off")), Vec::<String>::new());
    }

    #[test]
    fn a_line_of_json_has_its_values_as_fields_and_names_its_module() {
        let line = logged(LogFormat::Json, None);
        let mut line: serde_json::Value = serde_json::from_str(&line).expect("one line");
        let time = line.as_object_mut().and_then(|line| line.remove("timestamp")).expect("a time");
        assert!(time.as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{time}");
        let expected = serde_json::json!({
            "level": "INFO", "target": "fairlead::controller", "message": "moved flask",
            "policy": "argocd/web", "to": "1.0.2",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_of_text_is_for_people() {
        let line = logged(LogFormat::Text, None);
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        insta::assert_snapshot!(rest.trim(), @r#"INFO moved flask policy="argocd/web" to="1.0.2""#);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_told() {
        let told = lines(LogFormat::Text, Some("fairlead=loud"), std::io::sink, false).err().expect("it is refused");
        insta::assert_snapshot!(told, @r#"cannot read the log filter `fairlead=loud`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5"#);
    }
}
