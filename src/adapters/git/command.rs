//! Running the `git` executable.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{broken, failure};
use super::observe::{GitObserver, GitOperation};
use super::process::{Broken, Ended, Run};
use super::session::{REMOTE, Session};
use crate::model::CommitId;
use crate::ports::GitError;

/// What Git prints at most: all objects of one question.
const MAXIMUM_OUTPUT: usize = 256 * 1024 * 1024;

/// The `git` executable, run without anything of this machine's configuration.
#[derive(Clone)]
pub(super) struct Git {
    /// The executable.
    pub program: PathBuf,
    /// How long one command may take.
    pub time: Duration,
    /// Where other programs are found.
    pub path: OsString,
    /// Who counts.
    pub observer: Arc<dyn GitObserver>,
}

/// One command.
pub(super) struct Order<'a> {
    /// What it does, in words for people.
    pub what: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it reads.
    pub input: Vec<u8>,
    /// The remote repository, where it speaks with one.
    pub session: Option<&'a Session>,
}

impl Git {
    /// Runs a command in `folder` that has to end well, and gives what it prints.
    pub async fn run(&self, folder: &Path, order: Order<'_>) -> Result<Vec<u8>, GitError> {
        let (what, conceal) = (order.what.clone(), order.session);
        let ended = self.try_run(folder, order).await.map_err(|cause| broken(&what, &cause))?;
        if ended.success {
            return Ok(ended.output);
        }
        let errors = conceal.map_or(ended.errors.clone(), |session| session.conceal(&ended.errors));
        Err(failure(&what, &errors))
    }

    /// Runs a command in `folder`.
    pub async fn try_run(&self, folder: &Path, order: Order<'_>) -> Result<Ended, Broken> {
        let Order { what: _, arguments, input, session } = order;
        let mut environment = self.environment(folder);
        match session {
            Some(session) => environment.extend(session.environment()),
            None => {
                environment.extend([("GIT_CONFIG_GLOBAL", "/dev/null".into()), ("GIT_ALLOW_PROTOCOL", "none".into())]);
            }
        }
        let fixed = ["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
        let operation = arguments.iter().find_map(|name| GitOperation::of(name));
        let arguments =
            fixed.into_iter().map(OsString::from).chain(arguments.into_iter().map(OsString::from)).collect();
        let run = Run {
            program: self.program.clone(),
            arguments,
            environment,
            folder: folder.to_owned(),
            input,
            time: self.time,
            maximum_output: MAXIMUM_OUTPUT,
        };
        let start = Instant::now();
        let ended = run.ended().await;
        if let Some(operation) = operation {
            let well = ended.as_ref().is_ok_and(|ended| ended.success);
            self.observer.operated(operation, well, start.elapsed().as_secs_f64());
        }
        ended
    }

    fn environment(&self, folder: &Path) -> Vec<(&'static str, OsString)> {
        vec![
            ("PATH", self.path.clone()),
            ("LC_ALL", "C".into()),
            ("HOME", "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_ATTR_NOSYSTEM", "1".into()),
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("GIT_OPTIONAL_LOCKS", "0".into()),
            ("GIT_DIR", folder.into()),
        ]
    }
}

/// A command in words for [`Order::arguments`].
pub(super) fn arguments<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// A branch that is to be moved, as long as it stands where it was seen.
#[derive(Clone, Copy)]
pub(super) struct Move<'a> {
    /// Its name, without `refs/heads/`.
    pub branch: &'a str,
    /// Where it was seen; `None`: there was no such branch.
    pub from: Option<&'a CommitId>,
    /// Where it is to stand; `None`: it is removed.
    pub to: Option<&'a CommitId>,
}

/// The arguments of a push that makes each of `moves`, with a lease for each.
pub(super) fn push(moves: &[Move<'_>]) -> Vec<String> {
    let text = |commit: Option<&CommitId>| commit.map(CommitId::as_str).unwrap_or_default().to_owned();
    let lease =
        |Move { branch, from, to: _ }: &Move<'_>| format!("--force-with-lease=refs/heads/{branch}:{}", text(*from));
    let refspec = |Move { branch, from: _, to }: &Move<'_>| format!("{}:refs/heads/{branch}", text(*to));
    let mut words = arguments(["push", "--porcelain", "--no-verify", "--recurse-submodules=no"]);
    words.extend(moves.iter().map(lease));
    words.extend(["--".to_owned(), REMOTE.to_owned()]);
    words.extend(moves.iter().map(refspec));
    words
}
