//! Applications in a cluster: read from a watch, written by JSON Patch.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::index::ApplicationIndex;
use super::sets::ApplicationSetReader;
use super::{code, json_patch, words};
use crate::api;
use crate::lower;
use crate::model::{Application, ApplicationId, ApplicationPlan, RepositoryRules, SyncWindow};
use crate::ports::{ApplicationSets, Applications, ApplicationsError, Inventory, WriteError};

/// Applications in a cluster.
#[derive(Clone)]
pub struct KubernetesApplications {
    client: Client,
    index: Arc<ApplicationIndex>,
    sets: Arc<ApplicationSetReader>,
    argocd: String,
}

impl KubernetesApplications {
    /// Applications that `index` watches, written through `client`. `argocd` is the namespace of the Argo CD whose credentials are used.
    pub fn new(client: Client, index: Arc<ApplicationIndex>, argocd: impl Into<String>) -> Self {
        let sets = Arc::new(ApplicationSetReader::new(client.clone()));
        Self { client, index, sets, argocd: argocd.into() }
    }
}

#[async_trait]
impl Applications for KubernetesApplications {
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        let mut inventory = self.index.inventory(namespace).await?;
        let owners: BTreeSet<&String> =
            inventory.applications.iter().filter_map(|application| application.owner.as_ref()).collect();
        let mut sets = ApplicationSets::new();
        for owner in owners {
            sets.insert(owner.clone(), self.sets.read(namespace, owner).await);
        }
        inventory.sets = sets;
        Ok(inventory)
    }

    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError> {
        let api: Api<api::Application> = Api::namespaced(self.client.clone(), &id.namespace);
        match api.get_opt(&id.name).await {
            Ok(found) => Ok(found.map(|object| Arc::new(lower::application(&object)))),
            Err(error) if code(&error) == 403 => {
                Err(ApplicationsError::Denied { what: format!("`{id}`"), cause: words(&error) })
            }
            Err(error) => Err(ApplicationsError::Unavailable { what: format!("`{id}`"), cause: words(&error) }),
        }
    }

    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError> {
        let application = plan.application.clone();
        let resource = ApiResource::erase::<api::Application>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &application.namespace, &resource);
        let patch = serde_json::from_value(json_patch(plan));
        let patch = patch
            .map_err(|error| WriteError::Rejected { application: application.clone(), cause: error.to_string() })?;
        let parameters = PatchParams { field_manager: Some(api::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let Err(error) = api.patch(&application.name, &parameters, &Patch::Json::<()>(patch)).await else {
            return Ok(());
        };
        let cause = words(&error);
        match code(&error) {
            404 => Err(WriteError::Gone(application)),
            409 => Err(WriteError::Conflict(application)),
            401 | 403 => Err(WriteError::Denied { application, cause }),
            // A failed `test` and a failed validation have one code; a changed object tells them apart.
            422 if self.changed(plan, &api).await => Err(WriteError::Conflict(application)),
            400..=499 => Err(WriteError::Rejected { application, cause }),
            _ => Err(WriteError::Unavailable { application, cause }),
        }
    }

    async fn sync_windows(&self, namespace: &str, project: &str) -> Result<Vec<SyncWindow>, String> {
        let api: Api<api::AppProject> = Api::namespaced(self.client.clone(), namespace);
        match api.get(project).await {
            Ok(found) => lower::sync_windows(&found),
            Err(error) if code(&error) == 403 => Err(format!("not allowed to read it: {}", words(&error))),
            Err(error) => Err(words(&error)),
        }
    }

    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String> {
        // Who may write into an Application may also write into its status which Argo CD looks after it: the credentials of ours are ours to guard.
        let namespace = &application.id.namespace;
        let (_, project) = application.at_project();
        let ours = self.project(&self.argocd, project).await?;
        let rules = lower::repository_rules(ours.as_ref(), &self.argocd, namespace);
        match application.controller_namespace.as_ref().filter(|other| **other != self.argocd) {
            None => Ok(rules),
            Some(other) => {
                let theirs = self.project(other, project).await?;
                let signed = lower::repository_rules(theirs.as_ref(), other, namespace).signed;
                Ok(RepositoryRules { signed, ..rules })
            }
        }
    }

    async fn refresh(&self, id: &ApplicationId) -> Result<(), WriteError> {
        let application = id.clone();
        let resource = ApiResource::erase::<api::Application>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &id.namespace, &resource);
        let patch = json!({ "metadata": { "annotations": { api::REFRESH: "normal" } } });
        let parameters = PatchParams { field_manager: Some(api::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let Err(error) = api.patch(&id.name, &parameters, &Patch::Merge(patch)).await else { return Ok(()) };
        let cause = words(&error);
        match code(&error) {
            404 => Err(WriteError::Gone(application)),
            401 | 403 => Err(WriteError::Denied { application, cause }),
            _ => Err(WriteError::Unavailable { application, cause }),
        }
    }
}

impl KubernetesApplications {
    /// A project; `None` when it does not exist.
    async fn project(&self, namespace: &str, name: &str) -> Result<Option<api::AppProject>, String> {
        let api: Api<api::AppProject> = Api::namespaced(self.client.clone(), namespace);
        let cause = |error: kube::Error| match code(&error) {
            403 => format!("not allowed to read it in `{namespace}`: {}", words(&error)),
            _ => words(&error),
        };
        api.get_opt(name).await.map_err(cause)
    }

    async fn changed(&self, plan: &ApplicationPlan, api: &Api<DynamicObject>) -> bool {
        let fresh = api.get_metadata_opt(&plan.application.name).await;
        fresh.is_ok_and(|fresh| {
            fresh.is_none_or(|fresh| {
                fresh.uid().as_ref() != Some(&plan.uid)
                    || fresh.resource_version().as_ref() != Some(&plan.resource_version)
            })
        })
    }
}
