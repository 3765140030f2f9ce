//! Applications behind Argo CD's API: read from its list and stream, written by its patches.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::follow::Follower;
use super::http::{Api, Failure};
use super::read::{self, Seen};
use super::{ArgoCdSettings, SetUpError, patched};
use crate::adapters::kubernetes::{ApplicationIndex, Change, RecentSets, json_patch};
use crate::api;
use crate::lower;
use crate::model::{
    Application, ApplicationId, ApplicationPlan, ApplicationSet, RepositoryRules, SyncRequest, SyncWindow,
};
use crate::ports::{ApplicationSets, Applications, ApplicationsError, Inventory, WriteError};

/// What Argo CD says of a `test` that failed.
const TEST_FAILED: &str = "test failed";

/// Applications behind Argo CD's API.
#[derive(Clone)]
pub struct ArgoCdApplications {
    api: Arc<Api>,
    index: Arc<ApplicationIndex>,
    sets: Arc<RecentSets>,
}

impl ArgoCdApplications {
    /// Follows the Applications of `namespaces` (`None`: all) as long as the process lives, and tells `changes` what changes after the
    /// first list.
    ///
    /// # Errors
    /// Where the settings make no client. Nothing is sent yet.
    pub fn start(
        settings: &ArgoCdSettings,
        namespaces: &[Option<String>],
        changes: &mpsc::UnboundedSender<Change>,
    ) -> Result<Self, SetUpError> {
        let api = Arc::new(Api::new(settings)?);
        let (index, feed) = ApplicationIndex::fed(changes);
        tokio::spawn(Follower::new(Arc::clone(&api), feed, namespaces).run());
        Ok(Self { api, index, sets: Arc::default() })
    }

    /// What is known of the Applications.
    pub fn index(&self) -> Arc<ApplicationIndex> {
        Arc::clone(&self.index)
    }

    /// An Application as it is now, past every cache; `None` when it does not exist, or may not be seen.
    async fn find(&self, id: &ApplicationId) -> Result<Option<Value>, Failure> {
        let project = self.index.known(id).map(|known| known.project.clone()).filter(|project| !project.is_empty());
        if let Some(project) = project {
            match self.get(id, &project).await {
                Err(failure) if failure.is_not_found() => {}
                found => return found.map(Some),
            }
        }
        // Not known, or moved to another project. Without its project, one that is missing looks like one that is forbidden.
        let Some(project) = self.project(id).await? else { return Ok(None) };
        match self.get(id, &project).await {
            Err(failure) if failure.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// The project that an Application is in now, by a list of the one of its name.
    async fn project(&self, id: &ApplicationId) -> Result<Option<String>, Failure> {
        let query = [("name", id.name.as_str()), ("appNamespace", id.namespace.as_str())];
        let bytes = self.api.get(self.api.url(&["applications"], &query), self.api.timings.call).await?;
        let listed = read::list(&bytes).map_err(|cause| self.api.strange(&cause))?;
        let found = listed.items.into_iter().find(|seen| seen.id == *id);
        found.map(|seen| seen.entry.map(|found| found.project.clone()).map_err(Failure::new)).transpose()
    }

    async fn get(&self, id: &ApplicationId, project: &str) -> Result<Value, Failure> {
        let query = [("appNamespace", id.namespace.as_str()), ("project", project)];
        let bytes = self.api.get(self.api.url(&["applications", &id.name], &query), self.api.timings.call).await?;
        let object: Value = serde_json::from_slice(&bytes).map_err(|_| self.api.strange("it is no JSON"))?;
        match object["metadata"]["name"].as_str() {
            Some(name) if name == id.name => Ok(object),
            _ => Err(self.api.strange("it is not the Application that was asked for")),
        }
    }

    /// Writes the values and annotations of a plan, which carries no request for a sync: a patch that does is taken, and the request is
    /// dropped in silence.
    async fn patch(&self, plan: &ApplicationPlan, project: &str) -> Result<(), Failure> {
        let ApplicationId { namespace, name } = &plan.application;
        let patch = json_patch(plan).to_string();
        let body =
            json!({ "name": name, "appNamespace": namespace, "project": project, "patchType": "json", "patch": patch });
        self.api.patch(self.api.url(&["applications", name], &[]), &body).await.map(drop)
    }

    /// Asks for a sync of what was written. The change stands, whatever comes of that.
    async fn sync(&self, id: &ApplicationId, project: &str, request: &SyncRequest) {
        let SyncRequest { reason, options, replaces: _ } = request;
        let mut body = json!({
            "name": id.name, "appNamespace": id.namespace, "project": project,
            "infos": [{ "name": "Reason", "value": reason }],
        });
        if !options.is_empty() {
            body["syncOptions"] = json!({ "items": options });
        }
        if let Err(failure) = self.api.post(self.api.url(&["applications", &id.name, "sync"], &[]), &body).await {
            let cause = failure.cause;
            tracing::warn!(application = %id, cause, "{id} is changed, and its sync is not begun: {cause}");
        }
    }

    /// What a failure means, by the state that the Application is in now. Rendering takes its time, and proxies do not wait for ever: a
    /// change may have been made although nobody says so.
    async fn judge(&self, plan: &ApplicationPlan, failure: Failure) -> Result<(), WriteError> {
        let (application, cause) = (plan.application.clone(), failure.cause.clone());
        if failure.is_denied() {
            return Err(WriteError::Denied { application, cause });
        }
        let now = match self.find(&plan.application).await {
            Ok(Some(now)) => now,
            Ok(None) => return Err(WriteError::Gone(application)),
            Err(_) => return Err(WriteError::Unavailable { application, cause }),
        };
        if failure.leaves_open() && patched::holds(plan, &now) {
            return Ok(());
        }
        let refused = failure.status.is_some_and(|status| status < 500) || cause.contains(TEST_FAILED);
        if !patched::fits(plan, &now) || failure.is_not_found() {
            return Err(WriteError::Conflict(application));
        }
        Err(if refused {
            WriteError::Rejected { application, cause }
        } else {
            WriteError::Unavailable { application, cause }
        })
    }

    async fn project_named(&self, name: &str) -> Result<api::AppProject, String> {
        let answer = self.api.get(self.api.url(&["projects", name], &[]), self.api.timings.call).await;
        let bytes = answer.map_err(Failure::of_asking)?;
        serde_json::from_slice(&bytes).map_err(|_| self.api.strange("it is no project").cause)
    }

    async fn set(&self, namespace: &str, name: &str) -> Result<ApplicationSet, String> {
        let url = self.api.url(&["applicationsets", name], &[("appsetNamespace", namespace)]);
        let bytes = self.api.get(url, self.api.timings.call).await;
        let bytes = bytes.map_err(Failure::of_asking)?;
        let set: api::ApplicationSet =
            serde_json::from_slice(&bytes).map_err(|_| self.api.strange("it is no ApplicationSet").cause)?;
        Ok(lower::application_set(&set))
    }
}

#[async_trait]
impl Applications for ArgoCdApplications {
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        let mut inventory = self.index.inventory(namespace).await?;
        let owners: BTreeSet<&String> =
            inventory.applications.iter().filter_map(|application| application.owner.as_ref()).collect();
        let mut sets = ApplicationSets::new();
        for owner in owners {
            sets.insert(owner.clone(), self.sets.answer(namespace, owner, self.set(namespace, owner)).await);
        }
        inventory.sets = sets;
        Ok(inventory)
    }

    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError> {
        let what = format!("`{id}`");
        let found = self.find(id).await.map_err(|failure| failure.of_reading(&what))?;
        let Some(Seen { entry, .. }) = found.and_then(read::seen) else { return Ok(None) };
        entry.map(Some).map_err(|cause| ApplicationsError::Unavailable { what, cause })
    }

    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError> {
        let application = plan.application.clone();
        let values = ApplicationPlan { sync: None, ..plan.clone() };
        let unavailable = |failure: Failure| {
            let (application, denied, cause) = (application.clone(), failure.is_denied(), failure.cause);
            if denied {
                WriteError::Denied { application, cause }
            } else {
                WriteError::Unavailable { application, cause }
            }
        };
        let known = self.index.known(&application).map(|known| known.project.clone());
        let project = match known.filter(|project| !project.is_empty()) {
            Some(project) => project,
            None => match self.project(&application).await.map_err(unavailable)? {
                Some(project) => project,
                None => return Err(WriteError::Gone(application)),
            },
        };
        match self.patch(&values, &project).await {
            Err(failure) => self.judge(&values, failure).await?,
            // The server may write an earlier state over what it has just taken.
            Ok(()) => match self.get(&application, &project).await {
                Ok(now) if !patched::holds(&values, &now) => return Err(WriteError::Conflict(application)),
                Err(failure) if failure.is_not_found() => return Err(WriteError::Conflict(application)),
                // It was taken; whether it stays, the next look tells.
                Ok(_) | Err(_) => {}
            },
        }
        if let Some(request) = &plan.sync {
            self.sync(&application, &project, request).await;
        }
        Ok(())
    }

    async fn sync_windows(&self, _: &str, project: &str) -> Result<Vec<SyncWindow>, String> {
        lower::sync_windows(&self.project_named(project).await?)
    }

    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String> {
        let (_, name) = application.at_project();
        let project = self.project_named(name).await?;
        let home = project.metadata.namespace.as_deref().unwrap_or_default();
        Ok(lower::repository_rules(Some(&project), home, &application.id.namespace))
    }

    async fn refresh(&self, id: &ApplicationId) -> Result<(), WriteError> {
        let application = id.clone();
        let project = self.index.known(id).map(|known| known.project.clone()).unwrap_or_default();
        let query = [("appNamespace", id.namespace.as_str()), ("project", &project), ("refresh", "normal")];
        let query = query.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>();
        let url = self.api.url(&["applications", &id.name], &query);
        match self.api.get(url, self.api.timings.refresh).await {
            // It is answered when Argo CD has looked; it looks whether we wait or not.
            Err(failure) if failure.late => Ok(()),
            Err(failure) if failure.is_not_found() => Err(WriteError::Gone(application)),
            Err(Failure { cause, status: Some(401 | 403), .. }) => Err(WriteError::Denied { application, cause }),
            Err(Failure { cause, .. }) => Err(WriteError::Unavailable { application, cause }),
            Ok(_) => Ok(()),
        }
    }
}
