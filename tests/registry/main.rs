//! The client for registries, against a registry that does well and against servers that do not.

#[path = "../support/mod.rs"]
mod support;

mod configuration;
mod credentials;
mod discipline;
mod faults;
mod fleet;
mod images;
mod login;
mod secrecy;
mod sharing;
