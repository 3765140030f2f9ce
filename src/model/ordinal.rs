//! Versions that are no semantic ones: calendar versions and build numbers, and bounds on them.

use std::fmt;

use super::comparison::{self, Written};
use super::{ConstraintError, InvalidConstraint, Operator};

/// A calendar version: year, month, a third number (day or counter), a fourth (counter). Missing ones are 0.
///
/// `YYYY.MM.DD`, `YYYY.MM`, `YY.MM`, `YYYYMMDD`, `YYYY-MM-DD`, with a leading `v` and a counter (`.N` or `-N`) if need be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarVersion {
    year: u16,
    month: u8,
    third: u64,
    fourth: u64,
}

/// An unsigned decimal number of at most 40 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    high: u128,
    low: u128,
}

/// Bounds on versions of one kind: `>=2024.01 <2025`, `100 - 200`, `!=17`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds<T> {
    text: String,
    groups: Vec<Vec<(Operator, T, T)>>,
}

/// A kind of version that bounds can be put on.
pub trait Ordinal: Copy + Ord {
    /// What such versions are called, in the plural.
    const PLURAL: &'static str;

    /// The first and the last version that `text` names; `2024` names all of that year.
    fn span(text: &str) -> Option<(Self, Self)>;
}

const YEARS: std::ops::RangeInclusive<u64> = 1970..=2199;
const HALF: usize = 20;

impl CalendarVersion {
    /// The version, and how many numbers were written of it; `None` when `text` is no calendar version.
    pub fn parse(text: &str) -> Option<(Self, u8)> {
        let (version, written) = Self::read(text)?;
        (written.has_month && !(written.dashed && !written.has_third)).then_some((version, written.numbers))
    }

    fn read(text: &str) -> Option<(Self, Written4)> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut numbers: [(&str, u8); 4] = [("", b' '); 4];
        let mut count = 0;
        let mut separator = b' ';
        for part in text.split_inclusive(['.', '-']) {
            let digits = part.trim_end_matches(['.', '-']);
            *numbers.get_mut(count)? = (digits, separator);
            separator = if digits.len() == part.len() { b' ' } else { part.as_bytes()[part.len() - 1] };
            count += 1;
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if separator != b' ' || !numbers[..count].iter().all(|(text, _)| digits(text)) {
            return None;
        }
        let first = numbers.first()?.0;
        if first.len() == 8 { Self::compact(&numbers[..count]) } else { Self::separated(&numbers[..count]) }
    }

    /// `YYYYMMDD` with a counter, or without.
    fn compact(numbers: &[(&str, u8)]) -> Option<(Self, Written4)> {
        let date = numbers.first()?.0;
        let (year, month, day) = (year(&date[..4])?, month(&date[4..6])?, day(&date[6..])?);
        let fourth = match numbers {
            [_] => 0,
            [_, (counter, _)] => counter.parse().ok()?,
            _ => return None,
        };
        let written = Written4 {
            numbers: if numbers.len() == 1 { 3 } else { 4 },
            dashed: false,
            has_month: true,
            has_third: true,
            has_fourth: numbers.len() == 2,
        };
        Some((Self { year, month, third: day, fourth }, written))
    }

    fn separated(numbers: &[(&str, u8)]) -> Option<(Self, Written4)> {
        let mut written = Written4 {
            numbers: u8::try_from(numbers.len()).ok()?,
            dashed: false,
            has_month: numbers.len() > 1,
            has_third: false,
            has_fourth: false,
        };
        let year = year(numbers.first()?.0)?;
        let short = numbers.first()?.0.len() == 2;
        let mut version = Self { year, month: 0, third: 0, fourth: 0 };
        let Some((second, separator)) = numbers.get(1) else { return Some((version, written)).filter(|_| !short) };
        version.month = month(second)?;
        written.dashed = *separator == b'-';
        if written.dashed && short {
            return None;
        }
        match (written.dashed, &numbers[2..]) {
            (_, []) => {}
            (false, [(counter, b'-')]) => {
                (version.fourth, written.has_fourth) = (counter.parse().ok()?, true);
            }
            (false, [(third, _)]) => (version.third, written.has_third) = (third.parse().ok()?, true),
            (true, [(third, b'-')]) => (version.third, written.has_third) = (day(third)?, true),
            (dashed, [(third, between), (counter, _)]) if (*between == b'-') == dashed => {
                (version.third, written.has_third) = (day(third)?, true);
                (version.fourth, written.has_fourth) = (counter.parse().ok()?, true);
            }
            _ => return None,
        }
        Some((version, written))
    }
}

/// What was written of a calendar version.
struct Written4 {
    numbers: u8,
    dashed: bool,
    has_month: bool,
    has_third: bool,
    has_fourth: bool,
}

fn year(text: &str) -> Option<u16> {
    let value: u64 = text.parse().ok()?;
    let year = match text.len() {
        2 => value + 2000,
        4 if YEARS.contains(&value) => value,
        _ => return None,
    };
    u16::try_from(year).ok()
}

fn month(text: &str) -> Option<u8> {
    (text.len() <= 2).then(|| text.parse().ok()).flatten().filter(|month| (1..=12).contains(month))
}

fn day(text: &str) -> Option<u64> {
    (text.len() <= 2).then(|| text.parse().ok()).flatten().filter(|day| (1..=31).contains(day))
}

impl Ordinal for CalendarVersion {
    const PLURAL: &'static str = "calendar versions";

    fn span(text: &str) -> Option<(Self, Self)> {
        let (first, written) = Self::read(text)?;
        let last = Self {
            year: first.year,
            month: if written.has_month { first.month } else { u8::MAX },
            third: if written.has_third || written.has_fourth { first.third } else { u64::MAX },
            fourth: if written.has_fourth { first.fourth } else { u64::MAX },
        };
        Some((first, last))
    }
}

impl Number {
    /// The number that `text` is; `None` when it is none, or longer than 40 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=2 * HALF).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !valid {
            return None;
        }
        let (high, low) = text.split_at(text.len().saturating_sub(HALF));
        let high = if high.is_empty() { 0 } else { high.parse().ok()? };
        Some(Self { high, low: low.parse().ok()? })
    }
}

impl Ordinal for Number {
    const PLURAL: &'static str = "build numbers";

    fn span(text: &str) -> Option<(Self, Self)> {
        Self::parse(text).map(|number| (number, number))
    }
}

impl<T: Ordinal> Bounds<T> {
    /// The bounds that `text` states: `=`, `!=`, `>`, `>=`, `<`, `<=`, hyphen ranges; blank or comma is and, `||` is or.
    pub fn parse(text: &str) -> Result<Self, InvalidConstraint> {
        let groups = comparison::parse(text, |written: &Written<'_>| {
            if matches!(written.operator, Operator::Tilde | Operator::Caret) {
                return Err(ConstraintError::NoSuchOperator(written.text.to_owned(), written.at, T::PLURAL));
            }
            let (first, last) = T::span(written.version)
                .ok_or_else(|| ConstraintError::NotAVersion(written.version.to_owned(), written.version_at()))?;
            Ok((written.operator, first, last))
        })?;
        Ok(Self { text: text.trim().to_owned(), groups })
    }

    /// Whether `version` lies within the bounds.
    pub fn contain(&self, version: T) -> bool {
        self.groups.iter().any(|group| {
            group.iter().all(|&(operator, first, last)| match operator {
                Operator::Equal | Operator::Tilde | Operator::Caret => first <= version && version <= last,
                Operator::NotEqual => version < first || last < version,
                Operator::Greater => version > last,
                Operator::GreaterOrEqual => version >= first,
                Operator::Less => version < first,
                Operator::LessOrEqual => version <= last,
            })
        })
    }
}

impl<T> fmt::Display for Bounds<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
