//! Minimum age: how long an image must have been seen before it is taken.

use jiff::Timestamp;

use crate::model::{Known, Rule};

use super::newest_build::newest_build;

/// Whether an image is old enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    OldEnough,
    /// Not before this time; `None` when nothing says how old it is.
    TooYoung(Option<Timestamp>),
}

/// Counts from the first sight of the digest. Where it was never seen before (the first look at a repository), from the
/// push or the build, so that old tags are not new.
pub(super) fn age(rule: &Rule, known: &Known, now: Timestamp) -> Age {
    let Some(minimum) = rule.minimum_age else { return Age::OldEnough };
    let since = known.first_seen.or(known.pushed).or_else(|| newest_build(known, &rule.platforms));
    let until = since.map(|since| since.checked_add(minimum).unwrap_or(Timestamp::MAX));
    match until {
        Some(until) if until <= now => Age::OldEnough,
        until => Age::TooYoung(until),
    }
}
