//! What one entry of `applicationRefs` says about its images, with what it leaves out taken from the whole.

use crate::api::image_updater::{
    CommonUpdateSettings, GitConfig, ImageConfig, ImagesVerification, ManifestTargets, PullRequest, WriteBackConfig,
};
use crate::api::{
    CosignKey, CosignVerification, HelmTargetSpec, ImageSpec, ImageUpdatePolicySpec, ImageUpdater, PullRequestProvider,
    PullRequestSettings, RuleSpec, SecretKeyReference, TargetSpec, VerificationSpec,
};
use crate::lower::annotations::{empty, joined};
use crate::lower::credential_source::Scope;
use crate::lower::rule::Placed;
use crate::lower::upstream::{
    Findings, Rules, Settings, Text, WriteBack, helm, identifier, is_alias, kustomize, plugin, rules,
};
use crate::model::{CredentialSource, Problem, Reason};

/// The policy of an entry, without its Applications. `None` when nothing of it can be carried over.
pub(super) fn specification(
    updater: &ImageUpdater,
    index: usize,
    (namespace, allowed): (&str, &[CredentialSource]),
    findings: &mut Findings,
) -> Option<ImageUpdatePolicySpec> {
    let entry = &updater.spec.application_refs[index];
    let place = format!("spec.applicationRefs[{index}]");
    let base = settings(updater.spec.common_update_settings.as_ref(), "spec");
    let base = settings(entry.common_update_settings.as_ref(), &place).over(&base);
    let mut images: Vec<ImageSpec> = Vec::new();
    let mut defaults = RuleSpec::default();
    for (number, image) in entry.images.iter().enumerate() {
        let read = Image {
            updater,
            index,
            text: image,
            place: format!("{place}.images[{number}]"),
            namespace,
            allowed,
            base: &base,
        };
        let Some((mut spec, inherited)) = read.read(findings) else { continue };
        if images.iter().any(|other| other.alias.is_some() && other.alias == spec.alias) {
            let message = format!("the alias `{}` is already that of another image", image.alias);
            let note = Problem::new(Reason::AmbiguousText, message).at(format!("{place}.images[{number}].alias"));
            findings.note(note.hint("give each image an alias of its own"));
            spec.alias = None;
        }
        defaults = joined(defaults, inherited);
        images.push(spec);
    }
    if entry.images.is_empty() {
        let problem = Problem::new(Reason::InvalidImage, "the entry names no image").at(format!("{place}.images"));
        findings.refuse(problem.hint("add one, or set `useAnnotations: true`"));
    }
    let write_back = write_back(updater, index, findings)?.read(namespace, findings)?;
    (!images.is_empty()).then(|| ImageUpdatePolicySpec {
        defaults: Some(defaults).filter(|defaults| *defaults != RuleSpec::default()),
        images,
        write_back,
        ..empty()
    })
}

/// One image of an entry.
struct Image<'a> {
    updater: &'a ImageUpdater,
    index: usize,
    text: &'a ImageConfig,
    place: String,
    namespace: &'a str,
    allowed: &'a [CredentialSource],
    base: &'a Settings,
}

impl Image<'_> {
    /// The image, and what it takes from the settings of all images.
    fn read(&self, findings: &mut Findings) -> Option<(ImageSpec, RuleSpec)> {
        let Self { updater, index, text: image, place, namespace, allowed, base } = self;
        let name_place = format!("{place}.imageName");
        let read = identifier(&image.image_name).map_err(|problem| problem.at(&name_place));
        let own = settings(image.common_update_settings.as_ref(), place);
        let target = target(image.manifest_targets.as_ref(), place, findings);
        let verify = verification(updater, *index, Some((image, place)), findings);
        let identifier = findings.keep(read)?;
        if identifier.digest {
            let message = format!("the digest of `{}` says nothing about which version to take", image.image_name);
            findings.note(Problem::new(Reason::AmbiguousText, message).at(&name_place).hint("remove it"));
        }
        let scope = Scope::Policy { namespace, allowed };
        let rules = rules(&own, base, &identifier, &name_place, scope, findings);
        let (Rules { own: mut rule, inherited }, target) = (rules?, target?);
        rule.verify = verify?;
        let alias = Some(image.alias.clone()).filter(|alias| is_alias(alias));
        if alias.is_none() && !image.alias.is_empty() {
            let message = format!("`{}` cannot be an alias in a policy, so the image has none there", image.alias);
            let note = Problem::new(Reason::AmbiguousText, message).at(format!("{place}.alias"));
            findings.note(note.hint("an alias is 63 characters long at most"));
        }
        Some((ImageSpec { alias, image: identifier.image, rule, target }, inherited))
    }
}

/// A text that says something.
fn text(value: Option<&String>, place: String) -> Option<Text> {
    let value = value.map(|value| value.trim()).filter(|value| !value.is_empty())?;
    Some(Placed { value: value.to_owned(), place })
}

fn settings(texts: Option<&CommonUpdateSettings>, place: &str) -> Settings {
    let Some(texts) = texts else { return Settings::default() };
    let CommonUpdateSettings { update_strategy, force_update, allow_tags, ignore_tags, pull_secret, platforms } = texts;
    let place = |field: &str| format!("{place}.commonUpdateSettings.{field}");
    let items = |items: &Vec<String>, field: &str| {
        let items = items.iter().enumerate();
        items.map(|(index, item)| Placed { value: item.clone(), place: format!("{}[{index}]", place(field)) }).collect()
    };
    Settings {
        strategy: text(update_strategy.as_ref(), place("updateStrategy")),
        force_update: force_update.map(|force| Placed { value: force.to_string(), place: place("forceUpdate") }),
        allow_tags: text(allow_tags.as_ref(), place("allowTags")),
        ignore_tags: ignore_tags.as_ref().map(|list| items(list, "ignoreTags")),
        pull_secret: text(pull_secret.as_ref(), place("pullSecret")),
        platforms: platforms.as_ref().map(|list| items(list, "platforms")),
    }
}

/// `None`: it cannot be read. `Some(None)`: nothing was said.
#[expect(clippy::option_option, reason = "wrong and absent are different answers")]
fn target(targets: Option<&ManifestTargets>, place: &str, findings: &mut Findings) -> Option<Option<TargetSpec>> {
    let Some(ManifestTargets { helm: parameters, kustomize: original, plugin: variables }) = targets else {
        return Some(None);
    };
    let place = format!("{place}.manifestTargets");
    let at = |value: &Option<String>, field: &str| text(value.as_ref(), format!("{place}.{field}"));
    let target = match (parameters, original, variables) {
        (Some(keys), None, None) if keys.name.is_none() && keys.tag.is_none() && keys.spec.is_none() => {
            TargetSpec { helm: Some(HelmTargetSpec::default()), ..TargetSpec::default() }
        }
        (Some(keys), None, None) => {
            let (name, tag, spec) =
                (at(&keys.name, "helm.name"), at(&keys.tag, "helm.tag"), at(&keys.spec, "helm.spec"));
            let helm = helm(name.as_ref(), tag.as_ref(), spec.as_ref(), findings)?;
            TargetSpec { helm: Some(helm), ..TargetSpec::default() }
        }
        (None, Some(original), None) => {
            let name = Placed { value: original.name.clone(), place: format!("{place}.kustomize.name") };
            TargetSpec { kustomize: Some(kustomize(&name, findings)?), ..TargetSpec::default() }
        }
        (None, None, Some(keys)) => {
            let (name, tag, spec) =
                (at(&keys.name, "plugin.name"), at(&keys.tag, "plugin.tag"), at(&keys.spec, "plugin.spec"));
            let place = format!("{place}.plugin");
            let plugin = plugin(name.as_ref(), tag.as_ref(), spec.as_ref(), &place, findings)?;
            TargetSpec { plugin: Some(plugin), ..TargetSpec::default() }
        }
        _ => {
            let problem = Problem::new(Reason::InvalidTarget, "the target is not of exactly one kind").at(place);
            findings.refuse(problem.hint("give one of helm, kustomize and plugin"));
            return None;
        }
    };
    Some(Some(target))
}

fn write_back(updater: &ImageUpdater, index: usize, findings: &mut Findings) -> Option<WriteBack> {
    let whole = updater.spec.write_back_config.as_ref();
    let own = updater.spec.application_refs[index].write_back_config.as_ref();
    let base = whole.map(|texts| write_back_texts(texts, "spec", findings));
    let own = own.map(|texts| write_back_texts(texts, &format!("spec.applicationRefs[{index}]"), findings));
    let base = base.unwrap_or_else(|| Some(WriteBack::default()));
    Some(own.unwrap_or_else(|| Some(WriteBack::default()))?.over(&base?))
}

fn write_back_texts(texts: &WriteBackConfig, place: &str, findings: &mut Findings) -> Option<WriteBack> {
    let WriteBackConfig { method, git_config } = texts;
    let at = |field: &str| format!("{place}.writeBackConfig.{field}");
    let git = git_config.clone().unwrap_or_default();
    let GitConfig { repository, branch, write_back_target, pull_request } = &git;
    let request = pull_request.as_ref().map(|request| self::pull_request(request, at("gitConfig.pullRequest")));
    let request = match request {
        Some(request) => Some(findings.keep(request)?),
        None => None,
    };
    Some(WriteBack {
        method: text(method.as_ref(), at("method")),
        target: text(write_back_target.as_ref(), at("gitConfig.writeBackTarget")),
        branch: text(branch.as_ref(), at("gitConfig.branch")),
        repository: text(repository.as_ref(), at("gitConfig.repository")),
        pull_request: request,
    })
}

fn pull_request(request: &PullRequest, place: String) -> Result<Placed<PullRequestSettings>, Problem> {
    let PullRequest { github, gitlab, labels } = request;
    let provider = match (github, gitlab) {
        (Some(_), None) => PullRequestProvider::GitHub,
        (None, Some(_)) => PullRequestProvider::GitLab,
        _ => {
            let problem = Problem::new(Reason::InvalidSetting, "the pull request is not for exactly one forge");
            return Err(problem.at(place).hint("give one of `github: {}` and `gitlab: {}`"));
        }
    };
    let mut kept: Vec<String> = Vec::new();
    for label in labels.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
        if !kept.iter().any(|known| known == label) {
            kept.push(label.to_owned());
        }
    }
    let (reviewers, title, body, auto_merge, merge_method) = (Vec::new(), None, None, None, None);
    let value = PullRequestSettings { provider, labels: kept, reviewers, title, body, auto_merge, merge_method };
    Ok(Placed { value, place })
}

/// The signatures that an image must carry: each field from the image, else its entry, else the whole. `None`: they are asked
/// for and cannot be checked, so the image is left out.
#[expect(clippy::option_option, reason = "wrong and absent are different answers")]
pub(super) fn verification(
    updater: &ImageUpdater,
    index: usize,
    image: Option<(&ImageConfig, &str)>,
    findings: &mut Findings,
) -> Option<Option<VerificationSpec>> {
    let entry_place = format!("spec.applicationRefs[{index}]");
    let levels = [
        image.and_then(|(image, place)| Some((image.images_verification.as_ref()?, place))),
        updater.spec.application_refs[index].images_verification.as_ref().map(|own| (own, entry_place.as_str())),
        updater.spec.images_verification.as_ref().map(|whole| (whole, "spec")),
    ];
    let levels: Vec<(&ImagesVerification, &str)> = levels.into_iter().flatten().collect();
    // A block that does not say so asks for signatures, whatever the one above it says.
    let Some((_, place)) = levels.first().filter(|(level, _)| level.enabled != Some(false)) else { return Some(None) };
    let Some(key) = levels.iter().find_map(|(level, _)| level.cosign_key.as_ref()) else {
        let problem = Problem::new(Reason::InvalidSetting, "signatures are asked for, and no key is named");
        let problem = problem.at(format!("{place}.imagesVerification"));
        findings.refuse(problem.hint("name one in `cosignKey`, or set `enabled: false`"));
        return None;
    };
    let secret_ref = SecretKeyReference { name: key.secret_name.clone(), key: Some(key.key.clone()) };
    Some(Some(VerificationSpec { cosign: Some(CosignVerification { keys: vec![CosignKey { secret_ref }] }) }))
}
