//! `ImageUpdatePolicy` v1alpha1: the specification.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{ImageUpdatePolicyStatus, TargetSpec, WriteBackSpec};

/// Keeps the container images of Argo CD Applications up to date.
#[derive(CustomResource, KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "fairlead.dev",
    version = "v1alpha1",
    kind = "ImageUpdatePolicy",
    plural = "imageupdatepolicies",
    shortname = "iup",
    category = "argocd",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "ImageUpdatePolicyStatus",
    doc = "Keeps the container images of Argo CD Applications up to date.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Applications", type_ = "integer", json_path = ".status.summary.applications"),
    printcolumn(name = "Images", type_ = "integer", json_path = ".status.summary.images"),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.summary.pending"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.summary.failed", priority = 1),
    printcolumn(name = "Shadow", type_ = "string", json_path = ".status.summary.shadow", priority = 1),
    printcolumn(name = "Last update", type_ = "date", json_path = ".status.lastUpdateTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.writeBack) || !has(self.writeBack.git) || (has(self.writeBack.method) && self.writeBack.method == 'Git')", "writeBack.git is only read with writeBack.method: Git"))]
pub struct ImageUpdatePolicySpec {
    /// Makes no change and asks no registry while true. The status says so.
    #[serde(default)]
    pub suspend: bool,
    /// Decides and reports, and writes nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// How old a list of tags may get before the registry is asked again, for example `2m` or `1h30m`. At least `10s`.
    #[serde(default = "default_interval")]
    #[schemars(schema_with = "duration_schema")]
    pub interval: String,
    /// Which Applications of this namespace the policy acts on; one matches if any entry does.
    #[schemars(length(min = 1, max = 100))]
    pub applications: Vec<ApplicationSelector>,
    /// Settings for every image that does not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<RuleSpec>,
    /// The images to keep up to date, each with the rule that picks its version.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(validation = ("self.all(a, !has(a.alias) || self.exists_one(b, has(b.alias) && b.alias == a.alias))", "two images have the same alias"))]
    pub images: Vec<ImageSpec>,
    /// Where changes are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_back: Option<WriteBackSpec>,
    /// When changes may be written. Without it: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
}

/// Selects Applications by name, by labels, or by both.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.name) || has(self.selector)", "give a name, a selector, or both; `name: \"*\"` selects all"))]
pub struct ApplicationSelector {
    /// The Application's name, exact or a glob: `web-*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Labels that the Application must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How the version of an image is picked. Every field that is left out is taken from `defaults`.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.pullSecret) || !has(self.credentials)", "give one of pullSecret and credentials"))]
pub struct RuleSpec {
    /// How candidates are ordered: `SemVer` (when nothing is said), `NewestBuild`, `Alphabetical`, `Digest`, `CalVer`, `Numeric`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategySpec>,
    /// Which versions are allowed: a range such as `~1.0` or `>=1.2 <2.0`. Under `Digest`: the tag that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub constraint: Option<String>,
    /// Which tags are looked at; without it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_tags: Option<AllowTags>,
    /// Tags that are never taken: globs (`*-rc*`), or under SemVer also a bare version or range (`1.0` leaves out all 1.0.x).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 256)))]
    pub ignore_tags: Option<Vec<String>>,
    /// Platforms, `os/arch` or `os/arch/variant`; an image must serve at least one. Used where the strategy reads images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), inner(length(min = 1, max = 100)))]
    pub platforms: Option<Vec<String>>,
    /// How long an image must have been seen before it is taken, for example `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_duration_schema")]
    pub minimum_age: Option<String>,
    /// Whether a version may be written that is lower than the present one. Off when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_downgrade: Option<bool>,
    /// What is written: `Tag` (when nothing is said), `Digest`, or `TagAndDigest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinSpec>,
    /// Writes the image even where nothing shows that the Application uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_update: Option<bool>,
    /// A Secret of type `kubernetes.io/dockerconfigjson` in the policy's namespace, for the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<PullSecretReference>,
    /// Where else the login for the registry comes from: `pullsecret:NAME`, `secret:NAME#FIELD` with `user:password` in that
    /// field, or `aws`, `gcp`, `azure`. In the stead of `pullSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub credentials: Option<String>,
    /// Signatures that an image must carry before it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerificationSpec>,
}

/// One image: what it is, how its version is picked, where it is written.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.strategy) || self.strategy != 'Digest' || has(self.constraint)", "strategy Digest needs a constraint: the tag to follow, for example `constraint: latest`"))]
pub struct ImageSpec {
    /// A short name for status, commands and templates. Without it the image is named by its repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$"))]
    pub alias: Option<String>,
    /// The image without a tag, for example `ghcr.io/org/app`.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
    /// How the version is picked.
    #[serde(flatten)]
    pub rule: RuleSpec,
    /// Where the version is written; without it the usual place of the source's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSpec>,
}

/// Which tags are looked at.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("[has(self.regex), has(self.any) && self.any, has(self.extract)].filter(x, x).size() == 1", "give exactly one of any, regex and extract"))]
pub struct AllowTags {
    /// Every tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<bool>,
    /// Tags in which this regular expression (RE2 syntax, not anchored) finds a match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub regex: Option<String>,
    /// Like `regex`, and the part that its named group captures is what the strategy compares, for example `^v(?P<version>.*)-prod$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub extract: Option<String>,
}

/// A pull secret in the policy's namespace.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecretReference {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One key of a Secret in the policy's namespace.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// The Secret's name.
    pub name: String,
    /// The key in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Signatures that an image must carry.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationSpec {
    /// Signatures made by cosign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign: Option<CosignVerification>,
}

/// Signatures made by cosign.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CosignVerification {
    /// Public keys, one of which must have signed.
    #[schemars(length(min = 1, max = 20))]
    pub keys: Vec<CosignKey>,
}

/// A public key.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CosignKey {
    /// Where the key lies.
    pub secret_ref: SecretKeyReference,
}

/// When changes may be written.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleSpec {
    /// Windows. With an `Open` one, changes are written only within such; within a `Closed` one never.
    #[schemars(length(min = 1, max = 50))]
    pub windows: Vec<ScheduleWindowSpec>,
}

/// A span of time on some days of the week.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleWindowSpec {
    /// `Open` (when nothing is said) or `Closed`.
    #[serde(default)]
    pub kind: WindowKind,
    /// Days of the week on which the window starts; every day when nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<DaySpec>,
    /// When it starts, `HH:MM`; the start of the day when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: Option<String>,
    /// When it ends, `HH:MM`; the end of the day when nothing is said. Not after `start`: on the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub end: Option<String>,
    /// The time zone, for example `Europe/Berlin`; `UTC` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub time_zone: Option<String>,
}

/// Whether changes may be written within a window.
#[derive(JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowKind {
    /// They may.
    #[default]
    Open,
    /// They may not.
    Closed,
}

/// A word of a closed list that is checked at admission and once more, with a better message, by the controller.
macro_rules! word {
    ($(#[doc = $doc:literal])+ $name:ident { $($value:literal),+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The words that are understood.
            pub const WORDS: &'static [&'static str] = &[$($value),+];
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": [$($value),+] })
            }
        }
    };
}

word! {
    /// How candidates are ordered.
    StrategySpec { "SemVer", "NewestBuild", "Alphabetical", "Digest", "CalVer", "Numeric" }
}
word! {
    /// What is written of a version.
    PinSpec { "Tag", "Digest", "TagAndDigest" }
}
word! {
    /// A day of the week.
    DaySpec { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" }
}

fn default_interval() -> String {
    "2m".to_owned()
}

const DURATION_PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$";

fn duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 32, "pattern": DURATION_PATTERN })
}

fn optional_duration_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "nullable": true, "maxLength": 32, "pattern": DURATION_PATTERN })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(spec: &str) -> String {
        let text = format!(
            "apiVersion: fairlead.dev/v1alpha1\nkind: ImageUpdatePolicy\nmetadata: {{ name: web }}\nspec: {spec}\n"
        );
        let policy: ImageUpdatePolicy = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        policy.validate_cel().map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn admission_refuses_contradictions() {
        let images = |image: &str| admission(&format!("{{ applications: [{{ name: web }}], images: [{image}] }}"));
        insta::assert_snapshot!(images("{ image: a/b }"), @"accepted");
        insta::assert_snapshot!(images("{ alias: a, image: a/b }, { alias: b, image: a/b }, { image: c }, { image: c }"), @"accepted");
        insta::assert_snapshot!(images("{ alias: a, image: a/b }, { alias: a, image: a/c }"), @"
        1 validation error(s):
          - spec.images: two images have the same alias
        ");
        insta::assert_snapshot!(images("{ image: a, strategy: Digest }"), @"
        1 validation error(s):
          - spec.images[0]: strategy Digest needs a constraint: the tag to follow, for example `constraint: latest`
        ");
        insta::assert_snapshot!(images("{ image: a, pullSecret: { name: a }, credentials: aws }"), @"
        1 validation error(s):
          - spec.images[0]: give one of pullSecret and credentials
        ");
        insta::assert_snapshot!(images("{ image: a, target: { helm: { tag: t }, kustomize: {} } }"), @"
        1 validation error(s):
          - spec.images[0].target: give at most one of helm, kustomize, plugin and file
        ");
        insta::assert_snapshot!(images("{ image: a, target: { helm: { spec: s, tag: t } } }"), @"
        1 validation error(s):
          - spec.images[0].target.helm: give either spec, or name and tag
        ");
        insta::assert_snapshot!(images("{ image: a, target: { source: { name: a, index: 1 } } }"), @"
        1 validation error(s):
          - spec.images[0].target.source: give exactly one of name, index, ref and chart
        ");
        insta::assert_snapshot!(images("{ image: a, allowTags: { any: true, regex: x } }"), @"
        1 validation error(s):
          - spec.images[0].allowTags: give exactly one of any, regex and extract
        ");
        insta::assert_snapshot!(admission("{ applications: [{}], images: [{ image: a }] }"), @r#"
        1 validation error(s):
          - spec.applications[0]: give a name, a selector, or both; `name: "*"` selects all
        "#);
        insta::assert_snapshot!(admission("{ applications: [{ name: a }], images: [{ image: a }], writeBack: { git: { branch: main } } }"), @"
        1 validation error(s):
          - spec: writeBack.git is only read with writeBack.method: Git
        ");
        insta::assert_snapshot!(admission("{ applications: [{ name: a }], images: [{ image: a }], writeBack: { method: Git, git: { branch: main } } }"), @"accepted");
    }

    #[test]
    fn admission_refuses_contradictions_about_git() {
        let images = |image: &str| admission(&format!("{{ applications: [{{ name: web }}], images: [{image}] }}"));
        let git = |git: &str| {
            admission(&format!(
                "{{ applications: [{{ name: a }}], images: [{{ image: a }}], writeBack: {{ method: Git, git: {git} }} }}"
            ))
        };
        insta::assert_snapshot!(git("{ credentials: ArgoCD, secretRef: { name: a } }"), @"
        1 validation error(s):
          - spec.writeBack.git: give either credentials or secretRef
        ");
        insta::assert_snapshot!(git("{ target: Application }"), @"
        1 validation error(s):
          - spec.writeBack.git: target Application needs a path: the file with the Application's manifest
        ");
        insta::assert_snapshot!(git("{ target: Files, path: a.yaml }"), @"
        1 validation error(s):
          - spec.writeBack.git: with target Files each image names its file: `target.file.path`
        ");
        insta::assert_snapshot!(git("{ target: Override, create: true }"), @"
        1 validation error(s):
          - spec.writeBack.git: create is for target HelmValues; for target Files it stands at each `target.file`
        ");
        insta::assert_snapshot!(git("{ target: HelmValues, path: a.yaml, create: true, writeBranch: 'a-{{ .SHA256 }}', pullRequest: { provider: GitHub } }"), @"accepted");
        insta::assert_snapshot!(git("{ commit: { via: GitHubApi, signOff: true } }"), @"
        1 validation error(s):
          - spec.writeBack.git.commit: with via GitHubApi GitHub writes the author and signs: remove author, signing and signOff
        ");
        insta::assert_snapshot!(git("{ commit: { via: GitHubApi, messageTemplate: a, signOff: false } }"), @"accepted");
        insta::assert_snapshot!(images("{ image: a, target: { file: { path: a, keys: { name: n } } } }"), @"
        1 validation error(s):
          - spec.images[0].target.file.keys: give spec, tag or digest: the key that holds the version
        ");
        insta::assert_snapshot!(images("{ image: a, target: { file: { path: a, keys: { spec: s, tag: t } } } }"), @"
        1 validation error(s):
          - spec.images[0].target.file.keys: give either spec, or name, tag and digest
        ");
    }
}
