//! What the files of a folder hold together. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api;
use crate::lower;
use crate::model::{Application, ApplicationId, ApplicationSet, Policy, PolicyId, Problem, Reason, SecretRef};
use crate::ports::SecretData;

use super::PolicyManifest;
use super::files::Found;
use super::manifests::{self, Manifest, Object};

/// What one file holds, in the form that decisions are made on.
pub(super) struct FileObjects {
    /// The text that this was made of.
    pub text: String,
    /// The objects, each with the line that it begins on.
    objects: Vec<(usize, Lowered)>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

enum Lowered {
    Application(ApplicationId, Result<Arc<Application>, String>),
    ApplicationSet((String, String), Result<ApplicationSet, String>),
    Project((String, String), Result<Box<api::AppProject>, String>),
    Policy(PolicyId, Arc<PolicyManifest>, Option<Arc<Policy>>),
    Secret(SecretRef, SecretData),
}

/// All objects of the folder at one moment. Of two that have one name, the first counts.
#[derive(Default)]
pub(super) struct Snapshot {
    pub applications: BTreeMap<ApplicationId, (Found, Result<Arc<Application>, String>)>,
    /// By namespace and name.
    pub sets: BTreeMap<(String, String), Result<ApplicationSet, String>>,
    /// By namespace and name.
    pub projects: BTreeMap<(String, String), Result<Box<api::AppProject>, String>>,
    pub policies: BTreeMap<PolicyId, (Arc<PolicyManifest>, Option<Arc<Policy>>)>,
    pub secrets: BTreeMap<SecretRef, SecretData>,
    pub problems: Vec<Problem>,
    pub notes: Vec<Problem>,
}

impl FileObjects {
    /// What the file `name` holds, whose text is `text`.
    pub fn new(name: &str, text: String) -> Self {
        let manifests::Contents { manifests, problems, notes } = manifests::read(name, &text);
        let objects = manifests.into_iter().map(|manifest| (manifest.line, lowered(name, manifest))).collect();
        Self { text, objects, problems, notes }
    }
}

fn lowered(file: &str, manifest: Manifest) -> Lowered {
    let Manifest { document, line, version, text, object } = manifest;
    match object {
        Object::Application(id, application) => {
            let application = application.map(|application| {
                let mut lowered = lowered_application(*application, &id);
                lowered.uid = format!("{file}#{document}");
                lowered.resource_version = version;
                Arc::new(lowered)
            });
            Lowered::Application(id, application)
        }
        Object::ApplicationSet(id, set) => Lowered::ApplicationSet(id, set.map(|set| lower::application_set(&set))),
        Object::Project(id, project) => Lowered::Project(id, project),
        Object::Policy(id, policy, mut problems) => {
            let policy = match policy {
                Ok(policy) if problems.is_empty() => Some(policy),
                Err(cause) if problems.is_empty() => {
                    problems.push(Problem::new(Reason::UnreadableObject, cause));
                    None
                }
                Ok(_) | Err(_) => None,
            };
            let policy = policy.map(|mut policy| {
                policy.metadata.namespace = Some(id.namespace.clone());
                policy
            });
            let usable = policy.as_ref().and_then(|policy| lower::policy(policy).policy).map(Arc::new);
            let manifest = PolicyManifest { id: id.clone(), file: file.to_owned(), line, policy, problems, text };
            Lowered::Policy(id, Arc::new(manifest), usable)
        }
        Object::Secret(id, data) => Lowered::Secret(id, data),
    }
}

/// The Application in the form that decisions are made on, with the namespace that it has here.
fn lowered_application(mut application: api::Application, id: &ApplicationId) -> Application {
    application.metadata.namespace = Some(id.namespace.clone());
    lower::application(&application)
}

impl Snapshot {
    /// Adds what the file `found` holds.
    pub fn add(&mut self, found: &Found, file: &FileObjects) {
        self.problems.extend(file.problems.iter().cloned());
        self.notes.extend(file.notes.iter().cloned());
        for (line, object) in &file.objects {
            if let Some(what) = self.add_object(found, object) {
                let problem = Problem::new(Reason::UnreadableObject, format!("{what} stands here a second time"));
                let problem = problem.at(format!("{}:{line}", found.name));
                self.problems.push(problem.hint("the first one, by file name, counts"));
            }
        }
    }

    /// Adds an object; gives its name where there is one of that name already.
    fn add_object(&mut self, found: &Found, object: &Lowered) -> Option<String> {
        match object {
            Lowered::Application(id, application) => {
                let twice = insert(&mut self.applications, id, (found.clone(), application.clone()));
                twice.then(|| format!("the Application `{id}`"))
            }
            Lowered::ApplicationSet(id, set) => {
                let twice = insert(&mut self.sets, id, set.clone());
                twice.then(|| format!("the ApplicationSet `{}/{}`", id.0, id.1))
            }
            Lowered::Project(id, project) => {
                let twice = insert(&mut self.projects, id, project.clone());
                twice.then(|| format!("the AppProject `{}/{}`", id.0, id.1))
            }
            Lowered::Policy(id, manifest, policy) => {
                let twice = insert(&mut self.policies, id, (Arc::clone(manifest), policy.clone()));
                twice.then(|| format!("the policy `{id}`"))
            }
            Lowered::Secret(id, data) => {
                let twice = insert(&mut self.secrets, id, data.clone());
                twice.then(|| format!("the Secret `{}/{}`", id.namespace, id.name))
            }
        }
    }
}

/// Inserts, unless there is a value already; says whether there is.
fn insert<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, value: V) -> bool {
    let there = map.contains_key(key);
    if !there {
        map.insert(key.clone(), value);
    }
    there
}
