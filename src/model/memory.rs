//! What is remembered from one look to the next.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Digest, Rollout, Shadow};

/// What is remembered of a policy. A look that could not see everything forgets nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What was written to each place.
    pub places: BTreeMap<Mark, Remembered>,
    /// Which digests are known, by title and repository of the image; for rules with a minimum age.
    pub watches: BTreeMap<(String, String), Watch>,
    /// The value of `fairlead.dev/resume` on the policy that was acted on last.
    pub resumed: Option<String>,
    /// Images, by Application and title, that this value speaks of, and whose place could not be looked at since.
    pub unresumed: BTreeSet<(String, String)>,
}

/// A place in an Application, told from all others: another object of the same name, another repository in the same place, and
/// another place for the same image have other marks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The Application's name.
    pub application: String,
    /// A fingerprint of the Application's uid, the repository and the place: 12 hexadecimal digits.
    pub place: String,
}

/// What is remembered of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The version that Fairlead wrote last, with its digest where one was written.
    pub written: Option<String>,
    /// A version that a person took back, and when that was noticed.
    pub held_back: Option<(String, Timestamp)>,
    /// The value of `fairlead.dev/resume` on the Application that was acted on last.
    pub resumed: Option<String>,
    /// Whether a person asked to offer what was refused again, and it could not be offered yet.
    pub lifted: bool,
    /// How far that version has come, until it is in place and healthy.
    pub rollout: Option<Rollout>,
    /// The version that Fairlead committed to a branch that waits to be merged.
    pub proposed: Option<String>,
    /// In a dry run: how the choices compare with what others write.
    pub shadow: Option<Shadow>,
}

/// Which digests of an image are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// When Fairlead first looked. What was there then counts by its build date; what comes later, from when it is first seen.
    pub since: Timestamp,
    /// Digests that have reached the minimum age: the first 16 hexadecimal digits of each.
    pub old: BTreeSet<String>,
    /// Digests that have not, and when each was first seen.
    pub young: BTreeMap<Digest, Timestamp>,
}
