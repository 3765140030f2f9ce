//! Changes YAML (and JSON) text by byte ranges.
//!
//! # Guarantees
//! Comments, blank lines, anchors, quote style, line ends, byte order mark, document markers, key order and indentation
//! stay as they are. After every operation the text is parsed again: the structural difference must be exactly the
//! planned one, otherwise nothing is returned.
//!
//! # Caveats
//! Refused, with the line: what an alias shares, what a merge key provides, mappings with a key twice, folded block scalars,
//! literal ones that would need another header, and replacing a whole list or mapping.

mod block;
mod check;
mod documents;
mod find;
mod read;
mod scalar;
mod splice;
mod tree;
mod write;

use crate::model::{Node, Operation, Pointer};

pub use documents::{Document, documents, starts_empty};
pub use find::Standing;
pub use read::Value;
pub use scalar::reads_as_text;

use tree::Parsed;

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text has fewer documents.
    #[error("there is no document {number}; the file has {count}")]
    NoDocument {
        /// The number that was asked for, from 0.
        number: usize,
        /// How many documents there are.
        count: usize,
    },
    /// The text cannot be parsed.
    #[error("line {line}: {cause}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// The parser's words.
        cause: String,
    },
    /// The text is not what the operations were planned on: read it anew and decide again.
    #[error("line {line}: {cause}")]
    Changed {
        /// The line, from 1.
        line: usize,
        /// What differs.
        cause: String,
    },
    /// The text is written in a way that cannot be changed without touching something else.
    #[error("line {line}: {cause}")]
    Refused {
        /// The line, from 1.
        line: usize,
        /// What stands in the way.
        cause: String,
    },
    /// The change would have touched something else; nothing was changed.
    #[error("line {line}: changing `{place}` would change something else, too")]
    NotLossless {
        /// The line, from 1.
        line: usize,
        /// The place that was to be changed.
        place: Pointer,
    },
}

/// Applies `operations`, in order, to document `document` (from 0) of `text`; every other byte stays.
///
/// Documents are counted as [`documents`] does. A [`Operation::Replace`] by the value that is there already, read as what
/// is meant, changes nothing.
///
/// # Errors
/// [`EditError::Changed`] where a test fails or a place is not as expected; the rest as their names say. All or nothing.
pub fn apply(text: &str, document: usize, operations: &[Operation]) -> Result<String, EditError> {
    let all = documents(text);
    let count = all.len();
    let wanted = all.into_iter().nth(document).ok_or(EditError::NoDocument { number: document, count })?;
    let Document { range, line } = wanted;
    let body = all_steps(&Parsed::new(&text[range.clone()], line)?, operations)?;
    Ok([&text[..range.start], &body, &text[range.end..]].concat())
}

/// What stands at `pointer` in document `document` (from 0) of `text`.
///
/// # Errors
/// [`EditError`] where the way there is shared, doubled or not there.
pub fn look(text: &str, document: usize, pointer: &Pointer) -> Result<Standing, EditError> {
    let all = documents(text);
    let count = all.len();
    let wanted = all.into_iter().nth(document).ok_or(EditError::NoDocument { number: document, count })?;
    find::look(&Parsed::new(&text[wanted.range], wanted.line)?, &pointer.steps)
}

/// What document `document` (from 0) of `text` holds, with scalars as they are written and aliases followed.
///
/// # Errors
/// [`EditError`] where there is no such document, or it cannot be parsed.
pub fn read(text: &str, document: usize) -> Result<Value, EditError> {
    let all = documents(text);
    let count = all.len();
    let wanted = all.into_iter().nth(document).ok_or(EditError::NoDocument { number: document, count })?;
    read::value(&Parsed::new(&text[wanted.range], wanted.line)?)
}

/// The text of a new document that holds `entries`: two blanks a step, dashes not indented.
pub fn document(entries: &[(String, Node)]) -> String {
    let manner = write::Manner::usual();
    let lines = entries.iter().flat_map(|(key, node)| manner.block_entry(key, node, 0));
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// The line, from 1, of `pointer` in document `document` of `text`; of the last step that is there, where the rest is not.
/// `None` when the document cannot be read.
pub fn line_of(text: &str, document: usize, pointer: &Pointer) -> Option<usize> {
    let Document { range, line } = documents(text).into_iter().nth(document)?;
    let parsed = Parsed::new(text.get(range)?, line).ok()?;
    Some(find::line(&parsed, pointer))
}

/// A document that is asked for the lines of many places; it is read once.
#[derive(Debug)]
pub struct Lines<'a>(Option<Parsed<'a>>);

impl<'a> Lines<'a> {
    /// The document `body`, which begins on `first_line` of its file.
    pub fn new(body: &'a str, first_line: usize) -> Self {
        Self(Parsed::new(body, first_line).ok())
    }

    /// The line of `pointer` in the file, as [`line_of`] has it.
    pub fn of(&self, pointer: &Pointer) -> Option<usize> {
        self.0.as_ref().map(|parsed| find::line(parsed, pointer))
    }
}

/// The text after all operations. Each text is parsed once: what shows that a change was exact is what the next one is made on.
fn all_steps(before: &Parsed<'_>, operations: &[Operation]) -> Result<String, EditError> {
    for (position, operation) in operations.iter().enumerate() {
        if let Some((text, line)) = step(before, operation)? {
            let place = place_of(operation);
            let not_lossless = || EditError::NotLossless { line, place: place.clone() };
            let after = Parsed::new(&text, before.first_line).map_err(|_| not_lossless())?;
            if !check::differs_only_by(before, &after, operation) {
                return Err(not_lossless());
            }
            return all_steps(&after, &operations[position + 1..]);
        }
    }
    Ok(before.text.to_owned())
}

const fn place_of(operation: &Operation) -> &Pointer {
    let (Operation::Test(place, _) | Operation::Replace(place, _) | Operation::Add(place, _)) = operation;
    place
}

/// The text after one operation, and the line of its place; `None` when it asks for what is there already.
fn step(before: &Parsed<'_>, operation: &Operation) -> Result<Option<(String, usize)>, EditError> {
    let (pointer, edits) = match operation {
        Operation::Test(pointer, node) => return find::test(before, pointer, node).map(|()| None),
        Operation::Replace(pointer, node) => (pointer, splice::replace(before, pointer, node)?),
        Operation::Add(pointer, node) => (pointer, splice::add(before, pointer, node)?),
    };
    if edits.is_empty() {
        return Ok(None);
    }
    let line = find::line(before, pointer);
    let not_lossless = || EditError::NotLossless { line, place: pointer.clone() };
    splice::spliced(before.text, edits).map(|text| Some((text, line))).ok_or_else(not_lossless)
}
