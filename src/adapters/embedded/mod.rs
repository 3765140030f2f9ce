//! A small OCI registry in this process, on loopback: for the demo, and for tests.
//!
//! It serves the read side of the distribution protocol over plain HTTP, without a login, from memory; images are put in by
//! [`Registry::push`]. It answers as it should: for faults there are servers in `tests/support`.

mod content;
mod server;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use self::content::Repository;
use crate::model::{Digest, Platform};

/// A running registry. It stops when it is dropped.
pub struct Registry {
    host: String,
    state: Arc<State>,
    server: AbortHandle,
}

/// An image to be pushed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// When it was built; without one, its configuration states none.
    pub created: Option<Timestamp>,
    /// The platforms it is built for. None: `linux/amd64` alone. More than one: an index, with an attestation beside each
    /// image, as usual builders write them.
    pub platforms: Vec<Platform>,
    /// Labels of its configuration.
    pub labels: BTreeMap<String, String>,
}

/// How many requests were answered, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `/v2/`.
    pub pings: u64,
    /// Pages of tags.
    pub tags: u64,
    /// Manifests, their head alone.
    pub heads: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs, with and without their bodies.
    pub blobs: u64,
}

#[derive(Default)]
struct State {
    repositories: Mutex<BTreeMap<String, Repository>>,
    pings: AtomicU64,
    tags: AtomicU64,
    heads: AtomicU64,
    manifests: AtomicU64,
    blobs: AtomicU64,
}

impl Registry {
    /// Starts a registry on a free port of loopback. Needs a tokio runtime.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let host = listener.local_addr()?.to_string();
        let state = Arc::new(State::default());
        let router = server::router(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { host, state, server })
    }

    /// Where it listens, as image references name it: `127.0.0.1:PORT`. To be spoken to over plain HTTP.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Puts an image in, and makes the tag point at it. Gives the digest that the tag has now.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> Digest {
        self.change(repository, |content| content.push(tag, image))
    }

    /// Takes a tag away; what it pointed at stays.
    pub fn untag(&self, repository: &str, tag: &str) {
        self.change(repository, |content| content.untag(tag));
    }

    /// How many requests were answered so far.
    pub fn counts(&self) -> Counts {
        let State { repositories: _, pings, tags, heads, manifests, blobs } = &*self.state;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            pings: read(pings),
            tags: read(tags),
            heads: read(heads),
            manifests: read(manifests),
            blobs: read(blobs),
        }
    }

    fn change<T>(&self, repository: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        let mut repositories = self.state.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        change(repositories.entry(repository.to_owned()).or_default())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}
