//! Waiting for something to become true, without ever waiting longer than needed.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How often the world is asked.
const PACE: Duration = Duration::from_millis(20);

/// The time by which something must be true.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    allowed: Duration,
}

impl Deadline {
    /// `allowed` from now.
    pub fn after(allowed: Duration) -> Self {
        Self { end: Instant::now() + allowed, allowed }
    }

    /// `seconds` from now.
    pub fn seconds(seconds: u64) -> Self {
        Self::after(Duration::from_secs(seconds))
    }

    /// Whether it is over.
    pub fn passed(&self) -> bool {
        Instant::now() >= self.end
    }
}

/// Looks again and again until `look` says `Ok`, and fails with what it said last when the deadline has passed.
pub async fn eventually<T, E: Debug>(what: &str, deadline: Deadline, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    loop {
        match look().await {
            Ok(value) => return value,
            Err(last) if deadline.passed() => {
                panic!("not within {:?}: {what}; at last it was: {last:#?}", deadline.allowed)
            }
            Err(_) => tokio::time::sleep(PACE).await,
        }
    }
}
