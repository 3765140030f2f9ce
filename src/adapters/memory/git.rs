//! Git repositories in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::model::{
    ApplicationId, CommitId, GitBranch, GitCommit, GitEntry, GitPlan, GitTip, GitWritten, PolicyId, Reason,
};
use crate::pipeline::git::{ChangeError, Standing, changed, combined, is_ours};
use crate::ports::{Git, GitError};

/// Git repositories in memory, each with a default branch `main`, and with failures on demand.
///
/// # Caveats
/// Plans are written one by one, each as a commit of its own. There are files and what is declared to be something else; folders follow
/// from the paths of files.
#[derive(Default)]
pub struct MemoryGit {
    state: Mutex<State>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryCommit {
    /// Its name.
    pub id: CommitId,
    /// What it says.
    pub message: String,
    /// Its author, `Name <mail>`.
    pub author: String,
    /// When its author made it, where somebody said so; else the beginning of time.
    pub at: Timestamp,
    /// Every file, by path.
    pub files: BTreeMap<String, GitEntry>,
}

/// What happens at the next write.
enum Turn {
    /// It fails.
    Fail(GitError),
    /// Somebody else pushes this file to the branch first.
    Moved { path: String, text: String },
}

#[derive(Default)]
struct State {
    branches: BTreeMap<(String, String), Vec<MemoryCommit>>,
    turns: VecDeque<Turn>,
    unreadable: BTreeMap<String, GitError>,
    kept: Option<GitError>,
    standing: Standing,
    lookups: usize,
    writes: usize,
    commits: usize,
}

const DEFAULT_BRANCH: &str = "main";

impl MemoryGit {
    /// Commits a file to a branch, as somebody else; the repository and the branch are made where they are missing.
    pub fn push(&self, repository: &str, branch: &str, path: &str, text: &str) -> CommitId {
        self.put(repository, branch, path, GitEntry::File(text.to_owned()))
    }

    /// Says of the newest commit of a branch that `author` made it at `at`.
    pub fn made_by(&self, repository: &str, branch: &str, author: &str, at: Timestamp) {
        let mut state = self.state();
        let commits = state.branches.get_mut(&(repository.to_owned(), branch.to_owned()));
        if let Some(commit) = commits.and_then(|commits| commits.last_mut()) {
            (commit.author, commit.at) = (format!("{author} <{author}@example.com>"), at);
        }
    }

    /// Commits something else than text at a path: a link, a submodule.
    pub fn put(&self, repository: &str, branch: &str, path: &str, entry: GitEntry) -> CommitId {
        self.state().push(repository, branch, path, entry)
    }

    /// Takes a branch away.
    pub fn delete(&self, repository: &str, branch: &str) {
        self.state().branches.remove(&(repository.to_owned(), branch.to_owned()));
    }

    /// The commits of a branch, oldest first.
    pub fn log(&self, repository: &str, branch: &str) -> Vec<MemoryCommit> {
        self.state().branches.get(&(repository.to_owned(), branch.to_owned())).cloned().unwrap_or_default()
    }

    /// The text of a file at the tip of a branch.
    pub fn text(&self, repository: &str, branch: &str, path: &str) -> Option<String> {
        match self.log(repository, branch).last()?.files.get(path)? {
            GitEntry::File(text) => Some(text.clone()),
            GitEntry::Missing | GitEntry::Folder(_) | GitEntry::Other(_) => None,
        }
    }

    /// Lets the next write fail.
    pub fn fail_write(&self, error: GitError) {
        self.state().turns.push_back(Turn::Fail(error));
    }

    /// Lets somebody else push a file to the branch right before the next write; called again, before the one after it.
    pub fn move_before_write(&self, path: &str, text: &str) {
        self.state().turns.push_back(Turn::Moved { path: path.to_owned(), text: text.to_owned() });
    }

    /// Lets every removal of a branch fail.
    pub fn fail_remove(&self, error: GitError) {
        self.state().kept = Some(error);
    }

    /// Answers every look at a repository with `error`, or properly again.
    pub fn fail(&self, repository: &str, error: Option<GitError>) {
        let mut state = self.state();
        match error {
            Some(error) => state.unreadable.insert(repository.to_owned(), error),
            None => state.unreadable.remove(repository),
        };
    }

    /// How many tips were looked up, how many plans given to be written, and how many commits made of them.
    pub fn asked(&self) -> (usize, usize, usize) {
        let state = self.state();
        (state.lookups, state.writes, state.commits)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, repository: &str, branch: &str, path: &str, entry: GitEntry) -> CommitId {
        let tip = self.branches.get(&(repository.to_owned(), branch.to_owned())).and_then(|commits| commits.last());
        let mut files = tip.map(|commit| commit.files.clone()).unwrap_or_default();
        match entry {
            GitEntry::Missing => files.remove(path),
            entry => files.insert(path.to_owned(), entry),
        };
        let message = format!("{path} by hand\n");
        self.commit(repository, branch, message, "A Person <person@example.com>".to_owned(), files)
    }

    fn commit(
        &mut self,
        repository: &str,
        branch: &str,
        message: String,
        author: String,
        files: BTreeMap<String, GitEntry>,
    ) -> CommitId {
        let commits = self.branches.entry((repository.to_owned(), branch.to_owned())).or_default();
        let parent = commits.last().map(|commit| commit.id.to_string()).unwrap_or_default();
        let hash = Sha256::digest(format!("{repository}\n{branch}\n{parent}\n{message}\n{files:?}"));
        let hex = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let id = CommitId::new(hex).expect("64 hexadecimal digits are a commit");
        commits.push(MemoryCommit { id: id.clone(), message, author, at: Timestamp::UNIX_EPOCH, files });
        id
    }

    fn tip(&self, branch: &GitBranch) -> Result<(GitTip, &MemoryCommit), GitError> {
        if let Some(error) = self.unreadable.get(&branch.repository) {
            return Err(error.clone());
        }
        if !self.branches.keys().any(|(repository, _)| *repository == branch.repository) {
            let message = format!("cannot read `{branch}`: the repository does not exist");
            return Err(GitError::new(Reason::GitRepositoryNotFound, message));
        }
        let name = branch.branch.as_deref().unwrap_or(DEFAULT_BRANCH);
        let commits = self.branches.get(&(branch.repository.clone(), name.to_owned()));
        let commit = commits.and_then(|commits| commits.last()).ok_or_else(|| {
            GitError::new(Reason::GitBranchNotFound, format!("cannot read `{branch}`: there is no branch `{name}`"))
        })?;
        Ok((GitTip { branch: name.to_owned(), commit: commit.id.clone() }, commit))
    }

    fn commit_at(&self, branch: &GitBranch, tip: &GitTip) -> Result<&MemoryCommit, GitError> {
        let commits = self.branches.iter().filter(|((repository, _), _)| *repository == branch.repository);
        let found = commits.flat_map(|(_, commits)| commits).find(|commit| commit.id == tip.commit);
        let gone = || GitError::new(Reason::GitFailed, format!("cannot read `{branch}`: there is no `{}`", tip.commit));
        found.ok_or_else(gone)
    }

    fn entry(files: &BTreeMap<String, GitEntry>, path: &str) -> GitEntry {
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        for parent in parents {
            match files.get(parent) {
                Some(GitEntry::Other(what)) => return GitEntry::Other(format!("`{parent}`, {what}")),
                Some(GitEntry::File(_)) => return GitEntry::Other("a path that leads through a file".to_owned()),
                Some(GitEntry::Missing | GitEntry::Folder(_)) | None => {}
            }
        }
        if let Some(entry) = files.get(path) {
            return entry.clone();
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = files.keys().filter_map(|file| file.strip_prefix(&prefix)?.split('/').next());
        let names: std::collections::BTreeSet<&str> = below.collect();
        if names.is_empty() && !path.is_empty() {
            return GitEntry::Missing;
        }
        GitEntry::Folder(names.into_iter().map(ToOwned::to_owned).collect())
    }

    fn write(&mut self, plan: &GitPlan) -> Result<GitWritten, GitError> {
        self.writes += 1;
        match self.turns.pop_front() {
            Some(Turn::Fail(error)) => return Err(error),
            Some(Turn::Moved { path, text }) => {
                let name = plan.base.branch.as_deref().unwrap_or(DEFAULT_BRANCH).to_owned();
                self.push(&plan.base.repository, &name, &path, GitEntry::File(text));
            }
            None => {}
        }
        let (tip, commit) = self.tip(&plan.base)?;
        let mut files = commit.files.clone();
        let named =
            GitPlan { base: GitBranch { branch: Some(tip.branch.clone()), ..plan.base.clone() }, ..plan.clone() };
        let others = if plan.write_branch.is_some() {
            self.standing.check(&named)?;
            self.standing.beside(&[&named])
        } else {
            Vec::new()
        };
        Self::change(&mut files, plan)?;
        for other in &others {
            let mut with = files.clone();
            if Self::change(&mut with, other).is_ok() {
                files = with;
            }
        }
        Ok(self.put(plan, named, &tip, files))
    }

    /// Makes the changes of `plan`.
    fn change(files: &mut BTreeMap<String, GitEntry>, plan: &GitPlan) -> Result<(), GitError> {
        for change in &plan.files {
            let entry = Self::entry(files, &change.path);
            let before = match &entry {
                GitEntry::File(text) => Some(text.as_str()),
                GitEntry::Missing => None,
                GitEntry::Folder(_) => return Err(GitError::changed(format!("`{}` is a folder by now", change.path))),
                GitEntry::Other(what) => {
                    return Err(GitError::changed(format!("`{}` is by now {what}", change.path)));
                }
            };
            let after = changed(before, change).map_err(|error| match error {
                ChangeError::Changed { .. } => GitError::changed(error.to_string()),
                ChangeError::Refused { .. } => GitError::new(Reason::CannotEditLosslessly, error.to_string()),
            })?;
            files.insert(change.path.clone(), GitEntry::File(after));
        }
        Ok(())
    }

    /// Commits `files`, which `plan` made, where they are not there yet.
    fn put(&mut self, plan: &GitPlan, named: GitPlan, tip: &GitTip, files: BTreeMap<String, GitEntry>) -> GitWritten {
        self.standing.put(named);
        let name = plan.write_branch.clone().unwrap_or_else(|| tip.branch.clone());
        let key = (plan.base.repository.clone(), name.clone());
        let there = self.branches.get(&key).and_then(|commits| commits.last());
        if let Some(there) = there.filter(|there| there.files == files) {
            return GitWritten { branch: name, commit: there.id.clone(), pushed: false };
        }
        if name != tip.branch {
            let base = self.branches.get(&(plan.base.repository.clone(), tip.branch.clone())).cloned();
            self.branches.insert(key, base.unwrap_or_default());
        }
        let author = format!("{} <{}>", plan.commit.author.name, plan.commit.author.email);
        let commit = self.commit(&plan.base.repository, &name, combined(&[plan]), author, files);
        self.commits += 1;
        GitWritten { branch: name, commit, pushed: true }
    }
}

#[async_trait]
impl Git for MemoryGit {
    async fn tip(&self, branch: &GitBranch, _: Timestamp) -> Result<GitTip, GitError> {
        let mut state = self.state();
        state.lookups += 1;
        state.tip(branch).map(|(tip, _)| tip)
    }

    async fn read(&self, branch: &GitBranch, tip: &GitTip, paths: &[String]) -> Result<Vec<GitEntry>, GitError> {
        let state = self.state();
        let files = &state.commit_at(branch, tip)?.files;
        Ok(paths.iter().map(|path| State::entry(files, path)).collect())
    }

    async fn commit(&self, branch: &GitBranch, tip: &GitTip) -> Result<GitCommit, GitError> {
        let state = self.state();
        let commit = state.commit_at(branch, tip)?;
        let author = commit.author.split(" <").next().unwrap_or_default().to_owned();
        let subject = commit.message.lines().next().unwrap_or_default().to_owned();
        Ok(GitCommit { author, at: commit.at, subject, ours: is_ours(&commit.message) })
    }

    async fn write(&self, plan: GitPlan) -> Result<GitWritten, GitError> {
        self.state().write(&plan)
    }

    async fn remove(&self, branch: &GitBranch, commit: &CommitId) -> Result<bool, GitError> {
        let mut state = self.state();
        if let Some(error) = &state.kept {
            return Err(error.clone());
        }
        match state.tip(branch) {
            Ok((tip, _)) if tip.commit == *commit => {
                state.branches.remove(&(branch.repository.clone(), tip.branch));
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.reason == Reason::GitBranchNotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn stand(&self, policy: &PolicyId, undecided: &[ApplicationId], plans: Vec<GitPlan>) {
        self.state().standing.replace(policy, undecided, plans);
    }
}
