//! Whether the sync windows of a project let Argo CD sync an Application now.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Application, SyncWindow};

/// Which window forbids a sync of `application` at `now` that no person asks for; `None` where none does.
///
/// An active window that denies forbids. Else, where windows allow, one of them must be active (Argo CD, `SyncWindows.CanSync`).
pub fn forbidding<'a>(windows: &'a [SyncWindow], application: &Application, now: Timestamp) -> Option<&'a SyncWindow> {
    let ours = || windows.iter().filter(|window| window.is_for(application));
    let denies = ours().find(|window| !window.allows && is_active(window, now));
    let mut allowing = ours().filter(|window| window.allows);
    denies.or_else(|| if allowing.clone().any(|window| is_active(window, now)) { None } else { allowing.next() })
}

/// Whether the window began at most its length ago. Looked at minute by minute, as a start is a minute of a clock.
fn is_active(window: &SyncWindow, now: Timestamp) -> bool {
    let minutes = window.length.as_mins();
    (0..=minutes).any(|back| {
        let Ok(time) = now.checked_sub(SignedDuration::from_mins(back)) else { return false };
        let local = window.zone.to_datetime(time);
        let since_start = SignedDuration::from_mins(back) + SignedDuration::from_secs(i64::from(local.second()));
        since_start < window.length && window.starts.matches(local)
    })
}
