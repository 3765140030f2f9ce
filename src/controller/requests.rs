//! Requests to registries and Git servers, and from registries, as metrics.

use std::time::Duration;

use crate::adapters::git::{GitObserver, GitOperation};
use crate::adapters::oci::{RequestKind, RequestObserver, RequestOutcome};
use crate::adapters::webhooks::{WebhookObserver, WebhookOutcome};
use crate::telemetry::Metrics;

impl RequestObserver for Metrics {
    fn observed(&self, registry: &str, kind: RequestKind, outcome: RequestOutcome, seconds: f64) {
        let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.registry_request(registry, kind.as_str(), outcome.as_str(), took);
    }

    fn avoided(&self, registry: &str) {
        self.registry_avoided(registry);
    }

    fn quota(&self, registry: &str, kind: RequestKind, remaining: u64) {
        self.registry_quota(registry, kind.as_str(), remaining);
    }
}

impl WebhookObserver for Metrics {
    fn answered(&self, source: &'static str, outcome: WebhookOutcome) {
        self.webhook_request(source, outcome.as_str());
    }
}

impl GitObserver for Metrics {
    fn operated(&self, operation: GitOperation, well: bool, seconds: f64) {
        let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.git_operation(operation.as_str(), if well { "succeeded" } else { "failed" }, took);
    }

    fn queued(&self, plans: usize) {
        self.git_queue(plans);
    }
}
