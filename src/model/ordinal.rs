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
        let (version, depth, numbers) = Self::read(text)?;
        (!matches!(depth, Depth::Year | Depth::DashedMonth)).then_some((version, numbers))
    }

    fn read(text: &str) -> Option<(Self, Depth, u8)> {
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
    fn compact(numbers: &[(&str, u8)]) -> Option<(Self, Depth, u8)> {
        let date = numbers.first()?.0;
        let (year, month, day) = (year(&date[..4])?, month(&date[4..6])?, day(&date[6..])?);
        let version = Self { year, month, third: day, fourth: 0 };
        match numbers {
            [_] => Some((version, Depth::Third, 3)),
            [_, (counter, _)] => Some((Self { fourth: counter.parse().ok()?, ..version }, Depth::Fourth, 4)),
            _ => None,
        }
    }

    fn separated(numbers: &[(&str, u8)]) -> Option<(Self, Depth, u8)> {
        let (first, rest) = numbers.split_first()?;
        let written = u8::try_from(numbers.len()).ok()?;
        let (year, short) = (year(first.0)?, first.0.len() == 2);
        let Some(((second, separator), rest)) = rest.split_first() else {
            return Some((Self { year, month: 0, third: 0, fourth: 0 }, Depth::Year, written)).filter(|_| !short);
        };
        let dashed = *separator == b'-';
        let version = Self { year, month: month(second)?, third: 0, fourth: 0 };
        let (version, depth) = match (dashed, rest) {
            (true, _) if short => return None,
            (true, []) => (version, Depth::DashedMonth),
            (false, []) => (version, Depth::Month),
            (false, [(counter, b'-')]) => (Self { fourth: counter.parse().ok()?, ..version }, Depth::Fourth),
            (false, [(third, _)]) => (Self { third: third.parse().ok()?, ..version }, Depth::Third),
            (true, [(third, b'-')]) => (Self { third: day(third)?, ..version }, Depth::Third),
            (_, [(third, between), (counter, _)]) if (*between == b'-') == dashed => {
                (Self { third: day(third)?, fourth: counter.parse().ok()?, ..version }, Depth::Fourth)
            }
            _ => return None,
        };
        Some((version, depth, written))
    }
}

/// How far a calendar version is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Year,
    Month,
    /// `YYYY-MM`, which is a bound and no version.
    DashedMonth,
    Third,
    Fourth,
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
        let (first, depth, _) = Self::read(text)?;
        let last = Self {
            year: first.year,
            month: if depth > Depth::Year { first.month } else { u8::MAX },
            third: if depth >= Depth::Third { first.third } else { u64::MAX },
            fourth: if depth == Depth::Fourth { first.fourth } else { u64::MAX },
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
