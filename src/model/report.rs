//! What happened to every image of a policy.

use jiff::Timestamp;

use super::{ApplicationId, Comparison, Counts, Mark, Memory, PolicyId, Problem, Reason, Rollout, Severity, Shadow};

/// What happened to every image of one policy at one look. Status, events and metrics are computed from it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The policy.
    pub policy: PolicyId,
    /// The generation of the specification that was acted on.
    pub generation: i64,
    /// When the look began.
    pub checked_at: Timestamp,
    /// When the next one is due.
    pub next_check: Timestamp,
    /// Problems of the policy as a whole, and of images whose text could not be understood.
    pub problems: Vec<Problem>,
    /// How many Applications match.
    pub applications: usize,
    /// One entry an Application and image, sorted.
    pub images: Vec<ImageReport>,
    /// What to remember for the next look.
    pub memory: Memory,
}

/// What happened to one image of one Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReport {
    /// The Application.
    pub application: ApplicationId,
    /// The image's title in the policy.
    pub image: String,
    /// The repository, as people write it.
    pub repository: String,
    /// What the destination holds now, after this look.
    pub current: Option<String>,
    /// What it held before, where this look changed it.
    pub previous: Option<String>,
    /// What the rule picked.
    pub chosen: Option<String>,
    /// The word for it.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
    /// The numbers behind the choice, where one was made.
    pub counts: Option<Counts>,
    /// The second best.
    pub runner_up: Option<String>,
    /// How far what is in place lags behind the choice; `None` where it is the choice, or goes before it.
    pub behind: Option<Behind>,
    /// Where the version is written.
    pub destination: Option<String>,
    /// The place, told from all others: what is remembered of it is kept under the first mark, and found under each. Empty where
    /// no place was found.
    pub marks: Vec<Mark>,
    /// The version that Fairlead wrote last, at this look or earlier.
    pub written: Option<String>,
    /// A version that a person took back, and when that was noticed.
    pub held_back: Option<(String, Timestamp)>,
    /// When a hold ends, where that is known.
    pub until: Option<Timestamp>,
    /// The value of `fairlead.dev/resume` on the Application that was acted on last.
    pub resumed: Option<String>,
    /// Whether a person asked to offer what was refused again, and it could not be offered yet.
    pub lifted: bool,
    /// How far the version that was written last has come; `None` when that is settled.
    pub rollout: Option<Rollout>,
    /// The commit that brought the version, or brings it once it is merged.
    pub commit: Option<String>,
    /// The version that waits on a branch of its own.
    pub proposed: Option<String>,
    /// In a dry run: how the choices compare with what others write.
    pub shadow: Option<Shadow>,
    /// What a change by somebody else since the last look says of the choice.
    pub compared: Option<Comparison>,
}

/// How far an image lags behind what its rule picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Allowed versions above the one in place, those that must wait among them; at least one.
    pub versions: usize,
    /// When the choice was pushed, or else built, as far as that is known.
    pub pushed_at: Option<Timestamp>,
}

/// How an image fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It holds what the rule picks.
    UpToDate,
    /// The version was written at this look.
    Updated,
    /// A better version exists and is not taken.
    Pending,
    /// Something failed.
    Failed,
}

impl ImageReport {
    /// A report on an image of which nothing is known yet.
    pub fn new(application: ApplicationId, image: impl Into<String>, repository: impl Into<String>) -> Self {
        Self {
            application,
            image: image.into(),
            repository: repository.into(),
            current: None,
            previous: None,
            chosen: None,
            reason: Reason::UpToDate,
            message: String::new(),
            counts: None,
            runner_up: None,
            behind: None,
            destination: None,
            marks: Vec::new(),
            written: None,
            held_back: None,
            until: None,
            resumed: None,
            lifted: false,
            rollout: None,
            commit: None,
            proposed: None,
            shadow: None,
            compared: None,
        }
    }

    /// How the image fares.
    pub fn state(&self) -> State {
        match (self.reason, self.reason.severity()) {
            (Reason::Updated, _) => State::Updated,
            (_, Severity::Fine) => State::UpToDate,
            (_, Severity::Waiting) => State::Pending,
            (_, Severity::Failing | Severity::Stalled) => State::Failed,
        }
    }
}
