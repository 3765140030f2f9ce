//! Ways to a value in a file, as people write them.

use std::fmt;
use std::str::FromStr;

/// The way to a value in a YAML or JSON file: `spec.containers[0].image`, `spec.containers[name=web].image`, `data."a.b"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath {
    text: String,
    steps: Vec<KeyStep>,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyStep {
    /// Into a mapping, by key.
    Key(String),
    /// Into a list, by index from 0.
    Index(usize),
    /// Into a list, to the one item whose key holds a value: `[name=web]`.
    Where(String, String),
}

/// A text that is no way to a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path of keys: {cause}")]
pub struct InvalidKeyPath {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub cause: &'static str,
}

impl KeyPath {
    /// As the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The steps; never empty.
    pub fn steps(&self) -> &[KeyStep] {
        &self.steps
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Keys stand between dots; `\.` is a dot in a key, and so is one within quotes. In brackets stands an index, a quoted key, or
/// `key=value`.
impl FromStr for KeyPath {
    type Err = InvalidKeyPath;

    fn from_str(text: &str) -> Result<Self, InvalidKeyPath> {
        let invalid = |cause| InvalidKeyPath { text: text.to_owned(), cause };
        let mut reader = Reader { rest: text };
        let mut steps = Vec::new();
        loop {
            if reader.rest.starts_with('[') {
                steps.push(reader.bracket().map_err(invalid)?);
            } else {
                steps.push(KeyStep::Key(reader.key().map_err(invalid)?));
            }
            match reader.rest.chars().next() {
                None => break,
                Some('.') => reader.rest = &reader.rest[1..],
                Some('[') => continue,
                Some(_) => return Err(invalid("a dot is missing behind a bracket or quote")),
            }
            if reader.rest.starts_with('[') {
                return Err(invalid("a key is missing between a dot and a bracket"));
            }
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// A key up to a dot or bracket, or within quotes.
    fn key(&mut self) -> Result<String, &'static str> {
        if let Some(quote) = self.rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            return self.quoted(quote);
        }
        let mut key = String::new();
        let mut characters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((position, character)) = characters.next() {
            match character {
                '\\' => key.push(characters.next().ok_or("nothing follows a backslash")?.1),
                '.' | '[' => {
                    end = position;
                    break;
                }
                ']' => return Err("a bracket is closed that was not opened"),
                character => key.push(character),
            }
        }
        self.rest = &self.rest[end..];
        if key.is_empty() { Err("a key is empty") } else { Ok(key) }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let inner = &self.rest[1..];
        let end = inner.find(quote).ok_or("a quote is not closed")?;
        self.rest = &inner[end + 1..];
        if end == 0 { Err("a key is empty") } else { Ok(inner[..end].to_owned()) }
    }

    fn bracket(&mut self) -> Result<KeyStep, &'static str> {
        self.rest = &self.rest[1..];
        if let Some(quote) = self.rest.chars().next().filter(|first| matches!(first, '"' | '\'')) {
            let key = self.quoted(quote)?;
            self.rest = self.rest.strip_prefix(']').ok_or("a bracket is not closed")?;
            return Ok(KeyStep::Key(key));
        }
        let (inner, rest) = self.rest.split_once(']').ok_or("a bracket is not closed")?;
        self.rest = rest;
        match inner.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
                let value = value.trim().trim_matches(['"', '\'']);
                Ok(KeyStep::Where(key.trim().to_owned(), value.to_owned()))
            }
            Some(_) => Err("a bracket needs a key and a value: `[name=web]`"),
            None if inner.bytes().all(|byte| byte.is_ascii_digit()) => {
                inner.parse().map(KeyStep::Index).map_err(|_| "a bracket is empty, or its number too large")
            }
            None => Err("a bracket holds an index from 0, a quoted key, or `key=value`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> String {
        match text.parse::<KeyPath>() {
            Ok(path) => format!("{:?}", path.steps()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn paths_are_read_as_people_write_them() {
        insta::assert_snapshot!(steps("image.tag"), @r#"[Key("image"), Key("tag")]"#);
        insta::assert_snapshot!(steps("a[0][12].b"), @r#"[Key("a"), Index(0), Index(12), Key("b")]"#);
        insta::assert_snapshot!(steps("[1].a"), @r#"[Index(1), Key("a")]"#);
        insta::assert_snapshot!(steps("c[name=web].image"), @r#"[Key("c"), Where("name", "web"), Key("image")]"#);
        insta::assert_snapshot!(steps("c[name = 'a.b'].x"), @r#"[Key("c"), Where("name", "a.b"), Key("x")]"#);
        insta::assert_snapshot!(steps(r#"data."a.b".c"#), @r#"[Key("data"), Key("a.b"), Key("c")]"#);
        insta::assert_snapshot!(steps(r#"data["a]b"].c"#), @r#"[Key("data"), Key("a]b"), Key("c")]"#);
        insta::assert_snapshot!(steps(r"a\.b.c"), @r#"[Key("a.b"), Key("c")]"#);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        insta::assert_snapshot!(steps(""), @"`` is not a path of keys: a key is empty");
        insta::assert_snapshot!(steps("a..b"), @"`a..b` is not a path of keys: a key is empty");
        insta::assert_snapshot!(steps("a."), @"`a.` is not a path of keys: a key is empty");
        insta::assert_snapshot!(steps("a.[0]"), @"`a.[0]` is not a path of keys: a key is missing between a dot and a bracket");
        insta::assert_snapshot!(steps("a[0]b"), @"`a[0]b` is not a path of keys: a dot is missing behind a bracket or quote");
        insta::assert_snapshot!(steps("a[x]"), @"`a[x]` is not a path of keys: a bracket holds an index from 0, a quoted key, or `key=value`");
        insta::assert_snapshot!(steps("a[]"), @"`a[]` is not a path of keys: a bracket is empty, or its number too large");
        insta::assert_snapshot!(steps("a[-1]"), @"`a[-1]` is not a path of keys: a bracket holds an index from 0, a quoted key, or `key=value`");
        insta::assert_snapshot!(steps("a[name=]"), @"`a[name=]` is not a path of keys: a bracket needs a key and a value: `[name=web]`");
        insta::assert_snapshot!(steps("a]"), @"`a]` is not a path of keys: a bracket is closed that was not opened");
        insta::assert_snapshot!(steps("'a"), @"`'a` is not a path of keys: a quote is not closed");
    }
}
