//! An `ImageUpdatePolicy` → model.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as LabelSelectorText;

use super::generated::{is_generated, translation_problems};
use super::git_write_back::{file_target, write_back};
use super::{Dialect, Scope, credential_source, duration, rule, schedule};
use crate::api::{
    ApplicationSelector, HelmTargetSpec, HelmValuesTargetSpec, ImageSpec, ImageUpdatePolicy, ImageUpdatePolicySpec,
    PluginTargetSpec, RESUME, RuleSpec, SourceSelectorSpec, TAKE_OVER, TargetSpec,
};
use crate::model::{
    ApplicationMatcher, CredentialSource, GitTarget, Glob, HelmTarget, Image, ImageReference, Keys, LabelSelector,
    Pointer, Policy, PolicyId, Problem, Reason, Requirement, SourceSelector, Target, WriteBack,
};

const SHORTEST_INTERVAL: Duration = Duration::from_secs(10);
/// How soon a policy that cannot be used is looked at again, beside every change of it.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);

/// A policy, as far as its text could be understood.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// Namespace and name.
    pub id: PolicyId,
    /// The generation of the specification.
    pub generation: i64,
    /// The policy; `None` when the text is such that nothing may be done.
    pub policy: Option<Policy>,
    /// What is wrong with the text.
    pub problems: Vec<Problem>,
}

impl Lowered {
    /// How often to look.
    pub fn interval(&self) -> Duration {
        self.policy.as_ref().map_or(DEFAULT_INTERVAL, |policy| policy.interval)
    }
}

/// What a policy means. An image that cannot be understood is left out and named, the others go on; where the text about the
/// whole policy cannot be understood, nothing is done at all.
pub fn policy(object: &ImageUpdatePolicy) -> Lowered {
    policy_allowing(object, &[])
}

/// The same where the administrator allows policies some sources of credentials that are not theirs.
pub fn policy_allowing(object: &ImageUpdatePolicy, allowed: &[CredentialSource]) -> Lowered {
    let metadata = &object.metadata;
    let id = PolicyId::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
    let generation = metadata.generation.unwrap_or_default();
    let mut problems = Problems::default();
    let interval = interval(&object.spec, &mut problems);
    let applications = applications(&object.spec, &mut problems);
    let schedule = object.spec.schedule.as_ref().map(|windows| problems.keep(schedule(windows, "spec.schedule")));
    let write_back = problems.keep(write_back(object.spec.write_back.as_ref(), &id.namespace));
    let application = object.spec.write_back.as_ref().and_then(|write_back| write_back.application.as_ref());
    let usable = problems.0.is_empty();
    let mut images = images(&object.spec, Scope::Policy { namespace: &id.namespace, allowed }, &mut problems);
    check_file_targets(&mut images, &write_back, &mut problems);
    let annotation = |key| metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    let generated = is_generated(metadata);
    if generated {
        problems.0.splice(0..0, translation_problems(metadata));
    }
    let policy = usable.then(|| Policy {
        id: id.clone(),
        generation,
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        suspended: object.spec.suspend,
        dry_run: object.spec.dry_run,
        interval,
        applications,
        images,
        write_back,
        schedule: schedule.flatten(),
        refresh: application.is_some_and(|application| application.refresh),
        sync: application.is_some_and(|application| application.sync),
        resume: annotation(RESUME).cloned(),
        generated,
        take_over: annotation(TAKE_OVER).is_some_and(|value| value == "true"),
    });
    Lowered { id, generation, policy, problems: problems.0 }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    fn keep<T>(&mut self, (value, problems): (T, Vec<Problem>)) -> T {
        self.0.extend(problems);
        value
    }

    fn not_yet(&mut self, place: impl Into<String>, what: &str, instead: &str) {
        let problem =
            Problem::new(Reason::NotSupportedYet, format!("{what} is not supported yet by this version of Fairlead"));
        self.add(problem.at(place).hint(instead));
    }
}

fn interval(spec: &ImageUpdatePolicySpec, problems: &mut Problems) -> Duration {
    let invalid = |message: String| {
        Problem::new(Reason::InvalidDuration, message).at("spec.interval").hint("write for example `2m` or `1h30m`")
    };
    match duration(&spec.interval) {
        Ok(interval) if interval >= SHORTEST_INTERVAL => interval,
        Ok(_) => {
            problems.add(invalid(format!("`{}` is shorter than 10s", spec.interval)));
            DEFAULT_INTERVAL
        }
        Err(error) => {
            problems.add(invalid(error.to_string()));
            DEFAULT_INTERVAL
        }
    }
}

fn applications(spec: &ImageUpdatePolicySpec, problems: &mut Problems) -> Vec<ApplicationMatcher> {
    if spec.applications.is_empty() {
        let problem =
            Problem::new(Reason::InvalidSelector, "the policy selects no Application").at("spec.applications");
        problems.add(problem.hint("add an entry, for example `- name: web-*`"));
    }
    let entries = spec.applications.iter().enumerate();
    entries.filter_map(|(index, entry)| matcher(entry, &format!("spec.applications[{index}]"), problems)).collect()
}

fn matcher(entry: &ApplicationSelector, place: &str, problems: &mut Problems) -> Option<ApplicationMatcher> {
    let invalid = |message: String, hint: &str| Problem::new(Reason::InvalidSelector, message).at(place).hint(hint);
    let name = entry.name.as_deref().map(str::trim);
    if name == Some("") || (name.is_none() && entry.selector.is_none()) {
        problems.add(invalid("the entry has neither a name nor a selector".to_owned(), "`name: \"*\"` selects all"));
        return None;
    }
    if let Some(name) = name.filter(|name| name.contains(['[', ']', '{', '}', '\\', '/'])) {
        let message = format!("`{name}` is not a name or glob of Applications");
        problems.add(invalid(
            message,
            "`*` stands for any characters and `?` for one; Applications of other namespaces are out of reach",
        ));
        return None;
    }
    let labels = entry.selector.as_ref().map(|selector| labels(selector, place)).transpose();
    match labels {
        Ok(labels) => Some(ApplicationMatcher { name: name.map(Glob::new), labels: labels.unwrap_or_default() }),
        Err(problem) => {
            problems.add(problem);
            None
        }
    }
}

/// What a label selector means.
pub(super) fn labels(selector: &LabelSelectorText, place: &str) -> Result<LabelSelector, Problem> {
    let equal = selector.match_labels.iter().flatten();
    let mut requirements: Vec<Requirement> =
        equal.map(|(key, value)| Requirement::In(key.clone(), vec![value.clone()])).collect();
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let (key, values) = (expression.key.clone(), expression.values.clone().unwrap_or_default());
        requirements.push(match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => Requirement::In(key, values),
            ("NotIn", false) => Requirement::NotIn(key, values),
            ("Exists", true) => Requirement::Exists(key),
            ("DoesNotExist", true) => Requirement::DoesNotExist(key),
            (operator, _) => {
                let message = format!("`{operator}` with {} values is not a label requirement", values.len());
                return Err(Problem::new(Reason::InvalidSelector, message)
                    .at(format!("{place}.selector.matchExpressions[{index}]"))
                    .hint("In and NotIn need values, Exists and DoesNotExist have none"));
            }
        });
    }
    Ok(LabelSelector { requirements })
}

/// A file is a target of Git with `target: Files`, and that needs one.
fn check_file_targets(images: &mut Vec<Image>, write_back: &WriteBack, problems: &mut Problems) {
    let target = write_back.git().map(|git| git.target);
    images.retain(|image| {
        let is_file = matches!(image.target, Some(Target::File(_)));
        let place = format!("spec.images[{}].target", image.index);
        let problem = match (is_file, target) {
            (true, Some(GitTarget::Files)) | (false, None) => return true,
            (false, Some(target)) if target != GitTarget::Files => return true,
            (true, None) => Problem::new(Reason::InvalidTarget, "a file is a target in Git")
                .hint("add `writeBack: { method: Git, git: { target: Files } }`"),
            (true, Some(target)) => {
                let message = format!("a file is no target with `writeBack.git.target: {}`", target.as_str());
                Problem::new(Reason::InvalidTarget, message).hint("write `target: Files` there")
            }
            (false, Some(_)) => {
                Problem::new(Reason::InvalidTarget, "`writeBack.git.target: Files` needs a file at each image")
                    .hint("write for example `target: { file: { path: deploy.yaml, keys: { tag: image.tag } } }`")
            }
        };
        problems.add(problem.at(place));
        false
    });
}

fn images(spec: &ImageUpdatePolicySpec, scope: Scope<'_>, problems: &mut Problems) -> Vec<Image> {
    if spec.images.is_empty() {
        let problem = Problem::new(Reason::InvalidImage, "the policy names no image").at("spec.images");
        problems.add(problem.hint("add an entry, for example `- image: ghcr.io/org/app`"));
    }
    let mut titles: BTreeMap<String, usize> = BTreeMap::new();
    let mut images = Vec::new();
    for (index, text) in spec.images.iter().enumerate() {
        let found = image(index, text, spec.defaults.as_ref(), scope, problems);
        let Some(mut image) = found else { continue };
        match (titles.get(&image.title), text.alias.is_some()) {
            (Some(first), true) => {
                let message = format!("the alias `{}` is already that of spec.images[{first}]", image.title);
                let problem = Problem::new(Reason::DuplicateAlias, message).at(format!("spec.images[{index}].alias"));
                problems.add(problem.hint("give each image an alias of its own"));
                continue;
            }
            (Some(_), false) => image.title = format!("{}#{index}", image.title),
            (None, _) => {}
        }
        titles.insert(image.title.clone(), index);
        images.push(image);
    }
    images
}

fn image(
    index: usize,
    text: &ImageSpec,
    defaults: Option<&RuleSpec>,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> Option<Image> {
    let place = format!("spec.images[{index}]");
    let reference = reference(&text.image, &format!("{place}.image"), "image", problems);
    let rule = problems.keep(rule(&text.rule, &place, defaults, Dialect::Policy));
    let target = target(text.target.as_ref(), &format!("{place}.target"), problems);
    let selector = text.target.as_ref().and_then(|target| target.source.as_ref());
    let source = selector.map(|selector| source_selector(selector, &format!("{place}.target.source"), problems));
    let verified =
        [(&text.rule, place.as_str())].into_iter().chain(defaults.map(|defaults| (defaults, "spec.defaults")));
    let unverifiable =
        verified.into_iter().find(|(rule, _)| rule.verify.is_some()).map(|(_, place)| format!("{place}.verify"));
    if let Some(place) = unverifiable {
        problems.not_yet(place, "verifying signatures", "remove `verify` to update without it");
        return None;
    }
    let credentials = credentials(&text.rule, &place, defaults, scope, problems);
    let (reference, rule, target, credentials) = (reference?, rule?, target?, credentials?);
    let source = source.map_or(Some(None), |source| source.map(Some))?;
    let merged =
        |pick: fn(&RuleSpec) -> Option<bool>| pick(&text.rule).or_else(|| defaults.and_then(pick)).unwrap_or_default();
    Some(Image {
        index,
        title: text.alias.clone().unwrap_or_else(|| reference.repository.to_string()),
        reference,
        rule,
        target,
        source,
        force: merged(|rule| rule.force_update),
        credentials,
    })
}

/// Where the login for an image comes from: as it says, else as the defaults say. `None`: the text is wrong. `Some(None)`:
/// nothing was said.
#[expect(clippy::option_option, reason = "wrong and absent are different answers")]
fn credentials(
    rule: &RuleSpec,
    place: &str,
    defaults: Option<&RuleSpec>,
    scope: Scope<'_>,
    problems: &mut Problems,
) -> Option<Option<CredentialSource>> {
    let places = [(rule, place)].into_iter().chain(defaults.map(|defaults| (defaults, "spec.defaults")));
    let mut places = places.filter(|(rule, _)| rule.pull_secret.is_some() || rule.credentials.is_some());
    let Some((rule, place)) = places.next() else { return Some(None) };
    let (text, field) = match (&rule.pull_secret, &rule.credentials) {
        (Some(_), Some(_)) => {
            let message = "both a pull secret and credentials are given".to_owned();
            problems.add(Problem::new(Reason::InvalidCredentials, message).at(place).hint("give one of the two"));
            return None;
        }
        (Some(secret), None) => (format!("pullsecret:{}", secret.name), "pullSecret.name"),
        (None, text) => (text.clone().unwrap_or_default(), "credentials"),
    };
    match credential_source(&text, scope) {
        Ok(source) => Some(Some(source)),
        Err(error) => {
            let problem = Problem::new(Reason::InvalidCredentials, error.to_string());
            problems.add(problem.at(format!("{place}.{field}")).hint(error.hint()));
            None
        }
    }
}

/// An image without a version: a tag here would look like a rule, and is none.
fn reference(text: &str, place: &str, field: &str, problems: &mut Problems) -> Option<ImageReference> {
    let problem = match text.parse::<ImageReference>() {
        Ok(reference) if reference.tag.is_none() && reference.digest.is_none() => return Some(reference),
        Ok(reference) => {
            let written = text.strip_prefix(&reference.name).unwrap_or_default();
            let hint = match &reference.tag {
                Some(tag) => format!("write `{field}: {}` and `constraint: \"{tag}\"`", reference.name),
                None => format!("write `{field}: {}`", reference.name),
            };
            Problem::new(Reason::InvalidImage, format!("`{text}` carries a version, `{written}`")).hint(hint)
        }
        Err(error) => {
            let problem = Problem::new(Reason::InvalidImage, error.to_string());
            match text.rsplit_once(':') {
                Some((name, range)) if name.parse::<ImageReference>().is_ok() => {
                    problem.hint(format!("write `{field}: {name}` and `constraint: \"{range}\"`"))
                }
                _ => problem.hint("write for example `ghcr.io/org/app`"),
            }
        }
    };
    problems.add(problem.at(place));
    None
}

/// `None`: the text is wrong. `Some(None)`: nothing was said.
#[expect(clippy::option_option, reason = "wrong and absent are different answers")]
fn target(text: Option<&TargetSpec>, place: &str, problems: &mut Problems) -> Option<Option<Target>> {
    let Some(TargetSpec { helm, kustomize, plugin, file, source: _ }) = text else { return Some(None) };
    if usize::from(helm.is_some())
        + usize::from(kustomize.is_some())
        + usize::from(plugin.is_some())
        + usize::from(file.is_some())
        > 1
    {
        let problem = Problem::new(Reason::InvalidTarget, "the target has more than one kind").at(place);
        problems.add(problem.hint("give one of helm, kustomize, plugin and file"));
        return None;
    }
    if let Some(PluginTargetSpec { name, tag, spec }) = plugin {
        let keys = keys(name.as_ref(), tag.as_ref(), spec.as_ref(), "variable", &format!("{place}.plugin"), problems);
        return keys.map(|keys| Some(Target::Plugin(keys)));
    }
    if let Some(file) = file {
        let target = file_target(file, &format!("{place}.file"), &mut problems.0);
        return target.map(|target| Some(Target::File(Box::new(target))));
    }
    if let Some(helm) = helm {
        return helm_target(helm, &format!("{place}.helm"), problems).map(Some);
    }
    match kustomize.as_ref().map(|kustomize| kustomize.name.as_deref()) {
        None => Some(None),
        Some(None) => Some(Some(Target::Kustomize(None))),
        Some(Some(name)) => {
            let name = reference(name, &format!("{place}.kustomize.name"), "name", problems)?;
            Some(Some(Target::Kustomize(Some(name))))
        }
    }
}

fn helm_target(helm: &HelmTargetSpec, place: &str, problems: &mut Problems) -> Option<Target> {
    let HelmTargetSpec { name, tag, spec, values } = helm;
    match values {
        None if name.is_none() && tag.is_none() && spec.is_none() => Some(Target::Helm(HelmTarget::default())),
        None => {
            let usual = "image.tag".to_owned();
            let tag = tag.as_ref().or_else(|| name.as_ref().filter(|_| spec.is_none()).map(|_| &usual));
            keys(name.as_ref(), tag, spec.as_ref(), "parameter", place, problems).map(Target::Helm)
        }
        Some(HelmValuesTargetSpec { name: value_name, tag: value_tag, spec: value_spec }) => {
            if name.is_some() || tag.is_some() || spec.is_some() {
                let problem =
                    Problem::new(Reason::InvalidTarget, "the target has both parameters and values").at(place);
                problems.add(problem.hint("give one of the two"));
                return None;
            }
            let place = format!("{place}.values");
            let keys = keys(value_name.as_ref(), value_tag.as_ref(), value_spec.as_ref(), "path", &place, problems)?;
            if let Some(path) = keys.each().find(|path| Pointer::from_value_path(path).is_none()) {
                let problem = Problem::new(Reason::InvalidTarget, format!("`{path}` is not a path of values"));
                problems.add(problem.at(place).hint("write for example `image.tag` or `containers[0].image`"));
                return None;
            }
            Some(Target::HelmValues(keys))
        }
    }
}

/// The keys that hold an image; `what` is what people call one of them.
fn keys(
    name: Option<&String>,
    tag: Option<&String>,
    spec: Option<&String>,
    what: &str,
    place: &str,
    problems: &mut Problems,
) -> Option<Keys> {
    let invalid = |message: String| Problem::new(Reason::InvalidTarget, message);
    let empty = [(name, "name"), (tag, "tag"), (spec, "spec")]
        .into_iter()
        .find(|(text, _)| text.is_some_and(|text| text.trim().is_empty()));
    let problem = match (name, tag, spec, empty) {
        (_, _, _, Some((_, key))) => invalid(format!("the {what}'s name is empty")).at(format!("{place}.{key}")),
        (None, None, Some(spec), _) => return Some(Keys::Spec(spec.clone())),
        (_, _, Some(_), _) => invalid("the target has both a spec and a name or tag".to_owned()).at(place),
        (_, None, None, _) => invalid("the target has neither a spec nor a tag".to_owned()).at(place),
        (Some(name), Some(tag), None, _) if name == tag => {
            invalid(format!("name and tag are one {what}, `{tag}`")).at(place)
        }
        (name, Some(tag), None, _) => return Some(Keys::NameAndTag { name: name.cloned(), tag: tag.clone() }),
    };
    problems.add(problem.hint("give either spec, or name and tag"));
    None
}

fn source_selector(text: &SourceSelectorSpec, place: &str, problems: &mut Problems) -> Option<SourceSelector> {
    let SourceSelectorSpec { name, index, reference, chart } = text;
    match (name, index, reference, chart) {
        (Some(name), None, None, None) => return Some(SourceSelector::Name(name.clone())),
        (None, Some(index), None, None) if *index >= 0 => {
            return Some(SourceSelector::Index(usize::try_from(*index).unwrap_or_default()));
        }
        (None, None, Some(reference), None) => return Some(SourceSelector::Reference(reference.clone())),
        (None, None, None, Some(chart)) => return Some(SourceSelector::Chart(chart.clone())),
        _ => {}
    }
    let problem = Problem::new(Reason::InvalidTarget, "the source is not named in exactly one way").at(place);
    problems.add(problem.hint("give exactly one of name, index (from 0), ref and chart"));
    None
}
