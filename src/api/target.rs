//! `ImageUpdatePolicy` v1alpha1: where a version is written.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where a version is written: exactly one kind.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.helm), has(self.kustomize), has(self.plugin), has(self.file)].filter(x, x).size() <= 1", "give at most one of helm, kustomize, plugin and file"))]
pub struct TargetSpec {
    /// Helm parameters of the Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmTargetSpec>,
    /// An entry of `kustomize.images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<KustomizeTargetSpec>,
    /// Environment variables of a config management plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginTargetSpec>,
    /// Keys of a YAML or JSON file in Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileTargetSpec>,
    /// Which source of a multi-source Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSelectorSpec>,
}

/// Helm parameters: a name/tag pair, or one that holds the whole reference. Or paths in the Helm values that the Application itself has.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.spec) || (!has(self.name) && !has(self.tag))", "give either spec, or name and tag"))]
#[x_kube(validation = ("!has(self.values) || (!has(self.spec) && !has(self.name) && !has(self.tag))", "give either parameters or values"))]
pub struct HelmTargetSpec {
    /// The parameter that holds the image's name; `image.name` when neither name, tag nor spec is given. Left out beside `tag`: only the tag is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub name: Option<String>,
    /// The parameter that holds the tag; `image.tag` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub tag: Option<String>,
    /// The parameter that holds name and tag in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub spec: Option<String>,
    /// Paths in the Application's `valuesObject`, or, where it has none, in its text `values`; in place of parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<HelmValuesTargetSpec>,
}

/// Paths in `valuesObject` or `values` of a Helm source, such as `image.tag`; a literal dot is written `\.`, a place in a list `[0]`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.spec) != has(self.tag) && (!has(self.spec) || !has(self.name))", "give either spec, or tag with or without name"))]
pub struct HelmValuesTargetSpec {
    /// The path that holds the image's name. Left out beside `tag`: only the tag is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub name: Option<String>,
    /// The path that holds the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub tag: Option<String>,
    /// The path that holds name and tag in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub spec: Option<String>,
}

/// An entry of `kustomize.images`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KustomizeTargetSpec {
    /// The image's name in the manifests, where it differs from `image`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub name: Option<String>,
}

/// Environment variables of a config management plugin.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.spec) != has(self.tag) && (!has(self.spec) || !has(self.name))", "give either spec, or tag with or without name"))]
pub struct PluginTargetSpec {
    /// The variable that holds the image's name. Left out beside `tag`: only the tag is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub name: Option<String>,
    /// The variable that holds the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub tag: Option<String>,
    /// The variable that holds name and tag in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub spec: Option<String>,
}

/// Keys of a YAML or JSON file in Git; read with `writeBack.git.target: Files`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileTargetSpec {
    /// The file's path from the root of the repository.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// The keys to write.
    pub keys: FileKeys,
    /// Makes the file if it is missing.
    #[serde(default)]
    pub create: bool,
}

/// Paths of keys in a file: `spec.containers[0].image`, `containers[name=web].image`, `data."a.b"`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.spec) || has(self.tag) || has(self.digest)", "give spec, tag or digest: the key that holds the version"))]
#[x_kube(validation = ("!has(self.spec) || (!has(self.name) && !has(self.tag) && !has(self.digest))", "give either spec, or name, tag and digest"))]
pub struct FileKeys {
    /// The key that holds the image's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub name: Option<String>,
    /// The key that holds the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub tag: Option<String>,
    /// The key that holds the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub digest: Option<String>,
    /// The key that holds name and tag in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub spec: Option<String>,
}

/// Which source of a multi-source Application.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.name), has(self.index), has(self.ref), has(self.chart)].filter(x, x).size() == 1", "give exactly one of name, index, ref and chart"))]
pub struct SourceSelectorSpec {
    /// By the source's `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By its place in `spec.sources`, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub index: Option<i32>,
    /// By the source's `ref`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// By the source's Helm chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
}
