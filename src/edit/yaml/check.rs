//! Whether two versions of a document differ by one operation alone.

use granit_parser::ScalarStyle;

use crate::model::{Node, Operation, Step};

use super::find::{Reading, holds};
use super::tree::{Content, Entry, Parsed, Tree};

/// Whether `after` is `before` with `operation` applied, and nothing else: values, styles, order, anchors, tags, comments.
pub(super) fn differs_only_by(before: &Parsed<'_>, after: &Parsed<'_>, operation: &Operation) -> bool {
    let comments_stay = before.comments.len() == after.comments.len()
        && before
            .comments
            .iter()
            .zip(&after.comments)
            .all(|(old, new)| before.text.get(old.clone()) == after.text.get(new.clone()));
    comments_stay
        && match operation {
            Operation::Test(..) => same(&before.root, &after.root),
            Operation::Replace(pointer, node) => replaced(&before.root, &after.root, &pointer.steps, node),
            Operation::Add(pointer, node) => match pointer.steps.split_last() {
                Some((last, parent)) => added(&before.root, &after.root, parent, last, node),
                None => false,
            },
        }
}

fn replaced(old: &Tree, new: &Tree, steps: &[Step], node: &Node) -> bool {
    match steps.split_first() {
        None => old.properties == new.properties && holds(new, node, Reading::Exact),
        Some((step, rest)) => descend(old, new, step, |old, new| replaced(old, new, rest, node)),
    }
}

fn added(old: &Tree, new: &Tree, parent: &[Step], last: &Step, node: &Node) -> bool {
    match parent.split_first() {
        None => old.properties == new.properties && grown(old, new, last, node),
        Some((step, rest)) => descend(old, new, step, |old, new| added(old, new, rest, last, node)),
    }
}

/// Whether `new` is `old` with one entry or item more, at the end. A null and an empty collection may become a collection.
fn grown(old: &Tree, new: &Tree, last: &Step, node: &Node) -> bool {
    match (&new.content, last) {
        (Content::Map { entries: new_entries, .. }, Step::Key(key)) => {
            let old_entries: &[Entry] = match &old.content {
                Content::Map { entries, .. } => entries,
                _ if old.is_null() => &[],
                _ => return false,
            };
            if old_entries.len() == new_entries.len() {
                return descend(old, new, last, |old, new| old.is_null() && holds(new, node, Reading::Exact));
            }
            let Some((entry, rest)) = new_entries.split_last() else { return false };
            rest.len() == old_entries.len()
                && old_entries.iter().zip(rest).all(|(old, new)| same_entry(old, new))
                && is_bare(&entry.key)
                && entry.key.text() == Some(key)
                && holds(&entry.value, node, Reading::Exact)
        }
        (Content::List { items: new_items, .. }, Step::End | Step::Index(_)) => {
            let old_items: &[Tree] = match &old.content {
                Content::List { items, .. } => items,
                _ if old.is_null() => &[],
                _ => return false,
            };
            let Some((item, rest)) = new_items.split_last() else { return false };
            rest.len() == old_items.len()
                && old_items.iter().zip(rest).all(|(old, new)| same(old, new))
                && holds(item, node, Reading::Exact)
        }
        _ => false,
    }
}

fn is_bare(tree: &Tree) -> bool {
    tree.properties.anchor.is_none() && tree.properties.tag.is_none()
}

/// Whether two collections are the same but for the node under `step`, of which `rest` decides.
fn descend(old: &Tree, new: &Tree, step: &Step, rest: impl Fn(&Tree, &Tree) -> bool) -> bool {
    old.properties == new.properties
        && match (&old.content, &new.content, step) {
            (
                Content::Map { entries: old_entries, style: old_style },
                Content::Map { entries: new_entries, style: new_style },
                Step::Key(key),
            ) => {
                let entry = |(old, new): (&Entry, &Entry)| {
                    if old.key.text() == Some(key) {
                        same(&old.key, &new.key) && rest(&old.value, &new.value)
                    } else {
                        same_entry(old, new)
                    }
                };
                old_style == new_style
                    && old_entries.len() == new_entries.len()
                    && old_entries.iter().zip(new_entries).all(entry)
            }
            (
                Content::List { items: old_items, style: old_style },
                Content::List { items: new_items, style: new_style },
                Step::Index(index),
            ) => {
                let item = |(position, (old, new)): (usize, (&Tree, &Tree))| {
                    if position == *index { rest(old, new) } else { same(old, new) }
                };
                old_style == new_style
                    && old_items.len() == new_items.len()
                    && old_items.iter().zip(new_items).enumerate().all(item)
            }
            _ => false,
        }
}

fn same_entry(old: &Entry, new: &Entry) -> bool {
    same(&old.key, &new.key) && same(&old.value, &new.value)
}

fn same(old: &Tree, new: &Tree) -> bool {
    old.properties == new.properties
        && match (&old.content, &new.content) {
            (Content::Scalar { text, style }, Content::Scalar { text: new_text, style: new_style }) => {
                style == new_style && text == new_text && same_spelling(old, new, *style)
            }
            (Content::Alias(old), Content::Alias(new)) => old == new,
            (Content::List { items, style }, Content::List { items: new_items, style: new_style }) => {
                style == new_style
                    && items.len() == new_items.len()
                    && items.iter().zip(new_items).all(|(old, new)| same(old, new))
            }
            (Content::Map { entries, style }, Content::Map { entries: new_entries, style: new_style }) => {
                style == new_style
                    && entries.len() == new_entries.len()
                    && entries.iter().zip(new_entries).all(|(old, new)| same_entry(old, new))
            }
            _ => false,
        }
}

/// Whether two scalars of one value have as many bytes; where blank lines follow a block scalar, they may be counted apart.
fn same_spelling(old: &Tree, new: &Tree, style: ScalarStyle) -> bool {
    matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) || old.range.len() == new.range.len()
}
