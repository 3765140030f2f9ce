//! Writing to Git: where a version stands in a file, what is changed there, and how the commit looks. Decisions are pure; only `snapshot`
//! and `write` ask Git.

mod above;
mod change;
mod destination;
mod draft;
pub(super) mod file;
mod heads;
mod hidden;
mod keyed_file;
mod kustomization;
mod labels;
mod links;
mod manifest;
mod message;
mod override_file;
mod plan;
mod project;
mod propose;
mod requests;
mod sheet;
pub(super) mod snapshot;
mod standing;
mod write;

pub use change::{ChangeError, changed, one_in_the_other};
pub use destination::same_repository;
pub use message::{combined, is_ours};
pub use standing::Standing;
