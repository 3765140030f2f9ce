//! Stay, move, hold, or ask: what becomes of the highest candidate.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Choice, Closed, Decision, Details, Listing, Outcome, Reason, Strategy, Tag};

use super::order::{Anchor, Context, Entry, digest_of};
use super::sieve::{Loss, Survey};

pub(super) fn decide(context: &Context<'_>, listing: &Listing, survey: &Survey<'_>) -> Decision {
    let (outcome, note) = outcome(context, listing, survey);
    let choice = match &outcome {
        Outcome::Move(choice) | Outcome::Stay(choice) | Outcome::Hold { choice, .. } => Some(&choice.tag),
        Outcome::Nothing { .. } | Outcome::Undecided { .. } | Outcome::NeedDetails(_) => None,
    };
    let runner_up = choice.and_then(|tag| survey.runner_up(tag)).cloned();
    Decision { outcome, runner_up, counts: survey.counts, above: survey.above, note }
}

/// The candidate that the rule picks: the highest, or the present one where that is the same version in other words.
pub(super) fn winner<'s, 'a>(survey: &'s Survey<'a>) -> Option<&'s Entry<'a>> {
    let best = survey.best.as_ref()?;
    Some(survey.current.as_ref().filter(|current| current.is_same_version(best)).unwrap_or(best))
}

fn outcome(context: &Context<'_>, listing: &Listing, survey: &Survey<'_>) -> (Outcome, Option<String>) {
    if let Some(cause) = &listing.incomplete {
        let message = format!("the list of tags is not complete: {cause}; nothing is decided");
        return (Outcome::Undecided { reason: Reason::IncompleteList, message }, None);
    }
    if listing.candidates.is_empty() {
        let message = "the repository has no tags".to_owned();
        return (Outcome::Nothing { reason: Reason::NoTags, message }, None);
    }
    let unplaced = unplaced(context, survey);
    if !unplaced.is_empty() {
        return (Outcome::NeedDetails(unplaced), None);
    }
    match (winner(survey), &survey.held) {
        (Some(entry), held) => place(context, entry, held.as_ref()),
        (None, Some((entry, loss))) => (hold(context, entry, *loss), None),
        (None, None) => (Outcome::Nothing { reason: Reason::NoTagAllowed, message: nobody(survey) }, None),
    }
}

/// The tags without which candidates cannot be ordered: under `NewestBuild` all that pass by name, and what is in place,
/// unless the registry's list tells the order.
fn unplaced(context: &Context<'_>, survey: &Survey<'_>) -> Vec<Tag> {
    let anybody = survey.best.is_some() || survey.held.is_some() || !survey.unread.is_empty();
    if context.rule.strategy != Strategy::NewestBuild || context.places.is_some() || !anybody {
        return Vec::new();
    }
    let anchors = [&context.current, &context.taken_back].into_iter().flatten().filter_map(|anchor| anchor.listed);
    let unknown = anchors.filter(|candidate| candidate.details == Details::Unknown).map(|candidate| &candidate.tag);
    let mut tags: Vec<Tag> = survey.unread.iter().copied().chain(unknown).cloned().collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn place(context: &Context<'_>, entry: &Entry<'_>, held: Option<&(Entry<'_>, Loss)>) -> (Outcome, Option<String>) {
    if context.is_lower(entry) {
        if let Some((above, loss)) = held.filter(|(held, _)| !context.is_lower(held)) {
            return (hold(context, above, *loss), None);
        }
        if !context.rule.allow_downgrade {
            return (backwards(context, entry), None);
        }
    }
    if lacks_details(context, entry) {
        return (Outcome::NeedDetails(vec![entry.candidate.tag.clone()]), None);
    }
    let above = held.filter(|(held, _)| held.key > entry.key);
    match (context.holds(entry), above) {
        (true, Some((above, loss))) => (hold(context, above, *loss), None),
        (true, None) => (Outcome::Stay(choice(context, entry)), None),
        (false, above) => {
            let waiting = above.map(|(above, loss)| waiting(context, above, *loss).message);
            let note = [uncompared(context, entry), waiting].into_iter().flatten().reduce(|one, two| one + "; " + &two);
            (move_or_wait(context, choice(context, entry)), note)
        }
    }
}

/// Whether the entry's digest, age or platforms must be known before it is taken.
fn lacks_details(context: &Context<'_>, entry: &Entry<'_>) -> bool {
    let young = context.rule.minimum_age.is_some() && !context.is_current(&entry.candidate.tag);
    let unfit = context.rule.strategy == Strategy::NewestBuild && !context.rule.platforms.is_empty();
    entry.candidate.details == Details::Unknown && (context.rule.needs_digest() || young || unfit)
}

fn choice(context: &Context<'_>, entry: &Entry<'_>) -> Choice {
    let digest = digest_of(entry.candidate).filter(|_| context.rule.needs_digest()).cloned();
    Choice { tag: entry.candidate.tag.clone(), digest }
}

fn move_or_wait(context: &Context<'_>, choice: Choice) -> Outcome {
    match &context.situation.closed {
        None => Outcome::Move(choice),
        Some(Closed { reason, message, until }) => {
            Outcome::Hold { choice, reason: *reason, message: message.clone(), until: *until }
        }
    }
}

fn hold(context: &Context<'_>, entry: &Entry<'_>, loss: Loss) -> Outcome {
    if context.is_lower(entry) && !context.rule.allow_downgrade {
        return backwards(context, entry);
    }
    let Waiting { reason, message, until } = waiting(context, entry, loss);
    Outcome::Hold { choice: choice(context, entry), reason, message, until }
}

fn backwards(context: &Context<'_>, entry: &Entry<'_>) -> Outcome {
    let current = context.current.as_ref().and_then(|current| current.tag).map_or("the present one", Tag::as_str);
    let message = format!(
        "`{}` is lower than `{current}`, which is in place; `allowDowngrade: true` lets it pass",
        entry.candidate.tag
    );
    Outcome::Hold { choice: choice(context, entry), reason: Reason::WouldGoBackwards, message, until: None }
}

/// Why a candidate waits, and for how long.
pub(super) struct Waiting {
    reason: Reason,
    pub message: String,
    until: Option<Timestamp>,
}

pub(super) fn waiting(context: &Context<'_>, entry: &Entry<'_>, loss: Loss) -> Waiting {
    let tag = &entry.candidate.tag;
    let until = if let Loss::TooYoung(until) = loss { until } else { None };
    let message = match (loss, &context.taken_back) {
        (Loss::TakenBack, Some(Anchor { tag: Some(taken), .. })) if *taken != tag => {
            format!("`{tag}` is not newer than `{taken}`, which was taken back by hand")
        }
        (Loss::TakenBack, _) => format!("`{tag}` was taken back by hand; it is held until something newer appears"),
        _ => {
            let age = context.rule.minimum_age.and_then(|age| SignedDuration::try_from(age).ok()).unwrap_or_default();
            match until {
                Some(until) => format!("`{tag}` is younger than {age:#}; it may be taken from {until} on"),
                None => format!("`{tag}` must be older than {age:#}, and nothing says how old it is"),
            }
        }
    };
    Waiting { reason: loss.reason(), message, until }
}

/// What to say when the present version has no place in the order.
fn uncompared(context: &Context<'_>, entry: &Entry<'_>) -> Option<String> {
    let current = context.current.as_ref().filter(|current| current.key.is_none())?;
    let strategy = context.rule.strategy;
    let tag = &entry.candidate.tag;
    Some(match current.tag {
        Some(current) => {
            format!("`{current}` has no place in the order of {strategy}; `{tag}` is taken without a comparison")
        }
        None => format!("no listed tag is known to have the present digest; `{tag}` is taken without a comparison"),
    })
}

fn nobody(survey: &Survey<'_>) -> String {
    let counts = survey.counts;
    let parts = [
        (counts.not_allowed, "not allowed"),
        (counts.ignored, "ignored"),
        (counts.unusable, "not usable under the strategy"),
        (counts.outside, "outside of the constraint"),
        (counts.wrong_platform, "for other platforms"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let tags = if counts.listed == 1 { "tag" } else { "tags" };
    format!("none of {} {tags} passes the rule: {}", counts.listed, parts.collect::<Vec<_>>().join(", "))
}
