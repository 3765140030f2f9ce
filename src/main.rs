//! The `fairlead` command: parse arguments, run, print the error, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = fairlead::cli::Cli::parse();
    fairlead::cli::main(cli)
}
