//! The `images` of a kustomization file: `name`, `newName`, `newTag`, `digest`. Names are compared as references, and other fields of an
//! entry stay.

use super::sheet::FileEdit;
use crate::edit::yaml::{Value, documents, read};
use crate::model::{Current, Image, ImageReference, Node, Operation, Pointer, Problem, Reason, Repository};
use crate::pipeline::place::{Held, Version, several_renamed};

/// What the entry for `name` holds.
///
/// # Errors
/// A problem where the file is no kustomization.
pub(super) fn held(path: &str, text: &str, name: &ImageReference, image: &Image) -> Result<Held, Problem> {
    let root = root(path, text)?;
    let Some((_, entry)) = entry(path, &root, name, image)? else { return Ok(Held::default()) };
    let field = |key: &str| entry.get(key).and_then(Value::text).filter(|text| !text.is_empty());
    let named = field("newName").or_else(|| field("name")).map(ToOwned::to_owned);
    let version = Current {
        tag: field("newTag").and_then(|tag| tag.parse().ok()),
        digest: field("digest").and_then(|digest| digest.parse().ok()),
    };
    let version = (version.tag.is_some() || version.digest.is_some()).then_some(version);
    Ok(Held { name: named, version, exists: true })
}

/// Where the entry for `name` stands, and what the manifests call the image; of one that is missing, where and by what name it is made.
pub(super) fn meant(path: &str, text: &str, name: &ImageReference, image: &Image) -> (Pointer, String) {
    let root = root(path, text).unwrap_or(Value::Null);
    let list = Pointer::root().key("images");
    let Ok(Some((index, entry))) = entry(path, &root, name, image) else {
        let repository = name.repository.to_string();
        return (list.key(&repository), repository);
    };
    let called = entry.get("name").and_then(Value::text).unwrap_or_default();
    let called =
        called.parse::<ImageReference>().map_or_else(|_| called.to_owned(), |name| name.repository.to_string());
    (list.index(index), called)
}

/// Puts `version` into the entry for `name`; without one, into a new entry at the end.
///
/// # Errors
/// As [`held`].
pub(super) fn write(
    path: &str,
    text: &str,
    name: &ImageReference,
    image: &Image,
    version: &Version<'_>,
) -> Result<FileEdit, Problem> {
    let root = root(path, text)?;
    let list = Pointer::root().key("images");
    let Some((index, found)) = entry(path, &root, name, image)? else {
        let mut fields = vec![("name".to_owned(), Node::text(&name.name))];
        if name.repository != image.reference.repository {
            fields.push(("newName".to_owned(), Node::text(version.name)));
        }
        fields.extend(version.tag.map(|tag| ("newTag".to_owned(), Node::text(tag.to_string()))));
        fields.extend(version.digest.map(|digest| ("digest".to_owned(), Node::text(digest.to_string()))));
        let new = Node::Map(fields);
        let there = root.get("images").is_some_and(|images| *images != Value::Null);
        let operation =
            if there { Operation::Add(list.end(), new) } else { Operation::Add(list, Node::List(vec![new])) };
        return Ok(FileEdit::Operations(vec![operation]));
    };
    let at = list.index(index);
    let present = |key: &str| found.get(key).and_then(Value::text).unwrap_or_default();
    let mut wanted = Vec::new();
    let named = if present("newName").is_empty() { present("name") } else { present("newName") };
    if !named.parse::<ImageReference>().is_ok_and(|named| named.repository == image.reference.repository) {
        wanted.push(("newName", version.name.to_owned()));
    }
    // A tag beside a digest that is written alone is kept in step; kustomize takes an empty text for none.
    let beside = || (!present("newTag").is_empty()).then(|| version.beside.to_string());
    wanted.extend(version.tag.map(ToString::to_string).or_else(beside).map(|tag| ("newTag", tag)));
    let none = || (!present("digest").is_empty()).then(String::new);
    wanted.extend(version.digest.map(ToString::to_string).or_else(none).map(|digest| ("digest", digest)));
    let mut operations = Vec::new();
    for (key, value) in wanted {
        let field = at.clone().key(key);
        match found.get(key).and_then(Value::text) {
            Some(text) if text == value => {}
            Some(text) => {
                operations.push(Operation::Test(field.clone(), Node::text(text)));
                operations.push(Operation::Replace(field, Node::Text(value)));
            }
            None => operations.push(Operation::Add(field, Node::Text(value))),
        }
    }
    if !operations.is_empty() {
        operations.insert(0, Operation::Test(at.key("name"), Node::text(present("name"))));
    }
    Ok(FileEdit::Operations(operations))
}

fn root(path: &str, text: &str) -> Result<Value, Problem> {
    let unusable = |cause: String| Problem::new(Reason::UnusableFile, format!("`{path}` is no kustomization: {cause}"));
    match documents(text).len() {
        0 => return Err(unusable("it is empty".to_owned())),
        1 => {}
        count => return Err(unusable(format!("it holds {count} documents"))),
    }
    let root = read(text, 0).map_err(|error| unusable(error.to_string()))?;
    match (&root, root.get("images")) {
        (Value::Map(_), None | Some(Value::Null | Value::List(_))) => Ok(root),
        (Value::Map(_), Some(_)) => Err(unusable("its `images` are no list".to_owned())),
        (Value::Null | Value::Text(_) | Value::List(_), _) => Err(unusable("it is no mapping".to_owned())),
    }
}

/// The entry for the image that the manifests call `name`; of several the last, which kustomize applies last. Without one and without a
/// target, the only entry whose new name is that of the image.
///
/// # Errors
/// A problem where more than one entry has the image's new name: which one is meant is not certain, and a new entry would have no effect.
fn entry<'a>(
    path: &str,
    root: &'a Value,
    name: &ImageReference,
    image: &Image,
) -> Result<Option<(usize, &'a Value)>, Problem> {
    let images = root.get("images").and_then(Value::items).unwrap_or_default();
    let means = |entry: &Value, key: &str, repository: &Repository| {
        let text = entry.get(key).and_then(Value::text);
        text.and_then(|text| text.parse::<ImageReference>().ok()).is_some_and(|found| found.repository == *repository)
    };
    let all = || images.iter().enumerate();
    if let Some(named) = all().rfind(|(_, entry)| means(entry, "name", &name.repository)) {
        return Ok(Some(named));
    }
    let renamed = |(_, entry): &(usize, &Value)| means(entry, "newName", &image.reference.repository);
    let renamed: Vec<_> = all().filter(|_| image.target.is_none()).filter(renamed).collect();
    match renamed.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => {
            let names = several.iter().filter_map(|(_, entry)| entry.get("name").and_then(Value::text));
            Err(several_renamed(path, image, names))
        }
    }
}
