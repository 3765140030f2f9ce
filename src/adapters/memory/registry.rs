//! A registry in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{Candidate, Details, Listing, Reason, Repository, Tag};
use crate::ports::{Labels, Question, Registry, RegistryError};

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
    labels: BTreeMap<(Repository, Tag), Arc<Labels>>,
    labels_asked: usize,
    lists: usize,
    details: usize,
    broken: bool,
}

impl MemoryRegistry {
    /// Puts an image under a tag.
    pub fn push(&self, repository: &Repository, tag: Tag, details: Details) {
        self.state().repositories.entry(repository.clone()).or_default().insert(tag, details);
    }

    /// Gives the image under a tag labels.
    pub fn label(&self, repository: &Repository, tag: Tag, labels: Labels) {
        self.state().labels.insert((repository.clone(), tag), Arc::new(labels));
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

    /// Fails every question for details and labels, or answers again.
    pub fn fail_details(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// How many lists, and how many details of tags, were asked for.
    pub fn asked(&self) -> (usize, usize) {
        let state = self.state();
        (state.lists, state.details)
    }

    /// For the labels of how many tags it was asked.
    pub fn labels_asked(&self) -> usize {
        self.state().labels_asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn unbroken(&self, repository: &Repository) -> Result<(), RegistryError> {
        if !self.broken {
            return Ok(());
        }
        Err(RegistryError::new(Reason::RegistryFailed, format!("cannot read `{repository}`: 500")))
    }

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
        state.unbroken(question.repository)?;
        let known = state.tags(question.repository)?;
        let candidate =
            |tag: &Tag| known.get(tag).map(|details| Candidate { tag: tag.clone(), details: details.clone() });
        Ok(tags.iter().filter_map(candidate).collect())
    }

    async fn labels(&self, question: &Question<'_>, tag: &Tag, _: Timestamp) -> Result<Arc<Labels>, RegistryError> {
        let mut state = self.state();
        state.labels_asked += 1;
        state.unbroken(question.repository)?;
        let image = (question.repository.clone(), tag.clone());
        Ok(state.labels.get(&image).cloned().unwrap_or_default())
    }
}
