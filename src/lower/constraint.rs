//! Constraints and ignore entries: one text, read as the strategy needs it.

use crate::model::{
    Bounds, Constraint, ConstraintError, Ignore, InvalidConstraint, PartialVersion, Problem, Reason, Strategy, TagGlob,
    VersionRange,
};

use super::rule::{Dialect, Placed, glob};

type Lowered = (Constraint, Option<Problem>);

/// The constraint that a text states under a strategy, and a note if it does less than one might think.
///
/// `missing` is where a constraint would have to be written that is not there.
pub(super) fn constraint(
    strategy: Strategy,
    text: Option<Placed<&str>>,
    missing: &str,
    dialect: Dialect,
) -> Result<Lowered, Problem> {
    let text = text.filter(|text| dialect == Dialect::Policy || !text.value.trim().is_empty());
    let Some(Placed { value: text, place }) = text else {
        return match strategy {
            Strategy::Digest => {
                let message = "strategy Digest needs a constraint: the tag to follow";
                Err(Problem::new(Reason::InvalidConstraint, message).at(missing).hint("for example `latest`"))
            }
            _ => Ok((Constraint::Any, None)),
        };
    };
    let found = match strategy {
        Strategy::SemVer => versions(text, VERSIONS_HINT).map(certain),
        Strategy::CalVer => {
            Bounds::parse(text).map(Constraint::Calendar).map(certain).map_err(|error| wrong(&error, CALENDAR_HINT))
        }
        Strategy::Numeric => {
            Bounds::parse(text).map(Constraint::Numbers).map(certain).map_err(|error| wrong(&error, NUMBERS_HINT))
        }
        Strategy::Digest => followed(text).map(certain),
        Strategy::NewestBuild | Strategy::Alphabetical => by_other_order(strategy, text, dialect),
    };
    found.map_err(|problem| problem.at(&place)).map(|(constraint, note)| (constraint, note.map(|note| note.at(&place))))
}

/// What an entry of the ignore list leaves out.
pub(super) fn ignore(strategy: Strategy, text: &str) -> Result<Ignore, Problem> {
    let range = text.starts_with(['~', '^', '>', '<', '=', '!']);
    if range && strategy != Strategy::SemVer {
        let message =
            format!("`{text}` is a range of versions, which strategy {strategy} does not read among tags to ignore");
        return Err(Problem::new(Reason::InvalidPattern, message).hint("write globs, for example `2.*`"));
    }
    if TagGlob::is_pattern(text) && !range || strategy != Strategy::SemVer {
        return glob(text).map(Ignore::Glob);
    }
    if !range && let Some(version) = PartialVersion::parse(text) {
        // `x` alone is a tag of that name, not every version.
        return if version.is_limited() {
            Ok(Ignore::Under(version, text.to_owned()))
        } else {
            glob(text).map(Ignore::Glob)
        };
    }
    match text.parse::<VersionRange>() {
        Ok(versions) => Ok(Ignore::Versions(versions)),
        Err(error) if range => Err(Problem::new(Reason::InvalidPattern, error.to_string()).hint(IGNORE_HINT)),
        Err(_) => glob(text).map(Ignore::Glob),
    }
}

fn certain(constraint: Constraint) -> Lowered {
    (constraint, None)
}

fn versions(text: &str, hint: &str) -> Result<Constraint, Problem> {
    text.parse().map(Constraint::Versions).map_err(|error| wrong(&error, hint))
}

fn followed(text: &str) -> Result<Constraint, Problem> {
    text.trim().parse().map(Constraint::Followed).map_err(|_| {
        let message = format!("`{text}` is not a tag, and strategy Digest follows one tag");
        Problem::new(Reason::InvalidConstraint, message).hint("for example `latest`; a range needs another strategy")
    })
}

/// Under strategies that order by something else a range filters. In annotations a bare tag there never did, and does not.
fn by_other_order(strategy: Strategy, text: &str, dialect: Dialect) -> Result<Lowered, Problem> {
    let operators = text.contains(['~', '^', '>', '<', '=', '*']) || text.contains("||") || text.contains(" - ");
    if dialect == Dialect::Policy || operators {
        return versions(text, OTHER_ORDER_HINT).map(certain);
    }
    match text.parse::<VersionRange>() {
        Ok(range) if range.has_wildcard() || text.trim().contains([' ', ',']) => {
            Ok(certain(Constraint::Versions(range)))
        }
        _ => {
            let message = format!("`{text}` is no range, so under this strategy it leaves out no tag");
            let note = Problem::new(Reason::AmbiguousText, message);
            Ok((Constraint::Any, Some(note.hint(bare_hint(strategy, text)))))
        }
    }
}

fn bare_hint(strategy: Strategy, text: &str) -> String {
    match PartialVersion::parse(text) {
        Some(_) => format!("write `~{text}` to filter by version"),
        None => format!("{strategy} compares all tags; to keep to some of them, use allow-tags"),
    }
}

fn wrong(error: &InvalidConstraint, hint: &str) -> Problem {
    let problem = Problem::new(Reason::InvalidConstraint, error.to_string());
    match error.cause {
        ConstraintError::Empty => problem.hint("leave it out to allow all"),
        _ => problem.hint(hint),
    }
}

const VERSIONS_HINT: &str = "write a range such as `~1.2`, `^1`, `>=1.2 <2.0` or `1.2 - 1.4`";
const CALENDAR_HINT: &str = "write bounds such as `2024`, `>=2024.01 <2025` or `2024.01 - 2024.06`";
const NUMBERS_HINT: &str = "write bounds such as `>=100 <200`";
const OTHER_ORDER_HINT: &str = "a constraint here is a range of semantic versions such as `~1.2`; to pick tags by their text, say which are allowed";
const IGNORE_HINT: &str = "write a glob such as `*-rc*`, a version such as `1.0`, or a range such as `>=2.0`";
