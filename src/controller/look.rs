//! One look at one policy, and what is told of it.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::runtime::controller::Action;
use kube::{Client, Resource, ResourceExt};
use rand::Rng;

use super::health::{LONGEST_LOOK, Pulse};
use crate::adapters::clock::SystemClock;
use crate::adapters::fence::{Fence, Fenced, Pass};
use crate::adapters::git::GitEngine;
use crate::adapters::kubernetes::{ApplicationIndex, PolicyIndex, PolicyObject, id_of, publish_events, publish_status};
use crate::api::{ImageUpdatePolicyStatus, RECONCILE_AT};
use crate::lower::Lowered;
use crate::model::{ImageReport, Memory, PolicyId, Reason, Report, Severity, State};
use crate::pipeline::{self, Event, EventObject};
use crate::ports::{Applications, Clock, Forge, Git, Ports, Registry};
use crate::telemetry::Metrics;

const FIRST_RETRY: Duration = Duration::from_secs(5);
const UNTOLD_RETRY: Duration = Duration::from_secs(10);
/// How late a look may be where a hold ends.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A hold that ends sooner is waited for at least this long.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
/// How soon a look follows where a version is on its way. Changes that Argo CD tells wake the policy by themselves.
const FOLLOWING: Duration = Duration::from_secs(15);
/// A request for a look is about its own moment when it is no older.
const REQUEST_HOLDS: SignedDuration = SignedDuration::from_secs(60);

/// Looks at policies.
pub(super) struct Looks {
    client: Client,
    applications: Arc<dyn Applications>,
    index: Arc<ApplicationIndex>,
    policies: Arc<PolicyIndex>,
    registry: Arc<dyn Registry>,
    git: OnceLock<(Arc<GitEngine>, Arc<dyn Forge>)>,
    pub(super) metrics: Arc<Metrics>,
    fence: Arc<Fence>,
    pub(super) pulse: Arc<Pulse>,
    started: Timestamp,
    known: Mutex<HashMap<PolicyId, Known>>,
}

/// What this process knows of a policy beside its status.
#[derive(Clone, Default)]
struct Known {
    uid: String,
    /// Of uid, specification, labels and annotations: another one means that a person touched the policy.
    fingerprint: u64,
    /// The annotation that asks for a look.
    requested: Option<String>,
    /// The status as it was last written; the watch may still bring an older one.
    status: Option<ImageUpdatePolicyStatus>,
    /// What is remembered, whether it could be written down or not.
    memory: Option<Memory>,
    /// Whether what the status remembers could not be read.
    blind: bool,
    /// Tag lists must not be older.
    touched: Option<Timestamp>,
    failures: u32,
}

impl Known {
    /// What a policy says by itself.
    fn of(object: &PolicyObject) -> Self {
        let status = object.0.as_ref().ok().and_then(|policy| policy.status.clone());
        Self { uid: object.uid().unwrap_or_default(), status, ..Self::default() }
    }
}

impl Looks {
    pub(super) fn new(
        client: Client,
        applications: Arc<dyn Applications>,
        index: Arc<ApplicationIndex>,
        policies: Arc<PolicyIndex>,
        registry: Arc<dyn Registry>,
        metrics: Arc<Metrics>,
        fence: Arc<Fence>,
    ) -> Self {
        Self {
            client,
            applications,
            index,
            policies,
            registry,
            git: OnceLock::new(),
            metrics,
            fence,
            pulse: Arc::default(),
            started: SystemClock.now(),
            known: Mutex::default(),
        }
    }

    /// Lets policies write to Git, and open pull requests; the first ones count.
    pub(super) fn write_to(&self, git: Arc<GitEngine>, forge: Arc<dyn Forge>) {
        self.git.get_or_init(|| (git, forge));
    }

    /// Looks at a policy once, in time or not at all. A replica that stands by waits to be woken when it takes over.
    pub(super) async fn look(&self, object: &PolicyObject) -> Result<Action, Infallible> {
        let pass = self.fence.pass().filter(|_| object.meta().deletion_timestamp.is_none());
        let Some(pass) = pass else { return Ok(Action::await_change()) };
        let policy = id_of(object);
        let _in_hand = self.pulse.look(&policy);
        let action = tokio::time::timeout(LONGEST_LOOK, self.look_under(&pass, object)).await;
        Ok(action.unwrap_or_else(|_| {
            self.metrics.look_given_up();
            let seconds = LONGEST_LOOK.as_secs();
            tracing::error!(%policy, seconds, "the look at policy {policy} is given up: it took longer than {seconds} s");
            Action::requeue(UNTOLD_RETRY)
        }))
    }

    async fn look_under(&self, pass: &Pass, object: &PolicyObject) -> Action {
        let lowered = self.policies.lowered(object);
        let mut known = self.known(object, &lowered);
        let previous = known.status.clone();
        known.blind = object.0.is_err() && known.memory.is_none();
        let kept = || previous.as_ref().map(pipeline::remembered).unwrap_or_default();
        let memory = known.memory.take().unwrap_or_else(kept);
        let applications = Fenced::new(Arc::clone(&self.applications), pass.clone());
        let git = self.git.get().map(|(git, _)| Fenced::new(Arc::clone(git), pass.clone()));
        let forge = self.git.get().map(|(_, forge)| Fenced::new(Arc::clone(forge), pass.clone()));
        let begun = SystemClock.now();
        let report = pipeline::reconcile(
            Ports {
                applications: &applications,
                policies: &*self.policies,
                registry: &*self.registry,
                git: git.as_ref().map(|git| git as &dyn Git),
                forge: forge.as_ref().map(|forge| forge as &dyn Forge),
                clock: &SystemClock,
            },
            &lowered,
            &memory,
            fresh_since(&known, &lowered, begun),
        )
        .await;
        if !pass.holds() {
            // What was found out is the next leader's to tell: it has to see for itself.
            return Action::await_change();
        }
        let took = Duration::try_from(SystemClock.now().duration_since(begun)).unwrap_or_default();
        self.metrics.observe(&report, took);
        // What could not be read is not forgotten: it is kept as it is, and read again.
        known.memory = (!known.blind).then(|| report.memory.clone());
        let told = self.tell(&report, &mut known, pass).await;
        let ready = pipeline::ready(&report);
        // What was written is written: looking again sooner helps nobody.
        let written = matches!(ready.reason, Reason::RolloutDegraded | Reason::RolloutStuck);
        let failing = ready.severity == Severity::Failing && !written;
        known.failures = if failing { known.failures.saturating_add(1) } else { 0 };
        let pause = pause(lowered.interval(), &report, known.failures);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(lowered.id.clone(), known);
        Action::requeue(if told { pause } else { pause.min(UNTOLD_RETRY) })
    }

    /// Forgets what another replica may have changed since, and starts from what policies say now.
    pub(super) fn begin_anew(&self, present: &[PolicyObject]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
        known.extend(present.iter().map(|object| (id_of(object), Known::of(object))));
    }

    /// Gives signs of life; never ends.
    pub(super) async fn beat(&self) {
        self.pulse.beat(&self.fence, &self.metrics).await;
    }

    /// Forgets policies that are gone.
    pub(super) fn keep(&self, present: &[PolicyId]) {
        let present: HashSet<&PolicyId> = present.iter().collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<PolicyId> = known.keys().filter(|id| !present.contains(id)).cloned().collect();
        known.retain(|id, _| present.contains(id));
        drop(known);
        if let Some((git, _)) = self.git.get() {
            for policy in &gone {
                git.forget(policy);
            }
        }
        self.metrics.keep(&present);
    }

    fn known(&self, object: &PolicyObject, lowered: &Lowered) -> Known {
        let uid = object.uid().unwrap_or_default();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&lowered.id).cloned();
        let mut known = known.filter(|known| known.uid == uid).unwrap_or_else(|| Known::of(object));
        let (first, fingerprint) = (known.touched.is_none(), fingerprint(object));
        if known.fingerprint != fingerprint {
            known.fingerprint = fingerprint;
            // What was there before this process may share the lists of its first minute.
            let old = object.creation_timestamp().is_some_and(|created| created.0 < self.started);
            known.touched = Some(if known.touched.is_none() && old { self.started } else { SystemClock.now() });
        }
        let requested = object.annotations().get(RECONCILE_AT);
        if known.requested.as_ref() != requested {
            // At the first look it may be an old one.
            let now = SystemClock.now();
            known.touched = known.touched.max(named_moment(requested, now).or((!first).then_some(now)));
            known.requested = requested.cloned();
        }
        known
    }

    /// Writes status and events where they say something new. Whether all could be told.
    async fn tell(&self, report: &Report, known: &mut Known, pass: &Pass) -> bool {
        let next = pipeline::status(report, known.status.as_ref());
        let events = pipeline::events(report, known.status.as_ref());
        if known.status.as_ref().is_some_and(|previous| pipeline::same_but_time(previous, &next)) {
            return true;
        }
        log(report, known.status.as_ref());
        let keep: &[&str] =
            if known.blind { &["resumed", "unresumed", "remembered", "rollouts", "watched"] } else { &[] };
        if let Err(cause) = publish_status(&self.client, &report.policy, &known.uid, &next, keep, pass).await {
            tracing::warn!(policy = %report.policy, cause, "cannot write the status");
            return false;
        }
        publish_events(&self.client, &self.index, report, &known.uid, &events, pass).await;
        known.status = (!known.blind).then_some(next);
        true
    }
}

/// The look itself cannot fail; this is for the type's sake.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is the controller's")]
pub(super) fn failed(_: Arc<PolicyObject>, error: &Infallible, _: Arc<Looks>) -> Action {
    match *error {}
}

/// The moment that a request for a look names, if it is about that: policies that are asked together share one list then.
fn named_moment(requested: Option<&String>, now: Timestamp) -> Option<Timestamp> {
    let named = requested.and_then(|text| text.parse::<Timestamp>().ok());
    named.filter(|at| *at <= now && now.duration_since(*at) <= REQUEST_HOLDS)
}

/// A touched policy wants lists from after the touch; else its interval says how old they may be.
fn fresh_since(known: &Known, lowered: &Lowered, now: Timestamp) -> Timestamp {
    let by_interval = now.checked_sub(lowered.interval()).unwrap_or(Timestamp::MIN);
    known.touched.map_or(by_interval, |touched| touched.max(by_interval))
}

/// The interval with up to a tenth more; sooner where a hold ends before, and after failures, then slower each time and not
/// before a registry wants to be asked.
fn pause(interval: Duration, report: &Report, failures: u32) -> Duration {
    let under_way =
        |image: &ImageReport| image.rollout.as_ref().is_some_and(|rollout| rollout.is_under_way(report.checked_at));
    let interval = if report.images.iter().any(under_way) { interval.min(FOLLOWING) } else { interval };
    let left = |until: Timestamp| Duration::try_from(until.duration_since(report.checked_at)).ok();
    let hold = report.images.iter().filter_map(|image| left(image.until?)).min();
    let base = match failures {
        0 => hold.map_or(interval, |hold| interval.min(hold.max(SHORTEST_HOLD))),
        failures => {
            let backoff = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.min(16) - 1));
            interval.min(backoff.max(asked_to_wait(report, left)))
        }
    };
    let spread = base.mul_f64(rand::rng().random_range(0.0..0.1));
    // A window that opens may be short.
    base + if hold.is_some() { spread.min(LONGEST_DELAY) } else { spread }
}

/// How long the registries of all failing images ask to wait; nothing where one of them may be asked before.
fn asked_to_wait(report: &Report, left: impl Fn(Timestamp) -> Option<Duration>) -> Duration {
    let failing = report.images.iter().filter(|image| image.reason.severity() == Severity::Failing);
    failing.map(|image| image.until.and_then(&left).unwrap_or_default()).min().unwrap_or_default()
}

/// A number that changes with what a person says of a policy, and not with its status.
pub(super) fn fingerprint(object: &PolicyObject) -> u64 {
    let metadata = object.meta();
    let mut hasher = DefaultHasher::new();
    (&metadata.uid, metadata.generation, &metadata.labels).hash(&mut hasher);
    let annotations = metadata.annotations.iter().flatten().filter(|(key, _)| *key != RECONCILE_AT);
    annotations.for_each(|annotation| annotation.hash(&mut hasher));
    hasher.finish()
}

/// One line for each version written and each new hold, one when a policy stops or starts being ready; a quiet look says nothing.
#[expect(clippy::cognitive_complexity, reason = "the macros of `tracing` count as branches")]
fn log(report: &Report, previous: Option<&ImageUpdatePolicyStatus>) {
    for image in report.images.iter().filter(|image| image.state() == State::Updated) {
        let (from, to) = (image.previous.as_deref().unwrap_or_default(), image.current.as_deref().unwrap_or_default());
        tracing::info!(policy = %report.policy, application = %image.application, image = image.image, from, to, "moved {} of {} to {to}", image.image, image.application);
    }
    let severity = pipeline::ready(report).severity;
    let events = pipeline::events(report, previous);
    for Event { object, warning, reason, note } in events.iter().filter(|event| event.reason != Reason::Updated) {
        match object {
            EventObject::Application(_) => {}
            EventObject::Policy if !warning => {
                tracing::info!(policy = %report.policy, %reason, "policy {}: {note}", report.policy);
            }
            EventObject::Policy if severity == Severity::Stalled => {
                tracing::error!(policy = %report.policy, %reason, "policy {}: {note}", report.policy);
            }
            EventObject::Policy => tracing::warn!(policy = %report.policy, %reason, "policy {}: {note}", report.policy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ApplicationId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn image(reason: Reason, until: Option<i64>) -> ImageReport {
        ImageReport {
            reason,
            until: until.map(at),
            ..ImageReport::new(ApplicationId::new("team", "web"), "app", "registry.example/app")
        }
    }

    /// The pause after a look at second 0 that told of these images, in seconds, without what is added at random.
    fn paused(images: Vec<ImageReport>, failures: u32) -> u32 {
        let report = Report {
            policy: PolicyId::new("team", "policy"),
            generation: 1,
            checked_at: at(0),
            next_check: at(300),
            problems: Vec::new(),
            applications: 1,
            images,
            memory: Memory::default(),
        };
        let pause = pause(Duration::from_secs(300), &report, failures).as_secs_f64();
        [1_u32, 5, 10, 90, 120, 300].into_iter().rfind(|base| f64::from(*base) <= pause).expect("a pause")
    }

    #[test]
    fn a_registry_that_asks_to_wait_is_not_asked_before() {
        let limited = |until| image(Reason::RateLimited, Some(until));
        assert_eq!(paused(vec![limited(90)], 1), 90);
        assert_eq!(paused(vec![limited(9000)], 1), 300, "a look that asks nobody tells that it still waits");
        assert_eq!(paused(vec![limited(90), image(Reason::RegistryFailed, None)], 1), 5, "another one may heal before");
        assert_eq!(paused(vec![limited(90), limited(120), image(Reason::UpToDate, None)], 2), 90);
        assert_eq!(paused(vec![image(Reason::RegistryFailed, None)], 2), 10);
        assert_eq!(paused(vec![image(Reason::OutsideWindow, Some(90))], 0), 90);
        assert_eq!(paused(vec![image(Reason::UpToDate, None)], 0), 300);
    }

    #[test]
    fn a_request_names_its_moment_unless_that_is_long_ago_or_to_come() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().expect("a time");
        for (requested, named) in [
            (Some("2026-06-01T11:59:58.25Z"), true),
            (Some("2026-06-01T12:00:00Z"), true),
            (Some("2026-06-01T11:58:00Z"), false),
            (Some("2026-06-01T12:00:03Z"), false),
            (Some("Mon Jun  1 12:00:00 UTC 2026"), false),
            (Some(""), false),
            (None, false),
        ] {
            let requested = requested.map(str::to_owned);
            let moment = named_moment(requested.as_ref(), now).map(|moment| moment.to_string());
            assert_eq!(moment, requested.filter(|_| named));
        }
    }
}
