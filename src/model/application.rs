//! An Argo CD Application, as far as it matters for images.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{ApplicationId, Pointer, Progress};

/// An Argo CD Application, as far as it matters for images.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that the object states by itself")]
pub struct Application {
    /// Namespace and name.
    pub id: ApplicationId,
    /// The object's uid; another object of the same name has another one.
    pub uid: String,
    /// The version of the object that this was read from.
    pub resource_version: String,
    /// The Argo CD project.
    pub project: String,
    /// The namespace of the Argo CD that looks after it, where it says so.
    pub controller_namespace: Option<String>,
    /// Labels, for selection.
    pub labels: BTreeMap<String, String>,
    /// Whether it has annotations at all.
    pub annotated: bool,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// Why it is left alone, where it is.
    pub skipped: Option<Skip>,
    /// The ApplicationSet that made it, and may set it back.
    pub owner: Option<String>,
    /// What manages the object itself, by the tracking that Argo CD puts on it.
    pub tracked_by: Option<String>,
    /// The field manager that changed its sources last, other than Fairlead.
    pub edited_by: Option<String>,
    /// The value of `fairlead.dev/resume`: a new one lifts what holds its images back.
    pub resume: Option<String>,
    /// Its annotations that are for argocd-image-updater.
    pub updater_annotations: BTreeMap<String, String>,
    /// The newest write of its sources by argocd-image-updater that still stands.
    pub updater_write: Option<UpdaterWrite>,
    /// Whether `fairlead.dev/take-over` says that Fairlead may write it although another updater does.
    pub take_over: bool,
    /// Where its manifests come from.
    pub sources: Sources,
    /// Images of live Pods, as Argo CD reports them; old and new side by side in a rollout. A hint, never the truth.
    pub live_images: Vec<String>,
    /// Whether Argo CD syncs it by itself.
    pub automated: bool,
    /// How it is synced: what `spec.syncPolicy.syncOptions` lists.
    pub sync_options: Vec<String>,
    /// Whether a sync was asked for that is not over.
    pub operating: bool,
    /// Where it is deployed to.
    pub destination: Destination,
    /// What Argo CD says of it; `None` where it says nothing.
    pub progress: Option<Progress>,
}

/// Where an Application is deployed to; what is not stated is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Destination {
    /// The address of the cluster.
    pub server: String,
    /// The name of the cluster.
    pub name: String,
    /// The namespace.
    pub namespace: String,
}

/// A write by another updater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdaterWrite {
    /// The field manager.
    pub manager: String,
    /// When it wrote.
    pub at: Timestamp,
}

/// Where the manifests of an Application come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// `spec.source`.
    Single(Source),
    /// `spec.sources`.
    Many(Vec<Source>),
    /// `spec.sourceHydrator.drySource`.
    Hydrated(Source),
    /// The Application names no source.
    Missing,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Its type, where known: from its own block, else from what Argo CD found.
    pub kind: Option<SourceKind>,
    /// The repository that it is read from.
    pub repo_url: String,
    /// The folder in the repository.
    pub path: Option<String>,
    /// The branch, tag or commit of the repository, or the version of the chart; `None`: the newest.
    pub target_revision: Option<String>,
    /// Its own name.
    pub name: Option<String>,
    /// The name under which other sources use its files.
    pub reference: Option<String>,
    /// The Helm chart it deploys.
    pub chart: Option<String>,
    /// Its Helm block, if it has one.
    pub helm: Option<Helm>,
    /// Its Kustomize block, if it has one.
    pub kustomize: Option<Kustomize>,
    /// Its plugin block, if it has one.
    pub plugin: Option<Plugin>,
}

/// The type of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// A Helm chart.
    Helm,
    /// A kustomization.
    Kustomize,
    /// A config management plugin.
    Plugin,
    /// Plain manifests.
    Directory,
}

/// A Helm block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Helm {
    /// Its parameters; `None` when the key is missing.
    pub parameters: Option<Vec<HelmParameter>>,
    /// Its values files, in order; one that begins with `$` lies in the source with that `ref`.
    pub value_files: Vec<String>,
    /// Its `valuesObject`; `None` when the key is missing.
    pub values: Option<Values>,
    /// Its `values`, a YAML text; `None` when it says nothing. Argo CD reads it only without a `valuesObject`.
    pub inline: Option<Arc<str>>,
}

/// Values of a chart, as far as versions can stand in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// A text.
    Text(String),
    /// A mapping.
    Map(BTreeMap<String, Self>),
    /// A list.
    List(Vec<Self>),
    /// A number, a boolean, or nothing.
    Other,
}

/// A Helm parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmParameter {
    /// The key in the chart's values.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether the value stays a string; `None` when not said.
    pub force_string: Option<bool>,
}

/// A Kustomize block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kustomize {
    /// Its image overrides, `[old=]name[:tag][@digest]`; `None` when the key is missing.
    pub images: Option<Vec<String>>,
}

/// The block of a config management plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plugin {
    /// Its environment variables; `None` when the key is missing.
    pub env: Option<Vec<Variable>>,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl SourceKind {
    /// The word that Argo CD uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Kustomize => "Kustomize",
            Self::Plugin => "Plugin",
            Self::Directory => "Directory",
        }
    }

    /// The type that Argo CD calls `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Helm, Self::Kustomize, Self::Plugin, Self::Directory].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Source {
    /// Whether it lies in a Git repository: not in a Helm repository, and in no registry of OCI artifacts.
    pub fn in_git(&self) -> bool {
        self.chart.is_none() && !self.repo_url.starts_with("oci://")
    }
}

impl Sources {
    /// The sources one by one, each with where it stands in the Application.
    pub fn each(&self) -> Vec<(Pointer, &Source)> {
        match self {
            Self::Single(source) => vec![(Pointer::root().key("spec").key("source"), source)],
            Self::Many(sources) => {
                let place = |(index, source)| (Pointer::root().key("spec").key("sources").index(index), source);
                sources.iter().enumerate().map(place).collect()
            }
            Self::Hydrated(source) => {
                vec![(Pointer::root().key("spec").key("sourceHydrator").key("drySource"), source)]
            }
            Self::Missing => Vec::new(),
        }
    }
}

impl Application {
    /// Namespace and name of its Argo CD project, which lies where the Argo CD that looks after it is.
    pub fn at_project(&self) -> (&str, &str) {
        let namespace = self.controller_namespace.as_ref().unwrap_or(&self.id.namespace);
        (namespace, if self.project.is_empty() { "default" } else { &self.project })
    }
}

/// Why an Application is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Its annotation `argocd.argoproj.io/skip-reconcile` asks for it.
    Annotation,
    /// The Argo CD of this namespace looks after it, which is not the one that counts here.
    AnotherInstance(String),
}
