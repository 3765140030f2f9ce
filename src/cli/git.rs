//! Options of writing to Git.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::clock::SystemClock;
use crate::adapters::forge::{ForgeTimeouts, Forges};
use crate::adapters::git::{GitEngine, GitObserver, GitSettings, SecretLogins, proxy_of_environment};
use crate::adapters::kubernetes::{Clients, KubernetesConfigMaps, KubernetesSecrets};
use crate::lower::duration;
use crate::ports::Forge;

/// How Git is written.
#[derive(Debug, clap::Args)]
pub(super) struct GitArgs {
    /// How long changes for one branch are gathered, to be one commit
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration, env = "FAIRLEAD_GIT_WINDOW")]
    git_window: Duration,
    /// A folder for copies of repositories, ours alone; nothing in it is needed [default: fairlead-git in the folder for temporary files]
    #[arg(long, value_name = "FOLDER", env = "FAIRLEAD_GIT_STATE_DIR")]
    git_state_dir: Option<PathBuf>,
    /// How long one command of Git may take
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration, env = "FAIRLEAD_GIT_TIMEOUT")]
    git_timeout: Duration,
    /// The namespace of Argo CD, where credentials of repositories, known hosts and certificates are
    #[arg(long, value_name = "NAMESPACE", default_value = "argocd", env = "FAIRLEAD_ARGOCD_NAMESPACE")]
    argocd_namespace: String,
}

impl GitArgs {
    /// The namespace of Argo CD.
    pub(super) fn argocd_namespace(&self) -> &str {
        &self.argocd_namespace
    }

    /// Git and the forges, with the credentials of a cluster.
    ///
    /// # Errors
    /// Why nothing can be written to Git: a sentence.
    pub(super) async fn engine(
        &self,
        clients: &Clients,
        observer: Option<Arc<dyn GitObserver>>,
    ) -> Result<(Arc<GitEngine>, Arc<dyn Forge>), String> {
        let state = self.git_state_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("fairlead-git"));
        let (window, time, proxy) = (self.git_window, self.git_timeout, proxy_of_environment());
        let settings = GitSettings { window, time, proxy, ..GitSettings::new(state) };
        let (secrets, clock) = (Arc::new(KubernetesSecrets::new(clients.calls.clone())), Arc::new(SystemClock));
        let maps = Arc::new(KubernetesConfigMaps::new(clients.calls.clone()));
        let logins = SecretLogins::new(secrets.clone(), maps, clock.clone(), self.argocd_namespace.clone());
        let logins = Arc::new(logins.map_err(|error| format!("no client for GitHub can be made: {error}"))?);
        let forges = Forges::new(ForgeTimeouts::default(), Arc::<SecretLogins>::clone(&logins), clock.clone());
        let forges = Arc::new(forges);
        let engine = GitEngine::start(settings, logins, forges.clone(), secrets, clock, observer).await?;
        Ok((Arc::new(engine), forges))
    }
}
