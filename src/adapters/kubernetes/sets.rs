//! ApplicationSets, asked for by name: few of them, and only where an Application says that one made it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use kube::api::Api;
use tokio::time::Instant;

use super::{code, words};
use crate::api;
use crate::lower;
use crate::model::ApplicationSet;

/// How long an answer counts, so that a busy fleet does not ask for one set at every look.
const FRESH: Duration = Duration::from_secs(10);

/// What a set does to its Applications, or why that cannot be said.
type Answer = Result<ApplicationSet, String>;

/// Answers that still count, by namespace and name of the set.
#[derive(Default)]
pub(in crate::adapters) struct RecentSets(Mutex<HashMap<(String, String), (Instant, Answer)>>);

/// Asks for ApplicationSets.
pub(super) struct ApplicationSetReader {
    client: Client,
    recent: RecentSets,
}

impl RecentSets {
    /// The last answer while it counts, else the one that `ask` gives.
    pub(in crate::adapters) async fn answer(
        &self,
        namespace: &str,
        name: &str,
        ask: impl Future<Output = Answer>,
    ) -> Answer {
        let key = (namespace.to_owned(), name.to_owned());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, answer)) = known.filter(|(asked, _)| asked.elapsed() < FRESH) {
            return answer;
        }
        let answer = ask.await;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (asked, _)| asked.elapsed() < FRESH);
        known.insert(key, (Instant::now(), answer.clone()));
        answer
    }
}

impl ApplicationSetReader {
    pub(super) fn new(client: Client) -> Self {
        Self { client, recent: RecentSets::default() }
    }

    /// What a set does to its Applications, or why that cannot be said.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Answer {
        let api: Api<api::ApplicationSet> = Api::namespaced(self.client.clone(), namespace);
        let ask = async {
            match api.get(name).await {
                Ok(set) => Ok(lower::application_set(&set)),
                Err(error) if code(&error) == 403 => Err(format!("not allowed to read it: {}", words(&error))),
                Err(error) => Err(words(&error)),
            }
        };
        self.recent.answer(namespace, name, ask).await
    }
}
