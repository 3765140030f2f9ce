//! What is remembered of one repository under one login, and the decisions on it. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::pages::{Found, KnownPage};
use crate::model::{Digest, Listing, Tag};

/// A list this long does not shrink to less than half in a moment without a doubt.
const DOUBT_FROM: usize = 20;
/// How many known tags one look resolves again where build dates are asked for.
pub(super) const RECHECKS_PER_LOOK: usize = 20;

/// How long a registry is believed that its list is the same without sending it.
const BELIEVED_UNSEEN: SignedDuration = SignedDuration::from_hours(1);

/// The memory of a repository.
#[derive(Default)]
pub(super) struct Memory {
    listing: Option<(Arc<Listing>, Timestamp)>,
    /// The pages that it stood on, where it came to a proper end.
    pages: Vec<Arc<KnownPage>>,
    /// When they were last all sent.
    sent: Timestamp,
    /// How many tags the last list had that was believed.
    believed: Option<usize>,
    /// A list that was not believed, for the next look to confirm.
    doubted: Option<HashSet<Tag>>,
    resolutions: HashMap<Tag, Resolution>,
}

/// What a tag pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolution {
    pub(super) digest: Digest,
    at: Timestamp,
    /// When it was last resolved although it was known.
    rechecked: Option<Timestamp>,
}

impl Memory {
    /// The list, if it is no older than a time.
    pub(super) fn listing(&self, fresh_since: Timestamp) -> Option<Arc<Listing>> {
        self.listing.as_ref().filter(|(_, at)| *at >= fresh_since).map(|(listing, _)| Arc::clone(listing))
    }

    /// The pages of the list, to compare those of a look that begins now with; and whether the registry is believed when it
    /// says that one is the same. One that says so without end may be mistaken, or a cache before it.
    pub(super) fn pages(&self, now: Timestamp) -> (Vec<Arc<KnownPage>>, bool) {
        (self.pages.clone(), now.duration_since(self.sent) < BELIEVED_UNSEEN)
    }

    /// Takes in what a look found that was begun at a time. `sent`: whether the registry had to send all that it found.
    pub(super) fn remember(&mut self, found: Found, at: Timestamp, sent: bool) -> Arc<Listing> {
        if sent {
            self.sent = at;
        }
        match (found, self.listing.take()) {
            (Found::List(listing, pages), _) => {
                self.pages = pages;
                self.remember_listing(listing, at)
            }
            (Found::Same, Some((listing, _))) if listing.incomplete.is_none() => {
                self.listing = Some((Arc::clone(&listing), at));
                listing
            }
            // It was doubted, and is found again.
            (Found::Same, known) => {
                let listing = known.map(|(listing, _)| (*listing).clone()).unwrap_or_default();
                self.remember_listing(Listing { incomplete: None, ..listing }, at)
            }
        }
    }

    /// Takes in a list that was begun to be fetched at a time.
    ///
    /// One that lost more than half of its tags since the last look is doubted: it counts as incomplete until a later look
    /// finds the same.
    fn remember_listing(&mut self, mut listing: Listing, at: Timestamp) -> Arc<Listing> {
        if listing.incomplete.is_none() {
            let (now, tags) = (listing.candidates.len(), tags_of(&listing));
            match self.believed {
                Some(before) if before >= DOUBT_FROM && now * 2 < before && !self.is_found_again(&tags) => {
                    self.doubted = Some(tags);
                    listing.incomplete = Some(format!(
                        "it had {before} tags at the last look and has {now} now; believed when the next look finds the same"
                    ));
                }
                _ => {
                    self.believed = Some(now);
                    self.doubted = None;
                    self.resolutions.retain(|tag, _| tags.contains(tag));
                }
            }
        }
        let listing = Arc::new(listing);
        self.listing = Some((Arc::clone(&listing), at));
        listing
    }

    /// Whether a list holds, but for a few, the tags of the one that is doubted. Others may have come meanwhile.
    fn is_found_again(&self, tags: &HashSet<Tag>) -> bool {
        self.doubted.as_ref().is_some_and(|doubted| doubted.intersection(tags).count() * 10 >= doubted.len() * 9)
    }

    /// The digest of a tag, if it was resolved no earlier than a time.
    pub(super) fn resolution(&self, tag: &Tag, fresh_since: Timestamp) -> Option<Digest> {
        self.resolutions.get(tag).filter(|resolution| resolution.at >= fresh_since).map(|known| known.digest.clone())
    }

    /// Whether a tag was ever resolved.
    pub(super) fn knows(&self, tag: &Tag) -> bool {
        self.resolutions.contains_key(tag)
    }

    /// Takes in what a tag points at, resolved at a time; `None` when it is gone.
    pub(super) fn remember_resolution(&mut self, tag: &Tag, digest: Option<Digest>, at: Timestamp) {
        match digest {
            None => {
                self.resolutions.remove(tag);
            }
            Some(digest) => {
                let rechecked = self.knows(tag).then_some(at);
                self.resolutions.insert(tag.clone(), Resolution { digest, at, rechecked });
            }
        }
    }

    /// How fresh each of the asked tags has to be, in their order.
    ///
    /// Tags that are not known are resolved, always. Of the known ones, all where digests alone are asked for; where build
    /// dates are, [`RECHECKS_PER_LOOK`] of those asked for, the least recently resolved first. Looks that share a
    /// `fresh_since` share that number.
    pub(super) fn due(&self, tags: &[Tag], fresh_since: Timestamp, dates: bool) -> Vec<Timestamp> {
        if !dates {
            return vec![fresh_since; tags.len()];
        }
        let known = || tags.iter().filter_map(|tag| self.resolutions.get(tag).map(|resolution| (tag, resolution)));
        let done = known().filter(|(_, resolution)| resolution.rechecked.is_some_and(|at| at >= fresh_since)).count();
        let mut stale: Vec<_> = known().filter(|(_, resolution)| resolution.at < fresh_since).collect();
        stale.sort_by(|(left_tag, left), (right_tag, right)| left.at.cmp(&right.at).then(left_tag.cmp(right_tag)));
        let due: HashSet<&Tag> =
            stale.into_iter().take(RECHECKS_PER_LOOK.saturating_sub(done)).map(|(tag, _)| tag).collect();
        tags.iter().map(|tag| if due.contains(tag) { fresh_since } else { Timestamp::MIN }).collect()
    }
}

fn tags_of(listing: &Listing) -> HashSet<Tag> {
    listing.candidates.iter().map(|candidate| candidate.tag.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
    }

    fn tag(number: usize) -> Tag {
        format!("1.{number}").parse().expect("what a test writes is valid")
    }

    fn digest() -> Digest {
        format!("sha256:{}", "0".repeat(64)).parse().expect("what a test writes is valid")
    }

    fn list(memory: &mut Memory, count: usize, second: i64) -> Option<String> {
        memory.remember_listing(Listing::of_tags((0..count).map(tag)), at(second)).incomplete.clone()
    }

    fn due(memory: &Memory, tags: &[Tag], second: i64) -> Vec<Tag> {
        let fresh = memory.due(tags, at(second), true);
        tags.iter().zip(fresh).filter(|(_, fresh)| *fresh == at(second)).map(|(tag, _)| tag.clone()).collect()
    }

    #[test]
    fn a_list_that_loses_most_of_its_tags_is_believed_at_the_second_look() {
        let mut memory = Memory::default();
        assert_eq!(list(&mut memory, 100, 1), None);
        insta::assert_snapshot!(list(&mut memory, 4, 2).unwrap_or_default(), @"it had 100 tags at the last look and has 4 now; believed when the next look finds the same");
        insta::assert_snapshot!(list(&mut memory, 2, 3).unwrap_or_default(), @"it had 100 tags at the last look and has 2 now; believed when the next look finds the same");
        assert_eq!(list(&mut memory, 3, 4), None, "the two are there again, and one that came meanwhile");
        assert_eq!(list(&mut memory, 0, 5), None, "short lists may shrink");
    }

    #[test]
    fn a_list_that_comes_back_clears_the_doubt() {
        let mut memory = Memory::default();
        assert_eq!(list(&mut memory, 100, 1), None);
        assert!(list(&mut memory, 3, 2).is_some());
        assert_eq!(list(&mut memory, 100, 3), None);
        assert!(list(&mut memory, 3, 4).is_some());
        assert_eq!(list(&mut memory, 50, 5), None);
    }

    #[test]
    fn a_list_is_known_no_longer_than_it_is_fresh() {
        let mut memory = Memory::default();
        list(&mut memory, 1, 10);
        assert!(memory.listing(at(10)).is_some() && memory.listing(at(11)).is_none());
    }

    #[test]
    fn known_tags_are_resolved_again_little_by_little_and_the_oldest_first() {
        let mut memory = Memory::default();
        let tags: Vec<Tag> = (0..50).map(tag).collect();
        assert!(due(&memory, &tags, 5).is_empty(), "unknown tags are resolved anyway");
        for (second, tag) in (0..).zip(&tags) {
            memory.remember_resolution(tag, Some(digest()), at(second));
        }
        assert_eq!(due(&memory, &tags, 100), tags[..20].to_vec());
        for tag in &tags[..15] {
            memory.remember_resolution(tag, Some(digest()), at(101));
        }
        assert_eq!(due(&memory, &tags, 100), tags[15..20].to_vec(), "looks at one time share the number");
        assert_eq!(due(&memory, &tags, 102), tags[15..35].to_vec());
        assert_eq!(memory.due(&tags, at(102), false), vec![at(102); 50], "digests alone are all resolved");
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut memory = Memory::default();
        memory.remember_resolution(&tag(0), Some(digest()), at(1));
        memory.remember_resolution(&tag(1), Some(digest()), at(1));
        memory.remember_resolution(&tag(1), None, at(2));
        assert!(memory.knows(&tag(0)) && !memory.knows(&tag(1)));
        list(&mut memory, 0, 3);
        assert!(!memory.knows(&tag(0)));
    }
}
