//! Keeps the index of Applications current: a list, then the stream of changes; from the beginning again and again.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::http::{Api, Failure};
use super::read::{self, Listed, News, Seen};
use crate::adapters::kubernetes::IndexFeed;
use crate::model::Application;

/// News that wait while a list is read. When there are more, the server keeps them.
const WAITING: usize = 1024;
/// No line of the stream is longer.
const MAXIMUM_LINE: usize = 64 * 1024 * 1024;
/// The version from which a stream tells only what is new.
const FROM_NOW: &str = "0";

/// Follows the Applications of some namespaces.
pub(super) struct Follower {
    api: Arc<Api>,
    feed: IndexFeed,
    /// `None`: all.
    namespaces: Vec<Option<String>>,
    /// The version of the last list.
    version: String,
    listed: Option<Instant>,
    trouble: Option<Trouble>,
    empty: bool,
}

/// What does not work at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    List,
    Stream,
}

/// How a stream came to its end.
enum End {
    /// Everything is to be listed anew.
    Due,
    /// The server, or something on the way, ended it.
    Closed,
}

impl Follower {
    pub(super) fn new(api: Arc<Api>, feed: IndexFeed, namespaces: &[Option<String>]) -> Self {
        let version = FROM_NOW.to_owned();
        Self { api, feed, namespaces: namespaces.to_vec(), version, listed: None, trouble: None, empty: false }
    }

    /// Follows for ever.
    pub(super) async fn run(mut self) {
        let timings = self.api.timings;
        let mut pause = timings.first_pause;
        loop {
            let begun = Instant::now();
            match self.connection().await {
                Ok(End::Due) => {
                    self.works();
                    pause = timings.first_pause;
                    continue;
                }
                Ok(End::Closed) => tracing::debug!("the stream of Applications has ended; it is taken up again"),
                Err((trouble, failure)) => self.fails(trouble, failure),
            }
            // Something on the way that ends every stream soon must not make us list again and again.
            if begun.elapsed() >= timings.longest_pause {
                pause = timings.first_pause;
            }
            sleep(spread(pause)).await;
            pause = (pause * 2).min(timings.longest_pause);
        }
    }

    /// One list, and what the stream says until it ends or another list is due.
    ///
    /// The stream is asked for first: what changes while the list is read comes behind it.
    async fn connection(&mut self) -> Result<End, (Trouble, Failure)> {
        let due = Instant::now() + self.api.timings.resync;
        let (sender, mut news) = mpsc::channel(WAITING);
        let mut reading = JoinSet::new();
        reading.spawn(stream(Arc::clone(&self.api), self.version.clone(), sender));
        self.list().await.map_err(|failure| (Trouble::List, failure))?;
        if self.trouble == Some(Trouble::List) {
            self.works();
        }
        loop {
            tokio::select! {
                () = sleep_until(due) => return Ok(End::Due),
                item = news.recv() => match item {
                    Some(Ok(news)) => {
                        self.works();
                        self.take(news);
                    }
                    Some(Err(failure)) => return Err((Trouble::Stream, failure)),
                    None => return Ok(End::Closed),
                },
            }
        }
    }

    async fn list(&mut self) -> Result<(), Failure> {
        let one = match self.namespaces.as_slice() {
            [Some(namespace)] => vec![("appNamespace", namespace.as_str())],
            _ => Vec::new(),
        };
        let url = self.api.url(&["applications"], &one);
        let bytes = self.api.get(url, self.api.timings.list).await?;
        let Listed { version, items } = read::list(&bytes).map_err(|cause| self.api.strange(&cause))?;
        drop(bytes);
        if items.is_empty() && !self.empty {
            tracing::warn!(
                "Argo CD shows no Application: there is none, or the account of the token may not `get` any"
            );
        }
        self.empty = items.is_empty();
        let ours = items.into_iter().filter(|seen| covers(&self.namespaces, seen));
        self.feed.replace(ours.map(|Seen { id, entry }| (id, entry)));
        self.version = if version.is_empty() { FROM_NOW.to_owned() } else { version };
        self.listed = Some(Instant::now());
        Ok(())
    }

    /// Takes over what is newer than what is known.
    fn take(&self, news: News) {
        match news {
            News::Is(seen) if covers(&self.namespaces, &seen) => {
                let known = self.feed.known(&seen.id);
                if known.is_none_or(|known| !is_older(&seen, &known)) {
                    self.feed.apply(&seen.id, &seen.entry);
                }
            }
            News::Gone(seen) => {
                let known = self.feed.known(&seen.id);
                let same = |known: &Application| seen.entry.as_ref().is_ok_and(|gone| gone.uid == known.uid);
                // Another one of that name may have been listed already.
                if known.is_none_or(|known| same(&known)) {
                    self.feed.remove(&seen.id);
                }
            }
            News::Is(_) => {}
        }
    }

    /// Says once that it works again.
    fn works(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the Applications are followed again through Argo CD's API");
        }
    }

    /// Says once that it does not work. What is known stays in use for a while, unless we are not to know it any more.
    fn fails(&mut self, trouble: Trouble, failure: Failure) {
        if self.trouble.is_none() {
            let what = match trouble {
                Trouble::List => "cannot list the Applications through Argo CD's API",
                Trouble::Stream => {
                    "cannot follow the Applications through Argo CD's API; they are listed again and again"
                }
            };
            tracing::warn!(cause = failure.cause, "{what}: {}", failure.cause);
        }
        self.trouble = Some(trouble);
        let stale = self.listed.is_none_or(|at| at.elapsed() >= self.api.timings.stale);
        if stale || failure.is_denied() {
            self.feed.fail(failure.of_reading("the Applications"));
        }
    }
}

/// Reads the stream and passes it on, until it ends or nobody listens.
async fn stream(api: Arc<Api>, version: String, sender: mpsc::Sender<Result<News, Failure>>) {
    if let Err(failure) = pass_on(&api, &version, &sender).await {
        // Nobody listens when everything is listed anew already.
        let _ = sender.send(Err(failure)).await;
    }
}

async fn pass_on(api: &Api, version: &str, sender: &mpsc::Sender<Result<News, Failure>>) -> Result<(), Failure> {
    let mut response = api.stream(api.url(&["stream", "applications"], &[("resourceVersion", version)])).await?;
    let (mut rest, mut searched) = (Vec::new(), 0);
    while let Some(piece) = response.chunk().await.map_err(|error| api.cut_off(&error))? {
        rest.extend_from_slice(&piece);
        while let Some(length) = rest[searched..].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=searched + length).collect();
            searched = 0;
            if let Some(news) = read::news(&line)?
                && sender.send(Ok(news)).await.is_err()
            {
                return Ok(());
            }
        }
        searched = rest.len();
        if rest.len() > MAXIMUM_LINE {
            return Err(Failure::new(format!("a line of the stream is longer than {MAXIMUM_LINE} bytes")));
        }
    }
    // What came without an end of line is an error more often than news.
    match read::news(&rest)? {
        Some(news) => sender.send(Ok(news)).await.map_err(|_| Failure::new("nobody listens")),
        None => Ok(()),
    }
}

fn covers(namespaces: &[Option<String>], seen: &Seen) -> bool {
    namespaces.iter().any(|namespace| namespace.as_ref().is_none_or(|namespace| *namespace == seen.id.namespace))
}

/// Whether what is seen was so before what is known. Versions are numbers that grow, for Argo CD itself as well.
fn is_older(seen: &Seen, known: &Application) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    let seen = seen.entry.as_ref().ok().and_then(|seen| number(&seen.resource_version));
    matches!((seen, number(&known.resource_version)), (Some(seen), Some(known)) if seen < known)
}

/// Up to a tenth more, so that several who lost the same server do not come back at once.
fn spread(pause: Duration) -> Duration {
    pause + pause.mul_f64(rand::rng().random_range(0.0..0.1))
}
