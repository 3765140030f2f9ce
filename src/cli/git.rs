//! Options of writing to Git.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::clock::SystemClock;
use crate::adapters::forge::{ForgeTimeouts, Forges};
use crate::adapters::git::{GitEngine, GitObserver, GitSettings, SecretLogins, proxy_of_environment};
use crate::adapters::identity::{CloudIdentities, IdentitySettings};
use crate::adapters::kubernetes::{Clients, KubernetesConfigMaps, KubernetesSecrets};
use crate::lower::{duration, size};
use crate::ports::Forge;

/// Less is no room for copies of repositories.
const SMALLEST_STATE: u64 = 64 * 1024 * 1024;

/// How Git is written.
#[derive(Debug, clap::Args)]
pub(super) struct GitArgs {
    /// How long changes for one branch are gathered, to be one commit
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration, env = "FAIRLEAD_GIT_WINDOW")]
    git_window: Duration,
    /// A folder for copies of repositories, ours alone; nothing in it is needed [default: fairlead-git in the folder for temporary files]
    #[arg(long, value_name = "FOLDER", env = "FAIRLEAD_GIT_STATE_DIR")]
    git_state_dir: Option<PathBuf>,
    /// How large that folder may get: copies that were not used for longest are removed from three quarters of it on, as a fetch is measured
    /// when it has ended; no smaller than 64Mi
    #[arg(long, value_name = "SIZE", default_value = "2Gi", value_parser = state_size, env = "FAIRLEAD_GIT_STATE_SIZE")]
    git_state_size: u64,
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
        let settings = GitSettings { window, time, proxy, ..GitSettings::new(state).within(self.git_state_size) };
        let (secrets, clock) = (Arc::new(KubernetesSecrets::new(clients.calls.clone())), Arc::new(SystemClock));
        let maps = Arc::new(KubernetesConfigMaps::new(clients.calls.clone()));
        let clouds = CloudIdentities::new(IdentitySettings::from_environment(), clock.clone());
        let clouds =
            Arc::new(clouds.map_err(|error| format!("no client for the tokens of clouds can be made: {error}"))?);
        let namespace = self.argocd_namespace.clone();
        let logins = Arc::new(SecretLogins::new(secrets.clone(), maps, clouds, clock.clone(), namespace));
        let forges = Forges::new(ForgeTimeouts::default(), Arc::<SecretLogins>::clone(&logins), clock.clone());
        let forges = Arc::new(forges);
        let engine = GitEngine::start(settings, logins, forges.clone(), secrets, clock, observer).await?;
        Ok((Arc::new(engine), forges))
    }
}

/// A size that leaves room for the copy of a repository.
fn state_size(text: &str) -> Result<u64, String> {
    let bytes = size(text).map_err(|error| error.to_string())?;
    if bytes < SMALLEST_STATE {
        Err(format!("`{text}` is too little for copies of repositories: 64Mi or more"))
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_for_copies_has_a_size_and_room() {
        assert_eq!(state_size("2Gi"), Ok(2 * 1024 * 1024 * 1024));
        let error = state_size("63Mi");
        insta::assert_snapshot!(error.unwrap_err(), @"`63Mi` is too little for copies of repositories: 64Mi or more");
    }
}
