//! What a registry offers.

use jiff::Timestamp;

use super::{Digest, Platform, Tag};

/// All tags of one repository, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// One entry a tag, in any order, no tag twice.
    pub candidates: Vec<Candidate>,
    /// Why the list may lack tags. A listing with a reason here may be shown, never acted on.
    pub incomplete: Option<String>,
}

/// A tag that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The tag's text, as the registry spells it.
    pub tag: Tag,
    /// What is known of the image behind it.
    pub details: Details,
}

/// What is known of the image behind a tag.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Details {
    /// Not asked yet.
    #[default]
    Unknown,
    /// Asked and answered.
    Known(Known),
    /// Asked and answered with something that is no runnable image (a chart, a signature, a broken config). The text says what.
    NotAnImage(String),
}

/// The facts about the image behind a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Digest of what the tag points at; of the index for a multi-platform image.
    pub digest: Digest,
    /// Build dates by platform, as the image configurations state them. A single-platform image has one entry.
    /// Entries that are no platform (attestations) are left out.
    pub builds: Vec<(Platform, Option<Timestamp>)>,
    /// When the tag was pushed, where a registry tells.
    pub pushed: Option<Timestamp>,
    /// When Fairlead itself first saw this digest.
    pub first_seen: Option<Timestamp>,
}

impl Listing {
    /// A complete listing of `tags` of which nothing else is known.
    pub fn of_tags(tags: impl IntoIterator<Item = Tag>) -> Self {
        let candidates = tags.into_iter().map(|tag| Candidate { tag, details: Details::Unknown }).collect();
        Self { candidates, incomplete: None }
    }
}
