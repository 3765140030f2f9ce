//! GitLab: merge requests by the REST API.
//!
//! Shapes: <https://docs.gitlab.com/api/merge_requests/>.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::session::Session;
use crate::model::{MergeMethod, PullRequest, PullRequestDraft, PullRequestState, Reason};
use crate::ports::{ForgeError, PullRequestWritten};

/// Merge requests asked for at once.
const PAGE: &str = "30";

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    web_url: String,
    #[serde(default)]
    description: Option<String>,
    state: String,
    source_branch: String,
    target_branch: String,
    #[serde(default)]
    source_project_id: Option<u64>,
    target_project_id: u64,
    #[serde(default)]
    sha: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    username: String,
}

impl MergeRequest {
    /// Whether its source is a branch of the project itself.
    fn is_own(&self) -> bool {
        self.source_project_id == Some(self.target_project_id)
    }

    fn lower(self) -> PullRequest {
        let state = match self.state.as_str() {
            // Locked: it is being merged.
            "opened" | "locked" => PullRequestState::Open,
            "merged" => PullRequestState::Merged,
            _ => PullRequestState::Closed,
        };
        PullRequest {
            number: self.iid,
            url: self.web_url,
            head: self.source_branch,
            base: self.target_branch,
            body: self.description.unwrap_or_default(),
            state,
            head_commit: self.sha,
        }
    }
}

#[derive(Deserialize)]
struct Project {
    /// `never`, `always`, `default_on` or `default_off`.
    #[serde(default)]
    squash_option: Option<String>,
}

fn url(session: &Session<'_>, rest: &[&str], query: &[(&str, &str)]) -> url::Url {
    let project = session.address.full();
    let mut path = vec!["projects", &project, "merge_requests"];
    path.extend(rest);
    session.url(&path, query)
}

pub(super) async fn find(session: &Session<'_>, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    list(session, &[("state", "all"), ("source_branch", head), ("target_branch", base)]).await
}

pub(super) async fn open_on(session: &Session<'_>, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    list(session, &[("state", "opened"), ("target_branch", base)]).await
}

pub(super) async fn using(session: &Session<'_>, branch: &str) -> Result<Vec<u64>, ForgeError> {
    let brought = requests(session, &[("state", "opened"), ("source_branch", branch)]).await?;
    let wanted = requests(session, &[("state", "opened"), ("target_branch", branch)]).await?;
    let brought = brought.into_iter().filter(MergeRequest::is_own);
    Ok(brought.chain(wanted).map(|request| request.iid).collect())
}

async fn list(session: &Session<'_>, query: &[(&str, &str)]) -> Result<Vec<PullRequest>, ForgeError> {
    let found = requests(session, query).await?;
    Ok(found.into_iter().filter(MergeRequest::is_own).map(MergeRequest::lower).collect())
}

async fn requests(session: &Session<'_>, query: &[(&str, &str)]) -> Result<Vec<MergeRequest>, ForgeError> {
    let newest = [("order_by", "created_at"), ("sort", "desc"), ("per_page", PAGE)];
    let url = url(session, &[], &[query, &newest].concat());
    session.get("list the merge requests", url).await
}

pub(super) async fn open(session: &Session<'_>, draft: &PullRequestDraft) -> Result<PullRequestWritten, ForgeError> {
    let (reviewers, left_undone) = reviewers(session, draft).await;
    let body = json!({
        "source_branch": draft.head,
        "target_branch": draft.base,
        "title": draft.title,
        "description": draft.body,
        "labels": draft.labels.join(","),
        "reviewer_ids": reviewers,
    });
    let made: MergeRequest = session.open(url(session, &[], &[]), body).await?;
    Ok(PullRequestWritten { pull_request: made.lower(), left_undone })
}

pub(super) async fn update(
    session: &Session<'_>,
    number: u64,
    draft: &PullRequestDraft,
) -> Result<PullRequestWritten, ForgeError> {
    let (reviewers, left_undone) = reviewers(session, draft).await;
    let mut body = json!({ "title": draft.title, "description": draft.body, "add_labels": draft.labels.join(",") });
    if !reviewers.is_empty() {
        // The list replaces the one that is there.
        body["reviewer_ids"] = json!(reviewers);
    }
    let url = url(session, &[&number.to_string()], &[]);
    let made: MergeRequest = session.change(&format!("update merge request !{number}"), Method::PUT, url, body).await?;
    Ok(PullRequestWritten { pull_request: made.lower(), left_undone })
}

/// The ids of the users who are asked for a review, and a sentence for each who has none.
async fn reviewers(session: &Session<'_>, draft: &PullRequestDraft) -> (Vec<u64>, Vec<String>) {
    let (mut ids, mut left_undone) = (Vec::new(), Vec::new());
    for name in &draft.reviewers {
        let words = format!("find the user `{name}`");
        let url = session.url(&["users"], &[("username", name)]);
        match session.get::<Vec<User>>(&words, url).await {
            Ok(users) => match users.iter().find(|user| user.username.eq_ignore_ascii_case(name)) {
                Some(user) => ids.push(user.id),
                None => left_undone.push(format!("GitLab has no user `{name}` who could be asked for a review")),
            },
            Err(error) => left_undone.push(error.message),
        }
    }
    (ids, left_undone)
}

pub(super) async fn set_body(session: &Session<'_>, number: u64, body: &str) -> Result<(), ForgeError> {
    let url = url(session, &[&number.to_string()], &[]);
    let words = format!("update merge request !{number}");
    session.change_only(&words, Method::PUT, url, json!({ "description": body })).await
}

pub(super) async fn close(session: &Session<'_>, number: u64, body: &str, comment: &str) -> Result<(), ForgeError> {
    let (words, name) = (format!("close merge request !{number}"), number.to_string());
    let close = json!({ "state_event": "close", "description": body });
    session.change_only(&words, Method::PUT, url(session, &[&name], &[]), close).await?;
    let words = format!("comment on merge request !{number}");
    session.change_only(&words, Method::POST, url(session, &[&name, "notes"], &[]), json!({ "body": comment })).await
}

/// GitLab merges by the project's own method; a squash can be asked for. Whether it may be done GitLab checks in the background, and tells nobody: so
/// we ask before. Older versions know the first name of the wish, newer ones both.
pub(super) async fn merge_when_ready(
    session: &Session<'_>,
    pull_request: &PullRequest,
    method: MergeMethod,
) -> Result<(), ForgeError> {
    let number = pull_request.number.to_string();
    let mut body = json!({ "merge_when_pipeline_succeeds": true, "auto_merge": true });
    if let Some(sha) = &pull_request.head_commit {
        body["sha"] = json!(sha);
    }
    let words = format!("have merge request !{number} merged");
    if method == MergeMethod::Squash {
        let project: Project = session.get(&words, session.url(&["projects", &session.address.full()], &[])).await?;
        if project.squash_option.as_deref() == Some("never") {
            let cause = "the project does not allow to squash commits";
            return Err(session.error(Reason::ForgeRejected, &words, cause));
        }
        body["squash"] = json!(true);
    }
    session.change_only(&words, Method::PUT, url(session, &[&number, "merge"], &[]), body).await
}
