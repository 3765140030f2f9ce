//! Select: asks the registry once an image, and decides for every Application that uses it. The decision itself is
//! [`crate::select::select`]; here is only the asking.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::lock::Mutex;
use jiff::{SignedDuration, Timestamp};

use super::discover::Use;
use super::keys::version;
use super::memory;
use crate::model::{
    Candidate, Choice, Closed, Current, Decision, Details, Image, Listing, Memory, Outcome, Problem, Reason,
    Remembered, Situation, Strategy, Tag, Verdict, Watch,
};
use crate::ports::{Labels, Ports, Question, RegistryError};
use crate::select;

/// More rounds than any rule needs; each round asks for tags that were not asked for before.
const MAXIMUM_ROUNDS: usize = 1000;

/// What a registry offers for one image, filled in as details are asked for.
pub struct Offer<'a> {
    image: &'a Image,
    fresh_since: Timestamp,
    now: Timestamp,
    closed: Option<Closed>,
    first_look: bool,
    state: Mutex<State>,
}

struct State {
    listing: Arc<Listing>,
    /// Whether details were asked for in vain, so that not all that was there is known.
    broken: bool,
    watch: Option<Watch>,
}

/// A decision, and what it leaves to remember.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// A version that a person took back, and when that was noticed.
    pub held_back: Option<(String, Timestamp)>,
}

impl<'a> Offer<'a> {
    /// Asks the registry for the tags of `image`.
    pub async fn fetch(
        ports: Ports<'_>,
        image: &'a Image,
        memory: &Memory,
        fresh_since: Timestamp,
        now: Timestamp,
        closed: Option<Closed>,
    ) -> Result<Self, RegistryError> {
        let listing = ports.registry.tags(&question(image), fresh_since).await?;
        let key = (image.title.clone(), image.reference.repository.to_string());
        let known = memory.watches.get(&key).cloned();
        let first_look = known.is_none();
        let watch = image.rule.minimum_age.map(|_| known.unwrap_or_else(|| memory::begin(now)));
        // What an incomplete list shows is no first look.
        let watch = watch.filter(|_| !first_look || listing.incomplete.is_none());
        Ok(Self {
            image,
            fresh_since,
            now,
            closed,
            first_look,
            state: Mutex::new(State { listing, broken: false, watch }),
        })
    }

    /// Which digests are known now, for a rule with a minimum age.
    pub async fn watch(&self) -> Option<Watch> {
        let state = self.state.lock().await;
        if self.first_look && state.broken {
            return None;
        }
        let mut watch = state.watch.clone()?;
        memory::ripen(&mut watch, self.image.rule.minimum_age?, self.now);
        Some(watch)
    }

    /// Decides for one Application. What runs stands in for the version at the destination where that states none; of
    /// several running versions the one that holds the image back counts.
    pub async fn decide(
        &self,
        ports: Ports<'_>,
        used: &Use,
        remembered: &Remembered,
    ) -> Result<Decided, RegistryError> {
        let held_back = self.held_back(ports, used, remembered).await?;
        // Of one tag that is followed only the digest tells whether something newer is there.
        let followed = self.image.rule.strategy == Strategy::Digest;
        let taken_back = held_back.as_ref().filter(|_| !followed).and_then(|(text, _)| version(text)?.tag);
        let candidates: Vec<Option<Current>> = match (&used.held.version, used.live.as_slice()) {
            (Some(current), _) => vec![Some(named(current, remembered))],
            (None, []) => vec![None],
            (None, live) => live.iter().cloned().map(Some).collect(),
        };
        let mut decided: Option<Decision> = None;
        for current in candidates {
            let situation =
                Situation { now: self.now, current, taken_back: taken_back.clone(), closed: self.closed.clone() };
            let decision = self.ask(ports, &situation).await?;
            let replace = decided
                .as_ref()
                .is_none_or(|_| matches!(decision.outcome, Outcome::Hold { reason: Reason::WouldGoBackwards, .. }));
            decided = if replace { Some(decision) } else { decided };
        }
        let decision =
            decided.ok_or_else(|| RegistryError::new(Reason::UnreadableAnswer, "no version to decide on"))?;
        if followed {
            return Ok(Decided { decision: hold_digest(decision, held_back.as_ref()), held_back });
        }
        let held_back = self.still_held(ports, &decision, held_back).await?;
        Ok(Decided { decision, held_back })
    }

    /// What the registry has, with the details that were asked for so far.
    pub async fn listing(&self) -> Arc<Listing> {
        self.state.lock().await.listing.clone()
    }

    /// When a tag was pushed, or else built, as far as that is known.
    pub async fn pushed_at(&self, tag: &Tag) -> Option<Timestamp> {
        let state = self.state.lock().await;
        let found = state.listing.candidates.iter().find(|candidate| candidate.tag == *tag)?;
        let Details::Known(known) = &found.details else { return None };
        known.pushed.or_else(|| known.builds.iter().filter_map(|(_, created)| *created).max())
    }

    /// The labels of the image behind a tag.
    pub async fn labels(&self, ports: Ports<'_>, tag: &Tag) -> Result<Arc<Labels>, RegistryError> {
        ports.registry.labels(&question(self.image), tag, self.fresh_since).await
    }

    /// Why each candidate wins or loses where `current` is in place.
    pub async fn verdicts(
        &self,
        ports: Ports<'_>,
        current: Option<Current>,
        held_back: Option<&str>,
    ) -> Result<Vec<Verdict>, RegistryError> {
        let taken_back = held_back.and_then(|text| version(text)?.tag);
        let situation = Situation { now: self.now, current, taken_back, closed: self.closed.clone() };
        self.ask(ports, &situation).await?;
        let state = self.state.lock().await;
        Ok(select::verdicts(&self.image.rule, &state.listing, &situation))
    }

    /// The version that a person took back: remembered as such, and not put in place since; or written by us, and replaced by
    /// something that is not higher, or by nothing.
    async fn held_back(
        &self,
        ports: Ports<'_>,
        used: &Use,
        remembered: &Remembered,
    ) -> Result<Option<(String, Timestamp)>, RegistryError> {
        let current = used.held.version.as_ref();
        let at = |version: &str| current.is_some_and(|current| holds(current, version));
        if let Some((version, since)) = &remembered.held_back {
            return Ok((!at(version)).then(|| (version.clone(), *since)));
        }
        let Some(written) = remembered.written.as_ref().filter(|written| !at(written)) else { return Ok(None) };
        let tags = (version(written).and_then(|version| version.tag), current.and_then(|current| current.tag.clone()));
        let higher = match tags {
            (Some(written), Some(current)) if written != current => self.is_lower(ports, &written, &current).await?,
            _ => false,
        };
        Ok((!higher).then(|| (written.clone(), self.now)))
    }

    /// A version that was taken back stays so although it is not to be had for a while: what stays in place instead ends the hold
    /// only where it is not lower.
    async fn still_held(
        &self,
        ports: Ports<'_>,
        decision: &Decision,
        held_back: Option<(String, Timestamp)>,
    ) -> Result<Option<(String, Timestamp)>, RegistryError> {
        let (Outcome::Stay(choice), Some((text, since))) = (&decision.outcome, &held_back) else {
            return Ok(held_back);
        };
        let Some(held) = version(text).and_then(|version| version.tag) else { return Ok(None) };
        if held == choice.tag {
            return Ok(None);
        }
        let dated = self.image.rule.strategy == Strategy::NewestBuild;
        let listed = self.state.lock().await.listing.candidates.iter().any(|candidate| candidate.tag == held);
        let lower = (dated && !listed) || self.is_lower(ports, &choice.tag, &held).await?;
        Ok(lower.then(|| (text.clone(), *since)))
    }

    async fn is_lower(&self, ports: Ports<'_>, one: &Tag, other: &Tag) -> Result<bool, RegistryError> {
        let mut state = self.state.lock().await;
        if self.image.rule.strategy == Strategy::NewestBuild && state.listing.places.is_none() {
            self.read(ports, &mut state, &[one.clone(), other.clone()]).await?;
        }
        Ok(select::is_lower(&self.image.rule, &state.listing, one, other))
    }

    /// Reads what is not known yet of some tags.
    async fn read(&self, ports: Ports<'_>, state: &mut State, tags: &[Tag]) -> Result<(), RegistryError> {
        let unknown = |candidate: &&Candidate| candidate.details == Details::Unknown && tags.contains(&candidate.tag);
        let tags: Vec<Tag> =
            state.listing.candidates.iter().filter(unknown).map(|candidate| candidate.tag.clone()).collect();
        if !tags.is_empty() {
            let found = self.details(ports, state, &tags).await?;
            self.merge(state, &tags, found);
        }
        Ok(())
    }

    async fn ask(&self, ports: Ports<'_>, situation: &Situation) -> Result<Decision, RegistryError> {
        let mut state = self.state.lock().await;
        for _ in 0..MAXIMUM_ROUNDS {
            let decision = select::select(&self.image.rule, &state.listing, situation);
            let Outcome::NeedDetails(tags) = &decision.outcome else { return Ok(decision) };
            let found = self.details(ports, &mut state, tags).await?;
            self.merge(&mut state, tags, found);
        }
        Err(RegistryError::new(
            Reason::UnreadableAnswer,
            format!("cannot decide on `{}`: the rule keeps asking", self.image.reference.repository),
        ))
    }

    async fn details(
        &self,
        ports: Ports<'_>,
        state: &mut State,
        tags: &[Tag],
    ) -> Result<Vec<Candidate>, RegistryError> {
        let found = ports.registry.details(&question(self.image), tags, self.fresh_since).await;
        state.broken |= found.is_err();
        found
    }

    /// Puts details into the listing. A tag that is gone since it was listed is taken out.
    fn merge(&self, state: &mut State, asked: &[Tag], found: Vec<Candidate>) {
        let mut details: BTreeMap<Tag, Details> =
            found.into_iter().map(|candidate| (candidate.tag, candidate.details)).collect();
        let asked: std::collections::BTreeSet<&Tag> = asked.iter().collect();
        let listing = Arc::make_mut(&mut state.listing);
        listing.candidates.retain_mut(|candidate| {
            if !asked.contains(&candidate.tag) {
                return true;
            }
            let found = details.remove(&candidate.tag);
            candidate.details = found.unwrap_or_default();
            candidate.details != Details::Unknown
        });
        let Some(watch) = &mut state.watch else { return };
        for candidate in &mut listing.candidates {
            let Details::Known(known) = &mut candidate.details else { continue };
            known.first_seen = Some(memory::first_seen(watch, known, self.now, self.first_look));
        }
    }
}

/// Holds a followed tag at what a person put in place, until it points at another image than the one that was taken back.
fn hold_digest(decision: Decision, held_back: Option<&(String, Timestamp)>) -> Decision {
    let taken = held_back.and_then(|(text, _)| version(text)?.digest);
    match &decision.outcome {
        Outcome::Move(choice @ Choice { digest: Some(digest), .. }) if taken.as_ref() == Some(digest) => {
            let message = format!(
                "`{}` was taken back by hand; it is held until `{}` points at another image",
                digest, choice.tag
            );
            let outcome =
                Outcome::Hold { choice: choice.clone(), reason: Reason::RolledBackByHand, message, until: None };
            Decision { outcome, ..decision }
        }
        _ => decision,
    }
}

fn question(image: &Image) -> Question<'_> {
    Question {
        repository: &image.reference.repository,
        credentials: image.credentials.as_ref(),
        platforms: &image.rule.platforms,
        dates: image.rule.needs_dates() || !image.rule.platforms.is_empty(),
    }
}

/// Whether the destination holds a version that was written: the same digest where both name one, else the same tag.
pub(super) fn holds(current: &Current, text: &str) -> bool {
    version(text).is_some_and(|version| match (&current.digest, &version.digest) {
        (Some(one), Some(other)) => one == other,
        _ => current.tag.is_some() && current.tag == version.tag,
    })
}

/// The present version, with the tag that Fairlead wrote beside it where the destination has room for the digest alone.
fn named(current: &Current, remembered: &Remembered) -> Current {
    let written = remembered.written.as_deref().filter(|written| current.tag.is_none() && holds(current, written));
    Current { tag: current.tag.clone().or_else(|| version(written?)?.tag), digest: current.digest.clone() }
}

/// When a wait is over, rounded up to ten seconds: looks that share a wait name one moment.
pub fn end_of(wait: Duration, now: Timestamp) -> Option<Timestamp> {
    let end = now.checked_add(SignedDuration::try_from(wait).ok()?).ok()?;
    let second = end.as_second() + i64::from(end.subsec_nanosecond() > 0);
    Timestamp::from_second(second.checked_add(9)?.div_euclid(10) * 10).ok()
}

/// Why a registry's answer decides nothing, as a problem.
pub fn problem(error: &RegistryError) -> Problem {
    Problem::new(error.reason, error.message.clone())
}
