//! Every port in memory: for tests of the pipeline, and wherever nothing outside is wanted.

mod applications;
mod git;
mod registry;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::model::Policy;
use crate::ports::{Clock, Policies};

pub use applications::MemoryApplications;
pub use git::{MemoryCommit, MemoryGit};
pub use registry::MemoryRegistry;

/// A fixed list of policies.
#[derive(Debug, Clone, Default)]
pub struct MemoryPolicies(pub Vec<Arc<Policy>>);

#[async_trait]
impl Policies for MemoryPolicies {
    async fn list(&self, namespace: &str) -> Vec<Arc<Policy>> {
        self.0.iter().filter(|policy| policy.id.namespace == namespace).cloned().collect()
    }

    async fn all(&self) -> Vec<Arc<Policy>> {
        self.0.clone()
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct MemoryClock(Mutex<Timestamp>);

impl MemoryClock {
    /// A clock that shows `now`.
    pub const fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Lets time pass.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).unwrap_or(Timestamp::MAX);
    }
}

impl Clock for MemoryClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
