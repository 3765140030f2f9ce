//! A world in memory: Applications and policies as YAML, repositories as lists of tags.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::format_collect,
    reason = "a broken world must fail loudly, and fixtures may be short"
)]

use std::sync::Arc;

use fairlead::adapters::instance::OfInstance;
use fairlead::adapters::memory::{MemoryApplications, MemoryClock, MemoryGit, MemoryPolicies, MemoryRegistry};
use fairlead::api::{ImageUpdatePolicy, ImageUpdatePolicyStatus};
use fairlead::lower;
use fairlead::model::{ApplicationId, Details, Digest, ImageReference, Known, Report, Repository};
use fairlead::pipeline::{self, Memory};
use fairlead::ports::{Applications, Clock, Forge, Ports};
use jiff::Timestamp;
use serde_json::Value;

pub const NOW: &str = "2026-06-01T12:00:00Z";

pub struct World {
    pub applications: Arc<MemoryApplications>,
    /// The namespace of the Argo CD whose Applications count; `None`: all do.
    pub instance: Option<&'static str>,
    pub registry: MemoryRegistry,
    pub git: MemoryGit,
    pub forge: Option<Arc<dyn Forge>>,
    pub clock: MemoryClock,
    policies: Vec<ImageUpdatePolicy>,
    memory: Memory,
    /// What is remembered of the policy beside it.
    spare: (Memory, Option<ImageUpdatePolicyStatus>),
    pub status: Option<ImageUpdatePolicyStatus>,
}

impl World {
    /// A world with one policy in namespace `argocd`, given as its `spec`.
    pub fn new(spec: &str) -> Self {
        Self {
            applications: Arc::default(),
            instance: None,
            registry: MemoryRegistry::default(),
            git: MemoryGit::default(),
            forge: None,
            clock: MemoryClock::at(NOW.parse().unwrap()),
            policies: vec![policy("web", "2026-01-02T00:00:00Z", spec)],
            memory: Memory::default(),
            spare: (Memory::default(), None),
            status: None,
        }
    }

    /// Another policy beside the one that is looked at.
    pub fn beside(mut self, name: &str, created: &str, spec: &str) -> Self {
        self.policies.push(policy(name, created, spec));
        self
    }

    /// The same in another namespace.
    pub fn beside_in(self, namespace: &str, name: &str, created: &str, spec: &str) -> Self {
        let mut world = self.beside(name, created, spec);
        world.policies.last_mut().unwrap().metadata.namespace = Some(namespace.to_owned());
        world
    }

    /// Looks at the policy beside it from now on, and back.
    pub fn turn(&mut self) {
        self.policies.swap(0, 1);
        std::mem::swap(&mut self.memory, &mut self.spare.0);
        std::mem::swap(&mut self.status, &mut self.spare.1);
    }

    /// The policy's text from now on.
    pub fn rewrite(&mut self, spec: &str) {
        self.policies[0] = policy("web", "2026-01-02T00:00:00Z", spec);
    }

    /// A Helm Application with `image.tag`, whose Pods run `live`.
    pub fn helm(self, name: &str, parameters: &[(&str, &str)], live: &[&str]) -> Self {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|(name, value)| serde_json::json!({ "name": name, "value": value, "forceString": true }))
            .collect();
        let mut source = serde_json::json!({ "repoURL": "https://git.example/web", "path": "chart" });
        if !parameters.is_empty() {
            source["helm"] = serde_json::json!({ "parameters": parameters });
        }
        self.application(
            name,
            serde_json::json!({ "source": source }),
            serde_json::json!({ "sourceType": "Helm", "summary": { "images": live } }),
        )
    }

    /// A Kustomize Application.
    pub fn kustomize(self, name: &str, images: &[&str], live: &[&str]) -> Self {
        let mut source = serde_json::json!({ "repoURL": "https://git.example/web", "path": "base" });
        if !images.is_empty() {
            source["kustomize"] = serde_json::json!({ "images": images });
        }
        self.application(
            name,
            serde_json::json!({ "source": source }),
            serde_json::json!({ "sourceType": "Kustomize", "summary": { "images": live } }),
        )
    }

    /// Any Application.
    pub fn application(self, name: &str, spec: Value, status: Value) -> Self {
        self.application_in("argocd", name, spec, status)
    }

    /// Any Application of any namespace.
    pub fn application_in(self, namespace: &str, name: &str, spec: Value, status: Value) -> Self {
        self.applications.put(serde_json::json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": { "name": name, "namespace": namespace, "labels": { "team": "web" } },
            "spec": spec,
            "status": status,
        }));
        self
    }

    /// Tags of a repository; each an image built a day after the one before.
    pub fn tags(self, repository: &str, tags: &[&str]) -> Self {
        for (day, tag) in tags.iter().enumerate() {
            self.push(repository, tag, &format!("2026-03-{:02}T00:00:00Z", day + 1));
        }
        self
    }

    /// Puts an image under a tag.
    pub fn push(&self, repository: &str, tag: &str, built: &str) {
        let known = Known {
            digest: digest(&format!("{repository}:{tag}@{built}")),
            builds: vec![("linux/amd64".parse().unwrap(), Some(built.parse().unwrap()))],
            pushed: None,
            first_seen: None,
        };
        self.registry.push(&repository_of(repository), tag.parse().unwrap(), Details::Known(known));
    }

    /// What would happen to an Application at the next look, and why.
    pub async fn explain(&self, application: &str, tag: Option<&str>) -> Option<pipeline::Explanation> {
        let lowered = lower::policy(&self.policies[0]);
        let policies = MemoryPolicies(lowered.policy.clone().map(Arc::new).into_iter().collect());
        let ports = Ports {
            applications: &*self.applications,
            policies: &policies,
            registry: &self.registry,
            git: Some(&self.git),
            forge: self.forge.as_deref(),
            clock: &self.clock,
        };
        let tag = tag.map(|tag| tag.parse().unwrap());
        pipeline::explain(ports, &lowered, &self.memory, &ApplicationId::new("argocd", application), tag.as_ref()).await
    }

    /// Looks at the policy once, as the controller does: the memory of the next look is what the status keeps.
    pub async fn look(&mut self) -> Report {
        let lowered: Vec<lower::Lowered> = self.policies.iter().map(lower::policy).collect();
        let policies =
            MemoryPolicies(lowered.iter().filter_map(|lowered| lowered.policy.clone()).map(Arc::new).collect());
        let of_instance = self.instance.map(|namespace| OfInstance::new(self.applications.clone(), namespace));
        let ports = Ports {
            applications: of_instance.as_ref().map_or(&*self.applications as &dyn Applications, |of| of),
            policies: &policies,
            registry: &self.registry,
            git: Some(&self.git),
            forge: self.forge.as_deref(),
            clock: &self.clock,
        };
        let report = pipeline::reconcile(ports, &lowered[0], &self.memory, self.clock.now()).await;
        let status = pipeline::status(&report, self.status.as_ref());
        self.memory = pipeline::remembered(&status);
        self.status = Some(status);
        report
    }

    /// Deletes an Application and makes another one of the same name and content.
    pub fn replace(&self, name: &str) {
        let id = ApplicationId::new("argocd", name);
        let mut object = self.applications.object(&id).unwrap();
        self.applications.remove(&id);
        object["metadata"]["uid"] = serde_json::json!("another");
        self.applications.put(object);
    }

    /// Lets the next look be the first of a new process: only what the status keeps is remembered.
    pub fn restart(&mut self) {
        self.memory = self.status.as_ref().map(pipeline::remembered).unwrap_or_default();
    }

    /// Puts an annotation on the policy.
    pub fn annotate(&mut self, key: &str, value: &str) {
        let annotations = self.policies[0].metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
    }

    /// The value at a JSON pointer of an Application.
    pub fn at(&self, name: &str, pointer: &str) -> Value {
        let object = self.applications.object(&ApplicationId::new("argocd", name)).unwrap();
        object.pointer(pointer).cloned().unwrap_or_default()
    }

    /// Changes an Application as a person would.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.applications.object(&ApplicationId::new("argocd", name)).unwrap();
        edit(&mut object);
        self.applications.put(object);
    }

    /// The reason and message of the `Ready` condition, and its status.
    pub fn ready(&self) -> (String, String, String) {
        let condition =
            self.status.as_ref().unwrap().conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    }
}

pub fn policy(name: &str, created: &str, spec: &str) -> ImageUpdatePolicy {
    let text = format!(
        "apiVersion: fairlead.dev/v1alpha1\nkind: ImageUpdatePolicy\nmetadata: {{ name: {name}, namespace: argocd, generation: 1, creationTimestamp: '{created}' }}\nspec:\n{}",
        spec.lines().map(|line| format!("  {line}\n")).collect::<String>()
    );
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

pub fn repository_of(repository: &str) -> Repository {
    repository.parse::<ImageReference>().unwrap().repository
}

pub fn digest(seed: &str) -> Digest {
    use sha2::{Digest as _, Sha256};
    let hex: String = Sha256::digest(seed.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").parse().unwrap()
}

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
