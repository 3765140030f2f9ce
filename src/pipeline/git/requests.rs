//! What all Applications of a policy want on branches of our own, gathered by branch. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::changed;
use super::destination::plain_address;
use super::plan::Job;
use crate::lower::git_template::{Facts, TemplateError};
use crate::model::{
    Application, ApplicationId, ForgeRepository, GitBranch, GitPlan, HeadBranch, Image, Listing, Policy, Problem,
    PullRequestChange, PullRequestPlan, PullRequestSettings, PullRequestStyle, Reason, Strategy,
};
use crate::pipeline::keys::version;
use crate::pipeline::write::Draft;
use crate::select;

/// What tells one branch of our own from another: repository, base and name. Whose login reaches it, how the address is spelled, and whether the base is named or
/// the default branch does not matter.
pub(super) type RequestName = (String, String, String);

/// One Application between decision and write.
pub(super) struct Bid<'a> {
    /// The Application.
    pub(super) application: Arc<Application>,
    /// Its images.
    pub(super) drafts: Vec<Draft<'a>>,
    /// What it wants of each branch.
    pub(super) jobs: Vec<Job>,
}

/// What all Applications of a policy want on one branch of our own.
pub(super) struct Request {
    /// The branch that it is made from.
    pub(super) base: GitBranch,
    /// Its name.
    pub(super) base_name: String,
    /// The branch that is written.
    pub(super) head: HeadBranch,
    /// The key of the target.
    pub(super) target_key: String,
    /// What is to be changed, each with the place of its bid.
    pub(super) wishes: Vec<(usize, Job)>,
    /// What an earlier look put there and nobody wants any more: the places of bid and draft.
    pub(super) dropped: Vec<(usize, usize)>,
}

/// How versions of a policy's images are compared.
pub(super) struct Orders<'a>(pub(super) Vec<(&'a Image, Option<Arc<Listing>>)>);

impl Bid<'_> {
    /// Whether it is not known of something that waits already whether it is still wanted: then nothing of the Application is moved.
    pub(super) fn undecided(&self) -> bool {
        self.drafts.iter().any(|draft| draft.waiting.is_some() && !is_settled(draft))
    }
}

/// Whether it is known what the image needs: a version, or none.
fn is_settled(draft: &Draft<'_>) -> bool {
    use Reason::{PullRequestClosed, RolledBackByHand, RolloutDegraded, RolloutStuck, UpToDate};
    let known = [UpToDate, RolloutDegraded, RolloutStuck, PullRequestClosed, RolledBackByHand];
    draft.choice.is_some() || known.contains(&draft.report.reason)
}

/// What is wanted of each branch of our own, by all bids that know it.
pub(super) fn gather(bids: &[Bid<'_>]) -> Vec<Request> {
    let mut requests: BTreeMap<RequestName, Request> = BTreeMap::new();
    for (place, bid) in bids.iter().enumerate().filter(|(_, bid)| !bid.undecided()) {
        for job in &bid.jobs {
            let Some(head) = &job.head else { continue };
            let dropped = dropped(bid, job);
            if job.plan.edits.is_empty() && dropped.is_empty() {
                continue;
            }
            let request = requests.entry(name(&job.plan.base, &job.base_name, head)).or_insert_with(|| Request {
                base: job.plan.base.clone(),
                base_name: job.base_name.clone(),
                head: head.clone(),
                target_key: key(job, head),
                wishes: Vec::new(),
                dropped: Vec::new(),
            });
            request.target_key = key(job, head).min(std::mem::take(&mut request.target_key));
            request.dropped.extend(dropped.into_iter().map(|draft| (place, draft)));
            if !job.plan.edits.is_empty() {
                request.wishes.push((place, job.clone()));
            }
        }
    }
    requests.into_values().collect()
}

fn name(base: &GitBranch, base_name: &str, head: &HeadBranch) -> RequestName {
    (plain_address(&base.repository), base_name.to_owned(), head.name().to_owned())
}

impl Request {
    /// What tells it from others.
    pub(super) fn name(&self) -> RequestName {
        name(&self.base, &self.base_name, &self.head)
    }

    /// The texts that its branch is to hold, by path, made from those of the base. Without those of which the text on the base is not known.
    pub(super) fn texts(&self, bids: &[Bid<'_>]) -> BTreeMap<String, String> {
        let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (place, job) in &self.wishes {
            for change in &job.plan.files {
                let before = texts.remove(&change.path).unwrap_or_else(|| {
                    let files = bids[*place].drafts.iter().filter_map(Draft::file);
                    let mut files = files.filter(|file| file.path == change.path && file.branch == job.plan.base);
                    files.next()?.text.as_deref().map(ToOwned::to_owned)
                });
                texts.insert(change.path.clone(), changed(before.as_deref(), change).ok());
            }
        }
        texts.into_iter().filter_map(|(path, text)| Some((path, text?))).collect()
    }

    /// The Applications that it is about.
    pub(super) fn applications(&self, bids: &[Bid<'_>]) -> Vec<ApplicationId> {
        let wishes = self.wishes.iter().map(|(place, _)| *place);
        let places = wishes.chain(self.dropped.iter().map(|(place, _)| *place));
        places.map(|place| bids[place].application.id.clone()).collect()
    }
}

/// The key of a target. A branch that is one for ever names it by itself, whoever shares it.
fn key(job: &Job, head: &HeadBranch) -> String {
    match head {
        HeadBranch::Stable(name) => format!("{}:{name}", job.base_name),
        HeadBranch::PerContent(_) => job.facts.target_key.clone(),
    }
}

/// The drafts of a bid that have something waiting on the branch of `job`, and no wish there now.
fn dropped(bid: &Bid<'_>, job: &Job) -> Vec<usize> {
    let here = |draft: &Draft<'_>| draft.file().is_some_and(|file| file.branch == job.plan.base);
    let wanted = |draft: &Draft<'_>| job.plan.edits.iter().any(|edit| edit.image == draft.image.index);
    let drafts = bid.drafts.iter().enumerate();
    drafts
        .filter(|(_, draft)| draft.waiting.is_some() && here(draft) && !wanted(draft))
        .map(|(place, _)| place)
        .collect()
}

/// The plan of a wish, on a base that has a name.
pub(super) fn named(job: &Job) -> GitPlan {
    let base = GitBranch { branch: Some(job.base_name.clone()), ..job.plan.base.clone() };
    GitPlan { base, ..job.plan.clone() }
}

/// The pull request of a target, with the changes of `wishes`.
///
/// # Errors
/// Where a template of the policy cannot be used.
pub(super) fn pull_request(
    policy: &Policy,
    settings: &PullRequestSettings,
    request: &Request,
    wishes: &[&(usize, Job)],
    bids: &[Bid<'_>],
    undecided: Vec<ApplicationId>,
) -> Result<PullRequestPlan, Problem> {
    let (mut changes, mut lifted) = (Vec::new(), Vec::new());
    for (place, job) in wishes {
        for edit in &job.plan.edits {
            let Some(draft) = bids[*place].drafts.iter().find(|draft| draft.image.index == edit.image) else {
                continue;
            };
            let change = PullRequestChange {
                policy: policy.id.clone(),
                application: job.plan.application.clone(),
                image: draft.image.title.clone(),
                from: edit.from.clone(),
                to: edit.to.clone(),
                link: None,
            };
            lifted.extend(draft.lifted.then(|| change.clone()));
            changes.push(change);
        }
    }
    let facts = facts(policy, request, wishes);
    let made = |key: &str, template: &Option<String>| {
        let invalid = |error: TemplateError| {
            let place = format!("spec.writeBack.git.pullRequest.{key}");
            Problem::new(Reason::InvalidTemplate, error.to_string()).at(place)
        };
        let template = template.as_ref().filter(|_| !wishes.is_empty());
        template.map(|template| facts.message(template)).transpose().map_err(invalid)
    };
    let style = PullRequestStyle {
        title: made("title", &settings.title)?,
        body: made("body", &settings.body)?,
        labels: settings.labels.clone(),
        reviewers: settings.reviewers.clone(),
        auto_merge: settings.auto_merge,
    };
    Ok(PullRequestPlan {
        at: ForgeRepository { provider: settings.provider, api: None, repository: request.base.clone() },
        policy: policy.id.clone(),
        target_key: request.target_key.clone(),
        head: request.head.clone(),
        base: request.base_name.clone(),
        commit: None,
        changes,
        undecided,
        lifted,
        style,
    })
}

/// What templates see of a whole request; of several Applications the names stand together.
fn facts(policy: &Policy, request: &Request, wishes: &[&(usize, Job)]) -> Facts {
    let mut facts = Facts {
        policy: policy.id.to_string(),
        namespace: policy.id.namespace.clone(),
        target_key: request.target_key.clone(),
        ..Facts::default()
    };
    let names: Vec<&str> = wishes.iter().map(|(_, job)| job.facts.application.as_str()).collect();
    facts.application = names.join(", ");
    facts.changes = wishes.iter().flat_map(|(_, job)| job.facts.changes.clone()).collect();
    if let [(_, job)] = wishes {
        facts.namespace.clone_from(&job.facts.namespace);
        facts.target_key.clone_from(&job.facts.target_key);
    }
    facts
}

impl Orders<'_> {
    /// Whether the version of a change is newer than one that a person refused, by the order of the image's rule.
    pub(super) fn is_newer(&self, change: &PullRequestChange, refused: &str) -> bool {
        let Some((image, Some(listing))) = self.0.iter().find(|(image, _)| image.title == change.image) else {
            return false;
        };
        let (Some(to), Some(refused)) = (version(&change.to), version(refused)) else { return false };
        let another_image = to.digest.is_some() && to.digest != refused.digest;
        match (&refused.tag, &to.tag) {
            _ if image.rule.strategy == Strategy::Digest => another_image,
            (Some(refused), Some(to)) if refused != to => {
                // Dates of what is not chosen may be unknown; what is listed beside the choice is older than it.
                let listed = listing.candidates.iter().any(|candidate| candidate.tag == *refused);
                select::is_lower(&image.rule, listing, refused, to)
                    || (image.rule.strategy == Strategy::NewestBuild && listed)
            }
            _ => another_image,
        }
    }
}
