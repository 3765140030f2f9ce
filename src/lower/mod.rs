//! Users' text → model, with problems that point at that text. Pure and total: nothing here fails, asks or waits.
//!
//! A part that cannot be understood is left out and named; no default is put in its stead.

pub mod annotation;
pub mod annotations;
mod application;
mod application_set;
mod constraint;
mod credential_source;
pub mod docker_config;
mod duration;
pub mod git_credentials;
pub mod generated;
pub mod git_template;
pub mod git_write_back;
pub mod image_updater;
mod nearest;
mod policy;
pub mod push_event;
mod registries;
mod repository_rules;
mod rule;
mod schedule;
mod selector;
mod size;
mod sync_windows;
mod template;
mod upstream;
pub mod webhook_authenticity;

pub use application::application;
pub use application_set::application_set;
pub use credential_source::{InvalidSource, Scope, credential_source};
pub use duration::{InvalidDuration, duration};
pub use policy::{Lowered, policy, policy_allowing};
pub use registries::registries;
pub use repository_rules::repository_rules;
pub use rule::{Dialect, rule};
pub use schedule::schedule;
pub use selector::label_selector;
pub use size::{InvalidSize, size};
pub use sync_windows::sync_windows;
