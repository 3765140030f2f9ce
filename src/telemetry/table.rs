//! The one table of metric families. Names, labels and help texts stand here alone; docs/reference/metrics.md is printed from it.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

/// A metric family: what one row of the table says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, without `le`.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A number that only grows, from the start of the process on.
    Counter,
    /// Observations, counted by upper bounds.
    Histogram(&'static [f64]),
}

macro_rules! families {
    ($(#[doc = $doc:literal])+ $list:ident: $($row:ident: $kind:expr, $name:literal, [$($label:literal),*], $help:literal;)+) => {
        $(pub(super) const $row: Family = Family { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+
        $(#[doc = $doc])+
        pub const $list: &[Family] = &[$($row),+];
    };
}

use Kind::{Counter, Gauge};

/// From a hit in a cache to a policy with hundreds of images.
const LOOK: Kind = Kind::Histogram(&[0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]);
const REQUEST: Kind = Kind::Histogram(&[0.01, 0.05, 0.2, 1.0, 5.0, 20.0, 60.0]);
const GIT: Kind = Kind::Histogram(&[0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 300.0]);
const LAG: Kind = Kind::Histogram(&[5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 86400.0]);

families! {
    /// Every family that `/metrics` may show, those of older names left out.
    FAMILIES:
    BUILD_INFO: Gauge, "fairlead_build_info", ["version"], "Version of this process; always 1.";

    LEADER: Gauge, "fairlead_leader", [], "1 when this replica acts, 0 when it stands by.";

    POLICY_READY: Gauge, "fairlead_policy_ready", ["namespace", "policy", "reason"],
        "1 when the policy is ready, 0 when it is not, by the reason of its condition.";
    POLICY_APPLICATIONS: Gauge, "fairlead_policy_applications", ["namespace", "policy"],
        "Applications that the policy matches.";
    POLICY_IMAGES: Gauge, "fairlead_policy_images", ["namespace", "policy", "state"],
        "Images of Applications that the policy keeps up to date, by state: up_to_date, updated, pending, failed.";
    POLICY_VERSIONS_BEHIND: Gauge, "fairlead_policy_versions_behind", ["namespace", "policy"],
        "Allowed versions above the one in place, for the image that is furthest behind; 0 when all hold what the rule picks.";
    POLICY_SECONDS_BEHIND: Gauge, "fairlead_policy_seconds_behind", ["namespace", "policy"],
        "How long an image has not held what its rule picks, for the one that waits longest: since the push or build of the version, where the registry was asked for that, else since this process noticed it.";
    POLICY_LAST_LOOK: Gauge, "fairlead_policy_last_look_timestamp_seconds", ["namespace", "policy"],
        "When the policy was looked at last.";
    POLICY_NEXT_LOOK: Gauge, "fairlead_policy_next_look_timestamp_seconds", ["namespace", "policy"],
        "When the next look at the policy is due, up to a tenth of its interval later.";
    UPDATES: Counter, "fairlead_updates_total", ["namespace", "policy"], "Versions written.";
    FAILURES: Counter, "fairlead_failures_total", ["namespace", "policy", "reason"],
        "Images that failed at a look, by reason.";

    RECONCILES: Counter, "fairlead_reconciles_total", [], "Looks at policies.";
    RECONCILE_DURATION: LOOK, "fairlead_reconcile_duration_seconds", [], "Time that a look at a policy takes.";
    LOOKS_IN_HAND: Gauge, "fairlead_looks_in_hand", [], "Looks at policies that are going on.";
    OLDEST_LOOK: Gauge, "fairlead_oldest_look_seconds", [],
        "For how long the oldest look in hand has been going on; 0 when there is none.";
    LOOKS_GIVEN_UP: Counter, "fairlead_looks_given_up_total", [],
        "Looks at policies that were given up after their deadline.";

    PUSH_TO_WRITTEN: LAG, "fairlead_push_to_written_seconds", ["namespace"],
        "From the push of an image, or its build where the registry does not tell, to the write of its version.";
    WRITTEN_TO_HEALTHY: LAG, "fairlead_written_to_healthy_seconds", ["namespace"],
        "From the write of a version to the Application being Synced and Healthy.";

    REGISTRY_REQUESTS: Counter, "fairlead_registry_requests_total", ["registry", "kind", "status"],
        "Requests to registries. Kinds: ping, token, tags, head, manifest, config. Status: answered, not_modified, denied (401, 403), not_found, rate_limited (429), refused (other 4xx), server_failed (5xx), no_answer.";
    REGISTRY_DURATION: REQUEST, "fairlead_registry_request_duration_seconds", ["registry", "kind"],
        "Time that requests to registries take.";
    REGISTRY_AVOIDED: Counter, "fairlead_registry_requests_avoided_total", ["registry"],
        "Questions to registries that were answered without a request.";
    REGISTRY_QUOTA: Gauge, "fairlead_registry_rate_limit_remaining", ["registry", "kind"],
        "Requests that a registry still grants, as it told last, by kind.";
    REGISTRIES_READABLE: Gauge, "fairlead_registries_configuration_readable", [],
        "1 when the registries configuration in force is the newest one, 0 when that is broken.";

    GIT_OPERATIONS: Counter, "fairlead_git_operations_total", ["operation", "result"],
        "Conversations with Git servers: look_up, fetch, push, commit (by the API of a forge); succeeded or failed.";
    GIT_DURATION: GIT, "fairlead_git_operation_duration_seconds", ["operation"],
        "Time that conversations with Git servers take.";
    GIT_QUEUE: Gauge, "fairlead_git_queue", [], "Changes that wait to be written to Git, or are being written.";

    WEBHOOK_REQUESTS: Counter, "fairlead_webhook_requests_total", ["source", "outcome"],
        "Requests of webhooks, by source and what became of them.";
    WEBHOOK_QUEUE: Gauge, "fairlead_webhook_queue", [],
        "Policies that wait to be asked for a look after a push.";

    UNREAD_ANNOTATIONS: Gauge, "fairlead_unread_annotations", ["namespace"],
        "Applications with annotations of argocd-image-updater that nothing reads.";
    IMAGE_UPDATERS_READABLE: Gauge, "fairlead_image_updaters_readable", [],
        "1 when ImageUpdater resources can be read; 0 also where they are not asked for.";
    SHADOW: Counter, "fairlead_shadow_comparisons_total", ["result"],
        "Versions that others wrote where a policy is a dry run: as it chose (agree), or not (differ).";

    PROCESS_CPU: Counter, "process_cpu_seconds_total", [], "Total user and system CPU time spent in seconds.";
    PROCESS_OPEN_FDS: Gauge, "process_open_fds", [], "Number of open file descriptors.";
    PROCESS_MAX_FDS: Gauge, "process_max_fds", [], "Maximum number of open file descriptors.";
    PROCESS_VIRTUAL: Gauge, "process_virtual_memory_bytes", [], "Virtual memory size in bytes.";
    PROCESS_RESIDENT: Gauge, "process_resident_memory_bytes", [], "Resident memory size in bytes.";
    PROCESS_START: Gauge, "process_start_time_seconds", [], "Start time of the process since unix epoch in seconds.";
    PROCESS_THREADS: Gauge, "process_threads", [], "Number of OS threads in the process.";
}

families! {
    /// The names of argocd-image-updater 1.x.
    OLDER_V1_FAMILIES:
    V1_APPLICATIONS: Gauge, "argocd_image_updater_applications_watched_total", ["image_updater_cr_name", "image_updater_cr_namespace"],
        "Applications that the policy matches.";
    V1_IMAGES: Gauge, "argocd_image_updater_images_watched_total", ["image_updater_cr_name", "image_updater_cr_namespace"],
        "Images of Applications that the policy keeps up to date.";
    V1_UPDATED: Counter, "argocd_image_updater_images_updated_total", ["image_updater_cr_name", "image_updater_cr_namespace"],
        "Versions written.";
    V1_ERRORS: Counter, "argocd_image_updater_images_errors_total", ["image_updater_cr_name", "image_updater_cr_namespace"],
        "Images that failed at a look.";
    V1_REQUESTS: Counter, "argocd_image_updater_registry_requests_total", ["registry"], "Requests to registries.";
    V1_FAILED: Counter, "argocd_image_updater_registry_requests_failed_total", ["registry"],
        "Requests to registries that brought no answer that was asked for.";
}

families! {
    /// The names of argocd-image-updater 0.x.
    OLDER_V0_FAMILIES:
    V0_APPLICATIONS: Gauge, "argocd_image_updater_applications_watched_total", [],
        "Applications with images that are kept up to date.";
    V0_IMAGES: Gauge, "argocd_image_updater_images_watched_total", ["application"],
        "Images of the Application that are kept up to date.";
    V0_UPDATED: Counter, "argocd_image_updater_images_updated_total", ["application"], "Versions written.";
    V0_ERRORS: Counter, "argocd_image_updater_images_errors_total", ["application"], "Images that failed at a look.";
    V0_REQUESTS: Counter, "argocd_image_updater_registry_requests_total", ["registry"], "Requests to registries.";
    V0_FAILED: Counter, "argocd_image_updater_registry_requests_failed_total", ["registry"],
        "Requests to registries that brought no answer that was asked for.";
}

impl Kind {
    /// The word for it, as the text format of Prometheus has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Family {
    /// The gauges of this family.
    pub(super) fn gauges(&self, registry: &Registry) -> Result<IntGaugeVec, prometheus::Error> {
        self.must_be("gauge")?;
        registered(registry, IntGaugeVec::new(Opts::new(self.name, self.help), self.labels)?)
    }

    /// The gauge of a family without labels.
    pub(super) fn gauge(&self, registry: &Registry) -> Result<IntGauge, prometheus::Error> {
        self.gauges(registry)?.get_metric_with_label_values::<&str>(&[])
    }

    /// The counters of this family.
    pub(super) fn counters(&self, registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
        self.must_be("counter")?;
        registered(registry, IntCounterVec::new(Opts::new(self.name, self.help), self.labels)?)
    }

    /// The counter of a family without labels.
    pub(super) fn counter(&self, registry: &Registry) -> Result<IntCounter, prometheus::Error> {
        self.counters(registry)?.get_metric_with_label_values::<&str>(&[])
    }

    /// The histograms of this family.
    pub(super) fn histograms(&self, registry: &Registry) -> Result<HistogramVec, prometheus::Error> {
        let Kind::Histogram(buckets) = self.kind else { return Err(self.is_not("histogram")) };
        let options = HistogramOpts::new(self.name, self.help).buckets(buckets.to_vec());
        registered(registry, HistogramVec::new(options, self.labels)?)
    }

    /// The histogram of a family without labels.
    pub(super) fn histogram(&self, registry: &Registry) -> Result<Histogram, prometheus::Error> {
        self.histograms(registry)?.get_metric_with_label_values::<&str>(&[])
    }

    fn must_be(&self, kind: &str) -> Result<(), prometheus::Error> {
        if self.kind.as_str() == kind { Ok(()) } else { Err(self.is_not(kind)) }
    }

    fn is_not(&self, kind: &str) -> prometheus::Error {
        prometheus::Error::Msg(format!("`{}` is no {kind} but a {}", self.name, self.kind.as_str()))
    }
}

fn registered<F: Collector + Clone + 'static>(registry: &Registry, family: F) -> Result<F, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
