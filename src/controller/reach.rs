//! Ways to Applications.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::adapters::argocd::{ArgoCdApplications, ArgoCdSettings, SetUpError};
use crate::adapters::kubernetes::{ApplicationIndex, Change, Clients, KubernetesApplications};
use crate::ports::Applications;

/// A way to Applications, and the news of them.
pub struct Reach {
    /// Reading and writing.
    pub applications: Arc<dyn Applications>,
    /// What is known of them.
    pub index: Arc<ApplicationIndex>,
    /// What changes after the first list.
    pub changes: mpsc::UnboundedReceiver<Change>,
}

impl Reach {
    /// By the Kubernetes API, to the Applications of `namespaces` (`None`: all). The watches are started. `argocd` is the namespace of Argo CD.
    pub fn kubernetes(clients: &Clients, namespaces: &[Option<String>], argocd: &str) -> Self {
        let (sender, changes) = mpsc::unbounded_channel();
        let index = ApplicationIndex::start(&clients.watches, namespaces, &sender);
        let applications = Arc::new(KubernetesApplications::new(clients.calls.clone(), Arc::clone(&index), argocd));
        Self { applications, index, changes }
    }

    /// By Argo CD's API, to the Applications of `namespaces` (`None`: all). They are followed from now on.
    ///
    /// # Errors
    /// Where the settings make no client.
    pub fn argocd(settings: &ArgoCdSettings, namespaces: &[Option<String>]) -> Result<Self, SetUpError> {
        let (sender, changes) = mpsc::unbounded_channel();
        let applications = ArgoCdApplications::start(settings, namespaces, &sender)?;
        let index = applications.index();
        Ok(Self { applications: Arc::new(applications), index, changes })
    }
}
