//! A registry that answers in time or not at all.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{Candidate, Listing, Reason, Repository, Tag};
use crate::ports::{Labels, Question, Registry, RegistryError};

/// Puts one limit on each whole question, however many requests it takes, so that a registry that dribbles keeps nobody.
pub struct Deadline {
    registry: Arc<dyn Registry>,
    limit: Duration,
}

impl Deadline {
    /// `registry`, with at most `limit` for each question.
    pub fn new(registry: Arc<dyn Registry>, limit: Duration) -> Self {
        Self { registry, limit }
    }

    async fn within<T: Send>(
        &self,
        repository: &Repository,
        answer: impl Future<Output = Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        let late = || {
            let message = format!("cannot read `{repository}`: no whole answer within {} s", self.limit.as_secs_f32());
            RegistryError::new(Reason::RegistryTimeout, message)
        };
        tokio::time::timeout(self.limit, answer).await.unwrap_or_else(|_| Err(late()))
    }
}

#[async_trait]
impl Registry for Deadline {
    async fn tags(&self, question: &Question<'_>, fresh_since: Timestamp) -> Result<Arc<Listing>, RegistryError> {
        self.within(question.repository, self.registry.tags(question, fresh_since)).await
    }

    async fn details(
        &self,
        question: &Question<'_>,
        tags: &[Tag],
        fresh_since: Timestamp,
    ) -> Result<Vec<Candidate>, RegistryError> {
        self.within(question.repository, self.registry.details(question, tags, fresh_since)).await
    }

    async fn labels(
        &self,
        question: &Question<'_>,
        tag: &Tag,
        fresh_since: Timestamp,
    ) -> Result<Arc<Labels>, RegistryError> {
        self.within(question.repository, self.registry.labels(question, tag, fresh_since)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ImageReference;

    struct Silent;

    #[async_trait]
    impl Registry for Silent {
        async fn tags(&self, _: &Question<'_>, _: Timestamp) -> Result<Arc<Listing>, RegistryError> {
            std::future::pending().await
        }

        async fn details(&self, _: &Question<'_>, _: &[Tag], _: Timestamp) -> Result<Vec<Candidate>, RegistryError> {
            std::future::pending().await
        }

        async fn labels(&self, _: &Question<'_>, _: &Tag, _: Timestamp) -> Result<Arc<Labels>, RegistryError> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_never_ends_its_answer_is_given_up() {
        let registry = Deadline::new(Arc::new(Silent), Duration::from_secs(120));
        let repository = "ghcr.io/org/app".parse::<ImageReference>().expect("an image").repository;
        let question = Question { repository: &repository, credentials: None, platforms: &[], dates: false };
        let error = registry.tags(&question, Timestamp::UNIX_EPOCH).await.expect_err("no answer");
        insta::assert_snapshot!(error, @"cannot read `ghcr.io/org/app`: no whole answer within 120 s");
        assert_eq!(error.reason, Reason::RegistryTimeout);
        let error = registry.details(&question, &[], Timestamp::UNIX_EPOCH).await.expect_err("no answer");
        assert_eq!(error.reason, Reason::RegistryTimeout);
        let tag = "1.0.0".parse().expect("a tag");
        let error = registry.labels(&question, &tag, Timestamp::UNIX_EPOCH).await.expect_err("no answer");
        assert_eq!(error.reason, Reason::RegistryTimeout);
    }
}
