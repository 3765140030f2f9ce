//! All Applications that we may see, in the slim form that decisions are made on, kept current by a watch.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use tokio::sync::{mpsc, watch};

use super::{code, words};
use crate::api;
use crate::lower;
use crate::model::{Application, ApplicationId};
use crate::ports::{ApplicationsError, Inventory};

const SYNC_PATIENCE: Duration = Duration::from_secs(20);

/// An Application that changed in a way that matters for images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The Application.
    pub id: ApplicationId,
    /// Its labels before and after, whichever there are.
    pub labels: Vec<BTreeMap<String, String>>,
    /// Whether nothing differs but what Argo CD says of it: news for those alone who wait for something that was written.
    pub progress: bool,
}

/// An Application, or why it cannot be read.
pub(in crate::adapters) type Entry = Result<Arc<Application>, String>;
type Namespaces = HashMap<String, BTreeMap<String, Entry>>;

/// The Applications of the watched namespaces.
pub struct ApplicationIndex {
    entries: Mutex<Namespaces>,
    scopes: Vec<(Option<String>, watch::Receiver<Sync>)>,
}

/// Keeps an index current by other means than a watch.
pub(in crate::adapters) struct IndexFeed {
    index: Arc<ApplicationIndex>,
    sync: watch::Sender<Sync>,
    changes: mpsc::UnboundedSender<Change>,
}

/// How far the watch of one scope got.
#[derive(Debug, Clone)]
enum Sync {
    Pending,
    Done,
    Failed(ApplicationsError),
}

impl ApplicationIndex {
    /// Starts a watch for each namespace (`None`: one for all) and tells `changes` what changes after the first list.
    pub fn start(client: &Client, namespaces: &[Option<String>], changes: &mpsc::UnboundedSender<Change>) -> Arc<Self> {
        let (senders, receivers): (Vec<_>, Vec<_>) = namespaces.iter().map(|_| watch::channel(Sync::Pending)).unzip();
        let scopes = namespaces.iter().cloned().zip(receivers).collect();
        let index = Arc::new(Self { entries: Mutex::default(), scopes });
        for (namespace, sender) in namespaces.iter().zip(senders) {
            let api: Api<DeserializeGuard<api::Application>> = match namespace {
                Some(namespace) => Api::namespaced(client.clone(), namespace),
                None => Api::all(client.clone()),
            };
            tokio::spawn(index.clone().follow(api, namespace.clone(), sender, changes.clone()));
        }
        index
    }

    /// An index of what its feed is told, which tells `changes` what changes after the first list.
    pub(in crate::adapters) fn fed(changes: &mpsc::UnboundedSender<Change>) -> (Arc<Self>, IndexFeed) {
        let (sync, receiver) = watch::channel(Sync::Pending);
        let index = Arc::new(Self { entries: Mutex::default(), scopes: vec![(None, receiver)] });
        (Arc::clone(&index), IndexFeed { index, sync, changes: changes.clone() })
    }

    /// Whether every watch has seen its first list.
    pub fn is_synced(&self) -> bool {
        self.scopes.iter().all(|(_, scope)| matches!(*scope.borrow(), Sync::Done))
    }

    /// The Applications of a namespace, once the first list is in.
    pub async fn inventory(&self, namespace: &str) -> Result<Inventory, ApplicationsError> {
        self.synced(namespace).await?;
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inventory = Inventory::default();
        for (name, entry) in entries.get(namespace).into_iter().flatten() {
            match entry {
                Ok(application) => inventory.applications.push(application.clone()),
                Err(cause) => inventory.unreadable.push((ApplicationId::new(namespace, name), cause.clone())),
            }
        }
        Ok(inventory)
    }

    /// The namespaces in which there are Applications.
    pub fn namespaces(&self) -> Vec<String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.keys().cloned().collect()
    }

    /// The uid of an Application, for events.
    pub fn uid(&self, id: &ApplicationId) -> Option<String> {
        self.known(id).map(|application| application.uid.clone())
    }

    /// An Application as it was last seen; `None` where there is none, or none that can be read.
    pub(in crate::adapters) fn known(&self, id: &ApplicationId) -> Option<Arc<Application>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&id.namespace)?.get(&id.name)?.as_ref().ok().cloned()
    }

    async fn synced(&self, namespace: &str) -> Result<(), ApplicationsError> {
        let covers = |scope: &Option<String>| scope.as_ref().is_none_or(|scope| scope == namespace);
        for (_, scope) in self.scopes.iter().filter(|(scope, _)| covers(scope)) {
            let mut scope = scope.clone();
            let settled =
                tokio::time::timeout(SYNC_PATIENCE, scope.wait_for(|sync| !matches!(sync, Sync::Pending))).await;
            let settled = settled.ok().and_then(Result::ok).map(|sync| sync.clone());
            match settled {
                Some(Sync::Failed(error)) => return Err(error),
                Some(Sync::Done) => {}
                Some(Sync::Pending) | None => {
                    let cause = "they have not been listed yet".to_owned();
                    return Err(ApplicationsError::Unavailable { what: "the Applications".to_owned(), cause });
                }
            }
        }
        Ok(())
    }

    async fn follow(
        self: Arc<Self>,
        api: Api<DeserializeGuard<api::Application>>,
        namespace: Option<String>,
        sync: watch::Sender<Sync>,
        changes: mpsc::UnboundedSender<Change>,
    ) {
        let mut stream = watch_objects(api, watcher::Config::default()).default_backoff().boxed();
        let mut listed: Namespaces = HashMap::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => put(&mut listed, &object),
                Ok(Event::InitDone) => {
                    self.replace(namespace.as_deref(), std::mem::take(&mut listed), &changes);
                    sync.send_replace(Sync::Done);
                }
                Ok(Event::Apply(object)) => self.apply(&id_of(&object), &entry_of(&object), &changes),
                Ok(Event::Delete(object)) => self.remove(&id_of(&object), &changes),
                Err(error) => fail(&sync, &error),
            }
        }
    }

    /// Takes over a complete list, and tells what differs from before.
    fn replace(&self, namespace: Option<&str>, listed: Namespaces, changes: &mpsc::UnboundedSender<Change>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before: Namespaces = match namespace {
            None => std::mem::take(&mut *entries),
            Some(namespace) => entries.remove_entry(namespace).into_iter().collect(),
        };
        let names = |namespaces: &Namespaces| -> Vec<ApplicationId> {
            let ids = |(namespace, entries): (&String, &BTreeMap<String, Entry>)| {
                entries.keys().map(|name| ApplicationId::new(namespace, name)).collect::<Vec<_>>()
            };
            namespaces.iter().flat_map(ids).collect()
        };
        let mut ids = names(&before);
        ids.extend(names(&listed));
        ids.sort();
        ids.dedup();
        let find = |namespaces: &Namespaces, id: &ApplicationId| {
            namespaces.get(&id.namespace).and_then(|entries| entries.get(&id.name)).cloned()
        };
        for id in ids {
            tell(changes, &id, find(&before, &id).as_ref(), find(&listed, &id).as_ref());
        }
        entries.extend(listed);
    }

    fn apply(&self, id: &ApplicationId, entry: &Entry, changes: &mpsc::UnboundedSender<Change>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.entry(id.namespace.clone()).or_default().insert(id.name.clone(), entry.clone());
        tell(changes, id, before.as_ref(), Some(entry));
    }

    fn remove(&self, id: &ApplicationId, changes: &mpsc::UnboundedSender<Change>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.get_mut(&id.namespace).and_then(|entries| entries.remove(&id.name));
        tell(changes, id, before.as_ref(), None);
    }
}

impl IndexFeed {
    /// Takes over a complete list.
    pub(in crate::adapters) fn replace(&self, listed: impl IntoIterator<Item = (ApplicationId, Entry)>) {
        let mut namespaces = Namespaces::new();
        for (id, entry) in listed {
            namespaces.entry(id.namespace).or_default().insert(id.name, entry);
        }
        self.index.replace(None, namespaces, &self.changes);
        self.sync.send_replace(Sync::Done);
    }

    /// Takes over the state of one Application.
    pub(in crate::adapters) fn apply(&self, id: &ApplicationId, entry: &Entry) {
        self.index.apply(id, entry, &self.changes);
    }

    /// Takes one Application away.
    pub(in crate::adapters) fn remove(&self, id: &ApplicationId) {
        self.index.remove(id, &self.changes);
    }

    /// Says that what the index holds is not to be relied on, until the next complete list.
    pub(in crate::adapters) fn fail(&self, error: ApplicationsError) {
        self.sync.send_replace(Sync::Failed(error));
    }

    /// An Application as it was last taken over.
    pub(in crate::adapters) fn known(&self, id: &ApplicationId) -> Option<Arc<Application>> {
        self.index.known(id)
    }
}

fn put(listed: &mut Namespaces, object: &DeserializeGuard<api::Application>) {
    let id = id_of(object);
    listed.entry(id.namespace).or_default().insert(id.name, entry_of(object));
}

fn id_of(object: &DeserializeGuard<api::Application>) -> ApplicationId {
    let metadata = match &object.0 {
        Ok(application) => &application.metadata,
        Err(invalid) => &invalid.metadata,
    };
    ApplicationId::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn entry_of(object: &DeserializeGuard<api::Application>) -> Entry {
    match &object.0 {
        Ok(application) => Ok(Arc::new(lower::application(application))),
        Err(invalid) => Err(invalid.error.clone()),
    }
}

/// Tells of a change unless nothing differs but the version of the object: Argo CD writes its status all the time.
fn tell(changes: &mpsc::UnboundedSender<Change>, id: &ApplicationId, before: Option<&Entry>, after: Option<&Entry>) {
    let without = |entry: Option<&Entry>, kept: Option<()>| {
        let bare = |application: &Arc<Application>| {
            let progress = application.progress.clone().filter(|_| kept.is_some());
            let (resource_version, operating, annotated) = (String::new(), false, false);
            Application { resource_version, annotated, operating, progress, ..(**application).clone() }
        };
        entry.map(|entry| entry.as_ref().map(bare).map_err(Clone::clone))
    };
    if without(before, Some(())) == without(after, Some(())) {
        return;
    }
    let progress = without(before, None) == without(after, None);
    let readable = [before, after].into_iter().flatten().filter_map(|entry| entry.as_ref().ok());
    let mut labels: Vec<_> = readable.map(|application| application.labels.clone()).collect();
    labels.dedup();
    // Nobody listens only while shutting down.
    let _ = changes.send(Change { id: id.clone(), labels, progress });
}

fn fail(sync: &watch::Sender<Sync>, error: &watcher::Error) {
    let (denied, cause) = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => (code(error) == 403, words(error)),
        watcher::Error::WatchError(status) => (status.code == 403, status.message.clone()),
        error @ watcher::Error::NoResourceVersion => (false, error.to_string()),
    };
    let what = "the Applications".to_owned();
    let error =
        if denied { ApplicationsError::Denied { what, cause } } else { ApplicationsError::Unavailable { what, cause } };
    sync.send_if_modified(|sync| {
        if matches!(sync, Sync::Done) {
            // The watch is taken up again by itself; kube tells of a right that is gone.
            tracing::debug!(error = %error, "watch of Applications interrupted");
            return false;
        }
        if matches!(sync, Sync::Pending) {
            tracing::warn!(error = %error, "cannot read the Applications");
        }
        *sync = Sync::Failed(error.clone());
        true
    });
}
