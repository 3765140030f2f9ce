//! What a registry offers.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Digest, Platform, Tag, TagOrder};

/// All tags of one repository, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// One entry a tag, in any order, no tag twice.
    pub candidates: Vec<Candidate>,
    /// Why the list may lack tags. A listing with a reason here may be shown, never acted on.
    pub incomplete: Option<String>,
    /// Where the registry is trusted to list tags in the order of their builds: the place of each, the newest the highest.
    pub places: Option<Arc<HashMap<Tag, usize>>>,
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
        Self { candidates, incomplete: None, places: None }
    }

    /// The same listing, where the order of its candidates says this of their builds.
    #[must_use]
    pub fn in_order(mut self, order: TagOrder) -> Self {
        let count = self.candidates.len();
        let place = |index: usize| match order {
            TagOrder::None => None,
            TagOrder::LatestFirst => Some(count - 1 - index),
            TagOrder::LatestLast => Some(index),
        };
        let tags = self.candidates.iter().map(|candidate| candidate.tag.clone()).enumerate();
        let places: Option<HashMap<_, _>> = tags.map(|(index, tag)| Some((tag, place(index)?))).collect();
        self.places = places.filter(|_| order != TagOrder::None).map(Arc::new);
        self
    }
}
