//! From a push of an image to Pods that run it, with Argo CD itself between.
//!
//! One test binary, so that the servers start once. Each test has a [`Stage`](fairlead_e2e::argocd::Stage) of its own.

#![allow(
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "these tests are part of the world, and what goes wrong fails them at once"
)]

mod api_mode;
mod control_plane;
mod direct;
mod git;
mod packages;
mod people;
mod pulls;

use fairlead_e2e::argocd::Stage;
use serde_json::{Value, json};

/// A policy for one Application and the image of the stage.
fn policy(application: &str, stage: &Stage, image: Value) -> Value {
    let mut whole = image;
    whole["image"] = json!(stage.image());
    json!({"applications": [{"name": application}], "images": [whole]})
}

/// The same, written to Git.
fn git_policy(application: &str, stage: &Stage, image: Value, git: Value) -> Value {
    let mut policy = policy(application, stage, image);
    policy["writeBack"] = json!({"method": "Git", "git": git});
    policy
}
