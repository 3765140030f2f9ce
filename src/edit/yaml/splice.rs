//! Operations as replacements of byte ranges.

use std::ops::Range;

use granit_parser::{ScalarStyle, StructureStyle};

use crate::model::{Node, Pointer, Step};

use super::EditError;
use super::block::literal;
use super::find::{self, Place, Reading, Slot, block_column, changed, holds, refused, shown};
use super::scalar::{Context, Quote, scalar};
use super::tree::{Content, Entry, Parsed, Tree};
use super::write::{Manner, dash_width};

/// Bytes, and what comes in their place.
pub(super) type Splice = (Range<usize>, String);

/// `text` with `splices` made; `None` where they do not fit it.
pub(super) fn spliced(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|(range, _)| (range.start, range.end));
    let mut result = String::with_capacity(text.len() + 128);
    let mut position = 0;
    for (range, replacement) in splices {
        result.push_str(text.get(position..range.start)?);
        result.push_str(&replacement);
        position = range.end;
    }
    result.push_str(text.get(position..)?);
    Some(result)
}

/// Puts `node` where `pointer` leads; nothing to do where it is there already.
pub(super) fn replace(parsed: &Parsed<'_>, pointer: &Pointer, node: &Node) -> Result<Vec<Splice>, EditError> {
    let place = find::place(parsed, &pointer.steps)?;
    if holds(place.node, node, Reading::Exact) {
        return Ok(Vec::new());
    }
    put(parsed, place, &pointer.steps, node)
}

/// Adds `node` under the last step of `pointer`.
pub(super) fn add(parsed: &Parsed<'_>, pointer: &Pointer, node: &Node) -> Result<Vec<Splice>, EditError> {
    let Some((last, parent)) = pointer.steps.split_last() else {
        return Err(refused(&parsed.root, "the document as a whole cannot be added"));
    };
    let place = find::place(parsed, parent)?;
    match last {
        Step::Key(key) => add_key(parsed, place, parent, key, node),
        Step::End => add_item(parsed, place, parent, node),
        Step::Index(index) => {
            let length = if let Content::List { items, .. } = &place.node.content { items.len() } else { 0 };
            if *index == length {
                return add_item(parsed, place, parent, node);
            }
            Err(refused(place.node, format!("`{pointer}` is not the end of the list")))
        }
    }
}

/// Writes a value in place of a scalar, of nothing, or of an empty collection.
fn put(parsed: &Parsed<'_>, place: Place<'_>, steps: &[Step], node: &Node) -> Result<Vec<Splice>, EditError> {
    let manner = Manner::of(parsed);
    let old = place.node;
    if let (Content::Scalar { text, style: ScalarStyle::Literal }, Node::Text(new)) = (&old.content, node) {
        let splice = literal(parsed, old, text, new);
        return splice.map(|splice| vec![splice]).ok_or_else(|| refused(old, block_scalar(steps)));
    }
    let quote = match &old.content {
        Content::Scalar { style, .. } => Quote::of(*style).ok_or_else(|| refused(old, block_scalar(steps)))?,
        Content::List { .. } | Content::Map { .. } if old.is_empty_list() || old.is_empty_map() => Quote::None,
        Content::List { .. } | Content::Map { .. } | Content::Alias(_) => {
            return Err(refused(old, format!("`{}` is a list or mapping and not replaced as a whole", shown(steps))));
        }
    };
    let quote = if manner.json { Quote::Double } else { quote };
    match (node, place.slot) {
        (Node::Text(text), _) => in_place(parsed, place, steps, scalar(text, quote, manner.quote, place.context)),
        (Node::Map(entries), Slot::Value(entry)) if !entries.is_empty() && may_be_block(parsed, place, entry) => {
            block_below(parsed, place, entry, |manner, column| {
                entries.iter().flat_map(|(key, node)| manner.block_entry(key, node, column + manner.indent)).collect()
            })
        }
        (Node::List(items), Slot::Value(entry)) if !items.is_empty() && may_be_block(parsed, place, entry) => {
            block_below(parsed, place, entry, |manner, column| {
                items.iter().flat_map(|item| manner.block_item(item, column + manner.list_indent)).collect()
            })
        }
        (node, _) => in_place(parsed, place, steps, manner.flow(node, place.context)),
    }
}

fn block_scalar(steps: &[Step]) -> String {
    format!("`{}` is a block scalar", shown(steps))
}

/// Writes `text` exactly where the old value stands, or behind the indicator where nothing stands.
fn in_place(parsed: &Parsed<'_>, place: Place<'_>, steps: &[Step], text: String) -> Result<Vec<Splice>, EditError> {
    let old = place.node;
    if !old.range.is_empty() {
        return Ok(vec![(old.range.clone(), text)]);
    }
    let at = old.range.start;
    let before = parsed.text.get(..at).unwrap_or_default();
    match place.slot {
        Slot::Root => Err(refused(old, "the document is empty")),
        Slot::Value(Entry { colon: None, .. }) => Err(refused(old, format!("`{}` has no `:`", shown(steps)))),
        Slot::Value(_) | Slot::Item if before.ends_with(' ') => Ok(vec![(at..at, text)]),
        Slot::Value(_) | Slot::Item => Ok(vec![(at..at, format!(" {text}"))]),
    }
}

/// Whether a value may be written in block style on the lines below its key.
fn may_be_block(parsed: &Parsed<'_>, place: Place<'_>, entry: &Entry) -> bool {
    let own = entry.colon.and_then(|colon| parsed.text.get(colon..place.node.range.end));
    let alone = place.node.range.is_empty() || place.node.start == place.node.range.start;
    place.context == Context::Block && alone && own.is_some_and(|own| !own.contains(['\n', '\t', '#']))
}

/// Writes lines below the line of a key, and takes away the `{}`, `[]` or null that stood there.
fn block_below(
    parsed: &Parsed<'_>,
    place: Place<'_>,
    entry: &Entry,
    lines: impl Fn(Manner, usize) -> Vec<String>,
) -> Result<Vec<Splice>, EditError> {
    let old = place.node;
    let column = column_of(parsed, &entry.key)?;
    let mut splices = Vec::new();
    if let Some(colon) = entry.colon.filter(|_| !old.range.is_empty()) {
        splices.push((colon + 1..old.range.end, String::new()));
    }
    splices.push(lines_below(parsed.text, old.range.end, &lines(Manner::of(parsed), column)));
    Ok(splices)
}

fn add_key(
    parsed: &Parsed<'_>,
    place: Place<'_>,
    steps: &[Step],
    key: &str,
    node: &Node,
) -> Result<Vec<Splice>, EditError> {
    let here = || if steps.is_empty() { key.to_owned() } else { format!("{}.{key}", shown(steps)) };
    let map = place.node;
    let Content::Map { style, entries } = &map.content else {
        if map.is_null() {
            return put(parsed, place, steps, &Node::Map(vec![(key.to_owned(), node.clone())]));
        }
        return Err(changed(map, format!("`{}` is no mapping", shown(steps))));
    };
    if let Some(entry) = find::entry(parsed, entries, key)? {
        if !entry.value.is_null() {
            return Err(changed(&entry.value, format!("`{}` is there already", here())));
        }
        let path: Vec<_> = steps.iter().cloned().chain([Step::Key(key.to_owned())]).collect();
        return put(parsed, find::place(parsed, &path)?, &path, node);
    }
    let Some(last) = entries.last() else {
        return put(parsed, place, steps, &Node::Map(vec![(key.to_owned(), node.clone())]));
    };
    let manner = Manner::of(parsed);
    if *style == StructureStyle::Flow {
        let separator = separator(parsed.text, map, entries.iter().map(|entry| &entry.key));
        let at = last.value.range.end.max(last.key.range.end);
        return Ok(vec![(at..at, format!(",{separator}{}", manner.flow_entry(key, node)))]);
    }
    let column = block_column(parsed.text, map).ok_or_else(|| refused(map, "tabs or comments hide the indentation"))?;
    Ok(vec![lines_below(parsed.text, map.range.end, &manner.block_entry(key, node, column))])
}

fn add_item(parsed: &Parsed<'_>, place: Place<'_>, steps: &[Step], node: &Node) -> Result<Vec<Splice>, EditError> {
    let list = place.node;
    let Content::List { style, items } = &list.content else {
        if list.is_null() {
            return put(parsed, place, steps, &Node::List(vec![node.clone()]));
        }
        return Err(changed(list, format!("`{}` is no list", shown(steps))));
    };
    let Some(final_item) = items.last() else {
        return put(parsed, place, steps, &Node::List(vec![node.clone()]));
    };
    let manner = Manner::of(parsed);
    if *style == StructureStyle::Flow {
        let separator = separator(parsed.text, list, items.iter());
        return Ok(vec![(
            final_item.range.end..final_item.range.end,
            format!(",{separator}{}", manner.flow(node, Context::Flow)),
        )]);
    }
    let column =
        block_column(parsed.text, list).ok_or_else(|| refused(list, "tabs or comments hide the indentation"))?;
    let manner = Manner { dash_width: dash_width(parsed.text, items).unwrap_or(manner.dash_width), ..manner };
    let lines = match node {
        Node::Map(_) | Node::List(_) if final_item.is_flow() => {
            vec![format!(
                "{}-{}{}",
                " ".repeat(column),
                " ".repeat(manner.dash_width - 1),
                manner.flow(node, Context::Block)
            )]
        }
        node => manner.block_item(node, column),
    };
    let end = if final_item.range.is_empty() {
        find::dash(parsed.text, final_item).map_or(list.range.end, |dash| dash + 1)
    } else {
        list.range.end
    };
    Ok(vec![lines_below(parsed.text, end, &lines)])
}

/// What stands between the members of a flow collection: a line break and the members' indentation, or a blank.
fn separator<'t>(text: &str, collection: &Tree, mut members: impl Iterator<Item = &'t Tree>) -> String {
    let first = members.next();
    let last = members.last().or(first).map_or(collection.start, |member| member.start);
    let before = text.get(..last).unwrap_or_default();
    let indentation = &before[before.trim_end_matches([' ', '\t']).len()..];
    if before[..before.len() - indentation.len()].ends_with('\n') {
        return format!("{}{indentation}", eol(text, last));
    }
    let compact = first.is_some_and(|first| first.start != last) && indentation.is_empty();
    if compact { String::new() } else { " ".to_owned() }
}

/// Lines behind the line that `position` stands on.
fn lines_below(text: &str, position: usize, lines: &[String]) -> Splice {
    let eol = eol(text, position);
    let rest = text.get(position..).unwrap_or_default();
    let end = position + rest.find('\n').unwrap_or(rest.len());
    let end = if rest[..end - position].ends_with('\r') { end - 1 } else { end };
    (end..end, lines.iter().flat_map(|line| [eol, line.as_str()]).collect())
}

/// The line end used at `position`; where the text ends there, that of its first line.
fn eol(text: &str, position: usize) -> &'static str {
    let line_end = text.get(position..).and_then(|rest| rest.find('\n')).map(|found| position + found);
    let newline = line_end.or_else(|| text.find('\n'));
    if newline.is_some_and(|newline| text[..newline].ends_with('\r')) { "\r\n" } else { "\n" }
}

fn column_of(parsed: &Parsed<'_>, key: &Tree) -> Result<usize, EditError> {
    let line = parsed.text[..key.start].rfind('\n').map_or(0, |newline| newline + 1);
    let before = &parsed.text[line..key.start];
    let clean = before.chars().all(|character| matches!(character, ' ' | '-' | '?'));
    clean.then_some(before.len()).ok_or_else(|| refused(key, "tabs or other text hide the indentation"))
}
