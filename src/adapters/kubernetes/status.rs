//! Writing the status of a policy.

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;

use super::words;
use crate::api::{FIELD_MANAGER, ImageUpdatePolicy, ImageUpdatePolicyStatus};
use crate::model::PolicyId;

/// Replaces the status of a policy, but for the fields to `keep` as they are.
///
/// # Errors
/// A sentence when the API server did not take it.
pub async fn publish_status(
    client: &Client,
    policy: &PolicyId,
    uid: &str,
    status: &ImageUpdatePolicyStatus,
    keep: &[&str],
) -> Result<(), String> {
    let resource = ApiResource::erase::<ImageUpdatePolicy>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &policy.namespace, &resource);
    // A merge patch keeps what it does not name, so the fields that a status may lack are named.
    let mut value = serde_json::to_value(status).map_err(|error| error.to_string())?;
    if let Some(fields) = value.as_object_mut() {
        for optional in [
            "summary",
            "lastCheckTime",
            "lastUpdateTime",
            "nextCheckTime",
            "images",
            "resumed",
            "remembered",
            "rollouts",
            "watched",
        ] {
            fields.entry(optional).or_insert(serde_json::Value::Null);
        }
        for kept in keep {
            fields.remove(*kept);
        }
    }
    let patch = json!({ "metadata": { "uid": uid }, "status": value });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(&policy.name, &parameters, &Patch::Merge(patch)).await.map_err(|error| words(&error)).map(|_| ())
}
