//! Metric families on the process itself.

use std::time::Duration;

use prometheus::{Gauge, IntCounter, IntGauge, Registry};

use super::metrics::register;

/// How the process is.
pub(super) struct Vitals {
    pub(super) leader: IntGauge,
    pub(super) oldest_look: Gauge,
    pub(super) looks_given_up: IntCounter,
}

impl Vitals {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let leader = "1 when this replica acts, 0 when it stands by.";
        let oldest = "For how long the oldest look in hand has been going on; 0 when there is none.";
        let given_up = "Looks at policies that were given up after their deadline.";
        let vitals = Self {
            leader: IntGauge::new("fairlead_leader", leader)?,
            oldest_look: Gauge::new("fairlead_oldest_look_seconds", oldest)?,
            looks_given_up: IntCounter::new("fairlead_looks_given_up_total", given_up)?,
        };
        register(registry, &vitals.leader)?;
        register(registry, &vitals.oldest_look)?;
        register(registry, &vitals.looks_given_up)?;
        Ok(vitals)
    }

    pub(super) fn set(&self, leads: bool, oldest_look: Duration) {
        self.leader.set(i64::from(leads));
        self.oldest_look.set(oldest_look.as_secs_f64());
    }
}
