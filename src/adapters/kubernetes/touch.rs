//! Asking for a look at a policy, in a way that whoever looks after it sees.

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;

use super::{code, words};
use crate::api::{FIELD_MANAGER, ImageUpdatePolicy, RECONCILE_AT};
use crate::model::PolicyId;

/// Asks for a look at a policy, with lists of tags from `at` or later. A policy that is gone needs none.
///
/// # Errors
/// A sentence when the API server did not take it.
pub async fn touch_policy(client: &Client, policy: &PolicyId, at: Timestamp) -> Result<(), String> {
    let resource = ApiResource::erase::<ImageUpdatePolicy>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &policy.namespace, &resource);
    let patch = json!({ "metadata": { "annotations": { RECONCILE_AT: at.to_string() } } });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch(&policy.name, &parameters, &Patch::Merge(patch)).await {
        Err(error) if code(&error) != 404 => Err(words(&error)),
        _ => Ok(()),
    }
}
