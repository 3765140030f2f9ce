//! Which candidates pass a rule, and what becomes of those that do not.

use jiff::Timestamp;

use crate::model::{Allow, Candidate, Counts, Details, Ignore, Known, Listing, Reason, Rule, Strategy, Tag};

use super::age::{Age, age};
use super::order::{Context, Entry, Key, key, part};
use super::{calver, newest_build, numeric, semver as versions};

/// Why a candidate is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// A signature or attestation, by its tag.
    Artefact,
    /// Asked, and no image.
    NotAnImage,
    NotAllowed,
    /// By the entry of the ignore list with this index.
    Ignored(usize),
    NotAVersion,
    Outside,
    PreRelease,
    NotFollowed,
    WrongPlatform,
    NoBuildDate,
    /// Its details are needed and not there yet.
    Unread,
    /// Until when, where that is known.
    TooYoung(Option<Timestamp>),
    /// Not above a version that a person took back.
    TakenBack,
}

/// What is left of a listing.
#[derive(Debug, Default)]
pub(super) struct Survey<'a> {
    pub counts: Counts,
    /// How many that passed, or only wait, are higher than what is in place.
    pub above: usize,
    /// The highest that passed, and the one below it.
    pub best: Option<Entry<'a>>,
    pub second: Option<Entry<'a>>,
    /// The present version, if it passed.
    pub current: Option<Entry<'a>>,
    /// The highest that only waits.
    pub held: Option<(Entry<'a>, Loss)>,
    /// Those that cannot be placed before their details are known.
    pub unread: Vec<&'a Tag>,
}

/// Sorts the candidates out. Keeps the few that matter; nothing is stored for those that lose.
pub(super) fn survey<'a>(context: &Context<'a>, listing: &'a Listing) -> Survey<'a> {
    let mut survey = Survey::default();
    survey.counts.listed = listing.candidates.len();
    for candidate in &listing.candidates {
        match sift(context, candidate) {
            Ok(entry) => {
                survey.counts.eligible += 1;
                survey.above += usize::from(context.is_higher(&entry));
                if context.is_current(&candidate.tag) {
                    survey.current = Some(entry.clone());
                }
                survey.keep(entry);
            }
            Err((loss, entry)) => {
                survey.count(loss);
                if loss == Loss::Unread {
                    survey.unread.push(&candidate.tag);
                }
                if let Some(entry) = entry {
                    survey.above += usize::from(context.is_higher(&entry));
                    survey.hold(entry, loss);
                }
            }
        }
    }
    survey
}

/// The candidate's place in the order, or why it has none. What only waits comes with its place.
pub(super) fn sift<'a>(
    context: &Context<'a>,
    candidate: &'a Candidate,
) -> Result<Entry<'a>, (Loss, Option<Entry<'a>>)> {
    let entry = read(context, candidate).map_err(|loss| (loss, None))?;
    match waits(context, &entry) {
        None => Ok(entry),
        Some(loss) => Err((loss, Some(entry))),
    }
}

fn read<'a>(context: &Context<'_>, candidate: &'a Candidate) -> Result<Entry<'a>, Loss> {
    let (rule, tag) = (context.rule, &candidate.tag);
    if is_artefact(tag.as_str()) {
        return Err(Loss::Artefact);
    }
    let part = match &rule.allow {
        Allow::Matching(pattern) if !pattern.matches(tag.as_str()) => return Err(Loss::NotAllowed),
        allow => part(allow, tag).ok_or(Loss::NotAllowed)?,
    };
    // Filters by the name come before anything that needs details.
    let details = Some(&candidate.details);
    let placed = if rule.strategy == Strategy::NewestBuild {
        ignored(rule, tag, None)?;
        versions::fit_text(&rule.constraint, part)?;
        key(rule, part, tag, details, context.places)
    } else {
        let placed = key(rule, part, tag, details, context.places);
        ignored(rule, tag, placed.as_ref().ok().map(|(key, _)| key))?;
        placed
    };
    let (key, specificity) = match (placed, &candidate.details) {
        (Err(Loss::NoBuildDate), Details::Known(known)) => {
            platform(rule, known)?;
            return Err(Loss::NoBuildDate);
        }
        (placed, _) => placed?,
    };
    match &key {
        Key::Version(version) => versions::fit(&rule.constraint, version)?,
        Key::Text(text) => versions::fit_text(&rule.constraint, text)?,
        Key::Calendar(version) => calver::fit(&rule.constraint, *version)?,
        Key::Number(number) => numeric::fit(&rule.constraint, *number)?,
        Key::Built(_) | Key::Place(_) | Key::Followed => {}
    }
    match &candidate.details {
        Details::NotAnImage(_) => return Err(Loss::NotAnImage),
        Details::Known(known) if rule.needs_details() => platform(rule, known)?,
        Details::Known(_) | Details::Unknown => {}
    }
    Ok(Entry { key, specificity, candidate })
}

/// What is in place never waits. An image pushed anew under the present tag does: its digest tells, once it is known.
fn waits(context: &Context<'_>, entry: &Entry<'_>) -> Option<Loss> {
    let may_be_in_place = context.is_current(&entry.candidate.tag) && entry.candidate.details == Details::Unknown;
    if context.holds(entry) || may_be_in_place {
        return None;
    }
    if context.is_taken_back(entry) {
        return Some(Loss::TakenBack);
    }
    match &entry.candidate.details {
        Details::Known(known) => match age(context.rule, known, context.situation.now) {
            Age::OldEnough => None,
            Age::TooYoung(until) => Some(Loss::TooYoung(until)),
        },
        Details::Unknown | Details::NotAnImage(_) => None,
    }
}

fn ignored(rule: &Rule, tag: &Tag, key: Option<&Key<'_>>) -> Result<(), Loss> {
    let version = match key {
        Some(Key::Version(version)) => Some(version),
        _ => None,
    };
    let hit = rule.ignore.iter().position(|ignore| match ignore {
        Ignore::Glob(glob) => glob.matches(tag.as_str()),
        Ignore::Under(partial, text) => text == tag.as_str() || version.is_some_and(|version| partial.covers(version)),
        Ignore::Versions(range) => version.is_some_and(|version| range.covers(version)),
    });
    hit.map_or(Ok(()), |index| Err(Loss::Ignored(index)))
}

/// An image that does not say what it was built for is taken to serve everybody.
fn platform(rule: &Rule, known: &Known) -> Result<(), Loss> {
    let serves = known.builds.iter().any(|(offered, _)| newest_build::serves(&rule.platforms, offered));
    if serves || known.builds.is_empty() { Ok(()) } else { Err(Loss::WrongPlatform) }
}

/// Whether a tag is one that cosign makes beside an image: `sha256-<64 hex>`, with `.sig`, `.att` or `.sbom`.
fn is_artefact(tag: &str) -> bool {
    tag.strip_prefix("sha256-").is_some_and(|rest| {
        let (hex, suffix) = rest.split_once('.').unwrap_or((rest, ""));
        hex.len() == 64
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && matches!(suffix, "" | "sig" | "att" | "sbom")
    })
}

impl<'a> Survey<'a> {
    /// The highest that passed beside `choice`.
    pub fn runner_up(&self, choice: &Tag) -> Option<&'a Tag> {
        let others = [&self.best, &self.second].into_iter().flatten();
        others.map(|entry| &entry.candidate.tag).find(|tag| *tag != choice)
    }

    fn keep(&mut self, entry: Entry<'a>) {
        if self.best.as_ref().is_none_or(|best| entry.rank(best).is_gt()) {
            self.second = self.best.replace(entry);
        } else if self.second.as_ref().is_none_or(|second| entry.rank(second).is_gt()) {
            self.second = Some(entry);
        }
    }

    fn hold(&mut self, entry: Entry<'a>, loss: Loss) {
        if self.held.as_ref().is_none_or(|(held, _)| entry.rank(held).is_gt()) {
            self.held = Some((entry, loss));
        }
    }

    fn count(&mut self, loss: Loss) {
        let counts = &mut self.counts;
        let place = match loss {
            Loss::NotAllowed => &mut counts.not_allowed,
            Loss::Ignored(_) => &mut counts.ignored,
            Loss::Artefact | Loss::NotAnImage | Loss::NotAVersion | Loss::NotFollowed | Loss::NoBuildDate => {
                &mut counts.unusable
            }
            Loss::Outside | Loss::PreRelease => &mut counts.outside,
            Loss::WrongPlatform => &mut counts.wrong_platform,
            Loss::TooYoung(_) | Loss::TakenBack => &mut counts.held,
            Loss::Unread => &mut counts.eligible,
        };
        *place += 1;
    }
}

impl Loss {
    /// The word for it. What waits for its details has no build date yet.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Artefact | Self::NotAnImage => Reason::NotAnImage,
            Self::NotAllowed => Reason::NotAllowed,
            Self::Ignored(_) => Reason::Ignored,
            Self::NotAVersion => Reason::NotAVersion,
            Self::Outside => Reason::OutsideConstraint,
            Self::PreRelease => Reason::PreRelease,
            Self::NotFollowed => Reason::NotTheFollowedTag,
            Self::WrongPlatform => Reason::WrongPlatform,
            Self::NoBuildDate | Self::Unread => Reason::NoBuildDate,
            Self::TooYoung(_) => Reason::TooYoung,
            Self::TakenBack => Reason::RolledBackByHand,
        }
    }
}
