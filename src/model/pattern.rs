//! Patterns over tags: regular expressions and globs.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// A regular expression over tags, of bounded size; matching takes linear time.
#[derive(Debug, Clone)]
pub struct TagPattern(Regex);

/// A regular expression whose first named group captures the part of a tag that is compared.
#[derive(Debug, Clone)]
pub struct TagExtractor {
    pattern: TagPattern,
    group: usize,
}

/// A glob over whole tags: `*`, `?`, `[a-z]`, `[^a]`, and `\` in front of a character that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagGlob {
    text: String,
    tokens: Vec<Token>,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Not a regular expression.
    #[error("cannot read the regular expression `{text}`: {cause}")]
    Regex {
        /// What was written.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A regular expression that would need too much memory.
    #[error("the regular expression `{text}` is too large: it needs more than {MAXIMUM_SIZE} bytes when compiled")]
    TooLarge {
        /// What was written.
        text: String,
    },
    /// No named group.
    #[error("the regular expression `{text}` has no named group")]
    NoGroup {
        /// What was written.
        text: String,
    },
    /// Not a glob.
    #[error("cannot read the glob `{text}`: {cause}")]
    Glob {
        /// What was written.
        text: String,
        /// What is wrong with it.
        cause: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    Any,
    Star,
    Class { except: bool, ranges: Vec<(char, char)> },
}

const MAXIMUM_SIZE: usize = 1 << 20;
const MAXIMUM_NESTING: u32 = 50;

impl TagPattern {
    /// Whether the expression finds a match in `tag`.
    pub fn matches(&self, tag: &str) -> bool {
        self.0.is_match(tag)
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for TagPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let built = RegexBuilder::new(text).size_limit(MAXIMUM_SIZE).nest_limit(MAXIMUM_NESTING).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => InvalidPattern::TooLarge { text: text.to_owned() },
            other => {
                // The last line says what is wrong; those before it repeat and mark the expression on several lines.
                let cause = other.to_string();
                let cause = cause.lines().last().unwrap_or_default();
                let cause = cause.strip_prefix("error: ").unwrap_or(cause).to_owned();
                InvalidPattern::Regex { text: text.to_owned(), cause }
            }
        })
    }
}

impl TagExtractor {
    /// The part of `tag` that is compared; `None` when the expression finds no match, or the group took no part in it.
    pub fn part<'a>(&self, tag: &'a str) -> Option<&'a str> {
        let captures = self.pattern.0.captures(tag)?;
        captures.get(self.group).map(|part| part.as_str())
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        self.pattern.as_str()
    }
}

impl FromStr for TagExtractor {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern: TagPattern = text.parse()?;
        let group = pattern.0.capture_names().position(|name| name.is_some());
        let group = group.ok_or_else(|| InvalidPattern::NoGroup { text: text.to_owned() })?;
        Ok(Self { pattern, group })
    }
}

impl TagGlob {
    /// Whether the glob describes all of `tag`. Takes at most time proportional to glob times tag.
    pub fn matches(&self, tag: &str) -> bool {
        let (mut at, mut rest) = (0, tag);
        let mut star: Option<(usize, &str)> = None;
        while let Some(symbol) = rest.chars().next() {
            let after = &rest[symbol.len_utf8()..];
            match self.tokens.get(at) {
                Some(Token::Star) => {
                    star = Some((at, rest));
                    at += 1;
                }
                Some(other) if other.takes(symbol) => {
                    at += 1;
                    rest = after;
                }
                _ => {
                    // Let the last star take one character more, and try again behind it.
                    let Some((star_at, taken)) = star else { return false };
                    let Some(next) = taken.chars().next() else { return false };
                    let shorter = &taken[next.len_utf8()..];
                    star = Some((star_at, shorter));
                    at = star_at + 1;
                    rest = shorter;
                }
            }
        }
        self.tokens[at..].iter().all(|token| *token == Token::Star)
    }

    /// The glob's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text is more than one literal tag.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }
}

impl Token {
    fn takes(&self, symbol: char) -> bool {
        match self {
            Self::One(expected) => *expected == symbol,
            Self::Any => symbol != '/',
            Self::Star => false,
            Self::Class { except, ranges } => {
                ranges.iter().any(|&(first, last)| first <= symbol && symbol <= last) != *except
            }
        }
    }
}

impl FromStr for TagGlob {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |cause| InvalidPattern::Glob { text: text.to_owned(), cause };
        let mut symbols = text.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(symbol) = symbols.next() {
            tokens.push(match symbol {
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => class(&mut symbols).map_err(wrong)?,
                '\\' => Token::One(symbols.next().ok_or_else(|| wrong("nothing follows the last `\\`"))?),
                other => Token::One(other),
            });
        }
        Ok(Self { text: text.to_owned(), tokens })
    }
}

type Symbols<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn class(symbols: &mut Symbols<'_>) -> Result<Token, &'static str> {
    let except = symbols.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && symbols.next_if_eq(&']').is_some() {
            return Ok(Token::Class { except, ranges });
        }
        let first = class_member(symbols)?;
        let last = if symbols.next_if_eq(&'-').is_some() { class_member(symbols)? } else { first };
        ranges.push((first, last));
    }
}

fn class_member(symbols: &mut Symbols<'_>) -> Result<char, &'static str> {
    match symbols.next() {
        None => Err("a `[` is not closed by `]`"),
        Some('-') => Err("a `-` stands between no two characters"),
        Some(']') => Err("there is nothing between `[` and `]`, or after a `-`"),
        Some('\\') => symbols.next().ok_or("nothing follows the last `\\`"),
        Some(other) => Ok(other),
    }
}

impl fmt::Display for TagGlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
