//! Why one Application is as it is under one policy: a look that writes nothing.

use jiff::Timestamp;

use super::choose::Offer;
use super::discover::Elsewhere;
use super::git::snapshot::Snapshot;
use super::{discover, guard, reconcile};
use crate::lower::Lowered;
use crate::model::{
    ApplicationId, ApplicationMatcher, Glob, ImageReport, LabelSelector, Memory, Policy, PolicyId, Problem, Reason,
    Tag, Verdict,
};
use crate::ports::Ports;
use crate::select;

/// What one policy makes of one Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The policy.
    pub policy: PolicyId,
    /// What is wrong with the policy as a whole.
    pub problems: Vec<Problem>,
    /// Its images in the Application, and those that nothing shows to be used left out.
    pub images: Vec<ImageExplanation>,
}

/// What one policy makes of one image of an Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageExplanation {
    /// What would happen.
    pub report: ImageReport,
    /// The rule, in words.
    pub rule: String,
    /// Whether the present version is what runs, because the destination states none.
    pub runs: bool,
    /// What became of the tag that was asked for; `Err`: why that cannot be said.
    pub verdict: Option<Result<Verdict, String>>,
}

/// Looks at one Application as [`reconcile`] would, and writes nothing. `None` where the policy does not match it.
pub async fn explain(
    ports: Ports<'_>,
    lowered: &Lowered,
    memory: &Memory,
    application: &ApplicationId,
    tag: Option<&Tag>,
) -> Option<Explanation> {
    let inventory = ports.applications.list(&application.namespace).await.unwrap_or_default();
    let found = inventory.applications.iter().find(|found| found.id == *application);
    let mut lowered = lowered.clone();
    let Some(policy) = lowered.policy.as_mut() else {
        return Some(Explanation { policy: lowered.id, problems: lowered.problems, images: Vec::new() });
    };
    let labels = found.map(|found| found.labels.clone()).unwrap_or_default();
    if !policy.matches(application, &labels) {
        return None;
    }
    let name = Some(Glob::new(application.name.clone()));
    policy.applications = vec![ApplicationMatcher { name, labels: LabelSelector::default() }];
    let writes = !std::mem::replace(&mut policy.dry_run, true) && policy.write_back.git().is_none();
    let left = found.filter(|_| writes).and_then(|found| guard::of_application(found, policy, ports.clock.now()));
    let fresh_since = ports.clock.now();
    let report = reconcile(ports, &lowered, memory, fresh_since).await;
    let policy = lowered.policy.as_ref()?;
    let applications: Vec<_> = found.into_iter().cloned().collect();
    let snapshot = Snapshot::read(ports.git, (&[policy], &applications), (&[], &[]), fresh_since).await;
    let one = discover::discover(policy, &inventory, &[], &Elsewhere::default(), &snapshot);
    let places = one.applications.into_iter().flat_map(|finding| finding.images);
    let places: Vec<_> = places.filter_map(|found| found.place.ok().map(|used| (found.image, used))).collect();
    let mut images = Vec::new();
    for report in report.images {
        let position = policy.images.iter().position(|image| image.title == report.image)?;
        let used = places.iter().find(|(image, _)| *image == position).map(|(_, used)| used);
        let verdict = match (tag, used) {
            (Some(tag), Some(used)) => {
                let held = report.held_back.as_ref().map(|(version, _)| version.as_str());
                Some(verdict(ports, policy, memory, (position, used), held, tag, fresh_since).await)
            }
            _ => None,
        };
        let runs = used.is_some_and(|used| used.held.version.is_none() && used.current().is_some());
        let rule = &policy.images[position].rule;
        let rule = format!("{} `{}`", rule.strategy, rule.constraint);
        images.push(ImageExplanation { report, rule, runs, verdict });
    }
    let mut problems = report.problems;
    problems.extend(left.map(|(message, _)| Problem::new(Reason::AnotherUpdaterWrites, message)));
    Some(Explanation { policy: lowered.id.clone(), problems, images })
}

async fn verdict(
    ports: Ports<'_>,
    policy: &Policy,
    memory: &Memory,
    (position, used): (usize, &discover::Use),
    held_back: Option<&str>,
    tag: &Tag,
    fresh_since: Timestamp,
) -> Result<Verdict, String> {
    let (image, now) = (&policy.images[position], ports.clock.now());
    let closed = policy.schedule.as_ref().and_then(|schedule| select::closed(schedule, now));
    let offer =
        Offer::fetch(ports, image, memory, fresh_since, now, closed).await.map_err(|error| error.to_string())?;
    let verdicts = offer.verdicts(ports, used.current().cloned(), held_back).await;
    let verdicts = verdicts.map_err(|error| error.to_string())?;
    let found = verdicts.into_iter().find(|verdict| verdict.tag == *tag);
    found.ok_or_else(|| format!("`{}` has no tag `{tag}`", image.reference.repository))
}
