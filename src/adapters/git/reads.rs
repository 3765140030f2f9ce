//! Reading files: all who ask at about the same time share one fetch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::engine::{Inner, Open};
use super::tree::{Standing, standing};
use crate::model::{GitBranch, GitEntry, GitTip, Reason};
use crate::ports::GitError;

/// How long others are waited for.
const WINDOW: Duration = Duration::from_millis(50);

type Found = Result<Arc<BTreeMap<String, Standing>>, GitError>;

/// The branch with its access, and the commit.
type Key = (GitBranch, GitTip);

#[derive(Default)]
struct Waiting {
    paths: BTreeSet<String>,
    asking: Vec<oneshot::Sender<Found>>,
}

/// Questions for files.
pub(super) struct Reads {
    inner: Arc<Inner>,
    waiting: Arc<Mutex<HashMap<Key, Waiting>>>,
}

impl Reads {
    /// No questions so far.
    pub fn new(inner: Arc<Inner>) -> Self {
        Self { inner, waiting: Arc::default() }
    }

    /// What stands at `paths` of `tip`.
    pub async fn read(&self, branch: &GitBranch, tip: &GitTip, paths: &[String]) -> Result<Vec<GitEntry>, GitError> {
        let (send, receive) = oneshot::channel();
        let key = (branch.clone(), tip.clone());
        let first = {
            let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let first = !all.contains_key(&key);
            let waiting = all.entry(key.clone()).or_default();
            waiting.paths.extend(paths.iter().cloned());
            waiting.asking.push(send);
            first
        };
        if first {
            let (inner, all) = (self.inner.clone(), self.waiting.clone());
            tokio::spawn(async move {
                tokio::time::sleep(WINDOW).await;
                let waiting = all.lock().unwrap_or_else(PoisonError::into_inner).remove(&key).unwrap_or_default();
                let found = inner.read(&key.0, &key.1, &waiting.paths).await.map(Arc::new);
                for asking in waiting.asking {
                    // Who does not wait any more needs no answer.
                    let _ = asking.send(found.clone());
                }
            });
        }
        let gone = || GitError::new(Reason::GitFailed, format!("reading `{branch}` was broken off"));
        let found = receive.await.map_err(|_| gone())??;
        let entry = |path: &String| found.get(path).map_or(GitEntry::Missing, |standing| standing.entry.clone());
        Ok(paths.iter().map(entry).collect())
    }
}

impl Inner {
    async fn read(
        &self,
        branch: &GitBranch,
        tip: &GitTip,
        paths: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Standing>, GitError> {
        let open = self.open(branch).await?;
        self.standing(&open, branch, tip, paths).await
    }

    /// What stands at `paths` of `tip`. A copy that is broken is made anew, once.
    pub async fn standing(
        &self,
        open: &Open,
        branch: &GitBranch,
        tip: &GitTip,
        paths: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Standing>, GitError> {
        let _change = open.mirror.change.lock().await;
        match self.try_standing(open, branch, tip, paths).await {
            Err(error) if error.reason == Reason::GitFailed => {
                tracing::debug!(error = error.message, "the copy of a repository is made anew");
                open.mirror.discard()?;
                self.try_standing(open, branch, tip, paths).await
            }
            found => found,
        }
    }

    async fn try_standing(
        &self,
        open: &Open,
        branch: &GitBranch,
        tip: &GitTip,
        paths: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Standing>, GitError> {
        let Open { session, mirror, .. } = open;
        let shown = branch.to_string();
        mirror.prepare(&self.git, &tip.commit, self.settings.maximum_copy).await?;
        mirror.ensure(&self.git, session, &tip.branch, &tip.commit, &shown).await?;
        let found = standing(mirror, &self.git, session, &tip.commit, paths, &shown).await?;
        self.tidy(mirror);
        Ok(found)
    }
}
