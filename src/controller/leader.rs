//! One replica of several acts: the one that holds a Lease.
//!
//! # Guarantees
//! Nobody's clock but our own counts. A holder stops at `renew` after it *sent* its last renewal; another one waits `lease`, which is
//! longer, after it *saw* that renewal. So the old one has stopped before the new one begins, whatever the clocks say, as long as time
//! passes about as fast for both.
//!
//! # Caveats
//! What a stopped process had in its hands is caught by the fence when it goes on ([`Fence`]), and what is on its way by then
//! by the preconditions of each write.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;

use crate::adapters::clock::uptime;
use crate::adapters::fence::Fence;
use crate::adapters::kubernetes::{Claim, LeaseClient, LeaseError, LeaseRecord, identity};

/// How replicas agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The namespace of the Lease; `None`: the one that this process runs in.
    pub namespace: Option<String>,
    /// The name of the Lease: replicas with the same name share one scope.
    pub name: String,
    /// How long others wait after they saw the last renewal. Whole seconds.
    pub lease: Duration,
    /// How long a holder acts after it sent its last renewal; shorter than `lease`.
    pub renew: Duration,
    /// How often the Lease is renewed, or looked at; shorter than `renew`.
    pub retry: Duration,
}

/// What was last seen of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Its version; `None` when it was deleted since.
    version: Option<String>,
    holder: String,
    transitions: i32,
    /// When this version was first seen, on our own clock.
    since: Duration,
    /// How long it holds from then.
    lasts: Duration,
}

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Somebody else holds it, or held it a moment ago.
    Wait,
    /// There is none.
    Create,
    /// Nobody holds it any more.
    Take,
    /// It is ours.
    Renew,
}

impl Seen {
    /// What is known after a look at the Lease. The time of its holder starts when its version is new to us, never by what it says.
    fn after(before: Option<Self>, found: Option<&LeaseRecord>, now: Duration, election: &Election) -> Option<Self> {
        match (before, found) {
            // Who held it when it was deleted does not know yet.
            (before, None) => before.map(|seen| Self { version: None, ..seen }),
            (Some(seen), Some(found)) if seen.version.as_deref() == Some(found.version()) => Some(seen),
            (_, Some(found)) => Some(Self {
                version: Some(found.version().to_owned()),
                holder: found.holder().to_owned(),
                transitions: found.transitions(),
                since: now,
                lasts: found.lasts().unwrap_or(election.lease),
            }),
        }
    }

    /// Whether somebody else may still act.
    fn is_held_from(&self, me: &str, now: Duration) -> bool {
        !self.holder.is_empty() && self.holder != me && now < self.since.saturating_add(self.lasts)
    }
}

/// What `me` does about the Lease at `now`.
fn next(seen: Option<&Seen>, now: Duration, me: &str) -> Action {
    match seen {
        Some(seen) if seen.is_held_from(me, now) => Action::Wait,
        None | Some(Seen { version: None, .. }) => Action::Create,
        Some(seen) if seen.holder == me => Action::Renew,
        Some(_) => Action::Take,
    }
}

/// One who would lead.
pub(super) struct Candidate {
    election: Election,
    lease: LeaseClient,
    fence: Arc<Fence>,
    me: String,
    seen: Option<Seen>,
    /// The Lease as it was last read or written; `None`: it has to be read.
    record: Option<LeaseRecord>,
    leads: bool,
}

/// What has to be done between taking the lead and acting.
pub(super) trait TakeOver {
    /// Learns what others may have written. The lead begins when it succeeds.
    async fn prepare(&self) -> Result<(), String>;
    /// Begins to act.
    fn begin(&self);
}

impl Candidate {
    pub(super) fn new(client: Client, election: Election, fence: Arc<Fence>) -> Self {
        let lease = LeaseClient::new(client, election.namespace.as_deref(), &election.name);
        Self { election, lease, fence, me: identity(), seen: None, record: None, leads: false }
    }

    /// Takes the lead when it is free, keeps it, and tries again when it is lost; never ends.
    pub(super) async fn run(&mut self, work: &impl TakeOver) {
        tracing::debug!(identity = self.me, lease = self.election.name, "waiting for the lead");
        loop {
            if let Err(cause) = self.step(work).await {
                tracing::debug!(%cause, lease = self.election.name, "cannot read or write the lease");
                self.record = None;
            }
            self.tell_loss();
            tokio::time::sleep(self.election.retry).await;
        }
    }

    /// Gives up the lead, so that another replica takes it at once.
    pub(super) async fn release(mut self) {
        let lease = self.election.name.clone();
        self.fence.close();
        match tokio::time::timeout(self.election.renew, self.hand_back()).await {
            Ok(Ok(())) => tracing::debug!(lease, "the lead is free"),
            Ok(Err(cause)) => tracing::warn!(%cause, lease, "cannot give up the lead; it lapses"),
            Err(_) => tracing::warn!(lease, "cannot give up the lead in time; it lapses"),
        }
    }

    async fn hand_back(&mut self) -> Result<(), LeaseError> {
        // What was on its way when the work ended may have been written.
        self.read().await?;
        let held = self.record.as_ref().filter(|record| record.holder() == self.me);
        let Some(record) = held else { return Ok(()) };
        let claim = Claim { holder: "", lasts: Duration::ZERO, transitions: record.transitions(), new: false };
        self.lease.update(record, &claim).await.map(drop)
    }

    async fn step(&mut self, work: &impl TakeOver) -> Result<(), LeaseError> {
        if self.record.is_none() || !self.leads {
            let limit = self.limit();
            limited(limit, self.read()).await?;
        }
        let (me, election) = (self.me.clone(), self.election.clone());
        let transitions = self.seen.as_ref().map_or(0, |seen| seen.transitions);
        let claim = Claim { holder: &me, lasts: election.lease, transitions, new: false };
        let taken = Claim { transitions: transitions.saturating_add(1), new: true, ..claim.clone() };
        // Counted from before the request: others count from after it.
        let until = uptime() + election.renew;
        let written = match (next(self.seen.as_ref(), uptime(), &me), self.record.clone()) {
            (Action::Wait, _) => {
                self.fence.close();
                return Ok(());
            }
            (Action::Create, _) => limited(self.limit(), self.lease.create(&taken)).await,
            (Action::Take, Some(record)) => limited(self.limit(), self.lease.update(&record, &taken)).await,
            (Action::Renew, Some(record)) => limited(self.limit(), self.lease.update(&record, &claim)).await,
            (Action::Take | Action::Renew, None) => Err(LeaseError::Changed),
        };
        self.keep(Some(written?));
        self.lead_until(until, work).await;
        Ok(())
    }

    /// Opens the fence; where it was closed, only after what others may have written is known.
    async fn lead_until(&mut self, until: Duration, work: &impl TakeOver) {
        if self.fence.is_open() {
            self.fence.open_until(until);
            return;
        }
        self.tell_loss();
        match tokio::time::timeout(self.limit(), work.prepare()).await {
            Ok(Ok(())) => {
                self.fence.open_until(until);
                self.leads = true;
                let term = self.seen.as_ref().map_or(0, |seen| seen.transitions);
                tracing::info!(identity = self.me, lease = self.election.name, term, "this replica leads");
                work.begin();
            }
            Ok(Err(cause)) => tracing::warn!(cause, "cannot take the lead: cannot read the policies"),
            Err(_) => tracing::warn!("cannot take the lead: cannot read the policies in time"),
        }
    }

    async fn read(&mut self) -> Result<(), LeaseError> {
        let found = self.lease.read().await?;
        self.keep(found);
        Ok(())
    }

    fn keep(&mut self, found: Option<LeaseRecord>) {
        self.seen = Seen::after(self.seen.take(), found.as_ref(), uptime(), &self.election);
        self.record = found;
    }

    /// Says once that the lead is lost.
    fn tell_loss(&mut self) {
        if self.leads && !self.fence.is_open() {
            self.leads = false;
            let holder = self.seen.as_ref().map_or("", |seen| seen.holder.as_str());
            tracing::warn!(
                identity = self.me,
                lease = self.election.name,
                holder,
                "this replica does not lead any more"
            );
        }
    }

    /// One request may take half of the time in which it is of use, so that a second one has a chance.
    fn limit(&self) -> Duration {
        self.election.renew / 2
    }
}

async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T, LeaseError>>) -> Result<T, LeaseError> {
    let late = || LeaseError::Unavailable("no answer in time".to_owned());
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

    use super::*;

    fn election() -> Election {
        let seconds = Duration::from_secs;
        Election {
            namespace: None,
            name: "fairlead".to_owned(),
            lease: seconds(15),
            renew: seconds(10),
            retry: seconds(2),
        }
    }

    /// A Lease of 15 s, renewed at a time that no clock here has ever shown.
    fn lease(version: &str, holder: &str) -> LeaseRecord {
        let renewed = "1999-12-31T23:59:59Z".parse().expect("a time");
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(4),
            renew_time: Some(MicroTime(renewed)),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() };
        LeaseRecord::from(Lease { metadata, spec: Some(spec) })
    }

    /// What `me` does after each look; a look is a second, and the Lease that is found then: version and holder.
    fn actions(looks: &[(u64, Option<(&str, &str)>)]) -> Vec<Action> {
        let mut seen = None;
        let act = |(second, found): &(u64, Option<(&str, &str)>)| {
            let found = found.map(|(version, holder)| lease(version, holder));
            let now = Duration::from_secs(*second);
            seen = Seen::after(seen.take(), found.as_ref(), now, &election());
            next(seen.as_ref(), now, "me")
        };
        looks.iter().map(act).collect()
    }

    #[test]
    fn a_lease_is_taken_when_its_holder_was_silent_for_as_long_as_it_lasts() {
        use Action::{Create, Renew, Take, Wait};
        for (what, looks, expected) in [
            ("there is none", vec![(0, None)], vec![Create]),
            ("it was given up", vec![(0, Some(("1", "")))], vec![Take]),
            ("it is ours", vec![(0, Some(("1", "me"))), (900, Some(("1", "me")))], vec![Renew, Renew]),
            (
                "an old one, of a holder that may live, is waited for",
                vec![(100, Some(("1", "you"))), (114, Some(("1", "you"))), (115, Some(("1", "you")))],
                vec![Wait, Wait, Take],
            ),
            (
                "each renewal counts from when it is seen",
                vec![
                    (0, Some(("1", "you"))),
                    (14, Some(("2", "you"))),
                    (28, Some(("2", "you"))),
                    (29, Some(("2", "you"))),
                ],
                vec![Wait, Wait, Wait, Take],
            ),
            (
                "a third one was faster",
                vec![
                    (0, Some(("1", "you"))),
                    (15, Some(("2", "she"))),
                    (29, Some(("2", "she"))),
                    (30, Some(("2", "she"))),
                ],
                vec![Wait, Wait, Wait, Take],
            ),
            ("it was lost", vec![(0, Some(("1", "me"))), (2, Some(("2", "you")))], vec![Renew, Wait]),
            ("a holder gives it up", vec![(0, Some(("1", "you"))), (1, Some(("2", "")))], vec![Wait, Take]),
            (
                "one that was deleted may still be believed in",
                vec![(0, Some(("1", "you"))), (2, None), (14, None), (15, None)],
                vec![Wait, Wait, Wait, Create],
            ),
            ("ours was deleted", vec![(0, Some(("1", "me"))), (2, None)], vec![Renew, Create]),
            (
                "ours was deleted and another's made",
                vec![(0, Some(("1", "me"))), (2, None), (4, Some(("9", "you")))],
                vec![Renew, Create, Wait],
            ),
        ] {
            assert_eq!(actions(&looks), expected, "{what}");
        }
    }

    #[test]
    fn a_holder_has_stopped_before_another_one_begins_whatever_the_delays() {
        let election = election();
        let reserve = election.lease.checked_sub(election.renew).expect("a holder stops before its lease ends");
        for sent in [0_u64, 1, 7] {
            for seen_after in [0_u64, 1, 5, 60] {
                let stops = Duration::from_secs(sent) + election.renew;
                let seen_at = Duration::from_secs(sent + seen_after);
                let seen = Seen::after(None, Some(&lease("1", "you")), seen_at, &election);
                for second in 0..200 {
                    let now = Duration::from_secs(second);
                    let takes = now >= seen_at && next(seen.as_ref(), now, "me") == Action::Take;
                    assert!(!takes || now >= stops + reserve, "sent {sent}, seen after {seen_after}");
                }
            }
        }
    }

    #[test]
    fn a_lease_that_does_not_say_how_long_it_lasts_lasts_as_ours_would() {
        let record = LeaseRecord::from(Lease {
            spec: Some(LeaseSpec { holder_identity: Some("you".to_owned()), ..LeaseSpec::default() }),
            ..Lease::default()
        });
        let seen = Seen::after(None, Some(&record), Duration::ZERO, &election()).expect("it was seen");
        assert_eq!(next(Some(&seen), Duration::from_secs(14), "me"), Action::Wait);
        assert_eq!(next(Some(&seen), Duration::from_secs(15), "me"), Action::Take);
    }
}
