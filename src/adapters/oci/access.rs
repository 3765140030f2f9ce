//! Where a question goes, and with whose login: the image's own credentials, else what the registries configuration says, else the
//! identity that a cloud gives this process, else nobody's.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::Credential;
use super::failure::Failure;
use super::session::Session;
use crate::adapters::credentials::{Login, Sources, Wanted, shown};
use crate::model::{Cloud, CredentialSource, Reason, Repository, Route};
use crate::ports::Question;

/// How a repository is asked about: for people to read, never with a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approach {
    /// Where its registry is spoken to.
    pub endpoint: String,
    /// The repository, as that registry names it.
    pub repository: String,
    /// The entry of the registries configuration that says so.
    pub entry: Option<String>,
    /// Where the login comes from; `None`: there is none.
    pub login: Option<String>,
    /// Why the identity of a cloud, which would be used, gives no login.
    pub no_identity: Option<String>,
}

/// A way to a repository, with a login.
pub(super) struct Access {
    pub(super) session: Arc<Session>,
    /// The repository, as the registry that is asked names it.
    pub(super) repository: Repository,
    pub(super) origin: Origin,
    pub(super) approach: Approach,
}

/// Where a login comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// From where the image's policy says.
    Image(CredentialSource),
    /// From the entry of this name in the registries configuration.
    Entry(String, CredentialSource),
    /// From the identity of this process.
    Cloud(Cloud),
    /// From nowhere. A cloud that could have given one says why it did not.
    Nowhere(Option<String>),
}

impl Origin {
    /// What may help when a registry denies a question.
    pub(super) fn denied_hint(&self) -> String {
        match self {
            Self::Image(CredentialSource::PullSecret(secret)) => {
                format!("asked with the login of the Secret {}", shown(secret))
            }
            Self::Image(source) => format!("asked with the login from `{source}`"),
            Self::Entry(name, source) => {
                format!("asked with the login from `{source}`, as the registries configuration says for `{name}`")
            }
            Self::Cloud(cloud) => format!("asked with the {cloud} identity of this process"),
            Self::Nowhere(None) => "no pull secret is given for it".to_owned(),
            Self::Nowhere(Some(cause)) => format!("no pull secret is given for it, and {cause}"),
        }
    }

    /// Why a cloud that could have given a login did not.
    pub(super) fn no_identity(&self) -> Option<String> {
        match self {
            Self::Nowhere(cause) => cause.clone(),
            Self::Image(_) | Self::Entry(..) | Self::Cloud(_) => None,
        }
    }

    /// Where the login comes from, for people.
    pub(super) fn described(&self) -> Option<String> {
        match self {
            Self::Image(source) => Some(format!("`{source}`")),
            Self::Entry(name, source) => Some(format!("`{source}`, by the entry `{name}`")),
            Self::Cloud(cloud) => Some(format!("the {cloud} identity of this process")),
            Self::Nowhere(_) => None,
        }
    }
}

/// The login for a question that goes this way. `refused` is the one that the registry did not take.
///
/// # Errors
/// Where a login is configured and cannot be had: such a question is never asked anonymously.
pub(super) async fn credential(
    sources: &Sources,
    question: &Question<'_>,
    route: &Route<'_>,
    refused: Option<&Access>,
) -> Result<(Credential, Origin), Failure> {
    let unavailable = |cause: String| Failure::new(Reason::CredentialsUnavailable, cause);
    let host = route.entry.map_or_else(|| route.repository.registry.clone(), |entry| entry.address.host.clone());
    let spoken_to = Repository { registry: host.clone(), path: route.repository.path.clone() };
    let names = [&route.repository, &spoken_to];
    let is_refused = |login: &Login| {
        refused.is_some_and(|access| access.session.identity == Credential::of(login.clone()).identity())
    };
    let life = route.entry.and_then(|entry| entry.credentials_life);
    if let Some(source) = question.credentials {
        let wanted = Wanted { source, life, names: &names, host: &host };
        let login = sources.login(&wanted, is_refused).await;
        return Ok((Credential::of(login.map_err(unavailable)?), Origin::Image(source.clone())));
    }
    let configured = route.entry.and_then(|entry| Some((entry, entry.credentials.as_ref()?)));
    if let Some((entry, source)) = configured {
        let wanted = Wanted { source, life, names: &names, host: &host };
        let login = sources.login(&wanted, is_refused).await;
        let failed = |cause| {
            unavailable(cause).with_hint(&format!("the registries configuration wants it for `{}`", entry.name))
        };
        return Ok((Credential::of(login.map_err(failed)?), Origin::Entry(entry.name.clone(), source.clone())));
    }
    let Some(cloud) = Cloud::of_host(&host).filter(|_| sources.knows_clouds()) else {
        return Ok((Credential::ANONYMOUS, Origin::Nowhere(None)));
    };
    let source = CredentialSource::Cloud(cloud);
    let wanted = Wanted { source: &source, life: None::<Duration>, names: &names, host: &host };
    // What a cloud's registries hold may be public: then nobody's login will do.
    Ok(match sources.login(&wanted, is_refused).await {
        Ok(login) => (Credential::of(login), Origin::Cloud(cloud)),
        Err(cause) => (Credential::ANONYMOUS, Origin::Nowhere(Some(cause))),
    })
}
