//! What is to be done about the pull requests of one target. Pure.

use super::marker::Marker;
use super::text::{self, Text};
use crate::model::{
    HeadBranch, PullRequest, PullRequestChange, PullRequestDraft, PullRequestPlan, PullRequestState, Reason,
};

/// Whether the version of a change is newer than one that a person said no to, by the order of the image's rule.
pub type IsNewer<'a> = &'a (dyn Fn(&PullRequestChange, &str) -> bool + Sync);

/// Why a change is not offered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// [`Reason::PullRequestClosed`], or [`Reason::RolledBackByHand`] where it was merged and taken back.
    pub reason: Reason,
    /// The pull request that says so.
    pub number: u64,
    /// Where people look at it.
    pub url: String,
}

/// What is to be done about one target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// There is nothing to offer, and nothing is offered.
    Nothing,
    /// Open one.
    Open(PullRequestDraft),
    /// Make the open one look so.
    Update(PullRequest, PullRequestDraft),
    /// The open one is as it should be.
    Leave(PullRequest),
    /// The open one is as it should be, but for what its mark says of its branch: this is its text from then on.
    Note(PullRequest),
    /// The open one is as it should be, but the forge was not asked to merge it yet.
    AskToMerge(PullRequest),
    /// An open one between the two branches is none of ours, or a person took our mark out of it: it keeps its text.
    LeaveOther(PullRequest),
    /// Close the open one, whose text is this from then on.
    Close(PullRequest, String),
    /// A person said no to all of it.
    Hold(Refusal),
}

/// What is to be done about one target, and which pull requests are superseded by it, each with its text from then on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moves {
    pub(super) first: Move,
    pub(super) superseded: Vec<(PullRequest, String)>,
}

/// What is to be done, as `found` is what there is between the branches, in any order.
pub(super) fn decide(plan: &PullRequestPlan, found: &[PullRequest], is_newer: IsNewer<'_>) -> Moves {
    let here = newest_first(plan, found);
    let open = here.iter().find(|(pull_request, _)| is_open(pull_request) && pull_request.head == plan.head.name());
    let first = match open {
        Some((pull_request, Some(marker))) => with_open(plan, pull_request, marker),
        None | Some((_, None)) if plan.changes.is_empty() => Move::Nothing,
        Some((pull_request, None)) => Move::LeaveOther((*pull_request).clone()),
        None => match refusals(plan, found, is_newer).into_iter().collect::<Option<Vec<_>>>() {
            Some(all) if !all.is_empty() => {
                all.into_iter().max_by_key(|refusal| refusal.number).map_or(Move::Nothing, Move::Hold)
            }
            _ => Move::Open(Text::new(plan, &plan.changes).draft),
        },
    };
    Moves { first, superseded: superseded(plan, &here) }
}

/// Why each change of the plan is not offered again, in their order; `None`: it may be offered.
///
/// For each change the newest pull request that brought something for its image speaks. While one is open, nothing is refused: so
/// reopening it takes a no back. One that we closed, as it was obsolete, says nothing.
pub(super) fn refusals(plan: &PullRequestPlan, found: &[PullRequest], is_newer: IsNewer<'_>) -> Vec<Option<Refusal>> {
    let here = newest_first(plan, found);
    let content = text::content(&plan.changes);
    let ours: Vec<(&PullRequest, &Marker, Vec<PullRequestChange>)> = here
        .iter()
        .filter_map(|(pull_request, marker)| marker.as_ref().map(|marker| (*pull_request, marker, marker.changes())))
        .collect();
    let refused = |change: &PullRequestChange| {
        for (pull_request, marker, changes) in &ours {
            let brought = changes.iter().find(|one| one.application == change.application && one.image == change.image);
            let same = brought.map_or(marker.content == content, |brought| brought.to == change.to);
            if brought.is_none() && !same {
                continue;
            }
            let newer = || brought.is_none_or(|brought| is_newer(change, &brought.to));
            let reason = match pull_request.state {
                PullRequestState::Closed if marker.obsolete => continue,
                PullRequestState::Closed if same || !newer() => Reason::PullRequestClosed,
                PullRequestState::Merged if same => Reason::RolledBackByHand,
                PullRequestState::Open | PullRequestState::Closed | PullRequestState::Merged => return None,
            };
            return Some(refusal(reason, pull_request));
        }
        None
    };
    let lifted = |change: &PullRequestChange| {
        let mut lifted = plan.lifted.iter();
        lifted.any(|one| one.application == change.application && one.image == change.image && one.to == change.to)
    };
    plan.changes.iter().map(|change| refused(change).filter(|_| !lifted(change))).collect()
}

fn refusal(reason: Reason, pull_request: &PullRequest) -> Refusal {
    Refusal { reason, number: pull_request.number, url: pull_request.url.clone() }
}

/// What becomes of our open pull request. Changes of other policies that share the target stay in it.
fn with_open(plan: &PullRequestPlan, pull_request: &PullRequest, marker: &Marker) -> Move {
    let stays = |change: &PullRequestChange| {
        let known = plan.changes.iter().any(|new| new.application == change.application && new.image == change.image);
        change.policy != plan.policy || (!known && plan.undecided.contains(&change.application))
    };
    let mut changes: Vec<_> = marker.changes().into_iter().filter(stays).collect();
    changes.extend(plan.changes.iter().cloned());
    changes.sort();
    if changes.is_empty() {
        return Move::Close(pull_request.clone(), marker.closed().put_into(&pull_request.body));
    }
    let text = Text::new(plan, &changes);
    let known = marker.written(plan.commit.as_ref());
    // One that we had closed and a person opened again is a person's by now: closed again, it is a no.
    if text.marker.fingerprint != marker.fingerprint || marker.obsolete {
        // Forges drop an automatic merge when the content changes: it is asked for anew.
        let asked = marker.auto_merge && marker.content == text.marker.content;
        let new = if asked { text.marker.asked_to_merge() } else { text.marker };
        let new = new.written(known.commit().as_ref());
        let body = new.put_into(&text.draft.body);
        return Move::Update(pull_request.clone(), PullRequestDraft { body, ..text.draft });
    }
    if known != *marker {
        let body = known.put_into(&pull_request.body);
        return Move::Note(PullRequest { body, ..pull_request.clone() });
    }
    if plan.style.auto_merge.is_some() && !marker.auto_merge {
        return Move::AskToMerge(pull_request.clone());
    }
    Move::Leave(pull_request.clone())
}

/// Open pull requests of the target from heads of older content, all of whose changes the plan replaces, or knows to be no longer wanted.
fn superseded(plan: &PullRequestPlan, here: &[(&PullRequest, Option<Marker>)]) -> Vec<(PullRequest, String)> {
    if matches!(plan.head, HeadBranch::Stable(_)) {
        return Vec::new();
    }
    let older = |(pull_request, marker): &(&PullRequest, Option<Marker>)| {
        let marker = marker.as_ref()?;
        let ours = is_open(pull_request) && pull_request.head != plan.head.name();
        let replaced = |old: &PullRequestChange| {
            let covered = plan.changes.iter().any(|new| new.application == old.application && new.image == old.image);
            old.policy == plan.policy && (covered || !plan.undecided.contains(&old.application))
        };
        let alone = marker.changes().iter().all(replaced);
        (ours && alone).then(|| ((*pull_request).clone(), marker.closed().put_into(&pull_request.body)))
    };
    here.iter().filter_map(older).collect()
}

/// The pull requests of the target, each with our mark where it has one, newest first.
fn newest_first<'a>(plan: &PullRequestPlan, found: &'a [PullRequest]) -> Vec<(&'a PullRequest, Option<Marker>)> {
    let marker =
        |pull_request: &PullRequest| Marker::find(&pull_request.body).filter(|marker| marker.key == plan.target_key);
    let mut here: Vec<_> = found
        .iter()
        .filter(|pull_request| pull_request.base == plan.base)
        .map(|pull_request| (pull_request, marker(pull_request)))
        .filter(|(pull_request, marker)| pull_request.head == plan.head.name() || marker.is_some())
        .collect();
    here.sort_by_key(|(pull_request, _)| std::cmp::Reverse(pull_request.number));
    here.dedup_by_key(|(pull_request, _)| pull_request.number);
    here
}

fn is_open(pull_request: &PullRequest) -> bool {
    pull_request.state == PullRequestState::Open
}
