//! Pull requests: one for each branch that is written and target, updated in place, closed when it is obsolete.
//!
//! The default head branch is one a target. Newer content replaces older in the same pull request, so that a target never has two, reviews and
//! comments stay with it, and a person who is away finds one pull request with the newest versions, not a row of stale ones. A
//! template that names the content (`.SHA256`) gets a pull request for each content instead, and the older ones are closed.
//!
//! # Flow
//! 1. [`look`] before anything is written: one question to the forge. [`Seen::refusals`] tells which changes a person said no to; they are left
//!    out of what is written.
//! 2. The branch is written.
//! 3. [`follow`]: opens, updates, leaves or closes, with what was seen.
//!
//! # Guarantees
//! - A closed pull request is a person's no: what it brought is not offered again until something newer, by the rule's own order. Reopening it takes the
//!   no back.
//! - What was merged and is no longer in the base branch was taken back by a person, and is held likewise.
//! - A text that people edited stays as it is until the content changes. Pull requests without our mark are never touched.
//! - A quiet look asks one question and changes nothing.
//! - A failure is an outcome, not an error: nobody else waits for it.

mod decide;
mod marker;
mod text;

pub use decide::{IsNewer, Refusal};

use crate::model::{
    CommitId, ForgeRepository, HeadBranch, MergeMethod, Problem, PullRequest, PullRequestChange, PullRequestDraft,
    PullRequestPlan, PullRequestState, Reason,
};
use crate::ports::{Forge, ForgeError};
use decide::{Move, decide};
use marker::Marker;

/// What the forge had when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    found: Vec<PullRequest>,
}

/// What an open pull request tells of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing: there is none, or it brings something else.
    Nothing,
    /// It brings the change, with this link.
    Link(Option<String>),
    /// Its text is not ours.
    ByOthers,
}

/// What became of the pull request of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestOutcome {
    /// The word for it: `PullRequestOpen`, `PullRequestClosed`, `RolledBackByHand`, `UpToDate`, or one of the forge reasons.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
    /// What was done to get there.
    pub step: PullRequestStep,
    /// The pull request, where there is one.
    pub number: Option<u64>,
    /// Where people look at it.
    pub url: Option<String>,
    /// What could not be done beside it, each a sentence. The pull request itself is as it should be.
    pub left_undone: Vec<String>,
    /// Branches that were written for pull requests which are closed now, as nothing is to come of them.
    pub abandoned: Vec<Abandoned>,
}

/// A branch of a pull request that we closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandoned {
    /// The pull request.
    pub number: u64,
    /// Its branch.
    pub head: String,
    /// The commit that we wrote the branch with: with another one it is somebody's.
    pub commit: CommitId,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PullRequestStep {
    /// Nothing.
    Nothing,
    /// One was opened.
    Opened,
    /// The open one was updated.
    Updated,
    /// The open one was closed.
    Closed,
}

impl Seen {
    /// Why each change of the plan is not to be written, in their order; `None`: it is.
    pub fn refusals(&self, plan: &PullRequestPlan, is_newer: IsNewer<'_>) -> Vec<Option<Refusal>> {
        decide::refusals(plan, &self.found, is_newer)
    }

    /// What is told of a change already.
    pub fn told(&self, plan: &PullRequestPlan, change: &PullRequestChange) -> Told {
        let open = self.found.iter().find(|found| is_open_between(found, plan));
        let Some(open) = open else { return Told::Nothing };
        let Some(marker) = Marker::find(&open.body) else { return Told::ByOthers };
        let same = |told: &PullRequestChange| PullRequestChange { link: told.link.clone(), ..change.clone() } == *told;
        marker.changes().into_iter().find(same).map_or(Told::Nothing, |told| Told::Link(told.link))
    }

    /// Where people look at the open pull request of the plan's head, if there is one.
    pub fn open(&self, plan: &PullRequestPlan) -> Option<&str> {
        self.found.iter().find(|found| is_open_between(found, plan)).map(|found| found.url.as_str())
    }
}

fn is_open_between(found: &PullRequest, plan: &PullRequestPlan) -> bool {
    found.state == PullRequestState::Open && found.head == plan.head.name() && found.base == plan.base
}

impl PullRequestOutcome {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        let step = PullRequestStep::Nothing;
        Self { reason, message, step, number: None, url: None, left_undone: Vec::new(), abandoned: Vec::new() }
    }

    fn of(mut self, pull_request: &PullRequest) -> Self {
        self.number = Some(pull_request.number);
        self.url = Some(pull_request.url.clone());
        self
    }

    fn after(mut self, step: PullRequestStep) -> Self {
        self.step = step;
        self
    }
}

impl From<Problem> for PullRequestOutcome {
    fn from(problem: Problem) -> Self {
        Self::new(problem.reason, problem.to_string())
    }
}

impl From<ForgeError> for PullRequestOutcome {
    fn from(error: ForgeError) -> Self {
        Self::new(error.reason, error.message)
    }
}

/// Asks the forge what there is for the target of a plan.
///
/// # Errors
/// Those of [`Forge::find`]. Without an answer nothing must be written: a person may have said no.
pub async fn look(forge: &dyn Forge, plan: &PullRequestPlan) -> Result<Seen, ForgeError> {
    let mut found = forge.find(&plan.at, plan.head.name(), &plan.base).await?;
    if matches!(plan.head, HeadBranch::PerContent(_)) {
        found.extend(forge.open_on(&plan.at, &plan.base).await?);
    }
    Ok(Seen { found })
}

/// Lets the pull request follow what was written: opens, updates, leaves or closes it.
///
/// Call it after the head branch was written, or found to hold the content already; with an empty list of changes when it is certain that
/// nothing differs from the base any more. `is_newer` compares by the order of the image's rule.
pub async fn follow(
    forge: &dyn Forge,
    plan: &PullRequestPlan,
    seen: &Seen,
    is_newer: IsNewer<'_>,
) -> PullRequestOutcome {
    let moves = decide(plan, &seen.found, is_newer);
    let result = act(forge, plan, moves.first).await;
    let mut outcome = result.unwrap_or_else(PullRequestOutcome::from);
    if matches!(outcome.reason, Reason::PullRequestOpen | Reason::UpToDate) {
        let by = outcome.number.map_or_else(|| OBSOLETE.to_owned(), |number| format!("Superseded by #{number}."));
        for (older, body) in moves.superseded {
            match forge.close(&plan.at, older.number, &body, &by).await {
                Ok(()) => outcome.abandoned.extend(abandoned(&older, &body)),
                Err(error) => outcome.left_undone.push(error.message),
            }
        }
    }
    outcome
}

const OBSOLETE: &str =
    "Nothing is left to change: the base branch holds these versions, or newer ones, or they are no longer wanted.";

async fn act(forge: &dyn Forge, plan: &PullRequestPlan, first: Move) -> Result<PullRequestOutcome, ForgeError> {
    match first {
        Move::Nothing => Ok(PullRequestOutcome::new(Reason::UpToDate, "nothing is left to offer")),
        Move::Open(draft) => open(forge, plan, &draft).await,
        Move::Update(pull_request, draft) => {
            let written = forge.update(&plan.at, pull_request.number, &draft).await?;
            // A new content is a new question to the forge, as it stops waiting for the checks of the old one.
            let mut outcome = waiting(&written.pull_request).after(PullRequestStep::Updated);
            outcome.left_undone = written.left_undone;
            ask_to_merge(forge, plan, &written.pull_request, &mut outcome).await;
            Ok(outcome)
        }
        Move::AskToMerge(pull_request) => {
            let mut outcome = waiting(&pull_request);
            ask_to_merge(forge, plan, &pull_request, &mut outcome).await;
            Ok(outcome)
        }
        Move::Note(pull_request) => {
            forge.set_body(&plan.at, pull_request.number, &pull_request.body).await?;
            let mut outcome = waiting(&pull_request);
            ask_to_merge(forge, plan, &pull_request, &mut outcome).await;
            Ok(outcome)
        }
        Move::Leave(pull_request) => Ok(waiting(&pull_request)),
        Move::LeaveOther(pull_request) => {
            let message = format!(
                "the change waits in {}, whose text is not Fairlead's and is left as it is",
                name(&plan.at, &pull_request)
            );
            Ok(PullRequestOutcome::new(Reason::PullRequestOpen, message).of(&pull_request))
        }
        Move::Close(pull_request, body) => {
            forge.close(&plan.at, pull_request.number, &body, OBSOLETE).await?;
            let message = format!("pull request #{} is closed, as nothing is left to change", pull_request.number);
            let closed = PullRequestOutcome::new(Reason::UpToDate, message);
            let abandoned = abandoned(&pull_request, &body).into_iter().collect();
            let closed = PullRequestOutcome { abandoned, ..closed };
            Ok(closed.of(&pull_request).after(PullRequestStep::Closed))
        }
        Move::Hold(refusal) => Ok(held(&refusal)),
    }
}

async fn open(
    forge: &dyn Forge,
    plan: &PullRequestPlan,
    draft: &PullRequestDraft,
) -> Result<PullRequestOutcome, ForgeError> {
    match forge.open(&plan.at, draft).await {
        Ok(written) => {
            let mut outcome = waiting(&written.pull_request).after(PullRequestStep::Opened);
            outcome.left_undone = written.left_undone;
            ask_to_merge(forge, plan, &written.pull_request, &mut outcome).await;
            Ok(outcome)
        }
        // Somebody was faster, or a try that seemed to fail did not. The next look goes on from there.
        Err(error) if error.exists => {
            let found = forge.find(&plan.at, &draft.head, &draft.base).await?;
            let open = found.iter().find(|found| found.state == PullRequestState::Open);
            open.map(waiting).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Asks the forge to merge, once: a person who switches it off again is not overruled. A failure is told, and tried again at the next look.
async fn ask_to_merge(
    forge: &dyn Forge,
    plan: &PullRequestPlan,
    pull_request: &PullRequest,
    outcome: &mut PullRequestOutcome,
) {
    let Some(method) = plan.style.auto_merge else { return };
    let Some(marker) = Marker::find(&pull_request.body).filter(|marker| !marker.auto_merge) else { return };
    if let Err(error) = merge(forge, &plan.at, pull_request, method, &marker).await {
        outcome.left_undone.push(error.message);
    }
}

async fn merge(
    forge: &dyn Forge,
    at: &ForgeRepository,
    pull_request: &PullRequest,
    method: MergeMethod,
    marker: &Marker,
) -> Result<(), ForgeError> {
    forge.merge_when_ready(at, pull_request, method).await?;
    let body = marker.asked_to_merge().put_into(&pull_request.body);
    forge.set_body(at, pull_request.number, &body).await
}

/// The branch of a pull request that we closed with this text, where we know the commit.
fn abandoned(pull_request: &PullRequest, body: &str) -> Option<Abandoned> {
    let commit = Marker::find(body)?.commit()?;
    Some(Abandoned { number: pull_request.number, head: pull_request.head.clone(), commit })
}

fn waiting(pull_request: &PullRequest) -> PullRequestOutcome {
    let message = format!("the change waits in pull request #{}: {}", pull_request.number, pull_request.url);
    PullRequestOutcome::new(Reason::PullRequestOpen, message).of(pull_request)
}

fn held(refusal: &Refusal) -> PullRequestOutcome {
    let Refusal { reason, number, url } = refusal;
    let outcome = PullRequestOutcome::new(*reason, refusal.to_string());
    PullRequestOutcome { number: Some(*number), url: Some(url.clone()), ..outcome }
}

fn name(at: &ForgeRepository, pull_request: &PullRequest) -> String {
    format!("pull request #{} of `{at}`", pull_request.number)
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reason, number, url } = self;
        if *reason == Reason::RolledBackByHand {
            return write!(
                formatter,
                "pull request #{number} brought it and was merged, and the branch no longer holds it; it is held until something newer: {url}"
            );
        }
        write!(
            formatter,
            "pull request #{number} was closed by hand; it is held until something newer, reopen it to go on: {url}"
        )
    }
}
