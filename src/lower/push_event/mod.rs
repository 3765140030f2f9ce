//! What a registry's webhook tells: repositories that something was pushed to.
//!
//! The event is a hint and nothing more: which versions there are is asked of the registry, by the policy's own login.

mod clouds;
mod registries;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::model::{ImageReference, InvalidImage, Repository, Tag};

/// One event names no more repositories; what exceeds it is left to the policies' intervals.
const REPOSITORIES_AN_EVENT: usize = 100;

/// Who sends an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Docker Hub.
    DockerHub,
    /// GitHub's container registry.
    Ghcr,
    /// Harbor.
    Harbor,
    /// Quay.
    Quay,
    /// GitLab's container registry.
    GitLab,
    /// Gitea or Forgejo packages.
    Gitea,
    /// Amazon ECR, by `EventBridge`.
    Ecr,
    /// Azure Container Registry.
    Acr,
    /// Alibaba Cloud Container Registry.
    Aliyun,
    /// A CNCF distribution registry.
    Distribution,
    /// Anything that can send `{"image": "…"}`, such as a pipeline.
    Generic,
}

/// A request as it arrived. No `Debug`: it holds secrets.
#[derive(Default)]
pub struct Delivery {
    /// Headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The token at the end of the path, or `?secret=`.
    pub token: Option<String>,
    /// `?registry=`: the registry as images name it, where the event names it otherwise or not at all.
    pub registry: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Something was pushed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Push {
    /// To this repository.
    pub repository: Repository,
    /// Under this tag, says the event. For people to read; nothing is decided by it.
    pub tag: Option<Tag>,
}

/// Why an event cannot be understood. Names fields, and of their content only what is no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEvent {
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// A field is not there, or is no text.
    #[error("the event has no text `{0}`")]
    Missing(String),
    /// A field that should name an image does not.
    #[error("`{field}` names no image: {cause}")]
    Image {
        /// The field.
        field: String,
        /// Why.
        cause: InvalidImage,
    },
    /// The event says nothing of its registry.
    #[error("the event names no registry; add `?registry=HOST` to the address of the webhook")]
    NoRegistry,
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no source `{0}`")]
pub struct UnknownSource(pub String);

impl Source {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::DockerHub,
        Self::Ghcr,
        Self::Harbor,
        Self::Quay,
        Self::GitLab,
        Self::Gitea,
        Self::Ecr,
        Self::Acr,
        Self::Aliyun,
        Self::Distribution,
        Self::Generic,
    ];

    /// Its name: in the path, as the file of its secret, as a label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DockerHub => "dockerhub",
            Self::Ghcr => "ghcr",
            Self::Harbor => "harbor",
            Self::Quay => "quay",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Ecr => "ecr",
            Self::Acr => "acr",
            Self::Aliyun => "aliyun",
            Self::Distribution => "distribution",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = if text == "forgejo" { "gitea" } else { text };
        let found = Self::ALL.into_iter().find(|source| source.as_str() == text);
        found.ok_or_else(|| UnknownSource(text.to_owned()))
    }
}

/// What was pushed, sorted, each once. Empty where the event tells of something else than a push.
///
/// # Errors
/// When the event is not of the source's form.
pub fn push_event(source: Source, delivery: &Delivery) -> Result<Vec<Push>, MalformedEvent> {
    let body: Value =
        serde_json::from_slice(&delivery.body).map_err(|error| MalformedEvent::NotJson(error.to_string()))?;
    let event = Event { delivery, body: &body };
    let mut pushes = match source {
        Source::DockerHub => registries::docker_hub(&event),
        Source::Ghcr => registries::ghcr(&event),
        Source::Harbor => registries::harbor(&event),
        Source::Quay => registries::quay(&event),
        Source::Gitea => registries::gitea(&event),
        Source::GitLab | Source::Distribution => registries::distribution(&event),
        Source::Generic => registries::generic(&event),
        Source::Ecr => clouds::ecr(&event),
        Source::Acr => clouds::acr(&event),
        Source::Aliyun => clouds::aliyun(&event),
    }?;
    pushes.sort();
    pushes.dedup();
    pushes.truncate(REPOSITORIES_AN_EVENT);
    Ok(pushes)
}

/// The code that an event asks to be answered with, where it asks whether events are wanted: Event Grid does before it sends
/// any in its own form.
pub fn validation_code(source: Source, delivery: &Delivery) -> Option<String> {
    match source {
        Source::Acr => clouds::validation_code(&serde_json::from_slice(&delivery.body).ok()?).map(str::to_owned),
        Source::DockerHub
        | Source::Ghcr
        | Source::Harbor
        | Source::Quay
        | Source::GitLab
        | Source::Gitea
        | Source::Ecr
        | Source::Aliyun
        | Source::Distribution
        | Source::Generic => None,
    }
}

/// An event that is JSON.
struct Event<'a> {
    delivery: &'a Delivery,
    body: &'a Value,
}

impl Event<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.delivery.headers.get(name).map(String::as_str)
    }

    /// The push to `path` in the registry that the webhook's address names, or else in `registry`.
    fn push(&self, field: &str, registry: Option<&str>, path: &str, tag: Option<&str>) -> Result<Push, MalformedEvent> {
        let registry = self.delivery.registry.as_deref().or(registry).filter(|registry| !registry.is_empty());
        let registry = registry.ok_or(MalformedEvent::NoRegistry)?;
        push(field, &format!("{registry}/{}", path.trim_matches('/').to_lowercase()), tag)
    }
}

/// The push to an image that is named whole. What is no tag is no note.
fn push(field: &str, image: &str, tag: Option<&str>) -> Result<Push, MalformedEvent> {
    let image: ImageReference =
        image.parse().map_err(|cause| MalformedEvent::Image { field: field.to_owned(), cause })?;
    Ok(Push { repository: image.repository, tag: tag.and_then(|tag| tag.parse().ok()).or(image.tag) })
}

/// The text at a JSON pointer, if there is one that is not empty.
fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The text at a JSON pointer.
fn needed<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, MalformedEvent> {
    text(value, pointer).ok_or_else(|| MalformedEvent::Missing(pointer.trim_start_matches('/').replace('/', ".")))
}

/// The list at a JSON pointer; empty where there is none.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `host[:port]` of an address, or of a text that begins with a host.
fn host(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_as_they_are_shown() {
        for source in Source::ALL {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        assert_eq!("forgejo".parse(), Ok(Source::Gitea));
        insta::assert_snapshot!("nexus".parse::<Source>().expect_err("unknown"), @"there is no source `nexus`");
    }

    #[test]
    fn every_way_to_be_malformed_has_its_sentence() {
        let message = |source: Source, body: &str| {
            let delivery = Delivery { body: body.as_bytes().to_vec(), ..Delivery::default() };
            push_event(source, &delivery).map_or_else(|error| error.to_string(), |pushes| format!("{pushes:?}"))
        };
        insta::assert_snapshot!(message(Source::Generic, "image=app"), @"the body is not JSON: expected value at line 1 column 1");
        insta::assert_snapshot!(message(Source::DockerHub, "{}"), @"the event has no text `repository.repo_name`");
        insta::assert_snapshot!(message(Source::Generic, r#"{"image": "a b"}"#), @"`image` names no image: `a b` is not an image: `a b` may hold lower-case letters, digits and single `.`, `_`, `-` between them");
        insta::assert_snapshot!(message(Source::Aliyun, r#"{"repository": {"repo_full_name": "a/b"}}"#), @"the event names no registry; add `?registry=HOST` to the address of the webhook");
    }

    #[test]
    fn hosts_are_found_in_addresses() {
        for (address, expected) in [
            ("https://git.example:3000/a", Some("git.example:3000")),
            ("http://user@git.example", Some("git.example")),
            ("harbor.example/a/b:1", Some("harbor.example")),
            ("", None),
            ("https://", None),
        ] {
            assert_eq!(host(address), expected, "{address}");
        }
    }
}
