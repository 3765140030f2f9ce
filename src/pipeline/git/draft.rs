//! What a draft knows and says of commits and branches.

use crate::model::{Application, GitWritten, Mark, Memory, Policy, Reason};
use crate::pipeline::memory;
use crate::pipeline::pull_request::PullRequestOutcome;
use crate::pipeline::write::Draft;

impl Draft<'_> {
    /// What is remembered of a place about a branch of our own, and whether a person asks to go on there.
    pub(in crate::pipeline) fn waiting_at(
        mut self,
        memory: &Memory,
        marks: &[Mark],
        policy: &Policy,
        application: &Application,
    ) -> Self {
        let remembered = marks.iter().find_map(|mark| memory.places.get(mark));
        self.waiting = remembered.and_then(|remembered| remembered.proposed.clone());
        let asked = memory::asks_to_resume(memory, marks, policy, application, &self.image.title);
        self.lifted = asked || remembered.is_some_and(|remembered| remembered.lifted);
        // Until it is known that it was.
        let pull_request = policy.write_back.git().and_then(|git| git.pull_request.as_ref());
        self.report.lifted = self.lifted && pull_request.is_some();
        self
    }

    /// Forgets that a person asked to offer a change again, where it is offered, or nothing is left to offer.
    pub(super) fn settle_lift(&mut self) {
        use Reason::{PullRequestOpen, RolloutDegraded, RolloutStuck, UpToDate};
        if [PullRequestOpen, UpToDate, RolloutDegraded, RolloutStuck].contains(&self.report.reason) {
            self.report.lifted = false;
        }
    }

    /// The same where the place is not known: what waits for the Application may be for this image.
    pub(in crate::pipeline) fn waiting_somewhere(mut self, memory: &Memory) -> Self {
        let mut places = memory.places.iter().filter(|(mark, _)| mark.application == self.report.application.name);
        self.waiting = places.find_map(|(_, remembered)| remembered.proposed.clone());
        self
    }

    /// The version is in the commit that `written` names.
    pub(super) fn committed(&mut self, written: &GitWritten) {
        let report = &mut self.report;
        report.proposed = None;
        report.commit = Some(written.commit.to_string());
        if written.pushed {
            report.message =
                format!("{}, in commit {} of `{}`", report.message, written.commit.short(), written.branch);
        }
    }

    /// Adds what else is to be said.
    pub(super) fn noted(&mut self, note: Option<&str>) {
        self.report.message.extend(note.map(|note| format!("; {note}")));
    }

    /// The version is in a branch of its own, and waits to be merged.
    pub(super) fn awaiting(&mut self, written: &GitWritten) {
        let kept = self.kept_pin();
        let report = &mut self.report;
        let chosen = report.chosen.clone().unwrap_or_default();
        report.reason = Reason::AwaitingMerge;
        let (branch, commit) = (&written.branch, written.commit.short());
        report.message = format!("`{chosen}` is in commit {commit} of `{branch}` and waits to be merged");
        report.commit = Some(written.commit.to_string());
        report.proposed = self.choice.as_ref().map(|choice| choice.written(kept));
    }

    /// The version is in its branch; says what became of the pull request.
    pub(super) fn requested(&mut self, outcome: Option<&PullRequestOutcome>) {
        let Some(outcome) = outcome else { return };
        let chosen = self.report.chosen.clone().unwrap_or_default();
        let mut message = format!("`{chosen}`: {}", outcome.message);
        for left in &outcome.left_undone {
            message = format!("{message}; {left}");
        }
        self.report.reason = outcome.reason;
        self.report.message = message;
    }
}
