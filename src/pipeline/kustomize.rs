//! `kustomize.images` of a source: `[old=]name[:tag][@digest]`. Both sides are parsed and compared as references; the text
//! before the first delimiter, which Argo CD's own merge compares, confuses registries with ports and entries with digests.

use super::place::{Held, Version};
use crate::model::{Current, Image, ImageReference, Kustomize, Node, Operation, Pointer, Repository, Source};

struct Entry {
    /// The name in the manifests, as it is written, where it stands before a `=`.
    old: Option<String>,
    new: ImageReference,
}

fn parse(text: &str) -> Option<Entry> {
    let (old, new) = match text.split_once('=') {
        Some((old, new)) => (Some(old.to_owned()), new),
        None => (None, text),
    };
    Some(Entry { old, new: new.parse().ok()? })
}

impl Entry {
    /// Whether the entry replaces the image that the manifests call `name`.
    fn replaces(&self, name: &ImageReference) -> bool {
        match &self.old {
            Some(old) => old.parse::<ImageReference>().is_ok_and(|old| old.repository == name.repository),
            None => self.new.repository == name.repository,
        }
    }
}

/// The entry for `name`; without one, the only entry whose new name is that of the image.
fn entry(source: &Source, name: &ImageReference, image: &Image) -> Option<(usize, String, Entry)> {
    let images = source.kustomize.as_ref()?.images.as_ref()?;
    let parsed =
        || images.iter().enumerate().filter_map(|(index, text)| parse(text).map(|entry| (index, text.clone(), entry)));
    parsed().rfind(|(_, _, entry)| entry.replaces(name)).or_else(|| {
        let mut renamed = parsed()
            .filter(|(_, _, entry)| image.target.is_none() && entry.new.repository == image.reference.repository);
        renamed.next().filter(|_| renamed.next().is_none())
    })
}

/// What tells an entry from others: the repository of the image that it replaces.
pub(super) fn key(text: &str) -> String {
    let replaced = parse(text).and_then(|entry| match entry.old {
        Some(old) => old.parse::<ImageReference>().ok().map(|old| old.repository),
        None => Some(entry.new.repository),
    });
    replaced.map_or_else(|| text.to_owned(), |repository| repository.to_string())
}

/// The names of the entries for an image, where more than one has its new name and nothing says which is meant.
pub(super) fn several<'a>(source: &'a Source, name: &ImageReference, image: &Image) -> Option<Vec<&'a str>> {
    if image.target.is_some() || entry(source, name, image).is_some() {
        return None;
    }
    let images = source.kustomize.as_ref()?.images.as_ref()?;
    let ours = |text: &&String| parse(text).is_some_and(|entry| entry.new.repository == image.reference.repository);
    let renamed: Vec<&str> = images.iter().filter(ours).filter_map(|text| Some(text.split_once('=')?.0)).collect();
    (renamed.len() > 1).then_some(renamed)
}

/// The repository of the image that the entry for `name` replaces, whatever its new name.
pub(super) fn replaced(source: &Source, name: &ImageReference, image: &Image) -> Repository {
    let found = entry(source, name, image).map(|(_, _, entry)| match &entry.old {
        Some(old) => old.parse::<ImageReference>().map_or(entry.new.repository, |old| old.repository),
        None => entry.new.repository,
    });
    found.unwrap_or_else(|| name.repository.clone())
}

/// What the entry for `name` holds.
pub(super) fn held(source: &Source, name: &ImageReference, image: &Image) -> Held {
    match entry(source, name, image) {
        None => Held::default(),
        Some((_, _, Entry { new, .. })) => {
            let version = Current { tag: new.tag, digest: new.digest };
            let version = (version.tag.is_some() || version.digest.is_some()).then_some(version);
            Held { name: Some(new.name), version, exists: true }
        }
    }
}

/// Puts `version` into the entry for `name`, in place; without one, into a new entry at the end.
pub(super) fn write(
    place: &Pointer,
    source: &Source,
    name: &ImageReference,
    image: &Image,
    version: &Version<'_>,
) -> (Vec<Operation>, Source) {
    let block = place.clone().key("kustomize");
    let list = block.clone().key("images");
    let mut after = source.clone();
    let images = after.kustomize.get_or_insert_default().images.get_or_insert_default();
    if let Some((index, text, found)) = entry(source, name, image) {
        let kept =
            if found.new.repository == image.reference.repository { found.new.name.as_str() } else { version.name };
        let old = found.old.or_else(|| (kept != found.new.name).then(|| found.new.name.clone()));
        let new = joined(old.as_deref(), &version.reference(kept));
        if new == text {
            return (Vec::new(), source.clone());
        }
        let at = list.index(index);
        images[index].clone_from(&new);
        return (vec![Operation::Test(at.clone(), Node::Text(text)), Operation::Replace(at, Node::Text(new))], after);
    }
    let old = (name.name != image.reference.name).then_some(name.name.as_str());
    let new = joined(old, &version.reference(version.name));
    images.push(new.clone());
    let operation = match &source.kustomize {
        None => Operation::Add(block, Node::map([("images", Node::List(vec![Node::Text(new)]))])),
        Some(Kustomize { images: None }) => Operation::Add(list, Node::List(vec![Node::Text(new)])),
        Some(Kustomize { images: Some(_) }) => Operation::Add(list.end(), Node::Text(new)),
    };
    (vec![operation], after)
}

fn joined(old: Option<&str>, new: &str) -> String {
    old.map_or_else(|| new.to_owned(), |old| format!("{old}={new}"))
}
