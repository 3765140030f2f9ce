//! A registry in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{Candidate, Details, Listing, Reason, Repository, Tag};
use crate::ports::{Question, Registry, RegistryError};

/// Repositories and their tags; counts what it is asked.
#[derive(Default)]
pub struct MemoryRegistry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<Repository, BTreeMap<Tag, Details>>,
    failures: BTreeMap<Repository, RegistryError>,
    incomplete: BTreeMap<Repository, String>,
    lists: usize,
    details: usize,
    broken: bool,
}

impl MemoryRegistry {
    /// Puts an image under a tag.
    pub fn push(&self, repository: &Repository, tag: Tag, details: Details) {
        self.state().repositories.entry(repository.clone()).or_default().insert(tag, details);
    }

    /// Takes a tag away.
    pub fn remove(&self, repository: &Repository, tag: &Tag) {
        self.state().repositories.entry(repository.clone()).or_default().remove(tag);
    }

    /// Answers every question about a repository with `error`, or properly again.
    pub fn fail(&self, repository: &Repository, error: Option<RegistryError>) {
        let mut state = self.state();
        match error {
            Some(error) => state.failures.insert(repository.clone(), error),
            None => state.failures.remove(repository),
        };
    }

    /// Says of a repository's list that it may lack tags.
    pub fn cut(&self, repository: &Repository, why: &str) {
        self.state().incomplete.insert(repository.clone(), why.to_owned());
    }

    /// Fails every question for details, or answers again.
    pub fn fail_details(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// How many lists, and how many details of tags, were asked for.
    pub fn asked(&self) -> (usize, usize) {
        let state = self.state();
        (state.lists, state.details)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tags(&self, repository: &Repository) -> Result<&BTreeMap<Tag, Details>, RegistryError> {
        if let Some(error) = self.failures.get(repository) {
            return Err(error.clone());
        }
        let missing = || RegistryError::new(Reason::RepositoryNotFound, format!("`{repository}` does not exist"));
        self.repositories.get(repository).ok_or_else(missing)
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn tags(&self, question: &Question<'_>, _: Timestamp) -> Result<Arc<Listing>, RegistryError> {
        let mut state = self.state();
        state.lists += 1;
        let mut listing = Listing::of_tags(state.tags(question.repository)?.keys().cloned());
        listing.incomplete = state.incomplete.get(question.repository).cloned();
        Ok(Arc::new(listing))
    }

    async fn details(
        &self,
        question: &Question<'_>,
        tags: &[Tag],
        _: Timestamp,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let mut state = self.state();
        state.details += tags.len();
        if state.broken {
            let message = format!("cannot read `{}`: 500", question.repository);
            return Err(RegistryError::new(Reason::RegistryFailed, message));
        }
        let known = state.tags(question.repository)?;
        let candidate =
            |tag: &Tag| known.get(tag).map(|details| Candidate { tag: tag.clone(), details: details.clone() });
        Ok(tags.iter().filter_map(candidate).collect())
    }
}
