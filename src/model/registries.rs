//! Which registries there are, where they are spoken to, and with whose login: the administrator's configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{Cloud, Repository, SecretRef};

/// The registries that an administrator described. The default knows Docker Hub alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistriesConfiguration {
    /// The registries, in the order they were written; Docker Hub stands last where it is the built-in one.
    pub entries: Vec<RegistryEntry>,
    /// Certificates of authorities, in PEM, by the host name that they are trusted for beside the system's own.
    pub authorities: BTreeMap<String, String>,
}

/// One registry, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryEntry {
    /// What people call it.
    pub name: String,
    /// Where it is spoken to.
    pub address: ApiAddress,
    /// Which images it answers for; `None`: those written without a registry.
    pub prefix: Option<RegistryPrefix>,
    /// Images of another name that are looked up here: what lies behind that name is looked for behind `prefix`.
    pub mirror_of: Option<RegistryPrefix>,
    /// Whether it also answers for images written without a registry.
    pub default: bool,
    /// The login, where an image has no pull secret of its own.
    pub credentials: Option<CredentialSource>,
    /// How long a login is good; `None`: until it is refused.
    pub credentials_life: Option<Duration>,
    /// What the order of its lists of tags says.
    pub tag_order: TagOrder,
    /// Whether any certificate is taken.
    pub insecure: bool,
    /// Authorities that are trusted beside the system's own.
    pub authority: Option<Authority>,
    /// What is put in front of a path of one part.
    pub default_namespace: Option<String>,
    /// Requests a second at most; `None`: no bound.
    pub limit: Option<u32>,
    /// What stands between.
    pub proxy: ProxyChoice,
}

/// The address of a registry's API: `https://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiAddress {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Host, with its port where one is written.
    pub host: String,
    /// What stands between the host and `/v2/`; empty or with a `/` in front and none at the end.
    pub path: String,
}

/// A registry, or the repositories below a path of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryPrefix {
    /// Host, lower case, with its port where one is written.
    pub registry: String,
    /// Leading parts of the path; empty: all repositories.
    pub path: String,
}

/// What the order of a registry's list of tags says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TagOrder {
    /// Nothing.
    #[default]
    None,
    /// The newest comes first.
    LatestFirst,
    /// The newest comes last.
    LatestLast,
}

/// Whether a registry is spoken to through a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ProxyChoice {
    /// As the variables of the process say.
    #[default]
    Environment,
    /// Never.
    None,
    /// Through this one, always.
    Through(ProxyAddress),
}

/// The address of a proxy: `http://USER:PASSWORD@HOST:PORT`. It is shown without the login.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyAddress {
    scheme: &'static str,
    login: Option<String>,
    host: String,
}

/// Certificates of authorities, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// In a file.
    File(String),
    /// Here.
    Text(String),
}

/// Where a login comes from. It names a place and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialSource {
    /// A pull secret.
    PullSecret(SecretRef),
    /// `user:password` in a field of a Secret.
    Secret {
        /// The Secret.
        secret: SecretRef,
        /// The field.
        field: String,
    },
    /// `user:password` in a variable of this process.
    Environment(String),
    /// `user:password`, printed by a script at an absolute path.
    Script(String),
    /// The identity that a cloud gives this process.
    Cloud(Cloud),
}

/// Where a repository is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'a> {
    /// The entry that answers; `None`: the registry itself, as its name says.
    pub entry: Option<&'a RegistryEntry>,
    /// The repository, as the registry that is asked names it.
    pub repository: Repository,
}

const DOCKER_HUB: &str = "docker.io";

impl Default for RegistriesConfiguration {
    fn default() -> Self {
        Self { entries: vec![RegistryEntry::docker_hub()], authorities: BTreeMap::new() }
    }
}

impl RegistriesConfiguration {
    /// Where a repository is looked up: by the entry whose prefix, or whose `mirrorOf`, is the longest that it lies below. Of
    /// two equally long ones, the mirror.
    pub fn route(&self, repository: &Repository) -> Route<'_> {
        let mirrors = self.entries.iter().filter_map(|entry| Some((entry, entry.mirror_of.as_ref()?, true)));
        let owners = self.entries.iter().filter_map(|entry| Some((entry, entry.prefix.as_ref()?, false)));
        let fitting = mirrors.chain(owners).filter(|(_, prefix, _)| prefix.covers(repository));
        match fitting.max_by_key(|(_, prefix, mirror)| (prefix.path.len(), *mirror)) {
            Some((entry, name, true)) => Route { entry: Some(entry), repository: entry.mirrored(name, repository) },
            Some((entry, _, false)) => Route { entry: Some(entry), repository: entry.completed(repository) },
            None => self.route_to_default(repository),
        }
    }

    fn route_to_default(&self, repository: &Repository) -> Route<'_> {
        let hub = repository.registry == DOCKER_HUB;
        let default = self.entries.iter().find(|entry| entry.default).filter(|_| hub);
        let Some(entry) = default else { return Route { entry: None, repository: repository.clone() } };
        // `library` was put there because nothing was written.
        let path = repository.path.strip_prefix("library/").unwrap_or(&repository.path).to_owned();
        Route { entry: Some(entry), repository: entry.completed(&Repository { registry: entry.host(), path }) }
    }
}

impl RegistryEntry {
    /// Docker Hub, as it is known without a configuration.
    pub fn docker_hub() -> Self {
        Self {
            name: "Docker Hub".to_owned(),
            address: ApiAddress { tls: true, host: "registry-1.docker.io".to_owned(), path: String::new() },
            prefix: Some(RegistryPrefix { registry: DOCKER_HUB.to_owned(), path: String::new() }),
            mirror_of: None,
            default: true,
            credentials: None,
            credentials_life: None,
            tag_order: TagOrder::None,
            insecure: false,
            authority: None,
            default_namespace: Some("library".to_owned()),
            limit: Some(10),
            proxy: ProxyChoice::Environment,
        }
    }

    /// Whether the entry answers for all of Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.prefix.as_ref().is_some_and(|prefix| prefix.registry == DOCKER_HUB && prefix.path.is_empty())
    }

    /// The registry's name: the one that images have, or where it is spoken to.
    pub fn host(&self) -> String {
        self.prefix.as_ref().map_or_else(|| self.address.host.clone(), |prefix| prefix.registry.clone())
    }

    /// The repository of the mirror that stands for one behind `name`.
    fn mirrored(&self, name: &RegistryPrefix, repository: &Repository) -> Repository {
        let beyond = repository.path.strip_prefix(&name.path).unwrap_or(&repository.path).trim_start_matches('/');
        let before = self.prefix.as_ref().map(|prefix| prefix.path.as_str()).unwrap_or_default();
        let parts = [before, beyond].into_iter().filter(|part| !part.is_empty());
        let path = parts.collect::<Vec<_>>().join("/");
        self.completed(&Repository { registry: self.host(), path })
    }

    fn completed(&self, repository: &Repository) -> Repository {
        match &self.default_namespace {
            Some(namespace) if !repository.path.contains('/') => {
                let path = format!("{namespace}/{}", repository.path);
                Repository { registry: repository.registry.clone(), path }
            }
            _ => repository.clone(),
        }
    }
}

impl RegistryPrefix {
    /// Whether a repository lies below: the same registry, and a path that begins with the same parts.
    pub fn covers(&self, repository: &Repository) -> bool {
        let beyond = repository.path.strip_prefix(self.path.as_str());
        let whole = beyond.is_some_and(|beyond| beyond.is_empty() || beyond.starts_with('/'));
        self.registry == repository.registry && (self.path.is_empty() || whole)
    }
}

impl CredentialSource {
    /// The Secret that it reads, if it reads one.
    pub const fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::PullSecret(secret) | Self::Secret { secret, .. } => Some(secret),
            Self::Environment(_) | Self::Script(_) | Self::Cloud(_) => None,
        }
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.host, self.path)
    }
}

impl ProxyAddress {
    /// A proxy that is spoken to over TLS or not. `login` is `USER:PASSWORD` in percent encoding.
    pub fn new(tls: bool, login: Option<String>, host: String) -> Self {
        Self { scheme: if tls { "https" } else { "http" }, login, host }
    }

    /// The address with the login in it, which nobody must see.
    pub fn with_login(&self) -> String {
        let login = self.login.as_ref().map(|login| format!("{login}@")).unwrap_or_default();
        format!("{}://{login}{}", self.scheme, self.host)
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProxyAddress({self})")
    }
}

impl fmt::Display for RegistryPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.registry)?;
        if self.path.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.path) }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullSecret(SecretRef { namespace, name }) => write!(formatter, "pullsecret:{namespace}/{name}"),
            Self::Secret { secret: SecretRef { namespace, name }, field } => {
                write!(formatter, "secret:{namespace}/{name}#{field}")
            }
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::Script(path) => write!(formatter, "ext:{path}"),
            Self::Cloud(cloud) => cloud.fmt(formatter),
        }
    }
}
