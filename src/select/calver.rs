//! `CalVer`: by calendar version.

use crate::model::{CalendarVersion, Constraint};

use super::order::Key;
use super::sieve::Loss;

/// A tag's calendar version, and how many numbers were written.
pub(super) fn key<'a>(part: &str) -> Result<(Key<'a>, u8), Loss> {
    let (version, numbers) = CalendarVersion::parse(part).ok_or(Loss::NotAVersion)?;
    Ok((Key::Calendar(version), numbers))
}

/// Whether a version lies within the bounds, if there are any.
pub(super) fn fit(constraint: &Constraint, version: CalendarVersion) -> Result<(), Loss> {
    match constraint {
        Constraint::Any => Ok(()),
        Constraint::Calendar(bounds) if bounds.contain(version) => Ok(()),
        _ => Err(Loss::Outside),
    }
}
