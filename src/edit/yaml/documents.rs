//! Where the documents of a text begin and end.

use std::ops::Range;

/// One document of a text that may hold several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes in the text: from its `---` line or first line to where the next one begins.
    pub range: Range<usize>,
    /// The line, from 1, that it begins on.
    pub line: usize,
}

/// The documents of `text`, in order. What holds comments and blank lines alone is none; a byte order mark is part of none.
///
/// Works by lines, so one document that cannot be parsed does not hide the others.
pub fn documents(text: &str) -> Vec<Document> {
    let mut found = Vec::new();
    let mut open = Chunk::at(if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }, 1);
    let mut position = open.start;
    for (index, line) in text[open.start..].split_inclusive('\n').enumerate() {
        let number = index + 1;
        if is_marker(line, "---") && !open.is_prefix() {
            found.extend(open.close(position));
            open = Chunk::at(position, number);
        }
        open.read(line);
        position += line.len();
        if is_marker(line, "...") {
            found.extend(open.close(position));
            open = Chunk::at(position, number + 1);
        }
    }
    found.extend(open.close(text.len()));
    found
}

/// Whether the first document of `text`, the only one that many programs read, is empty, and marked as a document all the same: a `---`,
/// and then another or a `...` before anything else.
pub fn starts_empty(text: &str) -> bool {
    let mut marked = false;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let trimmed = line.trim();
        let prefix = !marked && (line.starts_with('%') || is_marker(line, "..."));
        if is_marker(line, "---") {
            let rest = line[3..].trim();
            if marked || !(rest.is_empty() || rest.starts_with('#')) {
                return marked;
            }
            marked = true;
        } else if is_marker(line, "...") && marked {
            return true;
        } else if !prefix && !trimmed.is_empty() && !trimmed.starts_with('#') {
            return false;
        }
    }
    false
}

/// A document in the making.
struct Chunk {
    start: usize,
    line: usize,
    /// Whether a `---` was read.
    marked: bool,
    /// Whether a directive was read.
    directive: bool,
    /// Whether anything but comments, directives and markers was read.
    content: bool,
}

impl Chunk {
    fn at(start: usize, line: usize) -> Self {
        Self { start, line, marked: false, directive: false, content: false }
    }

    /// Whether a `---` that follows belongs to this document: directives were read, and nothing else.
    fn is_prefix(&self) -> bool {
        self.directive && !self.marked && !self.content
    }

    fn read(&mut self, line: &str) {
        let text = line.trim();
        if is_marker(line, "---") {
            self.marked = true;
            let rest = line[3..].trim();
            self.content |= !rest.is_empty() && !rest.starts_with('#');
        } else if line.starts_with('%') && !self.content && !self.marked {
            self.directive = true;
        } else if !text.is_empty() && !text.starts_with('#') && !is_marker(line, "...") {
            self.content = true;
        }
    }

    fn close(&self, end: usize) -> Option<Document> {
        self.content.then_some(Document { range: self.start..end, line: self.line })
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str)]) {
        let found: Vec<_> = documents(text).into_iter().map(|found| (found.line, &text[found.range])).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn an_empty_document_may_come_first() {
        for text in
            ["---\n---\na: 1\n", "# c\n---\n# d\n--- {a: 1}\n", "---\n...\n", "\u{feff}--- # c\r\n...\r\na: 1\r\n"]
        {
            assert!(starts_empty(text), "{text:?}");
        }
        for text in [
            "",
            "---\n",
            "---\na: 1\n---\n",
            "# c\n---\na: 1\n",
            "--- {a: 1}\n---\n",
            "%YAML 1.2\n---\na: 1\n",
            "a: 1\n...\n",
        ] {
            assert!(!starts_empty(text), "{text:?}");
        }
    }

    #[test]
    fn documents_are_what_lies_between_markers() {
        check("", &[]);
        check("# only a comment\n\n", &[]);
        check("a: 1\n", &[(1, "a: 1\n")]);
        check("---\na: 1\n---\nb: 2\n", &[(1, "---\na: 1\n"), (3, "---\nb: 2\n")]);
        check("# head\n---\na: 1\n---\n# nothing\n---\nb: 2", &[(2, "---\na: 1\n"), (6, "---\nb: 2")]);
        check("--- {a: 1}\n--- # c\r\nb: 2\r\n", &[(1, "--- {a: 1}\n"), (2, "--- # c\r\nb: 2\r\n")]);
        check("a: 1\n...\n# x\nb: 2\n", &[(1, "a: 1\n...\n"), (3, "# x\nb: 2\n")]);
        check("%YAML 1.2\n---\na: 1\n", &[(1, "%YAML 1.2\n---\na: 1\n")]);
        check("a: 1\n...\n%YAML 1.2\n---\nb: 1\n", &[(1, "a: 1\n...\n"), (3, "%YAML 1.2\n---\nb: 1\n")]);
        check("\u{feff}a: 1\n", &[(1, "a: 1\n")]);
        check("a: |\n  ---\n  x\n---x: 1\n", &[(1, "a: |\n  ---\n  x\n---x: 1\n")]);
    }
}
