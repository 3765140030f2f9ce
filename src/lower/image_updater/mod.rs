//! An `ImageUpdater` of argocd-image-updater → the policies that it means. Pure and total.
//!
//! An Application belongs to the `applicationRefs` entry that scores highest among those that match it. Where an entry's pattern
//! can be a policy's own, because no higher entry can take an Application away from it, the policy selects by the pattern, and new
//! Applications are found as they come. Elsewhere it names the Applications that are known.

mod reach;
mod specification;

use std::collections::{BTreeMap, BTreeSet};

use super::annotations::{self, Translated};
use super::upstream::Findings;
use crate::api::annotations::{IMAGE_LIST, PREFIX};
use crate::api::image_updater::ApplicationRef;
use crate::api::{Application, ApplicationSelector, ImageUpdatePolicySpec, ImageUpdater};
use crate::model::{ApplicationId, CredentialSource, Problem, Reason};

use reach::Reach;
use specification::{specification, verification};

/// What an `ImageUpdater` means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TranslatedUpdater {
    /// The policies, in the order of `applicationRefs`.
    pub policies: Vec<UpdaterPolicy>,
    /// What cannot be carried over, at the path in the resource, or in the annotations of an Application.
    pub problems: Vec<Problem>,
    /// What is understood, and worth knowing.
    pub notes: Vec<Problem>,
    /// The known Applications that an entry matches, by name.
    pub matched: BTreeSet<String>,
}

/// One policy that an `ImageUpdater` means.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdaterPolicy {
    /// Its name: that of the resource, with a number where there are several.
    pub name: String,
    /// The index of its entry in `applicationRefs`.
    pub reference: usize,
    /// What it says.
    pub spec: ImageUpdatePolicySpec,
}

/// How many entries a policy may have in `applications`.
const MOST_ENTRIES: usize = 100;

/// What an `ImageUpdater` means for the Applications of its namespace, as far as they are known. Those of others are passed over.
pub fn translate(updater: &ImageUpdater, applications: &[Application]) -> TranslatedUpdater {
    translate_allowing(updater, applications, &[])
}

/// The same where the administrator allows policies some sources of credentials that are not theirs.
pub fn translate_allowing(
    updater: &ImageUpdater,
    applications: &[Application],
    allowed: &[CredentialSource],
) -> TranslatedUpdater {
    let namespace = updater.metadata.namespace.clone().unwrap_or_default();
    let mut findings = Findings::default();
    elsewhere(updater, &namespace, &mut findings);
    let references = &updater.spec.application_refs;
    let reaches: Vec<_> =
        references.iter().enumerate().map(|(index, entry)| findings.keep(Reach::new(entry, index))).collect();
    // With a pattern that cannot be read nobody knows whose Applications are whose.
    let Some(reaches) = reaches.into_iter().collect::<Option<Vec<Reach>>>() else {
        return TranslatedUpdater {
            problems: findings.problems,
            notes: findings.notes,
            ..TranslatedUpdater::default()
        };
    };
    let order = reach::order(&reaches);
    let known = applications.iter().filter(|one| one.metadata.namespace.as_deref() == Some(namespace.as_str()));
    let known: BTreeMap<&str, &Application> =
        known.filter_map(|one| Some((one.metadata.name.as_deref()?, one))).collect();
    let shares = shares(references, &reaches, &order, &known);
    let mut policies = Vec::new();
    for (index, entry) in references.iter().enumerate() {
        let own: Vec<&str> = shares.iter().filter(|(_, taken)| **taken == index).map(|(name, _)| *name).collect();
        let found = if entry.use_annotations == Some(true) {
            annotated(updater, index, (&namespace, allowed), (&own, &known), &mut findings)
        } else {
            let selection = selection(entry, index, (&reaches, &order), (&own, known.is_empty()), &mut findings);
            let spec = specification(updater, index, (&namespace, allowed), &mut findings);
            selection.into_iter().filter_map(|entries| Some((index, with(spec.clone()?, entries)))).collect()
        };
        policies.extend(found);
    }
    let matched = shares.keys().map(|name| (*name).to_owned()).collect();
    let policies = named(policies, updater.metadata.name.as_deref().unwrap_or_default());
    TranslatedUpdater { policies, problems: findings.problems, notes: findings.notes, matched }
}

/// Notes Applications of another namespace, which are out of reach.
fn elsewhere(updater: &ImageUpdater, namespace: &str, findings: &mut Findings) {
    if let Some(other) = updater.spec.namespace.as_deref().filter(|other| !other.is_empty() && *other != namespace) {
        let message = format!("Applications of `{other}` are out of reach of a policy in `{namespace}`");
        let problem = Problem::new(Reason::InvalidSelector, message).at("spec.namespace");
        findings.refuse(problem.hint(format!("put the resource into `{other}`")));
    }
}

/// Which entry takes each known Application that one matches: the first in order. One that asks for annotations takes only those
/// Applications that have some.
fn shares<'a>(
    references: &[ApplicationRef],
    reaches: &[Reach],
    order: &[usize],
    known: &BTreeMap<&'a str, &Application>,
) -> BTreeMap<&'a str, usize> {
    let takes = |index: usize, application: &Application, name: &str| {
        let annotated = references[index].use_annotations == Some(true);
        let labels = application.metadata.labels.clone().unwrap_or_default();
        reaches[index].matches(name, &labels) && (!annotated || has_list(application))
    };
    let share = |(name, application): (&&'a str, &&Application)| {
        let first = order.iter().copied().find(|index| takes(*index, application, name))?;
        Some((*name, first))
    };
    known.iter().filter_map(share).collect()
}

fn has_list(application: &Application) -> bool {
    let annotations = application.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(&format!("{PREFIX}{IMAGE_LIST}")))
}

/// The policies of an entry whose Applications say everything in annotations: one for all that say the same.
fn annotated(
    updater: &ImageUpdater,
    index: usize,
    (namespace, allowed): (&str, &[CredentialSource]),
    (own, known): (&[&str], &BTreeMap<&str, &Application>),
    findings: &mut Findings,
) -> Vec<(usize, ImageUpdatePolicySpec)> {
    let place = format!("spec.applicationRefs[{index}]");
    if own.is_empty() {
        let pattern = &updater.spec.application_refs[index].name_pattern;
        let message = format!("no known Application that `{pattern}` matches has an image list in its annotations");
        let note = Problem::new(Reason::UnreadSetting, message).at(format!("{place}.useAnnotations"));
        findings.note(note.hint("policies are made of the annotations of Applications that are there"));
    }
    let Some(verify) = verification(updater, index, None, findings) else { return Vec::new() };
    let mut groups: Vec<(ImageUpdatePolicySpec, Vec<ApplicationSelector>)> = Vec::new();
    for name in own {
        let texts = known[name].metadata.annotations.clone().unwrap_or_default();
        let Translated { spec, problems, notes } =
            annotations::translate_allowing(&ApplicationId::new(namespace, *name), &texts, allowed);
        let of_application = |problem: Problem| {
            let place = format!("Application `{name}`, {}", problem.place.clone().unwrap_or_default());
            problem.at(place)
        };
        problems.into_iter().map(of_application).for_each(|problem| findings.refuse(problem));
        notes.into_iter().map(of_application).for_each(|note| findings.note(note));
        let Some(mut spec) = spec else { continue };
        let entry = std::mem::take(&mut spec.applications);
        if let Some(verify) = &verify {
            spec.defaults.get_or_insert_default().verify = Some(verify.clone());
        }
        match groups.iter_mut().find(|(known, _)| *known == spec) {
            Some((_, entries)) => entries.extend(entry),
            None => groups.push((spec, entry)),
        }
    }
    let group = |(spec, entries): (ImageUpdatePolicySpec, Vec<ApplicationSelector>)| {
        entries.chunks(MOST_ENTRIES).map(|entries| (index, with(spec.clone(), entries.to_vec()))).collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(group).collect()
}

/// The `applications` of an entry's policies: its own pattern where it is safe, else the known names, at most a policy's fill each.
fn selection(
    entry: &ApplicationRef,
    index: usize,
    (reaches, order): (&[Reach], &[usize]),
    (own, unknown): (&[&str], bool),
    findings: &mut Findings,
) -> Vec<Vec<ApplicationSelector>> {
    let higher = order.iter().copied().take_while(|other| *other != index);
    let rival = higher.map(|other| (other, &reaches[other])).find(|(_, other)| !other.is_apart_from(&reaches[index]));
    let selector = reaches[index].selector(entry);
    let why = match (&rival, selector) {
        (None, Some(selector)) => return vec![vec![selector]],
        (None, None) => "a policy has no such pattern".to_owned(),
        (Some((other, _)), _) => format!("spec.applicationRefs[{other}] may take some of them"),
    };
    let place = format!("spec.applicationRefs[{index}].namePattern");
    let names = own.iter().map(|name| ApplicationSelector { name: Some((*name).to_owned()), selector: None });
    let names: Vec<ApplicationSelector> = names.collect();
    let note = |message: String| Problem::new(Reason::InvalidSelector, message).at(&place);
    if names.is_empty() && !unknown {
        let message = format!("no Application is left to `{}`", entry.name_pattern);
        let note = Problem::new(Reason::UnreadSetting, message).at(&place);
        findings.note(note.hint("other entries take those that it matches, or there are none"));
    } else if names.is_empty() {
        let message =
            format!("no known Application is left to `{}`, which cannot be a policy's own: {why}", entry.name_pattern);
        findings.refuse(note(message).hint("give the Applications, too; their names can stand in the policy"));
    } else {
        let message =
            format!("`{}` is written as the names of the Applications that there are: {why}", entry.name_pattern);
        let note = Problem::new(Reason::AmbiguousText, message).at(&place);
        findings.note(note.hint("add new Applications by hand, or use patterns that share none"));
    }
    names.chunks(MOST_ENTRIES).map(<[_]>::to_vec).collect()
}

fn with(spec: ImageUpdatePolicySpec, applications: Vec<ApplicationSelector>) -> ImageUpdatePolicySpec {
    ImageUpdatePolicySpec { applications, ..spec }
}

fn named(policies: Vec<(usize, ImageUpdatePolicySpec)>, name: &str) -> Vec<UpdaterPolicy> {
    let several = policies.len() > 1;
    let one = |(number, (reference, spec)): (usize, (usize, ImageUpdatePolicySpec))| {
        let name = if several { format!("{name}-{}", number + 1) } else { name.to_owned() };
        UpdaterPolicy { name, reference, spec }
    };
    policies.into_iter().enumerate().map(one).collect()
}
