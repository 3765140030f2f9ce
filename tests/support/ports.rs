//! Small ports around a client, and a client with short patience.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fairlead::adapters::oci::{
    Limits, RegistryClient, RegistrySettings, RequestKind, RequestObserver, RequestOutcome, Timeouts,
};
use fairlead::model::{
    Candidate, CredentialSource, Details, ImageReference, Listing, Platform, Repository, SecretRef, Tag,
};
use fairlead::ports::{Clock, Question, Registry as _, RegistryError, SecretData, SecretError, Secrets};
use jiff::Timestamp;

/// A clock that a test moves.
#[derive(Default)]
pub struct HandClock(AtomicI64);

/// Secrets that a test writes.
#[derive(Default)]
pub struct Vault {
    secrets: Mutex<BTreeMap<String, SecretData>>,
    reads: AtomicU64,
    broken: AtomicBool,
}

/// Counts requests by kind and outcome.
#[derive(Default)]
pub struct Counter {
    requests: Mutex<BTreeMap<(RequestKind, RequestOutcome), u64>>,
    avoided: AtomicU64,
    quotas: Mutex<Vec<(RequestKind, u64)>>,
}

/// A client and its surroundings.
pub struct World {
    /// The client.
    pub client: RegistryClient,
    /// Its clock.
    pub clock: Arc<HandClock>,
    /// Its Secrets.
    pub vault: Arc<Vault>,
    /// Its listener.
    pub counter: Arc<Counter>,
}

impl World {
    /// A client that speaks plain HTTP with `hosts`, asks for 100 tags at once, and does not wait between two tries.
    pub fn new(hosts: &[&str]) -> Self {
        Self::with(hosts, limits(), timeouts())
    }

    /// The same with other limits and timeouts.
    pub fn with(hosts: &[&str], limits: Limits, timeouts: Timeouts) -> Self {
        let plain_http = hosts.iter().map(|host| (*host).to_owned()).collect();
        let settings = RegistrySettings { plain_http, timeouts, limits, ..RegistrySettings::default() };
        let (clock, vault, counter) = (Arc::<HandClock>::default(), Arc::<Vault>::default(), Arc::<Counter>::default());
        let ports = (Arc::<Vault>::clone(&vault), Arc::<HandClock>::clone(&clock), Arc::<Counter>::clone(&counter));
        let client = RegistryClient::observed(settings, ports.0, ports.1, ports.2).expect("TLS can be set up");
        Self { client, clock, vault, counter }
    }

    /// All tags, as new as now, anonymously.
    pub async fn tags(&self, name: &str) -> Result<Arc<Listing>, RegistryError> {
        self.tags_with(name, None).await
    }

    /// All tags, as new as now, with a pull secret.
    pub async fn tags_with(&self, name: &str, secret: Option<&str>) -> Result<Arc<Listing>, RegistryError> {
        self.tags_by(name, secret.map(|secret| CredentialSource::PullSecret(secret_named(secret))).as_ref()).await
    }

    /// All tags, as new as now, with the login from a source.
    pub async fn tags_by(
        &self,
        name: &str,
        credentials: Option<&CredentialSource>,
    ) -> Result<Arc<Listing>, RegistryError> {
        let repository = repository(name);
        let question = Question { repository: &repository, credentials, platforms: &[], dates: false };
        self.client.tags(&question, self.clock.now()).await
    }

    /// The sentence of a failure to list tags, with the host's changing part left out.
    pub async fn sentence(&self, name: &str, secret: Option<&str>) -> String {
        match self.tags_with(name, secret).await {
            Ok(listing) => shown(&listing),
            Err(error) => format!("{}: {error}", error.reason).replace(host_of(name), "HOST"),
        }
    }

    /// Digests alone, as new as now.
    pub async fn digests(&self, name: &str, tags: &[&str]) -> Result<Vec<Candidate>, RegistryError> {
        self.ask(name, tags, &[], false).await
    }

    /// Digests and build dates, as new as now.
    pub async fn dates(&self, name: &str, tags: &[&str], wanted: &[&str]) -> Result<Vec<Candidate>, RegistryError> {
        self.ask(name, tags, wanted, true).await
    }

    async fn ask(
        &self,
        name: &str,
        tags: &[&str],
        wanted: &[&str],
        dates: bool,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let (repository, platforms) = (repository(name), platforms(wanted));
        let question = Question { repository: &repository, credentials: None, platforms: &platforms, dates };
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().expect("a test's tags are tags")).collect();
        self.client.details(&question, &tags, self.clock.now()).await
    }
}

impl HandClock {
    /// Moves on.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + self.0.load(Ordering::Relaxed)).expect("the clock stays in range")
    }
}

impl Vault {
    /// Writes a pull secret with one login.
    pub fn login(&self, name: &str, host: &str, username: &str, password: &str) {
        let config = serde_json::json!({ "auths": { host: { "username": username, "password": password } } });
        self.write(name, &config.to_string());
    }

    /// Writes a pull secret.
    pub fn write(&self, name: &str, config: &str) {
        self.put(name, SecretData([(".dockerconfigjson".to_owned(), config.as_bytes().to_vec())].into()));
    }

    /// Writes a Secret.
    pub fn put(&self, name: &str, data: SecretData) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), data);
    }

    /// Makes Secrets readable or not.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// How often Secrets were read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Secrets for Vault {
    async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.broken.load(Ordering::Relaxed) {
            let SecretRef { namespace, name } = secret.clone();
            return Err(SecretError { namespace, name, cause: "the API server is away".to_owned() });
        }
        Ok(self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(&secret.name).cloned())
    }
}

impl Counter {
    /// The requests of a kind, whatever their outcome.
    pub fn of(&self, kind: RequestKind) -> u64 {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|((known, _), _)| *known == kind).map(|(_, count)| count).sum()
    }

    /// All requests so far, as text.
    pub fn all(&self) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let shown =
            requests.iter().map(|((kind, outcome), count)| format!("{} {} {count}", kind.as_str(), outcome.as_str()));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// What the registry told of requests that are left.
    pub fn quotas(&self) -> Vec<(RequestKind, u64)> {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The questions that needed no request.
    pub fn not_needed(&self) -> u64 {
        self.avoided.load(Ordering::Relaxed)
    }
}

impl RequestObserver for Counter {
    fn observed(&self, _: &str, kind: RequestKind, outcome: RequestOutcome, _: f64) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((kind, outcome)).or_default() += 1;
    }

    fn avoided(&self, _: &str) {
        self.avoided.fetch_add(1, Ordering::Relaxed);
    }

    fn quota(&self, _: &str, kind: RequestKind, remaining: u64) {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner).push((kind, remaining));
    }
}

/// The limits of tests.
pub fn limits() -> Limits {
    Limits { page_size: 100, ..Limits::default() }
}

/// The timeouts of tests where none of them is the point.
pub fn timeouts() -> Timeouts {
    Timeouts { back_off: Duration::from_millis(1), ..Timeouts::default() }
}

/// The repository that a name means.
pub fn repository(name: &str) -> Repository {
    name.parse::<ImageReference>().expect("a test's names are names").repository
}

/// The platforms that some texts mean.
pub fn platforms(texts: &[&str]) -> Vec<Platform> {
    texts.iter().map(|text| text.parse().expect("a test's platforms are platforms")).collect()
}

/// A list of tags, as text.
pub fn shown(listing: &Listing) -> String {
    let tags: Vec<_> = listing.candidates.iter().map(|candidate| candidate.tag.as_str()).collect();
    let incomplete = listing.incomplete.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("[{}]{incomplete}", tags.join(" "))
}

/// Candidates, as text, with digests left out.
pub fn described(candidates: &[Candidate]) -> String {
    let line = |candidate: &Candidate| match &candidate.details {
        Details::Unknown => format!("{}: unknown", candidate.tag),
        Details::NotAnImage(what) => format!("{}: {what}", candidate.tag),
        Details::Known(known) => {
            let build = |(platform, created): &(Platform, Option<Timestamp>)| match created {
                Some(created) => format!(" {platform} {created}"),
                None => format!(" {platform} ?"),
            };
            format!("{}:{}", candidate.tag, known.builds.iter().map(build).collect::<String>())
        }
    };
    candidates.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn secret_named(name: &str) -> SecretRef {
    SecretRef { namespace: "team".to_owned(), name: name.to_owned() }
}

fn host_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(host, _)| host)
}
