//! Where branches stand: one look-up for all who ask, and for all branches of a repository that are asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::refs::Refs;
use crate::model::{GitBranch, GitTip};
use crate::ports::GitError;

/// How many repositories are remembered.
const MAXIMUM: usize = 10_000;
/// How many branches of a repository are looked up together.
const MAXIMUM_BRANCHES: usize = 16;
/// How long a branch that nobody asks for is looked up with the others.
const WANTED: SignedDuration = SignedDuration::from_hours(1);

/// A repository as all see it who come with one login, however its address is spelled: see [`super::engine::Inner::place`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RepositoryKey(pub String);

/// The last answers.
#[derive(Default)]
pub(super) struct Tips(Mutex<HashMap<RepositoryKey, Arc<tokio::sync::Mutex<Known>>>>);

/// What is known of a repository.
#[derive(Default)]
struct Known {
    /// The branches that are asked for, and when they were last; `None`: the one that `HEAD` names.
    wanted: BTreeMap<Option<String>, Timestamp>,
    answer: Option<Answer>,
}

/// The last answer, good or bad.
struct Answer {
    asked: Timestamp,
    branches: Vec<Option<String>>,
    refs: Result<Arc<Refs>, GitError>,
}

impl Tips {
    /// Where `branch` stands, asked for no earlier than `fresh_since`. `look` asks anew, for all these branches. All who ask meanwhile wait for
    /// that answer.
    pub async fn tip<F: Future<Output = Result<Refs, GitError>>>(
        &self,
        key: RepositoryKey,
        branch: &GitBranch,
        fresh_since: Timestamp,
        now: impl Fn() -> Timestamp,
        look: impl FnOnce(Vec<Option<String>>) -> F,
    ) -> Result<GitTip, GitError> {
        let slot = self.slot(key);
        let mut known = slot.lock().await;
        let asked = now();
        known.want(branch.branch.as_ref(), asked);
        let fits = |answer: &&Answer| answer.asked >= fresh_since && answer.branches.contains(&branch.branch);
        if let Some(answer) = known.answer.as_ref().filter(fits) {
            return answer.refs.clone()?.tip(branch);
        }
        let branches: Vec<Option<String>> = known.wanted.keys().cloned().collect();
        let refs = look(branches.clone()).await.map(Arc::new);
        known.answer = Some(Answer { asked, branches, refs: refs.clone() });
        refs?.tip(branch)
    }

    /// Forgets what is known of a repository, because we moved a branch of it.
    pub fn forget(&self, key: &RepositoryKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn slot(&self, key: RepositoryKey) -> Arc<tokio::sync::Mutex<Known>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAXIMUM && !slots.contains_key(&key) {
            slots.clear();
        }
        slots.entry(key).or_default().clone()
    }
}

impl Known {
    fn want(&mut self, branch: Option<&String>, now: Timestamp) {
        let branch = branch.cloned();
        self.wanted.retain(|_, last| now.duration_since(*last) <= WANTED);
        if self.wanted.len() >= MAXIMUM_BRANCHES && !self.wanted.contains_key(&branch) {
            let oldest = self.wanted.iter().min_by_key(|(_, last)| **last).map(|(branch, _)| branch.clone());
            oldest.map(|oldest| self.wanted.remove(&oldest));
        }
        self.wanted.insert(branch, now);
    }
}
