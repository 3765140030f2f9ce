//! Shadow mode: a dry run beside another updater, and how often the two agree. Pure.

use jiff::Timestamp;

use super::choose::holds;
use super::write::Draft;
use crate::model::{Comparison, Current, Difference, ImageReport, Policy, Shadow};

impl Draft<'_> {
    /// In a dry run: compares the choice with what others wrote since the last look.
    pub(super) fn compared(mut self, policy: &Policy, before: Option<&Shadow>, now: Timestamp) -> Self {
        if policy.dry_run {
            let current = self.used.as_ref().and_then(|used| used.held.version.as_ref());
            let (shadow, compared) = compare(before, current, &self.report, now);
            (self.report.shadow, self.report.compared) = (Some(shadow), compared);
        }
        self
    }
}

/// Takes one look at a place into account. Where what it holds differs from the last look, somebody else wrote it, as a dry run writes
/// nothing: they agree if they wrote what was chosen then, or what is chosen now.
fn compare(
    before: Option<&Shadow>,
    current: Option<&Current>,
    report: &ImageReport,
    now: Timestamp,
) -> (Shadow, Option<Comparison>) {
    let held = current.map(ToString::to_string);
    let would = report.chosen.clone();
    let Some(before) = before else { return (Shadow { held, would, ..Shadow::default() }, None) };
    let mut after = Shadow { held: held.clone(), would: would.clone(), ..before.clone() };
    let Some((current, theirs)) = current.zip(held).filter(|(_, held)| before.held.as_ref() != Some(held)) else {
        return (after, None);
    };
    // The newest choice is the fairer one to show: both saw the same registry.
    let choices: Vec<&String> = would.iter().chain(&before.would).collect();
    let Some(ours) = choices.first() else { return (after, None) };
    if choices.iter().any(|choice| holds(current, choice)) {
        after.agreements = after.agreements.saturating_add(1);
        return (after, Some(Comparison::Agrees));
    }
    after.differences = after.differences.saturating_add(1);
    after.last_difference = Some(Difference { at: now, ours: (*ours).clone(), theirs, reason: report.message.clone() });
    (after, Some(Comparison::Differs))
}

/// Agreements and differences of all images, in a few words; `None` where nothing was compared yet.
pub(super) fn summary(images: &[ImageReport]) -> Option<String> {
    let shadows = || images.iter().filter_map(|image| image.shadow.as_ref());
    let agreements: u32 = shadows().map(|shadow| shadow.agreements).sum();
    let differences: u32 = shadows().map(|shadow| shadow.differences).sum();
    (agreements + differences > 0).then(|| format!("{agreements} agree, {differences} differ"))
}
