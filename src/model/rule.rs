//! How the version of an image is picked.

use super::Platform;

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

/// The rule that picks the version of one image.
#[derive(Debug, Clone)]
pub struct Rule {
    /// How the candidates are ordered.
    pub strategy: Strategy,
    /// Platforms of which an image must serve at least one. Empty: any.
    pub platforms: Vec<Platform>,
    /// Whether a choice may be lower than what the destination holds.
    pub allow_downgrade: bool,
    /// What is written.
    pub pin: Pin,
}
