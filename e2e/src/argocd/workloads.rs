//! What runs in the cluster in the end.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::argocd::Stage;
use crate::eventually::{Deadline, eventually};

/// What the Pods of a Deployment run: each image once, sorted, and how many of the Pods are ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The images.
    pub images: Vec<String>,
    /// Pods that are ready.
    pub ready: usize,
    /// Pods in all.
    pub pods: usize,
}

impl Stage {
    /// Waits until a Deployment asks for `image`, and as many Pods as it wants run it and nothing else.
    pub async fn expect_running(&self, deployment: &str, image: &str, pods: usize) {
        self.expect_running_by(deployment, deployment, image, pods).await;
    }

    /// The same, for a Deployment whose Pods have another label `app`.
    pub async fn expect_running_by(&self, deployment: &str, label: &str, image: &str, pods: usize) {
        let images = if pods == 0 { Vec::new() } else { vec![image.to_owned()] };
        let wanted = (Some(image.to_owned()), Running { images, ready: pods, pods });
        eventually(&format!("`{deployment}` runs `{image}`"), Deadline::seconds(60), async || {
            let found = (self.image_of(deployment).await, self.running(label).await);
            if found == wanted { Ok(()) } else { Err((found, self.words().await)) }
        })
        .await;
    }

    /// The image that a Deployment asks for, if it is there.
    pub async fn image_of(&self, deployment: &str) -> Option<String> {
        let deployments: Api<Deployment> = Api::namespaced(self.scene.client.clone(), &self.workloads);
        let found = deployments.get_opt(deployment).await.expect("Deployments can be read")?;
        found.spec?.template.spec?.containers.first()?.image.clone()
    }

    /// Changes the image of a Deployment, past Argo CD.
    pub async fn set_image(&self, deployment: &str, image: &str) {
        let deployments: Api<Deployment> = Api::namespaced(self.scene.client.clone(), &self.workloads);
        let containers = json!([{"name": "app", "image": image}]);
        let patch = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
        deployments.patch(deployment, &PatchParams::default(), &patch).await.expect("a Deployment can be changed");
    }

    /// What the Pods with a label `app` run, those that are about to go left out.
    pub async fn running(&self, label: &str) -> Running {
        let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), &self.workloads);
        let list = pods.list(&ListParams::default().labels(&format!("app={label}"))).await;
        let mut pods = list.expect("Pods can be listed").items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        let image = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone());
        let mut images: Vec<String> = pods.iter().filter_map(image).collect();
        images.sort();
        images.dedup();
        Running { images, ready: pods.iter().filter(|pod| is_ready(pod)).count(), pods: pods.len() }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
