//! `fairlead demo`: the whole story on one machine, with nothing else installed.

use std::process::ExitCode;

use crate::local::render::{BAD, styled};
use crate::local::{complain, demo, say};

/// Shows what Fairlead does, on this machine, with nothing else installed, and leaves nothing behind.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command: 0 is fine, 1 a failure, 130 when interrupted.
pub async fn run(args: Args) -> ExitCode {
    let Args {} = args;
    let mut tell = say;
    let ended = tokio::select! {
        // First, so that an interruption is listened to before there is anything to clean up.
        biased;
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
        ended = demo::run(&mut tell) => ended,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            complain(&format!("{} {error}{source}\n", styled(BAD, "error:")));
            ExitCode::FAILURE
        }
    }
}
