//! The branches that pull requests bring: which commit we gave them, and what becomes of them when nothing is to come of their pull requests.

use std::collections::BTreeSet;

use crate::model::{CommitId, ForgeRepository, GitBranch, GitWritten, Reason};
use crate::pipeline::pull_request::Abandoned;
use crate::pipeline::write::Desk;
use crate::ports::{Forge, Git};

impl Desk<'_> {
    /// The commit that `branch` names since these were written to it; `None`: that is not known for certain.
    pub(super) async fn brought(
        &self,
        port: &dyn Git,
        branch: &GitBranch,
        written: &[&GitWritten],
    ) -> Option<CommitId> {
        let ours = written.iter().filter(|written| Some(&written.branch) == branch.branch.as_ref());
        let commits: BTreeSet<&CommitId> = ours.map(|written| &written.commit).collect();
        if commits.len() <= 1 {
            return commits.first().map(|commit| (*commit).clone());
        }
        // Each Application has a commit of its own; one of them is the last.
        let tip = port.tip(branch, self.ports.clock.now()).await.ok()?.commit;
        commits.contains(&tip).then_some(tip)
    }

    /// Removes the branch of a pull request that we closed, as long as it is ours: it stands at the commit that we gave it, which says so itself, and no
    /// open pull request needs it. Every other one stays.
    ///
    /// # Errors
    /// A sentence where it could not be removed.
    pub(super) async fn clear(
        &self,
        port: &dyn Git,
        forge: &dyn Forge,
        at: &ForgeRepository,
        abandoned: &Abandoned,
    ) -> Result<(), String> {
        let Abandoned { number, head, commit } = abandoned;
        let using = forge.using(at, head).await.map_err(|error| error.message)?;
        if using.iter().any(|other| other != number) {
            return Ok(());
        }
        let branch = GitBranch { branch: Some(head.clone()), ..at.repository.clone() };
        let tip = match port.tip(&branch, self.ports.clock.now()).await {
            Err(error) if error.reason == Reason::GitBranchNotFound => return Ok(()),
            tip => tip.map_err(|error| error.message)?,
        };
        if tip.commit != *commit || !port.commit(&branch, &tip).await.map_err(|error| error.message)?.ours {
            return Ok(());
        }
        port.remove(&branch, commit).await.map(drop).map_err(|error| error.message)
    }
}
