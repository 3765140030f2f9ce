//! What the Argo CD project of an Application allows: which repositories it may write with Argo CD's credentials, and whose commits it takes.

use super::destination::same_repository;
use crate::lower::git_credentials::normalised;
use crate::model::{
    Application, CommitVia, GitAccess, GitBranch, GitWriteBack, Reason, Refusal, RepositoryRules, SigningMethod,
};
use crate::pipeline::write::{Desk, Draft};

/// How a commit would be signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    /// Not at all.
    None,
    /// By an SSH key, which Argo CD does not verify.
    Ssh,
    /// By an `OpenPGP` key: one of ours, or that of GitHub.
    OpenPgp,
}

impl<'a> Desk<'a> {
    /// Keeps out of repositories what the project of the Application does not allow there: writing with Argo CD's credentials to one that the
    /// project does not permit, and commits without an `OpenPGP` signature where only signed ones are taken, because Argo CD would sync
    /// nothing from then on. Asked only where something is to be written, and nothing is written where the project cannot be read. Whether Argo CD has the key
    /// of a signature is for it to say.
    pub(super) async fn within_project(&self, git: &GitWriteBack, application: &Application, drafts: &mut [Draft<'a>]) {
        let signature = signature(git);
        let asks = git.secret.is_none() || signature != Signature::OpenPgp;
        if !asks || self.policy.dry_run || drafts.iter().all(|draft| draft.choice.is_none()) {
            return;
        }
        let (_, project) = application.at_project();
        let rules = self.ports.applications.repository_rules(application).await;
        for draft in drafts.iter_mut().filter(|draft| draft.choice.is_some()) {
            let Some(branch) = draft.file().map(|file| file.branch.clone()) else { continue };
            let objection = match &rules {
                Ok(rules) => {
                    foreign(rules, &branch, application).or_else(|| unsigned(rules, &branch, application, signature))
                }
                Err(cause) => Some((
                    Reason::WriteDenied,
                    format!("what the project `{project}` allows is not known, so nothing is written: {cause}"),
                )),
            };
            if let Some((reason, message)) = objection {
                draft.fail(reason, message);
            }
        }
    }
}

fn signature(git: &GitWriteBack) -> Signature {
    match (&git.commit.signing, git.commit.via) {
        (_, CommitVia::GitHubApi) => Signature::OpenPgp,
        (Some(signing), CommitVia::Git) => match signing.method {
            SigningMethod::OpenPgp => Signature::OpenPgp,
            SigningMethod::Ssh => Signature::Ssh,
        },
        (None, CommitVia::Git) => Signature::None,
    }
}

/// Why the repository is not one that may be written with Argo CD's credentials.
fn foreign(rules: &RepositoryRules, branch: &GitBranch, application: &Application) -> Option<(Reason, String)> {
    if let GitAccess::Secret(_) = branch.access {
        return None;
    }
    let (_, project) = application.at_project();
    let namespace = &application.id.namespace;
    let cause = match rules.refusal(&normalised(&branch.repository))? {
        Refusal::NoProject => format!("Argo CD has no project `{project}`"),
        Refusal::NotItsNamespace => {
            format!(
                "the project `{project}` takes no Applications of the namespace `{namespace}` (`spec.sourceNamespaces`)"
            )
        }
        Refusal::NotPermitted => {
            let shown = GitBranch { branch: None, ..branch.clone() };
            format!("the project `{project}` does not permit the repository `{shown}` (`spec.sourceRepos`)")
        }
    };
    let message = format!(
        "{cause}, so nothing is written there with the credentials of Argo CD; let the project allow it, or name a Secret of your own by \
         `spec.writeBack.git.secretRef`"
    );
    Some((Reason::WriteDenied, message))
}

/// Why a commit would stop Argo CD.
fn unsigned(
    rules: &RepositoryRules,
    branch: &GitBranch,
    application: &Application,
    signature: Signature,
) -> Option<(Reason, String)> {
    let why = match signature {
        Signature::OpenPgp => return None,
        Signature::Ssh => "Argo CD verifies no signature by an SSH key; let Fairlead sign by an OpenPGP key, by",
        Signature::None => "let Fairlead sign by an OpenPGP key, by",
    };
    // Argo CD looks at the address in the Application, which may be another spelling of ours.
    let sources = application.sources.each();
    let same = sources.iter().map(|(_, source)| source.repo_url.as_str());
    let same = same.filter(|address| same_repository(address, &branch.repository));
    let addresses: Vec<&str> = same.chain([branch.repository.as_str()]).collect();
    let field = rules.demands_signatures(&addresses)?;
    let (_, project) = application.at_project();
    let message = format!(
        "the project `{project}` takes only commits that are signed by OpenPGP keys (`{field}`); {why} \
         `spec.writeBack.git.commit.signing` with `method: OpenPGP`, or GitHub, by `commit.via: GitHubApi`"
    );
    Some((Reason::SignatureDemanded, message))
}
