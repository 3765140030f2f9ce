//! How a version is chosen: tables to be read as a specification. One binary; a module a topic.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod bounds;
mod constraint;
mod filters;
mod holds;
mod lowering;
mod order;
mod properties;
mod schedule;
mod support;
mod verdicts;
