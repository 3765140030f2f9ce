//! A registry where nothing works is left alone for a while, and then asked by one request.
//!
//! What counts is that nothing works: any answer of the registry ends it, and a repository that fails time and again counts
//! once, so that one repository which hangs does not stop the others. That nobody is reached counts each time.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use crate::model::Reason;

/// So many failures without an answer between them.
const FAILURES: usize = 5;
/// How long it is left alone at first; twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// Whether a registry is asked.
#[derive(Default)]
pub(super) struct Breaker {
    repositories: HashSet<String>,
    unreached: usize,
    rests: u32,
    until: Option<Instant>,
    probing: bool,
    last: Option<Failure>,
}

/// Whether a request may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    /// As any other.
    Open,
    /// As the one that tries whether the registry is well again.
    Probe,
    /// When it is known how the one under way went.
    Wait,
    /// Not now; this is what to say.
    Closed(Failure),
}

impl Breaker {
    /// Whether a request may go now.
    pub(super) fn gate(&mut self, now: Instant) -> Gate {
        match (self.until, &self.last) {
            (Some(until), Some(last)) if until > now => {
                Gate::Closed(Failure { retry_after: Some(until - now), ..left_alone(last.clone()) })
            }
            (Some(_), _) if self.probing => Gate::Wait,
            (Some(_), _) => {
                self.probing = true;
                Gate::Probe
            }
            (None, _) => Gate::Open,
        }
    }

    /// The registry answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// The trial ended without telling anything.
    pub(super) fn untold(&mut self) {
        self.probing = false;
    }

    /// A request about a repository failed, retries included. Gives the failure as it is to be told. `spread` is between 1
    /// and 2: by how much longer than needed to leave it alone.
    pub(super) fn failed(&mut self, repository: &str, failure: Failure, spread: f64, now: Instant) -> Failure {
        if failure.unreached {
            self.unreached += 1;
        } else {
            self.repositories.insert(repository.to_owned());
        }
        let closes = self.until.map_or(self.unreached + self.repositories.len() >= FAILURES, |_| self.probing);
        self.last = Some(failure.clone());
        if closes {
            let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(self.rests.min(16))).min(LONGEST_REST);
            self.until = Some(now + rest.mul_f64(spread));
            self.rests += 1;
            self.probing = false;
        }
        if self.until.is_some() { left_alone(failure) } else { failure }
    }
}

/// Whether a failure says that a registry is not well.
pub(super) fn is_unwell(failure: &Failure) -> bool {
    failure.unreached
        || matches!(failure.reason, Reason::RegistryUnreachable | Reason::RegistryTimeout | Reason::RegistryFailed)
}

fn left_alone(failure: Failure) -> Failure {
    // Without the time that is left: a text that differs at each look would be news at each look.
    failure.with_hint("nothing else works there either, so it is left alone for a while and then asked by one request")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreached() -> Failure {
        Failure { unreached: true, ..Failure::new(Reason::RegistryUnreachable, "no connection to the registry") }
    }

    fn timeout() -> Failure {
        Failure::no_answer(Duration::from_secs(10))
    }

    fn is_closed(breaker: &mut Breaker, now: Instant) -> bool {
        matches!(breaker.gate(now), Gate::Closed(_))
    }

    #[test]
    fn five_failures_in_a_row_close_it_and_one_request_tries_again() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..4 {
            assert_eq!(breaker.failed("a", unreached(), 1.0, start), unreached());
        }
        assert_eq!(breaker.gate(start), Gate::Open);
        insta::assert_snapshot!(breaker.failed("a", unreached(), 1.0, start).cause, @"no connection to the registry; nothing else works there either, so it is left alone for a while and then asked by one request");
        let Gate::Closed(failure) = breaker.gate(at(9)) else { unreachable!("it is closed") };
        assert_eq!((failure.reason, failure.retry_after), (Reason::RegistryUnreachable, Some(Duration::from_secs(1))));
        assert_eq!(breaker.gate(at(10)), Gate::Probe);
        assert_eq!(breaker.gate(at(10)), Gate::Wait, "the others wait for the one");
        let probed = breaker.failed("a", unreached(), 1.0, at(10));
        assert_eq!(probed.cause, failure.cause, "it says what it said before");
        assert!(is_closed(&mut breaker, at(29)), "twice as long");
        assert_eq!(breaker.gate(at(30)), Gate::Probe);
        breaker.answered();
        assert_eq!((breaker.gate(at(30)), breaker.gate(at(30))), (Gate::Open, Gate::Open));
        breaker.failed("a", unreached(), 1.0, at(30));
        assert_eq!(breaker.gate(at(30)), Gate::Open, "it counts anew");
    }

    #[test]
    fn a_repository_that_fails_time_and_again_does_not_close_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..100 {
            breaker.failed("hangs", timeout(), 1.0, now);
        }
        assert_eq!(breaker.gate(now), Gate::Open);
        for repository in ["b", "c", "d", "e"] {
            breaker.failed(repository, timeout(), 1.0, now);
        }
        assert!(is_closed(&mut breaker, now));
    }

    #[test]
    fn an_answer_between_failures_keeps_it_open() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..20 {
            breaker.failed("a", unreached(), 1.0, now);
            breaker.answered();
        }
        assert_eq!(breaker.gate(now), Gate::Open);
    }

    #[test]
    fn it_is_left_alone_for_five_minutes_at_most_and_a_trial_that_tells_nothing_is_repeated() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            breaker.failed("a", unreached(), 1.0, now);
        }
        for _ in 0..20 {
            now += LONGEST_REST;
            assert_eq!(breaker.gate(now), Gate::Probe);
            breaker.untold();
            assert_eq!(breaker.gate(now), Gate::Probe);
            breaker.failed("a", unreached(), 1.0, now);
        }
        assert!(!is_closed(&mut breaker, now + LONGEST_REST));
    }

    #[test]
    fn denials_and_unreadable_answers_are_answers() {
        assert!(!is_unwell(&Failure::new(Reason::RegistryDenied, "")) && !is_unwell(&Failure::cut_off()));
        assert!(is_unwell(&timeout()) && is_unwell(&unreached()));
    }
}
