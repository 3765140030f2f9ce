//! The controller: watches and timers around the pipeline.
//!
//! # Flow
//! A change of a policy, a change of an Application that matters for images, a change of a pull secret, a push that a
//! webhook tells of, or the policy's interval wakes the policy; [`crate::pipeline::reconcile`] looks at it; the report becomes status, events and metrics, each written only
//! where it says something new.
//!
//! # Guarantees
//! One policy is looked at once at a time, by one replica of all that share a lease. A stop finishes the looks in hand, and
//! gives up the lead then.

mod annotations;
mod health;
mod leader;
mod look;
mod pushes;
mod reach;
mod requests;
mod wake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt, future};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::adapters::clock::SystemClock;
use crate::adapters::fence::Fence;
use crate::adapters::git::GitEngine;
use crate::adapters::kubernetes::{
    ApplicationIndex, Change, Clients, PolicyIndex, PolicyObject, PolicySettings, list_policy_objects,
};
use crate::adapters::webhooks::PushReceiver;
use crate::ports::{Forge, Registry};
use crate::telemetry::{Health, Metrics};
use annotations::Generator;
pub use annotations::GeneratorSettings;
use health::ControllerHealth;
pub use leader::Election;
use leader::{Candidate, TakeOver};
use look::Looks;
pub use pushes::Asked;
pub use reach::Reach;

/// Policies looked at at once.
///
/// Many, because a look mostly waits, and one that waits for a slow registry must not keep others from theirs. Registries and the
/// API server are spared by limits of their own.
const CONCURRENCY: u16 = 256;
/// How often what is known of policies that are gone is dropped.
const PRUNING: Duration = Duration::from_secs(60);
/// Changes that come within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long looks in hand may go on when the process is told to stop.
const STOPPING: Duration = Duration::from_secs(45);

/// What a controller looks after.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The namespaces; none: all.
    pub namespaces: Vec<String>,
    /// Labels that its policies carry, as the API server reads selectors; `None`: all policies.
    pub policies: Option<String>,
    /// How replicas with this scope agree on one that acts; `None`: there is one.
    pub election: Option<Election>,
}

impl Scope {
    /// Each namespace that is watched by itself; `None`: one watch for all.
    pub fn watched(&self) -> Vec<Option<String>> {
        if self.namespaces.is_empty() { vec![None] } else { self.namespaces.iter().cloned().map(Some).collect() }
    }
}

/// What the controller works with.
pub struct Controllers {
    clients: Clients,
    namespaces: Vec<Option<String>>,
    selector: Option<String>,
    candidate: Option<Candidate>,
    looks: Arc<Looks>,
    policies: Arc<PolicyIndex>,
    applications: Arc<ApplicationIndex>,
    changes: mpsc::UnboundedReceiver<Change>,
    generator: Generator,
}

/// Takes the work over from another replica.
struct Successor<'a> {
    clients: &'a Clients,
    namespaces: &'a [Option<String>],
    looks: &'a Looks,
    policies: &'a PolicyIndex,
    wakers: &'a [mpsc::UnboundedSender<ObjectRef<PolicyObject>>],
}

impl Controllers {
    /// A controller over a scope, whose Applications it reaches by `reach`. Policies mean what `settings` let them, and are made of
    /// what `generated` says.
    pub fn new(
        clients: Clients,
        scope: Scope,
        reach: Reach,
        registry: Arc<dyn Registry>,
        metrics: Arc<Metrics>,
        settings: PolicySettings,
        generated: GeneratorSettings,
    ) -> Self {
        let namespaces = scope.watched();
        let Scope { policies: selector, election, namespaces: _ } = scope;
        let fence = Arc::new(if election.is_some() { Fence::closed() } else { Fence::open() });
        let candidate = election.map(|election| Candidate::new(clients.calls.clone(), election, fence.clone()));
        let Reach { applications, index, changes } = reach;
        let policies = Arc::new(PolicyIndex::new(settings));
        let looks = Arc::new(Looks::new(
            clients.calls.clone(),
            applications,
            index.clone(),
            policies.clone(),
            registry,
            metrics.clone(),
            fence.clone(),
        ));
        let generator = Generator {
            client: clients.calls.clone(),
            applications: index.clone(),
            policies: policies.clone(),
            metrics,
            fence,
            settings: generated,
            scopes: namespaces.len(),
        };
        Self { clients, namespaces, selector, candidate, looks, policies, applications: index, changes, generator }
    }

    /// Lets policies write to Git, and open pull requests.
    pub fn write_to(&self, git: Arc<GitEngine>, forge: Arc<dyn Forge>) {
        self.looks.write_to(git, forge);
    }

    /// How ready it is.
    pub fn health(&self) -> Arc<dyn Health> {
        Arc::new(ControllerHealth {
            applications: self.applications.clone(),
            policies: self.policies.clone(),
            scopes: self.namespaces.len(),
            pulse: self.looks.pulse.clone(),
        })
    }

    /// Takes what webhooks tell, and passes it on to the policies concerned as long as it is held: those with an image of a
    /// repository, or one that is `asked` for there.
    pub fn pushes(&self, asked: Asked) -> Arc<dyn PushReceiver> {
        let (sender, pushes) = pushes::Pushes::new();
        let (client, policies) = (self.clients.calls.clone(), Arc::clone(&self.policies));
        let metrics = Arc::clone(&self.looks.metrics);
        let policies = pushes::ClusterPolicies { metrics, client, policies, asked };
        tokio::spawn(pushes::forward(pushes, Arc::new(policies), Arc::new(SystemClock)));
        Arc::new(sender)
    }

    /// Runs until `stop` is cancelled, and finishes the looks in hand.
    pub async fn run(mut self, stop: CancellationToken) {
        let wakers: Vec<_> = self.namespaces.iter().map(|_| mpsc::unbounded_channel()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = wakers.into_iter().unzip();
        let (changed, namespaces) = mpsc::unbounded_channel();
        let (policies, scopes) = (self.policies.clone(), self.namespaces.clone());
        tokio::spawn(wake::forward(self.changes, policies, scopes, senders.clone(), changed));
        let generating = self.generator.run(namespaces, self.selector.as_deref());
        let runs = self.namespaces.iter().zip(receivers).map(|(namespace, woken)| {
            let policies = scoped::<PolicyObject>(&self.clients, namespace.as_ref());
            let secrets = scoped::<PartialObjectMeta<Secret>>(&self.clients, namespace.as_ref());
            let watched = watcher::Config { label_selector: self.selector.clone(), ..watcher::Config::default() };
            let controller = Controller::new(policies, watched);
            self.policies.add(controller.store());
            let index = self.policies.clone();
            let looks = self.looks.clone();
            let broken = AtomicBool::new(false);
            controller
                .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
                .reconcile_on(tokio_stream(woken))
                .watches(secrets, watcher::Config::default(), move |secret| wake::by_secret(&index, &secret))
                .graceful_shutdown_on(stop.clone().cancelled_owned())
                .run(|object, looks| async move { looks.look(&object).await }, look::failed, looks)
                .for_each(move |done| {
                    tell_outage(&broken, done.err().as_ref());
                    future::ready(())
                })
        });
        let pruning = async {
            loop {
                tokio::time::sleep(PRUNING).await;
                self.looks.keep(&self.policies.prune());
            }
        };
        let successor = Successor {
            clients: &self.clients,
            namespaces: &self.namespaces,
            looks: &self.looks,
            policies: &self.policies,
            wakers: &senders,
        };
        let leading = async {
            match &mut self.candidate {
                Some(candidate) => candidate.run(&successor).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            _ = future::join_all(runs) => {}
            () = pruning => {}
            () = leading => {}
            () = self.looks.beat() => {}
            () = give_up(&stop) => {}
            () = generating => {}
        }
        if let Some(candidate) = self.candidate {
            candidate.release().await;
        }
    }
}

/// Ends when looks in hand have had their time after a stop.
async fn give_up(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOPPING).await;
    tracing::warn!("the looks in hand take too long; they are given up");
}

impl TakeOver for Successor<'_> {
    async fn prepare(&self) -> Result<(), String> {
        let mut present = Vec::new();
        for namespace in self.namespaces {
            present.extend(list_policy_objects(&self.clients.calls, namespace.as_deref()).await?);
        }
        self.looks.begin_anew(&present);
        Ok(())
    }

    fn begin(&self) {
        wake::all(self.policies, self.namespaces, self.wakers);
    }
}

/// Says once that the watches are interrupted, and once that they work again.
fn tell_outage(broken: &AtomicBool, error: Option<&impl std::error::Error>) {
    let was = broken.swap(error.is_some(), Ordering::Relaxed);
    match error {
        Some(error) if !was => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, "the watch of policies or Secrets is interrupted; it is taken up again by itself");
        }
        None if was => tracing::info!("the watch of policies and Secrets works again"),
        _ => {}
    }
}

fn scoped<K>(clients: &Clients, namespace: Option<&String>) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(clients.watches.clone(), namespace),
        None => Api::all(clients.watches.clone()),
    }
}

fn tokio_stream<T: Send + 'static>(
    receiver: mpsc::UnboundedReceiver<T>,
) -> impl futures::Stream<Item = T> + Send + 'static {
    futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
}
