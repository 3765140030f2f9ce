//! Logins by their source, kept as long as they are good.
//!
//! # Guarantees
//!
//! - A login is read anew at four fifths of its life, by whoever needs it next; the others wait for that.
//! - A failure to read it anew leaves the one there is in use.
//! - A login that a registry refused is read anew once, and then left alone for a while where reading costs much.
//! - A pull secret is read once for all the repositories that it holds logins for, and anew for one that it holds none for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;
use tokio::sync::Mutex as AsyncMutex;

use super::{PullSecret, SCRIPT_TIME, login, pull_secret, script, secret_field};
pub use crate::lower::docker_config::Login;
use crate::model::{Cloud, CredentialSource, Repository};
use crate::ports::{Clock, CloudLogins, Secrets};

/// How long what a Secret holds is used without a look, where nobody says how long it is good.
const LIFE_OF_SECRETS: Duration = Duration::from_secs(60);
/// How long a script or a cloud that failed, or whose login was refused, is left alone.
const REST: Duration = Duration::from_secs(30);
/// How many sources are kept, and how long those that nobody needs.
const KEPT: u64 = 10_000;
const KEPT_UNUSED: Duration = Duration::from_secs(24 * 3600);

/// Where logins come from.
pub struct Sources {
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    clouds: Option<Arc<dyn CloudLogins>>,
    slots: Cache<Place, Arc<AsyncMutex<Slot>>>,
}

/// A source, and the host where it gives another login to each.
type Place = (CredentialSource, Option<String>);

/// The login that is needed.
pub struct Wanted<'a> {
    /// Where it comes from.
    pub source: &'a CredentialSource,
    /// How long it is good, where that was said.
    pub life: Option<Duration>,
    /// What it is for: the names of the repository, the best first.
    pub names: &'a [&'a Repository],
    /// The host that it is sent to.
    pub host: &'a str,
}

/// What a source held, and what became of the last try to read it.
#[derive(Default)]
struct Slot {
    kept: Option<(Held, Timestamp)>,
    failure: Option<String>,
    rests_until: Option<Timestamp>,
}

/// What a source holds.
enum Held {
    One(Login),
    Several(PullSecret),
}

impl Held {
    fn login_for(&self, wanted: &Wanted<'_>) -> Result<Login, String> {
        match self {
            Self::One(login) => Ok(login.clone()),
            Self::Several(secret) => secret.login_for(wanted.names),
        }
    }
}

impl Sources {
    /// Logins from Secrets, this process and its scripts.
    pub fn new(secrets: Arc<dyn Secrets>, clock: Arc<dyn Clock>) -> Self {
        let slots = Cache::builder().max_capacity(KEPT).time_to_idle(KEPT_UNUSED).build();
        Self { secrets, clock, clouds: None, slots }
    }

    /// Adds the identities that clouds give.
    pub fn set_clouds(&mut self, clouds: Arc<dyn CloudLogins>) {
        self.clouds = Some(clouds);
    }

    /// Whether there are identities of clouds at all.
    pub fn knows_clouds(&self) -> bool {
        self.clouds.is_some()
    }

    /// The login from a source; `refused` says of one that a registry did not take it.
    ///
    /// # Errors
    /// A sentence on what stands in the way, when there is no login at all.
    pub async fn login(&self, wanted: &Wanted<'_>, refused: impl Fn(&Login) -> bool) -> Result<Login, String> {
        let slot = self.slot(wanted).await;
        let mut slot = slot.lock().await;
        let now = self.clock.now();
        let kept = slot.kept.as_ref().map(|(held, read)| (held.login_for(wanted), *read));
        let was_refused = kept.as_ref().is_some_and(|(login, _)| login.as_ref().is_ok_and(&refused));
        let resting = slot.rests_until.is_some_and(|until| now < until);
        match (kept, &slot.failure) {
            (Some((Ok(login), _)), _) if resting => return Ok(login),
            (Some((Ok(login), read)), _) if !was_refused && !is_due(wanted, read, now) => return Ok(login),
            (None, Some(failure)) if resting => return Err(failure.clone()),
            (Some(_) | None, _) => {}
        }
        let result = self.read(wanted).await;
        let rests = match (&result, was_refused, &slot.kept) {
            (_, true, _) | (Err(_), false, None) => Some(rest(wanted.source)),
            // There is one that works: no hurry.
            (Err(_), false, Some(_)) => Some(REST),
            (Ok(_), false, _) => None,
        };
        slot.rests_until = rests.map(|rest| now + rest);
        match result {
            Ok(held) => {
                let login = held.login_for(wanted);
                slot.kept = Some((held, now));
                slot.failure = None;
                login
            }
            Err(failure) => {
                slot.failure = Some(failure.clone());
                let (held, _) = slot.kept.as_ref().ok_or_else(|| failure.clone())?;
                tracing::warn!(source = %wanted.source, failure, "the login cannot be read anew; the last one stays in use");
                held.login_for(wanted).map_err(|_| failure)
            }
        }
    }

    async fn read(&self, wanted: &Wanted<'_>) -> Result<Held, String> {
        let login = match wanted.source {
            CredentialSource::PullSecret(secret) => {
                return pull_secret(&*self.secrets, secret).await.map(Held::Several);
            }
            CredentialSource::Secret { secret, field } => secret_field(&*self.secrets, secret, field).await,
            CredentialSource::Environment(name) => {
                let value = std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?;
                login(&value).ok_or_else(|| format!("the variable `{name}` is not `user:password`"))
            }
            CredentialSource::Script(path) => script(path, SCRIPT_TIME).await,
            CredentialSource::Cloud(cloud) => self.cloud_login(*cloud, wanted.host).await,
        };
        login.map(Held::One)
    }

    async fn cloud_login(&self, cloud: Cloud, host: &str) -> Result<Login, String> {
        let clouds = self.clouds.as_ref().ok_or_else(|| format!("there is no {cloud} identity here"))?;
        let login = clouds.login(cloud, host).await.map_err(|error| error.to_string())?;
        Ok(Login::Password { username: login.username, password: login.password })
    }

    async fn slot(&self, wanted: &Wanted<'_>) -> Arc<AsyncMutex<Slot>> {
        let host = matches!(wanted.source, CredentialSource::Cloud(_)).then(|| wanted.host.to_owned());
        self.slots.get_with((wanted.source.clone(), host), async { Arc::default() }).await
    }
}

fn is_due(wanted: &Wanted<'_>, read: Timestamp, now: Timestamp) -> bool {
    let life = wanted.life.or(match wanted.source {
        CredentialSource::PullSecret(_) | CredentialSource::Secret { .. } => Some(LIFE_OF_SECRETS),
        CredentialSource::Environment(_) | CredentialSource::Script(_) => None,
        // What stands behind it knows how long its logins are good, and keeps them itself.
        CredentialSource::Cloud(_) => Some(Duration::ZERO),
    });
    life.is_some_and(|life| now >= read + life * 4 / 5)
}

fn rest(source: &CredentialSource) -> Duration {
    match source {
        CredentialSource::Script(_) | CredentialSource::Cloud(_) => REST,
        CredentialSource::PullSecret(_) | CredentialSource::Secret { .. } | CredentialSource::Environment(_) => {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::adapters::memory::MemoryClock;
    use crate::model::SecretRef;
    use crate::ports::{CloudLogin, CloudLoginError, SecretData, SecretError};

    /// A cloud whose logins are numbered, and which fails when told to.
    #[derive(Default)]
    struct Numbered {
        made: AtomicU64,
        fails: AtomicU64,
    }

    #[async_trait]
    impl CloudLogins for Numbered {
        async fn login(&self, cloud: Cloud, host: &str) -> Result<CloudLogin, CloudLoginError> {
            let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
            if self.fails.load(Ordering::Relaxed) > 0 {
                return Err(CloudLoginError { host: host.to_owned(), cloud, cause: "no role".to_owned() });
            }
            let password = number.to_string();
            let (issued, expires) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
            Ok(CloudLogin { username: "AWS".to_owned(), password, issued, expires })
        }
    }

    struct Empty;

    #[async_trait]
    impl Secrets for Empty {
        async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
            let value = (secret.name == "login").then(|| [("creds".to_owned(), b"u:p\n".to_vec())].into());
            Ok(value.map(SecretData))
        }
    }

    /// Asks with a life of an hour.
    async fn ask(sources: &Sources, source: &CredentialSource, refused: &str) -> Result<String, String> {
        let repository = Repository { registry: "ghcr.io".to_owned(), path: "a/b".to_owned() };
        let life = Some(Duration::from_secs(3600)).filter(|_| !matches!(source, CredentialSource::Cloud(_)));
        let wanted = Wanted { source, life, names: &[&repository], host: "ghcr.io" };
        let is_refused = |login: &Login| matches!(login, Login::Password { password, .. } if password == refused);
        match sources.login(&wanted, is_refused).await? {
            Login::Password { username, password } => Ok(format!("{username} {password}")),
            Login::IdentityToken(_) => Ok("a token".to_owned()),
        }
    }

    fn sources() -> (Sources, Arc<MemoryClock>, Arc<Numbered>) {
        let clock = Arc::new(MemoryClock::at(Timestamp::UNIX_EPOCH));
        let clouds = Arc::new(Numbered::default());
        let mut sources = Sources::new(Arc::new(Empty), Arc::<MemoryClock>::clone(&clock));
        sources.set_clouds(Arc::<Numbered>::clone(&clouds));
        (sources, clock, clouds)
    }

    /// A script that counts how often it ran, and fails while a file stands beside it.
    fn counting() -> (tempfile::TempDir, CredentialSource) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("auth.sh");
        let text = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n[ -e broken ] && exit 1\necho x >> runs\necho u:$(wc -l < runs | tr -d ' ')\n";
        std::fs::write(&path, text).expect("it can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let source = CredentialSource::Script(path.to_str().expect("a readable path").to_owned());
        (folder, source)
    }

    #[tokio::test]
    async fn a_login_is_kept_for_four_fifths_of_its_life() {
        let ((sources, clock, _), (_folder, source)) = (sources(), counting());
        assert_eq!(ask(&sources, &source, "").await, Ok("u 1".to_owned()));
        clock.advance(jiff::SignedDuration::from_secs(2879));
        assert_eq!(ask(&sources, &source, "").await, Ok("u 1".to_owned()));
        clock.advance(jiff::SignedDuration::from_secs(1));
        assert_eq!(ask(&sources, &source, "").await, Ok("u 2".to_owned()));
    }

    #[tokio::test]
    async fn a_refused_login_is_read_anew_once() {
        let ((sources, clock, _), (_folder, source)) = (sources(), counting());
        assert_eq!(ask(&sources, &source, "").await, Ok("u 1".to_owned()));
        assert_eq!(ask(&sources, &source, "1").await, Ok("u 2".to_owned()));
        assert_eq!(ask(&sources, &source, "2").await, Ok("u 2".to_owned()), "not again at once");
        clock.advance(jiff::SignedDuration::from_secs(31));
        assert_eq!(ask(&sources, &source, "2").await, Ok("u 3".to_owned()));
    }

    #[tokio::test]
    async fn a_failure_to_read_it_anew_leaves_the_login_in_use() {
        let ((sources, clock, _), (folder, source)) = (sources(), counting());
        assert_eq!(ask(&sources, &source, "").await, Ok("u 1".to_owned()));
        std::fs::write(folder.path().join("broken"), "").expect("it can be written");
        clock.advance(jiff::SignedDuration::from_secs(7200));
        assert_eq!(ask(&sources, &source, "").await, Ok("u 1".to_owned()));
        std::fs::remove_file(folder.path().join("broken")).expect("it is there");
        assert_eq!(ask(&sources, &source, "").await, Ok("u 1".to_owned()), "it rests");
        clock.advance(jiff::SignedDuration::from_secs(31));
        assert_eq!(ask(&sources, &source, "").await, Ok("u 2".to_owned()));
    }

    #[tokio::test]
    async fn a_cloud_keeps_its_own_logins_and_rests_when_it_fails() {
        let (sources, clock, clouds) = sources();
        let source = CredentialSource::Cloud(Cloud::Aws);
        clouds.fails.store(1, Ordering::Relaxed);
        insta::assert_snapshot!(ask(&sources, &source, "").await.err().unwrap_or_default(), @"cannot log in to `ghcr.io` with the aws identity of this process: no role");
        assert!(ask(&sources, &source, "").await.is_err());
        assert_eq!(clouds.made.load(Ordering::Relaxed), 1);
        clouds.fails.store(0, Ordering::Relaxed);
        clock.advance(jiff::SignedDuration::from_secs(31));
        assert_eq!(ask(&sources, &source, "").await, Ok("AWS 2".to_owned()));
        assert_eq!(ask(&sources, &source, "").await, Ok("AWS 3".to_owned()));
    }

    #[tokio::test]
    async fn every_missing_login_has_its_sentence() {
        let (sources, _, _) = sources();
        let said = async |source: CredentialSource| match ask(&sources, &source, "").await {
            Ok(login) => login,
            Err(failure) => failure,
        };
        let secret = |name: &str, field: &str| CredentialSource::Secret {
            secret: SecretRef { namespace: "argocd".to_owned(), name: name.to_owned() },
            field: field.to_owned(),
        };
        insta::assert_snapshot!(said(secret("login", "creds")).await, @"u p");
        insta::assert_snapshot!(said(secret("login", "other")).await, @"the Secret `argocd/login` has no key `other`");
        insta::assert_snapshot!(said(secret("none", "creds")).await, @"the Secret `argocd/none` does not exist");
        insta::assert_snapshot!(said(CredentialSource::Environment("FAIRLEAD_TEST_NOT_SET".to_owned())).await, @"the variable `FAIRLEAD_TEST_NOT_SET` is not set");
    }
}
