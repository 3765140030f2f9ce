//! What argocd-image-updater counted, under its names, for dashboards and alerts that are there already.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::table;
use crate::model::{PolicyId, Report, State};

/// Which names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OlderNames {
    /// Those of 0.x, by Application.
    V0,
    /// Those of 1.x, by policy.
    V1,
}

/// The families.
pub(super) struct Older {
    names: OlderNames,
    applications: IntGaugeVec,
    images: IntGaugeVec,
    updated: IntCounterVec,
    errors: IntCounterVec,
    requests: IntCounterVec,
    failed: IntCounterVec,
    known: Mutex<BTreeMap<PolicyId, Known>>,
}

/// How many images a policy was last seen to have, by Application.
type Known = BTreeMap<String, usize>;

/// How many images of an Application were what.
#[derive(Default)]
struct Tally {
    images: usize,
    updated: u64,
    failed: u64,
}

impl Older {
    pub(super) fn new(registry: &Registry, names: OlderNames) -> Result<Self, prometheus::Error> {
        let [applications, images, updated, errors, requests, failed] = match names {
            OlderNames::V0 => [
                table::V0_APPLICATIONS,
                table::V0_IMAGES,
                table::V0_UPDATED,
                table::V0_ERRORS,
                table::V0_REQUESTS,
                table::V0_FAILED,
            ],
            OlderNames::V1 => [
                table::V1_APPLICATIONS,
                table::V1_IMAGES,
                table::V1_UPDATED,
                table::V1_ERRORS,
                table::V1_REQUESTS,
                table::V1_FAILED,
            ],
        };
        Ok(Self {
            names,
            applications: applications.gauges(registry)?,
            images: images.gauges(registry)?,
            updated: updated.counters(registry)?,
            errors: errors.counters(registry)?,
            requests: requests.counters(registry)?,
            failed: failed.counters(registry)?,
            known: Mutex::default(),
        })
    }

    pub(super) fn observe(&self, report: &Report) {
        let tallies = tallies(report);
        let known = tallies.iter().map(|(application, tally)| (application.clone(), tally.images)).collect();
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(report.policy.clone(), known);
        match self.names {
            OlderNames::V0 => {
                let gone = before.into_iter().flat_map(BTreeMap::into_keys);
                self.count_by_application(&all, gone.chain(tallies.keys().cloned()));
                for (application, tally) in &tallies {
                    self.updated.with_label_values(&[application]).inc_by(tally.updated);
                    self.errors.with_label_values(&[application]).inc_by(tally.failed);
                }
            }
            OlderNames::V1 => {
                let policy = &[report.policy.name.as_str(), report.policy.namespace.as_str()];
                self.applications.with_label_values(policy).set(number(report.applications));
                self.images.with_label_values(policy).set(number(report.images.len()));
                self.updated.with_label_values(policy).inc_by(tallies.values().map(|tally| tally.updated).sum());
                self.errors.with_label_values(policy).inc_by(tallies.values().map(|tally| tally.failed).sum());
            }
        }
    }

    pub(super) fn keep(&self, present: &HashSet<&PolicyId>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        all.retain(|policy, known| {
            let keep = present.contains(policy);
            if !keep && self.names == OlderNames::V1 {
                self.forget(&[&policy.name, &policy.namespace]);
            } else if !keep {
                gone.extend(std::mem::take(known).into_keys());
            }
            keep
        });
        if self.names == OlderNames::V0 {
            self.count_by_application(&all, gone.into_iter());
        }
    }

    /// An answer was had, or the registry asked for a login, which is how logging in begins.
    pub(super) fn registry_request(&self, registry: &str, kind: &str, status: &str) {
        self.requests.with_label_values(&[registry]).inc();
        let failed = self.failed.with_label_values(&[registry]);
        if !matches!((kind, status), (_, "answered" | "not_modified") | ("ping", "denied")) {
            failed.inc();
        }
    }

    /// Several policies may look after one Application, so what each of them has is added up.
    fn count_by_application(&self, all: &BTreeMap<PolicyId, Known>, touched: impl Iterator<Item = String>) {
        for application in touched {
            let images: usize = all.values().filter_map(|known| known.get(&application)).sum();
            if images == 0 {
                self.forget(&[&application]);
            } else {
                self.images.with_label_values(&[&application]).set(number(images));
            }
        }
        let applications: BTreeSet<&String> = all.values().flat_map(BTreeMap::keys).collect();
        self.applications.with_label_values::<&str>(&[]).set(number(applications.len()));
    }

    /// A series that is not there needs no removal, so what cannot be removed is no failure.
    fn forget(&self, labels: &[&str]) {
        let _ = self.applications.remove_label_values(labels);
        let _ = self.images.remove_label_values(labels);
        let _ = self.updated.remove_label_values(labels);
        let _ = self.errors.remove_label_values(labels);
    }
}

/// By Application, `namespace/name`.
fn tallies(report: &Report) -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for image in &report.images {
        let tally = tallies.entry(image.application.to_string()).or_default();
        tally.images += 1;
        match image.state() {
            State::Updated => tally.updated += 1,
            State::Failed => tally.failed += 1,
            State::UpToDate | State::Pending => {}
        }
    }
    tallies
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
