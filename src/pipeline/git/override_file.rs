//! `.argocd-source-<application>.yaml`: what Argo CD merges over the Application's source.
//!
//! Mappings merge and lists replace the Application's (Argo CD applies the file as a JSON merge patch), so a list that the file gets must
//! hold the Application's own entries as well, and one that it has gets those that it lacks.

use super::sheet::FileEdit;
use crate::edit::yaml::{Value, read};
use crate::model::{
    Helm, HelmParameter, Image, Kustomize, Node, Operation, Plugin, Pointer, Problem, Reason, Source, Step, Variable,
};
use crate::pipeline::kustomize;
use crate::pipeline::place::{Place, Slot, Version};

/// The source as Argo CD sees it: `source` with the file over it.
///
/// # Errors
/// A problem where the file cannot be read; Argo CD cannot either then.
pub(super) fn effective(path: &str, text: Option<&str>, source: &Source) -> Result<Source, Problem> {
    let mut merged = source.clone();
    let Some(text) = text else { return Ok(merged) };
    let unusable = |cause: String| Problem::new(Reason::UnusableFile, format!("`{path}` is no override: {cause}"));
    let root = read(text, 0).map_err(|error| unusable(error.to_string()))?;
    if !matches!(root, Value::Map(_)) {
        return Err(unusable("it is no mapping".to_owned()));
    }
    let wrong = |place: &str| Err(unusable(format!("`{place}` is no list of what belongs there")));
    match root.get("helm").map(|helm| (helm, helm.get("parameters"))) {
        None => {}
        Some((Value::Null, _)) => merged.helm = None,
        Some((_, None)) => _ = merged.helm.get_or_insert_with(Helm::default),
        Some((_, Some(Value::Null))) => merged.helm.get_or_insert_with(Helm::default).parameters = None,
        Some((_, Some(list))) => match list.items().and_then(|items| items.iter().map(parameter).collect()) {
            Some(parameters) => merged.helm.get_or_insert_with(Helm::default).parameters = Some(parameters),
            None => return wrong("helm.parameters"),
        },
    }
    match root.get("kustomize").map(|kustomize| (kustomize, kustomize.get("images"))) {
        None => {}
        Some((Value::Null, _)) => merged.kustomize = None,
        Some((_, None)) => _ = merged.kustomize.get_or_insert_with(Kustomize::default),
        Some((_, Some(Value::Null))) => merged.kustomize.get_or_insert_with(Kustomize::default).images = None,
        Some((_, Some(list))) => {
            let text = |item: &Value| item.text().map(ToOwned::to_owned);
            match list.items().and_then(|items| items.iter().map(text).collect()) {
                Some(images) => merged.kustomize.get_or_insert_with(Kustomize::default).images = Some(images),
                None => return wrong("kustomize.images"),
            }
        }
    }
    match root.get("plugin").map(|plugin| (plugin, plugin.get("env"))) {
        None => {}
        Some((Value::Null, _)) => merged.plugin = None,
        Some((_, None)) => _ = merged.plugin.get_or_insert_with(Plugin::default),
        Some((_, Some(Value::Null))) => merged.plugin.get_or_insert_with(Plugin::default).env = None,
        Some((_, Some(list))) => match list.items().and_then(|items| items.iter().map(variable).collect()) {
            Some(env) => merged.plugin.get_or_insert_with(Plugin::default).env = Some(env),
            None => return wrong("plugin.env"),
        },
    }
    Ok(merged)
}

/// Puts `version` into the file, for the effective source to have it at `place`.
///
/// # Errors
/// As [`effective`], or where the place cannot be written.
pub(super) fn write(
    path: &str,
    text: Option<&str>,
    source: &Source,
    place: &Place,
    image: &Image,
    version: &Version<'_>,
) -> Result<FileEdit, Problem> {
    let before = effective(path, text, source)?;
    let (operations, after) = place.write(&before, image, version)?;
    if operations.is_empty() {
        return Ok(FileEdit::Operations(Vec::new()));
    }
    let root = text.map(|text| read(text, 0)).transpose();
    let root = root.map_err(|error| Problem::new(Reason::UnusableFile, format!("`{path}`: {error}")))?;
    let (block, list, entries) = match &place.slot {
        Slot::Helm(_) => ("helm", "parameters", parameters as fn(&Source) -> Entries),
        Slot::Kustomize(_) => ("kustomize", "images", images as fn(&Source) -> Entries),
        Slot::Plugin(_) => ("plugin", "env", env as fn(&Source) -> Entries),
        Slot::HelmValues(_) | Slot::InlineValues(_) => return Err(no_values()),
    };
    let written = entries(&after);
    let missing: Entries =
        entries(source).into_iter().filter(|(key, _)| written.iter().all(|(own, _)| own != key)).collect();
    let node = Node::List(written.into_iter().map(|(_, node)| node).collect());
    let Some(root) = root else {
        return Ok(FileEdit::Document(vec![(block.to_owned(), Node::map([(list, node)]))]));
    };
    let there = root.get(block);
    Ok(FileEdit::Operations(match there.map(|block| block.get(list)) {
        Some(Some(Value::List(found))) => {
            let end = Pointer::root().key(block).key(list).end();
            let missing = missing.into_iter().map(|(_, node)| Operation::Add(end.clone(), node));
            in_file(operations, place, found).into_iter().chain(missing).collect()
        }
        Some(_) if there != Some(&Value::Null) => vec![Operation::Add(Pointer::root().key(block).key(list), node)],
        _ => vec![Operation::Add(Pointer::root().key(block), Node::map([(list, node)]))],
    }))
}

/// Why values of the Application are not written to the override.
pub(super) fn no_values() -> Problem {
    let message = "paths of values are not written to an override file";
    Problem::new(Reason::InvalidTarget, message)
        .hint("use `writeBack.git.target: HelmValues` for a values file, or `Application` for the manifest")
}

/// The operations on the source as operations on the file, whose list is the source's, with the keys that the file has.
fn in_file(operations: Vec<Operation>, place: &Place, list: &[Value]) -> Vec<Operation> {
    let depth = place.source.steps.len();
    let spelled = |pointer: Pointer| {
        let mut steps: Vec<Step> = pointer.steps.into_iter().skip(depth).collect();
        if let [_, _, Step::Index(index), Step::Key(key)] = steps.as_mut_slice()
            && let Some(Value::Map(entries)) = list.get(*index)
            && let Some((found, _)) = entries.iter().find(|(found, _)| found.eq_ignore_ascii_case(key))
        {
            key.clone_from(found);
        }
        Pointer { steps }
    };
    let moved = |operation| match operation {
        Operation::Test(pointer, node) => Operation::Test(spelled(pointer), node),
        Operation::Replace(pointer, node) => Operation::Replace(spelled(pointer), node),
        Operation::Add(pointer, node) => Operation::Add(spelled(pointer), node),
    };
    operations.into_iter().map(moved).collect()
}

/// The value of a key in any case, as Argo CD reads it.
fn field<'a>(item: &'a Value, key: &str) -> Option<&'a Value> {
    let Value::Map(entries) = item else { return None };
    let same = entries.iter().find(|(found, _)| found == key);
    same.or_else(|| entries.iter().find(|(found, _)| found.eq_ignore_ascii_case(key))).map(|(_, value)| value)
}

fn text_of(item: &Value, key: &str) -> String {
    field(item, key).and_then(Value::text).unwrap_or_default().to_owned()
}

fn parameter(item: &Value) -> Option<HelmParameter> {
    let force_string = field(item, "forceString").and_then(Value::text).map(|text| text == "true");
    let found = HelmParameter { name: text_of(item, "name"), value: text_of(item, "value"), force_string };
    matches!(item, Value::Map(_)).then_some(found)
}

fn variable(item: &Value) -> Option<Variable> {
    let found = Variable { name: text_of(item, "name"), value: text_of(item, "value") };
    matches!(item, Value::Map(_)).then_some(found)
}

/// The entries of a list, each with what tells it from others.
type Entries = Vec<(String, Node)>;

fn parameters(source: &Source) -> Entries {
    let parameters = source.helm.iter().flat_map(|helm| helm.parameters.iter().flatten());
    let node = |parameter: &HelmParameter| {
        let mut entries =
            vec![("name".to_owned(), Node::text(&parameter.name)), ("value".to_owned(), Node::text(&parameter.value))];
        entries.extend(parameter.force_string.map(|force| ("forceString".to_owned(), Node::Bool(force))));
        (parameter.name.clone(), Node::Map(entries))
    };
    parameters.map(node).collect()
}

fn images(source: &Source) -> Entries {
    let images = source.kustomize.iter().flat_map(|kustomize| kustomize.images.iter().flatten());
    images.map(|image| (kustomize::key(image), Node::text(image))).collect()
}

fn env(source: &Source) -> Entries {
    let variables = source.plugin.iter().flat_map(|plugin| plugin.env.iter().flatten());
    let node = |variable: &Variable| {
        let node = Node::map([("name", Node::text(&variable.name)), ("value", Node::text(&variable.value))]);
        (variable.name.clone(), node)
    };
    variables.map(node).collect()
}
