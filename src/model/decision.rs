//! What a rule makes of the candidates.

use std::fmt;

use jiff::Timestamp;

use super::{Closed, Digest, Pin, Reason, Tag};

/// What selection needs to know beside candidates and rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The time of the decision.
    pub now: Timestamp,
    /// What the destination holds now.
    pub current: Option<Current>,
    /// A version that a person took back; nothing up to it is taken again.
    pub taken_back: Option<Tag>,
    /// Why nothing may be written now; a move becomes a hold with this reason.
    pub closed: Option<Closed>,
}

/// The version that a destination holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The tag, unless the destination holds a digest alone.
    pub tag: Option<Tag>,
    /// The digest, if the destination holds one.
    pub digest: Option<Digest>,
}

/// The candidate that a rule picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its tag.
    pub tag: Tag,
    /// Its digest, where the rule needed it.
    pub digest: Option<Digest>,
}

/// What to do, and the numbers behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub outcome: Outcome,
    /// The second best candidate.
    pub runner_up: Option<Tag>,
    /// How many candidates each filter removed.
    pub counts: Counts,
    /// How many candidates that pass, or only wait, are higher than what is in place; zero where that has no place in the order.
    pub above: usize,
    /// What else a person should know of it: a version that could not be compared, a better one that is still too young.
    pub note: Option<String>,
}

/// What to do about one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination holds something else than the choice: write it.
    Move(Choice),
    /// The destination holds the choice already.
    Stay(Choice),
    /// A better candidate exists, and there is a reason not to move.
    Hold {
        /// What would be written.
        choice: Choice,
        /// Why it is not.
        reason: Reason,
        /// One sentence for people.
        message: String,
        /// When the hold ends, where that is known.
        until: Option<Timestamp>,
    },
    /// No candidate passed the rule.
    Nothing {
        /// Why.
        reason: Reason,
        /// One sentence for people.
        message: String,
    },
    /// The candidates are not complete, so nothing is decided.
    Undecided {
        /// Why.
        reason: Reason,
        /// One sentence for people.
        message: String,
    },
    /// Selection needs the details of these tags; fetch them and ask again.
    NeedDetails(Vec<Tag>),
}

/// How many candidates there were, and where they went. The fields after `listed` add up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tags in the listing.
    pub listed: usize,
    /// Left out by `allowTags`.
    pub not_allowed: usize,
    /// Left out by `ignoreTags`.
    pub ignored: usize,
    /// Not readable under the strategy (no version, no date, no image, not the followed tag).
    pub unusable: usize,
    /// Outside of the constraint, pre-releases among them.
    pub outside: usize,
    /// For none of the wanted platforms.
    pub wrong_platform: usize,
    /// Younger than the minimum age, or held back.
    pub held: usize,
    /// Passed everything.
    pub eligible: usize,
}

/// Why one candidate won or lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The candidate.
    pub tag: Tag,
    /// The word for it; [`Reason::Chosen`] for the winner alone, and the reason of the hold for a winner that is held.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
}

impl Outcome {
    /// What goes before what is in place, whether it may be written now or not.
    pub const fn better(&self) -> Option<&Choice> {
        match self {
            Self::Move(choice) => Some(choice),
            Self::Hold { choice, reason, .. } if !matches!(reason, Reason::WouldGoBackwards) => Some(choice),
            Self::Hold { .. }
            | Self::Stay(_)
            | Self::Nothing { .. }
            | Self::Undecided { .. }
            | Self::NeedDetails(_) => None,
        }
    }
}

impl Choice {
    /// What is written as the version under `pin`: `tag`, `tag@digest` or `digest`; without a known digest the tag alone.
    pub fn written(&self, pin: Pin) -> String {
        match (pin, &self.digest) {
            (Pin::Tag, _) | (_, None) => self.tag.to_string(),
            (Pin::TagAndDigest, Some(digest)) => format!("{}@{digest}", self.tag),
            (Pin::Digest, Some(digest)) => digest.to_string(),
        }
    }
}

impl Situation {
    /// A situation in which nothing is in place, taken back or closed.
    pub const fn new(now: Timestamp) -> Self {
        Self { now, current: None, taken_back: None, closed: None }
    }
}

impl fmt::Display for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => write!(formatter, "{tag}@{digest}"),
            (Some(tag), None) => write!(formatter, "{tag}"),
            (None, Some(digest)) => write!(formatter, "{digest}"),
            (None, None) => formatter.write_str("nothing"),
        }
    }
}
