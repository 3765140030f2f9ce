//! Reading files: all who ask at about the same time share one fetch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::engine::{Inner, Open};
use super::tree::{Standing, commit_text, header, standing, unreadable};
use crate::model::{GitBranch, GitCommit, GitEntry, GitTip, Reason};
use crate::pipeline::git::is_ours;
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
        let mut open = self.open(branch).await?;
        self.standing(&mut open, branch, tip, paths).await
    }

    /// What the commit `tip` says of itself.
    pub async fn commit(&self, branch: &GitBranch, tip: &GitTip) -> Result<GitCommit, GitError> {
        let Open { session, mirror, key: _ } = self.open(branch).await?;
        let shown = branch.to_string();
        let text = async {
            let _change = mirror.change.lock().await;
            mirror.prepare(&self.git, &tip.commit).await?;
            mirror.ensure(&self.git, &session, &tip.branch, &tip.commit, &shown).await?;
            commit_text(&mirror, &self.git, &session, &tip.commit, &shown).await
        };
        let text = text.await;
        self.copies.tidy(&mirror, false).await;
        commit_of(&text?).ok_or_else(|| unreadable(tip.commit.as_str(), &shown))
    }

    /// What stands at `paths` of `tip`. A copy that is broken or has grown too large is made anew, once; `open` has the one that was read.
    pub async fn standing(
        &self,
        open: &mut Open,
        branch: &GitBranch,
        tip: &GitTip,
        paths: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Standing>, GitError> {
        open.mirror = self.copies.fit(&open.mirror);
        match self.try_standing(open, branch, tip, paths).await {
            Err(error) if error.reason == Reason::GitFailed => {
                tracing::debug!(error = error.message, "the copy of a repository is made anew");
                open.mirror = self.copies.anew(&open.mirror);
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
        let Open { session, mirror, key: _ } = open;
        let shown = branch.to_string();
        let found = async {
            let _change = mirror.change.lock().await;
            mirror.prepare(&self.git, &tip.commit).await?;
            mirror.ensure(&self.git, session, &tip.branch, &tip.commit, &shown).await?;
            standing(mirror, &self.git, session, &tip.commit, paths, &shown).await
        };
        let found = found.await;
        self.copies.tidy(mirror, found.is_ok()).await;
        found
    }
}

/// What a commit's text says: `author Name <mail> seconds zone` among its headers, then an empty line and the message.
fn commit_of(text: &str) -> Option<GitCommit> {
    let (author, rest) = header(text, "author")?.split_once(" <")?;
    let seconds = rest.rsplit_once("> ")?.1.split(' ').next()?.parse().ok()?;
    let message = text.split_once("\n\n").map_or("", |(_, message)| message);
    let subject = message.lines().next().unwrap_or_default().to_owned();
    Some(GitCommit {
        author: author.to_owned(),
        at: Timestamp::from_second(seconds).ok()?,
        subject,
        ours: is_ours(message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_tells_who_made_it_and_when() {
        let text = "tree 1\nparent 2\nauthor A <b> Person <a@b.c> 1700000000 +0100\ncommitter x <y> 1 +0000\n\nThe subject\n\nbody\n";
        let found = commit_of(text).expect("a commit");
        let at = Timestamp::from_second(1_700_000_000).expect("a time");
        assert_eq!(found, GitCommit { author: "A".to_owned(), at, subject: "The subject".to_owned(), ours: false });
        let text = "author A <a@b.c> 1 +0000\n\nThe subject\n\nFairlead-Policy: argocd/web\n";
        assert!(commit_of(text).is_some_and(|commit| commit.ours));
        assert_eq!(commit_of("tree 1\n\nauthor Person <a@b.c> 1 +0000\n"), None);
    }
}
