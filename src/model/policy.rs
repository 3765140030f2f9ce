//! A policy, in the form that decisions are made on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{ApplicationId, CredentialSource, ImageReference, KeyPath, PolicyId, Rule, Schedule, WriteBack};

/// A policy whose every text was understood.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting that a user states by itself")]
pub struct Policy {
    /// Namespace and name.
    pub id: PolicyId,
    /// The generation of the specification.
    pub generation: i64,
    /// When the policy was made; of two that claim one place, the older wins.
    pub created: Option<Timestamp>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it only decides and reports.
    pub dry_run: bool,
    /// How old a list of tags may get.
    pub interval: Duration,
    /// Which Applications it acts on.
    pub applications: Vec<ApplicationMatcher>,
    /// Its images; those whose text could not be understood are left out and named in the problems.
    pub images: Vec<Image>,
    /// Where changes are written.
    pub write_back: WriteBack,
    /// When changes may be written; `None`: always.
    pub schedule: Option<Schedule>,
    /// Whether Argo CD is asked, along with each change of an Application, to look at it at once.
    pub refresh: bool,
    /// Whether Argo CD is asked, along with each change of an Application, to sync it.
    pub sync: bool,
    /// The value of `fairlead.dev/resume`: a new one lifts what holds images back.
    pub resume: Option<String>,
    /// Whether it was made from annotations or an `ImageUpdater`; one that a person wrote goes before it.
    pub generated: bool,
    /// Whether it may write Applications that another updater writes.
    pub take_over: bool,
}

/// One image of a policy.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its index in the user's list.
    pub index: usize,
    /// Alias, or repository: unique within the policy.
    pub title: String,
    /// What the user wrote, and what it means.
    pub reference: ImageReference,
    /// How its version is picked.
    pub rule: Rule,
    /// Where it is written, if the user said so.
    pub target: Option<Target>,
    /// Which source it belongs to, if the user said so.
    pub source: Option<SourceSelector>,
    /// Whether it is written even where nothing shows that the Application uses it.
    pub force: bool,
    /// Where the login for its registry comes from; without it, what is configured for the registry.
    pub credentials: Option<CredentialSource>,
}

/// A Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// The namespace the Secret lives in.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Where a version is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Helm parameters.
    Helm(HelmTarget),
    /// Paths in `valuesObject` of a Helm source.
    HelmValues(Keys),
    /// Environment variables of a config management plugin.
    Plugin(Keys),
    /// An entry of `kustomize.images`; the name is the one in the manifests, where it differs from the image's.
    Kustomize(Option<ImageReference>),
    /// Keys of a file in Git.
    File(Box<FileTarget>),
}

/// Keys of a file in Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// The file, from the root of the repository.
    pub path: String,
    /// The keys.
    pub keys: FileKeys,
    /// Whether the file is made if it is missing.
    pub create: bool,
}

/// The keys of a file that hold an image: at least one of tag, digest and spec, and a spec alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileKeys {
    /// The one that holds the name, if it is written at all.
    pub name: Option<KeyPath>,
    /// The one that holds the tag.
    pub tag: Option<KeyPath>,
    /// The one that holds the digest.
    pub digest: Option<KeyPath>,
    /// The one that holds the whole reference.
    pub spec: Option<KeyPath>,
}

/// The keys that hold an image: parameters, paths of values, or variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// One for the name, if it is written at all, and one for the tag.
    NameAndTag {
        /// The key that holds the name.
        name: Option<String>,
        /// The key that holds the tag.
        tag: String,
    },
    /// One for both.
    Spec(String),
}

/// Helm parameters, by name.
pub type HelmTarget = Keys;

/// Which source of a multi-source Application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSelector {
    /// By name.
    Name(String),
    /// By place, from 0.
    Index(usize),
    /// By `ref`.
    Reference(String),
    /// By Helm chart.
    Chart(String),
}

/// Selects Applications by name and labels; both must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationMatcher {
    /// What the name must look like; `None`: any.
    pub name: Option<Glob>,
    /// What the labels must be; empty: any.
    pub labels: LabelSelector,
}

/// A label selector, with the meaning that Kubernetes gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// All of them must hold.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label's value is one of these.
    In(String, Vec<String>),
    /// The label is missing, or its value none of these.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is missing.
    DoesNotExist(String),
}

/// A glob over names: `*` any run of characters, `?` one character; everything else is itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

/// `image.name` and `image.tag`, the chart convention that argocd-image-updater assumes as well.
impl Default for Keys {
    fn default() -> Self {
        Self::NameAndTag { name: Some("image.name".to_owned()), tag: "image.tag".to_owned() }
    }
}

impl Keys {
    /// The keys, the name's first.
    pub fn each(&self) -> impl Iterator<Item = &String> {
        let (name, other) = match self {
            Self::NameAndTag { name, tag } => (name.as_ref(), tag),
            Self::Spec(spec) => (None, spec),
        };
        name.into_iter().chain(std::iter::once(other))
    }

    /// The key that holds the version.
    pub const fn main(&self) -> &String {
        match self {
            Self::NameAndTag { name: _, tag } => tag,
            Self::Spec(spec) => spec,
        }
    }
}

impl FileKeys {
    /// The key that holds the version; the tag's before the digest's. `None` where there is none, which lowering refuses.
    pub const fn main(&self) -> Option<&KeyPath> {
        match (&self.spec, &self.tag, &self.digest) {
            (Some(key), _, _) | (None, Some(key), _) => Some(key),
            (None, None, digest) => digest.as_ref(),
        }
    }
}

impl Policy {
    /// Whether the policy acts on an Application. Only on those of its own namespace, whatever its entries say.
    pub fn matches(&self, application: &ApplicationId, labels: &BTreeMap<String, String>) -> bool {
        application.namespace == self.id.namespace
            && self.applications.iter().any(|matcher| matcher.matches(&application.name, labels))
    }

    /// Whether the value of `fairlead.dev/resume` speaks of an image: `application/image` names one, anything else means all.
    pub fn resumes(&self, application: &str, image: &str) -> bool {
        let named = self.resume.as_deref().and_then(|text| text.split_whitespace().next()?.split_once('/'));
        self.resume.is_some() && named.is_none_or(|named| named == (application, image))
    }

    /// Whether this policy goes before `other` where both claim one place: written by hand first, then older, then by name.
    pub fn goes_before(&self, other: &Self) -> bool {
        (self.generated, self.created, &self.id) < (other.generated, other.created, &other.id)
    }
}

impl ApplicationMatcher {
    /// Whether name and labels fit.
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.name.as_ref().is_none_or(|glob| glob.matches(name)) && self.labels.matches(labels)
    }
}

impl LabelSelector {
    /// Whether all requirements hold.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}

impl Glob {
    /// The glob `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the glob matches one name alone, written as it is.
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains(['*', '?'])).then_some(self.0.as_str())
    }

    /// Whether `name` fits. Time is bounded by the product of the lengths.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut position) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while position < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, position));
                    at += 1;
                }
                Some(&byte) if byte == b'?' || byte == name[position] => {
                    at += 1;
                    position += 1;
                }
                _ => match star {
                    None => return false,
                    Some((star_at, taken)) => {
                        star = Some((star_at, taken + 1));
                        at = star_at + 1;
                        position = taken + 1;
                    }
                },
            }
        }
        pattern[at..].iter().all(|&byte| byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, expected) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web-*", "web-1", true),
            ("web-*", "web", false),
            ("*", "", true),
            ("*-prod", "web-prod", true),
            ("*-prod", "web-prod-1", false),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
        ] {
            assert_eq!(Glob::new(glob).matches(name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn label_requirements_mean_what_kubernetes_means() {
        let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let (team, tier, web) = ("team".to_owned(), "tier".to_owned(), vec!["web".to_owned()]);
        for (requirement, expected) in [
            (Requirement::In(team.clone(), web.clone()), true),
            (Requirement::In(tier.clone(), web.clone()), false),
            (Requirement::NotIn(team.clone(), web.clone()), false),
            (Requirement::NotIn(tier.clone(), web), true),
            (Requirement::Exists(team.clone()), true),
            (Requirement::Exists(tier.clone()), false),
            (Requirement::DoesNotExist(team), false),
            (Requirement::DoesNotExist(tier), true),
        ] {
            assert_eq!(
                LabelSelector { requirements: vec![requirement.clone()] }.matches(&labels),
                expected,
                "{requirement:?}"
            );
        }
    }
}
