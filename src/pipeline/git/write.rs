//! Writing to Git: one Application at a time is decided, on one state of its files, and given to the queue of its branch. A change by
//! somebody else in between starts over from the fresh state.

use std::collections::BTreeMap;

use super::file::FilePlace;
use super::plan::{self, Job};
use super::sheet::Sheet;
use super::snapshot::Snapshot;
use crate::model::{Application, GitBranch, GitEntry, GitWriteBack, GitWritten, ImageReport, Problem, Reason};
use crate::pipeline::discover::{self, Finding};
use crate::pipeline::guard;
use crate::pipeline::rollout;
use crate::pipeline::write::{Desk, Draft, MAXIMUM_ATTEMPTS, finish, unsure};
use crate::ports::{ApplicationsError, Git, GitError, WriteError};

impl<'a> Desk<'a> {
    /// Decides on one Application and writes it to Git.
    ///
    /// # Guarantees
    /// All changes of one branch are written at once or not at all. What is replaced is tested at the tip, so that a change by a person is
    /// seen; then everything is read and decided anew. After five attempts the report says so, and the next look tries again.
    pub async fn commit(&self, git: &GitWriteBack, finding: Finding) -> Vec<ImageReport> {
        let (mut finding, mut checked) = (finding, false);
        let mut written: BTreeMap<String, ImageReport> = BTreeMap::new();
        for _ in 0..MAXIMUM_ATTEMPTS {
            let mut drafts = self.decide(&finding).await;
            let Some(port) = self.ports.git else { return finish(drafts) };
            self.leave_to_another(port, &finding.application, &mut drafts).await;
            self.within_project(git, &finding.application, &mut drafts).await;
            // What looks taken back is looked at twice: some servers are behind themselves for a moment.
            if !checked && drafts.iter().any(|draft| draft.newly_held) {
                checked = true;
                match self.read_anew(&finding).await {
                    Ok(Some(fresh)) => finding = fresh,
                    Ok(None) => return Vec::new(),
                    Err(error) => return unsure(drafts, &error),
                }
                continue;
            }
            self.label(git, &finding.application, &mut drafts).await;
            let jobs = plan::jobs(self.policy, git, &finding.application, &mut drafts);
            let mut again = false;
            if !self.policy.dry_run {
                for job in jobs.into_iter().filter(|job| !job.plan.edits.is_empty()) {
                    again |= self.carry_out(port, git, &finding.application, job, &mut drafts).await;
                }
            }
            let news = drafts.iter().filter(|draft| draft.report.commit.is_some());
            written.extend(news.map(|draft| (draft.report.image.clone(), draft.report.clone())));
            if !again {
                return merged(finish(drafts), &written);
            }
            match self.read_anew(&finding).await {
                Ok(Some(fresh)) => finding = fresh,
                Ok(None) => return Vec::new(),
                Err(error) => return merged(unsure(drafts, &error), &written),
            }
        }
        let mut drafts = self.decide(&finding).await;
        for draft in drafts.iter_mut().filter(|draft| draft.choice.is_some()) {
            let message = "the files changed again and again while they were written; tried again at the next look";
            draft.fail(Reason::WriteConflict, message.to_owned());
        }
        merged(finish(drafts), &written)
    }

    /// Leaves branches alone whose newest commit another updater made not long ago. Asked only of branches that are to be written.
    pub(super) async fn leave_to_another(&self, port: &dyn Git, application: &Application, drafts: &mut [Draft<'a>]) {
        if self.policy.dry_run || guard::may_take_over(application, self.policy) {
            return;
        }
        for draft in drafts.iter_mut().filter(|draft| draft.choice.is_some()) {
            let Some(branch) = draft.file().map(|file| file.branch.clone()) else { continue };
            let Some(tip) = self.snapshot.tip(&branch) else { continue };
            match port.commit(&branch, tip).await {
                Ok(commit) => draft.left(guard::of_branch(commit, &branch, self.now)),
                Err(error) => draft.fail(error.reason, error.message),
            }
        }
    }

    /// Writes one plan to the branch that was read; whether it has to be decided anew.
    pub(super) async fn carry_out(
        &self,
        port: &dyn Git,
        git: &GitWriteBack,
        application: &Application,
        job: Job,
        drafts: &mut [Draft<'a>],
    ) -> bool {
        let written_at = self.ports.clock.now();
        match port.write(job.plan.clone()).await {
            Ok(written) => {
                let refreshed = if git.refresh { self.refresh(&job).await } else { None };
                for edit in &job.plan.edits {
                    let draft = drafts.iter_mut().find(|draft| draft.image.index == edit.image);
                    if let Some(draft) = draft {
                        draft.written(edit, rollout::begin(application, written_at));
                        draft.committed(&written);
                        draft.noted(job.note.as_deref());
                        draft.noted(refreshed.as_deref());
                    }
                }
            }
            Err(error) if error.changed => return true,
            Err(error) => tell(drafts, &job, |draft| draft.fail(error.reason, error.message.clone())),
        }
        false
    }

    /// Asks Argo CD to look; what went wrong with that, in words that follow a message.
    async fn refresh(&self, job: &Job) -> Option<String> {
        let error = self.ports.applications.refresh(&job.plan.application).await.err()?;
        Some(format!("Argo CD could not be asked to look at it now: {error}"))
    }

    /// The commit of the branch `name` that holds the changes already, if it does. Where the base has changed in the same file beside them, it does not: the
    /// branch would stand in conflict with its base for ever.
    pub(super) async fn proposed(
        &self,
        port: &dyn Git,
        job: &Job,
        name: &str,
        (drafts, texts): (&[Draft<'a>], &BTreeMap<String, String>),
    ) -> Result<Option<GitWritten>, GitError> {
        let branch = GitBranch { branch: Some(name.to_owned()), ..job.plan.base.clone() };
        let tip = match port.tip(&branch, self.now).await {
            Ok(tip) => tip,
            Err(error) if error.reason == Reason::GitBranchNotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let paths: Vec<String> = job.plan.files.iter().map(|file| file.path.clone()).collect();
        let entries = port.read(&branch, &tip, &paths).await?;
        let text = |file: &FilePlace| {
            let position = paths.iter().position(|path| *path == file.path)?;
            match &entries[position] {
                GitEntry::File(text) => Some(text.as_str().into()),
                GitEntry::Missing | GitEntry::Folder(_) | GitEntry::Other(_) => None,
            }
        };
        let ours = drafts.iter().filter(|draft| job.plan.edits.iter().any(|edit| edit.image == draft.image.index));
        let holds = |draft: &Draft<'_>| {
            let (Some(file), Some(version)) = (draft.file(), draft.version()) else { return Ok::<_, Problem>(false) };
            let mut sheet = Sheet::new(&file.path, file.document, text(file));
            Ok(sheet.text().is_some() && !file.write(&mut sheet, draft.image, &version)?)
        };
        let stands = paths.iter().zip(&entries).all(|(path, entry)| match (texts.get(path), entry) {
            (Some(wanted), GitEntry::File(text)) => wanted == text,
            _ => true,
        });
        let all = stands && ours.map(holds).all(|holds| holds == Ok(true));
        Ok(all.then_some(GitWritten { branch: tip.branch, commit: tip.commit, pushed: false }))
    }

    /// The Application and its files as they are now; `None` when it is gone or no longer matches.
    pub(super) async fn read_anew(&self, before: &Finding) -> Result<Option<Finding>, WriteError> {
        let id = &before.application.id;
        let unavailable =
            |error: ApplicationsError| WriteError::Unavailable { application: id.clone(), cause: error.to_string() };
        let fresh = self.ports.applications.fresh(id).await.map_err(unavailable)?;
        let Some(application) = fresh.filter(|fresh| self.policy.matches(&fresh.id, &fresh.labels)) else {
            return Ok(None);
        };
        let now = self.ports.clock.now();
        let policies: Vec<_> = std::iter::once(self.policy).chain(self.older.iter().copied()).collect();
        let applications = std::slice::from_ref(&application);
        let snapshot = Snapshot::read(self.ports.git, (&policies, applications), (&[], &[]), now).await;
        let mut images = discover::find(self.policy, &application, self.older, self.sets, &snapshot);
        // What other Applications are written to was not looked at again.
        for found in &mut images {
            let refused = before.images.iter().find(|before| before.image == found.image);
            let refused = refused.and_then(|before| before.place.as_ref().err());
            if let Some(problem) =
                refused.filter(|problem| matches!(problem.reason, Reason::TargetClaimedTwice | Reason::Conflict))
            {
                found.place = Err(problem.clone());
            }
        }
        Ok(Some(Finding { application, images }))
    }
}

/// Tells each draft of the plan what became of it.
pub(super) fn tell<'a>(drafts: &mut [Draft<'a>], job: &Job, mut tell: impl FnMut(&mut Draft<'a>)) {
    for draft in drafts.iter_mut().filter(|draft| job.plan.edits.iter().any(|edit| edit.image == draft.image.index)) {
        tell(draft);
    }
}

/// The reports, with those of earlier attempts where these wrote.
fn merged(reports: Vec<ImageReport>, written: &BTreeMap<String, ImageReport>) -> Vec<ImageReport> {
    let one = |report: ImageReport| match written.get(&report.image) {
        Some(earlier) if report.commit.is_none() && report.reason == Reason::UpToDate => earlier.clone(),
        _ => report,
    };
    reports.into_iter().map(one).collect()
}
