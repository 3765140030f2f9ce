//! The options that say a rule, alike for every command that takes one.

/// A rule, as far as options say it.
#[derive(Debug, clap::Args)]
pub(super) struct RuleArgs {
    /// How tags are ordered
    #[arg(
        long,
        value_name = "STRATEGY",
        help = "How tags are ordered: SemVer, NewestBuild, Alphabetical, Digest, CalVer, Numeric [default: SemVer]"
    )]
    pub(super) strategy: Option<String>,
    /// Which versions are allowed, for example '~1.2' or '>=1.2 <2'; under Digest the tag to follow
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(super) constraint: Option<String>,
    /// Which tags are looked at: a regular expression, or any
    #[arg(long, value_name = "REGEX")]
    pub(super) allow_tags: Option<String>,
    /// Tags that are never taken: a glob, a version or a range; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(super) ignore_tags: Vec<String>,
    /// Platforms of which an image must serve one; may be repeated
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    pub(super) platforms: Vec<String>,
}
