//! After the write: whether Argo CD brought the version to life. Pure.

use jiff::{SignedDuration, Timestamp};

use super::keys::version;
use crate::model::{
    Application, Health, ImageReference, Progress, Reason, Repository, Rollout, RolloutState, SyncOperation, SyncPhase,
};

/// Argo CD's word alone counts where it is this much later than the write: before, it may be about what was there.
const CERTAIN: SignedDuration = SignedDuration::from_secs(60);

/// The rollout of a version that was written into `application` right now.
pub(super) fn begin(application: &Application, written_at: Timestamp) -> Rollout {
    let told = application.progress.as_ref().is_some_and(|progress| progress.reconciled_at.is_some());
    let state = if told { RolloutState::Progressing } else { RolloutState::Unknown };
    Rollout { written_at, pushed_at: None, state, since: written_at }
}

/// How far the version `written` of `repository` has come by `now`.
pub(super) fn follow(
    before: &Rollout,
    application: &Application,
    repository: &Repository,
    written: &str,
    now: Timestamp,
) -> Rollout {
    let state = match assess(before.written_at, application) {
        RolloutState::Healthy if !is_sure(before, application, repository, written) => RolloutState::Progressing,
        state => state,
    };
    if state == before.state { *before } else { Rollout { state, since: now, ..*before } }
}

/// Why a rollout is bad news, if it is.
pub(super) fn trouble(rollout: &Rollout, application: &Application, now: Timestamp) -> Option<(Reason, String)> {
    let late = now.duration_since(rollout.written_at) >= Rollout::BOUND;
    match rollout.state {
        RolloutState::Degraded => {
            let failed = ran(rollout.written_at, application).filter(|sync| sync.phase == SyncPhase::Failed);
            let what = failed.map_or_else(
                || "the Application is Degraded since".to_owned(),
                |sync| format!("its sync failed: {}", sync.message),
            );
            Some((Reason::RolloutDegraded, format!("written at {}, and {what}", rollout.written_at)))
        }
        RolloutState::Progressing if late => {
            let minutes = Rollout::BOUND.as_mins();
            let message = format!(
                "written at {}, and not Synced and Healthy after {minutes} minutes; Argo CD says {}",
                rollout.written_at,
                words(application.progress.as_ref())
            );
            Some((Reason::RolloutStuck, message))
        }
        RolloutState::Progressing | RolloutState::Healthy | RolloutState::Unknown => None,
    }
}

fn words(progress: Option<&Progress>) -> String {
    let Some(progress) = progress else { return "nothing".to_owned() };
    let sync = match progress.synced {
        Some(true) => "Synced",
        Some(false) => "OutOfSync",
        None => "nothing of the sync",
    };
    format!("{sync} and {:?}", progress.health)
}

/// What Argo CD's words come to for what was written at `written_at`.
fn assess(written_at: Timestamp, application: &Application) -> RolloutState {
    let Some(progress) = &application.progress else { return RolloutState::Unknown };
    let Some(reconciled_at) = progress.reconciled_at else { return RolloutState::Unknown };
    let written_at = as_argo_cd_tells(written_at);
    if reconciled_at < written_at {
        return RolloutState::Progressing;
    }
    let phase = ran(written_at, application).map(|sync| sync.phase);
    if phase == Some(SyncPhase::Failed) {
        return RolloutState::Degraded;
    }
    // Some Applications differ from what is asked for all the time; a sync since then is as good.
    let synced = progress.synced == Some(true) || phase == Some(SyncPhase::Succeeded);
    match (synced, progress.health) {
        (true, Health::Healthy) => RolloutState::Healthy,
        // Within the second of the write it is what was there before: nothing fails so fast.
        (true, Health::Degraded) if reconciled_at > written_at => RolloutState::Degraded,
        (true, Health::Suspended) => RolloutState::Unknown,
        (false, _) if !application.automated && phase.is_none() => RolloutState::Unknown,
        _ => RolloutState::Progressing,
    }
}

/// The last sync, if it began after the write.
fn ran(written_at: Timestamp, application: &Application) -> Option<&SyncOperation> {
    let sync = application.progress.as_ref()?.operation.as_ref()?;
    sync.started_at.filter(|started| *started >= as_argo_cd_tells(written_at)).map(|_| sync)
}

/// The moment in whole seconds, as Argo CD states its own: else what it does within the second of the write would seem to be
/// older than the write, until it looks again minutes later.
fn as_argo_cd_tells(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

/// Whether Argo CD's word is about what was written: live Pods show it, or none of the image, or the word is late enough.
fn is_sure(rollout: &Rollout, application: &Application, repository: &Repository, written: &str) -> bool {
    let reconciled_at = application.progress.as_ref().and_then(|progress| progress.reconciled_at);
    if reconciled_at.is_some_and(|at| at.duration_since(rollout.written_at) >= CERTAIN) {
        return true;
    }
    let Some(wanted) = version(written) else { return true };
    let references = application.live_images.iter().filter_map(|text| text.parse::<ImageReference>().ok());
    let mut live = references.filter(|live| live.repository == *repository).peekable();
    let shows = |live: ImageReference| {
        (wanted.tag.is_some() && live.tag == wanted.tag) || (wanted.digest.is_some() && live.digest == wanted.digest)
    };
    live.peek().is_none() || live.any(shows)
}
