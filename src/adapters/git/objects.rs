//! Objects of Git that were read, as many as fit into one bound for all repositories.

use std::sync::Arc;

use moka::future::Cache;
use moka::policy::EvictionPolicy;

/// How many bytes of objects are kept in memory, all repositories together.
const MAXIMUM: usize = 64 * 1024 * 1024;

/// Larger ones are not kept.
const LARGEST: usize = 2 * 1024 * 1024;

/// What one that is kept takes beside its bytes, about.
const BESIDE: usize = 256;

/// An object of Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// Its bytes.
    Bytes(Arc<Vec<u8>>),
    /// It is larger than what is read.
    TooLarge,
}

/// Objects by the number of the copy that they were read from, and their id. What one login may read is never given to another.
#[derive(Clone)]
pub(super) struct Objects(Cache<(u64, String), Object>);

impl Default for Objects {
    fn default() -> Self {
        let weight = |_: &(u64, String), object: &Object| u32::try_from(object.size() + BESIDE).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(MAXIMUM as u64).weigher(weight);
        Self(cache.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Objects {
    /// The object `id` of the copy with this number.
    pub async fn get(&self, copy: u64, id: &str) -> Option<Object> {
        self.0.get(&(copy, id.to_owned())).await
    }

    /// Keeps it for a while.
    pub async fn keep(&self, copy: u64, id: &str, object: &Object) {
        if object.size() <= LARGEST {
            self.0.insert((copy, id.to_owned()), object.clone()).await;
        }
    }
}

impl Object {
    fn size(&self) -> usize {
        if let Self::Bytes(bytes) = self { bytes.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_of_all_copies_share_one_bound() {
        let (objects, large) = (Objects::default(), Object::Bytes(Arc::new(vec![0; LARGEST])));
        for copy in 0..100 {
            objects.keep(copy, "a", &large).await;
        }
        objects.0.run_pending_tasks().await;
        assert!(objects.0.weighted_size() <= MAXIMUM as u64, "{} bytes are kept", objects.0.weighted_size());
        assert_eq!(objects.get(0, "a").await, None, "the first went");
        assert_eq!(objects.get(99, "a").await, Some(large));
        let larger = Object::Bytes(Arc::new(vec![0; LARGEST + 1]));
        objects.keep(99, "b", &larger).await;
        assert_eq!(objects.get(99, "b").await, None, "one alone does not drive out all others");
    }

    #[tokio::test]
    async fn what_one_copy_holds_is_not_given_to_another() {
        let (objects, object) = (Objects::default(), Object::Bytes(Arc::new(b"text".to_vec())));
        objects.keep(1, "a", &object).await;
        assert_eq!((objects.get(1, "a").await, objects.get(2, "a").await), (Some(object), None));
    }
}
