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
    /// The repositories that its Applications may use: globs, those after a `!` denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_repos: Option<Vec<String>>,
    /// The namespaces, beside Argo CD's own, whose Applications may belong to it: globs, or regular expressions between two `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_namespaces: Option<Vec<String>>,
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
