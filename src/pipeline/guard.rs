//! The hand-over guard: where another updater still writes, Fairlead does not. Pure.

use jiff::{SignedDuration, Timestamp};

use super::write::Draft;
use crate::model::{Application, GitBranch, GitCommit, Policy, Reason, UpdaterWrite};

/// How long after its last write another updater counts as at work.
const QUIET: SignedDuration = SignedDuration::from_hours(24);
/// How the name under which argocd-image-updater commits begins, and the subject of its commits, where nobody set others.
const UPDATER: &str = "argocd-image-updater";
const SUBJECT: &str = "build: automatic update of ";

impl Draft<'_> {
    /// Leaves the Application to another updater that is at work there. In Git the branch counts, not the Application.
    pub(super) fn guarded(mut self, application: &Application, policy: &Policy, now: Timestamp) -> Self {
        if self.choice.is_some() && !policy.dry_run && self.file().is_none() {
            self.left(of_application(application, policy, now));
        }
        self
    }

    /// Leaves the place alone until then, where there is a reason to.
    pub(super) fn left(&mut self, to_another: Option<(String, Timestamp)>) {
        if let Some((message, until)) = to_another {
            self.fail(Reason::AnotherUpdaterWrites, message);
            self.report.until = Some(until);
        }
    }
}

/// Why the Application is left to another updater, and until when, unless a person lets Fairlead take over.
pub(super) fn of_application(
    application: &Application,
    policy: &Policy,
    now: Timestamp,
) -> Option<(String, Timestamp)> {
    let write = application.updater_write.as_ref().filter(|_| !may_take_over(application, policy))?;
    another_updater(write, &application.id.to_string(), now)
}

/// The same of a branch, where argocd-image-updater made `commit`, the newest there.
pub(super) fn of_branch(commit: GitCommit, branch: &GitBranch, now: Timestamp) -> Option<(String, Timestamp)> {
    let theirs = is_of_updater(&commit);
    let write = UpdaterWrite { manager: commit.author, at: commit.at };
    another_updater(&write, &branch.to_string(), now).filter(|_| theirs)
}

/// Whether argocd-image-updater made it. The usual subject is ours, too, and that of a squashed pull request of ours, whose number
/// the forge appends.
fn is_of_updater(commit: &GitCommit) -> bool {
    let squashed = commit.subject.ends_with(')') && commit.subject.contains(" (#");
    commit.author.starts_with(UPDATER) || (commit.subject.starts_with(SUBJECT) && !commit.ours && !squashed)
}

/// Whether a person lets Fairlead write what another updater writes.
pub(super) const fn may_take_over(application: &Application, policy: &Policy) -> bool {
    policy.take_over || application.take_over
}

/// Why `place`, an Application or a branch, is left to another updater, and until when.
fn another_updater(write: &UpdaterWrite, place: &str, now: Timestamp) -> Option<(String, Timestamp)> {
    let until = write.at.checked_add(QUIET).ok().filter(|until| *until > now)?;
    let message = format!(
        "`{}` wrote `{place}` at {}; stop it and set `fairlead.dev/take-over: \"true\"` on the policy or the Application, or \
         wait until {until}",
        write.manager, write.at
    );
    Some((message, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_subject_alone_is_the_other_updaters() {
        let cases = [
            ("argocd-image-updater", "chore: images", false, true),
            ("Robot", "build: automatic update of web", false, true),
            ("fairlead", "build: automatic update of web", true, false),
            ("Alice", "build: automatic update of web (#12)", false, false),
            ("Alice", "Fix a typo", false, false),
        ];
        for (author, subject, ours, theirs) in cases {
            let (author, subject, at) = (author.to_owned(), subject.to_owned(), Timestamp::UNIX_EPOCH);
            let commit = GitCommit { author, at, subject, ours };
            assert_eq!(is_of_updater(&commit), theirs, "{commit:?}");
        }
    }
}
