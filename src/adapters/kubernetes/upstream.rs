//! What argocd-image-updater is told in a cluster: Applications with annotations, and its own resources. Asked for once, never written.

use kube::api::{Api, ListParams};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Client, Resource, ResourceExt};
use serde::Deserialize;

use super::{code, words};
use crate::api::{Application, ImageUpdater};

/// Objects of a namespace, and one sentence for each that cannot be read.
#[derive(Debug, Default)]
pub struct Listed<T> {
    /// Those that can be read.
    pub objects: Vec<T>,
    /// Why the others cannot.
    pub unreadable: Vec<String>,
}

/// The Applications of a namespace.
///
/// # Errors
/// A sentence when they cannot be listed.
pub async fn list_applications(client: &Client, namespace: &str) -> Result<Listed<Application>, String> {
    let listed = list(client, namespace, "Applications").await?;
    listed.ok_or_else(|| "the API server knows no Applications: Argo CD is not installed".to_owned())
}

/// The `ImageUpdater` resources of a namespace; none where their definition is not installed.
///
/// # Errors
/// A sentence when they cannot be listed.
pub async fn list_image_updaters(client: &Client, namespace: &str) -> Result<Listed<ImageUpdater>, String> {
    find_image_updaters(client, namespace).await.map(Option::unwrap_or_default)
}

/// The same; `None` where their definition is not installed.
///
/// # Errors
/// A sentence when they cannot be listed.
pub async fn find_image_updaters(client: &Client, namespace: &str) -> Result<Option<Listed<ImageUpdater>>, String> {
    list(client, namespace, "ImageUpdaters").await
}

async fn list<T>(client: &Client, namespace: &str, what: &str) -> Result<Option<Listed<T>>, String>
where
    T: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + for<'de> Deserialize<'de>,
{
    let api: Api<DeserializeGuard<T>> = Api::namespaced(client.clone(), namespace);
    let list = match api.list(&ListParams::default()).await {
        Ok(list) => list,
        Err(error) if code(&error) == 404 => return Ok(None),
        Err(error) => return Err(format!("cannot list the {what} of namespace `{namespace}`: {}", words(&error))),
    };
    let mut listed = Listed { objects: Vec::new(), unreadable: Vec::new() };
    for object in list {
        let name = object.name_any();
        match object.0 {
            Ok(object) => listed.objects.push(object),
            Err(invalid) => {
                let kind = T::kind(&());
                listed.unreadable.push(format!("the {kind} `{namespace}/{name}` cannot be read: {}", invalid.error));
            }
        }
    }
    Ok(Some(listed))
}
