//! The manifest of an Application in Git.

use crate::api;
use crate::edit::yaml::Value;
use crate::edit::yaml::{documents, read};
use crate::lower;
use crate::model::{Application, Problem, Reason, Sources};

/// The document of `text` that is the manifest of `application`, and the Application as it is written there. The types of its sources
/// are those that are known of the Application, where both have as many.
///
/// # Errors
/// A problem where there is no such document, more than one, or it cannot be read.
pub(super) fn find(path: &str, text: &str, application: &Application) -> Result<(usize, Application), Problem> {
    let mut found = Vec::new();
    for (number, document) in documents(text).into_iter().enumerate() {
        // What cannot be read is not ours, unless it says so.
        let head = read(&text[document.range.clone()], 0).unwrap_or(Value::Null);
        if names(&head, application) {
            found.push((number, document));
        }
    }
    let name = &application.id.name;
    let (number, document) = match found.len() {
        1 => found.remove(0),
        0 => {
            let message = format!("`{path}` holds no Application `{name}`");
            return Err(Problem::new(Reason::FileNotFound, message).hint("name its file with `writeBack.git.path`"));
        }
        _ => {
            let lines: Vec<String> = found.iter().map(|(_, document)| document.line.to_string()).collect();
            let message =
                format!("`{path}` holds the Application `{name}` more than once, at lines {}", lines.join(", "));
            return Err(Problem::new(Reason::AmbiguousFile, message));
        }
    };
    let parsed: Result<api::Application, _> = serde_saphyr::from_str(&text[document.range]);
    let object = parsed.map_err(|error| {
        let cause = error.to_string();
        let cause = cause.lines().next().unwrap_or_default().to_owned();
        Problem::new(Reason::UnusableFile, format!("the Application `{name}` in `{path}` cannot be read: {cause}"))
    })?;
    Ok((number, typed(lower::application(&object), application)))
}

fn names(head: &Value, application: &Application) -> bool {
    let text = |value: Option<&Value>| value.and_then(Value::text).map(ToOwned::to_owned);
    let metadata = head.get("metadata");
    let namespace = text(metadata.and_then(|metadata| metadata.get("namespace")));
    text(head.get("kind")).as_deref() == Some("Application")
        && text(head.get("apiVersion")).is_some_and(|version| version.starts_with("argoproj.io/"))
        && text(metadata.and_then(|metadata| metadata.get("name"))).as_ref() == Some(&application.id.name)
        && namespace.is_none_or(|namespace| namespace == application.id.namespace)
}

/// The manifest's Application with what is known of the one in the cluster: its identity, its types, what runs.
fn typed(written: Application, known: &Application) -> Application {
    let kinds: Vec<_> = known.sources.each().into_iter().map(|(_, source)| source.kind).collect();
    let mut sources = written.sources;
    let each = match &mut sources {
        Sources::Single(source) | Sources::Hydrated(source) => vec![source],
        Sources::Many(sources) => sources.iter_mut().collect(),
        Sources::Missing => Vec::new(),
    };
    if each.len() == kinds.len() {
        for (source, kind) in each.into_iter().zip(kinds) {
            source.kind = source.kind.or(kind);
        }
    }
    Application { sources, ..known.clone() }
}
