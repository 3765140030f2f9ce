//! Helm parameters of a source. Of two parameters with one name the last counts (Argo CD, Helm), so that one is read and
//! written. What is written is always forced to be a string: a tag like `1.10` would become a number.

use super::place::{Held, Version};
use crate::model::{Current, Helm, HelmParameter, HelmTarget, Image, ImageReference, Node, Operation, Pointer, Source};

/// What the parameters of `target` hold.
pub(super) fn held(source: &Source, target: &HelmTarget) -> Held {
    match target {
        HelmTarget::Spec(spec) => match parameter(source, spec) {
            None => Held::default(),
            Some((_, parameter)) => {
                let reference = parameter.value.parse::<ImageReference>().ok();
                let version = reference
                    .as_ref()
                    .map(|reference| Current { tag: reference.tag.clone(), digest: reference.digest.clone() });
                let version = version.filter(|version| version.tag.is_some() || version.digest.is_some());
                Held { name: reference.map(|reference| reference.name), version, exists: true }
            }
        },
        HelmTarget::NameAndTag { name, tag } => {
            let value = |name: &String| parameter(source, name).map(|(_, parameter)| parameter.value.clone());
            let tag = value(tag);
            let name = name.as_ref().and_then(value).filter(|name| !name.is_empty());
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

fn parameter<'a>(source: &'a Source, name: &str) -> Option<(usize, &'a HelmParameter)> {
    let parameters = source.helm.as_ref()?.parameters.as_ref()?;
    parameters.iter().enumerate().rfind(|(_, parameter)| parameter.name == name)
}

/// Puts `version` into the parameters of `target`.
///
/// The name is written where its parameter holds another repository, or where the user named the parameter, or where
/// nothing shows that the chart uses the right image anyway.
pub(super) fn write(
    place: &Pointer,
    source: &Source,
    target: &HelmTarget,
    image: &Image,
    version: &Version<'_>,
) -> (Vec<Operation>, Source) {
    let mut after = source.clone();
    let mut operations = Vec::new();
    let mut set = |name: &str, value: &str| operations.extend(set_parameter(place, &mut after, name, value));
    match target {
        HelmTarget::Spec(spec) => {
            let name = name_to_keep(held(source, target).name, image, version);
            set(spec, &version.reference(&name));
        }
        HelmTarget::NameAndTag { name, tag } => {
            if let Some(name) = name.as_ref().filter(|name| needs_name(source, name, tag, image)) {
                set(name, version.name);
            }
            set(tag, &tag_text(version));
        }
    }
    (operations, after)
}

/// The spelling that the place has, where it means the right repository; else the user's.
fn name_to_keep(held: Option<String>, image: &Image, version: &Version<'_>) -> String {
    let right =
        |name: &String| name.parse::<ImageReference>().is_ok_and(|name| name.repository == image.reference.repository);
    held.filter(right).unwrap_or_else(|| version.name.to_owned())
}

fn needs_name(source: &Source, name: &str, tag: &str, image: &Image) -> bool {
    match parameter(source, name) {
        Some((_, parameter)) => {
            let right = parameter.value.parse::<ImageReference>();
            right.is_ok_and(|held| held.repository != image.reference.repository) || parameter.value.is_empty()
        }
        None => image.target.is_some() || (image.force && parameter(source, tag).is_none()),
    }
}

/// A chart joins name and tag with a colon, so a digest alone cannot stand there; its tag goes in front.
fn tag_text(version: &Version<'_>) -> String {
    match (version.tag, version.digest) {
        (None, Some(digest)) => format!("{}@{digest}", version.beside),
        _ => version.text(),
    }
}

fn set_parameter(place: &Pointer, source: &mut Source, name: &str, value: &str) -> Vec<Operation> {
    let helm = place.clone().key("helm");
    let list = helm.clone().key("parameters");
    let found = parameter(source, name).map(|(index, parameter)| (index, parameter.clone()));
    let new = HelmParameter { name: name.to_owned(), value: value.to_owned(), force_string: Some(true) };
    let node = Node::map([("name", Node::text(name)), ("value", Node::text(value)), ("forceString", Node::Bool(true))]);
    let operations = match (&found, &source.helm) {
        (Some((_, parameter)), _) if *parameter == new => return Vec::new(),
        (Some((index, parameter)), _) => change_parameter(&list.index(*index), parameter, value),
        (None, None) => vec![Operation::Add(helm, Node::map([("parameters", Node::List(vec![node]))]))],
        (None, Some(Helm { parameters: None })) => vec![Operation::Add(list, Node::List(vec![node]))],
        (None, Some(Helm { parameters: Some(_) })) => vec![Operation::Add(list.end(), node)],
    };
    let parameters = source.helm.get_or_insert_default().parameters.get_or_insert_default();
    match found {
        Some((index, _)) => parameters[index] = new,
        None => parameters.push(new),
    }
    operations
}

fn change_parameter(place: &Pointer, parameter: &HelmParameter, value: &str) -> Vec<Operation> {
    let at = |key: &str| place.clone().key(key);
    let mut operations = vec![Operation::Test(at("name"), Node::text(&parameter.name))];
    if parameter.value != value {
        operations.push(Operation::Test(at("value"), Node::text(&parameter.value)));
        operations.push(Operation::Replace(at("value"), Node::text(value)));
    }
    match parameter.force_string {
        Some(true) => {}
        Some(false) => operations.push(Operation::Replace(at("forceString"), Node::Bool(true))),
        None => operations.push(Operation::Add(at("forceString"), Node::Bool(true))),
    }
    operations
}
