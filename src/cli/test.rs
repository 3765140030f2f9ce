//! `fairlead test`: asks one registry as the controller would, and tells everything about it but the secret.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::registries::RegistriesArgs;
use super::rule::RuleArgs;
use super::select::at_option;
use super::{fail, print};
use crate::adapters::clock::SystemClock;
use crate::adapters::identity::{CloudIdentities, IdentitySettings};
use crate::adapters::kubernetes::{Clients, KubernetesSecrets};
use crate::adapters::oci::{Approach, RegistryClient, RegistrySettings, RequestKind, RequestObserver, RequestOutcome};
use crate::api::{AllowTags, RuleSpec, StrategySpec};
use crate::lower::{self, Dialect, Scope};
use crate::model::{
    ApiAddress, Candidate, CredentialSource, Decision, ImageReference, Listing, Outcome, Problem, Reason,
    RegistriesConfiguration, RegistryEntry, RegistryPrefix, Repository, Rule, SecretRef, Situation, TagOrder,
};
use crate::ports::{Clock, Question, Registry as _, RegistryError, SecretData, SecretError, Secrets};
use crate::select::select;

/// More rounds than any rule needs.
const MAXIMUM_ROUNDS: usize = 1000;

/// Ask a registry about an image, and say how it went: where, with whose login, what would be chosen
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 a version would be chosen; 1 not, with the reason; 2 wrong usage.")]
pub struct Args {
    /// The image, for example ghcr.io/team/app
    #[arg(value_name = "IMAGE")]
    image: ImageReference,
    #[command(flatten)]
    rule: RuleArgs,
    #[command(flatten)]
    registries: RegistriesArgs,
    /// Where the login comes from, in the stead of what is configured: `pullsecret:NS/NAME`, `env:NAME`, aws …
    #[arg(long, value_name = "SOURCE")]
    credentials: Option<String>,
    /// A registry, host:port, that is spoken to without TLS; repeat for several
    #[arg(long = "plain-http", value_name = "HOST", env = "FAIRLEAD_PLAIN_HTTP", value_delimiter = ',')]
    plain_http: Vec<String>,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Runs the command, and tells the exit code.
pub async fn run(args: Args) -> ExitCode {
    let rule = match rule(&args) {
        Ok(rule) => rule,
        Err(problems) => return wrong_usage(&problems),
    };
    let source = args.credentials.as_ref().map(|text| lower::credential_source(text, Scope::Administrator)).transpose();
    let source = match source {
        Ok(source) => source,
        Err(error) => {
            fail(&format!("--credentials: {error}"));
            return ExitCode::from(2);
        }
    };
    let (client, counter) = match client(&args, source) {
        Ok(client) => client,
        Err(message) => return fail(&message),
    };
    let trial = Trial::run(&client, &args.image, &rule).await;
    let text = match args.output {
        Output::Table => trial.table(&counter.traffic()),
        Output::Json => format!("{:#}\n", trial.json(&counter.traffic())),
    };
    match (print(&text), &trial.problem) {
        (printed, None) => printed,
        (_, Some(_)) => ExitCode::FAILURE,
    }
}

fn wrong_usage(problems: &[Problem]) -> ExitCode {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    fail(&lines.join("\n"));
    ExitCode::from(2)
}

fn rule(args: &Args) -> Result<Rule, Vec<Problem>> {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let allow_tags = args.rule.allow_tags.clone().map(|text| match text.as_str() {
        "any" => AllowTags { any: Some(true), ..AllowTags::default() },
        _ => AllowTags { regex: Some(text), ..AllowTags::default() },
    });
    let spec = RuleSpec {
        strategy: args.rule.strategy.clone().map(StrategySpec),
        constraint: args.rule.constraint.clone(),
        allow_tags,
        ignore_tags: some(&args.rule.ignore_tags),
        platforms: some(&args.rule.platforms),
        ..RuleSpec::default()
    };
    let (rule, problems) = lower::rule(&spec, super::select::RULE, None, Dialect::Policy);
    rule.ok_or_else(|| problems.into_iter().map(at_option).collect())
}

/// A client with the configuration, and with the login that was asked for in its place.
fn client(args: &Args, source: Option<CredentialSource>) -> Result<(RegistryClient, Arc<Counter>), String> {
    let mut configuration = args.registries.read()?.configuration;
    if let Some(source) = source {
        let entry = entry_for(&mut configuration, &args.image.repository, &args.plain_http);
        entry.credentials = Some(source);
    }
    let settings = RegistrySettings { plain_http: args.plain_http.clone(), ..RegistrySettings::default() };
    let (secrets, counter) = (Arc::new(LazySecrets::default()), Arc::new(Counter::default()));
    let client = RegistryClient::observed(settings, secrets, Arc::new(SystemClock), Arc::<Counter>::clone(&counter));
    let identities = CloudIdentities::new(IdentitySettings::from_environment(), Arc::new(SystemClock));
    let identities = Arc::new(identities.map_err(|error| error.to_string())?);
    let client = client.map_err(|error| error.to_string())?.with_cloud_logins(identities);
    client.configure(configuration);
    Ok((client, counter))
}

/// The entry that answers for a repository; a new one where there is none.
fn entry_for<'a>(
    configuration: &'a mut RegistriesConfiguration,
    repository: &Repository,
    plain_http: &[String],
) -> &'a mut RegistryEntry {
    let found = configuration.route(repository).entry.cloned();
    let known = found.and_then(|found| configuration.entries.iter().position(|entry| *entry == found));
    let index = known.unwrap_or_else(|| {
        let host = repository.registry.clone();
        let tls = !plain_http.contains(&host);
        configuration.entries.push(RegistryEntry {
            name: host.clone(),
            address: ApiAddress { tls, host: host.clone(), path: String::new() },
            prefix: Some(RegistryPrefix { registry: host, path: String::new() }),
            default: false,
            default_namespace: None,
            limit: None,
            tag_order: TagOrder::None,
            ..RegistryEntry::docker_hub()
        });
        configuration.entries.len() - 1
    });
    &mut configuration.entries[index]
}

/// How it went.
struct Trial {
    image: String,
    approach: Option<Approach>,
    tags: Option<usize>,
    decision: Option<Decision>,
    chosen: Option<String>,
    problem: Option<Problem>,
    seconds: f64,
}

impl Trial {
    async fn run(client: &RegistryClient, image: &ImageReference, rule: &Rule) -> Self {
        let began = Instant::now();
        let mut trial = Self {
            image: image.repository.to_string(),
            approach: None,
            tags: None,
            decision: None,
            chosen: None,
            problem: None,
            seconds: 0.0,
        };
        if let Err(error) = trial.ask(client, image, rule).await {
            let problem = Problem::new(error.reason, error.message);
            trial.problem = Some(match hint(error.reason) {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
        trial.seconds = began.elapsed().as_secs_f64();
        trial
    }

    async fn ask(&mut self, client: &RegistryClient, image: &ImageReference, rule: &Rule) -> Result<(), RegistryError> {
        let dates = rule.needs_dates() || !rule.platforms.is_empty();
        let (repository, platforms) = (&image.repository, rule.platforms.as_slice());
        let question = Question { repository, credentials: None, platforms, dates };
        self.approach = Some(client.approach(&question).await?);
        let now = SystemClock.now();
        let mut listing = (*client.tags(&question, now).await?).clone();
        self.tags = Some(listing.candidates.len());
        let situation = Situation::new(now);
        for _ in 0..MAXIMUM_ROUNDS {
            let decision = select(rule, &listing, &situation);
            let Outcome::NeedDetails(tags) = &decision.outcome else {
                self.decided(rule, decision);
                break;
            };
            let details = client.details(&question, tags, now).await?;
            listing = with_details(listing, tags, details);
        }
        Ok(())
    }

    fn decided(&mut self, rule: &Rule, decision: Decision) {
        match &decision.outcome {
            Outcome::Move(choice) | Outcome::Stay(choice) => self.chosen = Some(choice.written(rule.pin)),
            Outcome::Hold { reason, message, .. }
            | Outcome::Nothing { reason, message }
            | Outcome::Undecided { reason, message } => self.problem = Some(Problem::new(*reason, message.clone())),
            Outcome::NeedDetails(_) => {}
        }
        self.decision = Some(decision);
    }

    fn rows(&self, traffic: &Traffic) -> Vec<(&'static str, String)> {
        let mut rows = vec![("image", self.image.clone())];
        if let Some(Approach { endpoint, repository, entry, login, no_identity }) = &self.approach {
            let entry = entry.as_ref().map(|entry| format!(", by the entry `{entry}`")).unwrap_or_default();
            rows.push(("asked", format!("{endpoint} for `{repository}`{entry}")));
            let none = || no_identity.as_ref().map_or_else(|| "none".to_owned(), |cause| format!("none: {cause}"));
            rows.push(("login", login.clone().unwrap_or_else(none)));
        }
        let listed = |counts: &BTreeMap<&'static str, u64>| {
            let counts: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
        };
        rows.push(("requests", listed(&traffic.requests)));
        if !traffic.quotas.is_empty() {
            rows.push(("quota", format!("{} left", listed(&traffic.quotas))));
        }
        rows.push(("time", format!("{:.2} s", self.seconds)));
        let pages = traffic.requests.get(RequestKind::Tags.as_str()).copied().unwrap_or_default();
        let pages = format!("{pages} {}", if pages == 1 { "page" } else { "pages" });
        rows.extend(self.tags.map(|tags| ("tags", format!("{tags} on {pages}"))));
        if let Some(Decision { counts, runner_up, note, .. }) = &self.decision {
            let left = [
                ("not allowed", counts.not_allowed),
                ("ignored", counts.ignored),
                ("no versions", counts.unusable),
                ("outside the constraint", counts.outside),
                ("for other platforms", counts.wrong_platform),
            ];
            let left = left.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}"));
            let left: Vec<String> = left.collect();
            rows.push(("left out", if left.is_empty() { "none".to_owned() } else { left.join(", ") }));
            rows.extend(runner_up.as_ref().map(|tag| ("runner-up", tag.to_string())));
            rows.extend(note.as_ref().map(|note| ("note", note.clone())));
        }
        rows
    }

    fn table(&self, traffic: &Traffic) -> String {
        let mut text = String::new();
        for (name, value) in self.rows(traffic) {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{:10} {value}", format!("{name}:"));
        }
        let _ = match (&self.chosen, &self.problem) {
            (Some(chosen), _) => writeln!(text, "{:10} {chosen}", "chosen:"),
            (None, Some(problem)) => writeln!(text, "{:10} {}: {problem}", "failed:", problem.reason),
            (None, None) => writeln!(text, "{:10} nothing", "chosen:"),
        };
        text
    }

    fn json(&self, traffic: &Traffic) -> Value {
        let approach = self.approach.as_ref();
        let counts = self.decision.as_ref().map(|decision| {
            let counts = &decision.counts;
            json!({
                "listed": counts.listed, "notAllowed": counts.not_allowed, "ignored": counts.ignored,
                "unusable": counts.unusable, "outside": counts.outside, "wrongPlatform": counts.wrong_platform,
                "held": counts.held, "eligible": counts.eligible,
            })
        });
        let runner_up = self.decision.as_ref().and_then(|decision| decision.runner_up.as_ref());
        json!({
            "image": self.image,
            "endpoint": approach.map(|approach| &approach.endpoint),
            "repository": approach.map(|approach| &approach.repository),
            "entry": approach.map(|approach| &approach.entry),
            "login": approach.map(|approach| &approach.login),
            "noIdentity": approach.map(|approach| &approach.no_identity),
            "requests": traffic.requests,
            "quotas": traffic.quotas,
            "seconds": self.seconds,
            "tags": self.tags,
            "counts": counts,
            "chosen": self.chosen,
            "runnerUp": runner_up.map(ToString::to_string),
            "problem": self.problem.as_ref().map(|Problem { reason, message, place: _, hint }| {
                json!({ "reason": reason.as_str(), "message": message, "hint": hint })
            }),
        })
    }
}

/// The listing with what is known now; a tag that is gone since is left out.
fn with_details(listing: Listing, tags: &[crate::model::Tag], details: Vec<Candidate>) -> Listing {
    let kept = listing.candidates.into_iter().filter(|candidate| !tags.contains(&candidate.tag));
    Listing { candidates: kept.chain(details).collect(), incomplete: listing.incomplete, places: listing.places }
}

/// What may help.
fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::RegistryDenied => {
            Some("try `--credentials SOURCE`, or set `credentials` for it in the registries configuration")
        }
        Reason::RepositoryNotFound => {
            Some("check the name; some registries say so, too, when the login may not see it")
        }
        Reason::TlsFailed => {
            Some("set `ca_file` for it in the registries configuration, or `--plain-http` where it speaks no TLS")
        }
        Reason::RegistryUnreachable | Reason::RegistryTimeout => {
            Some("check the host and its port, and HTTPS_PROXY and NO_PROXY where a proxy stands between")
        }
        Reason::RateLimited => Some("log in for a higher limit, or set `limit` in the registries configuration"),
        _ => None,
    }
}

/// Secrets of the cluster, which is looked for when one is needed.
#[derive(Default)]
struct LazySecrets(OnceCell<KubernetesSecrets>);

#[async_trait]
impl Secrets for LazySecrets {
    async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        let connect = async { Clients::infer().await.map(|clients| KubernetesSecrets::new(clients.calls)) };
        let secrets = self.0.get_or_try_init(|| connect).await.map_err(|error| SecretError {
            namespace: secret.namespace.clone(),
            name: secret.name.clone(),
            cause: error.to_string(),
        })?;
        secrets.read(secret).await
    }
}

/// The requests of a trial.
#[derive(Debug, Clone, Default)]
struct Traffic {
    /// How many, by kind.
    requests: BTreeMap<&'static str, u64>,
    /// How many more the registry grants, by kind, where it tells.
    quotas: BTreeMap<&'static str, u64>,
}

/// Counts requests.
#[derive(Default)]
struct Counter(Mutex<Traffic>);

impl Counter {
    fn traffic(&self) -> Traffic {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl RequestObserver for Counter {
    fn observed(&self, _: &str, kind: RequestKind, _: RequestOutcome, _: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).requests.entry(kind.as_str()).or_default() += 1;
    }

    fn avoided(&self, _: &str) {}

    fn quota(&self, _: &str, kind: RequestKind, remaining: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).quotas.insert(kind.as_str(), remaining);
    }
}
