//! The world: the only place with clients, files, clocks and processes.

#![allow(clippy::disallowed_methods, reason = "this is the border: here the world is touched, and only here")]

pub mod argocd;
pub mod clock;
pub mod deadline;
pub mod credentials;
pub mod directory;
pub mod embedded;
pub mod fence;
pub mod forge;
pub mod git;
pub mod identity;
pub mod instance;
pub mod kubernetes;
pub mod memory;
pub mod oci;
pub mod registries_file;
mod way;
pub mod webhooks;
pub mod working_copy;
