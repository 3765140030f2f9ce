//! One sentence for every candidate: why it won or lost.

use crate::model::{Allow, Candidate, Constraint, Decision, Details, Listing, Outcome, Reason, Strategy, Tag, Verdict};

use super::decide::{waiting, winner};
use super::order::{Context, Entry, Key};
use super::sieve::{Loss, Survey, sift, survey};

pub(super) fn verdicts(context: &Context<'_>, listing: &Listing, decision: &Decision) -> Vec<Verdict> {
    let survey = survey(context, listing);
    let verdict = |candidate: &Candidate| {
        let (reason, message) = match sift(context, candidate) {
            Ok(entry) => passed(&entry, &survey, decision),
            Err((loss, None)) => (loss.reason(), sentence(context, candidate, loss)),
            Err((loss, Some(entry))) => (loss.reason(), waiting(context, &entry, loss).message),
        };
        Verdict { tag: candidate.tag.clone(), reason, message }
    };
    listing.candidates.iter().map(verdict).collect()
}

fn passed(entry: &Entry<'_>, survey: &Survey<'_>, decision: &Decision) -> (Reason, String) {
    let tag = &entry.candidate.tag;
    let Some(winner) = winner(survey) else { return (Reason::Outranked, format!("`{tag}` is allowed")) };
    let best = &winner.candidate.tag;
    if tag != best {
        let message = if entry.is_same_version(winner) && entry.rank(winner).is_gt() {
            format!("`{tag}` is the same version as `{best}`, which is in place and stays")
        } else if entry.is_same_version(winner) {
            format!("`{tag}` is the same version as `{best}`, which goes first by its text")
        } else {
            beaten(entry, winner)
        };
        return (Reason::Outranked, message);
    }
    let first = first(entry);
    match &decision.outcome {
        Outcome::Undecided { reason, .. } => (*reason, format!("{first} so far, in a list that is not complete")),
        Outcome::NeedDetails(_) => (Reason::Chosen, format!("{first} so far; its details are not known yet")),
        Outcome::Hold { reason, message, choice, .. } if choice.tag == *tag => {
            (*reason, format!("{first} that passes the rule, but held: {message}"))
        }
        Outcome::Move(_) | Outcome::Stay(_) | Outcome::Hold { .. } | Outcome::Nothing { .. } => {
            (Reason::Chosen, format!("{first} that passes the rule"))
        }
    }
}

/// What the order of the rule makes of the winner.
const fn first(winner: &Entry<'_>) -> &'static str {
    match winner.key {
        Key::Built(_) | Key::Place(_) => "the newest build",
        Key::Version(_) | Key::Text(_) | Key::Followed | Key::Calendar(_) | Key::Number(_) => "the highest",
    }
}

/// Why `winner` goes before `entry`.
fn beaten(entry: &Entry<'_>, winner: &Entry<'_>) -> String {
    let best = &winner.candidate.tag;
    match (&entry.key, &winner.key) {
        (Key::Built(one), Key::Built(other)) if one == other => {
            format!("`{best}` was built at the same moment, and goes first by its text")
        }
        (Key::Built(_), Key::Built(_)) => format!("`{best}` was built later"),
        (Key::Place(_), Key::Place(_)) => format!("`{best}` is newer by the order of the registry's list"),
        _ => format!("`{best}` is higher"),
    }
}

fn sentence(context: &Context<'_>, candidate: &Candidate, loss: Loss) -> String {
    let (rule, tag) = (context.rule, &candidate.tag);
    match loss {
        Loss::Artefact => format!("`{tag}` is a signature or an attestation, by its name"),
        Loss::NotAnImage => match &candidate.details {
            Details::NotAnImage(what) => format!("`{tag}` holds no runnable image: {what}"),
            Details::Known(_) | Details::Unknown => format!("`{tag}` holds no runnable image"),
        },
        Loss::NotAllowed => match &rule.allow {
            Allow::Matching(pattern) => format!("`{}` finds nothing in `{tag}`", pattern.as_str()),
            Allow::Extracting(extractor) => format!("`{}` extracts nothing from `{tag}`", extractor.as_str()),
            Allow::Any => format!("`{tag}` is not allowed"),
        },
        Loss::Ignored(index) => match rule.ignore.get(index) {
            Some(ignore) => format!("`{ignore}` leaves out `{tag}`"),
            None => format!("`{tag}` is left out"),
        },
        Loss::NotAVersion => not_a_version(rule.strategy, tag),
        Loss::Outside => format!("`{tag}` is outside of `{}`", rule.constraint),
        Loss::PreRelease => pre_release(&rule.constraint, tag),
        Loss::NotFollowed => format!("`{tag}` is not `{}`, the tag that is followed", rule.constraint),
        Loss::WrongPlatform => {
            let wanted: Vec<String> = rule.platforms.iter().map(ToString::to_string).collect();
            format!("`{tag}` is not built for {}", wanted.join(" or "))
        }
        Loss::NoBuildDate => format!("the image of `{tag}` states no build date"),
        Loss::Unread => format!("the build date of `{tag}` is not known yet"),
        Loss::TooYoung(_) => format!("`{tag}` is too young"),
        Loss::TakenBack => format!("`{tag}` was taken back by hand"),
    }
}

fn not_a_version(strategy: Strategy, tag: &Tag) -> String {
    let kind = match strategy {
        Strategy::CalVer => "calendar version",
        Strategy::Numeric => "build number",
        Strategy::SemVer | Strategy::NewestBuild | Strategy::Alphabetical | Strategy::Digest => "semantic version",
    };
    format!("`{tag}` is not a {kind}")
}

fn pre_release(constraint: &Constraint, tag: &Tag) -> String {
    format!("`{tag}` is a pre-release, which `{constraint}` does not ask for; a bound that ends in `-0` does")
}
