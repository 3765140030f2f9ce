//! `fairlead explain`: why an Application holds the versions that it holds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::applications::ApplicationsArgs;
use super::git::GitArgs;
use super::registries::AllowedSources;
use super::{fail, print};
use crate::adapters::clock::SystemClock;
use crate::adapters::directory::{DEFAULT_NAMESPACE, Directory, Mode};
use crate::adapters::kubernetes::{Clients, KubernetesSecrets, list_policies};
use crate::adapters::memory::MemoryPolicies;
use crate::api::ImageUpdatePolicy;
use crate::local::registry;
use crate::lower;
use crate::model::{ApplicationId, Difference, Tag};
use crate::pipeline::{self, Explanation, ImageExplanation};
use crate::ports::{Applications, Clock, Git, Ports, Registry};

/// Arguments of `fairlead explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Application's name
    application: String,
    /// The namespace of the Application and its policies
    #[arg(long, short, default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// The image alone with this alias, or repository
    #[arg(long, value_name = "ALIAS")]
    image: Option<String>,
    /// Tells what becomes of this tag
    #[arg(long)]
    tag: Option<Tag>,
    /// A folder of manifests in place of the cluster
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// A registry, host:port, that is spoken to without TLS; repeat for several
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
    #[command(flatten)]
    allowed: AllowedSources,
    #[command(flatten)]
    git: GitArgs,
    #[command(flatten)]
    applications: ApplicationsArgs,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Output {
    Text,
    Json,
    Yaml,
}

/// Runs the command.
pub async fn run(args: Args) -> ExitCode {
    let application = ApplicationId::new(&args.namespace, &args.application);
    let explained = match &args.manifests {
        Some(folder) => over_folder(&args, folder, &application).await,
        None => in_cluster(&args, &application).await,
    };
    let mut explained = match explained {
        Ok(explained) => explained,
        Err(message) => return fail(&message),
    };
    if let Some(image) = &args.image {
        for one in &mut explained {
            one.images.retain(|one| one.report.image == *image);
        }
    }
    match args.output {
        Output::Text => print(&text(&application, &explained)),
        Output::Json => print(&format!("{:#}\n", json(&explained))),
        Output::Yaml => match serde_saphyr::to_string(&json(&explained)) {
            Ok(yaml) => print(&yaml),
            Err(error) => fail(&format!("cannot print the answer as YAML: {error}")),
        },
    }
}

async fn over_folder(args: &Args, folder: &Path, application: &ApplicationId) -> Result<Vec<Explanation>, String> {
    let directory = Arc::new(Directory::open(folder, Mode::DryRun).map_err(|error| with_cause(&error))?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let registry = registry(args.plain_http.clone(), Arc::clone(&directory) as _, clock);
    let registry = registry.map_err(|error| with_cause(&error))?;
    let policies = directory.survey().policies.into_iter().filter_map(|manifest| manifest.policy).map(|policy| *policy);
    explain(args, (&*directory, &*registry, None), policies.collect(), application).await
}

async fn in_cluster(args: &Args, application: &ApplicationId) -> Result<Vec<Explanation>, String> {
    let clients = Clients::infer().await.map_err(|error| with_cause(&error))?;
    let policies = list_policies(&clients.calls, &application.namespace).await?;
    // The first list is all that is needed.
    let namespaces = [Some(application.namespace.clone())];
    let reach = args.applications.reach(&clients, &namespaces, args.git.argocd_namespace())?;
    let secrets = Arc::new(KubernetesSecrets::new(clients.calls.clone()));
    let registry = registry(args.plain_http.clone(), secrets, Arc::new(SystemClock));
    let registry = registry.map_err(|error| with_cause(&error))?;
    // Without Git the answer says so, where a policy writes there.
    let git = args.git.engine(&clients, None).await.ok();
    let git = git.as_ref().map(|(git, _)| &**git as &dyn Git);
    explain(args, (&*reach.applications, &*registry, git), policies, application).await
}

async fn explain(
    args: &Args,
    (applications, registry, git): (&dyn Applications, &dyn Registry, Option<&dyn Git>),
    objects: Vec<ImageUpdatePolicy>,
    application: &ApplicationId,
) -> Result<Vec<Explanation>, String> {
    let inventory = applications.list(&application.namespace).await.map_err(|error| error.to_string())?;
    if let Some((_, cause)) = inventory.unreadable.iter().find(|(id, _)| id == application) {
        return Err(format!("the Application `{application}` cannot be read: {cause}"));
    }
    if !inventory.applications.iter().any(|found| found.id == *application) {
        return Err(format!("there is no Application `{application}`"));
    }
    let ours = objects.iter().filter(|object| object.metadata.namespace.as_deref() == Some(&*application.namespace));
    let lowered: Vec<_> =
        ours.map(|object| (lower::policy_allowing(object, &args.allowed.sources), object.status.as_ref())).collect();
    let policies = lowered.iter().filter_map(|(lowered, _)| lowered.policy.clone()).map(Arc::new);
    let policies = MemoryPolicies(policies.collect());
    let ports = Ports { applications, policies: &policies, registry, git, forge: None, clock: &SystemClock };
    let mut explained = Vec::new();
    for (lowered, status) in &lowered {
        let memory = status.map(pipeline::remembered).unwrap_or_default();
        explained.extend(pipeline::explain(ports, lowered, &memory, application, args.tag.as_ref()).await);
    }
    Ok(explained)
}

/// An error and what caused it.
pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// The answer for people.
fn text(application: &ApplicationId, explained: &[Explanation]) -> String {
    let mut text = format!("Application {application}\n");
    if explained.is_empty() {
        text.push_str("\nNo policy of its namespace matches it.\n");
    }
    for Explanation { policy, problems, images } in explained {
        let _ = writeln!(text, "\nPolicy {policy}");
        for problem in problems {
            let _ = writeln!(text, "  {}: {problem}", problem.reason);
        }
        if images.is_empty() {
            text.push_str("  none of its images is found in the Application\n");
        }
        for image in images {
            text.push_str(&image_text(image));
        }
    }
    text
}

fn image_text(explained: &ImageExplanation) -> String {
    let ImageExplanation { report, rule, runs, verdict } = explained;
    let mut text = format!("\n  Image {} ({})\n", report.image, report.repository);
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "    {:<13}{value}", format!("{key}:"));
    };
    let origin = if *runs { "what runs; the destination states none" } else { "at the destination" };
    let present = report.current.as_ref().map(|current| format!("{current} ({origin})"));
    line("present", present.unwrap_or_else(|| "none".to_owned()));
    line("destination", report.destination.clone().unwrap_or_else(|| "none".to_owned()));
    line("rule", rule.clone());
    if let Some(counts) = &report.counts {
        line("tags", format!("{} listed, {} allowed", counts.listed, counts.eligible));
    }
    let runner_up = report.runner_up.as_ref().map(|tag| format!(", then {tag}")).unwrap_or_default();
    line("choice", report.chosen.as_ref().map_or_else(|| "none".to_owned(), |chosen| format!("{chosen}{runner_up}")));
    if let Some((version, since)) = &report.held_back {
        line("taken back", format!("{version}, noticed at {since}"));
    }
    if let Some(written) = &report.written {
        line("last write", written.clone());
    }
    if let Some(rollout) = &report.rollout {
        line("rollout", format!("{:?} since {}", rollout.state, rollout.since));
    }
    if let Some(shadow) = report.shadow.as_ref().filter(|shadow| shadow.agreements + shadow.differences > 0) {
        let last = shadow.last_difference.as_ref().map(|Difference { at, ours, theirs, reason }| {
            format!("; at {at} they wrote {theirs} where {ours} was chosen: {reason}")
        });
        let (agreements, differences) = (shadow.agreements, shadow.differences);
        line("shadow", format!("{agreements} agree, {differences} differ{}", last.unwrap_or_default()));
    }
    line("next", format!("{}: {}", report.reason, report.message));
    match verdict {
        Some(Ok(verdict)) => line("tag", format!("{}: {}: {}", verdict.tag, verdict.reason, verdict.message)),
        Some(Err(cause)) => line("tag", cause.clone()),
        None => {}
    }
    text
}

/// The answer for programs.
fn json(explained: &[Explanation]) -> Value {
    let image = |explained: &ImageExplanation| {
        let ImageExplanation { report, rule, runs, verdict } = explained;
        let verdict = verdict.as_ref().map(|verdict| match verdict {
            Ok(verdict) => {
                json!({ "tag": verdict.tag.to_string(), "reason": verdict.reason.as_str(), "message": verdict.message })
            }
            Err(cause) => json!({ "message": cause }),
        });
        json!({
            "image": report.image, "repository": report.repository, "current": report.current,
            "currentFrom": if *runs { "live" } else { "destination" }, "destination": report.destination,
            "rule": rule, "listed": report.counts.map(|counts| counts.listed),
            "allowed": report.counts.map(|counts| counts.eligible), "chosen": report.chosen,
            "runnerUp": report.runner_up, "heldBack": report.held_back.as_ref().map(|(version, _)| version),
            "written": report.written,
            "rollout": report.rollout.map(|rollout| format!("{:?}", rollout.state)), "reason": report.reason.as_str(), "message": report.message, "verdict": verdict,
        })
    };
    let one = |explained: &Explanation| {
        let problems: Vec<_> = explained.problems.iter().map(ToString::to_string).collect();
        let images: Vec<_> = explained.images.iter().map(image).collect();
        json!({ "policy": explained.policy.to_string(), "problems": problems, "images": images })
    };
    explained.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Counts, ImageReport, PolicyId, Reason, Verdict};

    fn explained() -> Vec<Explanation> {
        let report = ImageReport {
            current: Some("1.0.0".to_owned()),
            chosen: Some("1.0.2".to_owned()),
            reason: Reason::WouldUpdate,
            message: "would be moved from `1.0.0` to `1.0.2`, the choice among 2 allowed tags".to_owned(),
            counts: Some(Counts { listed: 3, outside: 1, eligible: 2, ..Counts::default() }),
            runner_up: Some("1.0.0".to_owned()),
            destination: Some("spec.source.helm.parameters[name=image.tag]".to_owned()),
            written: Some("1.0.0".to_owned()),
            ..ImageReport::new(ApplicationId::new("argocd", "web"), "flask", "registry.example/flask")
        };
        let verdict = Verdict {
            tag: "2.0.0".parse().expect("a tag"),
            reason: Reason::OutsideConstraint,
            message: "`2.0.0` is outside of `~1.0`".to_owned(),
        };
        let rule = "SemVer `~1.0`".to_owned();
        let image = ImageExplanation { report, rule, runs: false, verdict: Some(Ok(verdict)) };
        vec![Explanation { policy: PolicyId::new("argocd", "web"), problems: Vec::new(), images: vec![image] }]
    }

    #[test]
    fn the_answer_reads_from_what_is_to_what_is_next() {
        let application = ApplicationId::new("argocd", "web");
        insta::assert_snapshot!(text(&application, &explained()), @r"
        Application argocd/web

        Policy argocd/web

          Image flask (registry.example/flask)
            present:     1.0.0 (at the destination)
            destination: spec.source.helm.parameters[name=image.tag]
            rule:        SemVer `~1.0`
            tags:        3 listed, 2 allowed
            choice:      1.0.2, then 1.0.0
            last write:  1.0.0
            next:        WouldUpdate: would be moved from `1.0.0` to `1.0.2`, the choice among 2 allowed tags
            tag:         2.0.0: OutsideConstraint: `2.0.0` is outside of `~1.0`
        ");
        insta::assert_snapshot!(text(&application, &[]), @r"
        Application argocd/web

        No policy of its namespace matches it.
        ");
    }

    #[test]
    fn programs_get_the_same_in_fields() {
        insta::assert_snapshot!(json(&explained()), @r#"[{"policy":"argocd/web","problems":[],"images":[{"image":"flask","repository":"registry.example/flask","current":"1.0.0","currentFrom":"destination","destination":"spec.source.helm.parameters[name=image.tag]","rule":"SemVer `~1.0`","listed":3,"allowed":2,"chosen":"1.0.2","runnerUp":"1.0.0","heldBack":null,"written":"1.0.0","rollout":null,"reason":"WouldUpdate","message":"would be moved from `1.0.0` to `1.0.2`, the choice among 2 allowed tags","verdict":{"tag":"2.0.0","reason":"OutsideConstraint","message":"`2.0.0` is outside of `~1.0`"}}]}]"#);
    }
}
