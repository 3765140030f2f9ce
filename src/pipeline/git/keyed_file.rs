//! Keys of a file: any YAML or JSON, Helm values among them.

use std::collections::BTreeMap;

use super::sheet::FileEdit;
use crate::edit::yaml::{Value, documents, read, starts_empty};
use crate::model::{
    Current, FileKeys, Image, ImageReference, KeyPath, KeyStep, Node, Operation, Pointer, Problem, Reason,
};
use crate::pipeline::keys;
use crate::pipeline::place::{Held, Version};

/// Where a path of keys leads in a document.
struct Way {
    /// What must be so for the place to be meant: the names of items.
    tests: Vec<Operation>,
    /// The place, as far as it is there.
    there: Pointer,
    /// The text at the end, where one is there.
    text: Option<String>,
    /// The keys that are missing.
    missing: Vec<String>,
}

/// The document of `text` that the keys are meant in: the only one, or of several the one that has the version's key.
///
/// # Errors
/// A problem where that is not certain.
pub(super) fn document(path: &str, text: &str, keys: &FileKeys) -> Result<usize, Problem> {
    let count = documents(text).len();
    let Some(key) = keys.main().filter(|_| count > 1) else { return Ok(0) };
    let found = standing(path, text, key);
    if let [one] = found.as_slice() {
        return Ok(*one);
    }
    let message = format!("`{path}` holds {count} documents, and `{key}` stands in {} of them", found.len());
    Err(Problem::new(Reason::UnusableFile, message).hint("name a key that stands in one of them"))
}

/// The document of `text` that Helm reads, which is the first alone.
///
/// # Errors
/// A problem where the version's key stands in another one, or the first one is empty: what is written would not be read.
pub(super) fn values_document(path: &str, text: &str, keys: &FileKeys) -> Result<usize, Problem> {
    let unusable = |message: String| {
        let problem = Problem::new(Reason::UnusableFile, message);
        Err(problem.hint("leave one document in the file"))
    };
    if starts_empty(text) {
        return unusable(format!("`{path}` begins with an empty document, and Helm reads no other"));
    }
    let key = keys.main().filter(|_| documents(text).len() > 1);
    let Some((key, other)) = key.and_then(|key| Some((key, *standing(path, text, key).first()?))) else { return Ok(0) };
    if other == 0 {
        return Ok(0);
    }
    unusable(format!("`{key}` stands in document {} of `{path}`, and Helm reads the first alone", other + 1))
}

/// The documents in which a text stands at `key`.
fn standing(path: &str, text: &str, key: &KeyPath) -> Vec<usize> {
    let has = |number: &usize| {
        let root = read(text, *number).ok();
        root.is_some_and(|root| way(path, &root, key).is_ok_and(|way| way.text.is_some()))
    };
    (0..documents(text).len()).filter(has).collect()
}

/// Where each key leads in a document, in the one form of all its spellings; of a key that leads nowhere its text.
pub(super) fn ways(path: &str, text: Option<(&str, usize)>, keys: &FileKeys) -> BTreeMap<String, Pointer> {
    let root = root(path, text).ok().flatten().unwrap_or(Value::Null);
    let one = |key: &KeyPath| {
        let way = way(path, &root, key);
        let at = way.map(|Way { there, missing, .. }| missing.into_iter().fold(there, Pointer::key));
        (key.to_string(), at.unwrap_or_else(|_| Pointer::root().key(key.as_str())))
    };
    let FileKeys { name, tag, digest, spec } = keys;
    [name, tag, digest, spec].into_iter().flatten().map(one).collect()
}

/// What the keys hold.
///
/// # Errors
/// A problem where the file cannot be read, or a key leads to something that is no text.
pub(super) fn held(path: &str, text: Option<(&str, usize)>, keys: &FileKeys, image: &Image) -> Result<Held, Problem> {
    let Some(root) = root(path, text)? else { return Ok(Held::default()) };
    let at = |key: Option<&KeyPath>| key.map_or(Ok(None), |key| way(path, &root, key).map(|way| way.text));
    if let Some(spec) = &keys.spec {
        let Some(text) = at(Some(spec))? else { return Ok(Held::default()) };
        let reference = text.parse::<ImageReference>().ok();
        let version = reference.as_ref().map(|found| Current { tag: found.tag.clone(), digest: found.digest.clone() });
        let version = version.filter(|version| version.tag.is_some() || version.digest.is_some());
        let name = reference.map(|reference| full_name(reference.name, image));
        return Ok(Held { name, version, exists: true });
    }
    let (name, tag, digest) = (at(keys.name.as_ref())?, at(keys.tag.as_ref())?, at(keys.digest.as_ref())?);
    let exists = tag.is_some() || digest.is_some();
    let of_tag = tag.as_deref().and_then(keys::version);
    let of_digest = digest.as_deref().and_then(|digest| digest.parse().ok());
    let version = Current {
        tag: of_tag.as_ref().and_then(|version| version.tag.clone()),
        digest: of_digest.or_else(|| of_tag.and_then(|version| version.digest)),
    };
    let version = (version.tag.is_some() || version.digest.is_some()).then_some(version);
    let name = name.filter(|name| !name.is_empty()).map(|name| full_name(name, image));
    Ok(Held { name, version, exists })
}

/// Puts `version` at the keys.
///
/// The name is written where its key holds another image; a name without a registry stays so where it is the image's, as the registry
/// stands elsewhere in the file then.
///
/// # Errors
/// As [`held`].
pub(super) fn write(
    path: &str,
    text: Option<(&str, usize)>,
    keys: &FileKeys,
    image: &Image,
    version: &Version<'_>,
    explicit: bool,
) -> Result<FileEdit, Problem> {
    let found = root(path, text)?;
    let missing = found.is_none();
    let root = found.unwrap_or(Value::Null);
    let mut values: Vec<(&KeyPath, String)> = Vec::new();
    if let Some(spec) = &keys.spec {
        let written = way(path, &root, spec)?.text.and_then(|text| text.parse::<ImageReference>().ok());
        let name = written.map(|written| written.name).filter(|name| is_ours(name, image));
        values.push((spec, version.reference(name.as_deref().unwrap_or(version.name))));
    } else {
        if let Some(name) = &keys.name {
            let written = way(path, &root, name)?.text.filter(|text| !text.is_empty());
            let right = written.as_ref().map_or(!explicit, |written| is_ours(written, image));
            if !right {
                values.push((name, version.name.to_owned()));
            }
        }
        match (&keys.tag, &keys.digest) {
            (Some(tag), Some(digest)) => {
                values.push((tag, version.beside.to_string()));
                // Without a digest to write, one that stands there would still be what runs.
                let stands = way(path, &root, digest)?.text.is_some_and(|text| !text.is_empty());
                let wanted = version.digest.map(ToString::to_string).or_else(|| stands.then(String::new));
                values.extend(wanted.map(|wanted| (digest, wanted)));
            }
            (Some(tag), None) => values.push((tag, keys::tag_text(version))),
            (None, Some(digest)) => {
                let wanted = version.digest.ok_or_else(|| {
                    let message = format!("`{digest}` of `{path}` takes a digest, and the rule writes none");
                    Problem::new(Reason::InvalidTarget, message).hint("add `pin: Digest`, or name a key for the tag")
                })?;
                values.push((digest, wanted.to_string()));
            }
            (None, None) => {}
        }
    }
    put(path, &root, missing, values)
}

/// The edit that puts `values` at their keys, each on the document as the ones before leave it.
fn put(path: &str, root: &Value, missing_file: bool, values: Vec<(&KeyPath, String)>) -> Result<FileEdit, Problem> {
    let mut operations = Vec::new();
    // What is missing is added as one, so that keys of one mapping share it.
    let mut additions: Vec<(Pointer, Vec<(String, Node)>)> = Vec::new();
    for (key, value) in values {
        let Way { tests, there, text, missing } = way(path, root, key)?;
        match (text, missing.split_first()) {
            (Some(text), _) if text == value => {}
            (Some(text), _) => {
                operations.extend(tests);
                operations.push(Operation::Test(there.clone(), Node::Text(text)));
                operations.push(Operation::Replace(there, Node::Text(value)));
            }
            (None, None) => operations.push(Operation::Add(there, Node::Text(value))),
            (None, Some((first, rest))) => {
                operations.extend(tests);
                let nested =
                    rest.iter().rev().fold(Node::Text(value), |node, key| Node::Map(vec![(key.clone(), node)]));
                let entry = (first.clone(), nested);
                match additions.iter_mut().find(|(parent, _)| *parent == there) {
                    Some((_, entries)) => insert(entries, entry),
                    None => additions.push((there, vec![entry])),
                }
            }
        }
    }
    if missing_file {
        let entries = additions.into_iter().flat_map(|(_, entries)| entries).collect();
        return Ok(FileEdit::Document(entries));
    }
    for (parent, entries) in additions {
        operations.extend(entries.into_iter().map(|(key, node)| Operation::Add(parent.clone().key(key), node)));
    }
    Ok(FileEdit::Operations(operations))
}

/// Puts an entry among others, into a mapping of the same key where there is one.
fn insert(entries: &mut Vec<(String, Node)>, (key, node): (String, Node)) {
    match (entries.iter_mut().find(|(found, _)| *found == key), node) {
        (Some((_, Node::Map(inner))), Node::Map(new)) => new.into_iter().for_each(|entry| insert(inner, entry)),
        (_, node) => entries.push((key, node)),
    }
}

fn root(path: &str, text: Option<(&str, usize)>) -> Result<Option<Value>, Problem> {
    let read = text.map(|(text, document)| read(text, document)).transpose();
    read.map_err(|error| Problem::new(Reason::UnusableFile, format!("`{path}` cannot be read: {error}")))
}

/// Follows a path of keys. A key of the document itself that is spelled as the whole path goes first.
fn way(path: &str, root: &Value, key: &KeyPath) -> Result<Way, Problem> {
    let literal = root.get(key.as_str()).map(|_| [KeyStep::Key(key.as_str().to_owned())]);
    let steps = literal.as_ref().map_or(key.steps(), |steps| steps.as_slice());
    let unusable = |cause: &str| {
        let problem =
            Problem::new(Reason::UnusableFile, format!("`{key}` of `{path}` is no place for a version: {cause}"));
        Err(problem.hint("name a key that holds a text"))
    };
    let mut way = Way { tests: Vec::new(), there: Pointer::root(), text: None, missing: Vec::new() };
    let mut here = root;
    for (depth, step) in steps.iter().enumerate() {
        let next = match (here, step) {
            (Value::Map(_), KeyStep::Key(key)) => here.get(key).map(|next| (way.there.clone().key(key), next)),
            (Value::Null, KeyStep::Key(_)) => None,
            (Value::List(items), KeyStep::Index(index)) => {
                let Some(item) = items.get(*index) else { return unusable("the list is shorter") };
                Some((way.there.clone().index(*index), item))
            }
            (Value::List(items), KeyStep::Where(name, value)) => {
                let fits = |(_, item): &(usize, &Value)| item.get(name).and_then(Value::text) == Some(value);
                let mut found = items.iter().enumerate().filter(fits);
                let (Some((index, item)), None) = (found.next(), found.next()) else {
                    return unusable(&format!("not exactly one item has `{name}: {value}`"));
                };
                let at = way.there.clone().index(index);
                way.tests.push(Operation::Test(at.clone().key(name), Node::text(value)));
                Some((at, item))
            }
            (Value::Text(_), _) => return unusable("a text stands on the way to it"),
            (_, KeyStep::Key(_)) => return unusable("a list stands where a key is named"),
            (_, KeyStep::Index(_) | KeyStep::Where(..)) => return unusable("there is no list where one is named"),
        };
        let Some((pointer, value)) = next else {
            for step in &steps[depth..] {
                let KeyStep::Key(key) = step else { return unusable("no list is made where there is none") };
                way.missing.push(key.clone());
            }
            return Ok(way);
        };
        (way.there, here) = (pointer, value);
    }
    match here {
        Value::Text(text) => way.text = Some(text.clone()),
        Value::Null => {}
        Value::List(_) | Value::Map(_) => return unusable("a list or mapping stands there"),
    }
    Ok(way)
}

/// Whether `name` is that of the image: the same repository, or its path without a registry.
fn is_ours(name: &str, image: &Image) -> bool {
    let repository = &image.reference.repository;
    let short = name.trim_matches('/') == repository.path;
    short || name.parse::<ImageReference>().is_ok_and(|name| name.repository == *repository)
}

/// The image's full name for one without a registry that is its own.
fn full_name(name: String, image: &Image) -> String {
    if is_ours(&name, image) { image.reference.name.clone() } else { name }
}
