//! What the REST APIs of GitHub and of Gitea have in common: pull requests under `repos/<owner>/<name>`.

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::session::Session;
use crate::model::{MergeMethod, PullRequestDraft};
use crate::ports::ForgeError;

/// The address of something of the repository.
pub(super) fn url(session: &Session<'_>, rest: &[&str], query: &[(&str, &str)]) -> url::Url {
    let mut path = vec!["repos", session.address.owner(), session.address.name()];
    path.extend(rest);
    session.url(&path, query)
}

/// Opens a pull request, without its labels and reviewers.
pub(super) async fn open<T: DeserializeOwned>(
    session: &Session<'_>,
    draft: &PullRequestDraft,
) -> Result<T, ForgeError> {
    let PullRequestDraft { head, base, title, body, labels: _, reviewers: _ } = draft;
    let body = json!({ "head": head, "base": base, "title": title, "body": body });
    session.open(url(session, &["pulls"], &[]), body).await
}

/// Gives a pull request another title and text.
pub(super) async fn update<T: DeserializeOwned>(
    session: &Session<'_>,
    number: u64,
    draft: &PullRequestDraft,
) -> Result<T, ForgeError> {
    let body = json!({ "title": draft.title, "body": draft.body });
    let url = url(session, &["pulls", &number.to_string()], &[]);
    session.change(&format!("update pull request #{number}"), Method::PATCH, url, body).await
}

/// Asks for reviews. A team is written `organisation/team`, and asked by its own name.
pub(super) async fn ask_for_review(session: &Session<'_>, number: &str, names: &[String]) -> Result<(), ForgeError> {
    if names.is_empty() {
        return Ok(());
    }
    let (teams, users): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| name.contains('/'));
    let teams: Vec<&str> = teams.iter().filter_map(|name| name.rsplit('/').next()).collect();
    let words = format!("ask for a review of pull request #{number}");
    let url = url(session, &["pulls", number, "requested_reviewers"], &[]);
    let body = json!({ "reviewers": users, "team_reviewers": teams });
    session.change_only(&words, Method::POST, url, body).await
}

pub(super) async fn set_body(session: &Session<'_>, number: u64, body: &str) -> Result<(), ForgeError> {
    let url = url(session, &["pulls", &number.to_string()], &[]);
    session.change_only(&format!("update pull request #{number}"), Method::PATCH, url, json!({ "body": body })).await
}

pub(super) async fn close(session: &Session<'_>, number: u64, body: &str, comment: &str) -> Result<(), ForgeError> {
    let (words, name) = (format!("close pull request #{number}"), number.to_string());
    let close = json!({ "state": "closed", "body": body });
    session.change_only(&words, Method::PATCH, url(session, &["pulls", &name], &[]), close).await?;
    let words = format!("comment on pull request #{number}");
    let comments = url(session, &["issues", &name, "comments"], &[]);
    session.change_only(&words, Method::POST, comments, json!({ "body": comment })).await
}

/// The word for a way to merge.
pub(super) const fn word(method: MergeMethod) -> &'static str {
    match method {
        MergeMethod::Merge => "merge",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase",
    }
}
