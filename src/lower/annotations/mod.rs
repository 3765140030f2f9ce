//! The annotations of an Application → the policy that they mean. Pure and total.
//!
//! Both dialects of argocd-image-updater are read, v0.x and v1.x; `api::annotations` has the table of keys and how each is read.
//! What cannot be read leaves its image out of the policy, or all of it where it is about the whole Application. No default
//! takes its place.

mod image_list;
mod keys;

use std::collections::BTreeMap;

use super::credential_source::Scope;
use super::upstream::{Findings, Rules, Settings, WriteBack, helm, kustomize, rules};
use crate::api::annotations::{
    ALLOW_TAGS, FORCE_UPDATE, GIT_BRANCH, GIT_REPOSITORY, HELM_NAME, HELM_SPEC, HELM_TAG, IGNORE_TAGS, IMAGE_LIST,
    KUSTOMIZE_NAME, PLATFORMS, PREFIX, PULL_SECRET, TAG_MATCH, UPDATE_STRATEGY, WRITE_BACK_METHOD, WRITE_BACK_TARGET,
};
use crate::api::{ApplicationSelector, ImageSpec, ImageUpdatePolicySpec, RuleSpec, TargetSpec};
use crate::model::{ApplicationId, CredentialSource, Problem, Reason};

use image_list::{Entry, image_list};
use keys::Keys;

/// What the annotations of one Application mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Translated {
    /// The policy; `None` when the annotations ask for nothing, or nothing of them can be carried over.
    pub spec: Option<ImageUpdatePolicySpec>,
    /// What cannot be carried over; each is at `metadata.annotations[KEY]`.
    pub problems: Vec<Problem>,
    /// What is understood, and worth knowing: older names, keys that nothing reads; each is at `metadata.annotations[KEY]`.
    pub notes: Vec<Problem>,
}

/// The characters that the name of an image may take in a policy.
const LONGEST_IMAGE: usize = 512;
/// The images and most entries that a policy may hold.
const MOST_IMAGES: usize = 100;

/// What the annotations of an Application mean. Keys of others than argocd-image-updater are passed over.
pub fn translate(application: &ApplicationId, annotations: &BTreeMap<String, String>) -> Translated {
    translate_allowing(application, annotations, &[])
}

/// The same where the administrator allows policies some sources of credentials that are not theirs.
pub fn translate_allowing(
    application: &ApplicationId,
    annotations: &BTreeMap<String, String>,
    allowed: &[CredentialSource],
) -> Translated {
    let scope = Scope::Policy { namespace: &application.namespace, allowed };
    let keys = Keys::new(annotations);
    let mut findings = Findings::default();
    let Some(list) = keys.raw(IMAGE_LIST) else {
        keys.without_list(&mut findings);
        return Translated { spec: None, problems: findings.problems, notes: findings.notes };
    };
    let entries = image_list(&list, &mut findings);
    let base = settings(&keys, None);
    let read = entries.iter().filter_map(|entry| image(&keys, entry, &base, scope, &list.place, &mut findings));
    let mut images = Vec::new();
    let mut defaults = RuleSpec::default();
    for (image, inherited) in read {
        defaults = joined(defaults, inherited);
        images.push(image);
    }
    if images.len() > MOST_IMAGES {
        let message = format!("there are {} images, and a policy holds at most {MOST_IMAGES}", images.len());
        findings.refuse(Problem::new(Reason::InvalidImage, message).at(&list.place).hint("make policies by hand"));
        images.clear();
    }
    let write_back = write_back(&keys).read(&application.namespace, &mut findings);
    keys.unread(&entries, &mut findings);
    let applications = vec![ApplicationSelector { name: Some(application.name.clone()), selector: None }];
    let spec = write_back.filter(|_| !images.is_empty()).map(|write_back| ImageUpdatePolicySpec {
        applications,
        defaults: Some(defaults).filter(|defaults| *defaults != RuleSpec::default()),
        images,
        write_back,
        ..empty()
    });
    Translated { spec, problems: findings.problems, notes: findings.notes }
}

/// A policy that does nothing and names the images as the annotations do, for annotations of which nothing can be used: so there is a
/// place to say why. `None` where they name none.
pub fn unusable(application: &ApplicationId, annotations: &BTreeMap<String, String>) -> Option<ImageUpdatePolicySpec> {
    let list = Keys::new(annotations).raw(IMAGE_LIST)?;
    let entries = image_list(&list, &mut Findings::default());
    let image =
        |image: String| ImageSpec { image: image.chars().take(LONGEST_IMAGE).collect(), ..ImageSpec::default() };
    let mut images: Vec<ImageSpec> = entries
        .into_iter()
        .map(|entry| ImageSpec { alias: entry.alias, ..image(entry.identifier.image) })
        .take(MOST_IMAGES)
        .collect();
    if images.is_empty() {
        images.push(image(list.value.trim().to_owned()));
    }
    let applications = vec![ApplicationSelector { name: Some(application.name.clone()), selector: None }];
    let nameless = images.iter().any(|image| image.image.is_empty());
    (!nameless).then(|| ImageUpdatePolicySpec { suspend: true, applications, images, ..empty() })
}

/// Where an annotation stands, as problems point at it.
pub fn place(key: &str) -> String {
    format!("metadata.annotations[{PREFIX}{key}]")
}

/// The key, behind [`PREFIX`], of the annotation that a problem points at.
pub fn key_of(problem: &Problem) -> Option<&str> {
    problem.place.as_deref()?.strip_prefix("metadata.annotations[")?.strip_prefix(PREFIX)?.strip_suffix(']')
}

/// A policy that says nothing, with the defaults that one has that is written by hand.
pub(super) fn empty() -> ImageUpdatePolicySpec {
    ImageUpdatePolicySpec { interval: "2m".to_owned(), ..ImageUpdatePolicySpec::default() }
}

/// Two parts of the same defaults.
pub(super) fn joined(one: RuleSpec, other: RuleSpec) -> RuleSpec {
    RuleSpec {
        strategy: one.strategy.or(other.strategy),
        constraint: one.constraint.or(other.constraint),
        allow_tags: one.allow_tags.or(other.allow_tags),
        ignore_tags: one.ignore_tags.or(other.ignore_tags),
        platforms: one.platforms.or(other.platforms),
        minimum_age: one.minimum_age.or(other.minimum_age),
        allow_downgrade: one.allow_downgrade.or(other.allow_downgrade),
        pin: one.pin.or(other.pin),
        force_update: one.force_update.or(other.force_update),
        pull_secret: one.pull_secret.or(other.pull_secret),
        credentials: one.credentials.or(other.credentials),
        verify: one.verify.or(other.verify),
    }
}

fn image(
    keys: &Keys<'_>,
    entry: &Entry,
    base: &Settings,
    scope: Scope<'_>,
    list: &str,
    findings: &mut Findings,
) -> Option<(ImageSpec, RuleSpec)> {
    let own = entry.key.as_deref().map(|alias| settings(keys, Some(alias))).unwrap_or_default();
    let own = with_tag_match(keys, entry, own, base, findings);
    if let Some(alias) = &entry.key {
        keys.empty_beside_base(alias, findings);
    }
    let rules = rules(&own, base, &entry.identifier, list, scope, findings);
    let target = target(keys, entry.key.as_deref(), findings);
    let (Rules { own: rule, inherited }, target) = (rules?, target?);
    Some((ImageSpec { alias: entry.alias.clone(), image: entry.identifier.image.clone(), rule, target }, inherited))
}

/// The settings of one image, or of all.
fn settings(keys: &Keys<'_>, alias: Option<&str>) -> Settings {
    let text = |key| keys.get(alias, key);
    let ignore_tags = keys.present(alias, IGNORE_TAGS);
    Settings {
        strategy: text(UPDATE_STRATEGY),
        // An empty text is neither true nor false.
        force_update: keys.present(alias, FORCE_UPDATE),
        allow_tags: text(ALLOW_TAGS),
        ignore_tags: ignore_tags.map(|text| keys::items(&text)),
        pull_secret: text(PULL_SECRET),
        platforms: alias.and_then(|_| text(PLATFORMS)).map(|text| keys::items(&text)),
    }
}

/// `tag-match` counts where no `allow-tags` does.
fn with_tag_match(keys: &Keys<'_>, entry: &Entry, own: Settings, base: &Settings, findings: &mut Findings) -> Settings {
    let Some(older) = entry.key.as_deref().and_then(|alias| keys.get(Some(alias), TAG_MATCH)) else { return own };
    let today = format!("`{}.{ALLOW_TAGS}`", entry.key.as_deref().unwrap_or_default());
    if let Some(newer) = own.allow_tags.as_ref().or(base.allow_tags.as_ref()) {
        let message = format!("`{}` is not read: `{}` of allow-tags takes its place", older.value, newer.value);
        findings.note(Problem::new(Reason::UnreadSetting, message).at(older.place).hint("remove it"));
        return own;
    }
    let message = format!("`{}` is read as the value of {today}, which replaced this key", older.value);
    let note = Problem::new(Reason::OldSpelling, message).at(&older.place);
    findings.note(note.hint(format!("write it to {today}")));
    Settings { allow_tags: Some(older), ..own }
}

/// `None`: it cannot be read. `Some(None)`: nothing was said.
#[expect(clippy::option_option, reason = "wrong and absent are different answers")]
fn target(keys: &Keys<'_>, alias: Option<&str>, findings: &mut Findings) -> Option<Option<TargetSpec>> {
    let Some(alias) = alias else { return Some(None) };
    let text = |key| keys.get(Some(alias), key);
    let (name, tag, spec) = (text(HELM_NAME), text(HELM_TAG), text(HELM_SPEC));
    let helm_key = [&name, &tag, &spec].into_iter().find_map(|text| text.as_ref());
    match (helm_key, text(KUSTOMIZE_NAME)) {
        (None, None) => Some(None),
        (Some(helm), Some(original)) => {
            let message = format!("`{}` is a target of kustomize, and `{}` one of Helm", original.value, helm.value);
            let problem = Problem::new(Reason::InvalidTarget, message).at(&original.place);
            findings.refuse(problem.hint("keep the keys of one of the two"));
            None
        }
        (None, Some(original)) => {
            let kustomize = kustomize(&original, findings)?;
            Some(Some(TargetSpec { kustomize: Some(kustomize), ..TargetSpec::default() }))
        }
        (Some(_), None) => {
            let helm = helm(name.as_ref(), tag.as_ref(), spec.as_ref(), findings)?;
            Some(Some(TargetSpec { helm: Some(helm), ..TargetSpec::default() }))
        }
    }
}

fn write_back(keys: &Keys<'_>) -> WriteBack {
    let text = |key| keys.get(None, key);
    WriteBack {
        method: text(WRITE_BACK_METHOD),
        target: text(WRITE_BACK_TARGET),
        branch: text(GIT_BRANCH),
        repository: text(GIT_REPOSITORY),
        pull_request: None,
    }
}
