//! Where the version of one image of one Application stands: in the Application itself, or in a file of Git.

use std::fmt;
use std::sync::Arc;

use super::git::file::FilePlace;
use super::git::snapshot::Snapshot;
use super::place::{Claim, Held, Place, Slot};
use crate::model::{Application, GitTarget, HelmTarget, Image, Pointer, Policy, Problem, Source};

/// Where the version of one image of one Application stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// In the Application.
    Application {
        /// The place.
        place: Place,
        /// The source that it lies in.
        source: Box<Source>,
    },
    /// In a file of Git.
    File(Box<FilePlace>),
}

impl Spot {
    /// The spot of `image` of `application`, where `policy` says so.
    ///
    /// # Errors
    /// A problem where none fits, more than one, or a file cannot be read.
    pub fn of(
        policy: &Policy,
        image: &Image,
        application: &Arc<Application>,
        snapshot: &Snapshot,
    ) -> Result<Self, Problem> {
        if let Some(git) = policy.write_back.git() {
            return FilePlace::of(git, image, application, snapshot).map(|file| Self::File(Box::new(file)));
        }
        let place = Place::of(image, application)?;
        let source = application.sources.each().into_iter().find(|(pointer, _)| *pointer == place.source);
        let source = source.map(|(_, source)| source.clone()).unwrap_or_default();
        Ok(Self::Application { place, source: Box::new(source) })
    }

    /// What stands there.
    ///
    /// # Errors
    /// A problem where a file holds something else there.
    pub fn held(&self, image: &Image) -> Result<Held, Problem> {
        match self {
            Self::Application { place, source } => Ok(place.held(source, image)),
            Self::File(file) => file.held(image),
        }
    }

    /// What is written, for comparing with what others write.
    pub fn claims(&self, image: &Image) -> Vec<Claim> {
        match self {
            Self::Application { place, source } => place.claims(source, image),
            Self::File(file) => file.claims(image),
        }
    }

    /// What an ApplicationSet must leave for a write to stay; nothing, where it does not write what is written.
    pub fn regions(&self, policy: &Policy, application: &Application) -> Vec<Pointer> {
        match self {
            Self::Application { place, .. } => place.regions(application),
            Self::File(_) if policy.write_back.git().is_some_and(|git| git.target == GitTarget::Application) => {
                vec![Pointer::root().key("spec")]
            }
            Self::File(_) => Vec::new(),
        }
    }

    /// Whether the user named it; a usual one may belong to another image.
    pub const fn explicit(&self) -> bool {
        match self {
            Self::Application { place, .. } => place.explicit,
            Self::File(file) => file.explicit,
        }
    }

    /// Why writing there would have no effect, if it would have none.
    pub fn hidden(&self) -> Option<&Problem> {
        self.file().and_then(|file| file.hidden.as_ref())
    }

    /// The key that names the image there, for telling whose it is.
    pub fn name_key(&self) -> String {
        match self {
            Self::Application { place, .. } => match &place.slot {
                Slot::Helm(HelmTarget::NameAndTag { name: Some(name), .. } | HelmTarget::Spec(name)) => name.clone(),
                _ => place.to_string(),
            },
            Self::File(file) => file.to_string(),
        }
    }

    /// The file, if it is one.
    pub const fn file(&self) -> Option<&FilePlace> {
        match self {
            Self::Application { .. } => None,
            Self::File(file) => Some(file),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application { place, .. } => place.fmt(formatter),
            Self::File(file) => file.fmt(formatter),
        }
    }
}
