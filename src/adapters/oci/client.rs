//! The registry port over the OCI distribution protocol.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use moka::future::Cache;

use super::credentials::{Credential, Identity, denied_hint};
use super::failure::Failure;
use super::host::Host;
use super::index::Index;
use super::observe::{Nobody, RequestObserver};
use super::session::Session;
use super::settings::RegistrySettings;
use super::transport::Transport;
use crate::model::{Candidate, Listing, Reason, Tag};
use crate::ports::{Clock, Question, Registry, RegistryError, Secrets};

const HOSTS_KEPT: u64 = 10_000;
const SESSIONS_KEPT: u64 = 1_000;
const KEPT_UNUSED: Duration = Duration::from_secs(24 * 3600);

/// Asks container registries, each question once for all who have it.
///
/// # Guarantees
///
/// - An answer is whole, or it is an error, or it says that it may lack tags.
/// - What was read with one login is never shown to a question with another, nor to one without.
/// - A question with a pull secret is asked with its login or not at all.
/// - No error, log or `Debug` shows a password, a token, a header or a query.
///
/// # Caveats
///
/// - Where build dates are asked for, a tag that is known is not resolved anew each time: twenty of those asked for are, the
///   least recently resolved first. A tag that was moved is noticed late where there are many; where digests alone are
///   asked for, it is noticed at once.
/// - Addresses are judged as they are written; a name that leads inside by DNS is followed.
pub struct RegistryClient {
    settings: RegistrySettings,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    index: Index,
    hosts: Cache<String, Arc<Host>>,
    sessions: Cache<(String, Identity), Arc<Session>>,
}

/// Why no registry can be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the client for registries")]
pub struct SetUpError(#[from] reqwest::Error);

impl RegistryClient {
    /// A client that nobody listens to. Also sets up TLS, as [`install_tls_provider`](super::install_tls_provider) does.
    pub fn new(
        settings: RegistrySettings,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetUpError> {
        Self::observed(settings, secrets, clock, Arc::new(Nobody))
    }

    /// A client whose requests are counted by `observer`.
    pub fn observed(
        settings: RegistrySettings,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn RequestObserver>,
    ) -> Result<Self, SetUpError> {
        super::install_tls_provider();
        let transport = Arc::new(Transport::new(&settings, observer)?);
        let index = Index::new(Arc::clone(&clock));
        let hosts = Cache::builder().max_capacity(HOSTS_KEPT).time_to_idle(KEPT_UNUSED).build();
        let sessions = Cache::builder().max_capacity(SESSIONS_KEPT).time_to_idle(KEPT_UNUSED).build();
        Ok(Self { settings, secrets, clock, transport, index, hosts, sessions })
    }

    /// The session for a question, with the login that its pull secret holds now.
    async fn session(&self, question: &Question<'_>) -> Result<Arc<Session>, Failure> {
        let credential = Credential::read(&*self.secrets, question).await?;
        let name = &question.repository.registry;
        let host = async { Host::new(name, &self.settings).map(Arc::new) };
        let host = self.hosts.try_get_with(name.clone(), host).await.map_err(|failure| (*failure).clone())?;
        let key = (name.clone(), credential.identity());
        let (limits, transport, clock) = (self.settings.limits, Arc::clone(&self.transport), Arc::clone(&self.clock));
        let session = async { Arc::new(Session::new(host, credential, limits, transport, clock)) };
        Ok(self.sessions.get_with(key, session).await)
    }

    /// Another session, where a registry denied this one and the pull secret has changed since it was read.
    async fn renewed(&self, question: &Question<'_>, session: &Session, failure: &Failure) -> Option<Arc<Session>> {
        if !failure.unauthorized || question.pull_secret.is_none() {
            return None;
        }
        self.session(question).await.ok().filter(|renewed| renewed.identity != session.identity)
    }
}

#[async_trait]
impl Registry for RegistryClient {
    async fn tags(&self, question: &Question<'_>, fresh_since: Timestamp) -> Result<Arc<Listing>, RegistryError> {
        let repository = question.repository;
        let list = async {
            let session = self.session(question).await?;
            match self.index.tags(&session, repository, fresh_since).await {
                Err(failure) => match self.renewed(question, &session, &failure).await {
                    Some(renewed) => self.index.tags(&renewed, repository, fresh_since).await,
                    None => Err(failure),
                },
                listing => listing,
            }
        };
        list.await.map_err(|failure| hinted(failure, question).listing(repository))
    }

    async fn details(
        &self,
        question: &Question<'_>,
        tags: &[Tag],
        fresh_since: Timestamp,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let repository = question.repository;
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let unlogged = |failure: Failure| hinted(failure, question).reading(repository, None);
        let session = self.session(question).await.map_err(unlogged)?;
        let result = match self.index.details(&session, question, tags, fresh_since).await {
            Err((tag, failure)) => match self.renewed(question, &session, &failure).await {
                Some(renewed) => self.index.details(&renewed, question, tags, fresh_since).await,
                None => Err((tag, failure)),
            },
            candidates => candidates,
        };
        result.map_err(|(tag, failure)| hinted(failure, question).reading(repository, Some(&tag)))
    }
}

fn hinted(failure: Failure, question: &Question<'_>) -> Failure {
    match failure.reason {
        Reason::RegistryDenied => failure.with_hint(&denied_hint(question)),
        _ => failure,
    }
}
