//! Metric families on policies: all that reports tell.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::table;
use crate::model::{ApplicationId, Behind, ImageReport, PolicyId, Reason, Report, Severity, State};
use crate::pipeline::ready;

const STATES: [(State, &str); 4] = [
    (State::UpToDate, "up_to_date"),
    (State::Updated, "updated"),
    (State::Pending, "pending"),
    (State::Failed, "failed"),
];

/// The families on policies.
pub(super) struct PolicyFamilies {
    shown: Mutex<BTreeMap<PolicyId, Shown>>,
    ready: IntGaugeVec,
    applications: IntGaugeVec,
    images: IntGaugeVec,
    versions_behind: IntGaugeVec,
    seconds_behind: IntGaugeVec,
    last_look: IntGaugeVec,
    next_look: IntGaugeVec,
    updates: IntCounterVec,
    failures: IntCounterVec,
    push_to_written: HistogramVec,
    written_to_healthy: HistogramVec,
}

/// What is shown of a policy.
#[derive(Default)]
struct Shown {
    reason: Option<&'static str>,
    behind: BTreeMap<(ApplicationId, String), Lag>,
}

/// How an image lags behind its rule.
#[derive(Clone, Copy)]
struct Lag {
    versions: usize,
    since: Timestamp,
}

impl PolicyFamilies {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            shown: Mutex::default(),
            ready: table::POLICY_READY.gauges(registry)?,
            applications: table::POLICY_APPLICATIONS.gauges(registry)?,
            images: table::POLICY_IMAGES.gauges(registry)?,
            versions_behind: table::POLICY_VERSIONS_BEHIND.gauges(registry)?,
            seconds_behind: table::POLICY_SECONDS_BEHIND.gauges(registry)?,
            last_look: table::POLICY_LAST_LOOK.gauges(registry)?,
            next_look: table::POLICY_NEXT_LOOK.gauges(registry)?,
            updates: table::UPDATES.counters(registry)?,
            failures: table::FAILURES.counters(registry)?,
            push_to_written: table::PUSH_TO_WRITTEN.histograms(registry)?,
            written_to_healthy: table::WRITTEN_TO_HEALTHY.histograms(registry)?,
        })
    }

    /// Takes over what a report says.
    pub(super) fn observe(&self, report: &Report) {
        let PolicyId { namespace, name } = &report.policy;
        let policy = &[namespace.as_str(), name.as_str()];
        let mut all = self.shown();
        let shown = all.entry(report.policy.clone()).or_default();
        self.observe_ready(report, shown);
        self.applications.with_label_values(policy).set(number(report.applications));
        for (state, word) in STATES {
            let images = report.images.iter().filter(|image| image.state() == state).count();
            self.images.with_label_values(&[namespace, name, word]).set(number(images));
        }
        self.last_look.with_label_values(policy).set(report.checked_at.as_second());
        self.next_look.with_label_values(policy).set(report.next_check.as_second());
        let updated = report.images.iter().filter(|image| image.state() == State::Updated).count();
        self.updates.with_label_values(policy).inc_by(u64::try_from(updated).unwrap_or_default());
        for image in report.images.iter().filter(|image| image.state() == State::Failed) {
            self.failures.with_label_values(&[namespace, name, image.reason.as_str()]).inc();
        }
        shown.behind = lags(report, &shown.behind);
        let versions = shown.behind.values().map(|lag| lag.versions).max().unwrap_or_default();
        let since = shown.behind.values().map(|lag| lag.since).min().unwrap_or(report.checked_at);
        self.versions_behind.with_label_values(policy).set(number(versions));
        let seconds = report.checked_at.duration_since(since).as_secs().max(0);
        self.seconds_behind.with_label_values(policy).set(seconds);
        drop(all);
        self.observe_ends(report);
    }

    /// A reason that does not apply any more leaves no series behind.
    fn observe_ready(&self, report: &Report, shown: &mut Shown) {
        let PolicyId { namespace, name } = &report.policy;
        let ready = ready(report);
        let reason = ready.reason.as_str();
        if let Some(before) = shown.reason.replace(reason).filter(|before| *before != reason) {
            let _ = self.ready.remove_label_values(&[namespace, name, before]);
        }
        self.ready.with_label_values(&[namespace, name, reason]).set(i64::from(ready.severity < Severity::Failing));
    }

    /// What came to its end at this look.
    fn observe_ends(&self, report: &Report) {
        let namespace = &[report.policy.namespace.as_str()];
        for image in &report.images {
            let Some(rollout) = &image.rollout else { continue };
            let pushed_at = rollout.pushed_at.filter(|_| image.state() == State::Updated);
            if let Some(pushed_at) = pushed_at {
                let lag = rollout.written_at.duration_since(pushed_at).as_secs_f64();
                self.push_to_written.with_label_values(namespace).observe(lag.max(0.0));
            }
            if let Some(lag) = rollout.lag() {
                self.written_to_healthy.with_label_values(namespace).observe(lag.as_secs_f64().max(0.0));
            }
        }
    }

    /// Drops the series of policies that are gone.
    pub(super) fn keep(&self, present: &HashSet<&PolicyId>) {
        self.shown().retain(|policy, shown| {
            let keep = present.contains(policy);
            if !keep {
                self.forget(policy, shown.reason.unwrap_or_default());
            }
            keep
        });
    }

    /// A series that is not there needs no removal, so what cannot be removed is no failure.
    fn forget(&self, PolicyId { namespace, name }: &PolicyId, reason: &str) {
        let policy = &[namespace.as_str(), name.as_str()];
        let _ = self.ready.remove_label_values(&[namespace.as_str(), name, reason]);
        for gauges in
            [&self.applications, &self.versions_behind, &self.seconds_behind, &self.last_look, &self.next_look]
        {
            let _ = gauges.remove_label_values(policy);
        }
        let _ = self.updates.remove_label_values(policy);
        for (_, word) in STATES {
            let _ = self.images.remove_label_values(&[namespace.as_str(), name, word]);
        }
        for reason in Reason::ALL {
            let _ = self.failures.remove_label_values(&[namespace.as_str(), name, reason.as_str()]);
        }
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<PolicyId, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the images lag. One that lags already does so since the same time, and one that was not decided on, as before.
fn lags(report: &Report, before: &BTreeMap<(ApplicationId, String), Lag>) -> BTreeMap<(ApplicationId, String), Lag> {
    let lag = |image: &ImageReport| {
        let key = (image.application.clone(), image.image.clone());
        let known = before.get(&key).copied();
        let lag = match image.behind {
            Some(Behind { versions, pushed_at }) => {
                let since = pushed_at.unwrap_or(report.checked_at).min(report.checked_at);
                Lag { versions, since: known.map_or(since, |known| known.since.min(since)) }
            }
            None if image.counts.is_none() && image.state() == State::Failed => known?,
            None => return None,
        };
        Some((key, lag))
    };
    report.images.iter().filter_map(lag).collect()
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
