//! The registry port over the OCI distribution protocol.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use moka::future::Cache;

use super::access::{Access, Approach, Origin, credential};
use super::credentials::Identity;
use super::failure::Failure;
use super::host::{Endpoint, Host};
use super::index::Index;
use super::observe::{Nobody, RequestObserver};
use super::session::Session;
use super::settings::RegistrySettings;
use super::transport::Transport;
use crate::adapters::credentials::Sources;
use crate::model::{Candidate, Listing, Reason, RegistriesConfiguration, Repository, Tag};
use crate::ports::{Clock, CloudLogins, Labels, Question, Registry, RegistryError, Secrets};

const HOSTS_KEPT: u64 = 10_000;
const SESSIONS_KEPT: u64 = 1_000;
const KEPT_UNUSED: Duration = Duration::from_secs(24 * 3600);

/// Asks container registries, each question once for all who have it.
///
/// # Guarantees
///
/// - An answer is whole, or it is an error, or it says that it may lack tags.
/// - What was read with one login is never shown to a question with another, nor to one without.
/// - A question with credentials is asked with their login or not at all.
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
    configuration: RwLock<Arc<RegistriesConfiguration>>,
    sources: Sources,
    clock: Arc<dyn Clock>,
    transport: Arc<Transport>,
    index: Index,
    hosts: Cache<Arc<Endpoint>, Arc<Host>>,
    sessions: Cache<(Arc<Endpoint>, Identity), Arc<Session>>,
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
        let sources = Sources::new(secrets, Arc::clone(&clock));
        let configuration = RwLock::default();
        Ok(Self { settings, configuration, sources, clock, transport, index, hosts, sessions })
    }

    /// The same client, which also logs in with the identities that clouds give this process.
    #[must_use]
    pub fn with_cloud_logins(mut self, clouds: Arc<dyn CloudLogins>) -> Self {
        self.sources.set_clouds(clouds);
        self
    }

    /// Makes a configuration the one in force. What was learned under another is used where nothing changed.
    ///
    /// Certificates in files must have been read: [`Authority::File`](crate::model::Authority::File) is not looked at here.
    pub fn configure(&self, configuration: RegistriesConfiguration) {
        let before = self.configuration();
        for entry in configuration.entries.iter().filter(|entry| entry.insecure) {
            if !before.entries.iter().any(|known| known.insecure && known.address == entry.address) {
                let (registry, address) = (&entry.name, entry.address.to_string());
                tracing::warn!(
                    registry,
                    address,
                    "the certificate of a registry is not looked at: `insecure` is set for it"
                );
            }
        }
        *self.configuration.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configuration);
    }

    /// How a question would be asked: where, and with whose login. Reads the login, and asks no registry.
    pub async fn approach(&self, question: &Question<'_>) -> Result<Approach, RegistryError> {
        let access = self.access(question, None).await;
        access.map(|access| access.approach).map_err(|failure| failure.listing(question.repository))
    }

    /// The repository that is asked about where this one is named: another one where there is a mirror of it.
    pub fn asked(&self, repository: &Repository) -> Repository {
        self.configuration().route(repository).repository
    }

    fn configuration(&self) -> Arc<RegistriesConfiguration> {
        Arc::clone(&self.configuration.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The way to a repository, with the login that there is now. `refused` is one that the registry did not take.
    async fn access(&self, question: &Question<'_>, refused: Option<&Access>) -> Result<Access, Failure> {
        let configuration = self.configuration();
        let route = configuration.route(question.repository);
        let (credential, origin) = credential(&self.sources, question, &route, refused).await?;
        let endpoint = Arc::new(Endpoint::of(&route, &configuration, &self.settings));
        let host =
            async { self.transport.client_for(&endpoint).and_then(|http| Host::new(&endpoint, http)).map(Arc::new) };
        let host = self.hosts.try_get_with(Arc::clone(&endpoint), host).await;
        let host = host.map_err(|failure: Arc<Failure>| (*failure).clone())?;
        let approach = Approach {
            endpoint: endpoint.address.to_string(),
            repository: route.repository.path.clone(),
            entry: route.entry.map(|entry| entry.name.clone()),
            login: origin.described(),
            no_identity: origin.no_identity(),
        };
        let key = (endpoint, credential.identity());
        let (limits, transport, clock) = (self.settings.limits, Arc::clone(&self.transport), Arc::clone(&self.clock));
        let session = async { Arc::new(Session::new(host, credential, limits, transport, clock)) };
        let session = self.sessions.get_with(key, session).await;
        Ok(Access { session, repository: route.repository, origin, approach })
    }

    /// Another way, where a registry denied this one and there is another login by now.
    async fn renewed(&self, question: &Question<'_>, access: &Access, failure: &Failure) -> Option<Access> {
        if !failure.unauthorized || matches!(access.origin, Origin::Nowhere(_)) {
            return None;
        }
        let renewed = self.access(question, Some(access)).await.ok()?;
        (renewed.session.identity != access.session.identity).then_some(renewed)
    }
}

#[async_trait]
impl Registry for RegistryClient {
    async fn tags(&self, question: &Question<'_>, fresh_since: Timestamp) -> Result<Arc<Listing>, RegistryError> {
        let list = async {
            let access = self.access(question, None).await?;
            let list = async |access: &Access| {
                let listing = self.index.tags(&access.session, &access.repository, fresh_since).await;
                listing.map_err(|failure| (hinted(&failure, access), failure))
            };
            match list(&access).await {
                Err((hinted, failure)) => match self.renewed(question, &access, &failure).await {
                    Some(renewed) => list(&renewed).await.map_err(|(hinted, _)| hinted),
                    None => Err(hinted),
                },
                Ok(listing) => Ok(listing),
            }
        };
        list.await.map_err(|failure: Failure| failure.listing(question.repository))
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
        let access = self.access(question, None).await.map_err(|failure| failure.reading(repository, None))?;
        let read = async |access: &Access| {
            let question = Question { repository: &access.repository, ..question.clone() };
            self.index.details(&access.session, &question, tags, fresh_since).await
        };
        let (result, access) = match read(&access).await {
            Err((tag, failure)) => match self.renewed(question, &access, &failure).await {
                Some(renewed) => (read(&renewed).await, renewed),
                None => (Err((tag, failure)), access),
            },
            candidates => (candidates, access),
        };
        result.map_err(|(tag, failure)| hinted(&failure, &access).reading(repository, Some(&tag)))
    }

    /// A login that the registry refuses is not renewed for it: the list was read with it a moment before.
    async fn labels(
        &self,
        question: &Question<'_>,
        tag: &Tag,
        fresh_since: Timestamp,
    ) -> Result<Arc<Labels>, RegistryError> {
        let access = self.access(question, None).await;
        let access = access.map_err(|failure| failure.reading(question.repository, Some(tag)))?;
        let asked = Question { repository: &access.repository, ..question.clone() };
        let labels = self.index.labels(&access.session, &asked, tag, fresh_since).await;
        let labels = labels.map_err(|failure| hinted(&failure, &access).reading(question.repository, Some(tag)));
        labels.inspect_err(|error| tracing::debug!(cause = %error, "the labels of an image cannot be read"))
    }
}

fn hinted(failure: &Failure, access: &Access) -> Failure {
    match failure.reason {
        Reason::RegistryDenied => failure.clone().with_hint(&access.origin.denied_hint()),
        _ => failure.clone(),
    }
}
