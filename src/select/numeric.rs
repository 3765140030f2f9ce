//! `Numeric`: by build number.

use crate::model::{Constraint, Number};

use super::order::Key;
use super::sieve::Loss;

/// A tag's number.
pub(super) fn key<'a>(part: &str) -> Result<(Key<'a>, u8), Loss> {
    Number::parse(part).map(|number| (Key::Number(number), 0)).ok_or(Loss::NotAVersion)
}

/// Whether a number lies within the bounds, if there are any.
pub(super) fn fit(constraint: &Constraint, number: Number) -> Result<(), Loss> {
    match constraint {
        Constraint::Any => Ok(()),
        Constraint::Numbers(bounds) if bounds.contain(number) => Ok(()),
        _ => Err(Loss::Outside),
    }
}
