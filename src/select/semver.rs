//! `SemVer`: by semantic version, read loosely.

use semver::Version;

use crate::model::{Constraint, Fit, LooseVersion};

use super::order::Key;
use super::sieve::Loss;

/// A tag's version, and how many of its parts were written.
pub(super) fn key<'a>(part: &str) -> Result<(Key<'a>, u8), Loss> {
    let loose = LooseVersion::parse(part).ok_or(Loss::NotAVersion)?;
    Ok((Key::Version(loose.version), loose.parts))
}

/// Whether a version may be taken. Without a constraint every release may.
pub(super) fn fit(constraint: &Constraint, version: &Version) -> Result<(), Loss> {
    let fit = match constraint {
        Constraint::Any if version.pre.is_empty() => Fit::Inside,
        Constraint::Any => Fit::PreRelease,
        Constraint::Versions(range) => range.fit(version),
        Constraint::Calendar(_) | Constraint::Numbers(_) | Constraint::Followed(_) => Fit::Outside,
    };
    match fit {
        Fit::Inside => Ok(()),
        Fit::Outside => Err(Loss::Outside),
        Fit::PreRelease => Err(Loss::PreRelease),
    }
}

/// Whether a tag that is ordered by something else lies in a range of semantic versions, if the rule states one.
pub(super) fn fit_text(constraint: &Constraint, part: &str) -> Result<(), Loss> {
    match constraint {
        Constraint::Any => Ok(()),
        Constraint::Versions(_) | Constraint::Calendar(_) | Constraint::Numbers(_) | Constraint::Followed(_) => {
            fit(constraint, &LooseVersion::parse(part).ok_or(Loss::NotAVersion)?.version)
        }
    }
}
