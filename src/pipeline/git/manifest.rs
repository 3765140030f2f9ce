//! The manifest of an Application in Git.

use crate::api;
use crate::edit::yaml::Value;
use crate::edit::yaml::{documents, read};
use crate::lower;
use crate::model::{Application, Pointer, Problem, Reason, Source, Sources, Step, Values};

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
        0 if is_in_a_list(text, application) => {
            let message = format!("`{path}` holds the Application `{name}` in a List, whose items are not edited");
            return Err(Problem::new(Reason::UnusableFile, message).hint("give it a document of its own"));
        }
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
    let head = read(&text[document.range.clone()], 0).unwrap_or(Value::Null);
    let parsed: Result<api::Application, _> = serde_saphyr::from_str(&text[document.range]);
    let object = parsed.map_err(|error| {
        let cause = error.to_string();
        let cause = cause.lines().next().unwrap_or_default().to_owned();
        Problem::new(Reason::UnusableFile, format!("the Application `{name}` in `{path}` cannot be read: {cause}"))
    })?;
    let mut written = lower::application(&object);
    as_written(&mut written.sources, &head);
    Ok((number, typed(written, application)))
}

/// Puts scalars of `valuesObject` in as they are written: `1.10` is a tag here, and no number.
fn as_written(sources: &mut Sources, manifest: &Value) {
    let places: Vec<Pointer> = sources.each().into_iter().map(|(place, _)| place).collect();
    for (source, place) in each(sources).into_iter().zip(places) {
        let values = follow(manifest, &place).and_then(|source| source.get("helm")?.get("valuesObject"));
        if let (Some(helm), Some(values)) = (&mut source.helm, values)
            && helm.values.is_some()
        {
            helm.values = Some(values_of(values));
        }
    }
}

fn follow<'a>(value: &'a Value, place: &Pointer) -> Option<&'a Value> {
    place.steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.items()?.get(*index),
        Step::End => None,
    })
}

fn values_of(value: &Value) -> Values {
    match value {
        Value::Null => Values::Other,
        Value::Text(text) => Values::Text(text.clone()),
        Value::List(items) => Values::List(items.iter().map(values_of).collect()),
        Value::Map(entries) => {
            Values::Map(entries.iter().map(|(key, value)| (key.clone(), values_of(value))).collect())
        }
    }
}

fn each(sources: &mut Sources) -> Vec<&mut Source> {
    match sources {
        Sources::Single(source) | Sources::Hydrated(source) => vec![source],
        Sources::Many(sources) => sources.iter_mut().collect(),
        Sources::Missing => Vec::new(),
    }
}

/// Whether the Application is an item of a `kind: List`.
fn is_in_a_list(text: &str, application: &Application) -> bool {
    let lists = (0..documents(text).len()).filter_map(|number| read(text, number).ok());
    let mut lists =
        lists.filter(|head| head.get("kind").and_then(Value::text).is_some_and(|kind| kind.ends_with("List")));
    let holds = |list: &Value| {
        list.get("items").and_then(Value::items).is_some_and(|items| items.iter().any(|item| names(item, application)))
    };
    lists.any(|list| holds(&list))
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
    let each = each(&mut sources);
    if each.len() == kinds.len() {
        for (source, kind) in each.into_iter().zip(kinds) {
            source.kind = source.kind.or(kind);
        }
    }
    Application { sources, ..known.clone() }
}
