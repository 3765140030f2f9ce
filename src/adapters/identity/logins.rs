//! Logins to registries and to Git, from identities of clouds.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::http::{Failure, Http};
use super::kept::{Granted, Kept};
use super::settings::IdentitySettings;
use super::{aws, azure, google};
use crate::adapters::oci::SetUpError;
use crate::lower::git_credentials::CloudAccount;
use crate::model::{Cloud, Concealed, GitProxy, LoginMethod};
use crate::ports::{Clock, CloudLogin, CloudLoginError, CloudLogins};

/// Logins from the identity that the cloud gives this process, and from those that Secrets hold.
///
/// # Guarantees
///
/// - One exchange at a time a registry or account; others wait for it, or take the login that still holds.
/// - A login is renewed when 80 % of its life is over; where that fails it is kept, and tried again a minute later.
/// - What is handed out holds for at least half a minute, or was made for this question.
/// - A host that is not one of the cloud gets nothing.
pub struct CloudIdentities {
    source: Source,
    registries: Kept<(Cloud, String)>,
    accounts: Kept<CloudAccount>,
}

/// What the clouds' own steps have in hand.
pub(super) struct Source {
    pub(super) settings: IdentitySettings,
    pub(super) http: Http,
}

impl CloudIdentities {
    /// Makes logins from what `settings` say. Nothing is asked before the first login.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(settings: IdentitySettings, clock: Arc<dyn Clock>) -> Result<Self, SetUpError> {
        crate::adapters::oci::install_tls_provider();
        let http = Http::new(settings.timeouts)?;
        let (registries, accounts) = (Kept::new(clock.clone()), Kept::new(clock));
        Ok(Self { source: Source { settings, http }, registries, accounts })
    }

    /// A login to Git as `account`, good to be used now. A service principal's token is asked for by way of `proxy`, as Argo CD does; `whose` is
    /// the account in words.
    ///
    /// A Google service account is a user with a token for a password, an identity of Azure a token in the header `Authorization: Bearer`, which
    /// Azure DevOps takes.
    ///
    /// # Errors
    /// The cause, without a secret.
    pub async fn git(
        &self,
        account: &CloudAccount,
        proxy: Option<&GitProxy>,
        whose: &str,
    ) -> Result<LoginMethod, String> {
        let exchange = async |now: Timestamp| match account {
            CloudAccount::Google(key) => google::account(&self.source, key, now).await,
            CloudAccount::AzureWorkload => azure::workload(&self.source, now).await,
            CloudAccount::AzurePrincipal(principal) => azure::principal(&self.source, principal, proxy, now).await,
        };
        let login = self.accounts.login(account.clone(), whose, exchange).await?;
        let CloudLogin { username, password, issued: _, expires: _ } = login;
        let password = Concealed::new(password);
        Ok(match account {
            CloudAccount::Google(_) => LoginMethod::Basic { username, password },
            CloudAccount::AzureWorkload | CloudAccount::AzurePrincipal(_) => LoginMethod::Bearer(password),
        })
    }

    async fn registry(&self, cloud: Cloud, host: &str, now: Timestamp) -> Result<Granted, Failure> {
        match cloud {
            Cloud::Aws => aws::login(&self.source, host, now).await,
            Cloud::Gcp => google::login(&self.source, now).await,
            Cloud::Azure => azure::login(&self.source, host, now).await,
        }
    }
}

#[async_trait]
impl CloudLogins for CloudIdentities {
    async fn login(&self, cloud: Cloud, host: &str) -> Result<CloudLogin, CloudLoginError> {
        let error = |cause: String| CloudLoginError { host: host.to_owned(), cloud, cause };
        if !belongs(cloud, host) {
            return Err(error(format!("`{host}` is not a registry of {cloud}")));
        }
        let failing = format!("cannot log in to `{host}` with the {cloud} identity of this process");
        let exchange = async |now| self.registry(cloud, host, now).await;
        self.registries.login((cloud, host.to_owned()), &failing, exchange).await.map_err(error)
    }
}

/// Hosts become parts of addresses, so they consist of what host names consist of.
fn belongs(cloud: Cloud, host: &str) -> bool {
    let plain = host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    plain && Cloud::of_host(host) == Some(cloud)
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
