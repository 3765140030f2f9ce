//! Where branches stand: one look-up for all who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::model::{GitAccess, GitBranch, GitTip};
use crate::ports::GitError;

/// How many branches are remembered.
const MAXIMUM: usize = 10_000;

/// A branch of a repository, as somebody who may read it asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TipKey {
    repository: (String, GitAccess),
    branch: Option<String>,
}

impl TipKey {
    /// The key of `branch`. Answers are never shared between accesses.
    pub fn new(branch: &GitBranch) -> Self {
        Self { repository: (branch.repository.clone(), branch.access.clone()), branch: branch.branch.clone() }
    }
}

/// The last answer for a branch, good or bad, and when it was asked for.
type Answer = Option<(Timestamp, Result<GitTip, GitError>)>;

/// The last answers.
#[derive(Default)]
pub(super) struct Tips(Mutex<HashMap<TipKey, Arc<tokio::sync::Mutex<Answer>>>>);

impl Tips {
    /// The answer for `key`, asked for no earlier than `fresh_since`; `look` asks anew. All who ask meanwhile wait for that answer.
    pub async fn tip<F: Future<Output = Result<GitTip, GitError>>>(
        &self,
        key: TipKey,
        fresh_since: Timestamp,
        now: impl Fn() -> Timestamp,
        look: impl FnOnce() -> F,
    ) -> Result<GitTip, GitError> {
        let slot = self.slot(key);
        let mut answer = slot.lock().await;
        if let Some((asked, known)) = &*answer
            && *asked >= fresh_since
        {
            return known.clone();
        }
        let asked = now();
        let found = look().await;
        *answer = Some((asked, found.clone()));
        found
    }

    /// Forgets what is known of a branch that we moved, by whatever name it was asked for.
    pub fn forget_branch(&self, branch: &GitBranch) {
        let repository = TipKey::new(branch).repository;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| {
            key.repository != repository || key.branch.as_ref().is_some_and(|name| Some(name) != branch.branch.as_ref())
        });
    }

    fn slot(&self, key: TipKey) -> Arc<tokio::sync::Mutex<Answer>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAXIMUM && !slots.contains_key(&key) {
            slots.clear();
        }
        slots.entry(key).or_default().clone()
    }
}
