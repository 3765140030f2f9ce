//! Applications and `ImageUpdaters` → policies, one for all Applications whose settings are equal. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Found, Origin};
use crate::api::annotations::PREFIX;
use crate::api::{Application, ApplicationSelector, ImageUpdatePolicySpec, ImageUpdater};
use crate::lower::{annotations, image_updater};
use crate::model::{ApplicationId, Pointer, Problem};

/// Where in a policy a comment belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Section {
    /// In front of it all.
    Head,
    /// In front of `defaults`.
    Defaults,
    /// In front of `images`.
    Images,
    /// In front of the image of this alias.
    Image(String),
    /// In front of `writeBack`.
    WriteBack,
}

/// A comment, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment {
    pub section: Section,
    pub text: String,
}

/// A policy to print.
#[derive(Debug, Clone)]
pub(super) struct Converted {
    pub namespace: String,
    pub name: String,
    pub spec: ImageUpdatePolicySpec,
    pub comments: Vec<Comment>,
}

/// What comes out.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub policies: Vec<Converted>,
    /// What has no policy to stand in.
    pub leftovers: Vec<String>,
    /// How many things could not be carried over.
    pub lost: usize,
}

/// How many Applications a policy names at most.
const MOST_ENTRIES: usize = 100;

/// What is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sources {
    pub annotations: bool,
    pub updaters: bool,
}

/// Converts what was found.
pub(super) fn fold(found: &Found<'_>, sources: Sources) -> Folded {
    let mut result = Folded::default();
    let mut claimed = BTreeSet::new();
    if sources.updaters {
        let all: Vec<Application> = found.applications.iter().map(|(application, _)| application.clone()).collect();
        for (updater, origin) in &found.updaters {
            from_updater(updater, origin, &all, &mut claimed, &mut result);
        }
    }
    if sources.annotations {
        from_annotations(found, &claimed, &mut result);
    }
    result.policies.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    unique(&mut result.policies);
    result
}

fn from_updater(
    updater: &ImageUpdater,
    origin: &Origin<'_>,
    applications: &[Application],
    claimed: &mut BTreeSet<(String, String)>,
    result: &mut Folded,
) {
    let namespace = updater.metadata.namespace.clone().unwrap_or_default();
    let name = updater.metadata.name.clone().unwrap_or_default();
    let found = image_updater::translate(updater, applications);
    claimed.extend(found.matched.into_iter().map(|application| (namespace.clone(), application)));
    result.lost += found.problems.len();
    let first = result.policies.len();
    let references: Vec<usize> = found.policies.iter().map(|policy| policy.reference).collect();
    let policies = found.policies.into_iter().map(|policy| Converted {
        namespace: namespace.clone(),
        name: policy.name,
        spec: policy.spec,
        comments: Vec::new(),
    });
    result.policies.extend(policies);
    let marked = found.problems.iter().map(|problem| (problem, "left out: "));
    for (problem, mark) in marked.chain(found.notes.iter().map(|note| (note, ""))) {
        let path = problem.place.clone().unwrap_or_default();
        let place = origin.place(|root| along(root, &path)).map(|place| format!(" ({place})")).unwrap_or_default();
        let text = format!("{mark}ImageUpdater {name}{place}: {problem}");
        let reference: Option<usize> = path
            .strip_prefix("spec.applicationRefs[")
            .and_then(|rest| rest.split(']').next())
            .and_then(|index| index.parse().ok());
        let at = reference.and_then(|reference| references.iter().position(|known| *known == reference));
        match at.and_then(|at| result.policies.get_mut(first + at)) {
            Some(policy) => policy.comments.push(Comment { section: of_path(&path, updater, &policy.spec), text }),
            None => result.leftovers.push(text),
        }
    }
}

/// Where the comment on a path of an `ImageUpdater` belongs.
fn of_path(path: &str, updater: &ImageUpdater, spec: &ImageUpdatePolicySpec) -> Section {
    let number = |after: &str| path.split(after).nth(1)?.split(']').next()?.parse::<usize>().ok();
    if let (Some(entry), Some(image)) = (number("applicationRefs["), number(".images[")) {
        let image = updater.spec.application_refs.get(entry).and_then(|entry| entry.images.get(image));
        return image.map_or(Section::Images, |image| of_alias(&image.alias, spec));
    }
    match path {
        path if path.contains("commonUpdateSettings") && spec.defaults.is_some() => Section::Defaults,
        path if path.contains("writeBackConfig") && spec.write_back.is_some() => Section::WriteBack,
        path if path.ends_with(".images") => Section::Images,
        _ => Section::Head,
    }
}

fn of_alias(alias: &str, spec: &ImageUpdatePolicySpec) -> Section {
    let known = spec.images.iter().any(|image| image.alias.as_deref() == Some(alias));
    if known { Section::Image(alias.to_owned()) } else { Section::Images }
}

/// A path such as `spec.applicationRefs[0].images` from `root` on.
fn along(root: Pointer, path: &str) -> Pointer {
    let steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    steps.fold(root, |pointer, step| match step.parse() {
        Ok(index) => pointer.index(index),
        Err(_) => pointer.key(step),
    })
}

/// An Application whose annotations mean a policy.
struct Annotated<'a> {
    name: &'a str,
    comments: Vec<Comment>,
}

fn from_annotations(found: &Found<'_>, claimed: &BTreeSet<(String, String)>, result: &mut Folded) {
    type Group<'a> = (ImageUpdatePolicySpec, Vec<Annotated<'a>>);
    let mut groups: BTreeMap<(String, String), Group<'_>> = BTreeMap::new();
    for (application, origin) in &found.applications {
        let metadata = &application.metadata;
        let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.as_deref());
        let name = name.unwrap_or_default();
        if claimed.contains(&(namespace.clone(), name.to_owned())) {
            continue;
        }
        let empty = BTreeMap::new();
        let texts = metadata.annotations.as_ref().unwrap_or(&empty);
        let translated = annotations::translate(&ApplicationId::new(&namespace, name), texts);
        result.lost += translated.problems.len();
        let said = |mark: &str, problem: &Problem| {
            let key = annotations::key_of(problem).unwrap_or_default();
            let full = format!("{PREFIX}{key}");
            let place = origin.place(|root| root.key("metadata").key("annotations").key(&full));
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            let words = Problem { place: None, ..problem.clone() };
            (key.to_owned(), format!("{mark}{name}{place}: {key}: {words}"))
        };
        let problems = translated.problems.iter().map(|problem| said("left out: ", problem));
        let said: Vec<_> = problems.chain(translated.notes.iter().map(|note| said("", note))).collect();
        let Some(mut spec) = translated.spec else {
            result.leftovers.extend(said.into_iter().map(|(_, text)| text));
            continue;
        };
        spec.applications.clear();
        let comment = |(key, text): (String, String)| Comment { section: of_key(&key, &spec), text };
        let annotated = Annotated { name, comments: said.into_iter().map(comment).collect() };
        let same = serde_json::to_string(&spec).unwrap_or_default();
        groups.entry((namespace, same)).or_insert_with(|| (spec, Vec::new())).1.push(annotated);
    }
    for ((namespace, _), (spec, mut members)) in groups {
        members.sort_by_key(|member| member.name);
        for members in members.chunks(MOST_ENTRIES) {
            result.policies.push(policy(&namespace, &spec, members));
        }
    }
}

/// Where the comment on an annotation belongs.
fn of_key(key: &str, spec: &ImageUpdatePolicySpec) -> Section {
    use crate::api::annotations::{ANNOTATIONS, IMAGE_LIST, Scope};
    let annotation = ANNOTATIONS.iter().find(|annotation| annotation.key == key);
    match annotation.map(|annotation| annotation.scope) {
        Some(Scope::Application) if key == IMAGE_LIST => Section::Images,
        Some(Scope::Application) if spec.write_back.is_some() => Section::WriteBack,
        Some(Scope::Both) if spec.defaults.is_some() => Section::Defaults,
        Some(_) => Section::Head,
        None => {
            let alias = spec.images.iter().filter_map(|image| image.alias.as_deref());
            let alias = alias.filter(|alias| key.strip_prefix(alias).is_some_and(|rest| rest.starts_with('.')));
            alias.max_by_key(|alias| alias.len()).map_or(Section::Images, |alias| of_alias(alias, spec))
        }
    }
}

fn policy(namespace: &str, spec: &ImageUpdatePolicySpec, members: &[Annotated<'_>]) -> Converted {
    let entry = |member: &Annotated<'_>| ApplicationSelector { name: Some(member.name.to_owned()), selector: None };
    let names: Vec<&str> = members.iter().map(|member| member.name).collect();
    Converted {
        namespace: namespace.to_owned(),
        name: common_name(&names),
        spec: ImageUpdatePolicySpec { applications: members.iter().map(entry).collect(), ..spec.clone() },
        comments: members.iter().flat_map(|member| member.comments.clone()).collect(),
    }
}

/// What names begin with, if that can be a name; else the first one.
fn common_name(names: &[&str]) -> String {
    let first = names.first().copied().unwrap_or_default();
    let shared = names.iter().fold(first.len(), |length, name| {
        first.bytes().zip(name.bytes()).take(length).take_while(|(one, other)| one == other).count()
    });
    let prefix = first.get(..shared).unwrap_or(first).trim_end_matches(['-', '.', '_']);
    if prefix.len() >= 2 { prefix.to_owned() } else { first.to_owned() }
}

/// Gives policies of one name different ones.
fn unique(policies: &mut [Converted]) {
    let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
    for policy in policies {
        let mut name = policy.name.clone();
        let mut number = 2;
        while !taken.insert((policy.namespace.clone(), name.clone())) {
            name = format!("{}-{number}", policy.name);
            number += 1;
        }
        policy.name = name;
    }
}
