//! `fairlead reconcile`: the pipeline over a folder of manifests, without a cluster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::registries::RegistriesArgs;
use crate::adapters::clock::SystemClock;
use crate::adapters::directory::{Directory, Mode};
use crate::local::render::{BAD, render_round, styled};
use crate::local::{Session, complain, registry, say};
use crate::ports::Clock;

/// Keeps the images of the Applications in a folder of manifests up to date, by the policies in it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder with Applications, policies and Secrets, as YAML or JSON files.
    #[arg(long, value_name = "DIR")]
    pub manifests: PathBuf,
    /// Looks once and ends: with 1 if a policy or an image failed.
    #[arg(long)]
    pub once: bool,
    /// Writes nothing; shows what would be written.
    #[arg(long)]
    pub dry_run: bool,
    /// Speaks to this registry, `host` or `host:port`, without TLS. May be given more than once.
    #[arg(long, value_name = "HOST")]
    pub plain_http: Vec<String>,
    /// Where a Git repository lies on this machine as a working copy, for policies that write to Git: commits are made there and never
    /// pushed. May be given more than once.
    #[arg(long, value_name = "URL=PATH", value_parser = repository)]
    pub repository: Vec<(String, PathBuf)>,
    #[command(flatten)]
    pub registries: RegistriesArgs,
    /// How long to wait between two looks, for example `30s` or `5m`.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = interval, conflicts_with = "once")]
    pub interval: Duration,
}

/// Runs the command: 0 is fine, 1 a failure, 2 a wrong usage.
pub async fn run(args: Args) -> ExitCode {
    let Args { manifests, once, dry_run, plain_http, repository, registries, interval } = args;
    let mode = if dry_run { Mode::DryRun } else { Mode::Write };
    let directory = match Directory::open(&manifests, mode) {
        Ok(directory) => Arc::new(directory),
        Err(error) => return wrong(&error, 2),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let registry = match registry(plain_http, Arc::clone(&directory) as _, Arc::clone(&clock)) {
        Ok(registry) => registry,
        Err(error) => return wrong(&error, 1),
    };
    let configured = match registries.read() {
        Ok(configured) => configured,
        Err(problems) => {
            complain(&format!("{} {problems}\n", styled(BAD, "error:")));
            return ExitCode::FAILURE;
        }
    };
    registry.configure(configured.configuration.clone());
    let mut session = Session::new(directory, mode, Arc::clone(&registry) as _, clock).with_repositories(repository);
    if once {
        let round = session.round().await;
        say(&render_round(&round));
        return if round.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let following = configured.follow(registry, |news| {
        if let Err(problems) = news {
            complain(&format!(
                "{} {problems}\n",
                styled(BAD, "the last good registries configuration stays in force:")
            ));
        }
    });
    tokio::select! {
        () = keep_looking(&mut session, interval) => ExitCode::SUCCESS,
        () = following => ExitCode::SUCCESS,
        _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
    }
}

/// Looks again and again; a look that came to the same as the one before is not shown.
async fn keep_looking(session: &mut Session, interval: Duration) {
    let mut shown = String::new();
    loop {
        let round = session.round().await;
        let text = render_round(&round);
        if text != shown {
            say(&format!("{text}\n"));
            shown = text;
        }
        tokio::time::sleep(interval).await;
    }
}

fn wrong(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    complain(&format!("{} {error}{cause}\n", styled(BAD, "error:")));
    ExitCode::from(code)
}

/// The address of a repository, and where it lies. An address may hold `=`, so the last one counts.
fn repository(text: &str) -> Result<(String, PathBuf), String> {
    match text.rsplit_once('=') {
        Some((address, path)) if !address.is_empty() && !path.is_empty() => Ok((address.to_owned(), path.into())),
        _ => Err(format!("`{text}` is not URL=PATH; write for example `https://git.example.com/web.git=./web`")),
    }
}

/// A duration of at least a second.
fn interval(text: &str) -> Result<Duration, String> {
    let parsed: Result<SignedDuration, _> = text.parse();
    let duration = parsed.ok().and_then(|duration| Duration::try_from(duration).ok());
    let duration = duration.ok_or_else(|| format!("`{text}` is not a duration; write for example `30s` or `5m`"))?;
    if duration < Duration::from_secs(1) { Err("at least `1s` is needed".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(arguments: &[&str]) -> Result<Args, String> {
        let arguments = ["reconcile"].iter().chain(arguments);
        Command::try_parse_from(arguments).map(|command| command.args).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_are_understood_or_refused_with_a_sentence() {
        let seconds = |text: &str| interval(text).map(|duration| duration.as_secs());
        assert_eq!((seconds("30s"), seconds("5m"), seconds("1h30m")), (Ok(30), Ok(300), Ok(5400)));
        insta::assert_snapshot!(seconds("soon").expect_err("a refusal"), @"`soon` is not a duration; write for example `30s` or `5m`");
        insta::assert_snapshot!(seconds("0s").expect_err("a refusal"), @"at least `1s` is needed");
        insta::assert_snapshot!(seconds("-1s").expect_err("a refusal"), @"`-1s` is not a duration; write for example `30s` or `5m`");
    }

    #[test]
    fn a_folder_is_needed_and_once_has_no_interval() {
        let args =
            parse(&["--manifests", "x", "--plain-http", "a:5000", "--plain-http", "b"]).expect("valid arguments");
        assert_eq!(
            (args.plain_http, args.interval),
            (vec!["a:5000".to_owned(), "b".to_owned()], Duration::from_secs(120))
        );
        assert!(parse(&["--manifests", "x", "--once", "--dry-run"]).is_ok());
        assert!(parse(&["--once"]).is_err());
        assert!(parse(&["--manifests", "x", "--once", "--interval", "1m"]).is_err());
    }
}
