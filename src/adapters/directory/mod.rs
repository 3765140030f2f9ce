//! A folder of manifests in place of a cluster: Applications, policies and Secrets in YAML or JSON files.
//!
//! # Guarantees
//! A file is changed by bytes ([`crate::edit::yaml`]) and replaced as a whole, with its permissions; one that changed since
//! it was read is not touched ([`WriteError::Conflict`]). A dry run touches no file and keeps the texts that would have been
//! written, so that later changes of the same file build on them.
//!
//! # Caveats
//! Hidden files and folders are left out, links are followed within the folder alone, files above 4 MiB are not read.
//! An object without a namespace is in `argocd`.

mod fields;
mod files;
mod manifests;
mod snapshot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::api;
use crate::edit::yaml::{EditError, apply};
use crate::lower;
use crate::model::{
    Application, ApplicationId, ApplicationPlan, Operation, Policy, PolicyId, Problem, Reason, RepositoryRules,
    SecretRef, SyncWindow,
};
use crate::ports::{
    Applications, ApplicationsError, Inventory, Policies, SecretData, SecretError, Secrets, WriteError,
};

use self::files::{Found, ReplaceError};
use self::manifests::{Manifest, Object};
use self::snapshot::{FileObjects, Snapshot};

pub use files::TemporaryFolder;
pub use manifests::{DEFAULT_NAMESPACE, located};

/// A folder of manifests.
pub struct Directory {
    root: PathBuf,
    mode: Mode,
    state: Mutex<State>,
}

/// Whether files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Write,
    /// They are not; what would have been written is kept.
    DryRun,
}

/// A file that was changed, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name below the folder.
    pub file: String,
    /// What it held.
    pub before: String,
    /// What it holds now, or would hold.
    pub after: String,
}

/// What a folder holds beside Applications.
#[derive(Debug, Default)]
pub struct Survey {
    /// The policies, sorted by namespace and name.
    pub policies: Vec<PolicyManifest>,
    /// What is wrong with objects of ours, sorted by place.
    pub problems: Vec<Problem>,
    /// What else was not read, and likely does not concern us.
    pub notes: Vec<Problem>,
}

/// A policy in a file.
#[derive(Debug, Clone)]
pub struct PolicyManifest {
    /// Namespace and name.
    pub id: PolicyId,
    /// The file that it stands in.
    pub file: String,
    /// The line that it begins on.
    pub line: usize,
    /// What was read, if it can be acted on.
    pub policy: Option<Box<api::ImageUpdatePolicy>>,
    /// What its text has that a policy has not. With any of them, it is not acted on.
    pub problems: Vec<Problem>,
    text: String,
}

/// Why a folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder `{}`", folder.display())]
pub struct OpenError {
    /// The folder, as it was named.
    pub folder: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

#[derive(Default)]
struct State {
    /// What a dry run would have written.
    would_be: BTreeMap<PathBuf, WouldBe>,
    /// What was written, or would have been, since it was last asked.
    changes: BTreeMap<String, Change>,
    /// Where Applications were last seen.
    places: BTreeMap<ApplicationId, Found>,
    /// What was last made of each file; made anew where its text differs.
    parsed: BTreeMap<Found, Arc<FileObjects>>,
}

struct WouldBe {
    /// What the file holds.
    base: String,
    /// What it would hold.
    text: String,
}

impl Directory {
    /// The folder `folder`. Every look reads the files anew; what was made of a text is kept while the text stays.
    ///
    /// # Errors
    /// When it is no folder, or may not be entered.
    pub fn open(folder: &Path, mode: Mode) -> Result<Self, OpenError> {
        let root = files::open(folder).map_err(|source| OpenError { folder: folder.to_owned(), source })?;
        Ok(Self { root, mode, state: Mutex::default() })
    }

    /// What the folder holds now beside Applications.
    pub fn survey(&self) -> Survey {
        let Snapshot { policies, mut problems, mut notes, .. } = self.snapshot();
        problems.sort_by(|left, right| (&left.place, left).cmp(&(&right.place, right)));
        notes.sort_by(|left, right| (&left.place, left).cmp(&(&right.place, right)));
        let policies = policies.into_values().map(|(manifest, _)| (*manifest).clone()).collect();
        Survey { policies, problems, notes }
    }

    /// The files that were changed, or would have been, since this was last asked; sorted by name.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().changes).into_values().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text of a file, as it is or, in a dry run, as it would be by now.
    fn text(&self, path: &Path) -> std::io::Result<String> {
        let text = files::read(path)?;
        let mut state = self.state();
        match state.would_be.get(path) {
            Some(would_be) if would_be.base == text => Ok(would_be.text.clone()),
            Some(_) => {
                state.would_be.remove(path);
                Ok(text)
            }
            None => Ok(text),
        }
    }

    /// What a file holds now.
    fn objects(&self, found: &Found) -> std::io::Result<Arc<FileObjects>> {
        let text = self.text(&found.path)?;
        if let Some(parsed) = self.state().parsed.get(found).filter(|parsed| parsed.text == text) {
            return Ok(Arc::clone(parsed));
        }
        let parsed = Arc::new(FileObjects::new(&found.name, text));
        self.state().parsed.insert(found.clone(), Arc::clone(&parsed));
        Ok(parsed)
    }

    fn snapshot(&self) -> Snapshot {
        let listing = files::list(&self.root);
        let mut snapshot = Snapshot::default();
        for (name, cause) in listing.skipped {
            snapshot.notes.push(Problem::new(Reason::SourceUnavailable, cause).at(name));
        }
        for found in &listing.files {
            match self.objects(found) {
                Ok(objects) => snapshot.add(found, &objects),
                Err(error) => {
                    let problem = Problem::new(Reason::SourceUnavailable, format!("cannot be read: {error}"));
                    snapshot.notes.push(problem.at(&found.name));
                }
            }
        }
        let places = snapshot.applications.iter().map(|(id, (found, _))| (id.clone(), found.clone()));
        let mut state = self.state();
        state.places = places.collect();
        state.parsed.retain(|found, _| listing.files.binary_search(found).is_ok());
        drop(state);
        snapshot
    }

    /// One Application in one file, if it is there.
    fn look_up(&self, found: &Found, id: &ApplicationId) -> Option<Arc<Application>> {
        let mut snapshot = Snapshot::default();
        snapshot.add(found, &*self.objects(found).ok()?);
        snapshot.applications.remove(id).and_then(|(_, application)| application.ok())
    }

    /// Puts `after` in place of `before`, or remembers that it would have been.
    fn put(&self, found: &Found, before: String, after: String) -> Result<(), ReplaceError> {
        match self.mode {
            Mode::Write => files::replace(&found.path, &before, &after)?,
            Mode::DryRun => {
                let disk = files::read(&found.path).map_err(ReplaceError::Failed)?;
                let would_be = WouldBe { base: disk, text: after.clone() };
                self.state().would_be.insert(found.path.clone(), would_be);
            }
        }
        let mut state = self.state();
        let change = Change { file: found.name.clone(), before, after: String::new() };
        state.changes.entry(found.name.clone()).or_insert(change).after = after;
        Ok(())
    }
}

impl PolicyManifest {
    /// The problem, whose place is a path in the policy, with the place in the file.
    #[must_use]
    pub fn pointing(&self, problem: Problem) -> Problem {
        let Some(path) = problem.place.clone() else { return problem.at(format!("{}:{}", self.file, self.line)) };
        let line = manifests::line_of_path(&self.text, self.line, &path);
        problem.at(format!("{}:{line} {path}", self.file))
    }
}

#[async_trait]
impl Applications for Directory {
    async fn list(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        let mut inventory = Inventory::default();
        let snapshot = self.snapshot();
        let sets = snapshot.sets.into_iter().filter(|((place, _), _)| place == namespace);
        inventory.sets = sets.map(|((_, name), set)| (name, set)).collect();
        for (id, (_, application)) in snapshot.applications {
            if id.namespace == namespace {
                match application {
                    Ok(application) => inventory.applications.push(application),
                    Err(cause) => inventory.unreadable.push((id, cause)),
                }
            }
        }
        Ok(inventory)
    }

    async fn fresh(&self, id: &ApplicationId) -> Result<Option<Arc<Application>>, ApplicationsError> {
        let found = self.state().places.get(id).cloned();
        if let Some(application) = found.and_then(|found| self.look_up(&found, id)) {
            return Ok(Some(application));
        }
        match self.snapshot().applications.remove(id) {
            None => Ok(None),
            Some((_, Ok(application))) => Ok(Some(application)),
            Some((_, Err(cause))) => {
                Err(ApplicationsError::Unavailable { what: format!("the Application `{id}`"), cause })
            }
        }
    }

    async fn write(&self, plan: &ApplicationPlan) -> Result<(), WriteError> {
        let id = &plan.application;
        let unavailable = |cause: String| WriteError::Unavailable { application: id.clone(), cause };
        let known = self.state().places.get(id).cloned();
        let found = match known {
            Some(found) => found,
            None => self.snapshot().applications.remove(id).ok_or_else(|| WriteError::Gone(id.clone()))?.0,
        };
        let before = match self.text(&found.path) {
            Ok(before) => before,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(WriteError::Gone(id.clone())),
            Err(error) => return Err(unavailable(format!("`{}` cannot be read: {error}", found.name))),
        };
        let contents = manifests::read(&found.name, &before);
        let same = |manifest: &&Manifest| {
            matches!(&manifest.object, Object::Application(here, _) if here == id)
                && manifest.version == plan.resource_version
                && format!("{}#{}", found.name, manifest.document) == plan.uid
        };
        let Some(manifest) = contents.manifests.iter().find(same) else { return Err(WriteError::Conflict(id.clone())) };
        let operations: Vec<Operation> = plan.operations().cloned().collect();
        let after = apply(&before, manifest.document, &operations).map_err(|error| refused(id, &found, &error))?;
        if after == before {
            return Ok(());
        }
        self.put(&found, before, after).map_err(|error| match error {
            ReplaceError::Changed => WriteError::Conflict(id.clone()),
            ReplaceError::Failed(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                WriteError::Denied { application: id.clone(), cause: format!("`{}`: {error}", found.name) }
            }
            ReplaceError::Failed(error) => unavailable(format!("`{}` cannot be written: {error}", found.name)),
        })
    }

    /// None: there is no Argo CD that would sync a folder.
    async fn sync_windows(&self, _: &str, _: &str) -> Result<Vec<SyncWindow>, String> {
        Ok(Vec::new())
    }

    /// Those of the project whose manifest is in the folder. Without one, nothing is known against anything.
    async fn repository_rules(&self, application: &Application) -> Result<RepositoryRules, String> {
        let (namespace, name) = application.at_project();
        let mut projects = self.snapshot().projects;
        let mut found = |home: &str| Some((home.to_owned(), projects.remove(&(home.to_owned(), name.to_owned()))?));
        // An Application that no Argo CD has looked at may lie in another namespace than its project.
        let Some((home, project)) = found(namespace).or_else(|| found(DEFAULT_NAMESPACE)) else {
            return Ok(RepositoryRules::unrestricted());
        };
        Ok(lower::repository_rules(Some(&*project?), &home, &application.id.namespace))
    }

    /// Nothing: there is no Argo CD that would look at a folder.
    async fn refresh(&self, _: &ApplicationId) -> Result<(), WriteError> {
        Ok(())
    }
}

/// What a refused edit means to the caller.
fn refused(id: &ApplicationId, found: &Found, error: &EditError) -> WriteError {
    let cause = format!("{}, {error}", found.name);
    match error {
        EditError::Changed { .. } => WriteError::Rejected { application: id.clone(), cause },
        EditError::NoDocument { .. } => WriteError::Conflict(id.clone()),
        EditError::Unreadable { .. } | EditError::Refused { .. } | EditError::NotLossless { .. } => {
            WriteError::NotLossless { application: id.clone(), cause }
        }
    }
}

#[async_trait]
impl Policies for Directory {
    async fn list(&self, namespace: &str) -> Vec<Arc<Policy>> {
        let policies = self.snapshot().policies.into_values();
        let here = policies.filter(|(manifest, _)| manifest.id.namespace == namespace);
        here.filter_map(|(_, policy)| policy).collect()
    }

    async fn all(&self) -> Vec<Arc<Policy>> {
        self.snapshot().policies.into_values().filter_map(|(_, policy)| policy).collect()
    }
}

#[async_trait]
impl Secrets for Directory {
    async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        Ok(self.snapshot().secrets.remove(secret))
    }
}
