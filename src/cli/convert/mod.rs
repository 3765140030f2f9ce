//! `fairlead convert`: annotations and `ImageUpdater` resources of argocd-image-updater → policies.

mod fold;
mod print;
mod read;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::{fail, print as print_text};
use crate::adapters::directory::DEFAULT_NAMESPACE;
use crate::adapters::kubernetes::{Clients, list_applications, list_image_updaters};
use fold::{Sources, fold};
use read::{Found, Origin};

/// Arguments of `fairlead convert`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints policies on standard output: one for all Applications whose settings are equal, with comments on what could not be
carried over and on what is worth knowing. Nothing is written anywhere, and annotations stay as they are.

An ImageUpdater needs its Applications beside it only where it asks for their annotations, or where two of its patterns may
match the same Applications.

Examples:
  kubectl get applications -n argocd -o yaml | fairlead convert -
  fairlead convert --namespace argocd > policies.yaml
  fairlead convert --from imageupdater updaters.yaml applications.yaml

Exit codes: 0 everything was carried over; 1 something was not, or could not be read: it is named, and the rest is printed; 2 wrong usage.")]
pub struct Args {
    /// Files with Applications and ImageUpdaters, YAML or JSON; - is standard input. Without any, the cluster is asked
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is converted [default: both; an Application that an ImageUpdater matches is left to it]
    #[arg(long, value_enum)]
    from: Option<From>,
    /// The namespace that is asked for in a cluster, and that objects in files have which name none
    #[arg(long, short, default_value = DEFAULT_NAMESPACE)]
    namespace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// Annotations of Applications
    Annotations,
    /// ImageUpdater resources
    #[value(name = "imageupdater")]
    ImageUpdater,
}

/// Runs the command.
pub async fn run(args: Args) -> ExitCode {
    let sources =
        Sources { annotations: args.from != Some(From::ImageUpdater), updaters: args.from != Some(From::Annotations) };
    let texts = match texts(&args.files) {
        Ok(texts) => texts,
        Err(message) => return fail(&message),
    };
    let found =
        if args.files.is_empty() { in_cluster(&args.namespace, sources).await } else { Ok(in_files(&texts, &args)) };
    let found = match found {
        Ok(found) => found,
        Err(message) => return fail(&message),
    };
    let result = fold(&found, sources);
    let text = match print::print(&result.policies, &result.leftovers) {
        Ok(text) => text,
        Err(message) => return fail(&message),
    };
    let printed = print_text(&text);
    for broken in &found.broken {
        fail(broken);
    }
    if text.is_empty() {
        return fail("there is nothing to convert: no Application carries an image list, and there is no ImageUpdater");
    }
    match (result.lost, found.broken.is_empty()) {
        (0, true) => printed,
        (0, false) => ExitCode::FAILURE,
        (1, _) => fail("one thing could not be carried over: see the comment"),
        (lost, _) => fail(&format!("{lost} things could not be carried over: see the comments")),
    }
}

/// The files, each with its name.
fn texts(files: &[PathBuf]) -> Result<Vec<(String, String)>, String> {
    let read = |path: &PathBuf| {
        let name = if path == Path::new("-") { "<stdin>".to_owned() } else { path.display().to_string() };
        match super::input::text(path) {
            Ok(text) => Ok((name, text)),
            Err(error) => Err(format!("cannot read `{name}`: {error}")),
        }
    };
    files.iter().map(read).collect()
}

fn in_files<'a>(texts: &'a [(String, String)], args: &Args) -> Found<'a> {
    let mut found = Found::default();
    for (name, text) in texts {
        found.read(name, text, &args.namespace);
    }
    found
}

async fn in_cluster<'a>(namespace: &str, sources: Sources) -> Result<Found<'a>, String> {
    let clients = Clients::infer().await.map_err(|error| super::explain::with_cause(&error))?;
    let mut found = Found::default();
    let applications = list_applications(&clients.calls, namespace).await?;
    found.broken.extend(applications.unreadable);
    found.applications.extend(applications.objects.into_iter().map(|object| (object, Origin::default())));
    if sources.updaters {
        let updaters = list_image_updaters(&clients.calls, namespace).await?;
        found.broken.extend(updaters.unreadable);
        found.updaters.extend(updaters.objects.into_iter().map(|object| (object, Origin::default())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::CustomResourceExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::ImageUpdatePolicy;
    use crate::api::annotations::PREFIX;
    use crate::lower;
    use crate::lower::annotations::translate;
    use crate::model::ApplicationId;

    const BOTH: Sources = Sources { annotations: true, updaters: true };

    /// The annotations of every row of the table in `tests/annotations.rs`.
    fn rows() -> Vec<BTreeMap<String, String>> {
        let table = include_str!("../../../tests/data/annotations/table.txt");
        let mut rows: Vec<BTreeMap<String, String>> = Vec::new();
        let other =
            |line: &&str| !["#", "->", "!!", ".."].iter().any(|mark| line.starts_with(mark)) && !line.is_empty();
        for line in table.lines().filter(other) {
            if line.starts_with("== ") {
                rows.push(BTreeMap::new());
                continue;
            }
            let (key, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
            let value =
                if value.starts_with('"') { serde_json::from_str(value).expect("JSON") } else { value.to_owned() };
            let key = key.strip_prefix('/').map_or_else(|| format!("{PREFIX}{key}"), str::to_owned);
            rows.last_mut().expect("a title").insert(key, value);
        }
        rows
    }

    fn policies(text: &str) -> Vec<ImageUpdatePolicy> {
        let documents = crate::edit::yaml::documents(text).into_iter();
        let policies = documents.map(|document| serde_saphyr::from_str(&text[document.range]).expect("a policy"));
        policies.collect()
    }

    /// What the API server would say of `value`, as far as its schema alone goes.
    fn refused(value: &Value, schema: &Value, place: &str) -> Vec<String> {
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
        let outside = |size: usize, least: &str, most: &str| {
            limit(least).is_some_and(|least| size < least) || limit(most).is_some_and(|most| size > most)
        };
        let mut said = Vec::new();
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match schema["properties"].get(key).or_else(|| schema.get("additionalProperties")) {
                        Some(schema) => said.extend(refused(value, schema, &format!("{place}.{key}"))),
                        None => said.push(format!("{place}.{key} is unknown")),
                    }
                }
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                said.extend(
                    required.filter(|key| !fields.contains_key(*key)).map(|key| format!("{place}.{key} is missing")),
                );
            }
            Value::Array(items) => {
                if outside(items.len(), "minItems", "maxItems") {
                    said.push(format!("{place} has {} items", items.len()));
                }
                let each = items.iter().enumerate();
                said.extend(
                    each.flat_map(|(index, item)| refused(item, &schema["items"], &format!("{place}[{index}]"))),
                );
            }
            Value::String(text) => {
                let pattern = schema
                    .get("pattern")
                    .and_then(Value::as_str)
                    .map(|text| regex::Regex::new(text).expect("a pattern"));
                let word = schema.get("enum").and_then(Value::as_array).is_none_or(|words| words.contains(value));
                if outside(text.chars().count(), "minLength", "maxLength")
                    || !word
                    || pattern.is_some_and(|pattern| !pattern.is_match(text))
                {
                    said.push(format!("{place} must not be `{text}`"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        said
    }

    #[test]
    fn what_comes_out_is_admitted_and_means_what_the_annotations_mean() {
        let rows = rows();
        let name = |index: usize| format!("app-{index}");
        let items: Vec<Value> = rows
            .iter()
            .enumerate()
            .map(|(index, annotations)| {
                let metadata = json!({ "name": name(index), "annotations": annotations });
                json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata })
            })
            .collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let text = format!("{list:#}");
        let mut found = Found::default();
        found.read("list.json", &text, "argocd");
        assert_eq!(found.broken, Vec::<String>::new());
        let folded = fold(&found, BOTH);
        let text = print::print(&folded.policies, &folded.leftovers).expect("a text");
        let policies = policies(&text);
        assert!(policies.len() > 100, "{}", policies.len());
        let schema = serde_json::to_value(ImageUpdatePolicy::crd()).expect("JSON");
        let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut by_name: BTreeMap<String, ImageUpdatePolicy> = BTreeMap::new();
        for policy in policies {
            let name = policy.metadata.name.clone().expect("a name");
            let spec = serde_json::to_value(&policy.spec).expect("JSON");
            assert_eq!(refused(&spec, schema, "spec"), Vec::<String>::new(), "{name}");
            policy.validate_cel().unwrap_or_else(|error| panic!("{name}: {error}"));
            for entry in &policy.spec.applications {
                assert!(entry.selector.is_none());
                let taken = by_name.insert(entry.name.clone().expect("a name"), policy.clone());
                assert!(taken.is_none(), "{entry:?} is in two policies");
            }
        }
        for (index, annotations) in rows.iter().enumerate() {
            let translated = translate(&ApplicationId::new("argocd", name(index)), annotations).spec;
            let converted = by_name.remove(&name(index)).map(|policy| policy.spec);
            assert_eq!(translated.is_some(), converted.is_some(), "{annotations:?}");
            let meaning = |spec: crate::api::ImageUpdatePolicySpec| {
                let mut object = ImageUpdatePolicy::new("x", spec);
                object.metadata.namespace = Some("argocd".to_owned());
                object.spec.applications =
                    vec![crate::api::ApplicationSelector { name: Some("x".to_owned()), selector: None }];
                format!("{:?}", lower::policy(&object))
            };
            assert_eq!(translated.map(meaning), converted.map(meaning), "{annotations:?}");
        }
        assert!(by_name.is_empty(), "{by_name:?}");
    }

    #[test]
    fn a_comment_stays_one() {
        let annotations = json!({ (format!("{PREFIX}image-list")): "web=nginx", (format!("{PREFIX}web.update-strategy")): "a\nspec: evil\u{2028}\r: b" });
        let metadata = json!({ "name": "a", "annotations": annotations });
        let object = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata });
        let text = object.to_string();
        let mut found = Found::default();
        found.read("a.json", &text, "argocd");
        let folded = fold(&found, BOTH);
        let text = print::print(&folded.policies, &folded.leftovers).expect("a text");
        assert!(text.contains("evil") && text.lines().all(|line| line.starts_with('#')), "{text}");
        assert_eq!(crate::edit::yaml::documents(&text), []);
    }
}
