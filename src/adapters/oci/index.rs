//! One index of repositories for all policies: who asks the same shares the answer.
//!
//! What is shared belongs to one repository *and one login*. Nobody sees what was read with another's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;

use super::credentials::Identity;
use super::failure::Failure;
use super::flights::{Flights, Source};
use super::host::Endpoint;
use super::images::{Images, Resolved, fetch, resolve};
use super::memory::Memory;
use super::pages;
use super::session::Session;
use crate::model::{Candidate, Details, Digest, Known, Listing, Platform, Reason, Repository, Tag};
use crate::ports::{Clock, Labels, Question};

const REPOSITORIES_KEPT: u64 = 10_000;
const KEPT_UNUSED: Duration = Duration::from_secs(24 * 3600);
/// More than a registry is asked at a time, so that its own bound is what holds.
const TAGS_AT_ONCE: usize = 16;
/// How long a denial answers everybody who asks with the same login: the policies of one cycle, and not those of the next.
const DENIAL_KEPT: SignedDuration = SignedDuration::from_secs(5);

/// The index.
pub(super) struct Index {
    clock: Arc<dyn Clock>,
    images: Images,
    records: Cache<(Arc<Endpoint>, Repository, Identity), Arc<Record>>,
}

/// One repository under one login.
#[derive(Default)]
struct Record {
    memory: Mutex<Memory>,
    listings: Arc<Flights<(), Arc<Listing>>>,
    resolutions: Arc<Flights<Tag, Option<Resolved>>>,
    /// That the login may not see the list, and when it was told so.
    denied: Mutex<Option<(Failure, Timestamp)>>,
}

/// A failure, and the tag that was looked at.
pub(super) type TagFailure = (Tag, Failure);

impl Index {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let records = Cache::builder().max_capacity(REPOSITORIES_KEPT).time_to_idle(KEPT_UNUSED).build();
        Self { clock, images: Images::new(), records }
    }

    /// All tags of a repository, no older than `fresh_since`.
    pub(super) async fn tags(
        &self,
        session: &Arc<Session>,
        repository: &Repository,
        fresh_since: Timestamp,
    ) -> Result<Arc<Listing>, Failure> {
        let record = self.record(session, repository).await;
        if let Some(denied) = record.denied(self.clock.now()) {
            return Err(denied);
        }
        let known = || record.memory().listing(fresh_since);
        let start = |began: Timestamp| {
            let (record, session, repository) = (Arc::clone(&record), Arc::clone(session), repository.clone());
            async move {
                let (known, conditional) = record.memory().pages(began);
                let found = pages::list(&session, &repository, &known, conditional).await;
                let found = found.inspect_err(|failure| record.remember_denial(failure, began))?;
                Ok(record.memory().remember(found, began, !conditional))
            }
            .boxed()
        };
        let (result, source) = record.listings.join(&(), fresh_since, || self.clock.now(), known, start).await;
        if source == Source::Shared && result.is_ok() {
            session.transport.avoided(&session.host.name);
        }
        result
    }

    /// The candidates for some tags with their details.
    pub(super) async fn details(
        &self,
        session: &Arc<Session>,
        question: &Question<'_>,
        tags: &[Tag],
        fresh_since: Timestamp,
    ) -> Result<Vec<Candidate>, TagFailure> {
        let record = self.record(session, question.repository).await;
        let due = record.memory().due(tags, fresh_since, question.dates);
        let candidates = tags.iter().zip(due).map(|(tag, fresh_since)| {
            let look = Look { index: self, record: Arc::clone(&record), session: Arc::clone(session), fresh_since };
            let (tag, platforms, dates) = (tag.clone(), question.platforms.to_vec(), question.dates);
            let repository = question.repository.clone();
            async move { look.candidate(&repository, &tag, &platforms, dates).await.map_err(|failure| (tag, failure)) }
        });
        let candidates: Vec<_> = candidates.collect();
        let found = stream::iter(candidates).buffered(TAGS_AT_ONCE);
        found.try_filter_map(|candidate| std::future::ready(Ok(candidate))).try_collect().await
    }

    /// The labels of the image behind a tag; none where the tag is gone.
    pub(super) async fn labels(
        &self,
        session: &Arc<Session>,
        question: &Question<'_>,
        tag: &Tag,
        fresh_since: Timestamp,
    ) -> Result<Arc<Labels>, Failure> {
        let record = self.record(session, question.repository).await;
        let look = Look { index: self, record, session: Arc::clone(session), fresh_since };
        match look.resolved(question.repository, tag, true).await? {
            None => Ok(Arc::default()),
            Some(resolved) => self.images.labels(session, question.repository, resolved, question.platforms).await,
        }
    }

    async fn record(&self, session: &Session, repository: &Repository) -> Arc<Record> {
        let key = (Arc::clone(&session.host.endpoint), repository.clone(), session.identity);
        self.records.get_with(key, std::future::ready(Arc::default())).await
    }
}

impl Record {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was told a moment ago to a login that may not see the list. Another login has another record.
    fn denied(&self, now: Timestamp) -> Option<Failure> {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = denied.as_ref().filter(|(_, at)| now.duration_since(*at) < DENIAL_KEPT);
        recent.map(|(failure, _)| failure.clone())
    }

    fn remember_denial(&self, failure: &Failure, at: Timestamp) {
        if failure.reason == Reason::RegistryDenied {
            *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some((failure.clone(), at));
        }
    }
}

/// One look at one tag.
struct Look<'a> {
    index: &'a Index,
    record: Arc<Record>,
    session: Arc<Session>,
    fresh_since: Timestamp,
}

impl Look<'_> {
    /// `None` when the tag is gone.
    async fn candidate(
        &self,
        repository: &Repository,
        tag: &Tag,
        platforms: &[Platform],
        dates: bool,
    ) -> Result<Option<Candidate>, Failure> {
        let Some(resolved) = self.resolved(repository, tag, dates).await? else { return Ok(None) };
        let details = if dates {
            self.index.images.details(&self.session, repository, resolved, platforms).await?
        } else {
            only_digest(resolved.digest)
        };
        Ok(Some(Candidate { tag: tag.clone(), details }))
    }

    async fn resolved(&self, repository: &Repository, tag: &Tag, dates: bool) -> Result<Option<Resolved>, Failure> {
        let known = || {
            let digest = self.record.memory().resolution(tag, self.fresh_since)?;
            Some(Some(Resolved { digest, manifest: None }))
        };
        let start = |began: Timestamp| {
            let (record, session) = (Arc::clone(&self.record), Arc::clone(&self.session));
            let (repository, tag) = (repository.clone(), tag.clone());
            // A new tag whose date is wanted needs its manifest anyway; one that is known has most likely not moved.
            let whole = dates && !record.memory().knows(&tag);
            async move {
                let resolved = if whole {
                    fetch(&session, &repository, &tag).await?
                } else {
                    resolve(&session, &repository, &tag).await?
                };
                let digest = resolved.as_ref().map(|resolved| resolved.digest.clone());
                record.memory().remember_resolution(&tag, digest, began);
                Ok(resolved)
            }
            .boxed()
        };
        let now = || self.index.clock.now();
        let (result, source) = self.record.resolutions.join(tag, self.fresh_since, now, known, start).await;
        if source == Source::Shared && result.is_ok() {
            self.session.transport.avoided(&self.session.host.name);
        }
        result
    }
}

fn only_digest(digest: Digest) -> Details {
    Details::Known(Known { digest, builds: Vec::new(), pushed: None, first_seen: None })
}
