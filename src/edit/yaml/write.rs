//! New values as text, in the manner of the document around them.

use granit_parser::{ScalarStyle, StructureStyle};

use crate::model::Node;

use super::find::{block_column, dash};
use super::scalar::{Context, Quote, scalar};
use super::tree::{Content, Entry, Parsed, Tree};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// By how much a mapping is indented in its parent.
    pub indent: usize,
    /// By how much the dashes of a list are indented in its parent.
    pub list_indent: usize,
    /// The blanks between a dash and its item, plus the dash.
    pub dash_width: usize,
    /// The quotes of texts that need some.
    pub quote: Quote,
    /// Whether the document is JSON.
    pub json: bool,
}

impl Manner {
    /// The manner of a document, as its first examples show it; where it has none, as is usual.
    pub fn of(parsed: &Parsed<'_>) -> Self {
        let mut seen = Seen::default();
        seen.look(parsed.text, &parsed.root);
        let json =
            parsed.root.is_flow() && serde_json::from_str::<serde::de::IgnoredAny>(json_body(parsed.text)).is_ok();
        let indent = seen.indent.unwrap_or(2);
        let quote = if seen.single > seen.double { Quote::Single } else { Quote::Double };
        Self {
            indent,
            list_indent: seen.list_indent.unwrap_or(indent),
            dash_width: seen.dash_width.unwrap_or(2),
            quote,
            json,
        }
    }

    /// The manner of a new document.
    pub const fn usual() -> Self {
        Self { indent: 2, list_indent: 0, dash_width: 2, quote: Quote::Double, json: false }
    }

    /// A scalar in the document's manner.
    pub fn scalar(self, text: &str, context: Context) -> String {
        scalar(text, if self.json { Quote::Double } else { Quote::None }, self.quote, context)
    }

    /// A value within `{…}` or `[…]`, or a scalar.
    pub fn flow(self, node: &Node, context: Context) -> String {
        let inner = |node: &Node| self.flow(node, Context::Flow);
        match node {
            Node::Text(text) => self.scalar(text, context),
            Node::Bool(value) => value.to_string(),
            Node::List(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(", ")),
            Node::Map(entries) => {
                let entry = |(key, node): &(String, Node)| self.flow_entry(key, node);
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// An entry within `{…}`.
    pub fn flow_entry(self, key: &str, node: &Node) -> String {
        format!("{}: {}", self.scalar(key, Context::Flow), self.flow(node, Context::Flow))
    }

    /// The lines of an entry of a block mapping at `column`.
    pub fn block_entry(self, key: &str, node: &Node, column: usize) -> Vec<String> {
        let head = format!("{}{}:", " ".repeat(column), self.scalar(key, Context::Block));
        match node {
            Node::Map(entries) if !entries.is_empty() => {
                let lines = entries.iter().flat_map(|(key, node)| self.block_entry(key, node, column + self.indent));
                std::iter::once(head).chain(lines).collect()
            }
            Node::List(items) if !items.is_empty() => {
                let lines = items.iter().flat_map(|item| self.block_item(item, column + self.list_indent));
                std::iter::once(head).chain(lines).collect()
            }
            node => vec![format!("{head} {}", self.flow(node, Context::Block))],
        }
    }

    /// The lines of an item of a block list whose dashes stand at `column`.
    pub fn block_item(self, node: &Node, column: usize) -> Vec<String> {
        let head = format!("{}-{}", " ".repeat(column), " ".repeat(self.dash_width - 1));
        let Node::Map(entries) = node else { return vec![format!("{head}{}", self.flow(node, Context::Block))] };
        if entries.is_empty() {
            return vec![format!("{head}{{}}")];
        }
        let inner = column + self.dash_width;
        let mut lines: Vec<_> = entries.iter().flat_map(|(key, node)| self.block_entry(key, node, inner)).collect();
        lines[0].replace_range(..inner, &head);
        lines
    }
}

/// A JSON text without what may stand around it in YAML.
fn json_body(text: &str) -> &str {
    text.strip_prefix("---").unwrap_or(text)
}

/// The first examples of how a document is written.
#[derive(Default)]
struct Seen {
    indent: Option<usize>,
    list_indent: Option<usize>,
    dash_width: Option<usize>,
    single: usize,
    double: usize,
}

impl Seen {
    fn look(&mut self, text: &str, tree: &Tree) {
        match &tree.content {
            Content::Scalar { style: ScalarStyle::SingleQuoted, .. } => self.single += 1,
            Content::Scalar { style: ScalarStyle::DoubleQuoted, .. } => self.double += 1,
            Content::Scalar { .. } | Content::Alias(_) => {}
            Content::List { items, style } => {
                if *style == StructureStyle::Block {
                    self.dash_width = self.dash_width.or_else(|| dash_width(text, items));
                }
                for item in items {
                    self.look(text, item);
                }
            }
            Content::Map { entries, .. } => {
                let column = block_column(text, tree);
                for entry in entries {
                    self.look_at_entry(text, entry, column);
                }
            }
        }
    }

    fn look_at_entry(&mut self, text: &str, entry: &Entry, column: Option<usize>) {
        let deeper = column
            .zip(block_column(text, &entry.value))
            .and_then(|(column, value_column)| value_column.checked_sub(column));
        match &entry.value.content {
            Content::Map { .. } => self.indent = self.indent.or(deeper.filter(|deeper| *deeper > 0)),
            Content::List { .. } => self.list_indent = self.list_indent.or(deeper),
            Content::Scalar { .. } | Content::Alias(_) => {}
        }
        self.look(text, &entry.key);
        self.look(text, &entry.value);
    }
}

/// From the dash of the last item to its content, if that stands on the same line.
pub(super) fn dash_width(text: &str, items: &[Tree]) -> Option<usize> {
    let item = items.iter().rev().find(|item| !item.range.is_empty())?;
    let dash = dash(text, item)?;
    let between = text.get(dash..item.start)?;
    (between[1..].bytes().all(|byte| byte == b' ') && between.len() > 1).then_some(between.len())
}
