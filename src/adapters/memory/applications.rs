//! Applications in memory, with the API server's rules about who may overwrite whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use crate::adapters::kubernetes::json_patch;
use crate::api;
use crate::lower;
use crate::model::{Application, ApplicationId, ApplicationPlan, Guard, RepositoryRules, SyncWindow};
use crate::ports::{ApplicationSets, Applications, ApplicationsError, Inventory, WriteError};

type Intruder = Box<dyn FnMut(&mut Value) + Send>;

/// Applications as JSON objects. Every change makes a new `resourceVersion`.
#[derive(Default)]
pub struct MemoryApplications {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<ApplicationId, Value>,
    sets: ApplicationSets,
    projects: BTreeMap<(String, String), Value>,
    version: u64,
    writes: usize,
    refreshed: Vec<ApplicationId>,
    intruder: Option<Intruder>,
    away: bool,
    lag: Option<Intruder>,
}

impl MemoryApplications {
    /// Puts an object in place of the one with its name. Objects without a uid get one.
    pub fn put(&self, mut object: Value) {
        let mut state = self.state();
        let metadata = &object["metadata"];
        let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
        let id = ApplicationId::new(text("namespace"), text("name"));
        let given = metadata["uid"].as_str().map(str::to_owned);
        let uid = state.objects.get(&id).map_or_else(
            || given.unwrap_or_else(|| format!("uid-{id}")),
            |before| before["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        );
        object["metadata"]["uid"] = Value::String(uid);
        state.store(id, object);
    }

    /// The ApplicationSet `name`, as it is or why it cannot be read.
    pub fn put_set(&self, name: &str, set: Result<Value, String>) {
        let set = set.and_then(|set| {
            let set: Result<api::ApplicationSet, _> = serde_json::from_value(set);
            set.map(|set| lower::application_set(&set)).map_err(|error| error.to_string())
        });
        self.state().sets.insert(name.to_owned(), set);
    }

    /// The project `name` of the Argo CD in `namespace`.
    pub fn put_project(&self, namespace: &str, name: &str, project: Value) {
        self.state().projects.insert((namespace.to_owned(), name.to_owned()), project);
    }

    /// Takes an object away.
    pub fn remove(&self, id: &ApplicationId) {
        self.state().objects.remove(id);
    }

    /// The object as it is now.
    pub fn object(&self, id: &ApplicationId) -> Option<Value> {
        self.state().objects.get(id).cloned()
    }

    /// How often something was written through the port.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// The Applications that Argo CD was asked to look at, in order.
    pub fn refreshed(&self) -> Vec<ApplicationId> {
        self.state().refreshed.clone()
    }

    /// Shows each object in lists as it was before `undo`, as a watch that lags behind does.
    pub fn lag(&self, undo: impl FnMut(&mut Value) + Send + 'static) {
        self.state().lag = Some(Box::new(undo));
    }

    /// Makes every list fail, or work again.
    pub fn be_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Somebody else, who changes each object right before it is written through the port.
    pub fn intrude(&self, intruder: impl FnMut(&mut Value) + Send + 'static) {
        self.state().intruder = Some(Box::new(intruder));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store(&mut self, id: ApplicationId, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = Value::String(self.version.to_string());
        self.objects.insert(id, object);
    }
}

#[async_trait]
impl Applications for MemoryApplications {
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        if self.state().away {
            let (what, cause) = ("the Applications".to_owned(), "the server is away".to_owned());
            return Err(ApplicationsError::Unavailable { what, cause });
        }
        let mut inventory = Inventory { sets: self.state().sets.clone(), ..Inventory::default() };
        let mut state = self.state();
        let State { objects, lag, .. } = &mut *state;
        for (id, object) in objects.iter().filter(|(id, _)| id.namespace == namespace) {
            let mut shown = object.clone();
            if let Some(undo) = lag {
                undo(&mut shown);
            }
            match read(&shown) {
                Ok(application) => inventory.applications.push(application),
                Err(cause) => inventory.unreadable.push((id.clone(), cause)),
            }
        }
        Ok(inventory)
    }

    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError> {
        let object = self.state().objects.get(id).cloned();
        let unreadable = |cause| ApplicationsError::Unavailable { what: format!("`{id}`"), cause };
        object.as_ref().map(read).transpose().map_err(unreadable)
    }

    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError> {
        let mut state = self.state();
        let id = &plan.application;
        if let (Some(mut intruder), Some(mut object)) = (state.intruder.take(), state.objects.get(id).cloned()) {
            let before = object.clone();
            intruder(&mut object);
            state.intruder = Some(intruder);
            if object != before {
                state.store(id.clone(), object);
            }
        }
        let Some(mut object) = state.objects.get(id).cloned() else { return Err(WriteError::Gone(id.clone())) };
        let metadata = &object["metadata"];
        let moved = plan.guard == Guard::Version && metadata["resourceVersion"] != plan.resource_version;
        if metadata["uid"] != plan.uid || moved {
            return Err(WriteError::Conflict(id.clone()));
        }
        let rejected = |cause: String| WriteError::Rejected { application: id.clone(), cause };
        let patch: ::json_patch::Patch =
            serde_json::from_value(json_patch(plan)).map_err(|error| rejected(error.to_string()))?;
        ::json_patch::patch(&mut object, &patch).map_err(|_| WriteError::Conflict(id.clone()))?;
        state.store(id.clone(), object);
        state.writes += 1;
        Ok(())
    }

    async fn sync_windows(&self, namespace: &str, project: &str) -> Result<Vec<SyncWindow>, String> {
        let found = self.state().projects.get(&(namespace.to_owned(), project.to_owned())).cloned();
        let found = found.ok_or_else(|| "there is no such project".to_owned())?;
        let project: api::AppProject = serde_json::from_value(found).map_err(|error| error.to_string())?;
        lower::sync_windows(&project)
    }

    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String> {
        let (namespace, project) = application.at_project();
        let found = self.state().projects.get(&(namespace.to_owned(), project.to_owned())).cloned();
        // Argo CD makes this one itself, and lets it permit everything.
        if found.is_none() && project == "default" {
            return Ok(RepositoryRules::unrestricted());
        }
        let found: Option<api::AppProject> =
            found.map(serde_json::from_value).transpose().map_err(|error| error.to_string())?;
        Ok(lower::repository_rules(found.as_ref(), namespace, &application.id.namespace))
    }

    async fn refresh(&self, id: &ApplicationId) -> Result<(), WriteError> {
        let mut state = self.state();
        if !state.objects.contains_key(id) {
            return Err(WriteError::Gone(id.clone()));
        }
        state.refreshed.push(id.clone());
        Ok(())
    }
}

fn read(object: &Value) -> Result<Arc<Application>, String> {
    let object: api::Application = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    Ok(Arc::new(lower::application(&object)))
}
