//! Metric families. Label values come from closed lists and names of objects, never from tags or messages.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use super::vitals::Vitals;
use crate::model::{Comparison, PolicyId, Reason, Report, Severity, State};
use crate::pipeline::ready;

const STATES: [(State, &str); 4] = [
    (State::UpToDate, "up_to_date"),
    (State::Updated, "updated"),
    (State::Pending, "pending"),
    (State::Failed, "failed"),
];

/// All metric families.
pub struct Metrics {
    registry: Registry,
    policies: Mutex<BTreeMap<PolicyId, &'static str>>,
    policy_ready: IntGaugeVec,
    policy_applications: IntGaugeVec,
    policy_images: IntGaugeVec,
    updates: IntCounterVec,
    failures: IntCounterVec,
    reconciles: IntCounter,
    reconcile_duration: Histogram,
    registry_requests: IntCounterVec,
    registry_duration: HistogramVec,
    registry_avoided: IntCounterVec,
    registry_quota: IntGaugeVec,
    webhook_requests: IntCounterVec,
    lags: Lags,
    git: GitFamilies,
    registries_readable: IntGauge,
    vitals: Vitals,
    generated: Generated,
    shadow: IntCounterVec,
}

impl Metrics {
    /// Fresh families, all at zero.
    ///
    /// # Errors
    /// When two families have one name: a mistake in this file, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = gauge(&registry, "fairlead_build_info", "Version of this process; always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let policy = &["namespace", "policy"];
        let reason = &["namespace", "policy", "reason"];
        let metrics = Self {
            policies: Mutex::default(),
            policy_ready: gauge(&registry, "fairlead_policy_ready", "1 when the policy is ready, by reason.", reason)?,
            policy_applications: gauge(
                &registry,
                "fairlead_policy_applications",
                "Applications that the policy matches.",
                policy,
            )?,
            policy_images: gauge(
                &registry,
                "fairlead_policy_images",
                "Images that the policy keeps up to date, by state.",
                &["namespace", "policy", "state"],
            )?,
            updates: counter(&registry, "fairlead_updates_total", "Versions written.", policy)?,
            failures: failures(&registry)?,
            reconciles: IntCounter::new("fairlead_reconciles_total", "Looks at policies.")?,
            reconcile_duration: Histogram::with_opts(
                HistogramOpts::new("fairlead_reconcile_duration_seconds", "Time that a look at a policy takes.")
                    .buckets(vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
            )?,
            registry_requests: counter(
                &registry,
                "fairlead_registry_requests_total",
                "Requests to registries, by kind and status class.",
                &["registry", "kind", "status"],
            )?,
            registry_duration: request_duration()?,
            registry_avoided: counter(
                &registry,
                "fairlead_registry_requests_avoided_total",
                "Questions to registries that were answered without a request.",
                &["registry"],
            )?,
            registry_quota: registry_quota(&registry)?,
            webhook_requests: webhook_requests(&registry)?,
            lags: Lags::new(&registry)?,
            git: GitFamilies::new(&registry)?,
            registries_readable: registries_readable(&registry)?,
            vitals: Vitals::new(&registry)?,
            generated: Generated::new(&registry)?,
            shadow: shadow(&registry)?,
            registry,
        };
        register(&metrics.registry, &metrics.reconciles)?;
        register(&metrics.registry, &metrics.reconcile_duration)?;
        register(&metrics.registry, &metrics.registry_duration)?;
        Ok(metrics)
    }

    /// Takes over what a report says.
    pub fn observe(&self, report: &Report, took: Duration) {
        self.reconciles.inc();
        self.reconcile_duration.observe(took.as_secs_f64());
        let PolicyId { namespace, name } = &report.policy;
        let ready = ready(report);
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = ready.reason.as_str();
        if let Some(before) = policies.insert(report.policy.clone(), reason).filter(|before| *before != reason) {
            // A reason that does not apply any more leaves no series behind.
            let _ = self.policy_ready.remove_label_values(&[namespace, name, before]);
        }
        self.policy_ready
            .with_label_values(&[namespace, name, reason])
            .set(i64::from(ready.severity < Severity::Failing));
        self.policy_applications.with_label_values(&[namespace, name]).set(number(report.applications));
        for (state, word) in STATES {
            let images = report.images.iter().filter(|image| image.state() == state).count();
            self.policy_images.with_label_values(&[namespace, name, word]).set(number(images));
        }
        let updated = report.images.iter().filter(|image| image.state() == State::Updated).count();
        self.updates.with_label_values(&[namespace, name]).inc_by(u64::try_from(updated).unwrap_or_default());
        for image in report.images.iter().filter(|image| image.state() == State::Failed) {
            self.failures.with_label_values(&[namespace, name, image.reason.as_str()]).inc();
        }
        drop(policies);
        for compared in report.images.iter().filter_map(|image| image.compared) {
            let result = match compared {
                Comparison::Agrees => "agree",
                Comparison::Differs => "differ",
            };
            self.shadow.with_label_values(&[result]).inc();
        }
        self.observe_lags(report);
    }

    /// The lags that came to their end at this look.
    fn observe_lags(&self, report: &Report) {
        let namespace = &[report.policy.namespace.as_str()];
        for image in &report.images {
            let Some(rollout) = &image.rollout else { continue };
            let pushed_at = rollout.pushed_at.filter(|_| image.state() == State::Updated);
            if let Some(pushed_at) = pushed_at {
                let lag = rollout.written_at.duration_since(pushed_at).as_secs_f64();
                self.lags.push_to_written.with_label_values(namespace).observe(lag.max(0.0));
            }
            if let Some(lag) = rollout.lag() {
                self.lags.written_to_healthy.with_label_values(namespace).observe(lag.as_secs_f64().max(0.0));
            }
        }
    }

    /// Drops the series of policies that are gone.
    pub fn keep(&self, present: &HashSet<&PolicyId>) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        policies.retain(|policy, reason| {
            let keep = present.contains(policy);
            if !keep {
                self.forget(policy, reason);
            }
            keep
        });
    }

    /// A series that is not there needs no removal, so what cannot be removed is no failure.
    fn forget(&self, PolicyId { namespace, name }: &PolicyId, reason: &str) {
        let _ = self.policy_ready.remove_label_values(&[namespace.as_str(), name, reason]);
        let _ = self.policy_applications.remove_label_values(&[namespace, name]);
        let _ = self.updates.remove_label_values(&[namespace, name]);
        for (_, word) in STATES {
            let _ = self.policy_images.remove_label_values(&[namespace.as_str(), name, word]);
        }
        for reason in Reason::ALL {
            let _ = self.failures.remove_label_values(&[namespace.as_str(), name, reason.as_str()]);
        }
    }

    /// Counts a request to a registry.
    pub fn registry_request(&self, registry: &str, kind: &str, status: &str, took: Duration) {
        self.registry_requests.with_label_values(&[registry, kind, status]).inc();
        self.registry_duration.with_label_values(&[registry, kind]).observe(took.as_secs_f64());
    }

    /// Counts a question that needed no request.
    pub fn registry_avoided(&self, registry: &str) {
        self.registry_avoided.with_label_values(&[registry]).inc();
    }

    /// Takes over how many requests of a kind a registry still grants.
    pub fn registry_quota(&self, registry: &str, kind: &str, remaining: u64) {
        let remaining = i64::try_from(remaining).unwrap_or(i64::MAX);
        self.registry_quota.with_label_values(&[registry, kind]).set(remaining);
    }

    /// Counts a request of a webhook.
    pub fn webhook_request(&self, source: &str, outcome: &str) {
        self.webhook_requests.with_label_values(&[source, outcome]).inc();
    }

    /// Takes over whether the newest registries configuration is the one in force.
    pub fn registries_configuration(&self, readable: bool) {
        self.registries_readable.set(i64::from(readable));
    }

    /// Counts a conversation with a Git server.
    pub fn git_operation(&self, operation: &str, result: &str) {
        self.git.operations.with_label_values(&[operation, result]).inc();
    }

    /// Takes over how many changes wait to be written to Git.
    pub fn git_queue(&self, changes: usize) {
        self.git.queue.set(i64::try_from(changes).unwrap_or(i64::MAX));
    }

    /// Takes over whether this replica acts, and for how long its oldest look has been going on.
    pub fn vitals(&self, leads: bool, oldest_look: Duration) {
        self.vitals.set(leads, oldest_look);
    }

    /// Counts a look that was given up.
    pub fn look_given_up(&self) {
        self.vitals.looks_given_up.inc();
    }

    /// Takes over how many Applications of a namespace have annotations that nothing reads.
    pub fn unread_annotations(&self, namespace: &str, applications: usize) {
        self.generated.unread.with_label_values(&[namespace]).set(number(applications));
    }

    /// Takes over whether `ImageUpdater` resources can be read.
    pub fn image_updaters(&self, readable: bool) {
        self.generated.image_updaters.set(i64::from(readable));
    }

    /// All families in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut buffer = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut buffer) {
            Ok(()) => String::from_utf8_lossy(&buffer).into_owned(),
            Err(error) => format!("# cannot encode the metrics: {error}\n"),
        }
    }
}

fn webhook_requests(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Requests of webhooks, by source and what became of them.";
    counter(registry, "fairlead_webhook_requests_total", help, &["source", "outcome"])
}

fn failures(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Images that failed at a look, by reason.";
    counter(registry, "fairlead_failures_total", help, &["namespace", "policy", "reason"])
}

fn shadow(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let help = "Versions that others wrote where a policy is a dry run: as it chose (agree), or not (differ).";
    counter(registry, "fairlead_shadow_comparisons_total", help, &["result"])
}

fn registry_quota(registry: &Registry) -> Result<IntGaugeVec, prometheus::Error> {
    let name = "fairlead_registry_rate_limit_remaining";
    let help = "Requests that a registry still grants, as it told last, by kind.";
    gauge(registry, name, help, &["registry", "kind"])
}

/// What policies are made of.
struct Generated {
    unread: IntGaugeVec,
    image_updaters: IntGauge,
}

impl Generated {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let unread = gauge(
            registry,
            "fairlead_unread_annotations",
            "Applications with annotations of argocd-image-updater that nothing reads.",
            &["namespace"],
        )?;
        let help = "1 when ImageUpdater resources can be read; 0 also where they are not asked for.";
        let image_updaters = IntGauge::new("fairlead_image_updaters_readable", help)?;
        register(registry, &image_updaters)?;
        Ok(Self { unread, image_updaters })
    }
}

/// How long versions take from one station to the next.
struct Lags {
    push_to_written: HistogramVec,
    written_to_healthy: HistogramVec,
}

/// What is done with Git.
struct GitFamilies {
    operations: IntCounterVec,
    queue: IntGauge,
}

impl GitFamilies {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Conversations with Git servers, by what was asked and how it ended.";
        let operations = counter(registry, "fairlead_git_operations_total", help, &["operation", "result"])?;
        let queue =
            IntGauge::new("fairlead_git_queue", "Changes that wait to be written to Git, or are being written.")?;
        register(registry, &queue)?;
        Ok(Self { operations, queue })
    }
}

impl Lags {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let pushed =
            "From the push of an image, or its build where the registry does not tell, to the write of its version.";
        let written = "From the write of a version to the Application being Synced and Healthy.";
        Ok(Self {
            push_to_written: lag(registry, "fairlead_push_to_written_seconds", pushed)?,
            written_to_healthy: lag(registry, "fairlead_written_to_healthy_seconds", written)?,
        })
    }
}

fn lag(registry: &Registry, name: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
    let buckets = vec![5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 86400.0];
    let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["namespace"])?;
    register(registry, &family)?;
    Ok(family)
}

fn registries_readable(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let name = "fairlead_registries_configuration_readable";
    let help = "1 when the registries configuration in force is the newest one, 0 when that is broken.";
    let gauge = IntGauge::new(name, help)?;
    gauge.set(1);
    register(registry, &gauge)?;
    Ok(gauge)
}

fn request_duration() -> Result<HistogramVec, prometheus::Error> {
    let name = "fairlead_registry_request_duration_seconds";
    let options = HistogramOpts::new(name, "Time that requests to registries take.");
    HistogramVec::new(options.buckets(vec![0.01, 0.05, 0.2, 1.0, 5.0, 20.0, 60.0]), &["registry", "kind"])
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn register(
    registry: &Registry,
    family: &(impl Collector + Clone + 'static),
) -> Result<(), prometheus::Error> {
    registry.register(Box::new(family.clone()))
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
    register(registry, &family)?;
    Ok(family)
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    register(registry, &family)?;
    Ok(family)
}
