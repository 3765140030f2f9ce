//! The text of a file → the objects in it that concern us. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::api::{AppProject, Application, ApplicationSet, ImageUpdatePolicy};
use crate::edit::yaml::{documents, line_of};
use crate::model::{ApplicationId, Pointer, PolicyId, Problem, Reason, SecretRef};
use crate::ports::SecretData;

use super::fields;

/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "argocd";

/// Words that a document which concerns us has.
const CONCERNS_US: &[&str] = &["fairlead.dev/", "argoproj.io/", "kind: Secret"];

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The objects that concern us, in order.
    pub manifests: Vec<Manifest>,
    /// What is wrong with documents that concern us.
    pub problems: Vec<Problem>,
    /// What is wrong with documents that likely do not.
    pub notes: Vec<Problem>,
}

/// An object, and where it stands.
#[derive(Debug)]
pub(super) struct Manifest {
    /// The number of its document in the file, from 0.
    pub document: usize,
    /// The line that the document begins on.
    pub line: usize,
    /// What changes when the text of the document does.
    pub version: String,
    /// The text of the document.
    pub text: String,
    /// What it is.
    pub object: Object,
}

/// An object that concerns us.
#[derive(Debug)]
pub(super) enum Object {
    /// An Application, or why it cannot be read.
    Application(ApplicationId, Result<Box<Application>, String>),
    /// An ApplicationSet, by namespace and name, or why it cannot be read.
    ApplicationSet((String, String), Result<Box<ApplicationSet>, String>),
    /// A project of Argo CD, by namespace and name, or why it cannot be read.
    Project((String, String), Result<Box<AppProject>, String>),
    /// A policy, and what its text has that a policy has not.
    Policy(PolicyId, Result<Box<ImageUpdatePolicy>, String>, Vec<Problem>),
    /// A Secret.
    Secret(SecretRef, SecretData),
}

/// What every object says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Name,
}

#[derive(Default, Deserialize)]
struct Name {
    name: Option<String>,
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
    #[serde(default)]
    string_data: Option<BTreeMap<String, String>>,
}

/// Reads the text of the file `file`. One document that cannot be read does not hide the others.
pub(super) fn read(file: &str, text: &str) -> Contents {
    let mut contents = Contents::default();
    for (number, document) in documents(text).into_iter().enumerate() {
        let body = &text[document.range.clone()];
        let head: Head = match serde_saphyr::from_str(body) {
            Ok(head) => head,
            Err(error) => {
                let concerns_us = CONCERNS_US.iter().any(|word| body.contains(word));
                if concerns_us || serde_saphyr::from_str::<Value>(body).is_err() {
                    let problem = unreadable(file, body, document.line, &error);
                    if concerns_us { contents.problems.push(problem) } else { contents.notes.push(problem) }
                }
                continue;
            }
        };
        let place = Place { file, text, number, line: document.line };
        match object(&place, body, head) {
            Ok(None) => {}
            Ok(Some(object)) => {
                let (line, version, text) = (document.line, version(body), body.to_owned());
                contents.manifests.push(Manifest { document: number, line, version, text, object });
            }
            Err(problem) => contents.problems.push(problem),
        }
    }
    contents
}

/// The problem of a document of which not even the kind can be read.
fn unreadable(file: &str, body: &str, first_line: usize, error: &serde_saphyr::Error) -> Problem {
    let (line, cause) = located(error, first_line);
    // The parser's words may hold a secret.
    let cause = if body.contains("kind: Secret") { "the document cannot be read".to_owned() } else { cause };
    Problem::new(Reason::UnreadableObject, cause).at(format!("{file}:{line}"))
}

/// Where a document stands.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
    number: usize,
    line: usize,
}

fn object(place: &Place<'_>, body: &str, head: Head) -> Result<Option<Object>, Problem> {
    let Head { api_version, kind, metadata } = head;
    let Place { file, line, .. } = place;
    let namespace = metadata.namespace.filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let name = metadata.name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Problem::new(Reason::UnreadableObject, format!("the {kind} has no `metadata.name`"))
            .at(format!("{file}:{line}"))
    });
    match (api_version.as_str(), kind.as_str()) {
        ("argoproj.io/v1alpha1", "Application") => {
            let id = ApplicationId::new(namespace, name?);
            let application = serde_saphyr::from_str(body).map(Box::new).map_err(|error| place.cause(&error));
            Ok(Some(Object::Application(id, application)))
        }
        ("argoproj.io/v1alpha1", "ApplicationSet") => {
            let set = serde_saphyr::from_str(body).map(Box::new).map_err(|error| place.cause(&error));
            Ok(Some(Object::ApplicationSet((namespace, name?), set)))
        }
        ("argoproj.io/v1alpha1", "AppProject") => {
            let project = serde_saphyr::from_str(body).map(Box::new).map_err(|error| place.cause(&error));
            Ok(Some(Object::Project((namespace, name?), project)))
        }
        ("fairlead.dev/v1alpha1", "ImageUpdatePolicy") => {
            let id = PolicyId::new(namespace, name?);
            let (policy, problems) = policy(place, body);
            Ok(Some(Object::Policy(id, policy, problems)))
        }
        ("v1", "Secret") => {
            let data = secret(place, body)?;
            Ok(Some(Object::Secret(SecretRef { namespace, name: name? }, data)))
        }
        _ => Ok(None),
    }
}

fn policy(place: &Place<'_>, body: &str) -> (Result<Box<ImageUpdatePolicy>, String>, Vec<Problem>) {
    let value: Value = match serde_saphyr::from_str(body) {
        Ok(value) => value,
        Err(error) => return (Err(place.cause(&error)), Vec::new()),
    };
    let located = |(pointer, problem): (_, Problem)| {
        let line = line_of(place.text, place.number, &pointer).unwrap_or(place.line);
        let path = problem.place.clone().unwrap_or_default();
        problem.at(format!("{}:{line} {path}", place.file))
    };
    let problems = fields::unknown(&value).into_iter().map(located).collect();
    let policy = serde_json::from_value(value).map(Box::new);
    (policy.map_err(|error| format!("{}:{}: {error}", place.file, place.line)), problems)
}

fn secret(place: &Place<'_>, body: &str) -> Result<SecretData, Problem> {
    let broken = |cause: &str| {
        let problem = Problem::new(Reason::CredentialsUnavailable, format!("the Secret cannot be read: {cause}"));
        problem.at(format!("{}:{}", place.file, place.line))
    };
    // Neither the text nor the parser's words may come out: they may hold the secret.
    let secret: Secret =
        serde_saphyr::from_str(body).map_err(|_| broken("`data` or `stringData` is no mapping of texts"))?;
    let mut data = BTreeMap::new();
    for (key, encoded) in secret.data.unwrap_or_default() {
        let compact: String = encoded.split_ascii_whitespace().collect();
        let decoded = STANDARD.decode(compact).map_err(|_| broken(&format!("`data.{key}` is not base64")))?;
        data.insert(key, decoded);
    }
    data.extend(secret.string_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes())));
    Ok(SecretData(data))
}

impl Place<'_> {
    /// The error, with its line in the file.
    fn cause(&self, error: &serde_saphyr::Error) -> String {
        let (line, cause) = located(error, self.line);
        format!("{}:{line}: {cause}", self.file)
    }
}

/// The line of an error in its file, and its text without one.
pub fn located(error: &serde_saphyr::Error, first_line: usize) -> (usize, String) {
    let line = error.location().and_then(|location| usize::try_from(location.line()).ok()).unwrap_or(1);
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.rfind(" at line ").map_or(text, |end| &text[..end]);
    (first_line + line.max(1) - 1, text.to_owned())
}

/// The line of `path`, for example `spec.images[0].constraint`, in a document that begins on `first_line` of its file.
pub(super) fn line_of_path(document: &str, first_line: usize, path: &str) -> usize {
    let mut pointer = Pointer::root();
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        pointer = match step.parse() {
            Ok(index) => pointer.index(index),
            Err(_) => pointer.key(step),
        };
    }
    line_of(document, 0, &pointer).map_or(first_line, |line| first_line + line - 1)
}

/// What changes when the text of a document does.
fn version(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let Contents { manifests, problems, notes } = read("a.yaml", text);
        let mut lines: Vec<String> = Vec::new();
        for Manifest { document, line, version: _, text: _, object } in manifests {
            let object = match object {
                Object::Application(id, Ok(_)) => format!("Application {id}"),
                Object::Application(id, Err(cause)) => format!("Application {id} unreadable: {cause}"),
                Object::ApplicationSet((namespace, name), set) => {
                    format!("ApplicationSet {namespace}/{name} {:?}", set.map(|set| set.metadata.name))
                }
                Object::Project((namespace, name), project) => {
                    format!("AppProject {namespace}/{name} {:?}", project.map(|project| project.spec.source_repos))
                }
                Object::Policy(id, Ok(_), problems) => format!("Policy {id} {problems:?}"),
                Object::Policy(id, Err(cause), problems) => {
                    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                    format!("Policy {id} unreadable: {cause} {problems:?}")
                }
                Object::Secret(id, data) => format!("Secret {}/{} {data:?}", id.namespace, id.name),
            };
            lines.push(format!("{document} line {line}: {object}"));
        }
        lines.extend(problems.iter().map(|problem| format!("problem {problem}")));
        lines.extend(notes.iter().map(|note| format!("note {note}")));
        lines.join("\n")
    }

    const APPLICATION: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\n";

    #[test]
    fn objects_of_other_kinds_are_left_alone() {
        assert_eq!(shown("kind: ConfigMap\napiVersion: v1\n---\n- a list\n---\nimage: {tag: 1}\n---\ntext\n"), "");
    }

    #[test]
    fn a_document_that_cannot_be_read_does_not_hide_the_others() {
        insta::assert_snapshot!(shown(&format!("a: [\n---\n{APPLICATION}---\n{APPLICATION}spec: [}}\n---\n# end\n")), @r#"
        1 line 2: Application argocd/web
        problem a.yaml:10: mismatched bracket '[' closed by '}'
        note a.yaml:1: unclosed bracket '['
        "#);
        insta::assert_snapshot!(shown(&format!("# head\n{APPLICATION}spec: {{source: {{helm: {{parameters: [{{value: [1]}}]}}}}}}\n")), @"0 line 1: Application argocd/web unreadable: a.yaml:5: expected string scalar");
        insta::assert_snapshot!(shown("apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {}\n"), @"problem a.yaml:1: the Application has no `metadata.name`");
    }

    #[test]
    fn policies_are_held_against_their_schema() {
        let policy =
            "apiVersion: fairlead.dev/v1alpha1\nkind: ImageUpdatePolicy\nmetadata: {name: p, namespace: x}\nspec:\n";
        insta::assert_snapshot!(shown(&format!("{policy}  applications: [{{name: a}}]\n  images: [{{image: x}}]\n")), @"0 line 1: Policy x/p []");
        insta::assert_snapshot!(shown(&format!("{policy}  applications: [{{name: a}}]\n  images:\n  - image: x\n    constriant: '1'\n")), @r#"0 line 1: Policy x/p [Problem { reason: UnreadableObject, message: "there is no field `constriant`", place: Some("a.yaml:8 spec.images[0].constriant"), hint: Some("did you mean `constraint`?") }]"#);
        insta::assert_snapshot!(shown(&format!("{policy}  applications: []\n  images:\n  - constraint: 1.0\n    image: x\n")), @r#"0 line 1: Policy x/p unreadable: a.yaml:1: invalid type: floating point `1.0`, expected a string ["a.yaml:7 spec.images[0].constraint: here stands a number, and a text is expected; put it in quotes"]"#);
    }

    #[test]
    fn secrets_are_decoded_and_never_shown() {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
        insta::assert_snapshot!(shown(&format!("{secret}data: {{a: aGk=}}\nstringData: {{b: hidden}}\n")), @r#"0 line 1: Secret argocd/s {"a", "b"}"#);
        insta::assert_snapshot!(shown(&format!("{secret}data: {{a: '*hidden*'}}\n")), @"problem a.yaml:1: the Secret cannot be read: `data.a` is not base64");
        insta::assert_snapshot!(shown(&format!("{secret}data: hidden\n")), @"problem a.yaml:1: the Secret cannot be read: `data` or `stringData` is no mapping of texts");
    }
}
