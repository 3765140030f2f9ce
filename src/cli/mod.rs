//! The command line: one module a command.

mod select;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps the container images of Argo CD Applications up to date.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, about, long_about = None, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Choose among tags of a file, and say why for each
    Select(select::Args),
}

/// Runs a parsed command line, and tells the exit code.
pub fn main(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Select(args) => select::run(&args),
    }
}
