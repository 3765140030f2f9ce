//! So many requests a second, and no more: what was not used for a while may come at once, up to a bound.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many requests may come at once after a rest.
const BURST: u32 = 10;

/// A pace.
pub(super) struct Pace {
    between: Duration,
    /// When the next request would come, were they spread evenly.
    next: Mutex<Instant>,
}

impl Pace {
    /// So many a second; at least one.
    pub(super) fn new(a_second: u32) -> Self {
        Self { between: Duration::from_secs(1) / a_second.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Waits until the next request may be made.
    pub(super) async fn step(&self) {
        let due = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let due = *next;
            *next = due.max(Instant::now()) + self.between;
            due
        };
        if let Some(due) = due.checked_sub(self.between * (BURST - 1)) {
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_come_at_once_and_the_others_at_the_pace() {
        let (pace, start) = (Pace::new(20), Instant::now());
        for _ in 0..BURST {
            pace.step().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            pace.step().await;
        }
        assert!((990..=1010).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        tokio::time::advance(Duration::from_secs(60)).await;
        let rested = Instant::now();
        for _ in 0..BURST {
            pace.step().await;
        }
        assert_eq!(rested.elapsed(), Duration::ZERO);
    }
}
