//! What one test has for itself of Argo CD: a [`Scene`], a repository, Applications.

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::argocd::{ArgoCd, NAMESPACE, Repository, files};
use crate::fairlead::{Configured, Fairlead};
use crate::scene::{Scene, create};

/// One test's part of the world with Argo CD.
#[derive(Clone)]
pub struct Stage {
    /// Namespace, registry, policies.
    pub scene: Scene,
    /// The servers.
    pub argocd: &'static ArgoCd,
    /// Where its Applications come from.
    pub repository: Repository,
    /// The namespace of the Deployments.
    pub workloads: String,
}

impl Stage {
    /// A new one, with Applications and Deployments in a namespace of its own.
    pub async fn new(name: &str) -> Self {
        Self::with_applications_in(name, name).await
    }

    /// A new one, with Applications in the namespace of Argo CD. One test alone can have it.
    pub async fn in_control_plane(name: &str) -> Self {
        Self::with_applications_in(NAMESPACE, name).await
    }

    async fn with_applications_in(namespace: &str, name: &str) -> Self {
        let argocd = ArgoCd::shared().await;
        let scene = Scene::on(&argocd.servers, namespace).await;
        let repository = argocd.gitea.repository(name).await;
        let stage = Self { scene, argocd, repository, workloads: name.to_owned() };
        if namespace != name {
            stage.scene.namespace_called(name).await;
        }
        stage.allow_git().await;
        let files = files::all(&stage.image());
        let files: Vec<_> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
        stage.repository.commit("Deploy", &files).await;
        stage
    }

    /// The rights that the chart gives in the namespace of Argo CD.
    async fn allow_git(&self) {
        let account = &self.scene.namespace;
        let name = format!("{account}-fairlead-git");
        let role = json!({"metadata": {"name": name}, "rules": crate::scene::rules_of(&["rules-git"])});
        create::<Role>(&Api::namespaced(self.scene.client.clone(), NAMESPACE), role).await;
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "fairlead", "namespace": account}],
        });
        create::<RoleBinding>(&Api::namespaced(self.scene.client.clone(), NAMESPACE), binding).await;
    }

    /// The image that its Deployments run.
    pub fn image(&self) -> String {
        format!("{}/{}", self.scene.registry().address, self.app())
    }

    /// The image with a tag.
    pub fn tagged(&self, tag: &str) -> String {
        format!("{}:{tag}", self.image())
    }

    /// The repository of the image.
    pub fn app(&self) -> String {
        format!("{}/app", self.workloads)
    }

    /// Pushes tags of the image, each built a day after the one before.
    pub async fn push(&self, tags: &[&str]) {
        self.scene.registry().push_all(&self.app(), tags).await;
    }

    /// Starts Fairlead.
    pub async fn start(&self) -> Fairlead {
        self.start_configured(Configured::default()).await
    }

    /// The same, set up by an administrator.
    pub async fn start_configured(&self, configured: Configured) -> Fairlead {
        self.scene.start_configured(&[&self.argocd.gitea.host], configured).await
    }

    /// A source: a folder of the repository, and what else it says.
    pub fn source(&self, path: &str, rest: Value) -> Value {
        let mut source = rest;
        source["repoURL"] = json!(self.repository.url());
        source["path"] = json!(path);
        source["targetRevision"] = json!("main");
        source
    }

    /// The chart, with Helm parameters.
    pub fn chart(&self, parameters: &[(&str, &str)]) -> Value {
        let entry =
            |(name, value): &(&str, &str)| json!({"name": name, "value": value, "forceString": *name == "image.tag"});
        let parameters: Vec<Value> = parameters.iter().map(entry).collect();
        self.source("chart", json!({"helm": {"parameters": parameters}}))
    }

    /// The chart in version 1.0.0, named by its usual parameters.
    pub fn plain_chart(&self) -> Value {
        self.chart(&[("image.name", &self.image()), ("image.tag", "1.0.0")])
    }

    /// Creates an Application that syncs by itself.
    pub async fn application(&self, name: &str, source: Value) {
        self.application_of(name, json!({"source": source, "syncPolicy": {"automated": {"prune": true}}})).await;
    }

    /// Creates an Application with all of its specification but project and destination.
    pub async fn application_of(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name},
            "spec": self.whole(spec),
        });
        create(&self.scene.applications(), object).await;
    }

    /// A specification with project and destination.
    pub fn whole(&self, mut spec: Value) -> Value {
        spec["project"] = json!("default");
        spec["destination"] = json!({"server": "https://kubernetes.default.svc", "namespace": self.workloads});
        spec
    }

    /// Changes an Application, as a person does with `kubectl patch`.
    pub async fn change_application(&self, name: &str, patch: Value) {
        let patched = self.scene.applications().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.expect("an Application can be changed");
    }

    /// The same, at exact places.
    pub async fn patch_application(&self, name: &str, patch: Value) {
        let patch = Patch::Json::<()>(serde_json::from_value(patch).expect("a JSON patch"));
        let patched = self.scene.applications().patch(name, &PatchParams::default(), &patch).await;
        patched.expect("an Application can be changed");
    }

    /// Deletes an Application, and leaves what it deployed.
    pub async fn delete_application(&self, name: &str) {
        self.scene.applications().delete(name, &DeleteParams::default()).await.expect("an Application can be deleted");
    }

    /// Creates an ApplicationSet.
    pub async fn application_set(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": name}, "spec": spec,
        });
        create(&self.application_sets(), object).await;
    }

    /// Changes an ApplicationSet.
    pub async fn change_application_set(&self, name: &str, patch: Value) {
        let patched = self.application_sets().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.expect("an ApplicationSet can be changed");
    }

    fn application_sets(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<::fairlead::api::ApplicationSet>(&());
        Api::namespaced_with(self.scene.client.clone(), &self.scene.namespace, &resource)
    }

    /// Asks Argo CD to look at an Application now.
    pub async fn refresh(&self, name: &str) {
        self.change_application(name, json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}))
            .await;
    }
}
