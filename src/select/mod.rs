//! Candidates and a rule → a decision, and a verdict for every candidate.
//!
//! ```text
//!  listing ─► sieve: names, versions, details ─► order: one strategy a file ─► decide: stay, move, hold
//! ```
//!
//! # Guarantees
//! * The order in which a registry lists tags never matters, unless its configuration says so: every strategy orders candidates totally, by version, then by
//!   how much of it was written, then by bytes.
//! * A candidate that loses changes nothing by being there.
//! * An incomplete listing decides nothing. A lower version than the present one is not taken unless the rule allows it.
//! * Tags of equal version never alternate: what is in place stays.
//!
//! # Caveats
//! Selection knows no clock and asks nobody. Where it needs digests or dates it says for which tags
//! ([`NeedDetails`](crate::model::Outcome::NeedDetails)); the caller adds them to the candidates and asks again. It never names a tag whose
//! details are there, so this ends when the caller answers for each.

mod age;
mod alphabetical;
mod calver;
mod decide;
mod digest;
mod newest_build;
mod numeric;
mod order;
mod schedule;
mod semver;
mod sieve;
mod sync_window;
mod verdict;

use crate::model::{Decision, Listing, Rule, Situation, Tag, Verdict};

pub use schedule::closed;
pub use sync_window::forbidding;

/// What `rule` makes of the candidates in a situation.
pub fn select(rule: &Rule, listing: &Listing, situation: &Situation) -> Decision {
    let context = order::Context::new(rule, listing, situation);
    let survey = sieve::survey(&context, listing);
    decide::decide(&context, listing, &survey)
}

/// Why each candidate won or lost, in the order of the listing.
pub fn verdicts(rule: &Rule, listing: &Listing, situation: &Situation) -> Vec<Verdict> {
    let context = order::Context::new(rule, listing, situation);
    let survey = sieve::survey(&context, listing);
    let decision = decide::decide(&context, listing, &survey);
    verdict::verdicts(&context, listing, &decision)
}

/// Whether `one` is lower than `other` by the rule's own order. What cannot be compared is not.
pub fn is_lower(rule: &Rule, listing: &Listing, one: &Tag, other: &Tag) -> bool {
    order::is_lower(rule, listing, one, other)
}
