//! What users write: the `ImageUpdatePolicy` custom resource, and the fields of an Argo CD Application that we read.
//!
//! These types mirror YAML; they carry schema, defaults and admission rules, and no meaning. `lower` gives them meaning.

pub mod application;
pub mod policy;
pub mod status;

pub use application::{
    Application, ApplicationSpec, ApplicationStatus, HelmBlock, HelmParameter, KustomizeBlock, Source, SourceHydrator,
    Summary,
};
pub use policy::{
    AllowTags, ApplicationSelector, CommitAuthor, CommitSettings, CosignKey, CosignVerification, DaySpec, FileKeys,
    FileTargetSpec, GitCredentials, GitTarget, GitWriteBack, HelmTargetSpec, ImageSpec, ImageUpdatePolicy,
    ImageUpdatePolicySpec, KustomizeTargetSpec, PinSpec, PluginTargetSpec, PullRequestProvider, PullRequestSettings,
    PullSecretReference, RuleSpec, ScheduleSpec, ScheduleWindowSpec, SecretKeyReference, SigningSettings,
    SourceSelectorSpec, StrategySpec, TargetSpec, VerificationSpec, WindowKind, WriteBackMethod, WriteBackSpec,
};
pub use status::{DecisionRecord, HeldBack, ImageState, ImageStatus, ImageUpdatePolicyStatus, StatusSummary};

/// The API group of our own resources.
pub const GROUP: &str = "fairlead.dev";
/// The name under which we write: field manager, event source.
pub const FIELD_MANAGER: &str = "fairlead";
