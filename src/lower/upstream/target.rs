//! Where a version is written.

use super::{Findings, Text, within};
use crate::api::{HelmTargetSpec, KustomizeTargetSpec, PluginTargetSpec};
use crate::lower::upstream::identifier;
use crate::model::{Problem, Reason};

const USUAL_TAG: &str = "image.tag";

/// Helm parameters. A `spec` wins over the others. `None` when they cannot be what they should.
pub(in crate::lower) fn helm(
    name: Option<&Text>,
    tag: Option<&Text>,
    spec: Option<&Text>,
    findings: &mut Findings,
) -> Option<HelmTargetSpec> {
    [name, tag, spec].into_iter().flatten().try_for_each(|text| short(text, findings))?;
    if let Some(spec) = spec {
        beside(spec, [name, tag], findings);
        return Some(HelmTargetSpec { spec: Some(spec.value.clone()), ..HelmTargetSpec::default() });
    }
    let other = tag.map_or(USUAL_TAG, |tag| tag.value.as_str());
    if let Some(name) = name.filter(|name| name.value == other) {
        let message = format!("name and tag are one parameter, `{}`", name.value);
        findings.refuse(one_key(message, name));
        return None;
    }
    let value = |text: Option<&Text>| text.map(|text| text.value.clone());
    Some(HelmTargetSpec { name: value(name), tag: value(tag), ..HelmTargetSpec::default() })
}

/// Variables of a plugin. A `spec` wins over the others.
pub(in crate::lower) fn plugin(
    name: Option<&Text>,
    tag: Option<&Text>,
    spec: Option<&Text>,
    place: &str,
    findings: &mut Findings,
) -> Option<PluginTargetSpec> {
    [name, tag, spec].into_iter().flatten().try_for_each(|text| short(text, findings))?;
    let refused = match (name, tag, spec) {
        (_, _, Some(spec)) => {
            beside(spec, [name, tag], findings);
            return Some(PluginTargetSpec { spec: Some(spec.value.clone()), ..PluginTargetSpec::default() });
        }
        (Some(name), Some(tag), None) if name.value == tag.value => {
            one_key(format!("name and tag are one variable, `{}`", name.value), name)
        }
        (Some(name), Some(tag), None) => {
            let (name, tag) = (Some(name.value.clone()), Some(tag.value.clone()));
            return Some(PluginTargetSpec { name, tag, spec: None });
        }
        _ => {
            let problem = Problem::new(Reason::InvalidTarget, "a plugin needs a variable for the tag").at(place);
            problem.hint("give either spec, or name and tag")
        }
    };
    findings.refuse(refused);
    None
}

/// The image's name in the manifests.
pub(in crate::lower) fn kustomize(name: &Text, findings: &mut Findings) -> Option<KustomizeTargetSpec> {
    let read = identifier(&name.value).map_err(|problem| problem.at(&name.place).hint("write for example `nginx`"));
    let read = findings.keep(read)?;
    if read.constraint.is_some() || read.digest {
        let message = format!("of `{}` the name alone counts", name.value);
        let note = Problem::new(Reason::AmbiguousText, message).at(&name.place);
        findings.note(note.hint(format!("write `{}`", read.image)));
    }
    Some(KustomizeTargetSpec { name: Some(read.image) })
}

fn short(text: &Text, findings: &mut Findings) -> Option<()> {
    let read = within(&text.value, 512, Reason::InvalidTarget, "the name").map_err(|problem| problem.at(&text.place));
    findings.keep(read)
}

fn one_key(message: String, name: &Text) -> Problem {
    Problem::new(Reason::InvalidTarget, message).at(&name.place).hint("give each a name of its own, or one for both")
}

fn beside(spec: &Text, others: [Option<&Text>; 2], findings: &mut Findings) {
    for other in others.into_iter().flatten() {
        let message = format!("`{}` is not read: `{}` holds name and tag in one", other.value, spec.value);
        findings.note(Problem::new(Reason::UnreadSetting, message).at(&other.place).hint("keep one of the two"));
    }
}
