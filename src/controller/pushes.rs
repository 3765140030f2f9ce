//! Pushes that webhooks tell of: the policies concerned are asked to look, through the API.
//!
//! # Flow
//! A push goes into a queue. What comes within a moment is taken together; the policies with an image of those repositories get
//! an annotation that names the moment; their change wakes whoever looks after them, and the lists they read are from that
//! moment or later, the same list for all of them.
//!
//! # Guarantees
//! A policy is asked at most once in [`PAUSE`], however many events come; the last event is never lost in that. What is in the
//! queue is bounded: what does not fit is found at the policies' intervals.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::wake;
use crate::adapters::kubernetes::{PolicyIndex, touch_policy};
use crate::adapters::webhooks::PushReceiver;
use crate::model::{PolicyId, Repository};
use crate::ports::Clock;
use crate::telemetry::Metrics;

/// What comes within this time is taken together.
const GATHER: Duration = Duration::from_millis(250);
/// A policy is asked at most once in this time.
const PAUSE: Duration = Duration::from_secs(5);
/// Repositories that may wait.
const QUEUE: usize = 10_000;
/// Policies asked at once.
const AT_ONCE: usize = 8;
/// How often it is tried to ask a policy.
const TRIES: u8 = 3;

/// Takes pushes.
pub(super) struct Pushes(mpsc::Sender<Repository>);

/// The policies, as pushes need them.
#[async_trait]
pub(super) trait Concerned: Send + Sync {
    /// The policies with an image of one of these repositories.
    fn by_repositories(&self, repositories: &BTreeSet<Repository>) -> BTreeSet<PolicyId>;

    /// Asks for a look at a policy with lists from `at` or later.
    async fn touch(&self, policy: &PolicyId, at: Timestamp) -> Result<(), String>;

    /// Is told how many policies wait to be asked.
    fn waiting(&self, policies: usize);
}

/// The policies of a cluster.
pub(super) struct ClusterPolicies {
    pub(super) metrics: Arc<Metrics>,
    pub(super) client: Client,
    pub(super) policies: Arc<PolicyIndex>,
    pub(super) asked: Asked,
}

/// Where a repository is looked up, as the registry that is asked names it.
pub type Asked = Arc<dyn Fn(&Repository) -> Repository + Send + Sync>;

/// Those that wait to be asked, and those that were.
#[derive(Default)]
struct Waiting {
    /// How often each was tried.
    tries: BTreeMap<PolicyId, u8>,
    touched: HashMap<PolicyId, Instant>,
}

impl Pushes {
    /// Where pushes go in, and where they come out for [`forward`].
    pub(super) fn new() -> (Self, mpsc::Receiver<Repository>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }
}

impl PushReceiver for Pushes {
    fn pushed(&self, repositories: Vec<Repository>) {
        for repository in repositories {
            if self.0.try_send(repository).is_err() {
                tracing::warn!("too many pushes at once; what was pushed is found at the policies' intervals");
                return;
            }
        }
    }
}

#[async_trait]
impl Concerned for ClusterPolicies {
    fn by_repositories(&self, repositories: &BTreeSet<Repository>) -> BTreeSet<PolicyId> {
        wake::by_repositories(&self.policies, repositories, &*self.asked)
    }

    async fn touch(&self, policy: &PolicyId, at: Timestamp) -> Result<(), String> {
        touch_policy(&self.client, policy, at).await
    }

    fn waiting(&self, policies: usize) {
        self.metrics.webhook_queue(policies);
    }
}

/// Asks the policies concerned, until nobody can push any more.
pub(super) async fn forward(
    mut pushes: mpsc::Receiver<Repository>,
    policies: Arc<dyn Concerned>,
    clock: Arc<dyn Clock>,
) {
    let mut waiting = Waiting::default();
    loop {
        let mut repositories = BTreeSet::new();
        if waiting.tries.is_empty() {
            let Some(repository) = pushes.recv().await else { return };
            repositories.insert(repository);
        }
        tokio::time::sleep(GATHER).await;
        while let Ok(repository) = pushes.try_recv() {
            repositories.insert(repository);
        }
        if !repositories.is_empty() {
            waiting.add(policies.by_repositories(&repositories));
        }
        policies.waiting(waiting.tries.len());
        let due = waiting.due();
        let at = clock.now();
        let touch = |policy: PolicyId| {
            let policies = Arc::clone(&policies);
            async move { (policies.touch(&policy, at).await, policy) }
        };
        let mut touched = futures::stream::iter(due.into_iter().map(touch)).buffer_unordered(AT_ONCE);
        while let Some((result, policy)) = touched.next().await {
            waiting.touched(policy, result);
        }
        drop(touched);
        policies.waiting(waiting.tries.len());
    }
}

impl Waiting {
    fn add(&mut self, policies: BTreeSet<PolicyId>) {
        for policy in policies {
            self.tries.insert(policy, 0);
        }
    }

    /// Those that wait, and were not asked a moment ago.
    fn due(&mut self) -> Vec<PolicyId> {
        self.touched.retain(|_, at| at.elapsed() < PAUSE);
        self.tries.keys().filter(|policy| !self.touched.contains_key(*policy)).cloned().collect()
    }

    fn touched(&mut self, policy: PolicyId, result: Result<(), String>) {
        let tries = self.tries.remove(&policy).unwrap_or_default() + 1;
        match result {
            Ok(()) => tracing::debug!(%policy, "asked for a look after a push"),
            Err(cause) => {
                tracing::warn!(%policy, cause, "cannot ask for a look after a push");
                if tries < TRIES {
                    self.tries.insert(policy.clone(), tries);
                }
            }
        }
        self.touched.insert(policy, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::adapters::clock::SystemClock;
    use crate::model::ImageReference;

    /// Policies `web` and `both` have an image of `web`, `api` and `both` one of `api`.
    #[derive(Default)]
    struct Fake {
        touched: Mutex<Vec<(String, Timestamp)>>,
        failures: Mutex<usize>,
        waited: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl Concerned for Fake {
        fn by_repositories(&self, repositories: &BTreeSet<Repository>) -> BTreeSet<PolicyId> {
            let has = |path: &str| repositories.contains(&repository(path));
            let all = [("web", has("web")), ("api", has("api")), ("both", has("web") || has("api"))];
            all.into_iter().filter(|(_, concerned)| *concerned).map(|(name, _)| PolicyId::new("argocd", name)).collect()
        }

        async fn touch(&self, policy: &PolicyId, at: Timestamp) -> Result<(), String> {
            self.touched.lock().unwrap_or_else(PoisonError::into_inner).push((policy.name.clone(), at));
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            match failures.checked_sub(1) {
                Some(left) => {
                    *failures = left;
                    Err("the API server is away".to_owned())
                }
                None => Ok(()),
            }
        }

        fn waiting(&self, policies: usize) {
            self.waited.lock().unwrap_or_else(PoisonError::into_inner).push(policies);
        }
    }

    fn repository(path: &str) -> Repository {
        format!("ghcr.io/fleet/{path}").parse::<ImageReference>().expect("an image").repository
    }

    fn started(failures: usize) -> (Pushes, Arc<Fake>) {
        let (pushes, receiver) = Pushes::new();
        let fake = Arc::new(Fake { failures: Mutex::new(failures), ..Fake::default() });
        tokio::spawn(forward(receiver, fake.clone(), Arc::new(SystemClock)));
        (pushes, fake)
    }

    fn names(fake: &Fake) -> Vec<String> {
        let touched = fake.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = touched.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_events_ask_each_policy_once_and_all_for_one_moment() {
        let (pushes, fake) = started(0);
        for _ in 0..100 {
            pushes.pushed(vec![repository("web")]);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(names(&fake), ["both", "web"]);
        let touched = fake.touched.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(touched[0].1, touched[1].1, "one list serves both");
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_is_passed_on_within_a_moment() {
        let (pushes, fake) = started(0);
        pushes.pushed(vec![repository("api")]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(names(&fake), ["api", "both"]);
        let waited = fake.waited.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*waited, [2, 0], "who waits is told, and that nobody does any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_events_asks_every_few_seconds_and_the_last_is_not_lost() {
        let (pushes, fake) = started(0);
        for _ in 0..100 {
            pushes.pushed(vec![repository("web")]);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let asked = |fake: &Fake| names(fake).iter().filter(|name| *name == "web").count();
        assert_eq!(asked(&fake), 2);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(asked(&fake), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_that_cannot_be_asked_is_tried_three_times() {
        let (pushes, fake) = started(100);
        pushes.pushed(vec![repository("web")]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(names(&fake), ["both", "both", "both", "web", "web", "web"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_follows_asks_nobody() {
        let (pushes, fake) = started(0);
        pushes.pushed(vec![repository("other")]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(names(&fake), Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_the_queue_holds_is_let_go() {
        let (pushes, mut receiver) = Pushes::new();
        pushes.pushed((0..20_000).map(|number| repository(&format!("app{number}"))).collect());
        let mut queued = 0;
        while receiver.try_recv().is_ok() {
            queued += 1;
        }
        assert_eq!(queued, QUEUE);
    }
}
