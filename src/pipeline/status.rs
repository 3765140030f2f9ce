//! Report → status. The only place where a status is made; nothing in it stands beside the report.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::memory::{Memory, Remembered};
use crate::api::{
    DecisionRecord, HeldBack, ImageState, ImageStatus, ImageUpdatePolicyStatus, SeenDigest, StatusSummary,
};
use crate::model::{Counts, ImageReport, Reason, Report, Severity, State};

const MAXIMUM_ENTRIES: usize = 200;
/// Bytes of JSON that the entries may take, so that the whole object stays far below what etcd accepts.
const MAXIMUM_ENTRY_BYTES: usize = 160 * 1024;
const MAXIMUM_MESSAGE: usize = 600;
const MAXIMUM_SEEN: usize = 100;
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
        seen: seen(report),
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
    let image = |image: &ImageStatus| {
        let held_back = image.held_back.as_ref().map(|held| (held.version.clone(), held.since.0));
        let remembered = Remembered { written: image.written.clone(), chosen: image.chosen.clone(), held_back };
        ((image.application.clone(), image.alias.clone()), remembered)
    };
    let seen =
        |seen: &SeenDigest| seen.digest.parse().ok().map(|digest| ((seen.image.clone(), digest), seen.first_seen.0));
    Memory { images: status.images.iter().map(image).collect(), seen: status.seen.iter().filter_map(seen).collect() }
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
    let mut bytes = 0;
    let fitting = all.iter().take(MAXIMUM_ENTRIES).take_while(|image| {
        bytes += serde_json::to_vec(image).map_or(MAXIMUM_ENTRY_BYTES, |json| json.len());
        bytes <= MAXIMUM_ENTRY_BYTES
    });
    let fitting = fitting.count();
    all.truncate(fitting);
    (all, total - fitting)
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
        chosen: image.chosen.clone(),
        state,
        reason,
        message,
        decision: image.counts.map(|counts| decision(counts, image.runner_up.as_ref())),
        destination: image.destination.clone(),
        written: image.written.clone(),
        until: image.until.map(Time),
        held_back: image
            .held_back
            .as_ref()
            .map(|(version, since)| HeldBack { version: version.clone(), since: Time(*since) }),
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

fn seen(report: &Report) -> Vec<SeenDigest> {
    let mut seen: Vec<(&(String, crate::model::Digest), &Timestamp)> = report.seen.iter().collect();
    seen.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
    let entry = |((image, digest), time): (&(String, crate::model::Digest), &Timestamp)| SeenDigest {
        image: image.clone(),
        digest: digest.to_string(),
        first_seen: Time(*time),
    };
    seen.into_iter().take(MAXIMUM_SEEN).map(entry).collect()
}

fn shortened(message: &str) -> String {
    if message.chars().count() <= MAXIMUM_MESSAGE {
        return message.to_owned();
    }
    let kept: String = message.chars().take(MAXIMUM_MESSAGE - 1).collect();
    format!("{kept}…")
}
