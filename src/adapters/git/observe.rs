//! Who wants to count what is done with Git implements [`GitObserver`].

/// Is told of every conversation with a Git server, and of the length of queues.
pub trait GitObserver: Send + Sync {
    /// One conversation ended, well or not, after `seconds`.
    fn operated(&self, operation: GitOperation, well: bool, seconds: f64);

    /// So many plans wait to be written, or are being written, in all queues together.
    fn queued(&self, plans: usize);
}

/// What is asked of a Git server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GitOperation {
    /// Where branches stand.
    LookUp,
    /// Objects.
    Fetch,
    /// To move a branch.
    Push,
    /// To make a commit, by the API of a forge.
    Commit,
}

impl GitOperation {
    /// The word for it, as metric labels carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LookUp => "look_up",
            Self::Fetch => "fetch",
            Self::Push => "push",
            Self::Commit => "commit",
        }
    }

    /// What the command `name` asks for; `None` where it asks no server.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "ls-remote" => Some(Self::LookUp),
            "fetch" => Some(Self::Fetch),
            "push" => Some(Self::Push),
            _ => None,
        }
    }
}

/// Listens to nothing.
pub(super) struct Nobody;

impl GitObserver for Nobody {
    fn operated(&self, _: GitOperation, _: bool, _: f64) {}

    fn queued(&self, _: usize) {}
}
