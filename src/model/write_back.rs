//! Where a policy's changes are written.

use std::fmt;

use super::{CommitAuthor, CommitSigning, CommitVia, MergeMethod, SecretRef};

/// Where a policy's changes are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriteBack {
    /// Into the Application object.
    #[default]
    Application,
    /// As commits.
    Git(Box<GitWriteBack>),
}

/// How changes are written to Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitWriteBack {
    /// The repository; `None`: the one of the source, or of the source that a values file is read from.
    pub repository: Option<String>,
    /// The branch that is read; `None`: the one that the source follows.
    pub branch: Option<String>,
    /// The branch that is written, as a template; `None`: the one that is read.
    pub write_branch: Option<String>,
    /// What is written.
    pub target: GitTarget,
    /// The file or folder, where it is not the usual one.
    pub path: Option<String>,
    /// Whether a values file that is missing is made.
    pub create: bool,
    /// The Secret with the credentials; `None`: those that Argo CD has.
    pub secret: Option<SecretRef>,
    /// How commits look.
    pub commit: CommitSettings,
    /// Whether and how pull requests are opened.
    pub pull_request: Option<PullRequestSettings>,
    /// Whether Argo CD is asked to look at the Application after a commit.
    pub refresh: bool,
}

/// What is written in Git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GitTarget {
    /// `.argocd-source-<application>.yaml`.
    #[default]
    Override,
    /// A file of Helm values.
    HelmValues,
    /// A kustomization file.
    Kustomization,
    /// The files that the images name.
    Files,
    /// The Application's own manifest.
    Application,
}

/// How commits look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSettings {
    /// Who makes them.
    pub via: CommitVia,
    /// Who writes them.
    pub author: CommitAuthor,
    /// The message, as a template; `None`: the built-in one.
    pub message: Option<String>,
    /// Whether each Application gets a commit of its own.
    pub per_application: bool,
    /// Whether a `Signed-off-by` trailer is added.
    pub sign_off: bool,
    /// How they are signed; `None`: they are not.
    pub signing: Option<CommitSigning>,
}

/// How pull requests look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestSettings {
    /// The forge.
    pub provider: PullRequestProvider,
    /// Labels.
    pub labels: Vec<String>,
    /// Users who are asked for a review.
    pub reviewers: Vec<String>,
    /// The title, as a template; `None`: the first line of the commit message.
    pub title: Option<String>,
    /// The body, as a template; `None`: a table of the changes.
    pub body: Option<String>,
    /// How the forge is asked to merge it by itself once it may; `None`: it is not asked.
    pub auto_merge: Option<MergeMethod>,
}

/// A forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PullRequestProvider {
    /// GitHub, and GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
}

impl WriteBack {
    /// How changes are written to Git, if they are.
    pub fn git(&self) -> Option<&GitWriteBack> {
        match self {
            Self::Application => None,
            Self::Git(git) => Some(git),
        }
    }
}

impl GitTarget {
    /// The word that users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "Override",
            Self::HelmValues => "HelmValues",
            Self::Kustomization => "Kustomization",
            Self::Files => "Files",
            Self::Application => "Application",
        }
    }
}

impl PullRequestProvider {
    /// Its name, for sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Gitea => "Gitea",
        }
    }
}

impl fmt::Display for PullRequestProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
