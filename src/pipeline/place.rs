//! Where an image stands in an Application: which source, and which slot in it.

use std::fmt;

use super::keys::{self, Store};
use super::{inline, kustomize, values};
use crate::model::{
    Application, Choice, Current, Digest, Edit, HelmTarget, Image, ImageReference, Keys, Node, Operation, Pin, Pointer,
    Problem, Reason, Repository, Source, SourceKind, SourceSelector, Sources, Tag, Target,
};

/// The place that the version of one image is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The source, as a place in the Application.
    pub source: Pointer,
    /// Where in the source.
    pub slot: Slot,
    /// Whether the user named the slot; a default slot may belong to another image.
    pub explicit: bool,
}

/// A slot in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// Helm parameters.
    Helm(HelmTarget),
    /// Paths in `valuesObject`.
    HelmValues(Keys),
    /// Paths in `values`, a text.
    InlineValues(Keys),
    /// Variables of a plugin.
    Plugin(Keys),
    /// The entry of `kustomize.images` for this image name in the manifests.
    Kustomize(ImageReference),
}

/// What a place holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// The image's name, where the place states one.
    pub name: Option<String>,
    /// The version, where the place states one.
    pub version: Option<Current>,
    /// Whether the place exists at all, be it empty.
    pub exists: bool,
}

/// What is written to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<'a> {
    /// The image's name as the user wrote it.
    pub name: &'a str,
    /// Its tag, where one is written.
    pub tag: Option<&'a Tag>,
    /// Its digest, where one is written.
    pub digest: Option<&'a Digest>,
    /// Its tag, for places where a digest cannot stand alone.
    pub beside: &'a Tag,
}

impl Place {
    /// The place of `image` in `application`.
    ///
    /// # Errors
    /// A problem when no source fits, or more than one.
    pub fn of(image: &Image, application: &Application) -> Result<Self, Problem> {
        let (source, found) = source_of(image, application)?;
        let wanted = image.target.as_ref().map(Target::kind);
        let kind = match (wanted, found.kind) {
            (None, Some(kind @ (SourceKind::Helm | SourceKind::Kustomize))) => kind,
            (Some(wanted), Some(kind)) if kind != wanted => return Err(wrong_kind(image, application, wanted, kind)),
            (Some(wanted), _) => wanted,
            (None, kind) => return Err(unsupported(application, kind)),
        };
        let slot = match (&image.target, kind) {
            (Some(Target::Helm(target)), _) => Slot::Helm(target.clone()),
            (Some(Target::HelmValues(keys)), _) => values_slot(image, application, found, keys)?,
            (Some(Target::Plugin(keys)), _) => Slot::Plugin(keys.clone()),
            (Some(Target::Kustomize(Some(name))), _) => Slot::Kustomize(name.clone()),
            (Some(Target::Kustomize(None)), _) | (None, SourceKind::Kustomize) => {
                Slot::Kustomize(image.reference.clone())
            }
            (Some(Target::File(_)), _) => return Err(unsupported(application, Some(kind))),
            (None, _) => Slot::Helm(HelmTarget::default()),
        };
        if let Slot::Kustomize(name) = &slot
            && let Some(names) = kustomize::several(found, name, image)
        {
            let place = format!("{source}.kustomize.images");
            return Err(several_renamed(&format!("{place}` of `{}", application.id), image, names.into_iter()));
        }
        Ok(Self { source, slot, explicit: image.target.is_some() })
    }

    /// What the place holds.
    pub fn held(&self, source: &Source, image: &Image) -> Held {
        match self.slot.keys() {
            Ok((store, keys)) => keys::held(store, source, keys),
            Err(name) => kustomize::held(source, name, image),
        }
    }

    /// The operations that put `version` into the place, and the source as it is afterwards.
    ///
    /// # Errors
    /// A problem where that cannot be done without touching something else.
    pub fn write(
        &self,
        source: &Source,
        image: &Image,
        version: &Version<'_>,
    ) -> Result<(Vec<Operation>, Source), Problem> {
        match self.slot.keys() {
            Ok((store, keys)) => keys::write(store, &self.source, source, keys, image, version),
            Err(name) => Ok(kustomize::write(&self.source, source, name, image, version)),
        }
    }

    /// What must stay for a write to stay: whole lists, which are replaced as one, and single values.
    pub fn regions(&self, application: &Application) -> Vec<Pointer> {
        if let Sources::Many(_) = application.sources {
            return vec![Pointer::root().key("spec").key("sources")];
        }
        let source = || self.source.clone();
        match self.slot.keys() {
            Ok((Store::Parameters, _)) => vec![source().key("helm").key("parameters")],
            Ok((Store::Environment, _)) => vec![source().key("plugin").key("env")],
            Ok((Store::Values, keys)) => {
                let paths = keys.each().filter_map(|path| Pointer::from_value_path(path));
                paths.map(|path| source().key("helm").key("valuesObject").join(path)).collect()
            }
            Ok((Store::Inline, _)) => vec![source().key("helm").key("values")],
            Err(_) => vec![source().key("kustomize").key("images")],
        }
    }

    /// What is written, for comparing with what others write.
    pub fn claims(&self, source: &Source, image: &Image) -> Vec<Claim> {
        let claim = |place: String, shared| Claim::of(format!("{}.{place}", self.source), shared);
        match self.slot.keys() {
            Ok((store, keys)) => {
                let name = match keys {
                    Keys::NameAndTag { name, tag: _ } => name.as_ref(),
                    Keys::Spec(_) => None,
                };
                let name = name.map(|name| claim(store.describe(name), Some(image.reference.repository.clone())));
                [claim(store.describe(keys.main()), None)].into_iter().chain(name).collect()
            }
            Err(name) => {
                let entry = kustomize::replaced(source, name, image);
                vec![claim(format!("kustomize.images[{entry}]"), None)]
            }
        }
    }
}

/// A value that an image writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Where it stands, as people write it.
    pub place: String,
    /// The same in the one form that is compared.
    pub at: String,
    /// The repository that is written there, where only that is: images of one repository may share it.
    pub shared: Option<Repository>,
}

impl Claim {
    /// A claim of a place that people write in one way alone.
    pub fn of(place: String, shared: Option<Repository>) -> Self {
        Self { at: place.clone(), place, shared }
    }

    /// Whether two claims would write different things to one place.
    pub fn clashes(&self, other: &Self) -> bool {
        self.at == other.at && (self.shared.is_none() || self.shared != other.shared)
    }
}

impl Slot {
    /// The keys, and where they stand; or the image of `kustomize.images`.
    fn keys(&self) -> Result<(Store, &Keys), &ImageReference> {
        match self {
            Self::Helm(keys) => Ok((Store::Parameters, keys)),
            Self::HelmValues(keys) => Ok((Store::Values, keys)),
            Self::InlineValues(keys) => Ok((Store::Inline, keys)),
            Self::Plugin(keys) => Ok((Store::Environment, keys)),
            Self::Kustomize(name) => Err(name),
        }
    }
}

/// As people write it: `spec.source.helm.parameters[name=image.tag]`.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot.keys() {
            Ok((store, keys)) => write!(formatter, "{}.{}", self.source, store.describe(keys.main())),
            Err(name) => write!(formatter, "{}.kustomize.images[{}]", self.source, name.name),
        }
    }
}

impl Target {
    /// The type of source that the target needs.
    pub(super) const fn kind(&self) -> SourceKind {
        match self {
            Self::Helm(_) | Self::HelmValues(_) => SourceKind::Helm,
            Self::Plugin(_) => SourceKind::Plugin,
            Self::Kustomize(_) => SourceKind::Kustomize,
            // Files are no part of a source; `git` handles them before a source is looked for.
            Self::File(_) => SourceKind::Directory,
        }
    }
}

impl<'a> Version<'a> {
    /// What is written of `choice` for `image`.
    pub fn of(image: &'a Image, choice: &'a Choice) -> Self {
        let digest = choice.digest.as_ref();
        let (tag, digest) = match (image.rule.pin, digest) {
            (Pin::Tag, _) | (_, None) => (Some(&choice.tag), None),
            (Pin::TagAndDigest, digest) => (Some(&choice.tag), digest),
            (Pin::Digest, digest) => (None, digest),
        };
        Self { name: &image.reference.name, tag, digest, beside: &choice.tag }
    }

    /// `tag`, `tag@digest` or `digest`.
    pub fn text(&self) -> String {
        match (self.tag, self.digest) {
            (Some(tag), Some(digest)) => format!("{tag}@{digest}"),
            (Some(tag), None) => tag.to_string(),
            (None, digest) => digest.map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// The reference with `name` in front: `name:tag`, `name:tag@digest` or `name@digest`.
    pub fn reference(&self, name: &str) -> String {
        let tag = self.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{name}{tag}{digest}")
    }
}

/// An edit of `image` made of `operations`.
pub fn edit(image: &Image, from: Option<&Current>, version: &Version<'_>, operations: Vec<Operation>) -> Edit {
    Edit { image: image.index, from: from.map(ToString::to_string), to: version.text(), operations }
}

/// Tests that the source still stands where it stood, for lists of sources that somebody may reorder.
pub fn identity_of(application: &Application, place: &Place, source: &Source) -> Vec<Operation> {
    let Sources::Many(_) = application.sources else { return Vec::new() };
    let Source { repo_url, path, chart, name, .. } = source;
    let repository = Some(repo_url).filter(|text| !text.is_empty());
    let parts = [("repoURL", repository), ("path", path.as_ref()), ("chart", chart.as_ref()), ("name", name.as_ref())];
    let test = |(key, text): (&str, Option<&String>)| {
        text.map(|text| Operation::Test(place.source.clone().key(key), Node::text(text)))
    };
    parts.into_iter().filter_map(test).collect()
}

pub(super) fn source_of<'a>(image: &Image, application: &'a Application) -> Result<(Pointer, &'a Source), Problem> {
    let sources = application.sources.each();
    let Sources::Many(_) = application.sources else {
        let place = format!("spec.images[{}].target.source", image.index);
        let only = sources.into_iter().next();
        return match (&image.source, only) {
            (_, None) => {
                Err(Problem::new(Reason::UnsupportedSourceType, format!("`{}` has no source", application.id)))
            }
            (None, Some(only)) => Ok(only),
            (Some(selector), Some(only)) if selector.fits(0, only.1) => Ok(only),
            (Some(selector), Some(_)) => Err(Problem::new(
                Reason::InvalidTarget,
                format!("`{}` has one source, and it is not {selector}", application.id),
            )
            .at(place)),
        };
    };
    let fits = |(index, (_, source)): &(usize, (Pointer, &Source))| match (&image.source, &image.target) {
        (Some(selector), _) => selector.fits(*index, source),
        (None, Some(target)) => source.kind == Some(target.kind()),
        (None, None) => matches!(source.kind, Some(SourceKind::Helm | SourceKind::Kustomize)),
    };
    let described = describe(&sources);
    let mut fitting: Vec<_> = sources.into_iter().enumerate().filter(fits).map(|(_, source)| source).collect();
    match (fitting.len(), &image.source) {
        (1, _) => Ok(fitting.remove(0)),
        (0, Some(selector)) => {
            let message = format!("`{}` has no source that is {selector}; it has {described}", application.id);
            Err(Problem::new(Reason::InvalidTarget, message).at(format!("spec.images[{}].target.source", image.index)))
        }
        (0, None) => Err(Problem::new(Reason::UnsupportedSourceType, format!("no source of `{}` can be written; it has {described}", application.id))
            .hint("Helm and Kustomize sources can be written, and Plugin sources with `target.plugin`; name the kind with `target.helm` or `target.kustomize` if Argo CD has not found it out yet")),
        (_, _) => Err(Problem::new(Reason::AmbiguousSource, format!("more than one source of `{}` fits; it has {described}", application.id))
            .at(format!("spec.images[{}].target.source", image.index))
            .hint("name one with `target: { source: { index: 0 } }`")),
    }
}

/// Where paths of Helm values stand: in the `valuesObject`, which alone counts where there is one; else in the text `values`; without
/// both in a new `valuesObject`.
fn values_slot(image: &Image, application: &Application, source: &Source, keys: &Keys) -> Result<Slot, Problem> {
    let place = format!("spec.images[{}].target.helm.values", image.index);
    let problem = |reason, refusal: String| Problem::new(reason, format!("`{}` {refusal}", application.id)).at(&place);
    let helm = source.helm.as_ref();
    let parameters = || helm.into_iter().flat_map(|helm| helm.parameters.iter().flatten());
    if let Some(path) = keys.each().find(|path| parameters().any(|parameter| parameter.name == **path)) {
        let refusal = format!("has a Helm parameter `{path}`, which goes before Helm values");
        return Err(problem(Reason::InvalidTarget, refusal).hint("write the parameter, or remove it"));
    }
    if helm.is_some_and(|helm| helm.values.is_none() && helm.inline.is_some()) {
        return match keys.each().find_map(|path| inline::refusal(source, path)) {
            Some((reason, refusal)) => {
                Err(problem(reason, refusal).hint("make it a text in quotes there, or write a parameter"))
            }
            None => Ok(Slot::InlineValues(keys.clone())),
        };
    }
    match keys.each().find_map(|path| values::refusal(source, path)) {
        Some(refusal) => {
            Err(problem(Reason::InvalidTarget, refusal).hint("make it a text of `valuesObject`, or write a parameter"))
        }
        None => Ok(Slot::HelmValues(keys.clone())),
    }
}

/// More than one entry of kustomize turns something into the image.
pub(super) fn several_renamed<'a>(place: &str, image: &Image, names: impl Iterator<Item = &'a str>) -> Problem {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let message = format!("`{place}` turns {} into `{}`", names.join(" and "), image.reference.repository);
    let problem = Problem::new(Reason::InvalidTarget, message).at(format!("spec.images[{}].target", image.index));
    problem.hint("name the entry with `target: { kustomize: { name: … } }`, one image of the policy each")
}

fn describe(sources: &[(Pointer, &Source)]) -> String {
    let one = |(index, (_, source)): (usize, &(Pointer, &Source))| {
        let kind = source.kind.map_or("of unknown type", SourceKind::as_str);
        let name = source.name.as_deref().or(source.reference.as_deref()).or(source.chart.as_deref());
        name.map_or_else(|| format!("{index} ({kind})"), |name| format!("{index} (`{name}`, {kind})"))
    };
    sources.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

fn wrong_kind(image: &Image, application: &Application, wanted: SourceKind, kind: SourceKind) -> Problem {
    let message = format!(
        "the target is for {} sources, and the source of `{}` is of type {}",
        wanted.as_str(),
        application.id,
        kind.as_str()
    );
    Problem::new(Reason::UnsupportedSourceType, message).at(format!("spec.images[{}].target", image.index))
}

fn unsupported(application: &Application, kind: Option<SourceKind>) -> Problem {
    let id = &application.id;
    let (message, hint) = if let Some(kind) = kind {
        let message = match kind {
            SourceKind::Plugin => {
                format!("the source of `{id}` is of type Plugin, and the target does not say which variables to write")
            }
            _ => {
                format!("the source of `{id}` is of type {}, which cannot be written in the Application", kind.as_str())
            }
        };
        let hint = match kind {
            SourceKind::Plugin => "name the variables with `target: { plugin: { tag: … } }`",
            SourceKind::Helm | SourceKind::Kustomize | SourceKind::Directory => "Helm and Kustomize sources can be",
        };
        (message, hint)
    } else {
        let hint = "Argo CD tells it after its first look; or name it with `target.helm` or `target.kustomize`";
        (format!("the type of the source of `{id}` is not known"), hint)
    };
    Problem::new(Reason::UnsupportedSourceType, message).hint(hint)
}

impl SourceSelector {
    fn fits(&self, index: usize, source: &Source) -> bool {
        match self {
            Self::Name(name) => source.name.as_ref() == Some(name),
            Self::Index(wanted) => *wanted == index,
            Self::Reference(reference) => source.reference.as_ref() == Some(reference),
            Self::Chart(chart) => source.chart.as_ref() == Some(chart),
        }
    }
}

impl fmt::Display for SourceSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(formatter, "named `{name}`"),
            Self::Index(index) => write!(formatter, "at index {index}"),
            Self::Reference(reference) => write!(formatter, "referred to as `{reference}`"),
            Self::Chart(chart) => write!(formatter, "the chart `{chart}`"),
        }
    }
}
