//! The fields of an Argo CD `AppProject` that we read: when its Applications may be synced, and whose commits, and which repositories.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};

/// A project, as far as we read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AppProject {
    /// Name and namespace.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it allows.
    #[serde(default)]
    pub spec: AppProjectSpec,
}

/// What a project allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppProjectSpec {
    /// When its Applications may be synced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_windows: Option<Vec<SyncWindowText>>,
    /// The keys of which one must have signed what is synced; none, where unsigned commits will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_keys: Option<Vec<SignatureKey>>,
    /// The same by repository, since Argo CD 3.5; it counts alone where it says anything of Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_integrity: Option<SourceIntegrity>,
    /// The repositories that its Applications may use: globs, those after a `!` denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_repos: Option<Vec<String>>,
    /// The namespaces, beside Argo CD's own, whose Applications may belong to it: globs, or regular expressions between two `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_namespaces: Option<Vec<String>>,
}

/// What has to be true of a source before it is synced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceIntegrity {
    /// In repositories of Git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitIntegrity>,
}

/// What has to be true of repositories of Git.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitIntegrity {
    /// Each for some of them.
    pub policies: Option<Vec<GitIntegrityPolicy>>,
}

/// What has to be true of some repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitIntegrityPolicy {
    /// Which repositories.
    pub repos: Option<Vec<GitIntegrityRepository>>,
    /// How signatures are verified; none, where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpg: Option<GitIntegrityGpg>,
}

/// Some repositories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitIntegrityRepository {
    /// A glob over their addresses, as Applications write them; those after a `!` are left out.
    pub url: String,
}

/// How signatures are verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitIntegrityGpg {
    /// `none`, `head` or `strict`.
    pub mode: String,
}

/// A key that may have signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SignatureKey {
    /// Its number, in hexadecimal digits.
    #[serde(rename = "keyID")]
    pub key_id: String,
}

/// One window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncWindowText {
    /// `allow` or `deny`.
    pub kind: String,
    /// When it starts, as cron writes it.
    pub schedule: String,
    /// How long it lasts.
    pub duration: String,
    /// A name of the IANA list; UTC, where nothing is said.
    pub time_zone: String,
    /// Whether an Application must fit all of the lists below.
    pub and_operator: bool,
    /// Names of Applications.
    pub applications: Option<Vec<String>>,
    /// Namespaces that are deployed to.
    pub namespaces: Option<Vec<String>>,
    /// Clusters that are deployed to.
    pub clusters: Option<Vec<String>>,
}

impl Resource for AppProject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        "AppProject".into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        "argoproj.io".into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        "appprojects".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
