//! What Fairlead promises, asked of the real binary among real servers.
//!
//! One test binary, so that the servers start once. Each test has a [`Scene`](fairlead_e2e::Scene) of its own.

#![allow(
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "these tests are part of the world, and what goes wrong fails them at once"
)]

mod annotations;
mod bad_input;
mod chart;
mod chart_installed;
mod faults;
mod git;
#[allow(dead_code, reason = "the tests of writing to Git use all of it")]
#[path = "../../../tests/git/server.rs"]
mod git_server;
mod ha;
mod harness;
mod image;
mod metrics;
mod migrate;
mod mixed;
mod owners;
mod people;
mod policy;
mod ports;
mod quiet;
mod registries;
mod restart;
mod rollout;
mod scale;
mod webhook;
