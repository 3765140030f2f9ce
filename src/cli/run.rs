//! `fairlead run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::applications::ApplicationsArgs;
use super::fail;
use super::git::GitArgs;
use super::leader::LeaderArgs;
use super::migration::MigrationArgs;
use super::registries::{AllowedSources, RegistriesArgs};
use crate::adapters::clock::SystemClock;
use crate::adapters::deadline::Deadline;
use crate::adapters::identity::{CloudIdentities, IdentitySettings};
use crate::adapters::kubernetes::{Clients, KubernetesSecrets, PolicySettings};
use crate::adapters::oci::{RegistryClient, RegistrySettings};
use crate::adapters::webhooks::{PushReceiver, WebhookSecrets, WebhookServer, WebhookTls};
use crate::controller::{Asked, Controllers, Scope};
use crate::lower::push_event::Source;
use crate::model::Repository;
use crate::ports::Registry;
use crate::telemetry::{LogFormat, Metrics, OlderNames, serve, start_logs};

/// How long a registry may take for one question, all pages and details together.
const QUESTION_LIMIT: Duration = Duration::from_secs(180);

/// Arguments of `fairlead run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A namespace to act in; repeat for several. Without it: all namespaces
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        env = "FAIRLEAD_WATCH_NAMESPACES",
        value_delimiter = ','
    )]
    namespaces: Vec<String>,
    /// Labels of the policies to look after, for example `team=a`; without it, all of them
    #[arg(long, value_name = "SELECTOR", env = "FAIRLEAD_POLICY_SELECTOR")]
    policy_selector: Option<String>,
    #[command(flatten)]
    leader: LeaderArgs,
    /// Where to serve /metrics, /livez and /readyz
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080", env = "FAIRLEAD_LISTEN")]
    listen: SocketAddr,
    /// A registry, host:port, that is spoken to without TLS; repeat for several
    #[arg(long = "plain-http", value_name = "HOST", env = "FAIRLEAD_PLAIN_HTTP", value_delimiter = ',')]
    plain_http: Vec<String>,
    /// Where to take webhooks of registries, `POST /webhook/<source>`; without it, none are taken
    #[arg(long, value_name = "ADDRESS:PORT", env = "FAIRLEAD_WEBHOOK_LISTEN", requires = "webhook_secrets")]
    webhook_listen: Option<SocketAddr>,
    /// A folder with the secrets of webhooks, a file for each source
    #[arg(long, value_name = "FOLDER", env = "FAIRLEAD_WEBHOOK_SECRETS", requires = "webhook_listen")]
    webhook_secrets: Option<PathBuf>,
    /// The certificate of the port for webhooks, in PEM; without it, that port speaks plain HTTP
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_WEBHOOK_TLS_CERT", requires_all = ["webhook_tls_key", "webhook_listen"])]
    webhook_tls_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_WEBHOOK_TLS_KEY", requires = "webhook_tls_cert")]
    webhook_tls_key: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistriesArgs,
    #[command(flatten)]
    allowed: AllowedSources,
    #[command(flatten)]
    git: GitArgs,
    #[command(flatten)]
    applications: ApplicationsArgs,
    #[command(flatten)]
    migration: MigrationArgs,
    /// Count what argocd-image-updater counted under its names, too: those of 0.x or of 1.x
    #[arg(long, value_enum, value_name = "VERSION", env = "FAIRLEAD_COMPAT_METRICS")]
    compat_metrics: Option<CompatMetrics>,
    /// How log lines look
    #[arg(long, value_enum, default_value = "text", env = "FAIRLEAD_LOG_FORMAT")]
    log_format: Format,
    /// Log levels, for example `info` or `warn,fairlead=debug`
    #[arg(long = "log", visible_alias = "log-level", value_name = "FILTER", env = "FAIRLEAD_LOG")]
    filter: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CompatMetrics {
    V0,
    V1,
}

/// Runs the controller until it is told to stop.
pub async fn run(args: Args) -> ExitCode {
    match Box::pin(try_run(args)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

async fn try_run(args: Args) -> Result<(), String> {
    let format = match args.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    start_logs(format, args.filter.as_deref())?;
    let clients = Clients::infer().await.map_err(|error| with_causes(&error))?;
    let metrics = Arc::new(metrics(args.compat_metrics).map_err(|error| error.to_string())?);
    let (registry, asked) = registry(&args, &clients, &metrics)?;
    let scope = Scope {
        namespaces: args.namespaces.clone(),
        policies: args.policy_selector.clone(),
        election: args.leader.election()?,
    };
    let settings = PolicySettings {
        allowed: args.allowed.sources.clone(),
        shadow: args.migration.shadow,
        take_over: args.migration.take_over,
    };
    let generated = args.migration.generated(args.applications.are_in_this_cluster());
    let reach = args.applications.reach(&clients, &scope.watched(), args.git.argocd_namespace())?;
    let controllers = Controllers::new(clients.clone(), scope, reach, registry, metrics.clone(), settings, generated);
    write_to_git(&args, &clients, &controllers, &metrics).await;
    let stop = CancellationToken::new();
    let webhooks = webhooks(&args, controllers.pushes(asked), &metrics, stop.clone()).await?;
    tokio::spawn(stop_on_signal(stop.clone()));
    let server = tokio::spawn(serve(args.listen, controllers.health(), metrics, stop.clone().cancelled_owned()));
    let scope = if args.namespaces.is_empty() { "all namespaces".to_owned() } else { args.namespaces.join(", ") };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, scope, "fairlead is running");
    let serving = async {
        match server.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot serve on {}: {error}", args.listen)),
            Err(error) => Err(format!("the health server ended: {error}")),
        }
    };
    let controlling = async {
        controllers.run(stop.clone()).await;
        if stop.is_cancelled() { Ok(()) } else { Err("the controller ended by itself".to_owned()) }
    };
    tokio::try_join!(serving, controlling, webhooks)?;
    tracing::info!("fairlead has stopped");
    Ok(())
}

fn metrics(compat: Option<CompatMetrics>) -> Result<Metrics, prometheus::Error> {
    let metrics = Metrics::new()?;
    match compat {
        None => Ok(metrics),
        Some(CompatMetrics::V0) => metrics.with_older_names(OlderNames::V0),
        Some(CompatMetrics::V1) => metrics.with_older_names(OlderNames::V1),
    }
}

/// The client for registries, with the administrator's configuration, which it follows, and the identity of this process;
/// and where it asks for a repository.
fn registry(args: &Args, clients: &Clients, metrics: &Arc<Metrics>) -> Result<(Arc<dyn Registry>, Asked), String> {
    let settings = RegistrySettings { plain_http: args.plain_http.clone(), ..RegistrySettings::default() };
    let secrets = Arc::new(KubernetesSecrets::new(clients.calls.clone()));
    let clock = Arc::new(SystemClock);
    let identities = CloudIdentities::new(IdentitySettings::from_environment(), clock.clone());
    let identities = Arc::new(identities.map_err(|error| with_causes(&error))?);
    let registry = RegistryClient::observed(settings, secrets, clock, metrics.clone());
    let registry = Arc::new(registry.map_err(|error| with_causes(&error))?.with_cloud_logins(identities));
    let configured = args.registries.read()?;
    registry.configure(configured.configuration.clone());
    let told = metrics.clone();
    tokio::spawn(configured.follow(registry.clone(), move |news| {
        told.registries_configuration(news.is_ok());
        match news {
            Ok(()) => tracing::info!("the registries configuration has changed and is in force"),
            Err(problems) => {
                tracing::error!(problems, "the registries configuration is broken; the last good one stays in force");
            }
        }
    }));
    let client = Arc::clone(&registry);
    let asked = Arc::new(move |repository: &Repository| client.asked(repository));
    Ok((Arc::new(Deadline::new(registry, QUESTION_LIMIT)), asked))
}

/// Lets policies write to Git, where it can be.
async fn write_to_git(args: &Args, clients: &Clients, controllers: &Controllers, metrics: &Arc<Metrics>) {
    match args.git.engine(clients, Some(metrics.clone())).await {
        Ok((git, forge)) => controllers.write_to(git, forge),
        Err(cause) => tracing::warn!(cause, "policies that write to Git are not carried out"),
    }
}

/// The server for webhooks, listening already, to be run; one that only ends where none is wanted.
async fn webhooks(
    args: &Args,
    receiver: Arc<dyn PushReceiver>,
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) -> Result<impl Future<Output = Result<(), String>> + use<>, String> {
    let server = match (args.webhook_listen, &args.webhook_secrets) {
        (Some(address), Some(folder)) => {
            let secrets = WebhookSecrets::open(folder).map_err(|error| with_causes(&error))?;
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| format!("cannot take webhooks on {address}: {error}"))?;
            let sources: Vec<&str> = secrets.sources().await.into_iter().map(Source::as_str).collect();
            let tls = match (&args.webhook_tls_cert, &args.webhook_tls_key) {
                (Some(certificate), Some(key)) => {
                    Some(WebhookTls::open(certificate, key).map_err(|error| error.to_string())?)
                }
                _ => None,
            };
            tracing::info!(listen = %address, sources = sources.join(", "), tls = tls.is_some(), "taking webhooks");
            let server = WebhookServer::new(secrets, receiver, metrics.clone(), Arc::new(SystemClock));
            Some((
                match tls {
                    Some(tls) => server.with_tls(tls),
                    None => server,
                },
                listener,
            ))
        }
        _ => None,
    };
    Ok(async move {
        if let Some((server, listener)) = server {
            server.serve(listener, stop).await;
        }
        Ok(())
    })
}

async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
