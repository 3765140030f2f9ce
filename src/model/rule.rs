//! How the version of an image is picked.

use std::fmt;
use std::time::Duration;

use super::{
    Bounds, CalendarVersion, Number, PartialVersion, Platform, Tag, TagExtractor, TagGlob, TagPattern, VersionRange,
};

/// How the candidates are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Strategy {
    /// By semantic version.
    #[default]
    SemVer,
    /// By build date.
    NewestBuild,
    /// By the bytes of the tag.
    Alphabetical,
    /// One tag, whose digest is followed.
    Digest,
    /// By calendar version.
    CalVer,
    /// By build number.
    Numeric,
}

/// What is written of the chosen version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Pin {
    /// `tag`.
    #[default]
    Tag,
    /// `sha256:…`.
    Digest,
    /// `tag@sha256:…`.
    TagAndDigest,
}

/// The rule that picks the version of one image. The default takes the highest release by semantic version.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// How the candidates are ordered.
    pub strategy: Strategy,
    /// Which versions are allowed.
    pub constraint: Constraint,
    /// Which tags are looked at.
    pub allow: Allow,
    /// Tags that are never taken.
    pub ignore: Vec<Ignore>,
    /// Platforms of which an image must serve at least one. Empty: any.
    pub platforms: Vec<Platform>,
    /// How long an image must have been seen before it is taken.
    pub minimum_age: Option<Duration>,
    /// Whether a choice may be lower than what the destination holds.
    pub allow_downgrade: bool,
    /// What is written.
    pub pin: Pin,
}

/// Which versions are allowed. Bounds of another kind than the strategy's versions let nothing pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Constraint {
    /// Every one; under `SemVer` every release.
    #[default]
    Any,
    /// Semantic versions in a range.
    Versions(VersionRange),
    /// Calendar versions within bounds.
    Calendar(Bounds<CalendarVersion>),
    /// Build numbers within bounds.
    Numbers(Bounds<Number>),
    /// One tag: the one whose digest is followed.
    Followed(Tag),
}

/// Which tags are looked at.
#[derive(Debug, Clone, Default)]
pub enum Allow {
    /// Every one.
    #[default]
    Any,
    /// Those in which the expression finds a match.
    Matching(TagPattern),
    /// The same, and a part of the tag is compared in its stead.
    Extracting(TagExtractor),
}

/// Tags that are never taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignore {
    /// Those that a glob describes.
    Glob(TagGlob),
    /// A version and all that lies under it, or the tag of that very text.
    Under(PartialVersion, String),
    /// Versions in a range, pre-releases among them.
    Versions(VersionRange),
}

impl Strategy {
    /// Every strategy, in the order in which documentation names them.
    pub const ALL: &'static [Self] =
        &[Self::SemVer, Self::NewestBuild, Self::Alphabetical, Self::Digest, Self::CalVer, Self::Numeric];

    /// The word for it in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SemVer => "SemVer",
            Self::NewestBuild => "NewestBuild",
            Self::Alphabetical => "Alphabetical",
            Self::Digest => "Digest",
            Self::CalVer => "CalVer",
            Self::Numeric => "Numeric",
        }
    }
}

impl Pin {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Tag, Self::Digest, Self::TagAndDigest];

    /// The word for it in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "Tag",
            Self::Digest => "Digest",
            Self::TagAndDigest => "TagAndDigest",
        }
    }
}

impl Rule {
    /// Whether a choice needs the digest of its image.
    pub fn needs_digest(&self) -> bool {
        self.strategy == Strategy::Digest || self.pin != Pin::Tag
    }

    /// Whether a choice needs anything of an image beside its tag.
    pub fn needs_details(&self) -> bool {
        self.needs_digest() || self.strategy == Strategy::NewestBuild || self.minimum_age.is_some()
    }

    /// Whether a choice needs dates of images: the build date, or how old they are.
    pub fn needs_dates(&self) -> bool {
        self.strategy == Strategy::NewestBuild || self.minimum_age.is_some()
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Versions(range) => range.fmt(formatter),
            Self::Calendar(bounds) => bounds.fmt(formatter),
            Self::Numbers(bounds) => bounds.fmt(formatter),
            Self::Followed(tag) => tag.fmt(formatter),
        }
    }
}

impl fmt::Display for Ignore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(glob) => glob.fmt(formatter),
            Self::Under(_, text) => formatter.write_str(text),
            Self::Versions(range) => range.fmt(formatter),
        }
    }
}
