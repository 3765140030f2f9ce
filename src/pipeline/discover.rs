//! Discover: which Applications a policy acts on, which of its images each one uses, where each is written, and what is
//! there now. Pure.
//!
//! The destination tells what is there now; the images of live Pods only help to see that an Application uses an image, and
//! stand in where the destination states no version.

mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::git::snapshot::Snapshot;
use super::place::{Claim, Held};
use super::spot::Spot;
use crate::model::{Application, Current, Image, ImageReference, Policy, Problem, Reason, Repository, Skip};
use crate::ports::{ApplicationSets, Inventory};

/// What was found for one policy.
#[derive(Debug, Clone, Default)]
pub struct Discovered {
    /// Applications that match, sorted by name.
    pub applications: Vec<Finding>,
    /// Applications that would match and cannot be read.
    pub problems: Vec<Problem>,
}

/// What was found in one Application.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The Application.
    pub application: Arc<Application>,
    /// Its images, in the policy's order.
    pub images: Vec<Found>,
}

/// What was found of one image in one Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The image's position among the policy's usable images.
    pub image: usize,
    /// Where it is written, and what is there; or why it is left alone.
    pub place: Result<Use, Problem>,
}

/// An image that an Application uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Where it is written.
    pub spot: Spot,
    /// What the place holds.
    pub held: Held,
    /// The versions that run, where the place holds none; more than one in a rollout.
    pub live: Vec<Current>,
}

impl Use {
    /// What `image` writes here.
    fn claims(&self, image: &Image) -> Vec<Claim> {
        self.spot.claims(image)
    }

    /// The version at the destination; where it states none, the one that runs.
    pub fn current(&self) -> Option<&Current> {
        self.held.version.as_ref().or_else(|| self.live.first().filter(|_| self.live.len() == 1))
    }
}

/// Policies of other namespaces that write to Git and go before one, and the Applications of these namespaces.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// The policies.
    pub policies: Vec<Arc<Policy>>,
    /// The Applications.
    pub applications: Vec<Arc<Application>>,
}

/// Finds the policy's images in the Applications of its namespace.
pub fn discover(
    policy: &Policy,
    inventory: &Inventory,
    others: &[Arc<Policy>],
    elsewhere: &Elsewhere,
    snapshot: &Snapshot,
) -> Discovered {
    let older: Vec<&Policy> =
        others.iter().map(AsRef::as_ref).filter(|other| other.id != policy.id && other.goes_before(policy)).collect();
    let matching =
        inventory.applications.iter().filter(|application| policy.matches(&application.id, &application.labels));
    let find = |application: &Arc<Application>| Finding {
        application: application.clone(),
        images: find(policy, application, &older, &inventory.sets, snapshot),
    };
    let unreadable = inventory.unreadable.iter().filter(|(id, _)| policy.matches(id, &BTreeMap::new()));
    let problem = |(id, cause): &(_, String)| {
        Problem::new(Reason::UnreadableObject, format!("the Application `{id}` cannot be read: {cause}"))
    };
    let mut applications: Vec<Finding> = matching.map(find).collect();
    shared::refuse(policy, &mut applications, &shared::claimed(&older, inventory, elsewhere, snapshot));
    Discovered { applications, problems: unreadable.map(problem).collect() }
}

/// Finds the policy's images in one Application.
pub fn find(
    policy: &Policy,
    application: &Arc<Application>,
    older: &[&Policy],
    sets: &ApplicationSets,
    snapshot: &Snapshot,
) -> Vec<Found> {
    let images = policy.images.iter().enumerate();
    let mut found: Vec<Found> =
        images.map(|(image, text)| Found { image, place: used(policy, text, application, snapshot) }).collect();
    refuse_double_claims(policy, application, &mut found);
    if policy.generated {
        let by_hand: Vec<&Policy> = older.iter().filter(|other| !other.generated).copied().collect();
        for found in &mut found {
            let image = &policy.images[found.image];
            if let Some(other) = keeping(&by_hand, application, &image.reference.repository) {
                found.place = Err(superseded(application, &image.title, other));
            }
        }
    }
    let claimed = claims_of(older, application, snapshot);
    for found in &mut found {
        let Ok(used) = &found.place else { continue };
        let image = &policy.images[found.image];
        let taken = used.claims(image).into_iter().find_map(|claim| {
            let other = claimed.iter().find(|(other, _)| other.clashes(&claim));
            other.map(|(_, owner)| (claim.place, owner.clone()))
        });
        if let Some((claim, owner)) = taken {
            let message = format!("the older policy `{owner}` already writes `{claim}` of `{}`", application.id);
            let problem = Problem::new(Reason::Conflict, message)
                .at(format!("spec.images[{}]", policy.images[found.image].index));
            found.place = Err(problem.hint("leave the image to one of the two policies"));
        } else if let Some(problem) = set_back(policy, application, used, sets) {
            found.place = Err(problem);
        }
    }
    found
}

/// The one of these policies that keeps an image of an Application up to date.
pub(super) fn keeping<'a>(
    policies: &[&'a Policy],
    application: &Application,
    repository: &Repository,
) -> Option<&'a Policy> {
    let mut matching = policies.iter().filter(|policy| policy.matches(&application.id, &application.labels));
    matching.find(|policy| policy.images.iter().any(|image| image.reference.repository == *repository)).copied()
}

/// Why a generated policy leaves an image alone.
pub(super) fn superseded(application: &Application, title: &str, other: &Policy) -> Problem {
    let message =
        format!("the policy `{}`, written by hand, keeps `{title}` of `{}` up to date", other.id.name, application.id);
    Problem::new(Reason::Superseded, message).hint("remove the image from the annotations, or from that policy")
}

/// Why the ApplicationSet that made the Application would not let a change stand.
fn set_back(policy: &Policy, application: &Application, used: &Use, sets: &ApplicationSets) -> Option<Problem> {
    let (id, owner) = (&application.id, application.owner.as_ref()?);
    let places = used.spot.regions(policy, application);
    let place = places.first()?;
    let problem = |message: String| Problem::new(Reason::OwnedByApplicationSet, message);
    match sets.get(owner) {
        Some(Ok(set)) => {
            let place = places.iter().find(|place| !set.leaves(&id.name, place))?;
            let message = format!("`{id}` is made by the ApplicationSet `{owner}`, which would set `{place}` back");
            let pointer = place.to_json_pointer();
            Some(problem(message).hint(format!(
                "add to the spec of the ApplicationSet `ignoreApplicationDifferences: [{{ jsonPointers: [{pointer}] }}]`"
            )))
        }
        other => {
            let cause = other.and_then(|set| set.as_ref().err()).map_or("it is not there", String::as_str);
            let message = format!(
                "`{id}` is made by the ApplicationSet `{owner}`, and whether that would set `{place}` back is not known: {cause}"
            );
            Some(problem(message).hint(
                "let Fairlead get `applicationsets.argoproj.io`, or put the ApplicationSet beside the Application",
            ))
        }
    }
}

/// The images of the older policies in this Application, by what they write.
fn claims_of(older: &[&Policy], application: &Arc<Application>, snapshot: &Snapshot) -> Vec<(Claim, String)> {
    let matching = older.iter().filter(|policy| policy.matches(&application.id, &application.labels));
    let images = matching.flat_map(|policy| policy.images.iter().map(move |image| (*policy, image)));
    let claims = images.filter_map(|(policy, image)| {
        Some((used(policy, image, application, snapshot).ok()?.claims(image), policy.id.name.clone()))
    });
    claims.flat_map(|(claims, owner)| claims.into_iter().map(move |claim| (claim, owner.clone()))).collect()
}

fn refuse_double_claims(policy: &Policy, application: &Application, found: &mut [Found]) {
    let mut claimed: Vec<(Claim, usize)> = Vec::new();
    for (position, found) in found.iter().enumerate() {
        let claims = found.place.iter().flat_map(|used| used.claims(&policy.images[found.image]));
        claimed.extend(claims.map(|claim| (claim, position)));
    }
    let mut doubled: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (index, (claim, position)) in claimed.iter().enumerate() {
        for (other, by) in claimed[..index].iter().filter(|(other, _)| other.clashes(claim)) {
            doubled.entry(&other.place).or_default().extend([*by, *position]);
        }
    }
    for (claim, positions) in doubled {
        let places: Vec<String> = positions
            .iter()
            .map(|&position| format!("spec.images[{}]", policy.images[found[position].image].index))
            .collect();
        for (position, place) in positions.into_iter().zip(&places) {
            let message = format!("{} are both written to `{claim}` of `{}`", places.join(" and "), application.id);
            let problem = Problem::new(Reason::TargetClaimedTwice, message).at(place.clone());
            found[position].place = Err(problem.hint("give each a target of its own"));
        }
    }
}

/// Whether and where an Application uses an image.
fn used(policy: &Policy, image: &Image, application: &Arc<Application>, snapshot: &Snapshot) -> Result<Use, Problem> {
    if application.deleting {
        return Err(Problem::new(
            Reason::ApplicationDeleting,
            format!("`{}` is being deleted and is left alone", application.id),
        ));
    }
    if let Some(skip) = &application.skipped {
        let why = match skip {
            Skip::Annotation => "carries argocd.argoproj.io/skip-reconcile".to_owned(),
            Skip::AnotherInstance(namespace) => format!("is looked after by the Argo CD of namespace `{namespace}`"),
        };
        let message = format!("`{}` {why} and is left alone", application.id);
        return Err(Problem::new(Reason::ApplicationSkipped, message));
    }
    let live = live(image, application);
    let spot = Spot::of(policy, image, application, snapshot).map_err(|problem| {
        // Another image's source need not be writable: say so only of an image that is seen to be used.
        if live.is_empty() && !image.force && image.target.is_none() && may_concern_others(problem.reason) {
            return not_used(image, application, &Held::default());
        }
        problem
    })?;
    let held = spot.held(image)?;
    let named = held
        .name
        .as_deref()
        .map(|name| name.parse::<ImageReference>().is_ok_and(|name| name.repository == image.reference.repository));
    let anothers = named.is_none() && !spot.explicit() && is_anothers(image, application, &held, &live);
    if (named == Some(false) || anothers) && !spot.explicit() && (!live.is_empty() || image.force) {
        return Err(foreign(image, application, &spot, &held));
    }
    let stated = named == Some(true) || (named.is_none() && spot.explicit() && held.exists);
    if !(stated || !live.is_empty() || image.force) {
        return Err(not_used(image, application, &held));
    }
    if let Some(problem) = spot.hidden() {
        return Err(problem.clone());
    }
    let live = if held.version.is_none() { live } else { Vec::new() };
    Ok(Use { spot, held, live })
}

/// Whether an Application that does not use the image at all may give rise to a problem.
const fn may_concern_others(reason: Reason) -> bool {
    matches!(reason, Reason::AmbiguousSource | Reason::FileNotFound | Reason::AmbiguousFile)
}

/// Whether the version in a place without a name is that of another image that runs, and not of this one.
fn is_anothers(image: &Image, application: &Application, held: &Held, live: &[Current]) -> bool {
    let Some(tag) = held.version.as_ref().and_then(|version| version.tag.as_ref()) else { return false };
    let ours = live.is_empty() || live.iter().any(|current| current.tag.as_ref() == Some(tag));
    let others = application.live_images.iter().filter_map(|text| text.parse::<ImageReference>().ok());
    !ours
        && others
            .filter(|other| other.repository != image.reference.repository)
            .any(|other| other.tag.as_ref() == Some(tag))
}

/// The versions of the image that run, sorted, each once.
fn live(image: &Image, application: &Application) -> Vec<Current> {
    let renamed = match &image.target {
        Some(crate::model::Target::Kustomize(Some(name))) => Some(&name.repository),
        _ => None,
    };
    let ours = |reference: &ImageReference| {
        reference.repository == image.reference.repository || renamed.is_some_and(|name| *name == reference.repository)
    };
    let references = application.live_images.iter().filter_map(|text| text.parse::<ImageReference>().ok()).filter(ours);
    let versions: BTreeSet<_> = references.map(|reference| (reference.tag, reference.digest)).collect();
    versions.into_iter().map(|(tag, digest)| Current { tag, digest }).collect()
}

fn not_used(image: &Image, application: &Application, held: &Held) -> Problem {
    let holds = held.name.as_ref().map(|name| format!(", its parameters name `{name}`")).unwrap_or_default();
    let message = format!("nothing shows that `{}` uses `{}`{holds}", application.id, image.reference.repository);
    Problem::new(Reason::ImageNotUsed, message)
        .at(format!("spec.images[{}]", image.index))
        .hint("set `forceUpdate: true` if it does without running now")
}

/// The usual place belongs to another image, so the user has to say where this one is written.
fn foreign(image: &Image, application: &Application, spot: &Spot, held: &Held) -> Problem {
    let parameter = spot.name_key();
    let unnamed = || "another image that runs its version".to_owned();
    let other = held.name.as_ref().map_or_else(unnamed, |name| format!("`{name}`"));
    let message =
        format!("`{parameter}` of `{}` belongs to {other}, not to `{}`", application.id, image.reference.repository);
    Problem::new(Reason::InvalidTarget, message)
        .at(format!("spec.images[{}].target", image.index))
        .hint("name the parameters of this image with `target: { helm: { name: …, tag: … } }`")
}

impl Discovered {
    /// Whether some Application uses the image at `position`.
    pub fn uses(&self, position: usize) -> bool {
        self.places(position).any(Result::is_ok)
    }

    /// Why the image at `position` is used nowhere, if nothing shows that it is used anywhere.
    pub fn unused(&self, position: usize) -> Option<&Problem> {
        let mut first = None;
        for place in self.places(position) {
            match place {
                Err(problem) if problem.reason == Reason::ImageNotUsed => first = first.or(Some(problem)),
                _ => return None,
            }
        }
        first
    }

    fn places(&self, position: usize) -> impl Iterator<Item = &Result<Use, Problem>> {
        let images = self.applications.iter().flat_map(|finding| &finding.images);
        images.filter(move |found| found.image == position).map(|found| &found.place)
    }
}
