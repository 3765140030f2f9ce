//! What belongs to a registry, whoever asks it: its address, its limits, its wish to be left alone for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use url::{Host as Name, Url};

use super::breaker::{Breaker, Gate};
use super::failure::Failure;
use super::pace::Pace;
use super::settings::RegistrySettings;
use crate::model::{ApiAddress, Authority, ProxyChoice, Reason, RegistriesConfiguration, Route, TagOrder};

/// Requests to one registry at a time.
const REQUESTS_PER_REGISTRY: usize = 8;
/// Requests for one repository at a time, so that one that hangs leaves room for the others of its registry.
const REQUESTS_PER_REPOSITORY: usize = 4;
/// From how many repositories on those without a request are forgotten.
const REPOSITORIES_KEPT: usize = 1_000;

/// How a registry is spoken to. Two that differ in anything are two registries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    /// As image references name it.
    pub(super) name: String,
    /// Where it is spoken to.
    pub(super) address: ApiAddress,
    /// Whether any certificate is taken.
    pub(super) insecure: bool,
    /// Authorities that are trusted beside the system's own, in PEM.
    pub(super) authority: Option<String>,
    /// Requests a second at most.
    pub(super) limit: Option<u32>,
    /// What the order of its lists of tags says.
    pub(super) order: TagOrder,
    /// What stands between.
    pub(super) proxy: ProxyChoice,
}

/// A registry.
pub(super) struct Host {
    /// As image references name it.
    pub(super) name: String,
    /// How it is spoken to.
    pub(super) endpoint: Arc<Endpoint>,
    /// Where it is spoken to.
    pub(super) base: Url,
    /// What speaks to it, where that is not the same as to all others.
    pub(super) http: Option<reqwest::Client>,
    requests: Semaphore,
    repositories: Mutex<HashMap<String, Arc<Semaphore>>>,
    quiet_until: Mutex<Option<Instant>>,
    pace: Option<Pace>,
    breaker: Mutex<Breaker>,
    tried: Notify,
}

/// A question to a registry that may be asked, until it is known whether the registry answers.
pub(super) struct Trial<'a> {
    host: &'a Host,
    probe: bool,
}

impl Endpoint {
    /// What an entry says of a registry; without one, what its name says.
    pub(super) fn of(route: &Route<'_>, configuration: &RegistriesConfiguration, settings: &RegistrySettings) -> Self {
        let name = route.repository.registry.clone();
        let authority_of = |address: &ApiAddress| configuration.authorities.get(hostname(&address.host)).cloned();
        let Some(entry) = route.entry else {
            let tls = !settings.plain_http.contains(&name);
            let address = ApiAddress { tls, host: name.clone(), path: String::new() };
            let authority = authority_of(&address);
            let (order, proxy) = (TagOrder::None, ProxyChoice::Environment);
            return Self { name, address, insecure: false, authority, limit: None, order, proxy };
        };
        let authority = match &entry.authority {
            _ if entry.insecure => None,
            Some(Authority::Text(text)) => Some(text.clone()),
            // Whoever read the configuration has put the text in its place.
            Some(Authority::File(_)) => None,
            None => authority_of(&entry.address),
        };
        Self {
            name,
            address: entry.address.clone(),
            insecure: entry.insecure,
            authority,
            limit: entry.limit,
            order: entry.tag_order,
            proxy: entry.proxy.clone(),
        }
    }
}

impl Host {
    pub(super) fn new(endpoint: &Arc<Endpoint>, http: Option<reqwest::Client>) -> Result<Self, Failure> {
        let name = endpoint.name.clone();
        let base = Url::parse(&format!("{}/", endpoint.address));
        let base = base.map_err(|_| Failure::new(Reason::RegistryUnreachable, format!("`{name}` is no address")))?;
        Ok(Self {
            name,
            endpoint: Arc::clone(endpoint),
            base,
            http,
            requests: Semaphore::new(REQUESTS_PER_REGISTRY),
            repositories: Mutex::default(),
            quiet_until: Mutex::default(),
            pace: endpoint.limit.map(Pace::new),
            breaker: Mutex::default(),
            tried: Notify::new(),
        })
    }

    /// The address of something below `/v2/`.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}v2/{path}", self.base.path()));
        url
    }

    /// Waits for a place among the requests for one repository.
    pub(super) async fn enter_repository(&self, path: &str) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            let mut repositories = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
            if repositories.len() >= REPOSITORIES_KEPT {
                repositories.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            let fresh = || Arc::new(Semaphore::new(REQUESTS_PER_REPOSITORY));
            Arc::clone(repositories.entry(path.to_owned()).or_insert_with(fresh))
        };
        semaphore.acquire_owned().await.ok()
    }

    /// Lets a question pass unless the registry is left alone. Where one is asked to try whether it is well again, that is
    /// waited for; no longer than `patience`.
    pub(super) async fn admit(&self, patience: Duration) -> Result<Trial<'_>, Failure> {
        let waiting = async {
            loop {
                let mut tried = std::pin::pin!(self.tried.notified());
                tried.as_mut().enable();
                let gate = self.breaker().gate(Instant::now());
                match gate {
                    Gate::Open => return Ok(Trial { host: self, probe: false }),
                    Gate::Probe => return Ok(Trial { host: self, probe: true }),
                    Gate::Closed(failure) => return Err(failure),
                    Gate::Wait => tried.await,
                }
            }
        };
        timeout(patience, waiting).await.unwrap_or_else(|_| Err(Failure::no_answer(patience)))
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place among the requests to the registry, and for the end of the time that it asked for. Where that time
    /// is longer than `patience`, it fails at once.
    pub(super) async fn enter(&self, patience: Duration) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        let permit = self.requests.acquire().await.ok();
        match self.quiet_for() {
            None => {}
            Some(wait) if wait <= patience => tokio::time::sleep(wait).await,
            Some(wait) => return Err(Failure::asked_to_wait(wait)),
        }
        if let Some(pace) = &self.pace {
            pace.step().await;
        }
        Ok(permit)
    }

    /// The registry asks to be left alone.
    pub(super) fn wait_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut quiet_until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        *quiet_until = Some(quiet_until.map_or(until, |earlier| earlier.max(until)));
    }

    fn quiet_for(&self) -> Option<Duration> {
        let until = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now())).filter(|wait| !wait.is_zero())
    }
}

impl Trial<'_> {
    /// The registry answered.
    pub(super) fn answered(mut self) {
        self.probe = false;
        self.host.breaker().answered();
        self.host.tried.notify_waiters();
    }

    /// It did not, or not well, when asked about a repository. Gives the failure as it is to be told.
    pub(super) fn failed(mut self, repository: &str, failure: Failure) -> Failure {
        self.probe = false;
        let spread = rand::rng().random_range(1.0..1.25);
        let failure = self.host.breaker().failed(repository, failure, spread, Instant::now());
        self.host.tried.notify_waiters();
        failure
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.host.breaker().untold();
            self.host.tried.notify_waiters();
        }
    }
}

/// A host without its port.
pub(super) fn hostname(host: &str) -> &str {
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

/// Whether an address is of this machine or its link, where cloud metadata services live. What stands there must not be
/// asked because a registry somewhere else says so.
pub(super) fn is_inner(url: &Url) -> bool {
    match url.host() {
        Some(Name::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost") || name == "metadata.google.internal"
        }
        Some(Name::Ipv4(address)) => address.is_loopback() || address.is_link_local() || address.is_unspecified(),
        Some(Name::Ipv6(address)) => {
            let mapped = address.to_ipv4_mapped();
            let mapped = mapped
                .is_some_and(|address| address.is_loopback() || address.is_link_local() || address.is_unspecified());
            // The metadata address of AWS over IPv6 is a unique local one.
            let metadata = address.segments() == [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254];
            mapped || metadata || address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified()
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Repository;

    fn host(name: &str) -> Result<Host, Failure> {
        let settings = RegistrySettings { plain_http: vec!["127.0.0.1:5000".to_owned()], ..Default::default() };
        let configuration = RegistriesConfiguration::default();
        let route = configuration.route(&Repository { registry: name.to_owned(), path: "a/b".to_owned() });
        Host::new(&Arc::new(Endpoint::of(&route, &configuration, &settings)), None)
    }

    fn base(name: &str) -> String {
        host(name).map_or_else(|failure| failure.cause, |host| host.base.to_string())
    }

    #[test]
    fn registries_are_spoken_to_over_tls_unless_set_otherwise() {
        insta::assert_snapshot!(base("ghcr.io"), @"https://ghcr.io/");
        insta::assert_snapshot!(base("docker.io"), @"https://registry-1.docker.io/");
        insta::assert_snapshot!(base("127.0.0.1:5000"), @"http://127.0.0.1:5000/");
        insta::assert_snapshot!(base("127.0.0.1:5001"), @"https://127.0.0.1:5001/");
        insta::assert_snapshot!(base("["), @"`[` is no address");
    }

    #[test]
    fn addresses_of_this_machine_and_its_link_are_known() {
        let inner = |text: &str| Url::parse(text).is_ok_and(|url| is_inner(&url));
        for text in [
            "http://localhost:1",
            "http://a.localhost",
            "http://127.8.0.1",
            "http://169.254.169.254",
            "http://[::1]",
            "http://[fe80::1]",
            "http://[::ffff:127.0.0.1]",
            "http://[fd00:ec2::254]",
            "http://0.0.0.0",
            "http://metadata.google.internal",
        ] {
            assert!(inner(text), "{text}");
        }
        assert!(!inner("https://ghcr.io") && !inner("http://10.0.0.1:5000") && !inner("http://[2001:db8::1]"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_asks_to_wait_is_left_alone() {
        let host = host("ghcr.io").expect("what a test writes is valid");
        let patience = Duration::from_secs(5);
        host.wait_for(Duration::from_secs(30));
        host.wait_for(Duration::from_secs(2));
        let refused = host.enter(patience).await.err().map(|failure| (failure.reason, failure.retry_after));
        assert_eq!(refused, Some((Reason::RateLimited, Some(Duration::from_secs(30)))));
        tokio::time::advance(Duration::from_secs(26)).await;
        let before = Instant::now();
        assert!(host.enter(patience).await.is_ok());
        assert!(before.elapsed() >= Duration::from_secs(4), "what is left is waited for");
        assert_eq!(host.quiet_for(), None);
    }
}
