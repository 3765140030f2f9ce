//! One file, and the changes of it that are planned so far. Each is made on the text that the ones before leave.

use std::sync::Arc;

use super::change::behind;
use crate::edit::yaml::{apply, document, documents};
use crate::model::{FileChange, Node, Operation, Problem, Reason};

/// What is done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEdit {
    /// These operations on its document; none: nothing.
    Operations(Vec<Operation>),
    /// A first document with these entries.
    Document(Vec<(String, Node)>),
}

/// One file, and the changes of it that are planned so far.
#[derive(Debug, Clone)]
pub struct Sheet {
    path: String,
    document: usize,
    before: Option<Arc<str>>,
    text: Option<String>,
    created: Option<String>,
    operations: Vec<Operation>,
}

impl Sheet {
    /// The file at `path`, with its text; `None` where it is missing.
    pub fn new(path: &str, document: usize, before: Option<Arc<str>>) -> Self {
        let text = before.as_deref().map(ToOwned::to_owned);
        Self { path: path.to_owned(), document, before, text, created: None, operations: Vec::new() }
    }

    /// The file's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The document that is changed.
    pub const fn document(&self) -> usize {
        self.document
    }

    /// Its text with the changes so far; `None` where it is missing, or holds no document.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !documents(text).is_empty())
    }

    /// Makes an edit; whether it changed anything.
    ///
    /// # Errors
    /// A problem where the file cannot be changed without touching something else; nothing was changed.
    pub fn put(&mut self, edit: FileEdit) -> Result<bool, Problem> {
        match edit {
            FileEdit::Operations(operations) if operations.is_empty() => return Ok(false),
            FileEdit::Operations(operations) => {
                if let Some(created) = &self.created {
                    self.create(self.edited(created, 0, &operations)?);
                } else {
                    let text = self.text.clone().unwrap_or_default();
                    self.text = Some(self.edited(&text, self.document, &operations)?);
                    self.operations.extend(operations);
                }
            }
            FileEdit::Document(entries) if self.path.to_ascii_lowercase().ends_with(".json") => {
                self.create(json(&Node::Map(entries), 0) + "\n");
            }
            FileEdit::Document(entries) => self.create(document(&entries)),
        }
        Ok(true)
    }

    /// What is to be done to the file; `None`: nothing.
    pub fn change(self) -> Option<FileChange> {
        let Self { path, document, before: _, text: _, created, operations } = self;
        let something = created.is_some() || !operations.is_empty();
        something.then_some(FileChange { path, document, operations, create: created })
    }

    fn create(&mut self, created: String) {
        self.text = Some(behind(self.before.as_deref().unwrap_or_default(), &created));
        self.created = Some(created);
    }

    fn edited(&self, text: &str, document: usize, operations: &[Operation]) -> Result<String, Problem> {
        apply(text, document, operations).map_err(|error| {
            let message = format!("`{}` cannot be changed without touching something else: {error}", self.path);
            Problem::new(Reason::CannotEditLosslessly, message)
        })
    }
}

/// A value as JSON, two blanks a step.
fn json(node: &Node, depth: usize) -> String {
    let quoted = |text: &String| serde_json::Value::String(text.clone()).to_string();
    let lines = |open: char, lines: Vec<String>, close: char| {
        let indent = "  ".repeat(depth + 1);
        let body = lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join(",\n");
        format!("{open}\n{body}\n{}{close}", "  ".repeat(depth))
    };
    match node {
        Node::Text(text) => quoted(text),
        Node::Bool(value) => value.to_string(),
        Node::List(items) if items.is_empty() => "[]".to_owned(),
        Node::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Node::List(items) => lines('[', items.iter().map(|item| json(item, depth + 1)).collect(), ']'),
        Node::Map(entries) => {
            let entry = |(key, node): &(String, Node)| format!("{}: {}", quoted(key), json(node, depth + 1));
            lines('{', entries.iter().map(entry).collect(), '}')
        }
    }
}
