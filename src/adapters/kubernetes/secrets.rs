//! Secrets in a cluster, read when they are needed and never kept here.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;

use super::words;
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
}
