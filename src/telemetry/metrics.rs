//! What is counted. Label values come from closed lists and names of objects, never from tags or messages.

use std::collections::HashSet;
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::older::{Older, OlderNames};
use super::policies::PolicyFamilies;
use super::table;
use super::vitals::Vitals;
use crate::model::{Comparison, PolicyId, Report};

/// All metric families.
pub struct Metrics {
    registry: Registry,
    policies: PolicyFamilies,
    reconciles: IntCounter,
    reconcile_duration: Histogram,
    vitals: Vitals,
    registry_requests: IntCounterVec,
    registry_duration: HistogramVec,
    registry_avoided: IntCounterVec,
    registry_quota: IntGaugeVec,
    registries_readable: IntGauge,
    webhook_requests: IntCounterVec,
    webhook_queue: IntGauge,
    git: GitFamilies,
    unread_annotations: IntGaugeVec,
    image_updaters_readable: IntGauge,
    shadow: IntCounterVec,
    older: Option<Older>,
}

/// What is done with Git.
struct GitFamilies {
    operations: IntCounterVec,
    duration: HistogramVec,
    queue: IntGauge,
}

impl Metrics {
    /// Fresh families, all at zero.
    ///
    /// # Errors
    /// When two families have one name: a mistake in the table, which a test would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        table::BUILD_INFO.gauges(&registry)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let registries_readable = table::REGISTRIES_READABLE.gauge(&registry)?;
        registries_readable.set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self {
            policies: PolicyFamilies::new(&registry)?,
            reconciles: table::RECONCILES.counter(&registry)?,
            reconcile_duration: table::RECONCILE_DURATION.histogram(&registry)?,
            vitals: Vitals::new(&registry)?,
            registry_requests: table::REGISTRY_REQUESTS.counters(&registry)?,
            registry_duration: table::REGISTRY_DURATION.histograms(&registry)?,
            registry_avoided: table::REGISTRY_AVOIDED.counters(&registry)?,
            registry_quota: table::REGISTRY_QUOTA.gauges(&registry)?,
            registries_readable,
            webhook_requests: table::WEBHOOK_REQUESTS.counters(&registry)?,
            webhook_queue: table::WEBHOOK_QUEUE.gauge(&registry)?,
            git: GitFamilies {
                operations: table::GIT_OPERATIONS.counters(&registry)?,
                duration: table::GIT_DURATION.histograms(&registry)?,
                queue: table::GIT_QUEUE.gauge(&registry)?,
            },
            unread_annotations: table::UNREAD_ANNOTATIONS.gauges(&registry)?,
            image_updaters_readable: table::IMAGE_UPDATERS_READABLE.gauge(&registry)?,
            shadow: table::SHADOW.counters(&registry)?,
            older: None,
            registry,
        })
    }

    /// The same, with what argocd-image-updater counted under its names, too.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_older_names(mut self, names: OlderNames) -> Result<Self, prometheus::Error> {
        self.older = Some(Older::new(&self.registry, names)?);
        Ok(self)
    }

    /// Takes over whether this replica acts, how many looks it has in hand, and for how long the oldest has been going on. One that
    /// stands by tells nothing of policies: what it knew is old.
    pub fn vitals(&self, leads: bool, looks: usize, oldest_look: Duration) {
        self.vitals.set(leads, looks, oldest_look);
        if !leads {
            self.keep(&HashSet::new());
        }
    }

    /// Counts a look that was given up.
    pub fn look_given_up(&self) {
        self.vitals.looks_given_up.inc();
    }

    /// Takes over what a report says.
    pub fn observe(&self, report: &Report, took: Duration) {
        self.reconciles.inc();
        self.reconcile_duration.observe(took.as_secs_f64());
        self.policies.observe(report);
        for compared in report.images.iter().filter_map(|image| image.compared) {
            let result = match compared {
                Comparison::Agrees => "agree",
                Comparison::Differs => "differ",
            };
            self.shadow.with_label_values(&[result]).inc();
        }
        if let Some(older) = &self.older {
            older.observe(report);
        }
    }

    /// Drops the series of policies that are gone.
    pub fn keep(&self, present: &HashSet<&PolicyId>) {
        self.policies.keep(present);
        if let Some(older) = &self.older {
            older.keep(present);
        }
    }

    /// Counts a request to a registry.
    pub fn registry_request(&self, registry: &str, kind: &str, status: &str, took: Duration) {
        self.registry_requests.with_label_values(&[registry, kind, status]).inc();
        self.registry_duration.with_label_values(&[registry, kind]).observe(took.as_secs_f64());
        if let Some(older) = &self.older {
            older.registry_request(registry, kind, status);
        }
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

    /// Takes over whether the newest registries configuration is the one in force.
    pub fn registries_configuration(&self, readable: bool) {
        self.registries_readable.set(i64::from(readable));
    }

    /// Counts a request of a webhook.
    pub fn webhook_request(&self, source: &str, outcome: &str) {
        self.webhook_requests.with_label_values(&[source, outcome]).inc();
    }

    /// Takes over how many policies wait to be asked for a look after a push.
    pub fn webhook_queue(&self, policies: usize) {
        self.webhook_queue.set(i64::try_from(policies).unwrap_or(i64::MAX));
    }

    /// Counts a conversation with a Git server.
    pub fn git_operation(&self, operation: &str, result: &str, took: Duration) {
        self.git.operations.with_label_values(&[operation, result]).inc();
        self.git.duration.with_label_values(&[operation]).observe(took.as_secs_f64());
    }

    /// Takes over how many changes wait to be written to Git.
    pub fn git_queue(&self, changes: usize) {
        self.git.queue.set(i64::try_from(changes).unwrap_or(i64::MAX));
    }

    /// Takes over how many Applications of a namespace have annotations that nothing reads.
    pub fn unread_annotations(&self, namespace: &str, applications: usize) {
        let applications = i64::try_from(applications).unwrap_or(i64::MAX);
        self.unread_annotations.with_label_values(&[namespace]).set(applications);
    }

    /// Takes over whether `ImageUpdater` resources can be read.
    pub fn image_updaters(&self, readable: bool) {
        self.image_updaters_readable.set(i64::from(readable));
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
