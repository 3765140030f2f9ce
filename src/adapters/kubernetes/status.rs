//! Writing the status of a policy.

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::{code, words};
use crate::adapters::fence::Pass;
use crate::api::{FIELD_MANAGER, ImageUpdatePolicy, ImageUpdatePolicyStatus};
use crate::model::PolicyId;

/// Fields that a status may lack. A merge patch keeps what it does not name, so they are named.
const OPTIONAL: [&str; 10] = [
    "summary",
    "lastCheckTime",
    "lastUpdateTime",
    "nextCheckTime",
    "images",
    "resumed",
    "unresumed",
    "remembered",
    "rollouts",
    "watched",
];

/// How often a policy may change under the write before it is given up for this time.
const ATTEMPTS: usize = 5;

/// Replaces the status of a policy, but for the fields to `keep` as they are.
///
/// # Guarantees
/// Written is the version that was read while `pass` held: who lost the lead meanwhile overwrites nothing that the next leader
/// wrote.
///
/// # Errors
/// A sentence when the API server did not take it, or `pass` does not hold any more.
pub async fn publish_status(
    client: &Client,
    policy: &PolicyId,
    uid: &str,
    status: &ImageUpdatePolicyStatus,
    keep: &[&str],
    pass: &Pass,
) -> Result<(), String> {
    let resource = ApiResource::erase::<ImageUpdatePolicy>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &policy.namespace, &resource);
    let value = whole(status, keep)?;
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    for attempt in 1.. {
        let version = api.get_metadata(&policy.name).await.map_err(|error| words(&error))?.metadata.resource_version;
        let patch = json!({ "metadata": { "uid": uid, "resourceVersion": version }, "status": value });
        let patch = Patch::Merge(patch);
        let written = pass.within(api.patch_status(&policy.name, &parameters, &patch)).await;
        match written.map_err(|cause| cause.to_string())? {
            Ok(_) => break,
            Err(error) if code(&error) == 409 && attempt < ATTEMPTS => {}
            Err(error) => return Err(words(&error)),
        }
    }
    Ok(())
}

fn whole(status: &ImageUpdatePolicyStatus, keep: &[&str]) -> Result<Value, String> {
    let mut value = serde_json::to_value(status).map_err(|error| error.to_string())?;
    if let Some(fields) = value.as_object_mut() {
        for optional in OPTIONAL {
            fields.entry(optional).or_insert(Value::Null);
        }
        if let Some(summary) = fields.get_mut("summary").and_then(Value::as_object_mut) {
            summary.entry("shadow").or_insert(Value::Null);
        }
        for kept in keep {
            fields.remove(*kept);
        }
    }
    Ok(value)
}
