//! Ranges of semantic versions, with the meaning that Helm and argocd-image-updater users know (Masterminds/semver v3).
//!
//! Two of that library's slips are mended: `^*` and `<=*` hold for every release.

use std::fmt;
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease, Version};

use super::comparison::{self, Written};
use super::version::{number, pre_release};
use super::{ConstraintError, InvalidConstraint, Operator};

/// A range such as `~1.2`, `>=1.2 <2.0`, `1.2 - 1.4`, or `^1 || ^2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    text: String,
    groups: Vec<Group>,
}

/// A version of which parts may be missing, or `x`: the name of all versions under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialVersion {
    major: Option<u64>,
    minor: Option<u64>,
    patch: Option<u64>,
    wildcard: bool,
    /// The same with zeros for what is missing.
    floor: Version,
}

/// Whether a version lies in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Inside,
    /// It does not.
    Outside,
    /// Its release would, and the range asks for no pre-releases.
    PreRelease,
}

/// Comparisons that must all hold. A pre-release passes only where one of them names a pre-release.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    comparisons: Vec<(Operator, PartialVersion)>,
    pre_releases: bool,
}

impl VersionRange {
    /// Whether `version` lies in the range.
    pub fn fit(&self, version: &Version) -> Fit {
        let pre_release = !version.pre.is_empty();
        if self.groups.iter().any(|group| (group.pre_releases || !pre_release) && group.holds(version)) {
            return Fit::Inside;
        }
        if pre_release {
            let release = Version::new(version.major, version.minor, version.patch);
            if self.groups.iter().any(|group| !group.pre_releases && group.holds(&release)) {
                return Fit::PreRelease;
            }
        }
        Fit::Outside
    }

    /// Whether `version` lies in the range by its numbers alone: pre-releases need not be asked for.
    pub fn covers(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| group.holds(version))
    }

    /// Whether a part is left open by `x`, `X` or `*`.
    pub fn has_wildcard(&self) -> bool {
        self.groups.iter().flat_map(|group| &group.comparisons).any(|(_, version)| version.wildcard)
    }
}

impl FromStr for VersionRange {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups = comparison::parse(text, |written: &Written<'_>| {
            let version = PartialVersion::parse(written.version)
                .ok_or_else(|| ConstraintError::NotAVersion(written.version.to_owned(), written.version_at()))?;
            Ok((written.operator, version))
        })?;
        let group = |comparisons: Vec<(Operator, PartialVersion)>| {
            let pre_releases = comparisons.iter().any(|(_, version)| !version.floor.pre.is_empty());
            Group { comparisons, pre_releases }
        };
        Ok(Self { text: text.trim().to_owned(), groups: groups.into_iter().map(group).collect() })
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Group {
    fn holds(&self, version: &Version) -> bool {
        self.comparisons.iter().all(|(operator, bound)| bound.holds(*operator, version))
    }
}

impl PartialVersion {
    /// The version that `text` is, as far as it is written: `1`, `v1.2`, `1.x`, `1.2.3-rc.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (core, suffix) = rest.split_at(rest.find(['-', '+']).unwrap_or(rest.len()));
        let mut numbers = [None; 3];
        let (mut open, mut wildcard) = (false, false);
        for (index, part) in core.split('.').enumerate() {
            let slot = numbers.get_mut(index)?;
            let value = if matches!(part, "x" | "X" | "*") { None } else { Some(number(part)?) };
            wildcard |= value.is_none();
            open |= value.is_none();
            *slot = value.filter(|_| !open);
        }
        let [major, minor, patch] = numbers;
        let floor = |part: Option<u64>| part.unwrap_or_default();
        let floor = Version {
            major: floor(major),
            minor: floor(minor),
            patch: floor(patch),
            pre: pre_release(suffix)?,
            build: BuildMetadata::EMPTY,
        };
        Some(Self { major, minor, patch, wildcard, floor })
    }

    /// Whether it names some versions and not all.
    pub const fn is_limited(&self) -> bool {
        self.major.is_some()
    }

    /// Whether `version` is this one, or lies under it; pre-releases of it too.
    pub fn covers(&self, version: &Version) -> bool {
        if self.patch.is_some() { *version == self.floor } else { self.same_line(version) }
    }

    /// Whether major and minor are those that were written.
    fn same_line(&self, version: &Version) -> bool {
        self.major.is_none_or(|major| major == version.major) && self.minor.is_none_or(|minor| minor == version.minor)
    }

    fn holds(&self, operator: Operator, version: &Version) -> bool {
        let written = (self.major.is_some(), self.minor.is_some(), self.patch.is_some());
        let (any, full) = (!written.0, written.2);
        let lines = (version.major, version.minor).cmp(&(self.floor.major, self.floor.minor));
        match operator {
            Operator::Equal if full => *version == self.floor,
            Operator::Equal => *version >= self.floor && self.same_line(version),
            Operator::Tilde => *version >= self.floor && (self.is_zero() || self.same_line(version)),
            Operator::Caret => *version >= self.floor && self.same_leading_part(version),
            Operator::Less => *version < self.floor,
            Operator::GreaterOrEqual => *version >= self.floor,
            Operator::Greater if full || any => *version > self.floor,
            Operator::Greater if written.1 => lines.is_gt(),
            Operator::Greater => version.major > self.floor.major,
            Operator::LessOrEqual if any => true,
            Operator::LessOrEqual if full => *version <= self.floor,
            Operator::LessOrEqual if written.1 => lines.is_le(),
            Operator::LessOrEqual => version.major <= self.floor.major,
            Operator::NotEqual if full || any => *version != self.floor,
            Operator::NotEqual if written.1 => lines.is_ne() || version.pre != self.floor.pre,
            Operator::NotEqual => version.major != self.floor.major,
        }
    }

    /// Whether everything up to the first part that is not zero is the same: what `^` keeps.
    fn same_leading_part(&self, version: &Version) -> bool {
        if self.major.is_none() {
            return true;
        }
        let major = version.major == self.floor.major;
        if self.floor.major > 0 || self.minor.is_none() {
            return major;
        }
        let minor = major && version.minor == self.floor.minor;
        if self.floor.minor > 0 || self.patch.is_none() { minor } else { minor && version.patch == self.floor.patch }
    }

    /// Whether it is 0.0.0, written in full: then `~` takes everything, as existing users know it.
    fn is_zero(&self) -> bool {
        let release = Version { pre: Prerelease::EMPTY, ..self.floor.clone() };
        self.patch.is_some() && release == Version::new(0, 0, 0)
    }
}
