//! Writing to branches of our own, with pull requests where these are wanted. All Applications of a policy go together, since they may share a branch.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::plan::{self, Job};
use super::requests::{Bid, Orders, Request, RequestName, gather, named, pull_request};
use crate::model::{
    ApplicationId, GitBranch, GitPlan, GitWriteBack, GitWritten, ImageReport, Problem, PullRequestPlan,
    PullRequestSettings, Reason,
};
use crate::pipeline::discover::Finding;
use crate::pipeline::pull_request::{PullRequestOutcome, Seen, follow, look};
use crate::pipeline::write::{Desk, Draft, finish, unsure};
use crate::ports::{Forge, Git, GitError};

/// What forges have, by base and head.
type Looks = BTreeMap<RequestName, Result<Seen, Problem>>;

/// What came of a request: each wish, in order, and the pull request.
struct Carried {
    written: Vec<Result<GitWritten, GitError>>,
    outcome: Option<PullRequestOutcome>,
}

/// How pull requests are made.
#[derive(Clone, Copy)]
struct Desired<'a> {
    forge: &'a dyn Forge,
    settings: &'a PullRequestSettings,
}

impl<'a> Desk<'a> {
    /// Decides on all Applications, and writes what they want to branches of our own.
    ///
    /// # Flow
    /// 1. Decide on each Application.
    /// 2. Ask the forge what there is for each branch; what a person refused is left out. Without an answer nothing is written there.
    /// 3. Write each branch, with all that stands on it.
    /// 4. Let each pull request follow.
    ///
    /// # Guarantees
    /// One branch that cannot be written, and one forge that fails, stop no other.
    pub async fn propose(&self, git: &GitWriteBack, findings: Vec<Finding>) -> Vec<ImageReport> {
        let (mut bids, mut reports) = (Vec::new(), Vec::new());
        for one in join_all(findings.into_iter().map(|finding| self.bid(git, finding))).await {
            match one {
                Ok(bid) => bids.push(bid),
                Err(done) => reports.extend(done),
            }
        }
        if let Some(port) = self.ports.git.filter(|_| !self.policy.dry_run) {
            self.propose_all(port, git, &mut bids).await;
        }
        bids.iter_mut().flat_map(|bid| &mut bid.drafts).for_each(Draft::settle_lift);
        reports.extend(bids.into_iter().flat_map(|bid| finish(bid.drafts)));
        reports
    }

    async fn propose_all(&self, port: &dyn Git, git: &GitWriteBack, bids: &mut [Bid<'a>]) {
        let desired = git.pull_request.as_ref().map(|settings| (settings, self.ports.forge));
        let desired = match desired {
            None => None,
            Some((settings, Some(forge))) => Some(Desired { forge, settings }),
            Some((_, None)) => return no_forge(bids),
        };
        self.on_base(port, git, bids).await;
        bids.iter_mut().for_each(explain_undecided);
        let orders = self.orders().await;
        let looks = match desired {
            Some(desired) => self.refuse(desired, git, bids, &orders).await,
            None => Looks::new(),
        };
        let requests = gather(bids);
        let (wanted, unknown): (Vec<&Request>, Vec<&Request>) =
            requests.iter().partition(|request| !matches!(looks.get(&request.name()), Some(Err(_))));
        let mut undecided: Vec<ApplicationId> = undecided(bids);
        undecided.extend(unknown.iter().flat_map(|request| request.applications(bids)));
        let plans = wanted.iter().flat_map(|request| request.wishes.iter().map(|(_, job)| named(job)));
        port.stand(&self.policy.id, &undecided, plans.collect::<Vec<GitPlan>>());
        let carried = wanted.iter().map(|request| {
            let seen = looks.get(&request.name()).and_then(|seen| seen.as_ref().ok());
            self.carry(port, desired.zip(seen), request, bids, &orders, &undecided)
        });
        let carried = join_all(carried).await;
        for (request, carried) in wanted.iter().zip(carried) {
            told(bids, request, &carried);
        }
        for request in unknown {
            if let Some(Err(problem)) = looks.get(&request.name()) {
                failed(bids, request, problem);
            }
        }
    }

    /// Decides on one Application; `Err`: the reports, where nothing is to be done.
    async fn bid(&self, git: &GitWriteBack, finding: Finding) -> Result<Bid<'a>, Vec<ImageReport>> {
        let mut finding = finding;
        let mut drafts = self.decide(&finding).await;
        // What looks taken back is looked at twice: some servers are behind themselves for a moment.
        if self.ports.git.is_some() && drafts.iter().any(|draft| draft.newly_held) {
            match self.read_anew(&finding).await {
                Ok(Some(fresh)) => finding = fresh,
                Ok(None) => return Err(Vec::new()),
                Err(error) => return Err(unsure(drafts, &error)),
            }
            drafts = self.decide(&finding).await;
        }
        if let Some(port) = self.ports.git {
            self.leave_to_another(port, &finding.application, &mut drafts).await;
            self.within_project(git, &finding.application, &mut drafts).await;
        }
        self.label(git, &finding.application, &mut drafts).await;
        let jobs = plan::jobs(self.policy, git, &finding.application, &mut drafts);
        Ok(Bid { application: finding.application, drafts, jobs })
    }

    /// Writes what goes to the branch that was read, since the template makes its name.
    async fn on_base(&self, port: &dyn Git, git: &GitWriteBack, bids: &mut [Bid<'a>]) {
        let write = bids.iter_mut().map(async |bid| {
            let (on_base, others): (Vec<Job>, Vec<Job>) =
                std::mem::take(&mut bid.jobs).into_iter().partition(|job| job.head.is_none());
            bid.jobs = others;
            for job in on_base.into_iter().filter(|job| !job.plan.edits.is_empty()) {
                let images: Vec<usize> = job.plan.edits.iter().map(|edit| edit.image).collect();
                let failure = if git.pull_request.is_some() {
                    let message =
                        format!("a pull request needs a branch of its own, and this makes `{}`", job.base_name);
                    let problem = Problem::new(Reason::InvalidTarget, message).at("spec.writeBack.git.writeBranch");
                    Some(problem.hint("name another branch than the one that is read"))
                } else if self.carry_out(port, git, &bid.application, job, &mut bid.drafts).await {
                    Some(Problem::new(Reason::WriteConflict, CHANGED))
                } else {
                    None
                };
                let Some(problem) = failure else { continue };
                for draft in bid.drafts.iter_mut().filter(|draft| images.contains(&draft.image.index)) {
                    draft.fail(problem.reason, problem.to_string());
                }
            }
        });
        join_all(write).await;
    }

    async fn orders(&self) -> Orders<'a> {
        let mut orders = Vec::new();
        for (image, offer) in self.policy.images.iter().zip(self.offers) {
            let listing = match offer {
                Some(Ok(offer)) => Some(offer.listing().await),
                Some(Err(_)) | None => None,
            };
            orders.push((image, listing));
        }
        Orders(orders)
    }

    /// Asks the forge for each branch, and leaves out what a person refused: again where that makes another branch.
    async fn refuse(
        &self,
        desired: Desired<'_>,
        git: &GitWriteBack,
        bids: &mut [Bid<'a>],
        orders: &Orders<'_>,
    ) -> Looks {
        let mut looks = Looks::new();
        loop {
            let requests = gather(bids);
            let unknown = requests.iter().filter(|request| !looks.contains_key(&request.name()));
            let asked = join_all(unknown.map(async |request| {
                let seen = match self.wish(desired, request, bids) {
                    Ok(plan) => {
                        look(desired.forge, &plan).await.map_err(|error| Problem::new(error.reason, error.message))
                    }
                    Err(problem) => Err(problem),
                };
                (request.name(), seen)
            }));
            looks.extend(asked.await);
            let mut refused = Vec::new();
            for request in &requests {
                let Some(Ok(seen)) = looks.get(&request.name()) else { continue };
                let Ok(plan) = self.wish(desired, request, bids) else { continue };
                let refusals = seen.refusals(&plan, &|change, version| orders.is_newer(change, version));
                let wishes = request
                    .wishes
                    .iter()
                    .flat_map(|(place, job)| job.plan.edits.iter().map(|edit| (*place, edit.image)));
                refused.extend(wishes.zip(refusals).filter_map(|(wish, refusal)| Some((wish, refusal?))));
            }
            if refused.is_empty() {
                return looks;
            }
            for ((place, image), refusal) in refused {
                let bid = &mut bids[place];
                for draft in bid.drafts.iter_mut().filter(|draft| draft.image.index == image) {
                    draft.fail(refusal.reason, refusal.to_string());
                }
                bid.jobs = plan::jobs(self.policy, git, &bid.application, &mut bid.drafts);
                bid.jobs.retain(|job| job.head.is_some());
            }
        }
    }

    /// The pull request with all that is wished.
    fn wish(&self, desired: Desired<'_>, request: &Request, bids: &[Bid<'a>]) -> Result<PullRequestPlan, Problem> {
        let wishes: Vec<_> = request.wishes.iter().collect();
        pull_request(self.policy, desired.settings, request, &wishes, bids, undecided(bids))
    }

    /// Writes one branch, and lets its pull request follow.
    async fn carry(
        &self,
        port: &dyn Git,
        desired: Option<(Desired<'_>, &Seen)>,
        request: &Request,
        bids: &[Bid<'a>],
        orders: &Orders<'_>,
        undecided: &[ApplicationId],
    ) -> Carried {
        // What is there already need not be written, unless something else has to go, or a new pull request begins.
        let plan = desired.map(|(desired, _)| self.wish(desired, request, bids));
        let begins = match (&desired, &plan) {
            (Some((_, seen)), Some(Ok(plan))) => seen.open(plan).is_none(),
            _ => false,
        };
        let anew = begins || !request.dropped.is_empty();
        let texts = request.texts(bids);
        let write = request.wishes.iter().map(async |(place, job)| {
            if !anew {
                let there = self.proposed(port, job, request.head.name(), (&bids[*place].drafts, &texts)).await?;
                if let Some(there) = there {
                    return Ok((there, false));
                }
            }
            Ok((port.write(job.plan.clone()).await?, true))
        });
        let written: Vec<Result<(GitWritten, bool), GitError>> = join_all(write).await;
        let anew: Vec<&GitWritten> = written.iter().flatten().filter(|(_, anew)| *anew).map(|(it, _)| it).collect();
        let head = GitBranch { branch: Some(request.head.name().to_owned()), ..request.base.clone() };
        let commit = self.brought(port, &head, &anew).await;
        let written: Vec<_> = written.into_iter().map(|written| written.map(|(written, _)| written)).collect();
        let Some((desired, seen)) = desired else { return Carried { written, outcome: None } };
        if !written.is_empty() && written.iter().all(Result::is_err) {
            return Carried { written, outcome: None };
        }
        let wishes = request.wishes.iter().zip(&written);
        let (good, bad): (Vec<_>, Vec<_>) = wishes.partition(|(_, written)| written.is_ok());
        let good: Vec<_> = good.into_iter().map(|(wish, _)| wish).collect();
        let mut undecided = undecided.to_vec();
        undecided.extend(bad.into_iter().map(|((place, _), _)| bids[*place].application.id.clone()));
        let plan = pull_request(self.policy, desired.settings, request, &good, bids, undecided);
        let outcome = match plan {
            Ok(plan) => self.request(port, desired.forge, PullRequestPlan { commit, ..plan }, seen, bids, orders).await,
            Err(problem) => PullRequestOutcome::from(problem),
        };
        Carried { written, outcome: Some(outcome) }
    }

    /// Lets the pull request follow, and removes branches that are not needed any more.
    async fn request(
        &self,
        port: &dyn Git,
        forge: &dyn Forge,
        mut plan: PullRequestPlan,
        seen: &Seen,
        bids: &[Bid<'a>],
        orders: &Orders<'_>,
    ) -> PullRequestOutcome {
        self.link(&mut plan, seen, bids).await;
        let mut outcome = follow(forge, &plan, seen, &|change, version| orders.is_newer(change, version)).await;
        for abandoned in std::mem::take(&mut outcome.abandoned) {
            outcome.left_undone.extend(self.clear(port, forge, &plan.at, &abandoned).await.err());
        }
        outcome
    }
}

const CHANGED: &str = "the files changed while they were written; tried again at the next look";

fn undecided(bids: &[Bid<'_>]) -> Vec<ApplicationId> {
    bids.iter().filter(|bid| bid.undecided()).map(|bid| bid.application.id.clone()).collect()
}

/// Says of an Application why nothing of it moves.
fn explain_undecided(bid: &mut Bid<'_>) {
    if !bid.undecided() {
        return;
    }
    for draft in bid.drafts.iter_mut().filter(|draft| draft.choice.is_some()) {
        let chosen = draft.report.chosen.clone().unwrap_or_default();
        let message = format!(
            "`{chosen}` is not offered yet: of another image of the Application, which waits to be merged, nothing can be decided now"
        );
        draft.report.message = message;
    }
}

fn no_forge(bids: &mut [Bid<'_>]) {
    for draft in bids.iter_mut().flat_map(|bid| &mut bid.drafts).filter(|draft| draft.choice.is_some()) {
        let message = "pull requests are opened in a cluster only; nothing is written without them";
        draft.fail(Reason::GitNotSetUp, message.to_owned());
    }
}

/// Tells each draft what became of its wish.
fn told(bids: &mut [Bid<'_>], request: &Request, carried: &Carried) {
    let Carried { written, outcome } = carried;
    for ((place, job), written) in request.wishes.iter().zip(written) {
        let of_wish = |draft: &&mut Draft<'_>| job.plan.edits.iter().any(|edit| edit.image == draft.image.index);
        for draft in bids[*place].drafts.iter_mut().filter(of_wish) {
            match written {
                Ok(written) => {
                    draft.awaiting(written);
                    draft.requested(outcome.as_ref());
                    draft.noted(job.note.as_deref());
                }
                Err(error) if error.changed => draft.fail(Reason::WriteConflict, CHANGED.to_owned()),
                Err(error) => draft.fail(error.reason, error.message.clone()),
            }
        }
    }
    let done = match outcome {
        Some(outcome) => matches!(outcome.reason, Reason::PullRequestOpen | Reason::UpToDate),
        None => written.iter().all(Result::is_ok),
    };
    for (place, draft) in &request.dropped {
        let draft = &mut bids[*place].drafts[*draft];
        draft.report.proposed = if done { None } else { draft.waiting.clone() };
        let left_undone = outcome
            .iter()
            .filter(|outcome| outcome.reason == Reason::UpToDate)
            .flat_map(|outcome| &outcome.left_undone);
        draft.report.message.extend(left_undone.map(|left| format!("; {left}")));
        if let Some(outcome) = outcome.as_ref().filter(|_| !done && draft.report.reason == Reason::UpToDate) {
            draft.fail(outcome.reason, outcome.message.clone());
        }
    }
}

/// Tells each draft of a request why nothing was written. What waits there goes on to wait.
fn failed(bids: &mut [Bid<'_>], request: &Request, problem: &Problem) {
    let wishes = request.wishes.iter().flat_map(|(place, job)| job.plan.edits.iter().map(|edit| (*place, edit.image)));
    for (place, image) in wishes {
        for draft in bids[place].drafts.iter_mut().filter(|draft| draft.image.index == image) {
            draft.fail(problem.reason, problem.to_string());
        }
    }
    for (place, draft) in &request.dropped {
        let draft = &mut bids[*place].drafts[*draft];
        draft.report.proposed.clone_from(&draft.waiting);
        if draft.report.reason == Reason::UpToDate {
            draft.fail(problem.reason, problem.to_string());
        }
    }
}
