//! Metric families on the process itself.

use std::time::Duration;

use prometheus::{IntCounter, IntGauge, Registry};

use super::table;

/// How the process is.
pub(super) struct Vitals {
    leader: IntGauge,
    looks_in_hand: IntGauge,
    oldest_look: IntGauge,
    pub(super) looks_given_up: IntCounter,
}

impl Vitals {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            leader: table::LEADER.gauge(registry)?,
            looks_in_hand: table::LOOKS_IN_HAND.gauge(registry)?,
            oldest_look: table::OLDEST_LOOK.gauge(registry)?,
            looks_given_up: table::LOOKS_GIVEN_UP.counter(registry)?,
        })
    }

    pub(super) fn set(&self, leads: bool, looks: usize, oldest_look: Duration) {
        self.leader.set(i64::from(leads));
        self.looks_in_hand.set(i64::try_from(looks).unwrap_or(i64::MAX));
        self.oldest_look.set(i64::try_from(oldest_look.as_secs()).unwrap_or(i64::MAX));
    }
}
