//! GitHub and GitHub Enterprise: pull requests by the REST API, the automatic merge by GraphQL.
//!
//! Shapes: <https://docs.github.com/en/rest/pulls/pulls>, <https://docs.github.com/en/graphql/reference/mutations#enablepullrequestautomerge>.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::Failure;
use super::repos::{self, url, word};
use super::session::Session;
use crate::model::{MergeMethod, PullRequest, PullRequestDraft, PullRequestState, Reason};
use crate::ports::{ForgeError, PullRequestWritten};

/// Pull requests asked for at once.
const PAGE: &str = "30";

#[derive(Deserialize)]
struct Pull {
    number: u64,
    node_id: String,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    state: String,
    #[serde(default)]
    merged_at: Option<String>,
    head: Branch,
    base: Branch,
}

#[derive(Deserialize)]
struct Branch {
    r#ref: String,
    sha: String,
    /// Nothing when the fork is gone.
    #[serde(default)]
    repo: Option<Repository>,
}

#[derive(Deserialize, PartialEq, Eq)]
struct Repository {
    id: u64,
}

impl Pull {
    /// Whether its head is a branch of the repository itself.
    fn is_own(&self) -> bool {
        self.head.repo == self.base.repo
    }

    fn lower(self) -> PullRequest {
        let state = match (self.merged_at, self.state.as_str()) {
            (Some(_), _) => PullRequestState::Merged,
            (None, "open") => PullRequestState::Open,
            (None, _) => PullRequestState::Closed,
        };
        PullRequest {
            number: self.number,
            url: self.html_url,
            head: self.head.r#ref,
            base: self.base.r#ref,
            body: self.body.unwrap_or_default(),
            state,
            head_commit: Some(self.head.sha),
        }
    }
}

pub(super) async fn find(session: &Session<'_>, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    let label = format!("{}:{head}", session.address.owner());
    list(session, &[("state", "all"), ("head", &label), ("base", base)]).await
}

pub(super) async fn open_on(session: &Session<'_>, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
    list(session, &[("state", "open"), ("base", base)]).await
}

pub(super) async fn using(session: &Session<'_>, branch: &str) -> Result<Vec<u64>, ForgeError> {
    let label = format!("{}:{branch}", session.address.owner());
    let brought = pulls(session, &[("state", "open"), ("head", &label)]).await?;
    let wanted = pulls(session, &[("state", "open"), ("base", branch)]).await?;
    Ok(brought.into_iter().filter(Pull::is_own).chain(wanted).map(|pull| pull.number).collect())
}

async fn list(session: &Session<'_>, query: &[(&str, &str)]) -> Result<Vec<PullRequest>, ForgeError> {
    Ok(pulls(session, query).await?.into_iter().filter(Pull::is_own).map(Pull::lower).collect())
}

async fn pulls(session: &Session<'_>, query: &[(&str, &str)]) -> Result<Vec<Pull>, ForgeError> {
    let newest = [("sort", "created"), ("direction", "desc"), ("per_page", PAGE)];
    let url = url(session, &["pulls"], &[query, &newest].concat());
    session.get("list the pull requests", url).await
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
        let (words, url) = (format!("label pull request #{number}"), url(session, &["issues", &number, "labels"], &[]));
        let result = session.change_only(&words, Method::POST, url, json!({ "labels": draft.labels })).await;
        left_undone.extend(result.err().map(|error| error.message));
    }
    let asked = repos::ask_for_review(session, &number, &draft.reviewers).await;
    left_undone.extend(asked.err().map(|error| error.message));
    PullRequestWritten { pull_request: pull.lower(), left_undone }
}

const ENABLE: &str = "mutation($input: EnablePullRequestAutoMergeInput!) { enablePullRequestAutoMerge(input: $input) { clientMutationId } }";

/// GitHub takes a wish for an automatic merge only while something is missing; a pull request that may be merged at once is merged.
pub(super) async fn merge_when_ready(
    session: &Session<'_>,
    pull_request: &PullRequest,
    method: MergeMethod,
) -> Result<(), ForgeError> {
    let (number, name) = (pull_request.number, pull_request.number.to_string());
    let words = format!("have pull request #{number} merged");
    let pull: Pull = session.get(&words, url(session, &["pulls", &name], &[])).await?;
    let (node, head) =
        (pull.node_id.clone(), pull_request.head_commit.clone().unwrap_or_else(|| pull.head.sha.clone()));
    let wish = json!({ "input": { "pullRequestId": node, "mergeMethod": word(method).to_uppercase(), "expectedHeadOid": head } });
    match graphql(session, &words, ENABLE, wish).await {
        Err(error) if error.message.contains("is in clean status") => {
            let body = json!({ "sha": head, "merge_method": word(method) });
            session.change_only(&words, Method::PUT, url(session, &["pulls", &name, "merge"], &[]), body).await
        }
        result => result.map(drop),
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    message: String,
}

/// Asks GraphQL, which tells of failures in answers of success. A branch that moved meanwhile is [`Reason::WriteConflict`].
pub(super) async fn graphql(
    session: &Session<'_>,
    words: &str,
    query: &str,
    variables: Value,
) -> Result<Value, ForgeError> {
    let body = json!({ "query": query, "variables": variables });
    let refusal = |bytes: &[u8]| refusal(session, bytes);
    let answer: Answer = session.change_unless(words, session.address.graphql(), body, refusal).await?;
    let missing = || session.error(Reason::ForgeFailed, words, "the answer is not of the documented form");
    answer.data.ok_or_else(missing)
}

/// The failure that an answer of GraphQL tells of.
fn refusal(session: &Session<'_>, bytes: &[u8]) -> Option<Failure> {
    let error = serde_json::from_slice::<Answer>(bytes).ok()?.errors.into_iter().next()?;
    let reason = match error.r#type.as_str() {
        "STALE_DATA" => Reason::WriteConflict,
        "FORBIDDEN" | "NOT_FOUND" | "INSUFFICIENT_SCOPES" => Reason::ForgeDenied,
        "RATE_LIMITED" => Reason::ForgeRateLimited,
        "SERVICE_UNAVAILABLE" | "INTERNAL" => Reason::ForgeFailed,
        _ => Reason::ForgeRejected,
    };
    Some(Failure::new(reason, format!("GitHub says `{}`", session.plain(&error.message))))
}
