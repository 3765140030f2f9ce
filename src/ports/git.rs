//! Git, as the pipeline needs it.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{
    ApplicationId, CommitId, GitBranch, GitCommit, GitEntry, GitPlan, GitTip, GitWritten, PolicyId, Reason,
};

/// Branches of remote repositories: reading at the tip, and writing.
#[async_trait]
pub trait Git: Send + Sync {
    /// Where a branch stands, no older than `fresh_since`. Costs at most one look-up of refs, shared by all who ask.
    async fn tip(&self, branch: &GitBranch, fresh_since: Timestamp) -> Result<GitTip, GitError>;

    /// What stands at `paths` of the commit `tip`, in the order of `paths`. Links are not followed: a path that leads through one is
    /// [`GitEntry::Other`].
    async fn read(&self, branch: &GitBranch, tip: &GitTip, paths: &[String]) -> Result<Vec<GitEntry>, GitError>;

    /// What the commit `tip` says of itself.
    async fn commit(&self, branch: &GitBranch, tip: &GitTip) -> Result<GitCommit, GitError>;

    /// Writes a plan: all of it or nothing, on whatever the branch's tip is by then.
    ///
    /// Plans for one branch are gathered for a moment and written together. Returns when the remote branch contains the edits, however
    /// often it moved meanwhile. A branch other than the one that was read is ours: it is made anew from the base with this change.
    ///
    /// # Errors
    /// [`GitError::changed`] when what the plan tests is no longer so at the tip: read it anew and decide again.
    async fn write(&self, plan: GitPlan) -> Result<GitWritten, GitError>;

    /// Removes a branch that stands at `commit`; whether it is gone. One that stands elsewhere stays as it is: the server compares and removes at once.
    async fn remove(&self, branch: &GitBranch, commit: &CommitId) -> Result<bool, GitError>;

    /// Says which plans of a policy stand on branches of our own now, each with the name of its base; those of `undecided` Applications stay as
    /// they were, and no others of the policy stand.
    ///
    /// Such a branch is made anew with all that stands on it, as long as that can be done on the base. So those who share one do not drop each other's
    /// changes. A plan that was written stands by itself.
    fn stand(&self, policy: &PolicyId, undecided: &[ApplicationId], plans: Vec<GitPlan>);
}

/// Why Git gave no usable answer, or a plan was not written. Nothing was changed, except where the message says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GitError {
    /// The class of failure: one of the Git reasons.
    pub reason: Reason,
    /// What was tried on which branch, and what came back; never a secret.
    pub message: String,
    /// Whether the plan was decided on a state that is gone.
    pub changed: bool,
}

impl GitError {
    /// A failure.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), changed: false }
    }

    /// The plan was decided on a state that is gone.
    pub fn changed(message: impl Into<String>) -> Self {
        Self { reason: Reason::WriteConflict, message: message.into(), changed: true }
    }
}
