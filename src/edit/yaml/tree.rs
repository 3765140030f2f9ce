//! A YAML document as a tree whose nodes know their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, StructureStyle, Tag, options};

use super::EditError;

/// A document, parsed.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    /// Its text.
    pub text: &'a str,
    /// The line that it begins on, within its file.
    pub first_line: usize,
    /// What it holds.
    pub root: Tree,
    /// The bytes of its comments, in order.
    pub comments: Vec<Range<usize>>,
    /// Anchors that an alias refers to.
    pub shared: BTreeSet<usize>,
    /// The ways from the root to the nodes with anchors: positions in lists; in mappings, keys at even and values at odd ones.
    anchors: BTreeMap<usize, Vec<usize>>,
}

/// A node.
#[derive(Debug)]
pub(super) struct Tree {
    pub content: Content,
    /// Anchor and tag.
    pub properties: Properties,
    /// The bytes of the value alone; empty where nothing is written. Of a block collection: from its first to its last token.
    pub range: Range<usize>,
    /// Where the node begins, anchor and tag included.
    pub start: usize,
    /// The line within the file, from 1.
    pub line: usize,
}

/// What stands before a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// The number of its anchor.
    pub anchor: Option<usize>,
    /// Its tag, in full.
    pub tag: Option<String>,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Content {
    Scalar { text: String, style: ScalarStyle },
    Alias(usize),
    List { style: StructureStyle, items: Vec<Tree> },
    Map { style: StructureStyle, entries: Vec<Entry> },
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: Tree,
    /// Where the `:` stands, if it does.
    pub colon: Option<usize>,
    pub value: Tree,
}

impl Tree {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Alias(_) | Content::List { .. } | Content::Map { .. } => None,
        }
    }

    /// Whether the node is null: nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        let Content::Scalar { text, style: ScalarStyle::Plain } = &self.content else { return false };
        self.properties.tag.is_none() && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The child at a position: an item; of a mapping the keys at even and the values at odd positions.
    fn child(&self, position: usize) -> Option<&Self> {
        match &self.content {
            Content::Scalar { .. } | Content::Alias(_) => None,
            Content::List { items, .. } => items.get(position),
            Content::Map { entries, .. } => {
                let entry = entries.get(position / 2)?;
                Some(if position.is_multiple_of(2) { &entry.key } else { &entry.value })
            }
        }
    }

    /// Whether the node is `{}`.
    pub fn is_empty_map(&self) -> bool {
        matches!(&self.content, Content::Map { entries, .. } if entries.is_empty())
    }

    /// Whether the node is `[]`.
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.content, Content::List { items, .. } if items.is_empty())
    }

    /// Whether the node is written as `{…}` or `[…]`.
    pub fn is_flow(&self) -> bool {
        let (Content::List { style, .. } | Content::Map { style, .. }) = &self.content else { return false };
        *style == StructureStyle::Flow
    }
}

impl<'a> Parsed<'a> {
    /// Parses `text`, one document that begins on `first_line` of its file.
    pub fn new(text: &'a str, first_line: usize) -> Result<Self, EditError> {
        let options = options! { emit_anchor_events: true, max_buffered_comment_events: usize::MAX };
        let mut builder = Builder {
            text,
            first_line,
            parser: Parser::new_from_str_with_options(text, options),
            comments: Vec::new(),
            shared: BTreeSet::new(),
        };
        let root = builder.document()?;
        let Builder { comments, shared, .. } = builder;
        let mut anchors = BTreeMap::new();
        anchored(&root, &mut Vec::new(), &mut anchors);
        Ok(Self { text, first_line, root, comments, shared, anchors })
    }

    /// The node that has the anchor.
    pub fn anchored(&self, anchor: usize) -> Option<&Tree> {
        self.anchors.get(&anchor)?.iter().try_fold(&self.root, |tree, position| tree.child(*position))
    }

    /// The text of a key, also of one that is an alias.
    pub fn key<'t>(&'t self, key: &'t Tree) -> Option<&'t str> {
        match &key.content {
            Content::Alias(anchor) => self.anchored(*anchor)?.text(),
            Content::Scalar { .. } | Content::List { .. } | Content::Map { .. } => key.text(),
        }
    }
}

/// Adds the ways to the nodes in `tree` that have anchors; `way` leads to it.
fn anchored(tree: &Tree, way: &mut Vec<usize>, found: &mut BTreeMap<usize, Vec<usize>>) {
    if let Some(anchor) = tree.properties.anchor {
        found.entry(anchor).or_insert_with(|| way.clone());
    }
    for position in 0.. {
        let Some(child) = tree.child(position) else { break };
        way.push(position);
        anchored(child, way, found);
        way.pop();
    }
}

struct Builder<'a> {
    text: &'a str,
    first_line: usize,
    parser: Parser<'a, StrInput<'a>>,
    comments: Vec<Range<usize>>,
    shared: BTreeSet<usize>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Tree, EditError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (event, span) => {
                    let root = self.node(event, span)?;
                    return self.rest().map(|()| root);
                }
            }
        }
    }

    /// Reads what follows the root, so that all of the text is known to be readable.
    fn rest(&mut self) -> Result<(), EditError> {
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, span) => return Err(self.unreadable(span.start.line(), "a second document begins here")),
            }
        }
    }

    /// The next event that is no comment.
    fn next(&mut self) -> Result<(Event<'a>, Span), EditError> {
        loop {
            match self.parser.next_event() {
                None => return Err(self.unreadable(1, "the document is empty")),
                Some(Err(error)) => return Err(self.unreadable(error.marker().line(), &error.info())),
                Some(Ok((Event::Comment(..), span))) => self.comments.push(range(span)),
                Some(Ok(event)) => return Ok(event),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Tree, EditError> {
        let start = range(span).start;
        match event {
            Event::Alias(anchor) => {
                self.shared.insert(anchor);
                Ok(self.tree(Content::Alias(anchor), Properties::default(), span, range(span)))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let range = scalar_range(self.text, range(span), style);
                let text =
                    if range.is_empty() && style == ScalarStyle::Plain { String::new() } else { text.into_owned() };
                let content = Content::Scalar { text, style };
                let tree = self.tree(content, properties(anchor, tag.as_deref()), span, range);
                self.anchored(tree, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let content = Content::List { style, items: Vec::new() };
                let tree = self.tree(content, properties(anchor, tag.as_deref()), span, start..start);
                let tree = self.anchored(tree, anchor)?;
                self.list(tree)
            }
            Event::MappingStart(style, anchor, tag) => {
                let content = Content::Map { style, entries: Vec::new() };
                let tree = self.tree(content, properties(anchor, tag.as_deref()), span, start..start);
                let tree = self.anchored(tree, anchor)?;
                self.map(tree)
            }
            _ => Err(self.unreadable(span.start.line(), "a value was expected here")),
        }
    }

    fn tree(&self, content: Content, properties: Properties, span: Span, range: Range<usize>) -> Tree {
        let tag_start = span.tag_start.and_then(|marker| marker.byte_offset());
        let start = tag_start.map_or(range.start, |tag| tag.min(range.start));
        let line = self.first_line + span.start.line() - 1;
        Tree { content, properties, range, start, line }
    }

    /// Reads the event that tells where the anchor of `tree` stands, if it has one.
    fn anchored(&mut self, mut tree: Tree, anchor: usize) -> Result<Tree, EditError> {
        if anchor != 0 {
            let (_, span) = self.next()?;
            tree.start = tree.start.min(range(span).start);
        }
        Ok(tree)
    }

    fn list(&mut self, mut tree: Tree) -> Result<Tree, EditError> {
        let mut read = Vec::new();
        let closing = loop {
            match self.next()? {
                (Event::SequenceEnd, span) => break range(span),
                (event, span) => read.push(self.node(event, span)?),
            }
        };
        tree.range.end =
            if closing.is_empty() { read.last().map_or(closing.end, |item| item.range.end) } else { closing.end };
        if let Content::List { items, .. } = &mut tree.content {
            *items = read;
        }
        Ok(tree)
    }

    fn map(&mut self, mut tree: Tree) -> Result<Tree, EditError> {
        let mut read: Vec<Entry> = Vec::new();
        let closing = loop {
            let key = match self.next()? {
                (Event::MappingEnd, span) => break range(span),
                (event, span) => self.node(event, span)?,
            };
            let (event, span) = self.next()?;
            let mut value = self.node(event, span)?;
            let colon = colon(self.text, &key);
            if let Some(colon) = colon.filter(|colon| value.range.is_empty() && value.range.start <= *colon) {
                value.range = colon + 1..colon + 1;
                value.start = colon + 1;
            }
            read.push(Entry { key, colon, value });
        };
        tree.range.end = if closing.is_empty() {
            read.last().map_or(closing.end, |entry| entry.value.range.end)
        } else {
            closing.end
        };
        if let Content::Map { entries, .. } = &mut tree.content {
            *entries = read;
        }
        Ok(tree)
    }

    fn unreadable(&self, line: usize, cause: &str) -> EditError {
        EditError::Unreadable { line: self.first_line + line.max(1) - 1, cause: cause.to_owned() }
    }
}

fn range(span: Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or_default();
    start..span.end.byte_offset().unwrap_or_default().max(start)
}

fn properties(anchor: usize, tag: Option<&Tag>) -> Properties {
    Properties {
        anchor: (anchor != 0).then_some(anchor),
        tag: tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix())),
    }
}

/// The bytes of a scalar. Those of a block scalar run over the blank lines behind it, which only `|+` and `>+` own.
fn scalar_range(text: &str, range: Range<usize>, style: ScalarStyle) -> Range<usize> {
    if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
        return range;
    }
    let body = &text[range.clone()];
    let header = text[..range.start].trim_end_matches([' ', '\n', '\r']);
    let header = &header[header.rfind('\n').map_or(0, |newline| newline + 1)..];
    let header = header.split(" #").next().unwrap_or_default().trim_end();
    let keeps = header.trim_end_matches(|character: char| character.is_ascii_digit()).ends_with('+');
    let kept = if keeps { body.strip_suffix('\n').unwrap_or(body) } else { body.trim_end() };
    range.start..range.start + kept.strip_suffix('\r').unwrap_or(kept).len()
}

/// Where the `:` behind `key` stands.
fn colon(text: &str, key: &Tree) -> Option<usize> {
    let rest = text.get(key.range.end..)?;
    let trimmed = rest.trim_start();
    trimmed.starts_with(':').then(|| text.len() - trimmed.len())
}
