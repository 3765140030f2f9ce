//! Report → status. The only place where a status is made; nothing in it stands beside the report.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::shadow;
use crate::api::{
    DecisionRecord, HeldBack, ImageState, ImageStatus, ImageUpdatePolicyStatus, RememberedPlace, RememberedRollout,
    RolloutStatus, RolloutWord, SeenDigest, ShadowDifference, ShadowStatus, StatusSummary, UnresumedImage,
    WatchedImage,
};
use crate::model::{
    Counts, Difference, ImageReport, Mark, Memory, Reason, Remembered, Report, Rollout, RolloutState, Severity, Shadow,
    State, Watch,
};

const MAXIMUM_ENTRIES: usize = 200;
/// Bytes of JSON that the entries may take, so that the whole object stays far below what etcd accepts.
const MAXIMUM_ENTRY_BYTES: usize = 110 * 1024;
const MAXIMUM_REMEMBERED_BYTES: usize = 90 * 1024;
const MAXIMUM_ROLLOUT_BYTES: usize = 25 * 1024;
const MAXIMUM_UNRESUMED_BYTES: usize = 20 * 1024;
const MAXIMUM_WATCHED_BYTES: usize = 40 * 1024;
/// Digits of a digest that is known to be old.
const SHORT_DIGEST: usize = 16;
const MAXIMUM_MESSAGE: usize = 600;
const HEARTBEAT: SignedDuration = SignedDuration::from_hours(1);

/// The `Ready` condition in short: whether all is well, the word for it, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// How much a person has to do.
    pub severity: Severity,
    /// The word.
    pub reason: Reason,
    /// The sentence.
    pub message: String,
}

/// What a report comes down to: its worst problem, or that all is well.
pub fn ready(report: &Report) -> Ready {
    let problems = report.problems.iter().map(|problem| (problem.reason, problem.to_string()));
    let named = |image: &ImageReport| {
        (image.reason, format!("{} of {}: {}", image.image, image.application.name, image.message))
    };
    let waiting = |reason: &Reason| reason.severity() > Severity::Fine;
    let found: Vec<(Reason, String)> =
        problems.chain(report.images.iter().map(named)).filter(|(reason, _)| waiting(reason)).collect();
    // The first of the worst: problems of the whole policy stand in front of those of single images.
    let worst = found.iter().map(|(reason, _)| reason.severity()).max();
    let first = worst.and_then(|worst| found.iter().find(|(reason, _)| reason.severity() == worst));
    match first {
        None => {
            let (images, applications) =
                (count(report.images.len(), "image"), count(report.applications, "Application"));
            Ready {
                severity: Severity::Fine,
                reason: Reason::UpToDate,
                message: format!("{images} of {applications} up to date"),
            }
        }
        Some((reason, message)) => {
            let more = found.len() - 1;
            let message = if more == 0 { message.clone() } else { format!("{message} (and {more} more)") };
            Ready { severity: reason.severity(), reason: *reason, message: shortened(&message) }
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

/// The status that a report makes of the one before. Times of transitions stay where nothing changed.
pub fn status(report: &Report, previous: Option<&ImageUpdatePolicyStatus>) -> ImageUpdatePolicyStatus {
    let (images, not_listed) = entries(report, previous);
    let updated = report.images.iter().any(|image| image.state() == State::Updated);
    let last_update = if updated {
        Some(Time(report.checked_at))
    } else {
        previous.and_then(|status| status.last_update_time.clone())
    };
    ImageUpdatePolicyStatus {
        observed_generation: Some(report.generation),
        conditions: conditions(report, previous),
        summary: Some(summary(report, not_listed)),
        last_check_time: Some(Time(report.checked_at)),
        last_update_time: last_update,
        next_check_time: Some(Time(report.next_check)),
        images,
        resumed: report.memory.resumed.clone(),
        unresumed: fitting(report.memory.unresumed.iter().map(unresumed_image), MAXIMUM_UNRESUMED_BYTES),
        remembered: remembered_places(&report.memory),
        rollouts: open_rollouts(&report.memory),
        watched: watched_images(&report.memory),
    }
}

/// Whether two statuses say the same, and the older one is not so old that a sign of life is due.
pub fn same_but_time(previous: &ImageUpdatePolicyStatus, next: &ImageUpdatePolicyStatus) -> bool {
    let age = |status: &ImageUpdatePolicyStatus| status.last_check_time.as_ref().map(|time| time.0);
    let (Some(before), Some(after)) = (age(previous), age(next)) else { return false };
    let timeless = |status: &ImageUpdatePolicyStatus| ImageUpdatePolicyStatus {
        last_check_time: None,
        next_check_time: None,
        ..status.clone()
    };
    after.duration_since(before) < HEARTBEAT && timeless(previous) == timeless(next)
}

/// What a status remembers of earlier looks.
pub fn remembered(status: &ImageUpdatePolicyStatus) -> Memory {
    let place = |place: &RememberedPlace| {
        let mark = Mark { application: place.application.clone(), place: place.mark.clone() };
        let held_back = place.held_back.as_ref().map(|held| (held.version.clone(), held.since.0));
        let (written, resumed) = (place.written.clone(), place.resumed.clone());
        let (proposed, shadow) = (place.proposed.clone(), place.shadow.as_ref().map(shadow_of));
        let lifted = place.lifted;
        (mark, Remembered { written, held_back, resumed, lifted, rollout: None, proposed, shadow })
    };
    let watch = |watch: &WatchedImage| {
        let old = watch.old.as_bytes().chunks(SHORT_DIGEST).map(|short| String::from_utf8_lossy(short).into_owned());
        let young = watch.young.iter().filter_map(|seen| Some((seen.digest.parse().ok()?, seen.first_seen.0)));
        let watched = Watch { since: watch.since.0, old: old.collect(), young: young.collect() };
        ((watch.image.clone(), watch.repository.clone()), watched)
    };
    let mut places: BTreeMap<Mark, Remembered> = status.remembered.iter().map(place).collect();
    for RememberedRollout { application, mark, rollout } in &status.rollouts {
        let mark = Mark { application: application.clone(), place: mark.clone() };
        if let Some(place) = places.get_mut(&mark) {
            place.rollout = Some(open_rollout(rollout));
        }
    }
    let unresumed = status.unresumed.iter().map(|image| (image.application.clone(), image.image.clone())).collect();
    let watches = status.watched.iter().map(watch).collect();
    Memory { places, watches, resumed: status.resumed.clone(), unresumed }
}

fn unresumed_image((application, image): &(String, String)) -> UnresumedImage {
    UnresumedImage { application: application.clone(), image: image.clone() }
}

/// As much of what is remembered as there is room for; holds first.
fn remembered_places(memory: &Memory) -> Vec<RememberedPlace> {
    let mut places: Vec<(&Mark, &Remembered)> = memory.places.iter().collect();
    places.sort_by_key(|(mark, remembered)| (remembered.held_back.is_none() && !remembered.lifted, *mark));
    let place = |(mark, remembered): (&Mark, &Remembered)| RememberedPlace {
        application: mark.application.clone(),
        mark: mark.place.clone(),
        written: remembered.written.clone(),
        resumed: remembered.resumed.clone(),
        lifted: remembered.lifted,
        proposed: remembered.proposed.clone(),
        shadow: remembered.shadow.as_ref().map(shadow_status),
        held_back: remembered
            .held_back
            .as_ref()
            .map(|(version, since)| HeldBack { version: version.clone(), since: Time(*since) }),
    };
    fitting(places.into_iter().map(place), MAXIMUM_REMEMBERED_BYTES)
}

/// As many open rollouts as there is room for, the newest first: the older ones are told as stuck, or about to be.
fn open_rollouts(memory: &Memory) -> Vec<RememberedRollout> {
    let open = memory.places.iter().filter_map(|(mark, place)| Some((mark, place.rollout.as_ref()?)));
    let mut open: Vec<(&Mark, &Rollout)> = open.collect();
    open.sort_by_key(|(mark, rollout)| (std::cmp::Reverse(rollout.written_at), *mark));
    let remembered = |(mark, rollout): (&Mark, &Rollout)| RememberedRollout {
        application: mark.application.clone(),
        mark: mark.place.clone(),
        rollout: rollout_status(rollout),
    };
    fitting(open.into_iter().map(remembered), MAXIMUM_ROLLOUT_BYTES)
}

fn rollout_status(rollout: &Rollout) -> RolloutStatus {
    RolloutStatus {
        state: match rollout.state {
            RolloutState::Progressing => RolloutWord::Progressing,
            RolloutState::Healthy => RolloutWord::Healthy,
            RolloutState::Degraded => RolloutWord::Degraded,
            RolloutState::Unknown => RolloutWord::Unknown,
        },
        since: Time(rollout.since),
        written_at: Time(rollout.written_at),
        pushed_at: rollout.pushed_at.map(Time),
        lag_seconds: rollout.lag().map(|lag| lag.as_secs()),
    }
}

fn open_rollout(rollout: &RolloutStatus) -> Rollout {
    Rollout {
        written_at: rollout.written_at.0,
        pushed_at: rollout.pushed_at.as_ref().map(|time| time.0),
        state: match rollout.state {
            RolloutWord::Progressing => RolloutState::Progressing,
            RolloutWord::Healthy => RolloutState::Healthy,
            RolloutWord::Degraded => RolloutState::Degraded,
            RolloutWord::Unknown => RolloutState::Unknown,
        },
        since: rollout.since.0,
    }
}

fn shadow_status(shadow: &Shadow) -> ShadowStatus {
    ShadowStatus {
        held: shadow.held.clone(),
        would: shadow.would.clone(),
        agreements: shadow.agreements,
        differences: shadow.differences,
        last_difference: shadow.last_difference.as_ref().map(|difference| ShadowDifference {
            at: Time(difference.at),
            ours: difference.ours.clone(),
            theirs: difference.theirs.clone(),
            reason: shortened(&difference.reason),
        }),
    }
}

fn shadow_of(status: &ShadowStatus) -> Shadow {
    Shadow {
        held: status.held.clone(),
        would: status.would.clone(),
        agreements: status.agreements,
        differences: status.differences,
        last_difference: status.last_difference.as_ref().map(|difference| Difference {
            at: difference.at.0,
            ours: difference.ours.clone(),
            theirs: difference.theirs.clone(),
            reason: difference.reason.clone(),
        }),
    }
}

/// How far the version has come; what came to its end stays shown as long as the version stands.
fn rollout_of(image: &ImageReport, before: Option<&ImageStatus>) -> Option<RolloutStatus> {
    let ended = before.filter(|before| {
        image.held_back.is_none() && before.written == image.written && before.current == image.current
    });
    let ended = ended.and_then(|before| before.rollout.clone()).filter(|ended| ended.state == RolloutWord::Healthy);
    image.rollout.as_ref().map(rollout_status).or(ended)
}

fn watched_images(memory: &Memory) -> Vec<WatchedImage> {
    let watched = |((image, repository), watch): (&(String, String), &Watch)| WatchedImage {
        image: image.clone(),
        repository: repository.clone(),
        since: Time(watch.since),
        old: watch.old.iter().map(String::as_str).collect(),
        young: watch
            .young
            .iter()
            .map(|(digest, seen)| SeenDigest { digest: digest.to_string(), first_seen: Time(*seen) })
            .collect(),
    };
    fitting(memory.watches.iter().map(watched), MAXIMUM_WATCHED_BYTES)
}

/// The items whose JSON fits into a number of bytes; one that does not makes room for those behind it.
fn fitting<T: serde::Serialize>(items: impl Iterator<Item = T>, maximum: usize) -> Vec<T> {
    let mut bytes = 0;
    let fits = |item: &T| {
        let size = serde_json::to_vec(item).map_or(maximum, |json| json.len());
        let fits = bytes + size <= maximum;
        bytes += if fits { size } else { 0 };
        fits
    };
    items.filter(fits).collect()
}

fn conditions(report: &Report, previous: Option<&ImageUpdatePolicyStatus>) -> Vec<Condition> {
    let Ready { severity, reason, message } = ready(report);
    let condition = |kind: &str, holds: bool, reason: Reason, message: &str| {
        let status = if holds { "True" } else { "False" };
        let before =
            previous.into_iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == kind);
        let since = before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: message.to_owned(),
            observed_generation: Some(report.generation),
            last_transition_time: since.unwrap_or(Time(report.checked_at)),
        }
    };
    let retrying = severity == Severity::Failing;
    let stalled = severity == Severity::Stalled;
    vec![
        condition("Ready", !retrying && !stalled, reason, &message),
        condition("Reconciling", retrying, reason, if retrying { "tried again by itself" } else { "" }),
        condition("Stalled", stalled, reason, if stalled { &message } else { "" }),
    ]
}

fn summary(report: &Report, not_listed: usize) -> StatusSummary {
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let of = |states: &[State]| number(report.images.iter().filter(|image| states.contains(&image.state())).count());
    StatusSummary {
        applications: number(report.applications),
        images: number(report.images.len()),
        up_to_date: of(&[State::UpToDate, State::Updated]),
        pending: of(&[State::Pending]),
        failed: of(&[State::Failed]),
        not_listed: number(not_listed),
        shadow: shadow::summary(&report.images),
    }
}

/// The entries that there is room for, the interesting ones first, and how many there is no room for.
fn entries(report: &Report, previous: Option<&ImageUpdatePolicyStatus>) -> (Vec<ImageStatus>, usize) {
    let before: BTreeMap<(&str, &str), &ImageStatus> = previous
        .into_iter()
        .flat_map(|status| &status.images)
        .map(|image| ((image.application.as_str(), image.alias.as_str()), image))
        .collect();
    let before = |image: &ImageReport| before.get(&(image.application.name.as_str(), image.image.as_str())).copied();
    let mut all: Vec<ImageStatus> = report.images.iter().map(|image| entry(image, before(image))).collect();
    all.sort_by(|one, other| {
        let rank = |image: &ImageStatus| (std::cmp::Reverse(image.state), std::cmp::Reverse(image.held_back.is_some()));
        (rank(one), &one.application, &one.alias).cmp(&(rank(other), &other.application, &other.alias))
    });
    let total = all.len();
    let listed = fitting(all.into_iter().take(MAXIMUM_ENTRIES), MAXIMUM_ENTRY_BYTES);
    let not_listed = total - listed.len();
    (listed, not_listed)
}

/// An image that was written stays shown as written, with what was said then, until something else happens to it.
fn entry(image: &ImageReport, before: Option<&ImageStatus>) -> ImageStatus {
    let told = before.filter(|before| {
        image.state() == State::UpToDate && before.state == ImageState::Updated && before.current == image.current
    });
    let (state, reason, message) = match told {
        Some(before) => (ImageState::Updated, before.reason.clone(), before.message.clone()),
        None => (state(image.state()), image.reason.to_string(), shortened(&image.message)),
    };
    ImageStatus {
        application: image.application.name.clone(),
        alias: image.image.clone(),
        current: image.current.clone(),
        chosen: image.chosen.clone().or_else(|| before.filter(|_| image.state() == State::Failed)?.chosen.clone()),
        state,
        reason,
        message,
        decision: image.counts.map(|counts| decision(counts, image.runner_up.as_ref())),
        destination: image.destination.clone(),
        commit: image.commit.clone().or_else(|| told?.commit.clone()),
        written: image.written.clone(),
        until: image.until.map(Time),
        held_back: image
            .held_back
            .as_ref()
            .map(|(version, since)| HeldBack { version: version.clone(), since: Time(*since) }),
        rollout: rollout_of(image, before),
        shadow: image.shadow.as_ref().map(shadow_status),
    }
}

const fn state(state: State) -> ImageState {
    match state {
        State::UpToDate => ImageState::UpToDate,
        State::Updated => ImageState::Updated,
        State::Pending => ImageState::Pending,
        State::Failed => ImageState::Failed,
    }
}

fn decision(counts: Counts, runner_up: Option<&String>) -> DecisionRecord {
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let Counts { listed, not_allowed, ignored, unusable, outside, wrong_platform, held, eligible } = counts;
    let removed = [
        ("notAllowed", not_allowed),
        ("ignored", ignored),
        ("unusable", unusable),
        ("outsideConstraint", outside),
        ("wrongPlatform", wrong_platform),
        ("held", held),
    ];
    let removed =
        removed.into_iter().filter(|(_, count)| *count > 0).map(|(filter, count)| (filter.to_owned(), number(count)));
    DecisionRecord {
        candidates: number(listed),
        allowed: number(eligible),
        runner_up: runner_up.cloned(),
        removed: removed.collect(),
    }
}

fn shortened(message: &str) -> String {
    if message.chars().count() <= MAXIMUM_MESSAGE {
        return message.to_owned();
    }
    let kept: String = message.chars().take(MAXIMUM_MESSAGE - 1).collect();
    format!("{kept}…")
}
