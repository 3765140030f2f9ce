//! From a pointer to a node, refusing the ways that are shared or not certain.

use std::collections::BTreeSet;

use granit_parser::{ScalarStyle, StructureStyle};

use crate::model::{Node, Pointer, Step};

use super::EditError;
use super::scalar::{Context, reads_as_text};
use super::tree::{Content, Entry, Parsed, Tree};

/// A node, and what it hangs on.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    pub node: &'t Tree,
    pub slot: Slot<'t>,
    /// Whether it stands within a flow collection.
    pub context: Context,
}

/// What a node hangs on.
#[derive(Clone, Copy)]
pub(super) enum Slot<'t> {
    /// It is the document.
    Root,
    /// It is the value of an entry.
    Value(&'t Entry),
    /// It is an item of a list.
    Item,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A text, to every loader.
    Text(String),
    /// A number, a boolean, a list or a mapping.
    Other,
    /// Nothing: of the steps to the place, this many lead to something.
    Nothing(usize),
}

/// What stands at `steps`.
pub(super) fn look(parsed: &Parsed<'_>, steps: &[Step]) -> Result<Standing, EditError> {
    for (depth, step) in steps.iter().enumerate() {
        let node = place(parsed, &steps[..depth])?.node;
        match (&node.content, step) {
            (_, Step::Key(_)) if node.is_null() => return Ok(Standing::Nothing(depth)),
            (Content::Map { entries, .. }, Step::Key(key)) if entry(parsed, entries, key)?.is_none() => {
                return Ok(Standing::Nothing(depth));
            }
            _ => {}
        }
    }
    let node = place(parsed, steps)?.node;
    match &node.content {
        _ if node.is_null() => Ok(Standing::Nothing(steps.len().saturating_sub(1))),
        Content::Scalar { text, .. } if holds(node, &Node::text(text), Reading::Exact) => {
            Ok(Standing::Text(text.clone()))
        }
        _ => Ok(Standing::Other),
    }
}

/// The node at `pointer`.
pub(super) fn place<'t>(parsed: &'t Parsed<'_>, pointer: &[Step]) -> Result<Place<'t>, EditError> {
    let mut place = Place { node: &parsed.root, slot: Slot::Root, context: Context::Block };
    for (position, step) in pointer.iter().enumerate() {
        check_alone(parsed, place.node, &pointer[..position])?;
        if place.node.is_flow() {
            place.context = Context::Flow;
        }
        place = match (&place.node.content, step) {
            (Content::Map { entries, .. }, Step::Key(key)) => {
                let entry = entry(parsed, entries, key)?;
                let missing = || changed(place.node, format!("there is no `{}`", shown(&pointer[..=position])));
                let entry = entry.ok_or_else(missing)?;
                Place { node: &entry.value, slot: Slot::Value(entry), context: place.context }
            }
            (Content::List { items, .. }, Step::Index(index)) => {
                let missing = || changed(place.node, format!("there is no `{}`", shown(&pointer[..=position])));
                Place { node: items.get(*index).ok_or_else(missing)?, slot: Slot::Item, context: place.context }
            }
            _ => return Err(changed(place.node, format!("there is no `{}`", shown(&pointer[..=position])))),
        };
    }
    check_alone(parsed, place.node, pointer)?;
    Ok(place)
}

/// The entry of `key` in a mapping, if it is there. Refuses mappings with a key twice, and keys that a merge key provides.
pub(super) fn entry<'t>(parsed: &Parsed<'_>, entries: &'t [Entry], key: &str) -> Result<Option<&'t Entry>, EditError> {
    let mut seen = BTreeSet::new();
    for Entry { key, .. } in entries {
        if let Some(twice) = key.text().filter(|text| !seen.insert(*text)) {
            return Err(refused(key, format!("the key `{twice}` stands here a second time")));
        }
    }
    let alias = |entry: &&Entry| matches!(entry.key.content, Content::Alias(_)) && parsed.key(&entry.key) == Some(key);
    if let Some(entry) = entries.iter().find(alias) {
        return Err(refused(&entry.key, format!("the key `{key}` is an alias; write the key itself there first")));
    }
    let found = entries.iter().find(|entry| entry.key.text() == Some(key));
    let merge = entries.iter().find(|entry| entry.key.text() == Some("<<"));
    match (found, merge) {
        (None, Some(merge)) if may_provide(parsed, &merge.value, key) => {
            Err(refused(&merge.key, format!("`{key}` may come from this merge key; write it out in the mapping first")))
        }
        (found, _) => Ok(found),
    }
}

/// Whether a merge key's value may provide `key`. What it merges from elsewhere is looked up one level deep; deeper, it may.
fn may_provide(parsed: &Parsed<'_>, merged: &Tree, key: &str) -> bool {
    match &merged.content {
        Content::Alias(anchor) => parsed.anchored(*anchor).is_none_or(|source| match &source.content {
            Content::Map { entries, .. } => {
                entries.iter().any(|entry| entry.key.text().is_none_or(|text| text == key || text == "<<"))
            }
            Content::Scalar { .. } | Content::Alias(_) | Content::List { .. } => true,
        }),
        Content::List { items, .. } => items.iter().any(|item| may_provide(parsed, item, key)),
        Content::Map { entries, .. } => {
            entries.iter().any(|entry| entry.key.text().is_none_or(|text| text == key || text == "<<"))
        }
        Content::Scalar { .. } => true,
    }
}

/// Refuses what is shared with other places, and tags that give a value a meaning of its own.
fn check_alone(parsed: &Parsed<'_>, node: &Tree, pointer: &[Step]) -> Result<(), EditError> {
    let place = shown(pointer);
    if matches!(node.content, Content::Alias(_)) {
        return Err(refused(node, format!("`{place}` is an alias; write the value itself there first")));
    }
    if node.properties.anchor.is_some_and(|anchor| parsed.shared.contains(&anchor)) {
        return Err(refused(node, format!("`{place}` has an anchor that is used elsewhere, too")));
    }
    match node.properties.tag.as_deref() {
        None | Some("!" | "tag:yaml.org,2002:str" | "tag:yaml.org,2002:map" | "tag:yaml.org,2002:seq") => Ok(()),
        Some(tag) => Err(refused(node, format!("`{place}` has the tag `{tag}`"))),
    }
}

/// Whether `place` holds `node`.
pub(super) fn test(parsed: &Parsed<'_>, pointer: &Pointer, node: &Node) -> Result<(), EditError> {
    let place = place(parsed, &pointer.steps)?;
    if holds(place.node, node, Reading::Lenient) {
        return Ok(());
    }
    Err(changed(place.node, format!("`{pointer}` holds something else than expected")))
}

/// How a plain scalar is read where a text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As that text, even if a loader would see a number: where a schema says text, that is what a person meant.
    Lenient,
    /// As a loader without a schema would.
    Exact,
}

/// Whether a tree has the value of a node.
pub(super) fn holds(tree: &Tree, node: &Node, reading: Reading) -> bool {
    match (&tree.content, node) {
        (Content::Scalar { text, style }, Node::Text(wanted)) => {
            let tagged = tree.properties.tag.is_some();
            let is_text = tagged || *style != ScalarStyle::Plain || reads_as_text(text);
            text == wanted && !tree.is_null() && (is_text || reading == Reading::Lenient)
        }
        (Content::Scalar { text, style: ScalarStyle::Plain }, Node::Bool(wanted)) => {
            tree.properties.tag.is_none() && text.to_ascii_lowercase() == wanted.to_string()
        }
        (Content::List { items, .. }, Node::List(wanted)) => {
            items.len() == wanted.len() && items.iter().zip(wanted).all(|(item, node)| holds(item, node, reading))
        }
        (Content::Map { entries, .. }, Node::Map(wanted)) => {
            let has = |(key, node): &(String, Node)| {
                let mut found = entries.iter().filter(|entry| entry.key.text() == Some(key));
                found.next().is_some_and(|entry| holds(&entry.value, node, reading)) && found.next().is_none()
            };
            entries.len() == wanted.len() && wanted.iter().all(has)
        }
        _ => false,
    }
}

/// The line of `pointer`, or of the last node on the way there.
pub(super) fn line(parsed: &Parsed<'_>, pointer: &Pointer) -> usize {
    let (mut node, mut line) = (&parsed.root, parsed.root.line);
    for step in &pointer.steps {
        let next = match (&node.content, step) {
            (Content::Map { entries, .. }, Step::Key(key)) => {
                let entry = entries.iter().find(|entry| entry.key.text() == Some(key));
                entry.map(|entry| (&entry.value, entry.key.line))
            }
            (Content::List { items, .. }, Step::Index(index)) => items.get(*index).map(|item| (item, item.line)),
            _ => None,
        };
        let Some(next) = next else { break };
        (node, line) = next;
    }
    line
}

/// The column at which the entries of a block mapping or the dashes of a block list stand, in characters; `None` for others,
/// and where tabs make it uncertain.
pub(super) fn block_column(text: &str, tree: &Tree) -> Option<usize> {
    let position = match &tree.content {
        Content::Map { style: StructureStyle::Block, entries } => entries.first()?.key.start,
        Content::List { style: StructureStyle::Block, items } => dash(text, items.first()?)?,
        _ => return None,
    };
    let line = text[..position].rfind('\n').map_or(0, |newline| newline + 1);
    let before = &text[line..position];
    before.chars().all(|character| matches!(character, ' ' | '-' | '?')).then_some(before.len())
}

/// Where the dash of an item stands. Comments between the dash and the item hide it.
pub(super) fn dash(text: &str, item: &Tree) -> Option<usize> {
    let before = text.get(..item.start)?.trim_end();
    before.ends_with('-').then(|| before.len() - 1)
}

/// A pointer as people write it.
pub(super) fn shown(steps: &[Step]) -> Pointer {
    Pointer { steps: steps.to_vec() }
}

pub(super) fn changed(node: &Tree, cause: impl Into<String>) -> EditError {
    EditError::Changed { line: node.line, cause: cause.into() }
}

pub(super) fn refused(node: &Tree, cause: impl Into<String>) -> EditError {
    EditError::Refused { line: node.line, cause: cause.into() }
}
