//! The shape that all constraints share: comparisons, joined by blanks or commas (and) and by `||` (or).

/// How a candidate is compared with a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`, or nothing.
    Equal,
    /// `!=`.
    NotEqual,
    /// `>`.
    Greater,
    /// `>=`, `=>`.
    GreaterOrEqual,
    /// `<`.
    Less,
    /// `<=`, `=<`.
    LessOrEqual,
    /// `~`, `~>`.
    Tilde,
    /// `^`.
    Caret,
}

/// A text that is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the constraint `{text}`: {cause}")]
pub struct InvalidConstraint {
    /// What was written.
    pub text: String,
    /// What is wrong with it, and where.
    pub cause: ConstraintError,
}

/// What is wrong with a constraint. Places count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// Nothing was written.
    #[error("it is empty")]
    Empty,
    /// More was written than anybody needs.
    #[error("it has {0} characters; at most {MAXIMUM_LENGTH} are allowed")]
    TooLong(usize),
    /// There is nothing on one side of `||` or after a comma.
    #[error("a version is missing at character {0}")]
    Missing(usize),
    /// An operator stands alone.
    #[error("`{0}` at character {1} has no version after it")]
    NothingToCompare(String, usize),
    /// Something that is no version.
    #[error("`{0}` at character {1} is not a version")]
    NotAVersion(String, usize),
    /// Two comparisons stand side by side.
    #[error("`{0}` at character {1} needs a blank or a comma in front of it")]
    NotSeparated(String, usize),
    /// An operator that the strategy's versions do not have.
    #[error("`{0}` at character {1} has no meaning for {2}")]
    NoSuchOperator(String, usize, &'static str),
}

/// One comparison as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub operator: Operator,
    pub version: &'a str,
    /// The text from the operator on.
    pub text: &'a str,
    /// Where it starts.
    pub at: usize,
}

impl Written<'_> {
    /// Where the version starts.
    pub fn version_at(&self) -> usize {
        self.at + self.text.chars().count() - self.version.chars().count()
    }
}

const MAXIMUM_LENGTH: usize = 1024;
/// How much of a text that is too long is repeated.
const SHOWN: usize = 32;

const OPERATORS: &[(&str, Operator)] = &[
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=<", Operator::LessOrEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

/// A constraint cut into its comparisons: all of any one group must hold.
pub(super) fn parse<'a, T>(
    text: &'a str,
    read: impl Fn(&Written<'a>) -> Result<T, ConstraintError>,
) -> Result<Vec<Vec<T>>, InvalidConstraint> {
    let wrong = |cause| InvalidConstraint { text: text.to_owned(), cause };
    if text.len() > MAXIMUM_LENGTH {
        let start = text.chars().take(SHOWN).chain(['…']).collect();
        return Err(InvalidConstraint { text: start, cause: ConstraintError::TooLong(text.chars().count()) });
    }
    if text.trim().is_empty() {
        return Err(wrong(ConstraintError::Empty));
    }
    let mut groups = Vec::new();
    let mut at = 0;
    for group in text.split("||") {
        let reader = Reader { text, at, end: at + group.len() };
        groups.push(reader.group(&read).map_err(wrong)?);
        at += group.len() + "||".len();
    }
    Ok(groups)
}

/// The place of a byte, as people count: characters from 1.
pub(super) fn character(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).chars().count() + 1
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn group<T>(
        mut self,
        read: &impl Fn(&Written<'a>) -> Result<T, ConstraintError>,
    ) -> Result<Vec<T>, ConstraintError> {
        let mut comparisons = Vec::new();
        loop {
            self.skip_blanks();
            if self.rest().is_empty() || self.rest().starts_with(',') {
                return Err(ConstraintError::Missing(self.character()));
            }
            let (first, second) = self.comparison()?;
            for written in [Some(first), second].into_iter().flatten() {
                let located = Written { at: character(self.text, written.at), ..written };
                comparisons.push(read(&located)?);
            }
            let blanks = self.skip_blanks();
            if self.rest().is_empty() {
                return Ok(comparisons);
            }
            if self.rest().starts_with(',') {
                self.at += 1;
            } else if !blanks {
                return Err(ConstraintError::NotSeparated(self.word().to_owned(), self.character()));
            }
        }
    }

    /// One comparison, or the two that a hyphen range stands for.
    fn comparison(&mut self) -> Result<(Written<'a>, Option<Written<'a>>), ConstraintError> {
        let start = self.at;
        let symbol = OPERATORS.iter().find(|(symbol, _)| self.rest().starts_with(symbol));
        self.at += symbol.map_or(0, |(symbol, _)| symbol.len());
        self.skip_blanks();
        let version = self.version();
        let text = &self.text[start..self.at];
        if version.is_empty() {
            let (text, place) = (text.trim().to_owned(), character(self.text, start));
            let nothing = self.rest().is_empty() || self.rest().starts_with(',');
            return Err(match symbol {
                Some(_) if nothing => ConstraintError::NothingToCompare(text, place),
                _ => ConstraintError::NotAVersion(self.word_from(start).to_owned(), place),
            });
        }
        let operator = symbol.map_or(Operator::Equal, |(_, operator)| *operator);
        let written = Written { operator, version, text, at: start };
        match symbol {
            None => Ok(match self.hyphen()? {
                None => (written, None),
                Some(upper) => (Written { operator: Operator::GreaterOrEqual, ..written }, Some(upper)),
            }),
            Some(_) => Ok((written, None)),
        }
    }

    /// The second half of `1.2 - 1.4`, if that is what follows.
    fn hyphen(&mut self) -> Result<Option<Written<'a>>, ConstraintError> {
        let rest = self.rest();
        let after = rest.trim_start();
        let Some(upper) = after.strip_prefix('-') else { return Ok(None) };
        if after.len() == rest.len() || !(upper.is_empty() || upper.starts_with(char::is_whitespace)) {
            return Ok(None);
        }
        self.at += rest.len() - upper.trim_start().len();
        let at = self.at;
        let version = self.version();
        if version.is_empty() {
            return Err(ConstraintError::Missing(self.character()));
        }
        Ok(Some(Written { operator: Operator::LessOrEqual, version, text: version, at }))
    }

    fn version(&mut self) -> &'a str {
        let rest = self.rest();
        let stop = |symbol: char| symbol.is_whitespace() || ",<>=~^!".contains(symbol);
        let version = &rest[..rest.find(stop).unwrap_or(rest.len())];
        self.at += version.len();
        version
    }

    fn skip_blanks(&mut self) -> bool {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start().len();
        self.at += blanks;
        blanks > 0
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    fn word(&self) -> &'a str {
        self.word_from(self.at)
    }

    fn word_from(&self, start: usize) -> &'a str {
        self.text[start..self.end].split([' ', ',']).next().unwrap_or_default()
    }

    fn character(&self) -> usize {
        character(self.text, self.at)
    }
}
