//! The images behind tags: digests, platforms, build dates.
//!
//! What is addressed by digest never changes, so it is read once and kept, within a bound of memory. It is kept by
//! repository; who may see it is decided before, by resolving a tag with one's own login.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, StatusCode};
use moka::future::Cache;

use super::failure::Failure;
use super::manifest::{ACCEPT, Build, Entry, Manifest, Trust, digest_of, matches, read, read_config, read_labels};
use super::observe::RequestKind;
use super::session::Session;
use super::transport::{Answer, Request};
use crate::model::{Details, Digest, Known, Platform, Repository, Tag};
use crate::ports::Labels;

const BYTES_KEPT: u64 = 64 * 1024 * 1024;
const KEPT_UNUSED: Duration = Duration::from_secs(24 * 3600);
const PLATFORMS_AT_ONCE: usize = 4;
/// Labels are kept of what was chosen alone.
const LABELS_KEPT: u64 = 2_000;
/// An index, an index in it, and an image.
const DEEPEST_IMAGE: usize = 3;

/// What is known of the content of repositories.
#[derive(Clone)]
pub(super) struct Images {
    facts: Cache<(Repository, Digest), Arc<Fact>>,
    labels: Cache<(Repository, Digest, Vec<Platform>), Arc<Labels>>,
}

/// What is known of one manifest.
#[derive(Debug)]
enum Fact {
    Image(Build),
    Index(Vec<Entry>),
    NotAnImage(String),
}

/// What a tag points at, with the manifest where it was read on the way.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) digest: Digest,
    pub(super) manifest: Option<Arc<Manifest>>,
}

/// The digest that a tag points at, with as little traffic as the registry allows. `None` when there is no such tag.
pub(super) async fn resolve(
    session: &Session,
    repository: &Repository,
    tag: &Tag,
) -> Result<Option<Resolved>, Failure> {
    let answer = session.ask(repository, manifest_request(session, repository, tag.as_str(), Method::HEAD)).await?;
    let digest = answer.header("docker-content-digest").and_then(|text| text.parse().ok());
    match (answer.status, digest) {
        (StatusCode::OK, Some(digest)) => Ok(Some(Resolved { digest, manifest: None })),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => answer.success("the registry").map(|_| None),
        // No digest; or no such tag, which only a body says for sure; or a registry that knows no HEAD.
        _ => fetch(session, repository, tag).await,
    }
}

/// What a tag points at, with its manifest. `None` when there is no such tag.
pub(super) async fn fetch(session: &Session, repository: &Repository, tag: &Tag) -> Result<Option<Resolved>, Failure> {
    match fetch_manifest(session, repository, tag.as_str(), None).await {
        Ok((digest, manifest)) => Ok(Some(Resolved { digest, manifest: Some(Arc::new(manifest)) })),
        Err(failure) if failure.missing => Ok(None),
        Err(failure) => Err(failure),
    }
}

impl Images {
    pub(super) fn new() -> Self {
        let weight = |_: &(Repository, Digest), fact: &Arc<Fact>| match &**fact {
            Fact::Image(_) | Fact::NotAnImage(_) => 400,
            Fact::Index(entries) => 400 + 200 * u32::try_from(entries.len()).unwrap_or(u32::MAX / 400),
        };
        let facts = Cache::builder().max_capacity(BYTES_KEPT).weigher(weight).time_to_idle(KEPT_UNUSED).build();
        let labels = Cache::builder().max_capacity(LABELS_KEPT).time_to_idle(KEPT_UNUSED).build();
        Self { facts, labels }
    }

    /// The labels of an image; of one for several platforms those of the first wanted one. Empty where it is no image.
    pub(super) async fn labels(
        &self,
        session: &Session,
        repository: &Repository,
        resolved: Resolved,
        wanted: &[Platform],
    ) -> Result<Arc<Labels>, Failure> {
        let key = (repository.clone(), resolved.digest.clone(), wanted.to_vec());
        let labels = self.labels.try_get_with(key, read_image_labels(session, repository, resolved, wanted)).await;
        labels.map_err(|failure: Arc<Failure>| (*failure).clone())
    }

    /// The platforms and build dates of an image, for the wanted platforms, or for all where none is wanted.
    ///
    /// Where an image of several platforms has none of the wanted ones, those that it has are named without a date.
    pub(super) async fn details(
        &self,
        session: &Session,
        repository: &Repository,
        resolved: Resolved,
        wanted: &[Platform],
    ) -> Result<Details, Failure> {
        let Resolved { digest, manifest } = resolved;
        let fact = match self.fact(session, repository, &digest, manifest).await {
            Err(failure) if failure.missing => {
                return Ok(Details::NotAnImage("a part of it is missing in the registry".to_owned()));
            }
            other => other?,
        };
        let builds = match &*fact {
            Fact::NotAnImage(what) => return Ok(Details::NotAnImage(what.clone())),
            Fact::Image(build) => vec![(build.platform.clone(), build.created)],
            Fact::Index(entries) => {
                let entries = self.flat(session, repository, entries).await?;
                let (asked, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_wanted(entry, wanted));
                let builds = self.builds(session, repository, &asked).await?;
                if builds.is_empty() {
                    rest.into_iter().filter_map(|entry| entry.platform).map(|platform| (platform, None)).collect()
                } else {
                    builds
                }
            }
        };
        if builds.is_empty() {
            return Ok(Details::NotAnImage("an index without an image for any platform".to_owned()));
        }
        Ok(Details::Known(Known { digest, builds, pushed: None, first_seen: None }))
    }

    /// The entries of an index, with those of indexes in it in their place; one level deep.
    async fn flat(&self, session: &Session, repository: &Repository, entries: &[Entry]) -> Result<Vec<Entry>, Failure> {
        let mut flat = Vec::with_capacity(entries.len());
        for entry in entries {
            if !entry.is_index {
                flat.push(entry.clone());
                continue;
            }
            match self.fact(session, repository, &entry.digest, None).await {
                Ok(fact) => match &*fact {
                    Fact::Index(inner) => flat.extend(inner.iter().filter(|entry| !entry.is_index).cloned()),
                    Fact::Image(_) | Fact::NotAnImage(_) => {}
                },
                Err(failure) if failure.missing => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(flat)
    }

    /// The builds of some entries of an index, without those that are missing or no image.
    async fn builds(
        &self,
        session: &Session,
        repository: &Repository,
        entries: &[Entry],
    ) -> Result<Vec<(Platform, Option<jiff::Timestamp>)>, Failure> {
        let build = |entry: Entry| async move {
            match self.fact(session, repository, &entry.digest, None).await {
                Ok(fact) => Ok(match &*fact {
                    Fact::Image(build) => {
                        Some((entry.platform.unwrap_or_else(|| build.platform.clone()), build.created))
                    }
                    Fact::Index(_) | Fact::NotAnImage(_) => None,
                }),
                Err(failure) if failure.missing => Ok(None),
                Err(failure) => Err(failure),
            }
        };
        let builds = stream::iter(entries.to_vec()).map(build).buffered(PLATFORMS_AT_ONCE);
        builds.try_filter_map(|build| std::future::ready(Ok(build))).try_collect().await
    }

    /// What is known of a manifest; read once however many ask.
    async fn fact(
        &self,
        session: &Session,
        repository: &Repository,
        digest: &Digest,
        manifest: Option<Arc<Manifest>>,
    ) -> Result<Arc<Fact>, Failure> {
        let load = async {
            let manifest = match manifest {
                Some(manifest) => (*manifest).clone(),
                None => fetch_manifest(session, repository, digest.as_str(), Some(digest)).await?.1,
            };
            Ok::<_, Failure>(Arc::new(match manifest {
                Manifest::NotAnImage(what) => Fact::NotAnImage(what),
                Manifest::Index(entries) => Fact::Index(entries),
                Manifest::Image { config } => {
                    let body = fetch_config(session, repository, &config).await?;
                    let unreadable = || Fact::NotAnImage("its configuration cannot be read".to_owned());
                    read_config(&body).map_or_else(unreadable, Fact::Image)
                }
            }))
        };
        let key = (repository.clone(), digest.clone());
        self.facts.try_get_with(key, load).await.map_err(|failure: Arc<Failure>| (*failure).clone())
    }
}

async fn read_image_labels(
    session: &Session,
    repository: &Repository,
    resolved: Resolved,
    wanted: &[Platform],
) -> Result<Arc<Labels>, Failure> {
    let Resolved { mut digest, mut manifest } = resolved;
    for _ in 0..DEEPEST_IMAGE {
        let known = match manifest.take() {
            Some(manifest) => (*manifest).clone(),
            None => fetch_manifest(session, repository, digest.as_str(), Some(&digest)).await?.1,
        };
        match known {
            Manifest::NotAnImage(_) => break,
            Manifest::Image { config } => {
                return Ok(Arc::new(read_labels(&fetch_config(session, repository, &config).await?)));
            }
            Manifest::Index(entries) => {
                let first = entries.iter().find(|entry| is_wanted(entry, wanted)).or_else(|| entries.first());
                let Some(first) = first else { break };
                digest = first.digest.clone();
            }
        }
    }
    Ok(Arc::default())
}

fn is_wanted(entry: &Entry, wanted: &[Platform]) -> bool {
    let accepted = |platform: &Platform| wanted.iter().any(|wanted| wanted.accepts(platform));
    wanted.is_empty() || entry.platform.as_ref().is_none_or(accepted)
}

fn manifest_request(session: &Session, repository: &Repository, reference: &str, method: Method) -> Request {
    let kind = if method == Method::HEAD { RequestKind::Head } else { RequestKind::Manifest };
    let url = session.host.url(&format!("{}/manifests/{reference}", repository.path));
    Request { method, accept: Some(ACCEPT), ..Request::get(kind, url, session.limits.manifest) }
}

async fn fetch_manifest(
    session: &Session,
    repository: &Repository,
    reference: &str,
    expected: Option<&Digest>,
) -> Result<(Digest, Manifest), Failure> {
    let request = manifest_request(session, repository, reference, Method::GET);
    let answer = found(session.ask(repository, request).await?)?;
    let stated = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    for digest in expected.into_iter().chain(stated.as_ref()) {
        if !matches(digest, &answer.body) {
            return Err(Failure::unreadable(format!("the manifest does not match its digest `{digest}`")));
        }
    }
    let trust = if expected.is_some() || stated.is_some() { Trust::Verified } else { Trust::Unverified };
    let manifest = read(answer.media_type().as_deref(), &answer.body, trust)?;
    let digest = expected.cloned().or(stated).or_else(|| digest_of(&answer.body));
    Ok((digest.ok_or_else(|| Failure::unreadable("the manifest has no digest"))?, manifest))
}

async fn fetch_config(session: &Session, repository: &Repository, digest: &Digest) -> Result<bytes::Bytes, Failure> {
    let url = session.host.url(&format!("{}/blobs/{digest}", repository.path));
    let request = Request::get(RequestKind::Config, url, session.limits.config);
    let answer = found(session.ask(repository, request).await?)?;
    if !matches(digest, &answer.body) {
        return Err(Failure::unreadable(format!("the image configuration does not match its digest `{digest}`")));
    }
    Ok(answer.body)
}

/// The answer if it is one. A web page that says "not found" does not come from the registry, and says nothing.
fn found(answer: Answer) -> Result<Answer, Failure> {
    let page = answer.status == StatusCode::NOT_FOUND && answer.media_type().as_deref() == Some("text/html");
    if page {
        return Err(Failure::unreadable("a web page instead of the registry answers 404 Not Found"));
    }
    answer.success("the registry")
}
