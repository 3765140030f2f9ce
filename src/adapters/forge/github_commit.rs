//! Commits made by GitHub itself, so that they carry its signature and the badge "Verified".
//!
//! Shape: <https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch>. GitHub signs for the owner of the token: a GitHub App gets the
//! badge for its bot, and an author of one's own cannot be set.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Forges;
use super::github::graphql;
use super::session::Session;
use crate::model::{CommitId, ForgeRepository, PullRequestProvider, Reason};
use crate::ports::ForgeError;

/// Mutations may be large, but no change of versions is: larger is a mistake.
const MAXIMUM_BYTES: usize = 16 * 1024 * 1024;
const COMMIT: &str =
    "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }";

/// A commit that GitHub is to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubCommit {
    /// Where.
    pub branch: CommitBranch,
    /// The message: subject, empty line, body, trailers.
    pub message: String,
    /// The whole content of each file that changes, by its path from the root; never empty. Several Applications may share a commit.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The branch that gets a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitBranch {
    /// One that has to stand at `tip` still.
    Existing {
        /// The branch, without `refs/heads/`.
        name: String,
        /// The commit that the files were decided on.
        tip: CommitId,
    },
    /// One of ours, that is made anew upon `base`: afterwards it holds this one commit and nothing else of its own. A pull request from it
    /// stays open meanwhile.
    Anew {
        /// The branch, without `refs/heads/`.
        name: String,
        /// The commit that the files were decided on.
        base: CommitId,
        /// Where the branch stands; `None`: there is none. Elsewhere, the commit is refused.
        tip: Option<CommitId>,
    },
}

#[derive(Deserialize)]
struct Reference {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: String,
}

impl Forges {
    /// Makes a commit by GitHub's API.
    ///
    /// # Guarantees
    /// Nothing is written when the branch is not where it was said to be: [`Reason::WriteConflict`]; read it anew and decide again. A branch that
    /// is made anew is moved once, when the commit is there: it never stands at its base alone, which would close its pull request.
    ///
    /// # Errors
    /// Also [`Reason::ForgeRejected`] where the repository is not GitHub's, or GitHub refuses the commit.
    pub async fn commit_by_github(&self, at: &ForgeRepository, commit: &GitHubCommit) -> Result<CommitId, ForgeError> {
        let words = "commit by GitHub's API";
        if at.provider != PullRequestProvider::GitHub {
            let message = format!("cannot {words} in `{at}`: it is a repository of {}", at.provider);
            return Err(ForgeError::new(Reason::ForgeRejected, message));
        }
        let session = self.session(at).await?;
        let bytes: usize = commit.files.values().map(Vec::len).sum();
        if commit.files.is_empty() || bytes > MAXIMUM_BYTES {
            let cause = format!("it has {} files with {bytes} bytes", commit.files.len());
            return Err(session.error(Reason::ForgeRejected, words, &cause));
        }
        match &commit.branch {
            CommitBranch::Existing { name, tip } => create(&session, name, tip, commit).await,
            CommitBranch::Anew { name, base, tip } => anew(&session, name, base, tip.as_ref(), commit).await,
        }
    }
}

async fn create(
    session: &Session<'_>,
    branch: &str,
    tip: &CommitId,
    commit: &GitHubCommit,
) -> Result<CommitId, ForgeError> {
    let words = format!("commit to `{branch}` by GitHub's API");
    let (headline, body) = commit.message.split_once('\n').unwrap_or((&commit.message, ""));
    let additions: Vec<Value> = commit
        .files
        .iter()
        .map(|(path, content)| json!({ "path": path, "contents": STANDARD.encode(content) }))
        .collect();
    let input = json!({
        "branch": { "repositoryNameWithOwner": session.address.full(), "branchName": branch },
        "message": { "headline": headline.trim_end(), "body": body.trim() },
        "expectedHeadOid": tip.as_str(),
        "fileChanges": { "additions": additions },
    });
    let answer = graphql(session, &words, COMMIT, json!({ "input": input })).await?;
    let made = answer["createCommitOnBranch"]["commit"]["oid"].as_str().and_then(CommitId::new);
    made.ok_or_else(|| session.error(Reason::ForgeFailed, &words, "the answer names no commit"))
}

/// Makes the commit on a branch of its own, and moves the branch to it. The other branch goes again, whatever happens.
async fn anew(
    session: &Session<'_>,
    name: &str,
    base: &CommitId,
    tip: Option<&CommitId>,
    commit: &GitHubCommit,
) -> Result<CommitId, ForgeError> {
    let words = format!("make the branch `{name}` anew");
    expect(session, &words, name, tip).await?;
    let other = format!("{name}-in-the-making-{}", base.short());
    let (refs, at) = (["git", "refs"], |branch: &str| url(session, &["git", "refs", "heads"], branch));
    let making = json!({ "ref": format!("refs/heads/{other}"), "sha": base.as_str() });
    if present(session, &words, &other).await?.is_some() {
        // Left by a process that ended in between.
        session.change_only(&words, Method::DELETE, at(&other), Value::Null).await?;
    }
    session.change_only(&words, Method::POST, url(session, &refs, ""), making).await?;
    let result = match create(session, &other, base, commit).await {
        Ok(made) => moved(session, &words, name, tip, &made).await.map(|()| made),
        Err(error) => Err(error),
    };
    let removed = session.change_only(&words, Method::DELETE, at(&other), Value::Null).await;
    result.and_then(|made| removed.map(|()| made))
}

/// Moves the branch to the commit, or makes it there.
async fn moved(
    session: &Session<'_>,
    words: &str,
    name: &str,
    tip: Option<&CommitId>,
    made: &CommitId,
) -> Result<(), ForgeError> {
    expect(session, words, name, tip).await?;
    if tip.is_some() {
        let body = json!({ "sha": made.as_str(), "force": true });
        return session.change_only(words, Method::PATCH, url(session, &["git", "refs", "heads"], name), body).await;
    }
    let body = json!({ "ref": format!("refs/heads/{name}"), "sha": made.as_str() });
    session.change_only(words, Method::POST, url(session, &["git", "refs"], ""), body).await
}

/// Refuses unless the branch stands at `tip`.
async fn expect(session: &Session<'_>, words: &str, name: &str, tip: Option<&CommitId>) -> Result<(), ForgeError> {
    let present = present(session, words, name).await?;
    if present.as_deref() == tip.map(CommitId::as_str) {
        return Ok(());
    }
    let cause = "the branch stands elsewhere by now";
    Err(session.error(Reason::WriteConflict, words, cause))
}

/// The commit that a branch names; `None`: there is no such branch.
async fn present(session: &Session<'_>, words: &str, branch: &str) -> Result<Option<String>, ForgeError> {
    let found: Option<Reference> = session.get_if_there(words, url(session, &["git", "ref", "heads"], branch)).await?;
    Ok(found.map(|reference| reference.object.sha))
}

/// The address of something of the repository; a branch keeps the `/` in its name.
fn url(session: &Session<'_>, rest: &[&str], branch: &str) -> url::Url {
    let mut path = vec!["repos", session.address.owner(), session.address.name()];
    path.extend(rest);
    path.extend(branch.split('/').filter(|part| !part.is_empty()));
    session.url(&path, &[])
}
