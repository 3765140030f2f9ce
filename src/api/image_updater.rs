//! `ImageUpdater` v1alpha1 of argocd-image-updater, as far as it says what users want. It is read and never written.
//!
//! Source: its custom resource definition, v1.0 to v1.3. Its status is its own affair.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Serialize};

use super::application::Present;

/// Which Applications get which images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageUpdater {
    /// Name and namespace.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What users wrote.
    #[serde(default)]
    pub spec: ImageUpdaterSpec,
}

/// What users wrote.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdaterSpec {
    /// The namespace of the Applications, until v1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Which Applications, each with its images.
    #[serde(default)]
    pub application_refs: Vec<ApplicationRef>,
    /// Settings of all images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_update_settings: Option<CommonUpdateSettings>,
    /// Where changes are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back_config: Option<WriteBackConfig>,
    /// Signatures that images must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_verification: Option<ImagesVerification>,
}

/// Some Applications and their images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationRef {
    /// A glob over names, as Go's `filepath.Match` has it.
    #[serde(default)]
    pub name_pattern: String,
    /// Labels that an Application must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selectors: Option<LabelSelector>,
    /// Whether the Applications' annotations say everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_annotations: Option<bool>,
    /// The images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageConfig>,
    /// Settings of these images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_update_settings: Option<CommonUpdateSettings>,
    /// Where changes are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back_config: Option<WriteBackConfig>,
    /// Signatures that images must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_verification: Option<ImagesVerification>,
}

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageConfig {
    /// Its short name.
    #[serde(default)]
    pub alias: String,
    /// The image, with a constraint behind a colon.
    #[serde(default)]
    pub image_name: String,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_update_settings: Option<CommonUpdateSettings>,
    /// Where its version is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_targets: Option<ManifestTargets>,
    /// Signatures that it must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_verification: Option<ImagesVerification>,
}

/// Where a version is written: exactly one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ManifestTargets {
    /// Helm parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<ManifestKeys>,
    /// An entry of `kustomize.images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<KustomizeTarget>,
    /// Variables of a plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<ManifestKeys>,
}

/// Parameters or variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ManifestKeys {
    /// For the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// For both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
}

/// An entry of `kustomize.images`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KustomizeTarget {
    /// The image's name in the manifests.
    #[serde(default)]
    pub name: String,
}

/// How versions are picked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommonUpdateSettings {
    /// `semver`, `newest-build`, `alphabetical`, `digest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<String>,
    /// Whether an image is written that nothing shows in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_update: Option<bool>,
    /// `any` or `regexp:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_tags: Option<String>,
    /// Globs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_tags: Option<Vec<String>>,
    /// A source of credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<String>,
    /// `os/arch[/variant]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
}

/// Where changes are written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WriteBackConfig {
    /// `argocd` or `git[:CREDENTIALS]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Settings of the method `git`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_config: Option<GitConfig>,
}

/// Settings of the method `git`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitConfig {
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The branches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back_target: Option<String>,
    /// Opens a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
}

/// A pull request: exactly one of the forges.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PullRequest {
    /// GitHub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<Present>,
    /// GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<Present>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// Signatures that images must carry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagesVerification {
    /// Whether they must; yes when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign_key: Option<SecretKey>,
}

/// A key of a Secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret's name.
    #[serde(default)]
    pub secret_name: String,
    /// The key.
    #[serde(default)]
    pub key: String,
}

impl Resource for ImageUpdater {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        "ImageUpdater".into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        "argocd-image-updater.argoproj.io".into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        "imageupdaters".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
