//! Gitea and Forgejo: pull requests by the REST API.
//!
//! Shapes: <https://docs.gitea.com/api/>, and `/api/swagger` of each instance.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::repos::{self, url, word};
use super::session::Session;
use crate::model::{MergeMethod, PullRequest, PullRequestDraft, PullRequestState, Reason};
use crate::ports::{ForgeError, PullRequestWritten};

/// Pull requests asked for at once; servers give no more.
const PAGE: usize = 50;
/// Lists are not filtered by head: so many pages of the newest are read.
const MAXIMUM_PAGES: usize = 6;
/// The colour of a label that we make: grey.
const COLOR: &str = "#ededed";

#[derive(Deserialize)]
struct Pull {
    number: u64,
    html_url: String,
    #[serde(default)]
    body: String,
    state: String,
    #[serde(default)]
    merged: bool,
    head: Branch,
    base: Branch,
}

#[derive(Deserialize)]
struct Branch {
    /// The branch's name, also when it is gone; `ref` is another then.
    label: String,
    #[serde(default)]
    sha: String,
    repo_id: i64,
}

#[derive(Deserialize)]
struct Label {
    id: u64,
    name: String,
}

impl Pull {
    /// Whether its head is a branch of the repository itself.
    fn is_own(&self) -> bool {
        self.head.repo_id == self.base.repo_id
    }

    fn lower(self) -> PullRequest {
        let state = match (self.merged, self.state.as_str()) {
            (true, _) => PullRequestState::Merged,
            (false, "open") => PullRequestState::Open,
            (false, _) => PullRequestState::Closed,
        };
        PullRequest {
            number: self.number,
            url: self.html_url,
            head: self.head.label,
            base: self.base.label,
            body: self.body,
            state,
            head_commit: Some(self.head.sha).filter(|sha| !sha.is_empty()),
        }
    }
}

pub(super) async fn find(session: &Session<'_>, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    let mut found = list(session, "all", base).await?;
    found.retain(|pull_request| pull_request.head == head);
    Ok(found)
}

pub(super) async fn open_on(session: &Session<'_>, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    list(session, "open", base).await
}

/// Servers that do not know `base_branch` give those to other branches as well.
async fn list(session: &Session<'_>, state: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    let (pulls, _) = pulls(session, &[("state", state), ("base_branch", base)]).await?;
    let own = pulls.into_iter().filter(Pull::is_own).map(Pull::lower);
    let mut found: Vec<_> = own.filter(|pull_request| pull_request.base == base).collect();
    found.sort_by_key(|pull_request| std::cmp::Reverse(pull_request.number));
    Ok(found)
}

pub(super) async fn using(session: &Session<'_>, branch: &str) -> Result<Vec<u64>, ForgeError> {
    let (pulls, all) = pulls(session, &[("state", "open")]).await?;
    if !all {
        let cause = format!("more than {} are open", PAGE * MAXIMUM_PAGES);
        return Err(session.error(Reason::ForgeRejected, "look through the pull requests", &cause));
    }
    let uses = |pull: &Pull| (pull.is_own() && pull.head.label == branch) || pull.base.label == branch;
    Ok(pulls.into_iter().filter(uses).map(|pull| pull.number).collect())
}

/// Pull requests, those of the last update first, and whether these are all.
async fn pulls(session: &Session<'_>, query: &[(&str, &str)]) -> Result<(Vec<Pull>, bool), ForgeError> {
    let mut found = Vec::new();
    for page in 1..=MAXIMUM_PAGES {
        let (page, limit) = (page.to_string(), PAGE.to_string());
        let paged = [("sort", "recentupdate"), ("page", &page), ("limit", &limit)];
        let url = url(session, &["pulls"], &[query, &paged].concat());
        let pulls: Vec<Pull> = session.get("list the pull requests", url).await?;
        let last = pulls.len() < PAGE;
        found.extend(pulls);
        if last {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

pub(super) async fn open(session: &Session<'_>, draft: &PullRequestDraft) -> Result<PullRequestWritten, ForgeError> {
    let pull = repos::open(session, draft).await?;
    Ok(with_extras(session, pull, draft).await)
}

pub(super) async fn update(
    session: &Session<'_>,
    number: u64,
    draft: &PullRequestDraft,
) -> Result<PullRequestWritten, ForgeError> {
    let pull = repos::update(session, number, draft).await?;
    Ok(with_extras(session, pull, draft).await)
}

/// Adds labels and reviewers, each by a call of its own.
async fn with_extras(session: &Session<'_>, pull: Pull, draft: &PullRequestDraft) -> PullRequestWritten {
    let (number, mut left_undone) = (pull.number.to_string(), Vec::new());
    if !draft.labels.is_empty() {
        left_undone.extend(add_labels(session, &number, &draft.labels).await.err().map(|error| error.message));
    }
    let asked = repos::ask_for_review(session, &number, &draft.reviewers).await;
    left_undone.extend(asked.err().map(|error| error.message));
    PullRequestWritten { pull_request: pull.lower(), left_undone }
}

/// Labels go by their ids. One that neither the repository nor its organisation has is made, as other forges do.
async fn add_labels(session: &Session<'_>, number: &str, names: &[String]) -> Result<(), ForgeError> {
    let words = format!("label pull request #{number}");
    let limit = [("limit", "50")];
    let mut known: Vec<Label> = session.get(&words, url(session, &["labels"], &limit)).await?;
    let owner = session.address.owner();
    let shared: Option<Vec<Label>> =
        session.get_if_there(&words, session.url(&["orgs", owner, "labels"], &limit)).await?;
    known.extend(shared.unwrap_or_default());
    let mut ids = Vec::new();
    for name in names {
        let id = known.iter().find(|label| label.name == *name).map(|label| label.id);
        if let Some(id) = id {
            ids.push(id);
            continue;
        }
        let (body, labels) = (json!({ "name": name, "color": COLOR }), url(session, &["labels"], &[]));
        ids.push(session.change::<Label>(&words, Method::POST, labels, body).await?.id);
    }
    session
        .change_only(&words, Method::POST, url(session, &["issues", number, "labels"], &[]), json!({ "labels": ids }))
        .await
}

/// The ways to merge that a repository allows.
#[derive(Deserialize)]
struct Allowed {
    #[serde(default = "allowed")]
    allow_merge_commits: bool,
    #[serde(default = "allowed")]
    allow_squash_merge: bool,
    #[serde(default = "allowed")]
    allow_rebase: bool,
}

/// Where a version does not say it, the merge itself will.
const fn allowed() -> bool {
    true
}

/// Gitea merges at once where nothing is missing. Of a merge that has to wait it checks the method only then, and tells nobody: so we ask before.
pub(super) async fn merge_when_ready(
    session: &Session<'_>,
    pull_request: &PullRequest,
    method: MergeMethod,
) -> Result<(), ForgeError> {
    let number = pull_request.number.to_string();
    let words = format!("have pull request #{number} merged");
    let allowed: Allowed = session.get(&words, url(session, &[], &[])).await?;
    let is_allowed = match method {
        MergeMethod::Merge => allowed.allow_merge_commits,
        MergeMethod::Squash => allowed.allow_squash_merge,
        MergeMethod::Rebase => allowed.allow_rebase,
    };
    if !is_allowed {
        let cause = format!("the repository does not allow the merge style `{}`", word(method));
        return Err(session.error(Reason::ForgeRejected, &words, &cause));
    }
    let mut body = json!({ "Do": word(method), "merge_when_checks_succeed": true });
    if let Some(sha) = &pull_request.head_commit {
        body["head_commit_id"] = json!(sha);
    }
    session.change_only(&words, Method::POST, url(session, &["pulls", &number, "merge"], &[]), body).await
}
