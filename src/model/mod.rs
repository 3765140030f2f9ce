//! What we mean: plain values that every other module speaks of.
//!
//! Invariants: no serde, no async, no clock, no logging, no I/O. A value with a rule is a type that is checked once, when
//! it is made.

mod application;
mod application_set;
mod candidate;
mod cloud;
mod comparison;
mod constraint;
mod decision;
mod git;
mod git_login;
mod image;
mod key_path;
mod memory;
mod names;
mod ordinal;
mod pattern;
mod plan;
mod platform;
mod policy;
mod problem;
mod pull_request;
mod reason;
mod registries;
mod report;
mod repository_rules;
mod rollout;
mod rule;
mod schedule;
mod shadow;
mod sync_window;
mod version;
mod write_back;

pub use application::{
    Application, Destination, Helm, HelmParameter, Kustomize, Plugin, Skip, Source, SourceKind, Sources, UpdaterWrite,
    Values, Variable,
};
pub use application_set::{ApplicationSet, IgnoredDifferences};
pub use candidate::{Candidate, Details, Known, Listing};
pub use cloud::Cloud;
pub use comparison::{ConstraintError, InvalidConstraint, Operator};
pub use constraint::{Fit, PartialVersion, VersionRange};
pub use decision::{Choice, Counts, Current, Decision, Outcome, Situation, Verdict};
pub use git::{
    ChangeFacts, CommitAuthor, CommitId, CommitPlan, CommitSigning, CommitVia, Facts, FileChange, ForgeCommit,
    GitAccess, GitBranch, GitCommit, GitEntry, GitPlan, GitTip, GitWritten, SigningMethod,
};
pub use git_login::{ClientCertificate, Concealed, GitLogin, GitProxy, GitTls, HostKeys, LoginMethod};
pub use image::{Digest, ImageReference, InvalidDigest, InvalidImage, InvalidTag, Repository, Tag};
pub use key_path::{InvalidKeyPath, KeyPath, KeyStep};
pub use memory::{Mark, Memory, Remembered, Watch};
pub use names::{ApplicationId, PolicyId};
pub use ordinal::{Bounds, CalendarVersion, Number, Ordinal};
pub use pattern::{InvalidPattern, TagExtractor, TagGlob, TagPattern};
pub use plan::{ApplicationPlan, Edit, Guard, Node, Operation, Pointer, Step, SyncRequest};
pub use platform::{InvalidPlatform, Platform};
pub use policy::{
    ApplicationMatcher, FileKeys, FileTarget, Glob, HelmTarget, Image, Keys, LabelSelector, Policy, Requirement,
    SecretRef, SourceSelector, Target,
};
pub use problem::Problem;
pub use pull_request::{
    ForgeRepository, HeadBranch, MergeMethod, PullRequest, PullRequestChange, PullRequestDraft, PullRequestPlan,
    PullRequestState, PullRequestStyle,
};
pub use reason::{Reason, Severity};
pub use registries::{
    ApiAddress, Authority, CredentialSource, ProxyAddress, ProxyChoice, RegistriesConfiguration, RegistryEntry,
    RegistryPrefix, Route, TagOrder,
};
pub use report::{Behind, ImageReport, Report, State};
pub use repository_rules::{AddressGlob, Admission, Refusal, RepositoryRules, SignedCommits, SourceRule};
pub use rollout::{Health, Progress, Rollout, RolloutState, SyncOperation, SyncPhase};
pub use rule::{Allow, Constraint, Ignore, Pin, Rule, Strategy};
pub use schedule::{Closed, Schedule, Window};
pub use shadow::{Comparison, Difference, Shadow};
pub use sync_window::{Cron, SyncWindow};
pub use version::LooseVersion;
pub use write_back::{CommitSettings, GitTarget, GitWriteBack, PullRequestProvider, PullRequestSettings, WriteBack};
