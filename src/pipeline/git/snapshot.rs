//! What stands in the files that policies write, at the tips of their branches. One look-up of refs and one reading a branch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use super::destination::{Destination, plain_address};
use crate::model::{Application, GitBranch, GitEntry, GitTip, Policy, Problem, Reason};
use crate::ports::{Git, GitError};

/// What stands in the files that policies write.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    branches: BTreeMap<GitBranch, Result<Tree, GitError>>,
}

/// The files of one branch, as far as they were read.
#[derive(Debug, Clone)]
struct Tree {
    tip: GitTip,
    entries: BTreeMap<String, GitEntry>,
}

/// A file, or that it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The branch that it was read from, by name.
    pub branch: String,
    /// Its text; `None`: it is missing.
    pub text: Option<Arc<str>>,
}

impl Snapshot {
    /// Reads what policies need to know of Applications, as far as they write to Git: `ours` all of it, `strangers` in the same
    /// repositories alone, each with its own credentials.
    pub async fn read(
        git: Option<&dyn Git>,
        (ours, our_applications): (&[&Policy], &[Arc<Application>]),
        (strangers, their_applications): (&[&Policy], &[Arc<Application>]),
        fresh_since: Timestamp,
    ) -> Self {
        let Some(git) = git else { return Self::default() };
        let mut wanted: BTreeMap<GitBranch, BTreeSet<String>> = BTreeMap::new();
        for destination in destinations(ours, our_applications) {
            let paths = destination.paths();
            wanted.entry(destination.branch).or_default().extend(paths);
        }
        let repositories: BTreeSet<String> = wanted.keys().map(|branch| plain_address(&branch.repository)).collect();
        let shared = |destination: &Destination| repositories.contains(&plain_address(&destination.branch.repository));
        for destination in destinations(strangers, their_applications).into_iter().filter(shared) {
            let paths = destination.paths();
            wanted.entry(destination.branch).or_default().extend(paths);
        }
        let read = wanted.into_iter().map(async |(branch, paths)| {
            let tree = Tree::read(git, &branch, paths, fresh_since).await;
            (branch, tree)
        });
        Self { branches: join_all(read).await.into_iter().collect() }
    }

    /// The commit that was read of a branch.
    pub fn tip(&self, branch: &GitBranch) -> Option<&GitTip> {
        self.branches.get(branch)?.as_ref().ok().map(|tree| &tree.tip)
    }

    /// The file at `path`.
    ///
    /// # Errors
    /// A problem where the branch could not be read, or something else than a file stands there.
    pub fn file(&self, branch: &GitBranch, path: &str) -> Result<Found, Problem> {
        let tree = match self.branches.get(branch) {
            Some(Ok(tree)) => tree,
            Some(Err(error)) => return Err(Problem::new(error.reason, error.message.clone())),
            None => {
                let message = format!("`{branch}` was not read: Git is not set up here");
                return Err(Problem::new(Reason::GitNotSetUp, message));
            }
        };
        let unusable = |what: &str| {
            let message = format!("`{path}` of `{branch}` is not edited: it is {what}");
            Err(Problem::new(Reason::UnusableFile, message))
        };
        let text = match tree.entries.get(path) {
            Some(GitEntry::File(text)) => Some(text.as_str().into()),
            Some(GitEntry::Missing) | None => None,
            Some(GitEntry::Folder(_)) => return unusable("a folder"),
            Some(GitEntry::Other(what)) => return unusable(what),
        };
        Ok(Found { branch: tree.tip.branch.clone(), text })
    }
}

/// Where policies write, as far as they do not rest.
fn destinations(policies: &[&Policy], applications: &[Arc<Application>]) -> Vec<Destination> {
    let mut all = Vec::new();
    for policy in policies.iter().filter(|policy| !policy.suspended) {
        let Some(settings) = policy.write_back.git() else { continue };
        let matching = applications.iter().filter(|found| policy.matches(&found.id, &found.labels));
        for application in matching.filter(|found| !found.deleting && found.skipped.is_none()) {
            all.extend(policy.images.iter().filter_map(|image| Destination::of(settings, image, application).ok()));
        }
    }
    all
}

impl Tree {
    async fn read(
        git: &dyn Git,
        branch: &GitBranch,
        paths: BTreeSet<String>,
        fresh_since: Timestamp,
    ) -> Result<Self, GitError> {
        let tip = git.tip(branch, fresh_since).await?;
        let paths: Vec<String> = paths.into_iter().collect();
        let entries = git.read(branch, &tip, &paths).await?;
        Ok(Self { tip, entries: paths.into_iter().zip(entries).collect() })
    }
}
