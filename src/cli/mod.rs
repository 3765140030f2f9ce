//! The command line: one module a command.

mod applications;
mod completions;
mod convert;
mod crd;
mod demo;
mod explain;
mod git;
mod input;
mod leader;
mod migration;
mod reconcile;
mod registries;
mod rule;
mod run;
mod select;
mod ssh_connect;
mod test;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps the container images of Argo CD Applications up to date.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, about, long_about = None, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 fine, 1 failed, 2 wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller in or beside a cluster
    Run(Box<run::Args>),
    /// See the whole story on this machine: a registry, a policy, an update, the explanation
    Demo(demo::Args),
    /// Act on a folder of manifests instead of a cluster
    Reconcile(reconcile::Args),
    /// Tell why an Application holds the versions that it holds, and what would happen next
    Explain(explain::Args),
    /// Choose among the tags of a list, offline, and say why for each
    Select(select::Args),
    /// Turn annotations or ImageUpdater resources of argocd-image-updater into policies
    Convert(convert::Args),
    /// Ask a registry about an image, and say how it went: where, with whose login, what would be chosen
    Test(test::Args),
    /// Print the custom resource definition
    Crd(crd::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Connect `ssh` by way of a proxy
    #[command(hide = true)]
    SshConnect(ssh_connect::Args),
    /// Print the version
    Version,
}

/// Runs a parsed command line, prints what failed, and tells the exit code.
pub fn main(cli: Cli) -> ExitCode {
    if let Err(error) = install_tls() {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    match cli.command {
        Command::Run(args) => runtime.block_on(run::run(*args)),
        Command::Demo(args) => runtime.block_on(demo::run(args)),
        Command::Reconcile(args) => runtime.block_on(reconcile::run(args)),
        Command::Explain(args) => runtime.block_on(explain::run(args)),
        Command::Select(args) => select::run(&args),
        Command::Convert(args) => runtime.block_on(convert::run(args)),
        Command::Test(args) => runtime.block_on(test::run(args)),
        Command::Crd(args) => crd::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::SshConnect(args) => runtime.block_on(ssh_connect::run(args)),
        Command::Version => print(&format!("fairlead {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

/// One provider of cryptography for every client in the process.
fn install_tls() -> Result<(), String> {
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| "cannot set up TLS: another provider is installed".to_owned())
}

/// Prints a result on standard output. A reader that has gone away is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write to standard output: {error}")),
    }
}

/// Prints what failed on standard error.
fn fail(message: &str) -> ExitCode {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    // Nothing is left to be done when standard error is closed.
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {message}");
    ExitCode::FAILURE
}
