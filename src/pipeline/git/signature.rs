//! Projects of Argo CD that take signed commits only.

use crate::model::{Application, CommitVia, GitWriteBack, Reason};
use crate::pipeline::write::{Desk, Draft};

impl<'a> Desk<'a> {
    /// Keeps unsigned commits from an Application whose project takes none: Argo CD would sync nothing from then on. Asked only where
    /// something is to be written, and nothing is written where the project cannot be read. Whether Argo CD has the key of a signature is for it to say.
    pub(super) async fn only_signed(&self, git: &GitWriteBack, application: &Application, drafts: &mut [Draft<'a>]) {
        let signed = git.commit.signing.is_some() || git.commit.via == CommitVia::GitHubApi;
        if signed || self.policy.dry_run || drafts.iter().all(|draft| draft.choice.is_none()) {
            return;
        }
        let (namespace, project) = application.at_project();
        let (reason, message) = match self.ports.applications.demands_signatures(namespace, project).await {
            Ok(false) => return,
            Ok(true) => (
                Reason::SignatureDemanded,
                format!(
                    "the project `{project}` takes signed commits only (`spec.signatureKeys`); let Fairlead sign, by \
                     `spec.writeBack.git.commit.signing`, or GitHub, by `commit.via: GitHubApi`"
                ),
            ),
            Err(cause) => (
                Reason::WriteDenied,
                format!("whether the project `{namespace}/{project}` takes signed commits only is not known: {cause}"),
            ),
        };
        for draft in drafts.iter_mut().filter(|draft| draft.choice.is_some()) {
            draft.fail(reason, message.clone());
        }
    }
}
