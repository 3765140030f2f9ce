//! What `git ls-remote` tells.

use std::collections::HashMap;

use crate::model::{CommitId, GitBranch, GitTip, Reason};
use crate::ports::GitError;

/// Refs of a remote repository.
#[derive(Debug, Clone, Default)]
pub(super) struct Refs {
    /// The branch that `HEAD` names.
    head: Option<String>,
    refs: HashMap<String, CommitId>,
}

impl Refs {
    /// From what `git ls-remote --symref` prints.
    pub fn parse(text: &str) -> Self {
        let mut refs = Self::default();
        for line in text.lines() {
            match line.split_once('\t') {
                Some((target, "HEAD")) if target.starts_with("ref: refs/heads/") => {
                    refs.head = target.strip_prefix("ref: refs/heads/").map(str::to_owned);
                }
                Some((commit, name)) => {
                    refs.refs.extend(CommitId::new(commit).map(|commit| (name.to_owned(), commit)));
                }
                None => {}
            }
        }
        refs
    }

    /// Whether `branch` is the one that `HEAD` names, where that was asked for.
    pub fn is_default(&self, branch: &str) -> bool {
        self.head.as_deref() == Some(branch)
    }

    /// Where `branch` stands.
    pub fn commit(&self, branch: &str) -> Option<&CommitId> {
        self.refs.get(&format!("refs/heads/{branch}"))
    }

    /// The tip of the branch that was asked for.
    pub fn tip(&self, asked: &GitBranch) -> Result<GitTip, GitError> {
        let missing = |what: String| GitError::new(Reason::GitBranchNotFound, what);
        if let Some(branch) = &asked.branch {
            let commit = self.commit(branch).cloned();
            let commit = commit.ok_or_else(|| missing(format!("`{asked}`: there is no such branch")))?;
            return Ok(GitTip { branch: branch.clone(), commit });
        }
        match (&self.head, self.refs.get("HEAD")) {
            (Some(branch), Some(commit)) => Ok(GitTip { branch: branch.clone(), commit: commit.clone() }),
            _ => Err(missing(format!("`{asked}` has no default branch; name one"))),
        }
    }
}
