//! What we mean: plain values that every other module speaks of.
//!
//! Invariants: no serde, no async, no clock, no logging, no I/O. A value with a rule is a type that is checked once, when
//! it is made.

mod application;
mod candidate;
mod decision;
mod image;
mod names;
mod plan;
mod platform;
mod policy;
mod problem;
mod reason;
mod report;
mod rule;

pub use application::{Application, Helm, HelmParameter, Kustomize, Source, SourceKind, Sources};
pub use candidate::{Candidate, Details, Known, Listing};
pub use decision::{Choice, Counts, Current, Decision, Outcome, Situation, Verdict};
pub use image::{Digest, ImageReference, InvalidDigest, InvalidImage, InvalidTag, Repository, Tag};
pub use names::{ApplicationId, PolicyId};
pub use plan::{ApplicationPlan, Edit, Node, Operation, Pointer, Step};
pub use platform::{InvalidPlatform, Platform};
pub use policy::{
    ApplicationMatcher, Glob, HelmTarget, Image, LabelSelector, Policy, Requirement, SecretRef, SourceSelector, Target,
};
pub use problem::Problem;
pub use reason::{Reason, Severity};
pub use report::{ImageReport, Report, State};
pub use rule::{Pin, Rule, Strategy};
