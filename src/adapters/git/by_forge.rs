//! Commits that the forge makes, because it is to sign them.
//!
//! A forge makes a commit on a branch and moves the branch at once. So what is to be a branch of our own is made on another one beside it, and the
//! branch is moved to the whole by a push, which is refused when it stands elsewhere by then.

use tokio::time::Instant;

use super::apply::Commit;
use super::command::{Move, Order, push};
use super::engine::{Inner, Open};
use super::observe::GitOperation;
use super::queue::{Pending, QueueKey};
use super::round::{Round, Target, answer_all, is_ours, note};
use super::tree::{commit_text, header};
use crate::adapters::fence::any_ended;
use crate::model::{CommitId, ForgeCommit, ForgeRepository, GitBranch, GitEntry, PullRequestProvider, Reason};
use crate::ports::GitError;

/// What the name of the branch ends with on which the commits of a branch of our own are made.
const MAKING: &str = "-in-the-making";

/// What the forge made.
struct Asked {
    /// The commits, in order.
    made: Vec<CommitId>,
    /// Why it is not all of them.
    stopped: Option<Result<Round, GitError>>,
}

/// How a branch stands after a failure.
enum Stand {
    /// As before.
    Still,
    /// At the commit that was wished for: the answer was lost.
    Made(CommitId),
    /// At something else.
    Elsewhere,
}

/// The branch on which the commits of the branch `name` are made.
pub(super) fn making(name: &str) -> String {
    format!("{name}{MAKING}")
}

impl Inner {
    /// Has the forge make `commits` on the branch that was read; `local` are the same commits as we made them, unsigned.
    pub(super) async fn ask(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        pending: &mut Vec<Pending>,
        commits: &[Commit],
        local: &[CommitId],
    ) -> Result<Round, GitError> {
        let Asked { made, stopped } =
            self.asked(open, key, key.base_name(), &target.base.commit, pending, commits, local).await?;
        note(pending, commits, &made, true);
        if let Some(stopped) = stopped {
            // Those that are there are answered before the others are tried again.
            return if made.is_empty() { stopped } else { Ok(Round::Moved) };
        }
        let refs = self.look_after(&open.session, &key.shown(), key.base_name()).await?;
        if refs.commit(key.base_name()) != made.last() {
            return Ok(Round::Moved);
        }
        self.tips.forget(&open.key);
        answer_all(key, pending, commits, &made);
        Ok(Round::Done)
    }

    /// Has the forge make `commits` beside a branch of our own, and moves that branch to them.
    pub(super) async fn ask_beside(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        pending: &mut Vec<Pending>,
        commits: &[Commit],
        local: &[CommitId],
    ) -> Result<Round, GitError> {
        let (branch, base) = (making(key.written_name()), &target.base.commit);
        if !pending.iter().all(|one| one.pass.holds()) {
            return Ok(Round::Ended);
        }
        if target.making.as_ref() != Some(base) {
            let from = target.making.as_ref();
            self.move_making(open, key, Move { branch: &branch, from, to: Some(base) }).await?;
        }
        let Asked { made, stopped } = self.asked(open, key, &branch, base, pending, commits, local).await?;
        let last = made.last().unwrap_or(base).clone();
        if let Some(stopped) = stopped {
            let may = pending.iter().all(|one| one.pass.holds());
            if may
                && let Err(error) =
                    self.move_making(open, key, Move { branch: &branch, from: Some(&last), to: None }).await
            {
                tracing::debug!(%branch, %error, "a branch that is not needed any more stays until the next try");
            }
            return stopped;
        }
        {
            let _change = open.mirror.change.lock().await;
            open.mirror.ensure(&self.git, &open.session, &branch, &last, &key.shown().to_string()).await?;
        }
        self.push(open, key, target, pending, commits, &made, &[(branch, last)]).await
    }

    /// Moves the branch that commits are made on.
    async fn move_making(&self, open: &Open, key: &QueueKey, one: Move<'_>) -> Result<(), GitError> {
        let what = format!("cannot prepare `{}` for `{}`", one.branch, key.shown());
        let order = Order { what, arguments: push(&[one]), input: Vec::new(), session: Some(&open.session) };
        self.git.run(&open.mirror.folder, order).await.map(drop)
    }

    #[expect(clippy::too_many_arguments, reason = "all parts of one batch")]
    async fn asked(
        &self,
        open: &Open,
        key: &QueueKey,
        branch: &str,
        from: &CommitId,
        pending: &[Pending],
        commits: &[Commit],
        local: &[CommitId],
    ) -> Result<Asked, GitError> {
        let repository = GitBranch { branch: None, ..key.base.clone() };
        let at = ForgeRepository { provider: PullRequestProvider::GitHub, api: None, repository };
        let mut made: Vec<CommitId> = Vec::new();
        for (commit, local) in commits.iter().zip(local) {
            let wish = wish(commit, branch, made.last().unwrap_or(from));
            if !pending.iter().all(|one| one.pass.holds()) {
                return Ok(Asked { made, stopped: Some(Ok(Round::Ended)) });
            }
            let begun = Instant::now();
            let answer = tokio::select! {
                answer = self.forge.commit(&at, &wish) => answer.map_err(Some),
                () = any_ended(pending.iter().map(|one| &one.pass)) => Err(None),
            };
            self.git.observer.operated(GitOperation::Commit, answer.is_ok(), begun.elapsed().as_secs_f64());
            let error = match answer {
                Ok(id) => {
                    made.push(id);
                    continue;
                }
                Err(error) => error,
            };
            // Whatever the forge says: what the branch is now counts. An answer may be lost.
            let stopped = match (self.stand(open, key, &wish, commit, pending, local).await?, error) {
                (Stand::Made(id), _) => {
                    made.push(id);
                    continue;
                }
                (Stand::Still, None) => Ok(Round::Ended),
                (Stand::Still, Some(error)) if error.reason != Reason::WriteConflict => {
                    Err(GitError::new(error.reason, error.message))
                }
                (Stand::Still | Stand::Elsewhere, _) => Ok(Round::Moved),
            };
            return Ok(Asked { made, stopped: Some(stopped) });
        }
        Ok(Asked { made, stopped: None })
    }

    /// How the branch of `wish` stands.
    async fn stand(
        &self,
        open: &Open,
        key: &QueueKey,
        wish: &ForgeCommit,
        commit: &Commit,
        pending: &[Pending],
        local: &CommitId,
    ) -> Result<Stand, GitError> {
        let (branch, shown) = (wish.branch.as_str(), key.shown().to_string());
        let refs = self.look_up(&open.session, &key.shown(), &[Some(branch)]).await?;
        let Some(now) = refs.commit(branch) else { return Ok(Stand::Elsewhere) };
        if *now == wish.tip {
            return Ok(Stand::Still);
        }
        let (theirs, ours) = {
            let _change = open.mirror.change.lock().await;
            open.mirror.ensure(&self.git, &open.session, branch, now, &shown).await?;
            let theirs = commit_text(&open.mirror, &self.git, &open.session, now, &shown).await?;
            (theirs, commit_text(&open.mirror, &self.git, &open.session, local, &shown).await?)
        };
        let made = header(&theirs, "parent") == Some(wish.tip.as_str())
            && header(&theirs, "tree") == header(&ours, "tree")
            && is_ours(&theirs, commit, pending);
        Ok(if made { Stand::Made(now.clone()) } else { Stand::Elsewhere })
    }
}

fn wish(commit: &Commit, branch: &str, tip: &CommitId) -> ForgeCommit {
    let text = |entry: &GitEntry| if let GitEntry::File(text) = entry { Some(text.clone()) } else { None };
    let files = commit.changes.iter().filter_map(|(path, standing)| Some((path.clone(), text(&standing.entry)?)));
    ForgeCommit { branch: branch.to_owned(), tip: tip.clone(), message: commit.message.clone(), files: files.collect() }
}
