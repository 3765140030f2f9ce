//! Write: one Application at a time, decided and written on one state of it. A change by somebody else in between starts
//! over from the fresh state.

use std::sync::Arc;

use jiff::Timestamp;

use super::choose::{self, Offer};
use super::discover::{self, Finding, Use};
use super::git::file::FilePlace;
use super::git::snapshot::Snapshot;
use super::memory;
use super::place::{self, Version};
use super::rollout;
use super::spot::Spot;
use super::undone;
use crate::model::{
    Application, ApplicationPlan, Behind, Choice, Current, Decision, Edit, Guard, Image, ImageReport, Mark, Memory,
    Outcome, Pin, Pointer, Policy, Problem, Reason, Remembered, Rollout, Source, WriteBack,
};
use crate::ports::{ApplicationSets, Labels, Ports, RegistryError, WriteError};

pub(super) const MAXIMUM_ATTEMPTS: usize = 5;
/// Attempts after which an object that never rests is no longer asked to, where the plan tests every value that it replaces.
const PATIENT_ATTEMPTS: usize = 3;

/// What is needed to decide on and write the Applications of one policy.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The world.
    pub ports: Ports<'a>,
    /// The policy.
    pub policy: &'a Policy,
    /// The policies that go before it.
    pub older: &'a [&'a Policy],
    /// The ApplicationSets that made some of the Applications.
    pub sets: &'a ApplicationSets,
    /// What the registry offers, by image; `None` for images that nothing uses.
    pub offers: &'a [Option<Result<Offer<'a>, RegistryError>>],
    /// What is remembered of earlier looks.
    pub memory: &'a Memory,
    /// When the look began.
    pub now: Timestamp,
    /// What stands in the files of Git.
    pub snapshot: &'a Snapshot,
}

/// One image of one Application between decision and write.
pub(super) struct Draft<'a> {
    pub(super) image: &'a Image,
    pub(super) used: Option<Use>,
    pub(super) choice: Option<Choice>,
    /// Whether a person seems to have taken a version back since the last look.
    pub(super) newly_held: bool,
    /// The version that waits in a branch of our own since an earlier look.
    pub(super) waiting: Option<String>,
    /// Whether a person asks now to go on in spite of a no.
    pub(super) lifted: bool,
    /// The labels of the choice, where they were asked for and the registry answered.
    pub(super) labels: Arc<Labels>,
    /// When the choice was pushed, as far as that is known.
    pushed_at: Option<Timestamp>,
    pub(super) report: ImageReport,
}

impl<'a> Desk<'a> {
    /// Decides on one Application and writes it.
    ///
    /// # Guarantees
    /// All changes of the Application are written at once or not at all, on exactly the state that they were decided on. Where that
    /// state never lasts, the values that are replaced must at least be those that were decided on. After five attempts the
    /// report says so, and the next look tries again.
    pub async fn write(&self, finding: Finding) -> Vec<ImageReport> {
        if let WriteBack::Git(git) = &self.policy.write_back {
            return self.commit(git, finding).await;
        }
        let mut finding = finding;
        let mut checked = false;
        for attempt in 0..MAXIMUM_ATTEMPTS {
            let mut drafts = self.decide(&finding).await;
            // What looks taken back may be our own write, which the watch has not brought yet.
            if !checked && drafts.iter().any(|draft| draft.newly_held) {
                checked = true;
                match self.anew(&finding.application).await {
                    Ok(Some(fresh)) => finding = fresh,
                    Ok(None) => return Vec::new(),
                    Err(error) => return unsure(drafts, &error),
                }
                continue;
            }
            let mut plan = plan(&finding.application, &mut drafts);
            if attempt >= PATIENT_ATTEMPTS && plan.tests_all() {
                plan.guard = Guard::Values;
            }
            if plan.edits.is_empty() || self.policy.dry_run {
                return finish(drafts);
            }
            let unasked = self.ask(&mut plan, &finding.application).await;
            let written_at = self.ports.clock.now();
            match self.ports.applications.write(&plan).await {
                Ok(()) => {
                    settle(&mut drafts, &plan, |draft, edit| {
                        draft.written(edit, rollout::begin(&finding.application, written_at));
                        draft.report.message.extend(unasked.iter().map(|note| format!("; {note}")));
                    });
                    return finish(drafts);
                }
                Err(WriteError::Conflict(_)) => match self.anew(&finding.application).await {
                    Ok(Some(fresh)) => finding = fresh,
                    Ok(None) => return Vec::new(),
                    Err(error) => return failed(drafts, &plan, &error),
                },
                Err(error) => return failed(drafts, &plan, &error),
            }
        }
        let mut drafts = self.decide(&finding).await;
        let plan = plan(&finding.application, &mut drafts);
        failed(drafts, &plan, &WriteError::Conflict(finding.application.id.clone()))
    }

    /// The Application as it is now; `None` when it is gone or no longer matches.
    async fn anew(&self, application: &Application) -> Result<Option<Finding>, WriteError> {
        let unavailable = |error: crate::ports::ApplicationsError| WriteError::Unavailable {
            application: application.id.clone(),
            cause: error.to_string(),
        };
        let fresh = self.ports.applications.fresh(&application.id).await.map_err(unavailable)?;
        let matching = fresh.filter(|fresh| self.policy.matches(&fresh.id, &fresh.labels));
        let find = |application: &Arc<Application>| {
            discover::find(self.policy, application, self.older, self.sets, self.snapshot)
        };
        Ok(matching.map(|application| Finding { images: find(&application), application }))
    }

    pub(super) async fn decide(&self, finding: &Finding) -> Vec<Draft<'a>> {
        let mut drafts = Vec::with_capacity(finding.images.len());
        for found in &finding.images {
            let image = &self.policy.images[found.image];
            let draft = Draft::new(image, &finding.application);
            let draft = match (&found.place, &self.offers[found.image]) {
                (Err(problem), _) if problem.reason == Reason::ImageNotUsed => continue,
                (Err(problem), _) => draft.refused(problem).waiting_somewhere(self.memory),
                (Ok(used), offer) => {
                    let marks = memory::marks(&finding.application, &image.reference.repository, &used.spot);
                    let application = &finding.application;
                    let draft = draft.waiting_at(self.memory, &marks, self.policy, application);
                    let remembered = memory::resumed(
                        self.memory,
                        &marks,
                        self.policy,
                        application,
                        &image.title,
                        used.held.version.as_ref(),
                    );
                    let remembered = memory::arrived(remembered, used.held.version.as_ref());
                    let draft = draft.using(used, marks, &remembered).following(application, self.now);
                    let draft = self.draft(draft, offer.as_ref(), used, &remembered).await;
                    let draft = draft.compared(self.policy, remembered.shadow.as_ref(), self.now);
                    draft
                        .guarded(application, self.policy, self.now)
                        .naming(application)
                        .troubled(application, self.now)
                }
            };
            drafts.push(draft);
        }
        drafts
    }

    async fn draft(
        &self,
        draft: Draft<'a>,
        offer: Option<&Result<Offer<'a>, RegistryError>>,
        used: &Use,
        remembered: &Remembered,
    ) -> Draft<'a> {
        let offer = match offer {
            Some(Ok(offer)) => offer,
            Some(Err(error)) => return draft.unanswered(error, self.ports.clock.now()),
            None => return draft.refused(&self.unasked()),
        };
        match offer.decide(self.ports, used, remembered).await {
            Ok(decided) => {
                let mut draft = draft.decided(&decided.decision, decided.held_back, remembered, self.policy.dry_run);
                if let Some(choice) = decided.decision.outcome.better() {
                    let pushed_at = offer.pushed_at(&choice.tag).await;
                    draft.pushed_at = pushed_at.filter(|_| draft.choice.is_some());
                    draft.report.behind = Some(Behind { versions: decided.decision.above.max(1), pushed_at });
                }
                draft
            }
            Err(error) => draft.unanswered(&error, self.ports.clock.now()),
        }
    }

    /// Why no registry was asked for an image that is used.
    fn unasked(&self) -> Problem {
        if self.policy.suspended {
            return Problem::new(Reason::Suspended, "the policy is suspended");
        }
        Problem::new(Reason::WriteConflict, "the image came into use meanwhile; it is looked at again")
    }
}

/// The edits of one Application, each made on the source as the one before leaves it. What cannot be edited is refused.
fn plan(application: &Arc<Application>, drafts: &mut [Draft<'_>]) -> ApplicationPlan {
    let mut sources: Vec<(Pointer, Source)> =
        application.sources.each().into_iter().map(|(pointer, source)| (pointer, source.clone())).collect();
    let mut edits = Vec::new();
    for draft in drafts {
        let (Some(used), Some(choice)) = (&draft.used, &draft.choice) else { continue };
        let Spot::Application { place, source: _ } = &used.spot else { continue };
        let Some((_, source)) = sources.iter_mut().find(|(pointer, _)| *pointer == place.source) else {
            continue;
        };
        let version = Version::of(draft.image, choice);
        let before = source.clone();
        let (operations, after) = match place.write(source, draft.image, &version) {
            Ok(written) => written,
            Err(problem) => {
                draft.fail(problem.reason, problem.to_string());
                continue;
            }
        };
        *source = after;
        if !operations.is_empty() {
            let operations = place::identity_of(application, place, &before).into_iter().chain(operations).collect();
            edits.push(place::edit(draft.image, used.current(), &version, operations));
        }
    }
    ApplicationPlan {
        application: application.id.clone(),
        uid: application.uid.clone(),
        resource_version: application.resource_version.clone(),
        guard: Guard::Version,
        edits,
        refresh: None,
        sync: None,
    }
}

/// Nothing is held and nothing written on a state that could not be read anew.
pub(super) fn unsure(mut drafts: Vec<Draft<'_>>, error: &WriteError) -> Vec<ImageReport> {
    for draft in drafts.iter_mut().filter(|draft| draft.newly_held || draft.choice.is_some()) {
        if draft.newly_held {
            draft.report.held_back = None;
        }
        draft.fail(error.reason(), error.to_string());
    }
    finish(drafts)
}

fn failed(mut drafts: Vec<Draft<'_>>, plan: &ApplicationPlan, error: &WriteError) -> Vec<ImageReport> {
    settle(&mut drafts, plan, |draft, _| draft.fail(error.reason(), error.to_string()));
    finish(drafts)
}

/// Tells each draft that the plan holds an edit for what became of it.
fn settle(drafts: &mut [Draft<'_>], plan: &ApplicationPlan, mut tell: impl FnMut(&mut Draft<'_>, &Edit)) {
    for draft in drafts {
        if let Some(edit) = plan.edits.iter().find(|edit| edit.image == draft.image.index) {
            tell(draft, edit);
        }
    }
}

pub(super) fn finish(drafts: Vec<Draft<'_>>) -> Vec<ImageReport> {
    drafts.into_iter().map(|draft| draft.report).collect()
}

impl<'a> Draft<'a> {
    fn new(image: &'a Image, application: &Application) -> Self {
        let report =
            ImageReport::new(application.id.clone(), image.title.clone(), image.reference.repository.to_string());
        Self {
            image,
            used: None,
            choice: None,
            newly_held: false,
            waiting: None,
            lifted: false,
            labels: Arc::default(),
            pushed_at: None,
            report,
        }
    }

    fn using(mut self, used: &Use, marks: Vec<Mark>, remembered: &Remembered) -> Self {
        self.report.marks = marks;
        self.report.written.clone_from(&remembered.written);
        self.report.held_back.clone_from(&remembered.held_back);
        self.report.resumed.clone_from(&remembered.resumed);
        self.report.rollout.clone_from(&remembered.rollout);
        self.report.current = used.current().map(ToString::to_string);
        self.report.destination = Some(used.spot.to_string());
        self.report.proposed.clone_from(&remembered.proposed);
        self.used = Some(used.clone());
        self
    }

    /// Looks how far what was written has come, as long as it stands.
    fn following(mut self, application: &Application, now: Timestamp) -> Self {
        let current = self.used.as_ref().and_then(|used| used.held.version.as_ref());
        let written = self.report.written.as_deref();
        let stands = written.filter(|written| current.is_some_and(|current| choose::holds(current, written)));
        self.report.rollout = self.report.rollout.take().zip(stands).map(|(before, written)| {
            rollout::follow(&before, application, &self.image.reference.repository, written, now)
        });
        self
    }

    /// Says what is wrong with the version that is in place, where nothing else is to be said.
    fn troubled(mut self, application: &Application, now: Timestamp) -> Self {
        let rollout = self.report.rollout.as_ref().filter(|_| self.report.reason == Reason::UpToDate);
        if let Some((reason, message)) = rollout.and_then(|rollout| rollout::trouble(rollout, application, now)) {
            self.report.reason = reason;
            self.report.message = message;
        }
        self
    }

    /// Nothing was decided; what was written before stays.
    fn refused(mut self, problem: &Problem) -> Self {
        self.fail(problem.reason, problem.to_string());
        self
    }

    /// The registry's answer decides nothing. Where it asks to wait, the end of that is told.
    fn unanswered(mut self, error: &RegistryError, now: Timestamp) -> Self {
        self.report.until = error.retry_after.and_then(|wait| choose::end_of(wait, now));
        self.refused(&choose::problem(error))
    }

    pub(super) fn fail(&mut self, reason: Reason, message: String) {
        self.choice = None;
        self.report.reason = reason;
        self.report.message = message;
    }

    fn decided(
        mut self,
        decision: &Decision,
        held_back: Option<(String, Timestamp)>,
        remembered: &Remembered,
        dry_run: bool,
    ) -> Self {
        self.newly_held = held_back.is_some() && remembered.held_back.is_none();
        let kept = self.kept_pin();
        let stated = self.used.as_ref().is_some_and(|used| used.held.version.is_some());
        let report = &mut self.report;
        report.counts = Some(decision.counts);
        report.runner_up = decision.runner_up.as_ref().map(ToString::to_string);
        report.held_back = held_back;
        let allowed = decision.counts.eligible;
        let pin = self.image.rule.pin;
        match &decision.outcome {
            Outcome::Stay(choice) => {
                report.chosen = Some(choice.written(pin));
                report.message = format!("`{}` is the choice among {}", choice.tag, tags(allowed));
                // A write whose answer was lost is known by what it left.
                if report.held_back.is_none() && stated && remembered.written.is_some() {
                    report.written = Some(choice.written(kept));
                }
            }
            Outcome::Move(choice) => {
                let chosen = choice.written(pin);
                let from = report.current.as_ref().map(|current| format!("from `{current}` ")).unwrap_or_default();
                report.reason = Reason::WouldUpdate;
                let would = if dry_run { "would be moved" } else { "to be moved" };
                report.message = format!("{would} {from}to `{chosen}`, the choice among {}", tags(allowed));
                report.chosen = Some(chosen);
                report.held_back = None;
                self.choice = Some(choice.clone());
            }
            Outcome::Hold { choice, reason, message, until } => {
                report.chosen = Some(choice.written(pin));
                (report.reason, report.message, report.until) = (*reason, message.clone(), *until);
            }
            Outcome::Nothing { reason, message } | Outcome::Undecided { reason, message } => {
                (report.reason, report.message) = (*reason, message.clone());
            }
            // `Offer::decide` returns no such decision.
            Outcome::NeedDetails(_) => report.reason = Reason::IncompleteList,
        }
        if let Some(note) = &decision.note {
            report.message = format!("{}; {note}", report.message);
        }
        self
    }

    /// Says who took a version back where that is no person.
    fn naming(mut self, application: &Application) -> Self {
        if self.report.reason == Reason::RolledBackByHand {
            self.report.message.extend(undone::suspect(application).map(|suspect| format!("; {suspect}")));
        }
        self
    }

    /// A version is remembered with its tag also where the destination has room for the digest alone.
    pub(super) const fn kept_pin(&self) -> Pin {
        if matches!(self.image.rule.pin, Pin::Tag) { Pin::Tag } else { Pin::TagAndDigest }
    }

    pub(super) fn written(&mut self, edit: &Edit, rollout: Rollout) {
        let kept = self.kept_pin();
        let report = &mut self.report;
        report.rollout = Some(Rollout { pushed_at: self.pushed_at, ..rollout });
        report.previous = report.current.replace(edit.to.clone());
        report.written = Some(self.choice.as_ref().map_or_else(|| edit.to.clone(), |choice| choice.written(kept)));
        report.reason = Reason::Updated;
        report.behind = None;
        let from = report.previous.as_ref().map(|previous| format!("from `{previous}` ")).unwrap_or_default();
        let allowed = report.counts.map(|counts| counts.eligible).unwrap_or_default();
        report.message = format!("moved {from}to `{}`, the choice among {}", edit.to, tags(allowed));
    }
}

impl Draft<'_> {
    /// The file that the image is written to, if it is one.
    pub(super) fn file(&self) -> Option<&FilePlace> {
        self.used.as_ref()?.spot.file()
    }

    /// The version at the destination, or that runs.
    pub(super) fn current(&self) -> Option<&Current> {
        self.used.as_ref()?.current()
    }

    /// What is to be written, if anything is.
    pub(super) fn version(&self) -> Option<Version<'_>> {
        self.choice.as_ref().map(|choice| Version::of(self.image, choice))
    }
}

fn tags(count: usize) -> String {
    match count {
        1 => "1 allowed tag".to_owned(),
        count => format!("{count} allowed tags"),
    }
}
