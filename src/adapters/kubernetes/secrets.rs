//! Secrets in a cluster, read when they are needed and never kept here.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, ListParams};

use super::words;
use crate::adapters::git::ConfigMaps;
use crate::model::SecretRef;
use crate::ports::{SecretData, SecretError, Secrets};

/// Secrets in a cluster.
#[derive(Clone)]
pub struct KubernetesSecrets {
    client: Client,
}

impl KubernetesSecrets {
    /// Secrets read through `client`.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Secrets for KubernetesSecrets {
    async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &secret.namespace);
        let found = api.get_opt(&secret.name).await;
        let found = found.map_err(|error| SecretError {
            namespace: secret.namespace.clone(),
            name: secret.name.clone(),
            cause: words(&error),
        })?;
        Ok(found.map(|found| {
            SecretData(found.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
        }))
    }

    async fn labelled(
        &self,
        namespace: &str,
        label: &str,
    ) -> Result<Vec<(SecretRef, String, SecretData)>, SecretError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let listed = api.list(&ListParams::default().labels(label)).await;
        let failed = |error: kube::Error| {
            let (namespace, name) = (namespace.to_owned(), format!("* ({label})"));
            SecretError { namespace, name, cause: words(&error) }
        };
        let mut found: Vec<_> =
            listed.map_err(failed)?.items.into_iter().filter_map(|secret| labelled(secret, label)).collect();
        found.sort_by(|(left, ..), (right, ..)| left.cmp(right));
        Ok(found)
    }
}

fn labelled(secret: Secret, label: &str) -> Option<(SecretRef, String, SecretData)> {
    let metadata = secret.metadata;
    let value = metadata.labels?.remove(label)?;
    let id = SecretRef { namespace: metadata.namespace?, name: metadata.name? };
    let data = secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect();
    Some((id, value, SecretData(data)))
}

/// `ConfigMaps` in a cluster.
pub struct KubernetesConfigMaps(Client);

impl KubernetesConfigMaps {
    /// `ConfigMaps` read through `client`.
    pub const fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl ConfigMaps for KubernetesConfigMaps {
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<BTreeMap<String, String>>, String> {
        let api: Api<ConfigMap> = Api::namespaced(self.0.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|error| words(&error))?;
        Ok(found.map(|found| found.data.unwrap_or_default()))
    }
}
