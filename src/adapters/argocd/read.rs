//! What Argo CD's API says of Applications, read into what decisions are made on.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::http::Failure;
use crate::adapters::kubernetes::Entry;
use crate::api;
use crate::lower;
use crate::model::{Application, ApplicationId};

/// Numbers of Kubernetes that JSON made by gRPC may write as texts.
const NUMBERS: [&str; 2] = ["generation", "deletionGracePeriodSeconds"];
/// The field manager of everything that is changed through Argo CD's API, by us as by people.
const SERVER: &str = "argocd-server";

/// An Application as the API tells it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) id: ApplicationId,
    pub(super) entry: Entry,
}

/// All Applications that the account may see.
pub(super) struct Listed {
    /// The version of the list.
    pub(super) version: String,
    pub(super) items: Vec<Seen>,
}

/// One line of the stream.
#[derive(Debug)]
pub(super) enum News {
    /// An Application is there, in this state.
    Is(Seen),
    /// An Application is gone.
    Gone(Seen),
}

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    /// Written even where it is empty, as `null`: without it this is something else.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default)]
    resource_version: String,
}

/// One at a time, so that never more than one is held in full.
struct Item(Option<Seen>);

#[derive(Deserialize)]
struct Line {
    result: Option<Event>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    application: Value,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(seen(value)))
    }
}

/// A list of Applications.
///
/// # Errors
/// Why it is none, or not a whole one.
pub(super) fn list(bytes: &[u8]) -> Result<Listed, String> {
    let List { metadata, items } = serde_json::from_slice(bytes).map_err(|error| broken(&error))?;
    let items = items.unwrap_or_default().into_iter().filter_map(|Item(seen)| seen).collect();
    Ok(Listed { version: metadata.resource_version, items })
}

/// A line of the stream; `None` where it tells of nothing.
///
/// # Errors
/// What the server says went wrong, which it says in an answer that began well.
pub(super) fn news(line: &[u8]) -> Result<Option<News>, Failure> {
    let line = line.trim_ascii();
    // Servers and proxies that make server-sent events of it put this in front.
    let line = line.strip_prefix(b"data:").unwrap_or(line).trim_ascii();
    if line.is_empty() || line.starts_with(b":") {
        return Ok(None);
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| Failure::new(broken(&error)))?;
    if let Some(error) = line.error {
        return Err(ended(&error));
    }
    let Some(Event { kind, application }) = line.result else { return Ok(None) };
    Ok(match kind.as_str() {
        "ADDED" | "MODIFIED" => seen(application).map(News::Is),
        "DELETED" => seen(application).map(News::Gone),
        "ERROR" => return Err(Failure::new("the stream tells of an error")),
        _ => None,
    })
}

/// An Application of the API; `None` without a name.
pub(super) fn seen(mut value: Value) -> Option<Seen> {
    let metadata = value.get_mut("metadata")?.as_object_mut()?;
    for key in NUMBERS {
        if let Some(number) = metadata.get(key).and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok()) {
            metadata.insert(key.to_owned(), number.into());
        }
    }
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = ApplicationId::new(text("namespace"), text("name"));
    if id.name.is_empty() {
        return None;
    }
    let entry = serde_json::from_value(value).map(|object| Arc::new(slim(&object))).map_err(|error| error.to_string());
    Some(Seen { id, entry })
}

/// What decisions are made on.
fn slim(object: &api::Application) -> Application {
    let application = lower::application(object);
    // The server writes for us as for everybody: that it wrote last says nothing of who did.
    let edited_by = application.edited_by.filter(|manager| manager != SERVER);
    Application { edited_by, ..application }
}

/// The parser's words show no values but for those of the wrong type, and where they are.
fn broken(error: &serde_json::Error) -> String {
    format!("it cannot be read at line {}, column {}", error.line(), error.column())
}

fn ended(error: &Value) -> Failure {
    let number = |keys: [&str; 2]| keys.iter().find_map(|key| error.get(key)).and_then(Value::as_i64);
    let words = error.get("message").and_then(Value::as_str).unwrap_or("no words");
    let status = number(["http_code", "httpCode"]).and_then(|status| u16::try_from(status).ok());
    let cause = format!("the stream ends with `{}`", crate::adapters::forge::plain(words, ""));
    Failure { status, code: number(["grpc_code", "grpcCode"]), late: false, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_whole_or_none() {
        let empty = list(br#"{"metadata":{"resourceVersion":"7"},"items":null}"#).expect("an empty list");
        assert_eq!((empty.version.as_str(), empty.items.len()), ("7", 0));
        for broken in [
            "",
            "{}",
            "<!doctype html>",
            r#"{"metadata":{}}"#,
            r#"{"items":[]}"#,
            r#"{"metadata":{},"items":[{"metadata":{"name":"a"}}"#,
        ] {
            assert!(list(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn one_application_that_cannot_be_read_takes_no_other_with_it() {
        let text = br#"{"metadata":{},"items":[
            {"metadata":{"name":"a","namespace":"argocd","generation":"12"},"spec":{}},
            {"metadata":{"name":"b","namespace":"argocd"},"spec":{"source":"none"}},
            {"metadata":{}}]}"#;
        let items = list(text).expect("a list").items;
        let found: Vec<_> = items.iter().map(|seen| (seen.id.to_string(), seen.entry.is_ok())).collect();
        assert_eq!(found, [("argocd/a".to_owned(), true), ("argocd/b".to_owned(), false)]);
    }

    #[test]
    fn lines_of_the_stream_tell_of_one_application_each() {
        let application = r#"{"metadata":{"name":"a","namespace":"argocd"}}"#;
        let told = |text: &str| match news(text.as_bytes()) {
            Ok(Some(News::Is(seen))) => format!("is {}", seen.id),
            Ok(Some(News::Gone(seen))) => format!("gone {}", seen.id),
            Ok(None) => "nothing".to_owned(),
            Err(failure) => format!("{:?} {:?} {}", failure.status, failure.code, failure.cause),
        };
        let event = |kind: &str| told(&format!(r#"{{"result":{{"type":"{kind}","application":{application}}}}}"#));
        assert_eq!(event("ADDED"), "is argocd/a");
        assert_eq!(event("MODIFIED"), "is argocd/a");
        assert_eq!(event("DELETED"), "gone argocd/a");
        assert_eq!(event("BOOKMARK"), "nothing");
        assert_eq!(told(""), "nothing");
        assert_eq!(told(": a comment"), "nothing");
        assert_eq!(
            told(&format!(r#"data: {{"result":{{"type":"ADDED","application":{application}}}}}"#)),
            "is argocd/a"
        );
        insta::assert_snapshot!(told(r#"{"error":{"grpc_code":16,"http_code":401,"message":"token is expired","http_status":"Unauthorized"}}"#), @"Some(401) Some(16) the stream ends with `token is expired`");
        insta::assert_snapshot!(told("<html>"), @"None None it cannot be read at line 1, column 1");
    }

    #[test]
    fn the_server_is_not_taken_for_somebody_who_undoes() {
        let object = |manager: &str| {
            serde_json::json!({"metadata": {"name": "a", "managedFields": [{
                "manager": manager, "operation": "Update", "time": "2026-06-01T12:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:source": {}}},
            }]}})
        };
        let editor =
            |manager| seen(object(manager)).and_then(|seen| seen.entry.ok()).and_then(|one| one.edited_by.clone());
        assert_eq!(editor("argocd-application-controller").as_deref(), Some("argocd-application-controller"));
        assert_eq!(editor("argocd-server"), None);
    }
}
