//! `fairlead ssh-connect`, which `ssh` calls where a repository has a proxy.

use std::path::PathBuf;
use std::process::ExitCode;

use super::fail;
use crate::adapters::git::connect_by_proxy;

/// Arguments of `fairlead ssh-connect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file that tells the way
    way: PathBuf,
    /// The host of the server
    host: String,
    /// The port of the server
    port: u16,
}

/// Hands a connection to standard output.
pub async fn run(args: Args) -> ExitCode {
    match connect_by_proxy(&args.way, &args.host, args.port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}
