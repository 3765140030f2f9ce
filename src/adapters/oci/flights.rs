//! One request for all who ask the same at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use jiff::Timestamp;

use super::failure::Failure;
use crate::model::Reason;

/// Work under way, by what it is for.
///
/// # Guarantees
///
/// - Work goes on when those who wait for it are gone; its result is not lost.
/// - A failure is shared by those who waited for it, and by nobody after them.
/// - Who wants a result not older than a time gets one from work that began after that time.
pub(super) struct Flights<K, V> {
    running: Mutex<HashMap<K, Flight<V>>>,
}

struct Flight<V> {
    began: Timestamp,
    result: Shared<BoxFuture<'static, Result<V, Failure>>>,
}

/// How a result was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It was known, or under way.
    Shared,
    /// It was fetched for this caller.
    Fetched,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The known value, or that of work that is under way, or that of new work.
    ///
    /// `known` is asked, and `start` begun, while nobody else can begin the same. `start` is told the time and must make the
    /// value known before it ends, so that nobody finds neither the work nor its value.
    pub(super) async fn join(
        self: &Arc<Self>,
        key: &K,
        fresh_since: Timestamp,
        now: impl Fn() -> Timestamp,
        known: impl Fn() -> Option<V>,
        start: impl Fn(Timestamp) -> BoxFuture<'static, Result<V, Failure>>,
    ) -> (Result<V, Failure>, Source) {
        loop {
            let (result, source, enough) = {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(value) = known() {
                    return (Ok(value), Source::Shared);
                }
                if let Some(flight) = running.get(key) {
                    (flight.result.clone(), Source::Shared, flight.began >= fresh_since)
                } else {
                    let began = now();
                    let result = self.spawn(key.clone(), start(began));
                    running.insert(key.clone(), Flight { began, result: result.clone() });
                    (result, Source::Fetched, true)
                }
            };
            let value = result.await;
            if enough {
                return (value, source);
            }
        }
    }

    fn spawn(
        self: &Arc<Self>,
        key: K,
        work: BoxFuture<'static, Result<V, Failure>>,
    ) -> Shared<BoxFuture<'static, Result<V, Failure>>> {
        let landing = Landing { flights: Arc::clone(self), key };
        let task = tokio::spawn(async move {
            let _landing = landing;
            work.await
        });
        let stopped = || Err(Failure::new(Reason::RegistryFailed, "the request was given up"));
        task.map(move |result| result.unwrap_or_else(|_| stopped())).boxed().shared()
    }
}

/// Takes a flight off the list when its work ends, in whatever way.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn later(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    }

    #[tokio::test]
    async fn those_who_wait_share_one_failure_and_who_comes_later_does_not() {
        let flights = Arc::new(Flights::<(), u32>::default());
        let count = Arc::new(AtomicU32::new(0));
        let ask = || {
            let count = Arc::clone(&count);
            let work = move |_| {
                let count = Arc::clone(&count);
                async move {
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Err(Failure::cut_off())
                }
                .boxed()
            };
            let flights = Arc::clone(&flights);
            async move { flights.join(&(), NOW, || NOW, || None, work).await }
        };
        let results = join_all((0..50).map(|_| ask())).await;
        assert!(results.iter().all(|(result, _)| *result == Err(Failure::cut_off())));
        assert_eq!(results.iter().filter(|(_, source)| *source == Source::Fetched).count(), 1);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(ask().await.1, Source::Fetched);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn work_that_began_too_early_is_waited_for_and_done_again_once() {
        let flights = Arc::new(Flights::<(), u32>::default());
        let gate = Arc::new(Notify::new());
        let held = Arc::clone(&gate);
        let early = flights.join(
            &(),
            NOW,
            || NOW,
            || None,
            move |_| {
                let held = Arc::clone(&held);
                async move {
                    held.notified().await;
                    Ok(1)
                }
                .boxed()
            },
        );
        let count = Arc::new(AtomicU32::new(0));
        let late = || {
            let count = Arc::clone(&count);
            flights.join(
                &(),
                later(5),
                || later(6),
                || None,
                move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    async {
                        tokio::task::yield_now().await;
                        Ok(2)
                    }
                    .boxed()
                },
            )
        };
        let release = async {
            tokio::task::yield_now().await;
            gate.notify_one();
        };
        let (early, late, ()) = futures::join!(early, join_all((0..10).map(|_| late())), release);
        assert_eq!(early, (Ok(1), Source::Fetched));
        assert!(late.iter().all(|(result, _)| *result == Ok(2)));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_any_more() {
        let flights = Arc::new(Flights::<(), u32>::default());
        let (send, receive) = tokio::sync::oneshot::channel();
        let send = Mutex::new(Some(send));
        let work = move |_| {
            let send = send.lock().unwrap_or_else(PoisonError::into_inner).take();
            async move {
                tokio::task::yield_now().await;
                send.map(|send| send.send(7)).transpose().map_err(|_| Failure::cut_off())?;
                Ok(7)
            }
            .boxed()
        };
        {
            let waiting = flights.join(&(), NOW, || NOW, || None, work);
            assert!(waiting.now_or_never().is_none());
        }
        assert_eq!(receive.await, Ok(7));
    }
}
