//! Requests to registries as metrics.

use std::time::Duration;

use crate::adapters::oci::{RequestKind, RequestObserver, RequestOutcome};
use crate::telemetry::Metrics;

impl RequestObserver for Metrics {
    fn observed(&self, registry: &str, kind: RequestKind, outcome: RequestOutcome, seconds: f64) {
        let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.registry_request(registry, kind.as_str(), outcome.as_str(), took);
    }

    fn avoided(&self, registry: &str) {
        self.registry_avoided(registry);
    }
}
