//! `fairlead completions`.

use std::process::ExitCode;

use clap::CommandFactory;

use super::{Cli, print};

/// Arguments of `fairlead completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints a completion script.
pub fn run(args: &Args) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fairlead", &mut script);
    print(&String::from_utf8_lossy(&script))
}
