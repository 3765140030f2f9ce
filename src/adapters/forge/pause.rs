//! Who is left alone for a while: a forge that asks to wait or fails, and a change that was refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::Reason;

/// The first pause after a failure; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(30);
/// No pause that we choose is longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// No pause that a forge asks for is longer; GitHub's windows are an hour.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);
/// Pauses remembered at once.
const MAXIMUM: usize = 10_000;

/// Pauses by whom they concern.
#[derive(Default)]
pub(super) struct Pauses(Mutex<BTreeMap<String, Pause>>);

#[derive(Clone)]
struct Pause {
    until: Timestamp,
    failures: u32,
    reason: Reason,
    cause: String,
}

impl Pauses {
    /// How long it is still left alone, and why.
    pub(super) fn left(&self, whom: &str, now: Timestamp) -> Option<(Duration, Reason, String)> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pauses.get(whom)?;
        let left = Duration::try_from(pause.until.duration_since(now)).ok().filter(|left| !left.is_zero())?;
        Some((left, pause.reason, pause.cause.clone()))
    }

    /// Begins a pause: as long as is asked for, or longer with each failure in a row.
    pub(super) fn begin(&self, whom: &str, asked: Option<Duration>, (reason, cause): (Reason, &str), now: Timestamp) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.len() >= MAXIMUM {
            pauses.retain(|_, pause| pause.until > now);
        }
        let failures = pauses.get(whom).map_or(0, |pause| pause.failures);
        let chosen = FIRST.saturating_mul(1 << failures.min(8)).min(LONGEST);
        let length = asked.map_or(chosen, |asked| asked.min(LONGEST_ASKED));
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::ZERO);
        let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
        let pause = Pause { until, failures: failures.saturating_add(1), reason, cause: cause.to_owned() };
        pauses.insert(whom.to_owned(), pause);
    }

    /// Forgets the failures.
    pub(super) fn end(&self, whom: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(whom);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_with_each_failure_and_ends_with_success() {
        let failed = (Reason::ForgeFailed, "it failed");
        let (pauses, mut now) = (Pauses::default(), Timestamp::UNIX_EPOCH);
        let mut lengths = Vec::new();
        for _ in 0..8 {
            pauses.begin("forge", None, failed, now);
            let (left, reason, cause) = pauses.left("forge", now).expect("a pause");
            assert_eq!((reason, cause.as_str()), failed);
            lengths.push(left.as_secs());
            now = now.checked_add(SignedDuration::try_from(left).expect("short")).expect("a time");
            assert_eq!(pauses.left("forge", now), None);
        }
        assert_eq!(lengths, [30, 60, 120, 240, 480, 900, 900, 900]);
        pauses.end("forge");
        pauses.begin("forge", None, failed, now);
        assert_eq!(pauses.left("forge", now).map(|(left, ..)| left.as_secs()), Some(30));
        assert_eq!(pauses.left("another", now), None);
    }

    #[test]
    fn what_a_forge_asks_for_is_given_up_to_an_hour() {
        let (pauses, now) = (Pauses::default(), Timestamp::UNIX_EPOCH);
        for (asked, given) in [(7, 7), (100_000, 3600)] {
            pauses.begin("forge", Some(Duration::from_secs(asked)), (Reason::ForgeRateLimited, "it asks to wait"), now);
            assert_eq!(pauses.left("forge", now).map(|(left, ..)| left.as_secs()), Some(given));
        }
    }
}
