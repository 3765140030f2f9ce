//! Keys of a source that hold an image: Helm parameters, paths of Helm values, plugin variables. What they mean is the same
//! for all; where they stand is each store's own.

use super::place::{Held, Version};
use super::{helm, inline, plugin, values};
use crate::model::{Current, Image, ImageReference, Keys, Operation, Pointer, Problem, Source};

/// Where keys stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// `helm.parameters`.
    Parameters,
    /// `helm.valuesObject`.
    Values,
    /// `helm.values`, a text.
    Inline,
    /// `plugin.env`.
    Environment,
}

impl Store {
    fn get(self, source: &Source, key: &str) -> Option<String> {
        match self {
            Self::Parameters => helm::get(source, key),
            Self::Values => values::get(source, key),
            Self::Inline => inline::get(source, key),
            Self::Environment => plugin::get(source, key),
        }
    }

    fn set(self, place: &Pointer, source: &mut Source, key: &str, value: &str) -> Result<Vec<Operation>, Problem> {
        match self {
            Self::Parameters => Ok(helm::set(place, source, key, value)),
            Self::Values => Ok(values::set(place, source, key, value)),
            Self::Inline => inline::set(place, source, key, value),
            Self::Environment => Ok(plugin::set(place, source, key, value)),
        }
    }

    /// The key as people write it: `helm.parameters[name=image.tag]`.
    pub(super) fn describe(self, key: &str) -> String {
        match self {
            Self::Parameters => format!("helm.parameters[name={key}]"),
            Self::Values => format!("helm.valuesObject.{key}"),
            Self::Inline => format!("helm.values.{key}"),
            Self::Environment => format!("plugin.env[name={key}]"),
        }
    }
}

/// What `keys` hold.
pub(super) fn held(store: Store, source: &Source, keys: &Keys) -> Held {
    match keys {
        Keys::Spec(spec) => match store.get(source, spec) {
            None => Held::default(),
            Some(text) => {
                let reference = text.parse::<ImageReference>().ok();
                let version = reference
                    .as_ref()
                    .map(|reference| Current { tag: reference.tag.clone(), digest: reference.digest.clone() });
                let version = version.filter(|version| version.tag.is_some() || version.digest.is_some());
                Held { name: reference.map(|reference| reference.name), version, exists: true }
            }
        },
        Keys::NameAndTag { name, tag } => {
            let tag = store.get(source, tag);
            let name = name.as_ref().and_then(|name| store.get(source, name)).filter(|name| !name.is_empty());
            Held { version: tag.as_deref().and_then(version), exists: tag.is_some(), name }
        }
    }
}

/// `tag`, `tag@digest` or `digest`; anything else, a build variable for example, is no version.
pub(super) fn version(text: &str) -> Option<Current> {
    let (tag, digest) = match text.split_once('@') {
        Some((tag, digest)) => (Some(tag), Some(digest)),
        None if text.contains(':') => (None, Some(text)),
        None => (Some(text), None),
    };
    let current = Current {
        tag: tag.filter(|tag| !tag.is_empty()).map(str::parse).transpose().ok()?,
        digest: digest.map(str::parse).transpose().ok()?,
    };
    (current.tag.is_some() || current.digest.is_some()).then_some(current)
}

/// Puts `version` into `keys`.
///
/// The name is written where its key holds another repository, or where the user named the key, or where
/// nothing shows that the right image is used anyway.
///
/// # Errors
/// A problem where the store cannot be changed without touching something else.
pub(super) fn write(
    store: Store,
    place: &Pointer,
    source: &Source,
    keys: &Keys,
    image: &Image,
    version: &Version<'_>,
) -> Result<(Vec<Operation>, Source), Problem> {
    let mut after = source.clone();
    let mut operations = Vec::new();
    let mut set = |key: &str, value: &str| {
        operations.extend(store.set(place, &mut after, key, value)?);
        Ok(())
    };
    match keys {
        Keys::Spec(spec) => {
            let name = name_to_keep(held(store, source, keys).name, image, version);
            set(spec, &version.reference(&name))?;
        }
        Keys::NameAndTag { name, tag } => {
            if let Some(name) = name.as_ref().filter(|name| needs_name(store, source, name, tag, image)) {
                set(name, version.name)?;
            }
            set(tag, &tag_text(version))?;
        }
    }
    Ok((operations, after))
}

/// The spelling that the place has, where it means the right repository; else the user's.
fn name_to_keep(held: Option<String>, image: &Image, version: &Version<'_>) -> String {
    let right =
        |name: &String| name.parse::<ImageReference>().is_ok_and(|name| name.repository == image.reference.repository);
    held.filter(right).unwrap_or_else(|| version.name.to_owned())
}

fn needs_name(store: Store, source: &Source, name: &str, tag: &str, image: &Image) -> bool {
    match store.get(source, name) {
        Some(held) => {
            let right = held.parse::<ImageReference>();
            right.is_ok_and(|held| held.repository != image.reference.repository) || held.is_empty()
        }
        None => image.target.is_some() || (image.force && store.get(source, tag).is_none()),
    }
}

/// A chart joins name and tag with a colon, so a digest alone cannot stand there; its tag goes in front.
pub(super) fn tag_text(version: &Version<'_>) -> String {
    match (version.tag, version.digest) {
        (None, Some(digest)) => format!("{}@{digest}", version.beside),
        _ => version.text(),
    }
}
