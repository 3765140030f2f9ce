//! Making, changing, removing and giving away generated policies.

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::ApiResource;

use super::{code, words};
use crate::api::{FIELD_MANAGER, ImageUpdatePolicy};
use crate::pipeline::generated::Change;

/// Why a policy is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotChanged {
    /// It is not the one, or not in the state, that the change was decided on.
    Conflict,
    /// The right is missing; the server's words.
    Denied(String),
    /// Anything else.
    Failed(String),
}

/// Makes one change of a generated policy.
///
/// # Errors
/// [`NotChanged`]; nothing was changed, but where the answer was lost.
///
/// # Guarantees
/// A policy that somebody else wrote or changed meanwhile stays as it is: a change names the version that it was decided on, and what is
/// to be made anew is not forced onto fields of others.
pub async fn change_generated(client: &Client, namespace: &str, change: &Change) -> Result<(), NotChanged> {
    let resource = ApiResource::erase::<ImageUpdatePolicy>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let done = match change {
        Change::Apply { name, object, .. } => {
            let exists = object.pointer("/metadata/resourceVersion").is_some();
            if !exists && api.get_metadata_opt(name).await.map_err(|error| not_changed(&error))?.is_some() {
                return Err(NotChanged::Conflict);
            }
            let parameters = PatchParams { force: exists, ..PatchParams::apply(FIELD_MANAGER) };
            api.patch(name, &parameters, &Patch::Apply(object)).await.map(|_| ())
        }
        Change::Detach { name, patch } => {
            let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            api.patch(name, &parameters, &Patch::Merge(patch)).await.map(|_| ())
        }
        Change::Remove { name, uid, version } => {
            let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: Some(version.clone()) };
            let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            api.delete(name, &parameters).await.map(|_| ())
        }
    };
    done.map_err(|error| not_changed(&error))
}

fn not_changed(error: &kube::Error) -> NotChanged {
    match code(error) {
        404 | 409 => NotChanged::Conflict,
        401 | 403 => NotChanged::Denied(words(error)),
        _ => NotChanged::Failed(words(error)),
    }
}
