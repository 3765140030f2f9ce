//! What we need from the world, as traits, and its failures sorted by what a caller can do about them.
//!
//! Every adapter of a port passes the same contract test (`tests/contracts.rs`).

mod forge;
mod git;
mod git_login;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{
    Application, ApplicationId, ApplicationPlan, ApplicationSet, Candidate, Cloud, CredentialSource, Listing, Platform,
    Policy, Reason, Repository, RepositoryRules, SecretRef, SyncWindow, Tag,
};

pub use forge::{Forge, ForgeCommits, ForgeError, PullRequestWritten};
pub use git::{Git, GitError};
pub use git_login::GitLogins;

/// The world, as one policy sees it.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Applications: reading and writing.
    pub applications: &'a dyn Applications,
    /// Other policies, for who goes first.
    pub policies: &'a dyn Policies,
    /// Registries.
    pub registry: &'a dyn Registry,
    /// Git; `None` where it is not set up.
    pub git: Option<&'a dyn Git>,
    /// Forges; `None` where no pull requests are made.
    pub forge: Option<&'a dyn Forge>,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Argo CD Applications.
#[async_trait]
pub trait Applications: Send + Sync {
    /// All Applications of a namespace that could be read, sorted by name, and a sentence for each that could not.
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError>;

    /// The newest state of one Application, past every cache. `None` when it does not exist.
    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError>;

    /// Writes a plan, all of it or nothing.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] when the Application is not the one, or not in the state, that the plan was decided on: read
    /// it anew and decide again.
    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError>;

    /// The sync windows of an Argo CD project.
    ///
    /// # Errors
    /// A sentence where they are not known.
    async fn sync_windows(&self, namespace: &str, project: &str) -> Result<Vec<SyncWindow>, String>;

    /// What the Argo CD project of an Application says of Git repositories: whether it may use them with Argo CD's credentials, by the
    /// Argo CD that they belong to; whose commits it takes, by the one that looks after it.
    ///
    /// # Errors
    /// A sentence where that is not known.
    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String>;

    /// Asks Argo CD to look at an Application now, where there is an Argo CD.
    async fn refresh(&self, id: &ApplicationId) -> Result<(), WriteError>;
}

/// Applications of one namespace.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Those that could be read, sorted by name.
    pub applications: Vec<Arc<Application>>,
    /// Those that could not, with the cause.
    pub unreadable: Vec<(ApplicationId, String)>,
    /// The ApplicationSets that made some of them.
    pub sets: ApplicationSets,
}

impl Inventory {
    /// The names of all Applications that exist, whether they could be read or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let readable = self.applications.iter().map(|application| application.id.name.as_str());
        readable.chain(self.unreadable.iter().map(|(id, _)| id.name.as_str()))
    }
}

/// ApplicationSets of a namespace by name, each as it is or why it could not be read.
pub type ApplicationSets = std::collections::BTreeMap<String, Result<ApplicationSet, String>>;

/// Policies.
#[async_trait]
pub trait Policies: Send + Sync {
    /// The usable policies of a namespace, in any order.
    async fn list(&self, namespace: &str) -> Vec<Arc<Policy>>;

    /// The usable policies of every namespace that is seen, in any order.
    async fn all(&self) -> Vec<Arc<Policy>>;
}

/// Container registries.
#[async_trait]
pub trait Registry: Send + Sync {
    /// All tags of a repository, no older than `fresh_since`.
    ///
    /// Tags alone; [`Candidate::details`] is unknown. A listing that may lack tags says so itself.
    async fn tags(&self, question: &Question<'_>, fresh_since: Timestamp) -> Result<Arc<Listing>, RegistryError>;

    /// The candidates with the details of the images behind `tags`, in the order of `tags`: digest, and build dates for the wanted
    /// platforms (all, when none is wanted). Where `fresh_since` is later than what is cached, the tag is resolved again.
    ///
    /// A tag that holds no runnable image is an answer (`Details::NotAnImage`), not an error. A tag that is gone since the listing is left out.
    async fn details(
        &self,
        question: &Question<'_>,
        tags: &[Tag],
        fresh_since: Timestamp,
    ) -> Result<Vec<Candidate>, RegistryError>;

    /// The labels that the image behind a tag states in its configuration; of an image for several platforms those of the first wanted one
    /// (of the first, when none is wanted). Empty where there is no such tag, or no image behind it.
    ///
    /// They are a stranger's text: of one line, and of a few thousand bytes all together; what does not fit is left out.
    async fn labels(
        &self,
        question: &Question<'_>,
        tag: &Tag,
        fresh_since: Timestamp,
    ) -> Result<Arc<Labels>, RegistryError>;
}

/// The labels of an image, by key.
pub type Labels = std::collections::BTreeMap<String, String>;

/// What is asked of a registry, and with whose credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Where the login comes from; without it, what is configured for the registry.
    pub credentials: Option<&'a CredentialSource>,
    /// Platforms of interest; empty: all.
    pub platforms: &'a [Platform],
    /// Whether build dates are needed, beside digests. They cost a request a manifest and platform.
    pub dates: bool,
}

/// Secrets, for the adapters that need credentials.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The data of a Secret by key; `None` when it does not exist.
    async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError>;

    /// The Secrets of a namespace that carry the label `label`, with its value and their data, sorted by name.
    ///
    /// # Errors
    /// Where Secrets cannot be listed, as in places that know only Secrets by their names.
    async fn labelled(
        &self,
        namespace: &str,
        label: &str,
    ) -> Result<Vec<(SecretRef, String, SecretData)>, SecretError> {
        let (namespace, name) = (namespace.to_owned(), "*".to_owned());
        Err(SecretError { namespace, name, cause: format!("Secrets cannot be looked for by the label `{label}` here") })
    }
}

/// The data of a Secret. Its `Debug` shows the keys alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(pub std::collections::BTreeMap<String, Vec<u8>>);

/// Logins for the registries of a cloud, made from the identity of this process.
#[async_trait]
pub trait CloudLogins: Send + Sync {
    /// A login for the registry `host`, fresh enough to be used now.
    async fn login(&self, cloud: Cloud, host: &str) -> Result<CloudLogin, CloudLoginError>;
}

/// A short-lived login. Its `Debug` shows neither part.
#[derive(Clone, PartialEq, Eq)]
pub struct CloudLogin {
    /// The user's name that the registry expects.
    pub username: String,
    /// The password, or token.
    pub password: String,
    /// When it was made.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// Why no login could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot log in to `{host}` with the {cloud} identity of this process: {cause}")]
pub struct CloudLoginError {
    /// The registry.
    pub host: String,
    /// The cloud.
    pub cloud: Cloud,
    /// The cause; never a secret.
    pub cause: String,
}

/// The time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Why Applications cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplicationsError {
    /// The right is missing.
    #[error("not allowed to read {what}: {cause}")]
    Denied {
        /// What was to be read.
        what: String,
        /// The server's words.
        cause: String,
    },
    /// Anything else; tried again.
    #[error("cannot read {what}: {cause}")]
    Unavailable {
        /// What was to be read.
        what: String,
        /// The cause.
        cause: String,
    },
}

/// Why a plan was not written. Nothing was changed, except where said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The Application changed meanwhile: read it anew and decide again.
    #[error("`{0}` changed meanwhile")]
    Conflict(ApplicationId),
    /// The Application does not exist any more.
    #[error("`{0}` does not exist any more")]
    Gone(ApplicationId),
    /// The right is missing.
    #[error("not allowed to change `{application}`: {cause}")]
    Denied {
        /// The Application.
        application: ApplicationId,
        /// The server's words.
        cause: String,
    },
    /// The server refuses the change.
    #[error("the change of `{application}` is refused: {cause}")]
    Rejected {
        /// The Application.
        application: ApplicationId,
        /// The server's words.
        cause: String,
    },
    /// The file cannot be changed without touching other bytes.
    #[error("cannot change `{application}` without touching other text: {cause}")]
    NotLossless {
        /// The Application.
        application: ApplicationId,
        /// What stands in the way.
        cause: String,
    },
    /// Anything else; whether it was written is not known, the next look tells.
    #[error("cannot change `{application}`: {cause}")]
    Unavailable {
        /// The Application.
        application: ApplicationId,
        /// The cause.
        cause: String,
    },
}

/// Why a registry gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RegistryError {
    /// The class of failure: one of the registry reasons.
    pub reason: Reason,
    /// What was tried on which repository, and what came back; never a secret.
    pub message: String,
    /// How long the registry asks to wait, where it says so.
    pub retry_after: Option<Duration>,
}

/// Why a Secret cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the Secret `{namespace}/{name}`: {cause}")]
pub struct SecretError {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// The cause.
    pub cause: String,
}

impl RegistryError {
    /// A failure without a time to wait.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }
}

impl WriteError {
    /// The word for it.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Conflict(_) => Reason::WriteConflict,
            Self::Gone(_) => Reason::ApplicationGone,
            Self::Denied { .. } => Reason::WriteDenied,
            Self::Rejected { .. } => Reason::WriteRejected,
            Self::NotLossless { .. } => Reason::CannotEditLosslessly,
            Self::Unavailable { .. } => Reason::WriteFailed,
        }
    }
}

impl fmt::Debug for CloudLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CloudLogin")
            .field("issued", &self.issued)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
