//! How an Application takes a version that was written: what Argo CD says of it, and what that comes to.

use jiff::{SignedDuration, Timestamp};

/// What Argo CD says of an Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Whether what runs is what is asked for; `None` where Argo CD does not know.
    pub synced: Option<bool>,
    /// How it fares.
    pub health: Health,
    /// The last sync.
    pub operation: Option<SyncOperation>,
    /// When Argo CD last compared the Application with what runs, in whole seconds.
    pub reconciled_at: Option<Timestamp>,
}

/// The health of an Application, in Argo CD's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Healthy,
    /// On its way there.
    Progressing,
    /// Something is wrong, and does not get better by itself.
    Degraded,
    /// It waits for a person.
    Suspended,
    /// Something is not there.
    Missing,
    /// Argo CD cannot tell.
    Unknown,
}

/// The last sync of an Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncOperation {
    /// How far it is.
    pub phase: SyncPhase,
    /// Argo CD's words on it where it failed, shortened.
    pub message: String,
    /// When it began, in whole seconds.
    pub started_at: Option<Timestamp>,
}

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPhase {
    /// It runs.
    Running,
    /// It is done.
    Succeeded,
    /// It failed.
    Failed,
}

/// How far a version that was written has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// When it was written.
    pub written_at: Timestamp,
    /// When it was pushed, as far as the registry tells; else when it was built.
    pub pushed_at: Option<Timestamp>,
    /// How far it has come.
    pub state: RolloutState,
    /// Since when.
    pub since: Timestamp,
}

/// How far a version that was written has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RolloutState {
    /// Argo CD is at it.
    Progressing,
    /// It runs, and all is well. Nothing is followed any more.
    Healthy,
    /// It runs, or was to run, and something is wrong.
    Degraded,
    /// Argo CD does not say, or waits for a person.
    Unknown,
}

impl Rollout {
    /// How long a version may be on its way before that is told as a problem.
    ///
    /// Longer than the ten minutes after which Kubernetes gives a Deployment up by itself (`progressDeadlineSeconds`), and than
    /// the five retries of a sync that Argo CD makes by itself.
    pub const BOUND: SignedDuration = SignedDuration::from_mins(30);

    /// Whether it may still come to an end by itself within the bound.
    pub fn is_under_way(&self, now: Timestamp) -> bool {
        let open = matches!(self.state, RolloutState::Progressing | RolloutState::Degraded);
        open && now.duration_since(self.written_at) < Self::BOUND
    }

    /// From the write to health, where it came to that.
    pub fn lag(&self) -> Option<SignedDuration> {
        (self.state == RolloutState::Healthy).then(|| self.since.duration_since(self.written_at))
    }
}
