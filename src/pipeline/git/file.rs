//! Where the version of one image stands in a file of Git.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::destination::{Destination, FileChoice, plain_address};
use super::hidden::Rendered;
use super::sheet::{FileEdit, Sheet};
use super::snapshot::{Found, Snapshot};
use super::{keyed_file, kustomization, manifest, override_file};
use crate::model::{
    Application, FileKeys, GitBranch, GitWriteBack, Image, ImageReference, KeyPath, Pointer, Problem, Reason,
    Repository, Source, Sources,
};
use crate::pipeline::place::{Claim, Held, Place, Version, identity_of};

/// Where the version of one image stands in a file of Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    /// The branch.
    pub branch: GitBranch,
    /// Its name, also where it is the remote's default branch.
    pub branch_name: String,
    /// The file, from the root of the repository.
    pub path: String,
    /// The document in it.
    pub document: usize,
    /// Where in the document.
    pub slot: FileSlot,
    /// Whether the user named the slot; a usual slot may belong to another image.
    pub explicit: bool,
    /// Its keys as they are written by the user, each with the one form of all its spellings.
    pub ways: BTreeMap<String, Pointer>,
    /// Why writing there would have no effect, if it would have none.
    pub hidden: Option<Problem>,
    /// The file's text; `None`: it is missing, and is made.
    pub text: Option<Arc<str>>,
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSlot {
    /// A place of the source that the file is merged over.
    Override {
        /// The place.
        place: Place,
        /// The source without the file.
        source: Box<Source>,
    },
    /// A place of the Application that the file holds.
    Manifest {
        /// The place.
        place: Place,
        /// The Application in the cluster, for what the manifest does not tell.
        application: Arc<Application>,
    },
    /// Keys.
    Keys(FileKeys),
    /// The entry of a kustomization for this image name in the manifests.
    Kustomization(ImageReference),
}

impl FilePlace {
    /// The place of `image` of `application`, as `git` names it and `snapshot` shows it.
    ///
    /// # Errors
    /// A problem where no file fits, more than one, or where it cannot be read.
    pub fn of(
        git: &GitWriteBack,
        image: &Image,
        application: &Arc<Application>,
        snapshot: &Snapshot,
    ) -> Result<Self, Problem> {
        let destination = Destination::of(git, image, application)?;
        let above = destination.above.clone();
        let place = Self::found(destination, image, application, snapshot)?;
        let rendered = above.and_then(|above| Rendered::new(application, &above, &place.branch, snapshot));
        Ok(Self { hidden: rendered.and_then(|rendered| place.hidden_by(&rendered, image)), ..place })
    }

    fn found(
        Destination { branch, file, above: _ }: Destination,
        image: &Image,
        application: &Arc<Application>,
        snapshot: &Snapshot,
    ) -> Result<Self, Problem> {
        let explicit = image.target.is_some();
        let made = |path: String, found: Found, document: usize, slot: FileSlot| {
            let Found { branch: branch_name, text } = found;
            let document_text = text.as_deref().filter(|text| !crate::edit::yaml::documents(text).is_empty());
            let ways = match &slot {
                FileSlot::Override { .. } | FileSlot::Manifest { .. } => BTreeMap::new(),
                FileSlot::Keys(keys) => keyed_file::ways(&path, document_text.map(|text| (text, document)), keys),
                FileSlot::Kustomization(name) => {
                    let (at, _) = kustomization::meant(&path, document_text.unwrap_or_default(), name, image);
                    BTreeMap::from([(format!("images[{}]", name.repository), at)])
                }
            };
            Self { branch: branch.clone(), branch_name, path, document, slot, explicit, ways, hidden: None, text }
        };
        match file {
            FileChoice::Override { source, common, names, unread } => {
                let (path, found) = if let Some(one) = one_of(&names, &branch, snapshot)? {
                    one
                } else {
                    let unread = unread.as_deref().map(|name| (name, names[0].as_str()));
                    unread.map_or(Ok(()), |unread| refuse_unread(unread, application, &branch, snapshot))?;
                    (names[0].clone(), snapshot.file(&branch, &names[0])?)
                };
                let slot = override_slot(image, application, &source, (&branch, &common), (&path, &found), snapshot)?;
                Ok(made(path, found, 0, slot))
            }
            FileChoice::Keys { path, keys, create, values } => {
                let found = snapshot.file(&branch, &path)?;
                if found.text.is_none() && !create {
                    let hint = "correct the path, or write `create: true` to make it";
                    return Err(not_found(&path, &branch).hint(hint));
                }
                let meant = if values { keyed_file::values_document } else { keyed_file::document };
                let document = found.text.as_deref().map_or(Ok(0), |text| meant(&path, text, &keys))?;
                Ok(made(path, found, document, FileSlot::Keys(keys)))
            }
            FileChoice::Kustomization { names, image } => {
                let missing = || not_found(&names.join("`, `"), &branch).hint("correct `writeBack.git.path`");
                let (path, found) = one_of(&names, &branch, snapshot)?.ok_or_else(missing)?;
                Ok(made(path, found, 0, FileSlot::Kustomization(image)))
            }
            FileChoice::Manifest { path } => {
                let found = snapshot.file(&branch, &path)?;
                let missing = || not_found(&path, &branch).hint("correct `writeBack.git.path`");
                let text = found.text.clone().ok_or_else(missing)?;
                let (document, written) = manifest::find(&path, &text, application)?;
                let place = Place::of(image, &written)?;
                let slot = FileSlot::Manifest { place, application: application.clone() };
                Ok(made(path, found, document, slot))
            }
        }
    }

    /// Why writing there would have no effect.
    fn hidden_by(&self, rendered: &Rendered<'_>, image: &Image) -> Option<Problem> {
        match &self.slot {
            FileSlot::Override { .. } => None,
            FileSlot::Manifest { place, .. } => rendered.application(place),
            FileSlot::Keys(FileKeys { name: _, tag, digest, spec }) => {
                let way = |key: &KeyPath| Some((key.to_string(), self.ways.get(key.as_str())?));
                let mut ways = [spec, tag, digest].into_iter().flatten().filter_map(way);
                ways.find_map(|(key, way)| rendered.values((&self.path, &key), way))
            }
            FileSlot::Kustomization(name) => {
                let text = self.document_text().unwrap_or_default();
                let (_, name) = kustomization::meant(&self.path, text, name, image);
                rendered.kustomization(&self.path, &name)
            }
        }
    }

    /// What the place holds.
    ///
    /// # Errors
    /// A problem where the file holds something there that is no version.
    pub fn held(&self, image: &Image) -> Result<Held, Problem> {
        let text = self.document_text();
        match &self.slot {
            FileSlot::Override { place, source } => {
                Ok(place.held(&override_file::effective(&self.path, text, source)?, image))
            }
            FileSlot::Manifest { place, application } => {
                Ok(place.held(&self.written_source(text.unwrap_or_default(), place, application)?, image))
            }
            FileSlot::Keys(keys) => keyed_file::held(&self.path, text.map(|text| (text, self.document)), keys, image),
            FileSlot::Kustomization(name) => kustomization::held(&self.path, text.unwrap_or_default(), name, image),
        }
    }

    /// Puts `version` into the file; whether that changed anything.
    ///
    /// # Errors
    /// A problem where that cannot be done without touching something else.
    pub fn write(&self, sheet: &mut Sheet, image: &Image, version: &Version<'_>) -> Result<bool, Problem> {
        let text = sheet.text();
        let edit = match &self.slot {
            FileSlot::Override { place, source } => {
                override_file::write(&self.path, text, source, place, image, version)?
            }
            FileSlot::Manifest { place, application } => {
                let text = text.unwrap_or_default();
                let (_, written) = manifest::find(&self.path, text, application)?;
                let source = source_at(&written, &place.source).cloned().unwrap_or_default();
                let (operations, _) = place.write(&source, image, version)?;
                let identity = if operations.is_empty() { Vec::new() } else { identity_of(&written, place, &source) };
                FileEdit::Operations(identity.into_iter().chain(operations).collect())
            }
            FileSlot::Keys(keys) => {
                let text = text.map(|text| (text, self.document));
                keyed_file::write(&self.path, text, keys, image, version, self.explicit)?
            }
            FileSlot::Kustomization(name) => {
                kustomization::write(&self.path, text.unwrap_or_default(), name, image, version)?
            }
        };
        sheet.put(edit)
    }

    /// The file without changes.
    pub fn sheet(&self) -> Sheet {
        Sheet::new(&self.path, self.document, self.text.clone())
    }

    /// What is written, for comparing with what other images of the Application write.
    pub fn claims(&self, image: &Image) -> Vec<Claim> {
        match &self.slot {
            // What the file and the Application say of one parameter is one value in the end.
            FileSlot::Override { place, source } => place.claims(source, image),
            FileSlot::Manifest { place, application } => {
                let source = source_at(application, &place.source).cloned().unwrap_or_default();
                place.claims(&source, image)
            }
            FileSlot::Keys(_) | FileSlot::Kustomization(_) => self.shared_claims(image),
        }
    }

    /// What is written, for comparing with what other Applications write: a file has many names, and a place in it has, too.
    pub fn shared_claims(&self, image: &Image) -> Vec<Claim> {
        let shown = format!("{}@{}:{}#{}", self.branch_without_name(), self.branch_name, self.path, self.document);
        let repository = plain_address(&self.branch.repository);
        let file = format!("{repository}@{}:{}#{}", self.branch_name, self.path, self.document);
        let claim = |key: &str, at: String, shared: Option<Repository>| Claim {
            place: format!("{shown}:{key}"),
            at: format!("{file}:{at}"),
            shared,
        };
        let of = |Claim { place, at, shared }: Claim| claim(&place, at, shared);
        match &self.slot {
            FileSlot::Override { place, source } => {
                // The file does not know by which of an Application's sources it is read.
                let place = Place { source: Pointer::root(), ..place.clone() };
                place.claims(source, image).into_iter().map(of).collect()
            }
            FileSlot::Manifest { .. } => self.claims(image).into_iter().map(of).collect(),
            FileSlot::Keys(FileKeys { name, tag, digest, spec }) => {
                let key = |key: &KeyPath, shared| {
                    let at = self.ways.get(key.as_str()).map_or_else(|| key.to_string(), Pointer::to_json_pointer);
                    claim(key.as_str(), at, shared)
                };
                let version = [tag, digest, spec].into_iter().flatten().map(|version| key(version, None));
                let name = name.as_ref().map(|name| key(name, Some(image.reference.repository.clone())));
                version.chain(name).collect()
            }
            FileSlot::Kustomization(_) => {
                let fields = |(entry, at): (&String, &Pointer)| {
                    ["newTag", "digest"].map(|field| claim(entry, at.clone().key(field).to_json_pointer(), None))
                };
                self.ways.iter().flat_map(fields).collect()
            }
        }
    }

    /// The key that holds the version, as people write it.
    pub fn key(&self) -> String {
        match &self.slot {
            FileSlot::Override { place, .. } | FileSlot::Manifest { place, .. } => place.to_string(),
            FileSlot::Keys(keys) => keys.main().map(ToString::to_string).unwrap_or_default(),
            FileSlot::Kustomization(name) => format!("images[name={}]", name.name),
        }
    }

    fn branch_without_name(&self) -> GitBranch {
        GitBranch { branch: None, ..self.branch.clone() }
    }

    /// The text, where it holds a document.
    fn document_text(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !crate::edit::yaml::documents(text).is_empty())
    }

    fn written_source(&self, text: &str, place: &Place, application: &Application) -> Result<Source, Problem> {
        let (_, written) = manifest::find(&self.path, text, application)?;
        Ok(source_at(&written, &place.source).cloned().unwrap_or_default())
    }
}

/// As people write it: `https://git.example.com/web@main:deploy/values.yaml:image.tag`.
impl fmt::Display for FilePlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}:{}:{}", self.branch_without_name(), self.branch_name, self.path, self.key())
    }
}

/// The one of `names` that is a file; `None`: there is none.
fn one_of(names: &[String], branch: &GitBranch, snapshot: &Snapshot) -> Result<Option<(String, Found)>, Problem> {
    let mut there = Vec::new();
    for name in names {
        let found = snapshot.file(branch, name)?;
        if found.text.is_some() {
            there.push((name.clone(), found));
        }
    }
    if there.len() > 1 {
        let names = there.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
        let message = format!("`{branch}` holds {names}, and which one counts is not certain");
        return Err(Problem::new(Reason::AmbiguousFile, message).hint("remove one of them"));
    }
    Ok(there.pop())
}

/// Refuses to make a file beside one that people take for it, and that Argo CD does not read.
fn refuse_unread(
    (unread, read): (&str, &str),
    application: &Application,
    branch: &GitBranch,
    snapshot: &Snapshot,
) -> Result<(), Problem> {
    if snapshot.file(branch, unread)?.text.is_none() {
        return Ok(());
    }
    let message = format!("Argo CD does not read `{unread}` for `{}`", application.id);
    Err(Problem::new(Reason::UnusableFile, message).hint(format!("rename it to `{read}`, or remove it")))
}

fn override_slot(
    image: &Image,
    application: &Application,
    source: &Pointer,
    (branch, common): (&GitBranch, &str),
    (path, found): (&str, &Found),
    snapshot: &Snapshot,
) -> Result<FileSlot, Problem> {
    if let Some(crate::model::Target::HelmValues(_)) = &image.target {
        return Err(override_file::no_values().at(format!("spec.images[{}].target.helm.values", image.index)));
    }
    let has_document = |text: &&str| !crate::edit::yaml::documents(text).is_empty();
    let own = source_at(application, source).cloned().unwrap_or_default();
    let before = snapshot.file(branch, common)?;
    let base = override_file::effective(common, before.text.as_deref().filter(has_document), &own)?;
    if let Some(text) = found.text.as_deref().filter(has_document) {
        only_document(path, text)?;
    }
    let merged = override_file::effective(path, found.text.as_deref().filter(has_document), &base)?;
    let place = Place::of(image, &with_source(application, source, merged))?;
    Ok(FileSlot::Override { place, source: Box::new(base) })
}

/// The number of the only document of a text.
fn only_document(path: &str, text: &str) -> Result<usize, Problem> {
    match crate::edit::yaml::documents(text).len() {
        0 | 1 => Ok(0),
        count => {
            let message = format!("`{path}` holds {count} documents, and which one is meant is not certain");
            Err(Problem::new(Reason::UnusableFile, message))
        }
    }
}

fn source_at<'a>(application: &'a Application, place: &Pointer) -> Option<&'a Source> {
    application.sources.each().into_iter().find(|(pointer, _)| pointer == place).map(|(_, source)| source)
}

/// The Application with another source at `place`, whose type is what the source states.
fn with_source(application: &Application, place: &Pointer, source: Source) -> Application {
    let position = application.sources.each().iter().position(|(pointer, _)| pointer == place).unwrap_or_default();
    let mut application = application.clone();
    match &mut application.sources {
        Sources::Single(one) | Sources::Hydrated(one) => *one = source,
        Sources::Many(sources) => {
            if let Some(one) = sources.get_mut(position) {
                *one = source;
            }
        }
        Sources::Missing => {}
    }
    application
}

fn not_found(path: &str, branch: &GitBranch) -> Problem {
    Problem::new(Reason::FileNotFound, format!("`{branch}` has no file `{path}`"))
}
