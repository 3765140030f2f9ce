//! Removing a branch that is not needed any more.

use super::command::{Move, Order, push};
use super::engine::Inner;
use super::failure::broken;
use super::process::Broken;
use super::queue::check_branch;
use super::round::refusal;
use crate::adapters::fence::{NotLeading, Pass};
use crate::model::{CommitId, GitBranch, Reason};
use crate::ports::GitError;

impl Inner {
    /// See the port; nothing is removed when `pass` holds no more.
    pub async fn remove(&self, branch: &GitBranch, commit: &CommitId, pass: &Pass) -> Result<bool, GitError> {
        let what = format!("cannot remove the branch `{branch}`");
        let Some(name) = &branch.branch else {
            return Err(GitError::new(Reason::InvalidTarget, format!("{what}: it has no name")));
        };
        check_branch(name)?;
        let open = self.open(branch).await?;
        let _change = open.mirror.change.lock().await;
        open.mirror.prepare(&self.git, commit).await?;
        if !pass.holds() {
            return Err(NotLeading.into());
        }
        let arguments = push(&[Move { branch: name, from: Some(commit), to: None }]);
        let order = Order { what: what.clone(), arguments, input: Vec::new(), session: Some(&open.session) };
        let ended = tokio::select! {
            ended = self.git.try_run(&open.mirror.folder, order) => ended,
            () = pass.ended() => Err(Broken::NotLeading(NotLeading)),
        };
        self.tips.forget(&open.key);
        // Whatever Git says: what the server has now counts.
        let refs = self.look_up(&open.session, branch, &[Some(name)]).await?;
        match (refs.commit(name), ended) {
            (None, _) => {
                tracing::info!(%branch, commit = commit.short(), "removed a branch");
                Ok(true)
            }
            (Some(now), _) if now != commit => Ok(false),
            (Some(_), Ok(ended)) => {
                let said = format!("{}\n{}", String::from_utf8_lossy(&ended.output), ended.errors);
                Err(refusal(&what, &open.session.conceal(&said)))
            }
            (Some(_), Err(cause)) => Err(broken(&what, &cause)),
        }
    }
}
