//! One of several Argo CDs: the Applications of the others are left alone.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{Application, ApplicationId, ApplicationPlan, RepositoryRules, Skip, SyncWindow};
use crate::ports::{Applications, ApplicationsError, Inventory, WriteError};

/// Applications, of which only those count that the Argo CD of one namespace looks after. One that no Argo CD has looked at
/// yet counts: nothing is known against it.
pub struct OfInstance {
    applications: Arc<dyn Applications>,
    namespace: String,
}

impl OfInstance {
    /// `applications` of the Argo CD in `namespace`, which is what it writes to `status.controllerNamespace`.
    pub fn new(applications: Arc<dyn Applications>, namespace: impl Into<String>) -> Self {
        Self { applications, namespace: namespace.into() }
    }

    fn judged(&self, application: Arc<Application>) -> Arc<Application> {
        match &application.controller_namespace {
            Some(other) if *other != self.namespace && application.skipped.is_none() => {
                let skipped = Some(Skip::AnotherInstance(other.clone()));
                Arc::new(Application { skipped, ..Arc::unwrap_or_clone(application) })
            }
            _ => application,
        }
    }
}

#[async_trait]
impl Applications for OfInstance {
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        let mut inventory = self.applications.list(namespace).await?;
        inventory.applications = inventory.applications.into_iter().map(|one| self.judged(one)).collect();
        Ok(inventory)
    }

    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError> {
        Ok(self.applications.fresh(id).await?.map(|one| self.judged(one)))
    }

    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError> {
        self.applications.write(plan).await
    }

    async fn sync_windows(&self, namespace: &str, project: &str) -> Result<Vec<SyncWindow>, String> {
        self.applications.sync_windows(namespace, project).await
    }

    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String> {
        self.applications.repository_rules(application).await
    }

    async fn refresh(&self, id: &ApplicationId) -> Result<(), WriteError> {
        self.applications.refresh(id).await
    }
}
