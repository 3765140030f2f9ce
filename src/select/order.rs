//! The order of candidates, and what stands in it already: the present version and one that was taken back.

use std::cmp::Ordering;
use std::collections::HashMap;

use jiff::Timestamp;
use semver::Version;

use crate::model::{
    Allow, CalendarVersion, Candidate, Current, Details, Digest, Listing, Number, Pin, Rule, Situation, Strategy, Tag,
};

use super::sieve::Loss;
use super::{alphabetical, calver, digest, newest_build, numeric, semver as versions};

/// What a strategy compares. Keys of one rule are all of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Version(Version),
    Built(Timestamp),
    Place(usize),
    Text(&'a str),
    Followed,
    Calendar(CalendarVersion),
    Number(Number),
}

/// A candidate in the order.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub key: Key<'a>,
    /// How much of the version was written: of `1.2` and `1.2.0` the longer goes first.
    pub specificity: u8,
    pub candidate: &'a Candidate,
}

/// A version that candidates are compared with.
#[derive(Debug)]
pub(super) struct Anchor<'a> {
    pub tag: Option<&'a Tag>,
    /// Its place in the order; `None` when the rule cannot read it.
    pub key: Option<Key<'a>>,
    pub listed: Option<&'a Candidate>,
}

/// All that a decision depends on beside the candidates.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub rule: &'a Rule,
    pub situation: &'a Situation,
    /// The order of builds, where the registry's list tells it.
    pub places: Option<&'a HashMap<Tag, usize>>,
    pub current: Option<Anchor<'a>>,
    pub taken_back: Option<Anchor<'a>>,
}

impl<'a> Context<'a> {
    pub fn new(rule: &'a Rule, listing: &'a Listing, situation: &'a Situation) -> Self {
        let places = listing.places.as_deref();
        let current = situation.current.as_ref().map(|Current { tag, digest }| {
            let listed = match (tag, digest) {
                (Some(tag), _) => find(listing, |candidate| candidate.tag == *tag),
                (None, Some(digest)) => find(listing, |candidate| digest_of(candidate) == Some(digest)),
                (None, None) => None,
            };
            Anchor::new(rule, tag.as_ref().or(listed.map(|candidate| &candidate.tag)), listed, places)
        });
        let taken_back = situation.taken_back.as_ref().map(|tag| {
            let listed = find(listing, |candidate| candidate.tag == *tag);
            Anchor::new(rule, Some(tag), listed, places)
        });
        Self { rule, situation, places, current, taken_back }
    }

    /// Whether the destination holds this tag.
    pub fn is_current(&self, tag: &Tag) -> bool {
        self.current.as_ref().is_some_and(|current| current.tag == Some(tag))
    }

    /// Whether `entry` is lower than what the destination holds. What cannot be compared is not lower.
    pub fn is_lower(&self, entry: &Entry<'_>) -> bool {
        self.current.as_ref().and_then(|current| current.key.as_ref()).is_some_and(|current| entry.key < *current)
    }

    /// Whether `entry` is higher than what the destination holds. What cannot be compared is not higher.
    pub fn is_higher(&self, entry: &Entry<'_>) -> bool {
        self.current.as_ref().and_then(|current| current.key.as_ref()).is_some_and(|current| entry.key > *current)
    }

    /// Whether `entry` is not above a version that a person took back.
    pub fn is_taken_back(&self, entry: &Entry<'_>) -> bool {
        self.taken_back.as_ref().is_some_and(|taken| {
            taken.tag == Some(&entry.candidate.tag) || taken.key.as_ref().is_some_and(|key| entry.key <= *key)
        })
    }

    /// Whether the destination holds `entry` in the form that the rule writes.
    pub fn holds(&self, entry: &Entry<'_>) -> bool {
        let Some(current) = &self.situation.current else { return false };
        let tag = current.tag.as_ref() == Some(&entry.candidate.tag);
        let digest = current.digest.is_some() && current.digest.as_ref() == digest_of(entry.candidate);
        match written_form(self.rule) {
            Pin::Tag => tag,
            Pin::Digest => digest,
            Pin::TagAndDigest => tag && digest,
        }
    }
}

/// Whether `one` is lower than `other`. What has no place in the order is not.
pub(super) fn is_lower(rule: &Rule, listing: &Listing, one: &Tag, other: &Tag) -> bool {
    let places = listing.places.as_deref();
    let key = |tag| Anchor::new(rule, Some(tag), find(listing, |candidate| candidate.tag == *tag), places).key;
    matches!((key(one), key(other)), (Some(one), Some(other)) if one < other)
}

impl<'a> Anchor<'a> {
    fn new(
        rule: &'a Rule,
        tag: Option<&'a Tag>,
        listed: Option<&'a Candidate>,
        places: Option<&HashMap<Tag, usize>>,
    ) -> Self {
        let key = tag.and_then(|tag| {
            let part = part(&rule.allow, tag)?;
            key(rule, part, tag, listed.map(|candidate| &candidate.details), places).ok()
        });
        Self { tag, key: key.map(|(key, _)| key), listed }
    }
}

impl Entry<'_> {
    /// The total order of candidates: version, then how much of it was written, then bytes.
    pub fn rank(&self, other: &Self) -> Ordering {
        self.key
            .cmp(&other.key)
            .then(self.specificity.cmp(&other.specificity))
            .then_with(|| self.candidate.tag.cmp(&other.candidate.tag))
    }

    /// Whether both are one version by the rule's own order. Of equal build dates only those of one image are.
    pub fn is_same_version(&self, other: &Self) -> bool {
        let built = matches!(self.key, Key::Built(_));
        self.key == other.key && (!built || digest_of(self.candidate) == digest_of(other.candidate))
    }
}

/// The part of a tag that is compared: all of it, or what the rule extracts. `None`: not allowed.
pub(super) fn part<'a>(allow: &Allow, tag: &'a Tag) -> Option<&'a str> {
    match allow {
        Allow::Any | Allow::Matching(_) => Some(tag.as_str()),
        Allow::Extracting(extractor) => extractor.part(tag.as_str()),
    }
}

/// The place of a tag in the order, without regard to the constraint. Details of `None` are those of an unlisted tag.
pub(super) fn key<'a>(
    rule: &Rule,
    part: &'a str,
    tag: &Tag,
    details: Option<&Details>,
    places: Option<&HashMap<Tag, usize>>,
) -> Result<(Key<'a>, u8), Loss> {
    match rule.strategy {
        Strategy::SemVer => versions::key(part),
        Strategy::NewestBuild => match places {
            Some(places) => newest_build::place(places, tag),
            None => newest_build::key(rule, details.unwrap_or(&Details::Unknown)),
        },
        Strategy::Alphabetical => Ok(alphabetical::key(part)),
        Strategy::Digest => digest::key(rule, tag),
        Strategy::CalVer => calver::key(part),
        Strategy::Numeric => numeric::key(part),
    }
}

/// The form that a rule writes: under `Digest` never the tag alone, for that would never change.
pub(super) fn written_form(rule: &Rule) -> Pin {
    match (rule.strategy, rule.pin) {
        (Strategy::Digest, Pin::Tag) => Pin::TagAndDigest,
        (_, pin) => pin,
    }
}

pub(super) fn digest_of(candidate: &Candidate) -> Option<&Digest> {
    match &candidate.details {
        Details::Known(known) => Some(&known.digest),
        Details::Unknown | Details::NotAnImage(_) => None,
    }
}

fn find(listing: &Listing, fits: impl Fn(&Candidate) -> bool) -> Option<&Candidate> {
    listing.candidates.iter().find(|candidate| fits(candidate))
}
