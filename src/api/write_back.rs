//! `ImageUpdatePolicy` v1alpha1: where changes are written.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PullSecretReference, SecretKeyReference};

/// Where changes are written.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteBackSpec {
    /// `Application`: into the Application object. `Git`: as a commit.
    #[serde(default)]
    pub method: WriteBackMethod,
    /// Settings of the method `Application`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationWriteBack>,
    /// Settings of the method `Git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitWriteBack>,
}

/// Settings of the method `Application`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationWriteBack {
    /// Asks Argo CD, along with each change, to look at the Application at once (`argocd.argoproj.io/refresh: normal`).
    #[serde(default)]
    pub refresh: bool,
    /// Asks Argo CD, along with each change, to sync the Application, unless a sync is under way or a sync window of its
    /// project forbids it.
    #[serde(default)]
    pub sync: bool,
}

/// Where changes are written.
#[derive(JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteBackMethod {
    /// Into the Application object.
    #[default]
    Application,
    /// As a commit.
    Git,
}

/// Settings of the method `Git`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.credentials) || !has(self.secretRef)", "give either credentials or secretRef"))]
#[x_kube(validation = ("!has(self.target) || self.target != 'Application' || has(self.path)", "target Application needs a path: the file with the Application's manifest"))]
#[x_kube(validation = ("!has(self.target) || self.target != 'Files' || !has(self.path)", "with target Files each image names its file: `target.file.path`"))]
#[x_kube(validation = ("!has(self.create) || !self.create || (has(self.target) && self.target == 'HelmValues')", "create is for target HelmValues; for target Files it stands at each `target.file`"))]
pub struct GitWriteBack {
    /// The repository; the source's when nothing is said. An `https://` or `ssh://` address, or `git@host:path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub repository: Option<String>,
    /// The branch that is read; when nothing is said the source's `targetRevision`, and where that is `HEAD` or nothing, the remote's
    /// default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,
    /// The branch that is written, where it differs; a Go template, for example `image-updates-{{ .SHA256 }}`. It knows `.Images`
    /// (each `.Name .Alias .OldTag .NewTag`), `.SHA256`, `.AppName`, `.AppNamespace` and `.TargetKey`. The branch is Fairlead's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub write_branch: Option<String>,
    /// What is written: `Override` (when nothing is said), `HelmValues`, `Kustomization`, `Files` or `Application`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<GitTarget>,
    /// The file or folder that is written, where it is not the usual one: from the source's path, or with a leading `/` from the root of
    /// the repository. A values file may begin with `$name/`, the `ref` of a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// Makes the values file if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
    /// `ArgoCD` (when nothing is said): the credentials that Argo CD has for the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<GitCredentials>,
    /// A Secret in the policy's namespace with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<PullSecretReference>,
    /// How commits look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSettings>,
    /// Opens a pull request from the branch that is written to the one that is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequestSettings>,
    /// Asks Argo CD to look at the Application after a commit; it does when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
}

/// What is written in Git.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GitTarget {
    /// `.argocd-source-<application>.yaml`.
    Override,
    /// A Helm values file.
    HelmValues,
    /// A kustomization file.
    Kustomization,
    /// The files that the images name.
    Files,
    /// The Application's own manifest.
    Application,
}

/// Whose credentials are used for Git.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GitCredentials {
    /// Those that Argo CD has for the repository.
    ArgoCD,
}

/// How commits look.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.via) || self.via != 'GitHubApi' || !(has(self.author) || has(self.signing) || (has(self.signOff) && self.signOff))", "with via GitHubApi GitHub writes the author and signs: remove author, signing and signOff"))]
pub struct CommitSettings {
    /// Who makes them: `Git` (when nothing is said), or `GitHubApi`: GitHub itself, for the owner of the token, with its own signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<CommitVia>,
    /// The author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<CommitAuthor>,
    /// The message; a Go template. It knows `.AppName`, `.AppChanges` (each `.Image .OldTag .NewTag .Labels .Alias .OldDigest
    /// .NewDigest`), `.AppNamespace`, `.Policy` and `.Applications`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub message_template: Option<String>,
    /// Gives each Application a commit of its own, where changes of several are written at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_application: Option<bool>,
    /// Adds a `Signed-off-by` trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_off: Option<bool>,
    /// How commits are signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningSettings>,
}

/// Who makes commits.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommitVia {
    /// Fairlead, which pushes them by Git.
    Git,
    /// GitHub, asked by its API.
    GitHubApi,
}

/// The author of commits.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitAuthor {
    /// Name.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Mail address.
    #[schemars(length(min = 1, max = 255))]
    pub email: String,
}

/// How commits are signed.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningSettings {
    /// The kind of key: `SSH` (when nothing is said) or `OpenPGP`.
    #[serde(default)]
    pub method: SigningMethod,
    /// The private key; the key in the Secret is `signingKey` when nothing is said.
    pub secret_ref: SecretKeyReference,
}

/// The kind of key that signs.
#[derive(JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningMethod {
    /// An SSH key.
    #[default]
    SSH,
    /// A key of `GnuPG`.
    OpenPGP,
}

/// How pull requests look.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.mergeMethod) || (has(self.autoMerge) && self.autoMerge)", "mergeMethod is how an automatic merge is made: add `autoMerge: true`"))]
#[x_kube(validation = ("!has(self.mergeMethod) || self.provider != 'GitLab' || self.mergeMethod == 'Squash'", "GitLab merges by the method of the project; only Squash can be asked for"))]
pub struct PullRequestSettings {
    /// The forge.
    pub provider: PullRequestProvider,
    /// Labels of the pull request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 255)))]
    pub labels: Vec<String>,
    /// Users who are asked for a review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 255)))]
    pub reviewers: Vec<String>,
    /// The title; a Go template with the fields of the commit message. The first line of the message when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub title: Option<String>,
    /// The body; a Go template with the fields of the commit message. A table of the changes when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub body: Option<String>,
    /// Asks the forge to merge the pull request by itself once it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_merge: Option<bool>,
    /// How it merges it: `Merge` (when nothing is said), `Squash` or `Rebase`, as far as the repository allows it. GitLab merges by the method
    /// of the project; only `Squash` can be asked for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_method: Option<MergeMethod>,
}

/// How an automatic merge is made.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MergeMethod {
    /// By a merge commit.
    Merge,
    /// As one commit.
    Squash,
    /// Commit by commit upon the base.
    Rebase,
}

/// A forge.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullRequestProvider {
    /// GitHub, and GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
}
