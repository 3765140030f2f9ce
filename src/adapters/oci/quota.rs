//! What a registry grants to one login: how many requests are left, and when it wants none.
//!
//! # Guarantees
//!
//! - It belongs to a registry and a login, whoever of its policies asks. One login that is refused silences no other.
//! - What is left is believed for the kind of request that it was told of: Docker Hub counts images, not lists of tags.
//! - What is under way counts as used. Only a number with a time at which it ends stops requests; without one the registry's
//!   own refusal does.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use tokio::time::Instant;

use super::observe::RequestKind;

/// The longest that a registry is left alone because it refused without saying for how long.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// The longest time that is believed of a registry.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// From here on a number is a moment, in seconds since 1970; below it is a number of seconds from now.
const MOMENTS: u64 = 1_000_000_000;

/// What an answer says of requests that are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    /// How many are left.
    pub(super) remaining: u64,
    /// When they are all granted anew.
    pub(super) resets_in: Option<Duration>,
}

/// What is granted to a login.
#[derive(Default)]
pub(super) struct Account(Mutex<State>);

#[derive(Default)]
struct State {
    quiet_since: Option<Instant>,
    quiet_until: Option<Instant>,
    refusals: u32,
    grants: HashMap<RequestKind, Grant>,
    under_way: HashMap<RequestKind, u64>,
}

struct Grant {
    left: u64,
    until: Instant,
}

/// One request, from its start to its end.
pub(super) struct Ticket<'a> {
    account: &'a Account,
    kind: RequestKind,
    began: Instant,
}

impl Quota {
    /// What the headers `RateLimit-…` or `X-RateLimit-…` say: `76`, or `76;w=21600` as Docker Hub writes it. The time is a
    /// number of seconds, or a moment in seconds since 1970; the window `w` is no time at which anything ends.
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        let number = |what: &str| {
            let names = [format!("ratelimit-{what}"), format!("x-ratelimit-{what}"), format!("x-rate-limit-{what}")];
            let text = names.iter().find_map(|name| headers.get(name))?.to_str().ok()?;
            text.split([';', ',']).next()?.trim().parse::<u64>().ok()
        };
        let remaining = number("remaining")?;
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        let resets = number("reset").map(|reset| if reset >= MOMENTS { reset.saturating_sub(now) } else { reset });
        Some(Self { remaining, resets_in: resets.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)) })
    }
}

impl Account {
    /// Lets a request go, or says how long to wait first.
    pub(super) fn enter(&self, kind: RequestKind) -> Result<Ticket<'_>, Duration> {
        let (mut state, now) = (self.state(), Instant::now());
        if let Some(wait) = state.wait(kind, now) {
            return Err(wait);
        }
        if let Some(grant) = state.grants.get_mut(&kind) {
            grant.left = grant.left.saturating_sub(1);
        }
        *state.under_way.entry(kind).or_default() += 1;
        Ok(Ticket { account: self, kind, began: now })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, kind: RequestKind, now: Instant) -> Option<Duration> {
        self.grants.retain(|_, grant| grant.until > now);
        let used_up = self.grants.get(&kind).filter(|grant| grant.left == 0).map(|grant| grant.until);
        let until = self.quiet_until.max(used_up).filter(|until| *until > now)?;
        Some(until - now)
    }
}

impl Ticket<'_> {
    /// Takes in what the answer says of requests that are left.
    pub(super) fn told(&self, quota: Quota) {
        let mut state = self.account.state();
        let Some(resets_in) = quota.resets_in else { return };
        let others = state.under_way.get(&self.kind).copied().unwrap_or_default().saturating_sub(1);
        let left = quota.remaining.saturating_sub(others);
        state.grants.insert(self.kind, Grant { left, until: Instant::now() + resets_in });
    }

    /// The registry wants fewer requests, for this long; without a time, for `back_off`, and twice as long each time that it
    /// says so again.
    pub(super) fn refused(&self, wait: Option<Duration>, back_off: Duration) {
        let (mut state, now) = (self.account.state(), Instant::now());
        let news = state.quiet_since.is_none_or(|since| since < self.began);
        let wait = match wait {
            Some(wait) => wait,
            // Of those that were under way together one counts.
            None if !news => return,
            None => {
                state.refusals = state.refusals.saturating_add(1);
                back_off.saturating_mul(2_u32.saturating_pow(state.refusals.min(16) - 1)).min(LONGEST_BACK_OFF)
            }
        };
        state.quiet_since = Some(now);
        state.quiet_until = state.quiet_until.max(Some(now + wait));
    }

    /// The registry answered.
    pub(super) fn welcome(&self) {
        self.account.state().refusals = 0;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.account.state().under_way.get_mut(&self.kind) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn quota(headers: &[(&'static str, &'static str)]) -> Option<(u64, Option<u64>)> {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let now = Timestamp::from_second(1_767_225_600).unwrap_or_default();
        let quota = Quota::of(&headers.iter().map(header).collect(), now)?;
        Some((quota.remaining, quota.resets_in.map(|wait| wait.as_secs())))
    }

    fn wait(account: &Account, kind: RequestKind) -> u64 {
        account.enter(kind).map_or_else(|wait| wait.as_millis().try_into().unwrap_or(u64::MAX), |_| 0)
    }

    #[test]
    fn quotas_are_read_in_every_spelling() {
        assert_eq!(
            quota(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")]),
            Some((76, None))
        );
        assert_eq!(quota(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1767225630")]), Some((0, Some(30))));
        assert_eq!(quota(&[("ratelimit-remaining", " 5 "), ("ratelimit-reset", "12")]), Some((5, Some(12))));
        assert_eq!(quota(&[("x-rate-limit-remaining", "5"), ("x-rate-limit-reset", "999999")]), Some((5, Some(3600))));
        assert_eq!(quota(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1000000001")]), Some((0, Some(0))));
        assert_eq!(quota(&[("ratelimit-remaining", "many")]), None);
        assert_eq!(quota(&[("ratelimit-limit", "100")]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_that_is_used_up_stops_requests_of_its_kind_until_it_is_granted_anew() {
        let account = Account::default();
        let told = |remaining, seconds: Option<u64>| {
            let resets_in = seconds.map(Duration::from_secs);
            account.enter(RequestKind::Manifest).map(|ticket| ticket.told(Quota { remaining, resets_in })).is_ok()
        };
        assert!(told(0, None), "without a time nothing is stopped");
        assert!(told(1, Some(30)));
        assert_eq!(wait(&account, RequestKind::Manifest), 0, "the one that is left");
        assert_eq!(wait(&account, RequestKind::Manifest), 30_000);
        assert_eq!(wait(&account, RequestKind::Tags), 0);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(wait(&account, RequestKind::Manifest), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_counts_as_used() {
        let account = Account::default();
        let tickets: Vec<_> = (0..3).map(|_| account.enter(RequestKind::Tags)).collect();
        let Some(Ok(first)) = tickets.first() else { unreachable!("nothing stops them") };
        first.told(Quota { remaining: 2, resets_in: Some(Duration::from_secs(9)) });
        assert_eq!(wait(&account, RequestKind::Tags), 9_000);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_without_a_time_are_waited_for_longer_each_time() {
        let (account, back_off) = (Account::default(), Duration::from_millis(100));
        let mut waits = Vec::new();
        for round in 0..14 {
            let together: Vec<_> = (0..3).filter_map(|_| account.enter(RequestKind::Tags).ok()).collect();
            assert_eq!(together.len(), 3, "round {round}");
            for ticket in &together {
                ticket.refused(None, back_off);
            }
            waits.push(wait(&account, RequestKind::Tags));
            tokio::time::advance(Duration::from_millis(waits[round])).await;
        }
        assert_eq!(waits[..4], [100, 200, 400, 800], "of three that were under way together one counts");
        assert_eq!(waits[13], 300_000);
        let Ok(ticket) = account.enter(RequestKind::Tags) else { unreachable!("the time is over") };
        ticket.welcome();
        ticket.refused(None, back_off);
        assert_eq!(wait(&account, RequestKind::Head), 100, "a success forgives, and a refusal is for all kinds");
    }
}
