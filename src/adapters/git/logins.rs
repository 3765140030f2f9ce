//! Logins of Git servers, from Secrets.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::github_app::GitHubApps;
use crate::adapters::identity::CloudIdentities;
use crate::lower::git_credentials::{
    CloudAccount, GitCredentials, GitIdentity, LABEL, RepositorySecret, credentials, for_repository,
};
use crate::model::{GitAccess, GitBranch, GitLogin, GitProxy, GitTls, HostKeys, LoginMethod, Reason, SecretRef};
use crate::ports::{Clock, GitError, GitLogins, SecretData, Secrets};

/// How long what was read of Argo CD's Secrets and certificates is used.
const LIFE: SignedDuration = SignedDuration::from_secs(20);

/// Where Argo CD keeps the keys of hosts, and the certificates of authorities by host.
const KNOWN_HOSTS: &str = "argocd-ssh-known-hosts-cm";
const CERTIFICATES: &str = "argocd-tls-certs-cm";

/// Texts of a `ConfigMap`, for the adapters that need them.
#[async_trait]
pub trait ConfigMaps: Send + Sync {
    /// The data of a `ConfigMap` by key; `None` when it does not exist.
    async fn read(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<std::collections::BTreeMap<String, String>>, String>;
}

/// Logins from the Secrets of Argo CD and of policies.
pub struct SecretLogins {
    secrets: Arc<dyn Secrets>,
    maps: Arc<dyn ConfigMaps>,
    clock: Arc<dyn Clock>,
    /// Argo CD's own namespace.
    namespace: String,
    apps: GitHubApps,
    clouds: Arc<CloudIdentities>,
    known: Mutex<Option<(Timestamp, Arc<Known>)>>,
}

/// What Argo CD knows of repositories and their servers.
struct Known {
    repositories: Vec<RepositorySecret>,
    host_keys: String,
    authorities: std::collections::BTreeMap<String, String>,
}

impl SecretLogins {
    /// Logins where Argo CD lives in `namespace`; tokens of clouds are from `clouds`.
    pub fn new(
        secrets: Arc<dyn Secrets>,
        maps: Arc<dyn ConfigMaps>,
        clouds: Arc<CloudIdentities>,
        clock: Arc<dyn Clock>,
        namespace: impl Into<String>,
    ) -> Self {
        let apps = GitHubApps::new(clock.clone());
        Self { secrets, maps, clock, namespace: namespace.into(), apps, clouds, known: Mutex::default() }
    }

    /// What Argo CD knows, read at most every few seconds.
    async fn known(&self) -> Result<Arc<Known>, GitError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((read, found)) = &*known
            && now.duration_since(*read) < LIFE
        {
            return Ok(found.clone());
        }
        let unavailable = |cause: String| GitError::new(Reason::CredentialsUnavailable, cause);
        let labelled =
            self.secrets.labelled(&self.namespace, LABEL).await.map_err(|error| unavailable(error.to_string()))?;
        let repository =
            |(secret, kind, SecretData(data)): (SecretRef, String, SecretData)| RepositorySecret { secret, kind, data };
        let map = async |name: &str| {
            let found = self.maps.read(&self.namespace, name).await;
            let named = |cause| unavailable(format!("cannot read the ConfigMap `{}/{name}`: {cause}", self.namespace));
            found.map(Option::unwrap_or_default).map_err(named)
        };
        let host_keys = map(KNOWN_HOSTS).await?.remove("ssh_known_hosts").unwrap_or_default();
        let authorities = map(CERTIFICATES).await?;
        let repositories = labelled.into_iter().map(repository).collect();
        let found = Arc::new(Known { repositories, host_keys, authorities });
        *known = Some((now, found.clone()));
        Ok(found)
    }

    async fn credentials(&self, branch: &GitBranch, known: &Known) -> Result<GitCredentials, GitError> {
        let unavailable = |cause: String| GitError::new(Reason::CredentialsUnavailable, cause);
        match &branch.access {
            GitAccess::ArgoCd { project } => for_repository(&known.repositories, &branch.repository, project).ok_or_else(|| {
                let shown = GitBranch { branch: None, ..branch.clone() };
                unavailable(format!(
                    "Argo CD has no credentials for `{shown}` that Applications of the project `{project}` may use; add the \
                     repository to Argo CD, or name a Secret in the policy"
                ))
            }),
            GitAccess::Secret(secret) => {
                let data = self.secrets.read(secret).await.map_err(|error| unavailable(error.to_string()))?;
                let name = format!("{}/{}", secret.namespace, secret.name);
                let SecretData(data) = data.ok_or_else(|| unavailable(format!("the Secret `{name}` does not exist")))?;
                match credentials(secret.clone(), &data) {
                    GitCredentials { identity: GitIdentity::Nobody, .. } => Err(unavailable(format!(
                        "the Secret `{name}` holds no credentials for Git: none of `password`, `bearerToken`, `sshPrivateKey`, `githubAppID` \
                         with `githubAppPrivateKey`, `gcpServiceAccountKey`, `azureServicePrincipalClientId` with its secret and tenant"
                    ))),
                    credentials => Ok(credentials),
                }
            }
        }
    }
}

impl SecretLogins {
    /// Who we say we are, as what `secret` holds says; a sentence where that cannot be.
    async fn method(
        &self,
        identity: GitIdentity,
        branch: &GitBranch,
        secret: &SecretRef,
        tls: &(impl Fn(&str) -> GitTls + Sync),
        proxy: Option<&GitProxy>,
    ) -> Result<LoginMethod, String> {
        let name = format!("{}/{}", secret.namespace, secret.name);
        Ok(match identity {
            GitIdentity::Nobody => LoginMethod::Anonymous,
            GitIdentity::Basic(username, password) => LoginMethod::Basic { username, password },
            GitIdentity::Bearer(token) => LoginMethod::Bearer(token),
            GitIdentity::Ssh(private_key) => LoginMethod::Ssh { private_key },
            GitIdentity::App(app) => {
                let token = self.apps.token(&app, &branch.repository, &tls(&app.api), proxy).await;
                let token = token.map_err(|cause| format!("the GitHub App of the Secret `{name}`: {cause}"))?;
                LoginMethod::GitHubApp { token, api: app.api }
            }
            GitIdentity::Cloud(account) => {
                let whose = match &account {
                    CloudAccount::Google(_) => format!("the Google service account of the Secret `{name}`"),
                    CloudAccount::AzureWorkload => format!("the Azure identity that the Secret `{name}` asks for"),
                    CloudAccount::AzurePrincipal(_) => format!("the Azure service principal of the Secret `{name}`"),
                };
                if account == CloudAccount::AzureWorkload {
                    self.may_lend(branch).map_err(|cause| format!("{whose}: {cause}"))?;
                }
                let method = self.clouds.git(&account, proxy, &whose).await;
                method.map_err(|cause| format!("{whose}: {cause}"))?
            }
            GitIdentity::Incomplete(what) => return Err(format!("the Secret `{name}` holds {what}")),
        })
    }

    /// Whether the identity of this process itself may go to a repository. Who may write a Secret somewhere shall neither get a token of ours,
    /// nor have us write where only we may.
    fn may_lend(&self, branch: &GitBranch) -> Result<(), String> {
        if let GitAccess::Secret(secret) = &branch.access
            && secret.namespace != self.namespace
        {
            let argocd = &self.namespace;
            return Err(format!(
                "it is that of this process, which only Secrets in the namespace of Argo CD, `{argocd}`, may use; a service principal \
                 may be in any"
            ));
        }
        let url = url::Url::parse(&branch.repository).ok().filter(|url| url.scheme() == "https");
        let devops = |host: &str| host == "dev.azure.com" || host.ends_with(".visualstudio.com");
        if url.as_ref().and_then(url::Url::host_str).is_some_and(devops) {
            return Ok(());
        }
        Err("its token is for Azure DevOps alone: `https://dev.azure.com/…`, or `https://….visualstudio.com/…`"
            .to_owned())
    }
}

#[async_trait]
impl GitLogins for SecretLogins {
    async fn login(&self, branch: &GitBranch) -> Result<GitLogin, GitError> {
        let known = self.known().await?;
        let GitCredentials { secret, identity, client, insecure, any_host_key, proxy } =
            self.credentials(branch, &known).await?;
        let name = format!("{}/{}", secret.namespace, secret.name);
        let trusted = |address: &str| host(address).and_then(|host| known.authorities.get(&host).cloned());
        let tls = |address: &str| GitTls { authorities: trusted(address), client: client.clone(), insecure };
        let method = self.method(identity, branch, &secret, &tls, proxy.as_ref()).await;
        let method = method.map_err(|cause| GitError::new(Reason::CredentialsUnavailable, cause))?;
        let mut warnings = Vec::new();
        if insecure {
            warnings.push(format!("the Secret `{name}` says `insecure`: certificates are not checked"));
        }
        if any_host_key {
            warnings.push(format!("the Secret `{name}` says that host keys are not checked"));
        }
        let host_keys = if any_host_key { HostKeys::Unchecked } else { HostKeys::Known(known.host_keys.clone()) };
        Ok(GitLogin { secret: Some(secret), method, tls: tls(&branch.repository), host_keys, proxy, warnings })
    }
}

/// The host of an `https://` address, without its port.
fn host(address: &str) -> Option<String> {
    url::Url::parse(address).ok()?.host_str().map(str::to_owned)
}
