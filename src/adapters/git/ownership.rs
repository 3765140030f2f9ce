//! Whose commits a branch of our own holds, before it is made anew: what is taken away must be ours, all of it.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use super::command::{Order, arguments};
use super::commit::person;
use super::engine::{Inner, Open};
use super::queue::{Pending, QueueKey};
use super::round::Target;
use super::session::REMOTE;
use super::tree::header;
use crate::model::{CommitAuthor, CommitId, CommitVia, Reason};
use crate::pipeline::git::is_ours;
use crate::ports::GitError;

/// How many commits of ours a branch holds at most; one with more is somebody else's.
const MAXIMUM: usize = 1_000;
/// What a server says when all that was asked for is to be left out (Git, `upload-pack.c`).
const NOTHING: &str = "no commits selected";
/// Who commits what GitHub makes.
const GITHUB: &str = "GitHub <noreply@github.com>";

/// How many branches are remembered.
const MAXIMUM_KNOWN: usize = 10_000;

/// Where branches of our own stood when all that they held was known to be ours, each with the name of its base.
#[derive(Default)]
pub(super) struct Own(Mutex<HashSet<(String, CommitId)>>);

impl Own {
    /// From now on.
    pub fn put(&self, base: &str, tip: &CommitId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAXIMUM_KNOWN {
            known.clear();
        }
        known.insert((base.to_owned(), tip.clone()));
    }

    fn holds(&self, base: &str, tip: &CommitId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(base.to_owned(), tip.clone()))
    }
}

impl Inner {
    /// Refuses to move the branch of `key` where that would take away a commit of somebody else.
    ///
    /// A commit is ours where it names a policy and was committed by us: a person who amends it, or puts it on another one, commits it anew.
    ///
    /// # Errors
    /// `BranchNotOurs`, with the commit.
    pub(super) async fn refuse_foreign(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        pending: &[Pending],
    ) -> Result<(), GitError> {
        let Some(old) = target.old.as_ref().filter(|old| **old != target.base.commit) else { return Ok(()) };
        if self.own.holds(key.base_name(), old) {
            return Ok(());
        }
        let refused = |what: String| {
            let name = key.shown();
            let message =
                format!("`{name}` {what}; it is left alone. Merge or delete it, or let `writeBranch` name another one");
            GitError::new(Reason::BranchNotOurs, message)
        };
        if target.is_default {
            return Err(refused("is the default branch of the repository".to_owned()));
        }
        let commits = self.beyond(open, key, old).await?;
        if commits.len() >= MAXIMUM {
            return Err(refused(format!("holds more than {MAXIMUM} commits that `{}` does not", key.base_name())));
        }
        let committers = committers(key, pending);
        let foreign = commits.iter().find(|(_, text)| !made_by(text, &committers));
        if let Some((id, text)) = foreign {
            let who = header(text, "committer").and_then(|line| Some(line.rsplit_once('>')?.0)).unwrap_or_default();
            let who = who.split(" <").next().unwrap_or_default();
            return Err(refused(format!("holds a commit that is not of this controller, {} by {who}", id.short())));
        }
        self.own.put(key.base_name(), old);
        Ok(())
    }

    /// The commits of the branch that is written which the one that is read does not hold, with their texts, the newest first; its tip in any case. They are
    /// asked for beside our copy, whose history ends at each tip.
    async fn beyond(&self, open: &Open, key: &QueueKey, old: &CommitId) -> Result<Vec<(CommitId, String)>, GitError> {
        let what = format!("cannot look at the commits of `{}`", key.shown());
        let local = |error: std::io::Error| GitError::new(Reason::GitFailed, format!("{what}: {error}"));
        let folder = tempfile::Builder::new().prefix("commits-").tempdir_in(&self.settings.state).map_err(local)?;
        let format = if old.as_str().len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let run = async |words: Vec<String>, input: Vec<u8>, remote: bool| {
            let session = Some(&open.session).filter(|_| remote);
            self.git.run(folder.path(), Order { what: what.clone(), arguments: words, input, session }).await
        };
        run(arguments(["init", "--quiet", "--bare", "--template=", format]), Vec::new(), false).await?;
        let fetch = |limit: String, refspecs: &[&str]| {
            let mut words = arguments(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=tree:0"]);
            words.extend([limit, "--recurse-submodules=no".to_owned(), "--".to_owned(), REMOTE.to_owned()]);
            words.extend(refspecs.iter().map(|name| (*name).to_owned()));
            words
        };
        let (read, written) = (key.base_name(), key.written_name());
        let own = format!("+refs/heads/{written}:refs/fairlead/own");
        let base = format!("+refs/heads/{read}:refs/fairlead/base");
        match run(fetch(format!("--shallow-exclude=refs/heads/{read}"), &[&own]), Vec::new(), true).await {
            Ok(_) => {}
            Err(error) if error.message.contains(NOTHING) => {
                run(fetch("--depth=1".to_owned(), &[&own]), Vec::new(), true).await?;
            }
            // A server that cannot leave out the history of another branch.
            Err(_) => {
                run(fetch(format!("--depth={MAXIMUM}"), &[&own, &base]), Vec::new(), true).await?;
            }
        }
        let list = arguments(["rev-list", "--glob=refs/fairlead/own*", "--not", "--glob=refs/fairlead/base*"]);
        let listed = run(list, Vec::new(), false).await?;
        let mut ids: Vec<CommitId> = String::from_utf8_lossy(&listed).lines().filter_map(CommitId::new).collect();
        if ids.is_empty() {
            ids.push(old.clone());
        }
        ids.truncate(MAXIMUM);
        let mut commits = Vec::new();
        for id in ids {
            let words = arguments(["cat-file", "commit", id.as_str()]);
            let text = run(words, Vec::new(), false).await?;
            commits.push((id, String::from_utf8_lossy(&text).into_owned()));
        }
        Ok(commits)
    }
}

/// Who commits for the policies that share the branch.
fn committers(key: &QueueKey, pending: &[Pending]) -> BTreeSet<String> {
    let usual = CommitAuthor::default();
    let authors = pending.iter().map(|one| &one.plan.commit.author).chain([&usual]);
    let github = [GITHUB.to_owned()].into_iter().filter(|_| key.via == CommitVia::GitHubApi);
    authors.map(person).chain(github).collect()
}

/// Whether one of `committers` made a commit with this text for a policy.
fn made_by(text: &str, committers: &BTreeSet<String>) -> bool {
    let message = text.split_once("\n\n").map_or("", |(_, message)| message);
    let committer = header(text, "committer").and_then(|line| line.rfind('>').map(|end| &line[..=end]));
    is_ours(message) && committer.is_some_and(|committer| committers.contains(committer))
}
