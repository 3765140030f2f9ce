//! One try to write what waits for a branch.

use tokio::time::Instant;

use super::apply::{Batch, Commit, Wanted, batch, paths};
use super::by_forge::making;
use super::command::{Move, Order, push};
use super::commit::make;
use super::engine::{Inner, Open};
use super::failure::{broken, class, failure, words};
use super::process::Broken;
use super::queue::{FIRST_PAUSE, LONGEST_PAUSE, Pending, QueueKey};
use super::refs::Refs;
use super::session::Session;
use super::tree::{commit_text, header};
use crate::adapters::fence::{NotLeading, any_ended};
use crate::model::{CommitId, CommitVia, GitBranch, GitPlan, GitTip, GitWritten, Reason};
use crate::ports::GitError;

/// How often a branch is looked at after a push that cannot be seen.
const LOOKS: u32 = 6;

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// All that waited was answered.
    Done,
    /// The branch moved meanwhile: what still waits is tried again.
    Moved,
    /// Nothing was pushed, because the lead ended for some: the others are tried again.
    Ended,
}

/// A branch that is written, as it stood when we looked.
pub(super) struct Target {
    /// The branch that was read.
    pub base: GitTip,
    /// The commit of the branch that is written; `None` where it does not exist.
    pub old: Option<CommitId>,
    /// Whether the branch that is written is the default branch of the repository.
    pub is_default: bool,
    /// The commit of the branch on which a forge makes commits for the one that is written.
    pub making: Option<CommitId>,
}

impl Inner {
    /// Tries to write `pending` once; those that are answered are taken from it.
    ///
    /// # Errors
    /// What stands in the way of all that still wait.
    pub async fn round(&self, key: &QueueKey, pending: &mut Vec<Pending>) -> Result<Round, GitError> {
        let mut open = self.open(&key.base).await?;
        let target = self.target(&open, key).await?;
        let paths = paths(pending.iter().map(|one| &one.plan));
        let files = self.standing(&mut open, &key.base, &target.base, &paths).await?;
        let wanted: Vec<Wanted<'_>> =
            pending.iter().map(|one| Wanted { plan: &one.plan, pushed: !one.pushed.is_empty() }).collect();
        let Batch { mut commits, there, failed } = batch(&files, &wanted);
        self.settle(&open, key, &target, pending, there, failed, &mut commits).await?;
        // What stands there beside them is no reason to write.
        if commits.is_empty() || pending.iter().all(|one| one.beside) {
            return Ok(Round::Done);
        }
        let made = {
            let _change = open.mirror.change.lock().await;
            make(&open.mirror, &self.git, &self.signer, &target.base.commit, &commits, self.clock.now()).await?
        };
        if key.write.is_some() {
            self.refuse_foreign(&open, key, &target, pending).await?;
        }
        if key.write.is_some() && self.is_written(&open, key, &target, pending, &made).await? {
            return Ok(Round::Done);
        }
        match (key.via, &key.write) {
            (CommitVia::Git, _) => self.push(&open, key, &target, pending, &commits, &made, &[]).await,
            (CommitVia::GitHubApi, None) => self.ask(&open, key, &target, pending, &commits, &made).await,
            (CommitVia::GitHubApi, Some(_)) => self.ask_beside(&open, key, &target, pending, &commits, &made).await,
        }
    }

    async fn target(&self, open: &Open, key: &QueueKey) -> Result<Target, GitError> {
        let making = making(key.written_name());
        let mut branches = vec![Some(key.base_name())];
        branches.extend(key.write.as_deref().into_iter().flat_map(|write| [None, Some(write)]));
        branches.extend(key.write.as_ref().filter(|_| key.via == CommitVia::GitHubApi).map(|_| Some(making.as_str())));
        let refs = self.look_up(&open.session, &key.base, &branches).await?;
        let commit = refs.commit(key.base_name()).cloned().ok_or_else(|| {
            GitError::new(Reason::GitBranchNotFound, format!("`{}`: there is no such branch", key.base))
        })?;
        let base = GitTip { branch: key.base_name().to_owned(), commit };
        let old = refs.commit(key.written_name()).cloned();
        let is_default = refs.is_default(key.written_name());
        Ok(Target { base, old, is_default, making: refs.commit(&making).cloned() })
    }

    /// Answers plans that need no commit, or get none; the places in `commits` are those in what is left of `pending`.
    #[expect(clippy::too_many_arguments, reason = "all parts of one batch")]
    async fn settle(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        pending: &mut Vec<Pending>,
        there: Vec<usize>,
        failed: Vec<(usize, GitError)>,
        commits: &mut [Commit],
    ) -> Result<(), GitError> {
        let mut answers: Vec<Option<Result<GitWritten, GitError>>> = pending.iter().map(|_| None).collect();
        for (place, error) in failed {
            answers[place] = Some(Err(error));
        }
        for place in there {
            let ours = self.ours_at(open, key, target, &pending[place]).await?;
            let pushed = ours.is_some();
            let commit = ours.unwrap_or_else(|| target.base.commit.clone());
            answers[place] = Some(Ok(GitWritten { branch: key.base_name().to_owned(), commit, pushed }));
        }
        let mut places: Vec<usize> = Vec::new();
        let mut left = Vec::new();
        for (one, answer) in std::mem::take(pending).into_iter().zip(answers) {
            places.push(left.len());
            match answer {
                Some(answer) => one.answer(answer),
                None => left.push(one),
            }
        }
        *pending = left;
        for place in commits.iter_mut().flat_map(|commit| &mut commit.plans) {
            *place = places[*place];
        }
        Ok(())
    }

    /// The commit of ours that brought a plan, where the branch contains it.
    async fn ours_at(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        one: &Pending,
    ) -> Result<Option<CommitId>, GitError> {
        let Some(last) = one.pushed.last() else { return Ok(None) };
        if one.taken || one.pushed.contains(&target.base.commit) {
            return Ok(Some(last.clone()));
        }
        let text =
            commit_text(&open.mirror, &self.git, &open.session, &target.base.commit, &key.base.to_string()).await?;
        let parent = header(&text, "parent").and_then(CommitId::new);
        Ok(parent.filter(|parent| one.pushed.contains(parent)))
    }

    /// Whether a branch of our own holds the very change already; then all that waits is answered.
    async fn is_written(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        pending: &mut Vec<Pending>,
        made: &[CommitId],
    ) -> Result<bool, GitError> {
        let (Some(old), Some(new)) = (&target.old, made.last()) else { return Ok(false) };
        let shown = key.shown().to_string();
        let (theirs, ours) = {
            let _change = open.mirror.change.lock().await;
            open.mirror.ensure(&self.git, &open.session, key.written_name(), old, &shown).await?;
            let theirs = commit_text(&open.mirror, &self.git, &open.session, old, &shown).await?;
            (theirs, commit_text(&open.mirror, &self.git, &open.session, new, &shown).await?)
        };
        let same =
            header(&theirs, "tree") == header(&ours, "tree") && header(&theirs, "parent") == header(&ours, "parent");
        if !same {
            return Ok(false);
        }
        for one in std::mem::take(pending) {
            let pushed = one.pushed.contains(old);
            one.answer(Ok(GitWritten { branch: key.written_name().to_owned(), commit: old.clone(), pushed }));
        }
        Ok(true)
    }

    /// Pushes `made`, when the branch is still where it was; then looks where it is. Branches of `gone` that stand there are removed with it.
    #[expect(clippy::too_many_arguments, reason = "all parts of one batch")]
    pub(super) async fn push(
        &self,
        open: &Open,
        key: &QueueKey,
        target: &Target,
        pending: &mut Vec<Pending>,
        commits: &[Commit],
        made: &[CommitId],
        gone: &[(String, CommitId)],
    ) -> Result<Round, GitError> {
        let Some(new) = made.last() else { return Ok(Round::Done) };
        if !pending.iter().all(|one| one.pass.holds()) {
            return Ok(Round::Ended);
        }
        note(pending, commits, made, false);
        let branch = key.written_name();
        let mut moves = vec![Move { branch, from: target.old.as_ref(), to: Some(new) }];
        moves.extend(gone.iter().map(|(branch, at)| Move { branch, from: Some(at), to: None }));
        let what = format!("cannot push to `{}`", key.shown());
        let order =
            Order { what: what.clone(), arguments: push(&moves), input: Vec::new(), session: Some(&open.session) };
        let ended = tokio::select! {
            ended = self.git.try_run(&open.mirror.folder, order) => ended,
            () = any_ended(pending.iter().map(|one| &one.pass)) => Err(Broken::NotLeading(NotLeading)),
        };
        // Whatever Git says: what the branch is now counts. An answer may be lost, and a refusal may mean that it moved.
        let refs = self.look_after(&open.session, &key.shown(), branch).await;
        let refusal = match &ended {
            Ok(ended) if ended.success => {
                for one in pending.iter_mut() {
                    one.taken = true;
                }
                None
            }
            Ok(ended) => Some(refusal(
                &what,
                &open.session.conceal(&format!("{}\n{}", String::from_utf8_lossy(&ended.output), ended.errors)),
            )),
            Err(cause) => Some(broken(&what, cause)),
        };
        let now = match (refs, refusal.clone()) {
            (Ok(refs), _) => refs.commit(branch).cloned(),
            (Err(_), Some(refusal)) => return Err(refusal),
            (Err(error), None) => return Err(error),
        };
        if now.as_ref() == Some(new) {
            self.tips.forget(&open.key);
            self.own.put(key.base_name(), new);
            answer_all(key, pending, commits, made);
            return Ok(Round::Done);
        }
        match refusal {
            Some(refusal) if now == target.old => Err(refusal),
            _ => Ok(Round::Moved),
        }
    }

    /// Where a branch stands after a push, or a commit of a forge. What cannot be seen now may have been written all the same, and whoever is told
    /// of a failure then never hears of the write: so it is looked at again for a while.
    pub(super) async fn look_after(
        &self,
        session: &Session,
        shown: &GitBranch,
        branch: &str,
    ) -> Result<Refs, GitError> {
        let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
        for _ in 1..LOOKS {
            match self.look_up(session, shown, &[Some(branch)]).await {
                Err(error) if begun.elapsed() < self.settings.time => {
                    tracing::debug!(branch = %shown, %error, "the branch cannot be seen after a push");
                }
                found => return found,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.look_up(session, shown, &[Some(branch)]).await
    }
}

/// Notes with each plan the commit that brings it, and whether the server said that it took it.
pub(super) fn note(pending: &mut [Pending], commits: &[Commit], made: &[CommitId], taken: bool) {
    for (commit, id) in commits.iter().zip(made) {
        for place in &commit.plans {
            pending[*place].pushed.push(id.clone());
            pending[*place].taken = taken;
        }
    }
}

/// Tells all that their change is in the branch, and by which commit.
pub(super) fn answer_all(key: &QueueKey, pending: &mut Vec<Pending>, commits: &[Commit], made: &[CommitId]) {
    let of =
        |place: usize| commits.iter().zip(made).find(|(commit, _)| commit.plans.contains(&place)).map(|(_, id)| id);
    let names: Vec<Option<CommitId>> = (0..pending.len()).map(|place| of(place).cloned()).collect();
    tracing::info!(
        branch = %key.shown(),
        commit = made.last().map(CommitId::short),
        applications = pending.len(),
        "wrote to Git"
    );
    for (one, commit) in std::mem::take(pending).into_iter().zip(names) {
        let branch = key.written_name().to_owned();
        one.answer(match commit {
            Some(commit) => Ok(GitWritten { branch, commit, pushed: true }),
            None => Err(GitError::new(Reason::GitFailed, format!("no commit holds the change for `{}`", key.shown()))),
        });
    }
}

/// Why the server did not take a push.
pub(super) fn refusal(what: &str, said: &str) -> GitError {
    match class(said) {
        Reason::GitFailed => GitError::new(Reason::GitPushRejected, format!("{what}: {}", words(said))),
        _ => failure(what, said),
    }
}

/// Whether the commit with the text `theirs` was made by us: it carries one of our trailers, or has our author.
pub(super) fn is_ours(theirs: &str, commit: &Commit, pending: &[Pending]) -> bool {
    let plans = commit.plans.iter().filter_map(|place| pending.get(*place)).map(|one| &one.plan);
    let author = &commit.look.author;
    let author = format!("{} <{}>", author.name, author.email);
    header(theirs, "committer").is_some_and(|committer| committer.starts_with(&author))
        || plans.flat_map(|plan: &GitPlan| &plan.commit.trailers).any(|(key, _)| {
            theirs.lines().any(|line| line.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with(": ")))
        })
}
