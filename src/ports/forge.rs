//! A forge, as the pipeline needs it.

use std::time::Duration;

use async_trait::async_trait;

use crate::model::{CommitId, ForgeCommit, ForgeRepository, MergeMethod, PullRequest, PullRequestDraft, Reason};

/// Pull requests of repositories.
///
/// # Guarantees
/// A call ends within a bounded time. A forge that asks to wait, or that fails, is left alone for a while: calls fail at once then.
#[async_trait]
pub trait Forge: Send + Sync {
    /// The pull requests from the branch `head` to the branch `base`, whatever became of them, newest first; the newest of many.
    async fn find(&self, at: &ForgeRepository, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError>;

    /// The open pull requests to the branch `base`, newest first; the newest of many.
    async fn open_on(&self, at: &ForgeRepository, base: &str) -> Result<Vec<PullRequest>, ForgeError>;

    /// The numbers of the open pull requests that bring the branch `branch` or go to it.
    async fn using(&self, at: &ForgeRepository, branch: &str) -> Result<Vec<u64>, ForgeError>;

    /// Opens a pull request.
    ///
    /// # Errors
    /// [`ForgeError::exists`] when there is an open one between the two branches.
    async fn open(&self, at: &ForgeRepository, draft: &PullRequestDraft) -> Result<PullRequestWritten, ForgeError>;

    /// Makes an open pull request look as `draft` says. Labels and reviewers are added, never taken away.
    async fn update(
        &self,
        at: &ForgeRepository,
        number: u64,
        draft: &PullRequestDraft,
    ) -> Result<PullRequestWritten, ForgeError>;

    /// Replaces the text of a pull request, and nothing else.
    async fn set_body(&self, at: &ForgeRepository, number: u64, body: &str) -> Result<(), ForgeError>;

    /// Closes a pull request with `body` as its text from then on, both at once, and says why in a comment.
    async fn close(&self, at: &ForgeRepository, number: u64, body: &str, comment: &str) -> Result<(), ForgeError>;

    /// Has an open pull request merged as soon as the forge's own conditions are met, as long as its head is the one that was seen.
    async fn merge_when_ready(
        &self,
        at: &ForgeRepository,
        pull_request: &PullRequest,
        method: MergeMethod,
    ) -> Result<(), ForgeError>;
}

/// Commits that a forge makes and signs itself.
#[async_trait]
pub trait ForgeCommits: Send + Sync {
    /// Makes a commit on a branch that stands at [`ForgeCommit::tip`], and gives its id.
    ///
    /// # Errors
    /// [`Reason::WriteConflict`] when the branch is not there any more; nothing was written. [`Reason::ForgeRejected`] where the forge makes no commits,
    /// or refuses this one. After any other failure the commit may be there: look at the branch.
    async fn commit(&self, at: &ForgeRepository, commit: &ForgeCommit) -> Result<CommitId, ForgeError>;
}

/// A pull request that was opened or updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestWritten {
    /// As it is now.
    pub pull_request: PullRequest,
    /// What could not be done beside it, each a sentence: a label or a reviewer that the forge does not take.
    pub left_undone: Vec<String>,
}

/// Why a forge gave no usable answer, or did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ForgeError {
    /// The class of failure: one of the forge reasons.
    pub reason: Reason,
    /// What was tried in which repository, and what came back; never a secret.
    pub message: String,
    /// How long the forge asks to wait, where it says so.
    pub retry_after: Option<Duration>,
    /// Whether an open pull request between the two branches is there already.
    pub exists: bool,
}

impl ForgeError {
    /// A failure.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None, exists: false }
    }
}
