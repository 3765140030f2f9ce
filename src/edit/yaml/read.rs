//! What a document holds, with scalars as they are written: `1.10` stays `1.10`.

use std::collections::BTreeSet;

use super::EditError;
use super::tree::{Content, Parsed, Tree};

/// More nodes than any file of people has, aliases followed.
const MAXIMUM_NODES: usize = 500_000;

/// A value in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar, as it is written, without its quotes.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping, in its order; what merge keys bring stands behind its own.
    Map(Vec<(String, Self)>),
}

impl Value {
    /// The value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }
}

pub(super) fn value(parsed: &Parsed<'_>) -> Result<Value, EditError> {
    Reader { parsed, nodes: 0 }.value(&parsed.root)
}

struct Reader<'a> {
    parsed: &'a Parsed<'a>,
    nodes: usize,
}

impl Reader<'_> {
    fn value(&mut self, tree: &Tree) -> Result<Value, EditError> {
        self.nodes += 1;
        if self.nodes > MAXIMUM_NODES {
            let cause = format!("it has more than {MAXIMUM_NODES} values, aliases followed");
            return Err(EditError::Refused { line: tree.line, cause });
        }
        Ok(match &tree.content {
            Content::Scalar { .. } if tree.is_null() => Value::Null,
            Content::Scalar { text, .. } => Value::Text(text.clone()),
            Content::Alias(anchor) => match self.parsed.anchored(*anchor) {
                // An anchor that holds its own alias has no end.
                Some(source) if source.range.end <= tree.start => self.value(source)?,
                _ => Value::Null,
            },
            Content::List { items, .. } => {
                Value::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Content::Map { entries, .. } => {
                let (mut own, mut merged) = (Vec::new(), Vec::new());
                for entry in entries {
                    let Some(key) = self.parsed.key(&entry.key) else { continue };
                    let value = self.value(&entry.value)?;
                    if key == "<<" { merged.push(value) } else { own.push((key.to_owned(), value)) }
                }
                let mut known: BTreeSet<String> =
                    if merged.is_empty() { BTreeSet::new() } else { own.iter().map(|(key, _)| key.clone()).collect() };
                for value in merged {
                    merge(&mut own, &mut known, value);
                }
                Value::Map(own)
            }
        })
    }
}

/// Adds what a merge key brings and the mapping has not; `known` are the keys that it has.
fn merge(own: &mut Vec<(String, Value)>, known: &mut BTreeSet<String>, merged: Value) {
    match merged {
        Value::Map(entries) => {
            for (key, value) in entries {
                if known.insert(key.clone()) {
                    own.push((key, value));
                }
            }
        }
        Value::List(items) => items.into_iter().for_each(|item| merge(own, known, item)),
        Value::Null | Value::Text(_) => {}
    }
}
