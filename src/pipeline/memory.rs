//! What is remembered from look to look: how it is found again, and how a look changes it. In a cluster it lives in the policy's
//! status, so that a restart forgets nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::choose::holds;
use super::place::Place;
use super::spot::Spot;
use crate::model::{
    Application, Current, Digest, ImageReport, Known, Mark, Memory, Policy, Remembered, Report, Repository,
    RolloutState, Source, Sources, Watch,
};

/// Known digests that have reached the minimum age, at most for one image.
const MAXIMUM_OLD: usize = 1500;
const MARK_BYTES: usize = 6;
/// As many digits as nobody can find another image for.
const SHORT_LENGTH: usize = 16;

/// The marks of a place in an Application, the surest first: it is remembered under that one, and found under each.
///
/// Of several sources one is known by what it says of itself, as long as no other says the same: a person may reorder them.
pub(super) fn marks(application: &Application, repository: &Repository, spot: &Spot) -> Vec<Mark> {
    let place = match spot {
        Spot::Application { place, source: _ } => place,
        // A file is told by its repository, branch and path.
        Spot::File(file) => return vec![mark(application, repository, &file.to_string())],
    };
    let shown = place.to_string();
    let within = shown.strip_prefix(&place.source.to_string()).unwrap_or(&shown);
    let names = source_names(application, place).into_iter().map(|name| format!("{name}{within}"));
    names.chain([shown.clone()]).map(|place| mark(application, repository, &place)).collect()
}

/// What tells the source of a place from the others of its Application, the surest first.
fn source_names(application: &Application, place: &Place) -> Vec<String> {
    let Sources::Many(sources) = &application.sources else { return Vec::new() };
    let each = application.sources.each();
    let Some((_, ours)) = each.into_iter().find(|(pointer, _)| *pointer == place.source) else { return Vec::new() };
    let says: [fn(&Source) -> Option<String>; 6] = [
        |source| source.name.as_ref().map(|name| format!("name={name}")),
        |source| source.reference.as_ref().map(|name| format!("ref={name}")),
        |source| source.chart.as_ref().map(|chart| format!("chart={chart}")),
        |source| source.path.as_ref().map(|path| format!("path={path}")),
        |source| source.chart.as_ref().map(|chart| format!("{} chart={chart}", source.repo_url)),
        |source| source.path.as_ref().map(|path| format!("{} path={path}", source.repo_url)),
    ];
    let alone = |says: fn(&Source) -> Option<String>| {
        says(ours).filter(|name| sources.iter().filter(|source| says(source).as_ref() == Some(name)).count() == 1)
    };
    says.into_iter().filter_map(alone).collect()
}

fn mark(application: &Application, repository: &Repository, place: &str) -> Mark {
    let text = format!("{}\n{repository}\n{place}", application.uid);
    let hash = Sha256::digest(text.as_bytes());
    let place = hash.iter().take(MARK_BYTES).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Mark { application: application.id.name.clone(), place }
}

/// What is remembered of a place, without what holds it back where a person asks to go on: by a new value of `fairlead.dev/resume` on
/// the policy or the Application. Each value acts once.
pub(super) fn resumed(
    memory: &Memory,
    marks: &[Mark],
    policy: &Policy,
    application: &Application,
    title: &str,
    current: Option<&Current>,
) -> Remembered {
    let remembered = marks.iter().find_map(|mark| memory.places.get(mark)).cloned().unwrap_or_default();
    let resumed = application.resume.clone().or_else(|| remembered.resumed.clone());
    if asks_to_resume(memory, marks, policy, application, title) {
        // What stands as it was written is no hold, and is still ours.
        let stands = |written: &String| current.is_some_and(|current| holds(current, written));
        return Remembered {
            written: remembered.written.clone().filter(stands),
            held_back: None,
            resumed,
            ..remembered
        };
    }
    Remembered { resumed, ..remembered }
}

/// Whether a person asks to go on at a place by a value of `fairlead.dev/resume` that was not acted on yet.
pub(super) fn asks_to_resume(
    memory: &Memory,
    marks: &[Mark],
    policy: &Policy,
    application: &Application,
    title: &str,
) -> bool {
    let remembered = marks.iter().find_map(|mark| memory.places.get(mark));
    let acted = remembered.and_then(|remembered| remembered.resumed.as_ref());
    let by_application = application.resume.is_some() && application.resume.as_ref() != acted;
    by_application || asked_by_policy(memory, policy, &application.id.name, title)
}

/// Whether a value of `fairlead.dev/resume` on the policy speaks of an image, and was not acted on there.
fn asked_by_policy(memory: &Memory, policy: &Policy, application: &str, title: &str) -> bool {
    let new = policy.resume != memory.resumed && policy.resumes(application, title);
    new || memory.unresumed.contains(&(application.to_owned(), title.to_owned()))
}

/// What is remembered of a place that holds by now what was proposed for it: that it was written.
pub(super) fn arrived(remembered: Remembered, current: Option<&Current>) -> Remembered {
    match &remembered.proposed {
        Some(proposed) if current.is_some_and(|current| holds(current, proposed)) => {
            Remembered { written: Some(proposed.clone()), proposed: None, ..remembered }
        }
        _ => remembered,
    }
}

/// What to remember of a look.
pub fn memory_of(report: &Report) -> Memory {
    report.memory.clone()
}

/// What is remembered after a look at `images`. Places that the look did not see are kept, as long as their Application `exists`.
pub(super) fn after(before: &Memory, policy: &Policy, images: &[ImageReport], exists: impl Fn(&str) -> bool) -> Memory {
    let mut memory = before.clone();
    memory.resumed = policy.resume.clone().or(memory.resumed);
    let unseen = images.iter().filter(|image| image.marks.is_empty());
    let unresumed = unseen.filter(|image| asked_by_policy(before, policy, &image.application.name, &image.image));
    memory.unresumed = unresumed.map(|image| (image.application.name.clone(), image.image.clone())).collect();
    memory.places.retain(|mark, _| exists(&mark.application));
    // All of them before the first is put in: what names one source now may have named another.
    for mark in images.iter().flat_map(|image| &image.marks) {
        memory.places.remove(mark);
    }
    for image in images {
        let Some(mark) = image.marks.first() else { continue };
        let (written, held_back) = (image.written.clone(), image.held_back.clone());
        let rollout = image.rollout.filter(|rollout| rollout.state != RolloutState::Healthy);
        let (resumed, proposed, shadow) = (image.resumed.clone(), image.proposed.clone(), image.shadow.clone());
        let lifted = image.lifted;
        let remembered = Remembered { written, held_back, resumed, lifted, rollout, proposed, shadow };
        if remembered != Remembered::default() {
            memory.places.insert(mark.clone(), remembered);
        }
    }
    memory
}

/// Forgets the watches of images that the policy no longer has, or no longer lets wait.
pub(super) fn keep_watches(memory: &mut Memory, policy: &Policy) {
    memory.watches.retain(|(title, repository), _| {
        let mut images = policy.images.iter().filter(|image| image.rule.minimum_age.is_some() && image.title == *title);
        images.any(|image| image.reference.repository.to_string() == *repository)
    });
}

/// A watch that begins now.
pub(super) const fn begin(now: Timestamp) -> Watch {
    Watch { since: now, old: BTreeSet::new(), young: std::collections::BTreeMap::new() }
}

/// When the age of an image begins to count; from now on it is known.
///
/// At the first look at a repository nothing is new, so build dates count. Later a digest that was never read is new, whatever
/// build date its publisher states. Where more digests are known than are kept, one built before the watch began is old.
pub(super) fn first_seen(watch: &mut Watch, known: &Known, now: Timestamp, first_look: bool) -> Timestamp {
    let short = short(&known.digest);
    if let Some(time) = watch.young.get(&known.digest) {
        return *time;
    }
    if watch.old.contains(&short) {
        return Timestamp::UNIX_EPOCH;
    }
    let built = known.pushed.or_else(|| known.builds.iter().filter_map(|(_, created)| *created).max());
    if watch.old.len() >= MAXIMUM_OLD && built.is_some_and(|built| built < watch.since) {
        return Timestamp::UNIX_EPOCH;
    }
    let time = if first_look { built.unwrap_or(now).min(now) } else { now };
    watch.young.insert(known.digest.clone(), time);
    time
}

/// Moves the digests that have reached the minimum age to the old ones, which are kept without a time.
pub(super) fn ripen(watch: &mut Watch, minimum_age: Duration, now: Timestamp) {
    let age = SignedDuration::try_from(minimum_age).unwrap_or(SignedDuration::MAX);
    for (digest, seen) in std::mem::take(&mut watch.young) {
        if now.duration_since(seen) < age {
            watch.young.insert(digest, seen);
        } else if watch.old.len() < MAXIMUM_OLD {
            watch.old.insert(short(&digest));
        } else if seen >= watch.since {
            // Without room it keeps its time: as unknown it would begin to wait anew.
            watch.young.insert(digest, seen);
        }
    }
}

fn short(digest: &Digest) -> String {
    let hex = digest.as_str().rsplit(':').next().unwrap_or_default();
    hex.chars().take(SHORT_LENGTH).collect()
}
