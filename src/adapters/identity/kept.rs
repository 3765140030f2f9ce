//! Logins that are kept, renewed in time, and made once for all who ask at the same moment.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;

use super::http::Failure;
use super::secret::Secret;
use crate::ports::{Clock, CloudLogin};

/// Logins that are kept.
const MAXIMUM_LOGINS: u64 = 1_024;
/// A login that ends so soon may end on the way.
const MARGIN: SignedDuration = SignedDuration::from_secs(30);
/// How long the token service is left alone after a failure, while the old login holds.
const PAUSE_WITH_LOGIN: SignedDuration = SignedDuration::from_mins(1);
/// The same without a login: those who asked at the same moment get the same answer.
const PAUSE_WITHOUT_LOGIN: SignedDuration = SignedDuration::from_secs(10);

/// A login as a cloud gives it.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) username: String,
    pub(super) password: Secret,
    pub(super) expires: Timestamp,
}

/// Logins by what they are for.
///
/// # Guarantees
///
/// - One exchange at a time for a key; others wait for it, or take the login that still holds.
/// - A login is renewed when 80 % of its life is over; where that fails it is kept, and tried again a minute later.
/// - What is handed out holds for at least half a minute, or was made for this question.
pub(super) struct Kept<K> {
    clock: Arc<dyn Clock>,
    slots: Cache<K, Arc<Slot>>,
}

#[derive(Default)]
struct Slot {
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    login: Option<CloudLogin>,
    failed: Option<(Timestamp, String)>,
}

impl<K: Hash + Eq + Send + Sync + 'static> Kept<K> {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, slots: Cache::new(MAXIMUM_LOGINS) }
    }

    /// The login for `key`: the one at hand, or what `exchange` gives, which is told the time.
    ///
    /// # Errors
    /// The cause. `failing` is the sentence before it, for the log, where the login at hand is used on.
    pub(super) async fn login(
        &self,
        key: K,
        failing: &str,
        exchange: impl AsyncFnOnce(Timestamp) -> Result<Granted, Failure>,
    ) -> Result<CloudLogin, String> {
        let slot = self.slots.get_with(key, async { Arc::default() }).await;
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
        if let Some(answer) = slot.fresh(self.clock.now()) {
            return answer;
        }
        let issued = self.clock.now();
        let result = exchange(issued).await;
        let now = self.clock.now();
        let result = result.and_then(|granted| {
            let Granted { username, password, expires } = granted;
            if expires <= now {
                return Err(Failure::new("the login that was given is over already; is the clock right?"));
            }
            Ok(CloudLogin { username, password: password.expose().to_owned(), issued, expires })
        });
        slot.learn(now, failing, result.map_err(|failure| failure.cause))
    }
}

impl Slot {
    /// What can be said without asking anybody.
    fn fresh(&self, now: Timestamp) -> Option<Result<CloudLogin, String>> {
        let login = self.usable(now);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |pause| known.failed.as_ref().filter(|(at, _)| now.duration_since(*at) < pause);
        match login {
            Some(login) if now < renewal(&login) || recent(PAUSE_WITH_LOGIN).is_some() => Some(Ok(login)),
            Some(_) => None,
            None => recent(PAUSE_WITHOUT_LOGIN).map(|(_, cause)| Err(cause.clone())),
        }
    }

    /// The login, while it holds.
    fn usable(&self, now: Timestamp) -> Option<CloudLogin> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.login.clone().filter(|login| login.expires.duration_since(now) > MARGIN)
    }

    /// Keeps what came of an exchange, and says what it means to who asked.
    fn learn(&self, now: Timestamp, failing: &str, result: Result<CloudLogin, String>) -> Result<CloudLogin, String> {
        let old = self.usable(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(login) => {
                *known = Known { login: Some(login.clone()), failed: None };
                Ok(login)
            }
            Err(cause) => {
                known.failed = Some((now, cause.clone()));
                let Some(login) = old else { return Err(cause) };
                tracing::warn!("{failing}: {cause}; the login at hand holds until {}", login.expires);
                Ok(login)
            }
        }
    }
}

fn renewal(login: &CloudLogin) -> Timestamp {
    let life = login.expires.duration_since(login.issued);
    login.issued.checked_add(life * 4 / 5).unwrap_or(login.expires)
}
