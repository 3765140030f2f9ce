//! Forges: GitHub and GitHub Enterprise, GitLab, Gitea and Forgejo, by their HTTP APIs.
//!
//! # Guarantees
//!
//! - A call is bounded in time and size. A question is asked twice at most, a change once.
//! - A forge that asks to wait gets no request until then; one that fails is left alone for a while that grows to fifteen minutes. A change that
//!   it refused is not tried again in the same form for as long.
//! - A token goes to the API of its repository alone, and stands in no error, log or `Debug`.

mod address;
mod gitea;
mod github;
mod github_commit;
mod gitlab;
mod http;
mod pause;
mod repos;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{
    CommitId, ForgeCommit, ForgeRepository, MergeMethod, PullRequest, PullRequestDraft, PullRequestProvider, Reason,
};
use crate::ports::{Clock, Forge, ForgeCommits, ForgeError, GitLogins, PullRequestWritten};
use http::Http;
pub(in crate::adapters) use http::plain;
use session::Session;

/// How long forges may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgeTimeouts {
    /// For a connection.
    pub connect: Duration,
    /// For a whole answer.
    pub whole: Duration,
}

/// All forges.
pub struct Forges {
    http: Http,
    logins: Arc<dyn GitLogins>,
}

impl Default for ForgeTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), whole: Duration::from_secs(30) }
    }
}

impl Forges {
    /// All forges, reached with the tokens that `logins` has for their repositories.
    pub fn new(timeouts: ForgeTimeouts, logins: Arc<dyn GitLogins>, clock: Arc<dyn Clock>) -> Self {
        Self { http: Http::new(timeouts, clock), logins }
    }

    async fn session<'a>(&'a self, at: &'a ForgeRepository) -> Result<Session<'a>, ForgeError> {
        let login = self.logins.login(&at.repository).await;
        let login = login.map_err(|error| ForgeError::new(error.reason, error.message))?;
        Session::new(&self.http, at, &login)
    }
}

#[async_trait]
impl Forge for Forges {
    async fn find(&self, at: &ForgeRepository, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub => github::find(&session, head, base).await,
            PullRequestProvider::GitLab => gitlab::find(&session, head, base).await,
            PullRequestProvider::Gitea => gitea::find(&session, head, base).await,
        }
    }

    async fn open_on(&self, at: &ForgeRepository, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub => github::open_on(&session, base).await,
            PullRequestProvider::GitLab => gitlab::open_on(&session, base).await,
            PullRequestProvider::Gitea => gitea::open_on(&session, base).await,
        }
    }

    async fn using(&self, at: &ForgeRepository, branch: &str) -> Result<Vec<u64>, ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub => github::using(&session, branch).await,
            PullRequestProvider::GitLab => gitlab::using(&session, branch).await,
            PullRequestProvider::Gitea => gitea::using(&session, branch).await,
        }
    }

    async fn open(&self, at: &ForgeRepository, draft: &PullRequestDraft) -> Result<PullRequestWritten, ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub => github::open(&session, draft).await,
            PullRequestProvider::GitLab => gitlab::open(&session, draft).await,
            PullRequestProvider::Gitea => gitea::open(&session, draft).await,
        }
    }

    async fn update(
        &self,
        at: &ForgeRepository,
        number: u64,
        draft: &PullRequestDraft,
    ) -> Result<PullRequestWritten, ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub => github::update(&session, number, draft).await,
            PullRequestProvider::GitLab => gitlab::update(&session, number, draft).await,
            PullRequestProvider::Gitea => gitea::update(&session, number, draft).await,
        }
    }

    async fn set_body(&self, at: &ForgeRepository, number: u64, body: &str) -> Result<(), ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub | PullRequestProvider::Gitea => repos::set_body(&session, number, body).await,
            PullRequestProvider::GitLab => gitlab::set_body(&session, number, body).await,
        }
    }

    async fn close(&self, at: &ForgeRepository, number: u64, body: &str, comment: &str) -> Result<(), ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub | PullRequestProvider::Gitea => {
                repos::close(&session, number, body, comment).await
            }
            PullRequestProvider::GitLab => gitlab::close(&session, number, body, comment).await,
        }
    }

    async fn merge_when_ready(
        &self,
        at: &ForgeRepository,
        pull_request: &PullRequest,
        method: MergeMethod,
    ) -> Result<(), ForgeError> {
        let session = self.session(at).await?;
        match at.provider {
            PullRequestProvider::GitHub => github::merge_when_ready(&session, pull_request, method).await,
            PullRequestProvider::GitLab => gitlab::merge_when_ready(&session, pull_request, method).await,
            PullRequestProvider::Gitea => gitea::merge_when_ready(&session, pull_request, method).await,
        }
    }
}

#[async_trait]
impl ForgeCommits for Forges {
    async fn commit(&self, at: &ForgeRepository, commit: &ForgeCommit) -> Result<CommitId, ForgeError> {
        match at.provider {
            PullRequestProvider::GitHub => github_commit::commit(&self.session(at).await?, commit).await,
            PullRequestProvider::GitLab | PullRequestProvider::Gitea => {
                let message = format!("cannot commit in `{at}` by an API: it is a repository of {}", at.provider);
                Err(ForgeError::new(Reason::ForgeRejected, message))
            }
        }
    }
}
