//! How often a source may come, and that a signature comes once.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::lower::push_event::Source;
use crate::lower::webhook_authenticity::Genuine;

/// Requests of one source in one go.
const BURST: f64 = 200.0;
/// Requests of one source a second, in the long run.
const A_SECOND: f64 = 20.0;
/// More signatures are not remembered; further ones wait until some have expired.
const NONCES: usize = 20_000;

/// Who came when. Only requests that are genuine are counted, so that nobody else can use up what a source may.
#[derive(Default)]
pub(super) struct Limits {
    buckets: HashMap<Source, Bucket>,
    nonces: HashMap<[u8; 32], Timestamp>,
}

struct Bucket {
    tokens: f64,
    filled: Timestamp,
}

/// Why a genuine request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// Too many; again in so many seconds.
    Rate(u64),
    /// The same signature was taken before.
    Replayed,
}

impl Limits {
    /// Takes a genuine request, or says why not.
    pub(super) fn take(&mut self, source: Source, genuine: &Genuine, now: Timestamp) -> Result<(), Limit> {
        if let Genuine::Once { nonce, .. } = genuine
            && self.nonces.get(nonce).is_some_and(|expires| *expires > now)
        {
            return Err(Limit::Replayed);
        }
        let bucket = self.buckets.entry(source).or_insert(Bucket { tokens: BURST, filled: now });
        let passed = now.duration_since(bucket.filled).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * A_SECOND).min(BURST);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(Limit::Rate(1));
        }
        if let Genuine::Once { nonce, expires } = genuine {
            if self.nonces.len() >= NONCES {
                self.nonces.retain(|_, expires| *expires > now);
            }
            if self.nonces.len() >= NONCES {
                return Err(Limit::Rate(60));
            }
            self.nonces.insert(*nonce, *expires);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn a_source_may_burst_and_then_waits_without_holding_up_others() {
        let mut limits = Limits::default();
        for _ in 0..200 {
            assert_eq!(limits.take(Source::Quay, &Genuine::Repeatable, now()), Ok(()));
        }
        assert_eq!(limits.take(Source::Quay, &Genuine::Repeatable, now()), Err(Limit::Rate(1)));
        assert_eq!(limits.take(Source::Harbor, &Genuine::Repeatable, now()), Ok(()));
        let later = now() + SignedDuration::from_secs(1);
        let taken = (0..100).filter(|_| limits.take(Source::Quay, &Genuine::Repeatable, later).is_ok()).count();
        assert_eq!(taken, 20);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut limits = Limits::default();
        assert_eq!(limits.take(Source::Quay, &Genuine::Repeatable, now()), Ok(()));
        let earlier = now() - SignedDuration::from_hours(5);
        for _ in 0..199 {
            assert_eq!(limits.take(Source::Quay, &Genuine::Repeatable, earlier), Ok(()));
        }
        assert_eq!(limits.take(Source::Quay, &Genuine::Repeatable, earlier), Err(Limit::Rate(1)));
        let after = earlier + SignedDuration::from_secs(1);
        assert_eq!(limits.take(Source::Quay, &Genuine::Repeatable, after), Ok(()));
    }

    #[test]
    fn a_signature_is_taken_once_and_remembered_as_long_as_it_holds() {
        let mut limits = Limits::default();
        let expires = now() + SignedDuration::from_mins(5);
        let once = Genuine::Once { nonce: [7; 32], expires };
        assert_eq!(limits.take(Source::Generic, &once, now()), Ok(()));
        assert_eq!(limits.take(Source::Generic, &once, now()), Err(Limit::Replayed));
        assert_eq!(limits.take(Source::Generic, &once, expires - SignedDuration::from_secs(1)), Err(Limit::Replayed));
        let other = Genuine::Once { nonce: [8; 32], expires };
        assert_eq!(limits.take(Source::Generic, &other, now()), Ok(()));
    }

    #[test]
    fn a_request_that_must_wait_may_come_again_with_its_signature() {
        let mut limits = Limits::default();
        for _ in 0..200 {
            let _ = limits.take(Source::Generic, &Genuine::Repeatable, now());
        }
        let later = now() + SignedDuration::from_secs(1);
        let once = Genuine::Once { nonce: [7; 32], expires: now() + SignedDuration::from_mins(5) };
        assert_eq!(limits.take(Source::Generic, &once, now()), Err(Limit::Rate(1)));
        assert_eq!(limits.take(Source::Generic, &once, later), Ok(()));
    }

    #[test]
    fn signatures_that_are_remembered_are_bounded() {
        let mut limits = Limits::default();
        let mut at = now();
        let nonce = |number: usize| {
            let mut nonce = [0; 32];
            nonce[..8].copy_from_slice(&number.to_le_bytes());
            nonce
        };
        let expires = now() + SignedDuration::from_hours(5);
        for number in 0..NONCES {
            at += SignedDuration::from_millis(50);
            assert_eq!(limits.take(Source::Generic, &Genuine::Once { nonce: nonce(number), expires }, at), Ok(()));
        }
        let more = Genuine::Once { nonce: nonce(NONCES), expires };
        assert_eq!(limits.take(Source::Generic, &more, at), Err(Limit::Rate(60)));
        assert_eq!(limits.take(Source::Generic, &more, expires), Ok(()));
    }
}
