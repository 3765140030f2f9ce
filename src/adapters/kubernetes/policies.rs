//! Policies in a cluster, as a watch keeps them, each lowered once a version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use kube::{Client, Resource, ResourceExt};

use super::words;

use crate::api::{DETACH, ImageUpdatePolicy, RESUME, TAKE_OVER, TRANSLATION_PROBLEMS};
use crate::lower::{self, Lowered};
use crate::model::{CredentialSource, Policy, PolicyId, Problem, Reason};
use crate::ports::Policies;

/// A policy as the API server sends it: one that cannot be read does not take the others with it.
pub type PolicyObject = DeserializeGuard<ImageUpdatePolicy>;

/// What the administrator says of all policies.
#[derive(Debug, Clone, Default)]
pub struct PolicySettings {
    /// Sources of credentials that are the administrator's, and that policies may use.
    pub allowed: Vec<CredentialSource>,
    /// Whether every policy is a dry run.
    pub shadow: bool,
    /// Whether Applications are written that another updater writes.
    pub take_over: bool,
}

/// The policies of the watched namespaces.
#[derive(Default)]
pub struct PolicyIndex {
    stores: Mutex<Vec<Store<PolicyObject>>>,
    settings: PolicySettings,
    lowered: Mutex<HashMap<PolicyId, (String, Arc<Lowered>)>>,
}

impl PolicyIndex {
    /// An index of policies that mean what `settings` let them.
    pub fn new(settings: PolicySettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// What the administrator says of them.
    pub const fn settings(&self) -> &PolicySettings {
        &self.settings
    }

    /// Adds what one watch sees.
    pub fn add(&self, store: Store<PolicyObject>) {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).push(store);
    }

    /// How many watches have seen their first list.
    pub fn synced_scopes(&self) -> usize {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.iter().filter(|store| store.wait_until_ready().now_or_never().is_some_and(|ready| ready.is_ok())).count()
    }

    /// What a policy means; lowered anew only when its specification or creation differs.
    pub fn lowered(&self, object: &PolicyObject) -> Arc<Lowered> {
        let id = id_of(object);
        // An annotation leaves the generation as it is.
        let metadata = object.meta();
        let read = [RESUME, TAKE_OVER, DETACH, TRANSLATION_PROBLEMS].map(|key| object.annotations().get(key));
        let generated = lower::generated::generated_from(metadata);
        let version = format!("{:?}/{}/{generated:?}/{read:?}", metadata.uid, object.meta_generation());
        let mut lowered = self.lowered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = lowered.get(&id).filter(|(known, _)| *known == version) {
            return known.clone();
        }
        let new = Arc::new(lower_object(object, &id, &self.settings));
        // What cannot be read may be readable again with the same specification: the status may have been at fault.
        if object.0.is_ok() {
            lowered.insert(id, (version, new.clone()));
        }
        new
    }

    /// All policies there are.
    pub fn objects(&self) -> Vec<Arc<PolicyObject>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.iter().flat_map(Store::state).collect()
    }

    /// Drops what is known of policies that are gone, and names those that are there.
    pub fn prune(&self) -> Vec<PolicyId> {
        let ids: Vec<PolicyId> = self.objects().iter().map(|object| id_of(object)).collect();
        let present: std::collections::HashSet<&PolicyId> = ids.iter().collect();
        self.lowered.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| present.contains(id));
        ids
    }
}

#[async_trait]
impl Policies for PolicyIndex {
    async fn list(&self, namespace: &str) -> Vec<Arc<Policy>> {
        let objects = self.objects();
        let ours = objects.iter().filter(|object| {
            object.namespace().as_deref() == Some(namespace) && object.meta().deletion_timestamp.is_none()
        });
        ours.filter_map(|object| self.lowered(object).policy.clone()).map(Arc::new).collect()
    }

    async fn all(&self) -> Vec<Arc<Policy>> {
        let objects = self.objects();
        let living = objects.iter().filter(|object| object.meta().deletion_timestamp.is_none());
        living.filter_map(|object| self.lowered(object).policy.clone()).map(Arc::new).collect()
    }
}

/// The policies of a namespace, asked for once.
///
/// # Errors
/// A sentence when they cannot be listed.
pub async fn list_policies(client: &Client, namespace: &str) -> Result<Vec<ImageUpdatePolicy>, String> {
    let api: Api<ImageUpdatePolicy> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default()).await;
    list.map(|list| list.items)
        .map_err(|error| format!("cannot list the policies of namespace `{namespace}`: {}", words(&error)))
}

/// The policies of a namespace (`None`: of all) as the API server has them now, past every cache.
///
/// # Errors
/// A sentence when they cannot be listed.
pub async fn list_policy_objects(client: &Client, namespace: Option<&str>) -> Result<Vec<PolicyObject>, String> {
    let api: Api<PolicyObject> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    api.list(&ListParams::default()).await.map(|list| list.items).map_err(|error| words(&error))
}

/// Namespace and name of a policy.
pub fn id_of(object: &PolicyObject) -> PolicyId {
    PolicyId::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn lower_object(object: &PolicyObject, id: &PolicyId, settings: &PolicySettings) -> Lowered {
    match &object.0 {
        Ok(policy) => {
            let mut lowered = lower::policy_allowing(policy, &settings.allowed);
            if let Some(policy) = &mut lowered.policy {
                policy.dry_run |= settings.shadow;
                policy.take_over |= settings.take_over;
            }
            lowered
        }
        Err(invalid) => {
            let problem =
                Problem::new(Reason::UnreadableObject, format!("the policy cannot be read: {}", invalid.error));
            let problem = problem.hint("compare it with `kubectl explain imageupdatepolicy.spec`");
            Lowered { id: id.clone(), generation: object.meta_generation(), policy: None, problems: vec![problem] }
        }
    }
}

/// The generation of an object, which `ResourceExt` does not offer.
trait Generation {
    fn meta_generation(&self) -> i64;
}

impl Generation for PolicyObject {
    fn meta_generation(&self) -> i64 {
        self.meta().generation.unwrap_or_default()
    }
}
