//! Policies that are made from annotations of Applications and from `ImageUpdater` resources.
//!
//! # Flow
//! A change of an Application or of any policy makes its namespace due; [`generated::wanted`] compares what is asked for with what is
//! there; the changes are made. Nothing is ever written to an Application or an `ImageUpdater`.
//!
//! # Guarantees
//! What cannot be seen is not judged: without a complete list of Applications and policies nothing is changed, and what an `ImageUpdater`
//! asked for stays as long as those cannot be listed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::mpsc;

use super::look::fingerprint;
use crate::adapters::clock::SystemClock;
use crate::adapters::fence::{Fence, Pass};
use crate::adapters::kubernetes::{
    ApplicationIndex, Listed, NotChanged, PolicyIndex, PolicyObject, change_generated, find_image_updaters,
    publish_on_application,
};
use crate::api::{self, ImageUpdater};
use crate::lower::{Lowered, annotations, image_updater};
use crate::model::{Application, ApplicationId, LabelSelector, Problem, Reason, Severity};
use crate::pipeline::generated::{self, Asked, Change, Existing, Owner, Situation, Wanted};
use crate::ports::Clock;
use crate::telemetry::Metrics;

/// How often policies are compared with those of the last time; a change of an Application needs no such look.
const TICK: Duration = Duration::from_secs(1);
/// Changes that come within this time are looked at together.
const GATHERING: Duration = Duration::from_millis(200);
/// How often all is compared anew whatever happened, in ticks.
const ROUND: u32 = 60;
/// How often `ImageUpdater` resources are listed, in ticks.
const LISTING: u32 = 15;
/// Policies changed at once.
const CONCURRENCY: usize = 8;
/// Events about one translation.
const MOST_EVENTS: usize = 5;

/// What policies are made of.
#[derive(Debug, Clone, Default)]
pub struct GeneratorSettings {
    /// The Applications whose annotations are read; `None`: none.
    pub annotations: Option<LabelSelector>,
    /// Whether `ImageUpdater` resources are read.
    pub image_updaters: bool,
}

/// Makes policies.
pub(super) struct Generator {
    pub client: Client,
    pub applications: Arc<ApplicationIndex>,
    pub policies: Arc<PolicyIndex>,
    pub metrics: Arc<Metrics>,
    /// Who may write.
    pub fence: Arc<Fence>,
    pub settings: GeneratorSettings,
    /// How many watches of policies there are.
    pub scopes: usize,
}

/// A generator at work, with what it knows.
struct Work {
    generator: Generator,
    translations: HashMap<ApplicationId, Translation>,
    /// What was told on each Application; each thing is told once.
    told: HashMap<ApplicationId, BTreeSet<String>>,
    updaters: BTreeMap<String, Vec<ImageUpdater>>,
    /// Why `ImageUpdater` resources cannot be read, as it was logged.
    updaters_missing: Option<String>,
}

/// What the annotations of an Application mean, as long as they are the same.
struct Translation {
    uid: String,
    annotations: BTreeMap<String, String>,
    asked: Option<Asked>,
    /// What nothing reads, or cannot be read at all.
    notices: Vec<Problem>,
}

impl Generator {
    /// Runs for ever, and acts while this replica leads. `changed` tells of namespaces whose Applications changed; with a `selector` of
    /// policies nothing is made, as what is made would carry none of its labels.
    pub(super) async fn run(self, changed: mpsc::UnboundedReceiver<String>, selector: Option<&str>) {
        if let Some(selector) = selector {
            tracing::info!(
                selector,
                "no policies are made from annotations or ImageUpdaters: only labelled ones are looked after"
            );
            return std::future::pending().await;
        }
        let (translations, told) = (HashMap::new(), HashMap::new());
        let work = Work { generator: self, translations, told, updaters: BTreeMap::new(), updaters_missing: None };
        Box::pin(work.run(changed)).await;
    }
}

impl Deref for Work {
    type Target = Generator;

    fn deref(&self) -> &Generator {
        &self.generator
    }
}

impl Work {
    async fn run(mut self, mut changed: mpsc::UnboundedReceiver<String>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut due: BTreeSet<String> = BTreeSet::new();
        let mut seen = None;
        let mut tick = 0_u32;
        loop {
            tokio::select! {
                Some(namespace) = changed.recv() => {
                    due.insert(namespace);
                    tokio::time::sleep(GATHERING).await;
                    while let Ok(namespace) = changed.try_recv() {
                        due.insert(namespace);
                    }
                }
                _ = ticks.tick() => {
                    if self.settings.image_updaters && tick.is_multiple_of(LISTING) {
                        self.list_updaters().await;
                    }
                    let now = self.state();
                    if seen != Some(now) || tick.is_multiple_of(ROUND) {
                        seen = Some(now);
                        due.extend(self.namespaces());
                    }
                    tick = tick.wrapping_add(1);
                }
            }
            if self.policies.synced_scopes() < self.scopes {
                continue;
            }
            // What is due stays so until this replica leads.
            let Some(pass) = self.fence.pass() else { continue };
            for namespace in std::mem::take(&mut due) {
                self.sweep(&namespace, &pass).await;
            }
        }
    }

    /// A number that changes with every policy and `ImageUpdater`.
    fn state(&self) -> u64 {
        let policies = self.policies.objects().iter().map(|object| fingerprint(object)).fold(0, u64::wrapping_add);
        let versions = self.updaters.values().flatten().filter_map(ResourceExt::resource_version);
        let updaters = versions.filter_map(|version| version.parse::<u64>().ok()).fold(0, u64::wrapping_add);
        policies.wrapping_add(updaters.wrapping_mul(31))
    }

    fn namespaces(&self) -> BTreeSet<String> {
        let policies = self.policies.objects();
        let policies = policies.iter().filter_map(|object| object.namespace());
        self.applications.namespaces().into_iter().chain(policies).collect()
    }

    /// Brings one namespace in order. What fails is tried again with the next round.
    async fn sweep(&mut self, namespace: &str, pass: &Pass) {
        let Ok(inventory) = self.applications.inventory(namespace).await else { return };
        let objects = self.policies.objects();
        let objects: Vec<_> =
            objects.into_iter().filter(|object| object.namespace().as_deref() == Some(namespace)).collect();
        let lowered: Vec<_> = objects.iter().map(|object| self.policies.lowered(object)).collect();
        let (by_updaters, left) = self.by_updaters(namespace, &inventory.applications);
        self.translate(namespace, &inventory.applications);
        let mut asked: Vec<&Asked> = by_updaters.iter().collect();
        let own = inventory.applications.iter().filter(|application| !left.contains(&application.id.name));
        asked.extend(own.filter_map(|application| self.translations.get(&application.id)?.asked.as_ref()));
        let applications = inventory.applications.iter();
        let wanted = generated::wanted(&Situation {
            namespace,
            applications: applications.map(|one| (one.id.name.as_str(), one.as_ref())).collect(),
            unknown: inventory.unreadable.iter().map(|(id, _)| id.name.as_str()).collect(),
            asked,
            existing: objects.iter().zip(&lowered).map(|(object, lowered)| existing(object, lowered)).collect(),
            kinds: self.kinds(namespace),
        });
        self.make(namespace, wanted, &inventory.applications, pass).await;
    }

    fn kinds(&self, namespace: &str) -> BTreeSet<&'static str> {
        let annotations = self.settings.annotations.as_ref().map(|_| "annotations");
        let updaters = self.updaters.contains_key(namespace).then_some("imageupdater");
        annotations.into_iter().chain(updaters).collect()
    }

    /// Reads annotations that are new or changed, and forgets those that are gone.
    fn translate(&mut self, namespace: &str, applications: &[Arc<Application>]) {
        let mut known: HashMap<ApplicationId, Translation> = HashMap::new();
        for application in applications.iter().filter(|application| !application.updater_annotations.is_empty()) {
            if !self.settings.annotations.as_ref().is_none_or(|selector| selector.matches(&application.labels)) {
                continue;
            }
            let before = self.translations.remove(&application.id).filter(|before| {
                before.uid == application.uid && before.annotations == application.updater_annotations
            });
            let translation = before.unwrap_or_else(|| self.read(application));
            known.insert(application.id.clone(), translation);
        }
        self.translations.retain(|id, _| id.namespace != namespace);
        let unread = |translation: &&Translation| {
            translation.notices.iter().any(|notice| notice.reason == Reason::UnreadSetting)
        };
        self.metrics.unread_annotations(namespace, known.values().filter(unread).count());
        self.translations.extend(known);
    }

    fn read(&self, application: &Application) -> Translation {
        let (id, uid) = (application.id.clone(), application.uid.clone());
        let annotations = application.updater_annotations.clone();
        if self.settings.annotations.is_none() {
            let message = "Fairlead is told to read no annotations of argocd-image-updater";
            let problem = Problem::new(Reason::UnreadSetting, message);
            let notices = vec![problem.hint("start it with `--annotations=on`, or write a policy")];
            return Translation { uid, annotations, asked: None, notices };
        }
        let found = annotations::translate_allowing(&id, &annotations, &self.policies.settings().allowed);
        let spec = found.spec.or_else(|| annotations::unusable(&id, &annotations));
        let mut notices = found.notes;
        notices.retain(|note| note.reason == Reason::UnreadSetting);
        let owner = Owner::Application { id: id.clone(), uid: uid.clone() };
        if spec.is_none() {
            notices.extend(found.problems.iter().cloned());
        }
        let asked = spec.map(|spec| Asked::new(owner, id.name, spec, found.problems));
        Translation { uid, annotations, asked, notices }
    }

    /// What `ImageUpdater` resources ask for, and the Applications that are theirs.
    fn by_updaters(&self, namespace: &str, applications: &[Arc<Application>]) -> (Vec<Asked>, BTreeSet<String>) {
        let updaters = self.updaters.get(namespace).map(Vec::as_slice).unwrap_or_default();
        let applications: Vec<api::Application> = match updaters {
            [] => Vec::new(),
            _ => applications.iter().map(|application| slim(application)).collect(),
        };
        let (mut asked, mut matched) = (Vec::new(), BTreeSet::new());
        for updater in updaters {
            let allowed = &self.policies.settings().allowed;
            let found = image_updater::translate_allowing(updater, &applications, allowed);
            matched.extend(found.matched);
            let owner = Owner::ImageUpdater { name: updater.name_any(), uid: updater.uid().unwrap_or_default() };
            // A problem stands at every policy: one entry's may be the reason why another takes no Application.
            asked.extend(
                found
                    .policies
                    .into_iter()
                    .map(|policy| Asked::new(owner.clone(), policy.name, policy.spec, found.problems.clone())),
            );
        }
        (asked, matched)
    }

    /// Lists `ImageUpdater` resources. Those that cannot be listed now keep what they asked for.
    async fn list_updaters(&mut self) {
        let mut missing = None;
        for namespace in self.namespaces() {
            match find_image_updaters(&self.client, &namespace).await {
                Ok(Some(Listed { objects, unreadable })) => {
                    if unreadable.is_empty() {
                        self.updaters.insert(namespace, objects);
                    } else {
                        // Whose Applications are whose is not known then.
                        self.updaters.remove(&namespace);
                        missing = Some(unreadable.join("; "));
                    }
                }
                Ok(None) => {
                    self.updaters.remove(&namespace);
                    missing = Some("the API server knows no ImageUpdaters; they are looked for again".to_owned());
                }
                Err(cause) => {
                    self.updaters.remove(&namespace);
                    missing = Some(cause);
                }
            }
        }
        self.metrics.image_updaters(missing.is_none());
        if self.updaters_missing != missing {
            if let Some(cause) = &missing {
                tracing::warn!(cause, "no policies are made from ImageUpdaters: {cause}");
            } else {
                tracing::info!("policies are made from ImageUpdaters");
            }
            self.updaters_missing = missing;
        }
    }

    /// Makes the changes, and tells what is to be told.
    async fn make(&mut self, namespace: &str, wanted: Wanted, applications: &[Arc<Application>], pass: &Pass) {
        let client = &self.client.clone();
        let make = async |change: Change| {
            // Whoever leads by then decides anew.
            let done = pass.within(change_generated(client, namespace, &change)).await;
            let done = done.unwrap_or(Err(NotChanged::Conflict));
            (change, done)
        };
        let done: Vec<_> = stream::iter(wanted.changes).map(make).buffer_unordered(CONCURRENCY).collect().await;
        let mut notices: BTreeMap<ApplicationId, Vec<Problem>> = BTreeMap::new();
        for (id, problem) in wanted.notices {
            notices.entry(id).or_default().push(problem);
        }
        for (change, done) in done {
            log(namespace, &change, &done);
            let Change::Apply { owner: Owner::Application { id, uid }, problems, name, .. } = change else { continue };
            match done {
                Ok(()) => {
                    for problem in problems.iter().take(MOST_EVENTS) {
                        publish_on_application(client, &id, &uid, problem, true, SystemClock.now(), pass).await;
                    }
                }
                Err(NotChanged::Conflict) => {}
                Err(NotChanged::Denied(cause) | NotChanged::Failed(cause)) => {
                    let message = format!("the policy `{name}` cannot be written: {cause}");
                    notices.entry(id).or_default().push(Problem::new(Reason::WriteDenied, message));
                }
            }
        }
        for application in applications {
            let id = &application.id;
            let mut all = notices.remove(id).unwrap_or_default();
            all.extend(self.translations.get(id).into_iter().flat_map(|translation| translation.notices.clone()));
            self.tell(application, &all, pass).await;
        }
        let present: BTreeSet<&ApplicationId> = applications.iter().map(|application| &application.id).collect();
        self.told.retain(|id, _| id.namespace != namespace || present.contains(id));
    }

    /// Tells on an Application what was not told yet.
    async fn tell(&mut self, application: &Application, problems: &[Problem], pass: &Pass) {
        if problems.is_empty() {
            self.told.remove(&application.id);
            return;
        }
        let before = self.told.remove(&application.id).unwrap_or_default();
        let mut told = BTreeSet::new();
        for problem in problems.iter().take(MOST_EVENTS) {
            let text = format!("{}: {problem}", problem.reason);
            if !before.contains(&text) {
                let warning = problem.reason.severity() != Severity::Waiting;
                let (id, uid) = (&application.id, &application.uid);
                publish_on_application(&self.client, id, uid, problem, warning, SystemClock.now(), pass).await;
            }
            told.insert(text);
        }
        self.told.insert(application.id.clone(), told);
    }
}

fn existing<'a>(object: &'a PolicyObject, lowered: &'a Lowered) -> Existing<'a> {
    Existing {
        name: object.meta().name.clone().unwrap_or_default(),
        object: object.0.as_ref().ok(),
        policy: lowered.policy.as_ref(),
    }
}

/// As much of an Application as an `ImageUpdater` can ask for.
fn slim(application: &Application) -> api::Application {
    let mut slim = api::Application::default();
    slim.metadata.namespace = Some(application.id.namespace.clone());
    slim.metadata.name = Some(application.id.name.clone());
    slim.metadata.labels = Some(application.labels.clone());
    slim.metadata.annotations = Some(application.updater_annotations.clone());
    slim
}

fn log(namespace: &str, change: &Change, done: &Result<(), NotChanged>) {
    let (done_word, word, name) = match change {
        Change::Apply { name, .. } => ("wrote", "write", name),
        Change::Remove { name, .. } => ("removed", "remove", name),
        Change::Detach { name, .. } => ("gave away", "give away", name),
    };
    match done {
        Ok(()) => tracing::info!(namespace, policy = name, "{done_word} the generated policy {namespace}/{name}"),
        Err(NotChanged::Conflict) => {
            tracing::debug!(namespace, policy = name, "the generated policy {namespace}/{name} changed meanwhile");
        }
        Err(NotChanged::Denied(cause) | NotChanged::Failed(cause)) => {
            tracing::warn!(namespace, policy = name, cause, "cannot {word} the generated policy {namespace}/{name}");
        }
    }
}
