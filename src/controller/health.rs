//! How the process is: what it waits for, and whether it is stuck.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::adapters::clock::uptime;
use crate::adapters::fence::Fence;
use crate::adapters::kubernetes::{ApplicationIndex, PolicyIndex};
use crate::model::PolicyId;
use crate::telemetry::{Health, Metrics};

/// How long a look at a policy may take; a registry alone may take minutes for one question.
pub(super) const LONGEST_LOOK: Duration = Duration::from_secs(15 * 60);
/// How much longer it may hang before it is thought to be stuck, past its own deadline.
const GRACE: Duration = Duration::from_secs(60);
/// How often the process notes that it works.
const BEAT: Duration = Duration::from_secs(1);
/// How long it may be silent.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// The signs of life.
#[derive(Default)]
pub(super) struct Pulse {
    /// Milliseconds of [`uptime`].
    last: AtomicU64,
    looks: Mutex<HashMap<PolicyId, Duration>>,
}

/// A look in hand, until it is dropped.
pub(super) struct Look<'a> {
    pulse: &'a Pulse,
    policy: PolicyId,
}

/// How ready the controller is.
pub(super) struct ControllerHealth {
    pub(super) applications: Arc<ApplicationIndex>,
    pub(super) policies: Arc<PolicyIndex>,
    pub(super) scopes: usize,
    pub(super) pulse: Arc<Pulse>,
}

impl Pulse {
    /// A look at a policy begins.
    pub(super) fn look(&self, policy: &PolicyId) -> Look<'_> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).insert(policy.clone(), uptime());
        Look { pulse: self, policy: policy.clone() }
    }

    /// Beats, and tells the metrics what only time changes; never ends.
    pub(super) async fn beat(&self, fence: &Fence, metrics: &Metrics) {
        loop {
            let now = uptime();
            self.last.store(milliseconds(now), Ordering::Relaxed);
            let oldest = self.oldest(now).map(|(_, age)| age).unwrap_or_default();
            let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner).len();
            metrics.vitals(fence.is_open(), looks, oldest);
            tokio::time::sleep(BEAT).await;
        }
    }

    fn oldest(&self, now: Duration) -> Option<(PolicyId, Duration)> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let (policy, begun) = looks.iter().min_by_key(|(policy, begun)| (**begun, *policy))?;
        Some((policy.clone(), now.saturating_sub(*begun)))
    }

    /// What hangs in a way that only a restart ends.
    fn stuck(&self, now: Duration) -> Option<String> {
        let silent = milliseconds(now).saturating_sub(self.last.load(Ordering::Relaxed));
        if u128::from(silent) > LONGEST_SILENCE.as_millis() {
            return Some(format!("nothing has moved for {} s", silent / 1000));
        }
        let (policy, age) = self.oldest(now).filter(|(_, age)| *age > LONGEST_LOOK + GRACE)?;
        Some(format!("the look at policy {policy} hangs for {} s", age.as_secs()))
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.pulse.looks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.policy);
    }
}

impl Health for ControllerHealth {
    fn waits_for(&self) -> Option<String> {
        if self.policies.synced_scopes() < self.scopes {
            return Some("the first list of policies".to_owned());
        }
        (!self.applications.is_synced()).then(|| "the first list of Applications".to_owned())
    }

    fn is_stuck(&self) -> Option<String> {
        self.pulse.stuck(uptime())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse_at(second: u64) -> Pulse {
        Pulse { last: AtomicU64::new(second * 1000), ..Pulse::default() }
    }

    #[test]
    fn only_what_a_restart_would_end_is_stuck() {
        let pulse = pulse_at(100);
        let at = |second| pulse.stuck(Duration::from_secs(second));
        assert_eq!(at(130), None);
        insta::assert_snapshot!(at(131).expect("stuck"), @"nothing has moved for 31 s");

        let pulse = pulse_at(2000);
        let begun = |name: &str, second| {
            let policy = PolicyId::new("argocd", name);
            pulse.looks.lock().expect("nobody failed").insert(policy, Duration::from_secs(second));
        };
        let at = |second| {
            pulse.last.store(second * 1000, Ordering::Relaxed);
            pulse.stuck(Duration::from_secs(second))
        };
        begun("web", 2000);
        begun("api", 2500);
        assert_eq!(at(2960), None, "its own deadline ends it");
        insta::assert_snapshot!(at(2961).expect("stuck"), @"the look at policy argocd/web hangs for 961 s");
    }

    #[test]
    fn a_look_that_ended_or_was_given_up_is_forgotten() {
        let pulse = pulse_at(0);
        let look = pulse.look(&PolicyId::new("argocd", "web"));
        assert!(pulse.oldest(uptime()).is_some());
        drop(look);
        assert_eq!(pulse.oldest(uptime()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pulse_beats_and_tells_who_leads() {
        let (pulse, metrics) = (Pulse::default(), Metrics::new().expect("the families differ"));
        let told = |line: &str| metrics.text().lines().any(|found| found == line);
        let beats = async |fence: &Fence| {
            let _ = tokio::time::timeout(BEAT / 2, pulse.beat(fence, &metrics)).await;
        };
        assert!(pulse.stuck(uptime() + LONGEST_SILENCE * 2).is_some());
        beats(&Fence::closed()).await;
        assert_eq!(pulse.stuck(uptime()), None);
        assert!(told("fairlead_leader 0"));
        beats(&Fence::open()).await;
        assert!(told("fairlead_leader 1"));
    }
}
