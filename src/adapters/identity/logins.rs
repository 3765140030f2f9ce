//! Logins that are kept, renewed in time, and made once for all who ask at the same moment.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;

use super::http::{Failure, Http};
use super::secret::Secret;
use super::settings::IdentitySettings;
use super::{aws, azure, google};
use crate::adapters::oci::SetUpError;
use crate::model::Cloud;
use crate::ports::{Clock, CloudLogin, CloudLoginError, CloudLogins};

/// Registries that logins are kept for.
const MAXIMUM_HOSTS: u64 = 1_024;
/// A login that ends so soon may end on the way.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);
/// How long the token service is left alone after a failure, while the old login holds.
const PAUSE_WITH_LOGIN: SignedDuration = SignedDuration::from_mins(1);
/// The same without a login: those who asked at the same moment get the same answer.
const PAUSE_WITHOUT_LOGIN: SignedDuration = SignedDuration::from_secs(10);

/// Logins from the identity that the cloud gives this process.
///
/// # Guarantees
///
/// - One exchange at a time a registry; others wait for it, or take the login that still holds.
/// - A login is renewed when 80 % of its life is over; where that fails it is kept, and tried again a minute later.
/// - What is handed out holds for at least half a minute, or was made for this question.
/// - A host that is not one of the cloud gets nothing.
pub struct CloudIdentities {
    source: Source,
    clock: Arc<dyn Clock>,
    kept: Cache<(Cloud, String), Arc<Slot>>,
}

/// What the clouds' own steps have in hand.
pub(super) struct Source {
    pub(super) settings: IdentitySettings,
    pub(super) http: Http,
}

/// A login as a cloud gives it.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) expires: Timestamp,
}

#[derive(Default)]
struct Slot {
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    login: Option<CloudLogin>,
    failed: Option<(Timestamp, CloudLoginError)>,
}

impl CloudIdentities {
    /// Makes logins from what `settings` say. Nothing is asked before the first login.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(settings: IdentitySettings, clock: Arc<dyn Clock>) -> Result<Self, SetUpError> {
        crate::adapters::oci::install_tls_provider();
        let http = Http::new(settings.timeouts)?;
        Ok(Self { source: Source { settings, http }, clock, kept: Cache::new(MAXIMUM_HOSTS) })
    }

    async fn renew(&self, slot: &Slot, cloud: Cloud, host: &str) -> Result<CloudLogin, CloudLoginError> {
        let issued = self.clock.now();
        let result = match cloud {
            Cloud::Aws => aws::login(&self.source, host, issued).await,
            Cloud::Gcp => google::login(&self.source, issued).await,
            Cloud::Azure => azure::login(&self.source, host, issued).await,
        };
        let now = self.clock.now();
        let result = result.and_then(|granted| {
            let Granted { username, password, expires } = granted;
            if expires <= now {
                return Err(Failure::new("the login that was given is over already; is the clock right?"));
            }
            Ok(CloudLogin { username, password: password.expose().to_owned(), issued, expires })
        });
        slot.learn(now, result.map_err(|failure| error(cloud, host, failure.cause)))
    }
}

#[async_trait]
impl CloudLogins for CloudIdentities {
    async fn login(&self, cloud: Cloud, host: &str) -> Result<CloudLogin, CloudLoginError> {
        if !belongs(cloud, host) {
            return Err(error(cloud, host, format!("`{host}` is not a registry of {cloud}")));
        }
        let slot = self.kept.get_with((cloud, host.to_owned()), async { Arc::default() }).await;
        if let Some(answer) = slot.fresh(self.clock.now()) {
            return answer;
        }
        let _flight = match slot.flight.try_lock() {
            Ok(flight) => flight,
            Err(_) => match slot.usable(self.clock.now()) {
                Some(login) => return Ok(login),
                None => slot.flight.lock().await,
            },
        };
        match slot.fresh(self.clock.now()) {
            Some(answer) => answer,
            None => self.renew(&slot, cloud, host).await,
        }
    }
}

impl Slot {
    /// What can be said without asking anybody.
    fn fresh(&self, now: Timestamp) -> Option<Result<CloudLogin, CloudLoginError>> {
        let login = self.usable(now);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |pause| known.failed.as_ref().filter(|(at, _)| now.duration_since(*at) < pause);
        match login {
            Some(login) if now < renewal(&login) || recent(PAUSE_WITH_LOGIN).is_some() => Some(Ok(login)),
            Some(_) => None,
            None => recent(PAUSE_WITHOUT_LOGIN).map(|(_, error)| Err(error.clone())),
        }
    }

    /// The login, while it holds.
    fn usable(&self, now: Timestamp) -> Option<CloudLogin> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.login.clone().filter(|login| login.expires.duration_since(now) > MARGIN)
    }

    /// Keeps what came of an exchange, and says what it means to who asked.
    fn learn(
        &self,
        now: Timestamp,
        result: Result<CloudLogin, CloudLoginError>,
    ) -> Result<CloudLogin, CloudLoginError> {
        let old = self.usable(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(login) => {
                *known = Known { login: Some(login.clone()), failed: None };
                Ok(login)
            }
            Err(error) => {
                known.failed = Some((now, error.clone()));
                let Some(login) = old else { return Err(error) };
                tracing::warn!(
                    registry.host = error.host,
                    cloud = error.cloud.as_str(),
                    "{error}; the login at hand holds until {}",
                    login.expires
                );
                Ok(login)
            }
        }
    }
}

fn renewal(login: &CloudLogin) -> Timestamp {
    let life = login.expires.duration_since(login.issued);
    login.issued.checked_add(life * 4 / 5).unwrap_or(login.expires)
}

/// Hosts become parts of addresses, so they consist of what host names consist of.
fn belongs(cloud: Cloud, host: &str) -> bool {
    let plain = host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    plain && Cloud::of_host(host) == Some(cloud)
}

fn error(cloud: Cloud, host: &str, cause: String) -> CloudLoginError {
    CloudLoginError { host: host.to_owned(), cloud, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_more_than_a_name_belongs_to_nobody() {
        assert!(belongs(Cloud::Azure, "acme.azurecr.io"));
        for host in ["evil.example#.azurecr.io", "evil.example/.azurecr.io", "a@b.azurecr.io", "a:1.azurecr.io"] {
            assert!(!belongs(Cloud::Azure, host), "{host}");
        }
        assert!(!belongs(Cloud::Gcp, "acme.azurecr.io"));
    }
}
