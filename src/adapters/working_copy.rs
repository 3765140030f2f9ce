//! Git for the folder mode: repositories that lie on this machine as working copies. Files are changed in the work tree and committed to the
//! branch that is checked out; nothing is ever fetched or pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::directory::{Change, Mode};
use crate::model::{
    ApplicationId, CommitId, CommitVia, GitBranch, GitCommit, GitEntry, GitPlan, GitTip, GitWritten, PolicyId, Reason,
};
use crate::pipeline::git::{ChangeError, changed, combined, is_ours, same_repository};
use crate::ports::{Git, GitError};

/// Longer files are not edited.
const LONGEST: u64 = 4 * 1024 * 1024;
/// How long one call of Git may take, hooks of the person's own included.
const CALL_TIME: Duration = Duration::from_secs(60);
const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/";

/// Working copies on this machine, by the address of their repository.
///
/// # Caveats
/// A working copy stands on one branch, so a policy that reads or writes another one is refused. A file with changes that are not committed
/// is left alone, for its commit would take them along.
pub struct WorkingCopies {
    copies: Vec<(String, PathBuf)>,
    mode: Mode,
    state: Mutex<State>,
    /// One commit at a time: a working copy has one index.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// What a dry run would have written.
    would_be: BTreeMap<PathBuf, String>,
    changes: BTreeMap<PathBuf, Change>,
}

impl WorkingCopies {
    /// Working copies by the address of their repository: `https://git.example.com/web.git` at a folder.
    pub fn new(copies: Vec<(String, PathBuf)>, mode: Mode) -> Self {
        Self { copies, mode, state: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// The files that were changed, or would have been, since this was last asked; sorted by name.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().changes).into_values().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the repository lies on this machine.
    fn copy(&self, branch: &GitBranch) -> Result<&Path, GitError> {
        let found = self.copies.iter().find(|(address, _)| same_repository(address, &branch.repository));
        found.map(|(_, path)| path.as_path()).ok_or_else(|| {
            let shown = GitBranch { branch: None, ..branch.clone() };
            let message =
                format!("where `{shown}` lies on this machine is not known; give `--repository {shown}=PATH`");
            GitError::new(Reason::GitNotSetUp, message)
        })
    }

    /// What stands at `path` of a working copy, links not followed.
    fn entry(&self, root: &Path, path: &str) -> io::Result<GitEntry> {
        let mut here = root.to_owned();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for (position, part) in parts.iter().enumerate() {
            here.push(part);
            if let Some(text) = self.state().would_be.get(&here) {
                let whole = position + 1 == parts.len();
                return Ok(if whole { GitEntry::File(text.clone()) } else { through_a_file() });
            }
            let metadata = match fs::symlink_metadata(&here) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(GitEntry::Missing),
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(through_a_file()),
                Err(error) => return Err(error),
            };
            if metadata.is_symlink() {
                return Ok(GitEntry::Other(format!("`{}`, a link", parts[..=position].join("/"))));
            }
            if metadata.is_dir() && fs::symlink_metadata(here.join(".git")).is_ok() {
                return Ok(GitEntry::Other(format!("`{}`, a repository of its own", parts[..=position].join("/"))));
            }
            if metadata.is_file() && position + 1 < parts.len() {
                return Ok(through_a_file());
            }
            if metadata.is_file() && metadata.len() > LONGEST {
                return Ok(GitEntry::Other(format!("a file of more than {} MiB", LONGEST / 1024 / 1024)));
            }
        }
        if here.is_dir() {
            let names = fs::read_dir(&here)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let mut names = names.collect::<io::Result<Vec<String>>>()?;
            names.retain(|name| name != ".git");
            names.sort();
            return Ok(GitEntry::Folder(names));
        }
        match String::from_utf8(fs::read(&here)?) {
            Ok(text) if text.starts_with(LFS_POINTER) => Ok(GitEntry::Other("a pointer of Git LFS".to_owned())),
            Ok(text) => Ok(GitEntry::File(text)),
            Err(_) => Ok(GitEntry::Other("no text in UTF-8".to_owned())),
        }
    }

    /// The texts of the files with the plan made: path, before, after.
    fn edited(&self, root: &Path, plan: &GitPlan) -> Result<Vec<(String, Option<String>, String)>, GitError> {
        let mut edited: Vec<(String, Option<String>, String)> = Vec::new();
        for change in &plan.files {
            // Several documents of a file are several changes: each goes on from the one before.
            let earlier = edited.iter().position(|(path, _, _)| *path == change.path);
            let entry = match earlier {
                Some(position) => GitEntry::File(edited[position].2.clone()),
                None => self.entry(root, &change.path).map_err(|error| unreadable(&change.path, &error))?,
            };
            let before = match entry {
                GitEntry::File(text) => Some(text),
                GitEntry::Missing => None,
                GitEntry::Folder(_) | GitEntry::Other(_) => {
                    return Err(GitError::changed(format!("`{}` is no file by now", change.path)));
                }
            };
            let after = changed(before.as_deref(), change).map_err(|error| match error {
                ChangeError::Changed { .. } => GitError::changed(error.to_string()),
                ChangeError::Refused { .. } => GitError::new(Reason::CannotEditLosslessly, error.to_string()),
            })?;
            match earlier {
                Some(position) => edited[position].2 = after,
                None => edited.push((change.path.clone(), before, after)),
            }
        }
        Ok(edited)
    }

    /// Keeps what was written, or would have been.
    fn keep(&self, root: &Path, edited: Vec<(String, Option<String>, String)>) {
        let mut state = self.state();
        for (path, before, after) in edited {
            let file = root.join(&path);
            let name = file.display().to_string();
            let change = Change { file: name, before: before.unwrap_or_default(), after: String::new() };
            state.changes.entry(file.clone()).or_insert(change).after.clone_from(&after);
            if self.mode == Mode::DryRun {
                state.would_be.insert(file, after);
            }
        }
    }

    async fn commit(
        &self,
        root: &Path,
        plan: &GitPlan,
        edited: &[(String, Option<String>, String)],
    ) -> Result<(), GitError> {
        let paths: Vec<&str> = edited.iter().map(|(path, _, _)| path.as_str()).collect();
        let status = git(root, &[&["status", "--porcelain", "--"], paths.as_slice()].concat(), None).await?;
        if !status.is_empty() {
            let message = format!("`{}` has changes that are not committed: {}", root.display(), status.trim());
            return Err(GitError::new(Reason::GitFailed, message));
        }
        let written = edited.iter().try_for_each(|(path, _, after)| put(&root.join(path), after));
        let outcome = match written {
            Err(error) => Err(GitError::new(Reason::GitFailed, format!("cannot write `{}`: {error}", root.display()))),
            Ok(()) => self.record(root, plan, &paths).await,
        };
        if outcome.is_err() {
            // Nothing of it stays: the next look starts from what is committed.
            drop(git(root, &[&["reset", "--quiet", "--"], paths.as_slice()].concat(), None).await);
            for (path, before, _) in edited {
                let restored = match before {
                    Some(before) => put(&root.join(path), before),
                    None => fs::remove_file(root.join(path)),
                };
                drop(restored);
            }
        }
        outcome
    }

    async fn record(&self, root: &Path, plan: &GitPlan, paths: &[&str]) -> Result<(), GitError> {
        git(root, &[&["add", "--"], paths].concat(), None).await?;
        let author = &plan.commit.author;
        let (name, email) = (format!("user.name={}", author.name), format!("user.email={}", author.email));
        let options =
            ["-c", &name, "-c", &email, "commit", "--quiet", "--cleanup=verbatim", "--file=-", "--only", "--"];
        git(root, &[&options, paths].concat(), Some(&combined(&[plan]))).await.map(|_| ())
    }
}

#[async_trait]
impl Git for WorkingCopies {
    async fn tip(&self, branch: &GitBranch, _: Timestamp) -> Result<GitTip, GitError> {
        let root = self.copy(branch)?;
        let current = git(root, &["symbolic-ref", "--quiet", "--short", "HEAD"], None).await.map_err(|error| {
            let message = format!("`{}` is no working copy that stands on a branch: {error}", root.display());
            GitError::new(Reason::GitFailed, message)
        })?;
        let current = current.trim();
        if let Some(wanted) = branch.branch.as_deref().filter(|wanted| *wanted != current) {
            let message = format!("`{}` stands on the branch `{current}`, and `{wanted}` is needed", root.display());
            return Err(GitError::new(Reason::GitBranchNotFound, message));
        }
        let commit = git(root, &["rev-parse", "--verify", "HEAD"], None).await?;
        let commit = CommitId::new(commit.trim())
            .ok_or_else(|| GitError::new(Reason::GitFailed, format!("`{}` has no commit", root.display())))?;
        Ok(GitTip { branch: current.to_owned(), commit })
    }

    async fn read(&self, branch: &GitBranch, _: &GitTip, paths: &[String]) -> Result<Vec<GitEntry>, GitError> {
        let root = self.copy(branch)?;
        let entry = |path: &String| self.entry(root, path).map_err(|error| unreadable(path, &error));
        paths.iter().map(entry).collect()
    }

    async fn commit(&self, branch: &GitBranch, tip: &GitTip) -> Result<GitCommit, GitError> {
        let root = self.copy(branch)?;
        let said = git(root, &["log", "-1", "--format=%at%n%an%n%s%n%B", tip.commit.as_str()], None).await?;
        let mut lines = said.lines();
        let at = lines.next().and_then(|second| Timestamp::from_second(second.parse().ok()?).ok());
        let unreadable = || GitError::new(Reason::GitFailed, format!("the commit {} cannot be read", tip.commit));
        let mut line = || lines.next().unwrap_or_default().to_owned();
        let (author, subject) = (line(), line());
        Ok(GitCommit { at: at.ok_or_else(unreadable)?, author, subject, ours: is_ours(&said) })
    }

    async fn write(&self, plan: GitPlan) -> Result<GitWritten, GitError> {
        let root = self.copy(&plan.base)?;
        let _one = self.writing.lock().await;
        if self.mode == Mode::Write {
            refused(&plan)?;
        }
        let tip = self.tip(&plan.base, Timestamp::MIN).await?;
        let edited = self.edited(root, &plan)?;
        if self.mode == Mode::Write {
            self.commit(root, &plan, &edited).await?;
        }
        self.keep(root, edited);
        if self.mode == Mode::DryRun {
            return Ok(GitWritten { branch: tip.branch, commit: tip.commit, pushed: false });
        }
        let tip = self.tip(&plan.base, Timestamp::MIN).await?;
        Ok(GitWritten { branch: tip.branch, commit: tip.commit, pushed: true })
    }

    async fn remove(&self, branch: &GitBranch, _: &CommitId) -> Result<bool, GitError> {
        let message = format!("`{branch}` stays: branches of a working copy are not removed");
        Err(GitError::new(Reason::NotSupportedYet, message))
    }

    fn stand(&self, _: &PolicyId, _: &[ApplicationId], _: Vec<GitPlan>) {
        // Nothing stands on another branch, as none is written.
    }
}

/// What stands at a path of which a part is a file.
fn through_a_file() -> GitEntry {
    GitEntry::Other("a path that leads through a file".to_owned())
}

/// Why a commit that `plan` wants is not made in a working copy.
fn refused(plan: &GitPlan) -> Result<(), GitError> {
    let error = |reason, message: String| Err(GitError::new(reason, format!("{message}; nothing was committed")));
    if plan.commit.signing.is_some() {
        let message = "commits in a working copy are signed by no key of a Secret";
        return error(Reason::SigningFailed, message.to_owned());
    }
    if plan.commit.via == CommitVia::GitHubApi {
        return error(Reason::NotSupportedYet, "GitHub makes no commits in a working copy".to_owned());
    }
    let Some(branch) = &plan.write_branch else { return Ok(()) };
    error(Reason::NotSupportedYet, format!("a working copy is committed to as it stands, and not to `{branch}`"))
}

/// Puts `text` into a file, whole or not at all, with the permissions that it has.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".fairlead-").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    let permissions = match fs::metadata(path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    file.as_file().set_permissions(permissions)?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

fn unreadable(path: &str, error: &io::Error) -> GitError {
    GitError::new(Reason::GitFailed, format!("cannot read `{path}`: {error}"))
}

/// Runs the `git` executable in a working copy; what it prints.
async fn git(root: &Path, arguments: &[&str], input: Option<&str>) -> Result<String, GitError> {
    let failed = |cause: String| {
        let verb = arguments
            .iter()
            .find(|argument| argument.starts_with(|first: char| first.is_ascii_lowercase()) && !argument.contains('='));
        let message = format!("`git {}` in `{}` failed: {cause}", verb.unwrap_or(&""), root.display());
        GitError::new(Reason::GitFailed, message)
    };
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["-c", "core.quotePath=false", "-c", "gc.auto=0"]).args(arguments);
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_LITERAL_PATHSPECS", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(format!("it cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Git that ends without reading says why itself.
        drop(stdin.write_all(input.unwrap_or_default().as_bytes()).await);
    }
    let output = tokio::time::timeout(CALL_TIME, child.wait_with_output()).await;
    let output = output.map_err(|_| failed(format!("it does not end within {} s", CALL_TIME.as_secs())))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(failed(words.trim().lines().last().unwrap_or("it says nothing").to_owned()))
}
