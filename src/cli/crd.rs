//! `fairlead crd`.

use std::process::ExitCode;

use super::{fail, print};
use crate::api;

/// Arguments of `fairlead crd`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the definition of `ImageUpdatePolicy` as YAML.
pub fn run(_: &Args) -> ExitCode {
    match api::definition() {
        Ok(yaml) => print(&yaml),
        Err(error) => fail(&format!("cannot print the definition: {error}")),
    }
}
