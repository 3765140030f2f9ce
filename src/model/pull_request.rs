//! Pull requests: what is wished, and what a forge has. GitLab calls them merge requests; here they have one name.

use std::fmt;

use super::{ApplicationId, CommitId, GitBranch, PolicyId, PullRequestProvider};

/// A repository of a forge, and whose credentials reach its API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForgeRepository {
    /// Whose API it speaks.
    pub provider: PullRequestProvider,
    /// Where the API is: `https://git.example.com/api/v3`; `None`: where the repository's address says.
    pub api: Option<String>,
    /// The repository. Its branch does not matter here.
    pub repository: GitBranch,
}

/// A pull request that is there. Both branches are of the repository itself, never of a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number, by which people name it; a later one has a higher number.
    pub number: u64,
    /// Where people look at it.
    pub url: String,
    /// The branch that it brings.
    pub head: String,
    /// The branch that it goes to.
    pub base: String,
    /// Its text, as Markdown.
    pub body: String,
    /// What became of it.
    pub state: PullRequestState,
    /// The commit that its head branch names, where the forge says so.
    pub head_commit: Option<String>,
}

/// What became of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PullRequestState {
    /// It waits.
    Open,
    /// It was closed without a merge.
    Closed,
    /// It was merged.
    Merged,
}

/// How a pull request is to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestDraft {
    /// The branch that it brings.
    pub head: String,
    /// The branch that it goes to.
    pub base: String,
    /// The title, one line.
    pub title: String,
    /// The text, as Markdown.
    pub body: String,
    /// Labels that it gets. Others that it has stay.
    pub labels: Vec<String>,
    /// Who is asked for a review: names of users, `organisation/team` for a team. Others who are asked stay.
    pub reviewers: Vec<String>,
}

/// How an automatic merge is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MergeMethod {
    /// By a merge commit.
    Merge,
    /// As one commit.
    Squash,
    /// Commit by commit upon the base.
    Rebase,
}

/// The branch that a pull request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadBranch {
    /// One branch a target: newer content replaces older in the same pull request.
    Stable(String),
    /// A branch for each content: newer content comes in a pull request of its own, and the older one is closed.
    PerContent(String),
}

/// One version that a pull request brings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PullRequestChange {
    /// The policy that wants it.
    pub policy: PolicyId,
    /// The Application.
    pub application: ApplicationId,
    /// The image, as the policy calls it.
    pub image: String,
    /// The version that the base branch holds.
    pub from: Option<String>,
    /// The version that is written.
    pub to: String,
    /// Where people see what is new: an `https://` address of the source's revision.
    pub link: Option<String>,
}

/// What one policy wishes of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequestPlan {
    /// Where.
    pub at: ForgeRepository,
    /// The policy.
    pub policy: PolicyId,
    /// The key of the target: pull requests of one target share it, whatever their heads are called.
    pub target_key: String,
    /// The branch that it brings.
    pub head: HeadBranch,
    /// The branch that it goes to.
    pub base: String,
    /// The commit that the head branch names since it was written for this, where that was now.
    pub commit: Option<CommitId>,
    /// What differs from the base by now, for certain; empty: nothing, so that an open pull request is obsolete.
    pub changes: Vec<PullRequestChange>,
    /// Applications of the policy of which it is not known now what they need: what is offered for them stays.
    pub undecided: Vec<ApplicationId>,
    /// Changes that a person asked to offer again, although they were refused.
    pub lifted: Vec<PullRequestChange>,
    /// How it looks.
    pub style: PullRequestStyle,
}

/// How the pull requests of a policy look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullRequestStyle {
    /// The title that the policy's template makes; `None`: a sentence about the changes.
    pub title: Option<String>,
    /// The text that the policy's template makes, as Markdown; `None`: a table of the changes.
    pub body: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
    /// Who is asked for a review.
    pub reviewers: Vec<String>,
    /// How it is merged as soon as the forge's conditions are met; `None`: by a person.
    pub auto_merge: Option<MergeMethod>,
}

impl HeadBranch {
    /// The branch `name` that the template `template` made: one for each content where the template names something of the content.
    pub fn from_template(template: &str, name: impl Into<String>) -> Self {
        let of_content = [".SHA256", ".Images"].iter().any(|field| template.contains(field));
        if of_content { Self::PerContent(name.into()) } else { Self::Stable(name.into()) }
    }

    /// The name of the branch.
    pub fn name(&self) -> &str {
        match self {
            Self::Stable(name) | Self::PerContent(name) => name,
        }
    }
}

/// The repository, without any password in its address.
impl fmt::Display for ForgeRepository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        GitBranch { branch: None, ..self.repository.clone() }.fmt(formatter)
    }
}
