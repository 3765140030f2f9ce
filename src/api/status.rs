//! `ImageUpdatePolicy` v1alpha1: the status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a policy at the last look.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageUpdatePolicyStatus {
    /// The generation of the specification that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling` and `Stalled`, as kstatus reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
    /// The numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<StatusSummary>,
    /// When the policy was last looked at, as of the last change of this status; refreshed at least once an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,
    /// When a new version was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// When the policy is looked at next, as of the last change of this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check_time: Option<Time>,
    /// One entry an Application and image, the interesting ones first, at most 200.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageStatus>,
    /// The value of the annotation `fairlead.dev/resume` that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<String>,
    /// Images that this value speaks of, and whose place could not be looked at since: it acts on them as soon as it can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unresumed: Vec<UnresumedImage>,
    /// What Fairlead remembers from look to look of the places that it wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remembered: Vec<RememberedPlace>,
    /// How far versions that were written have come, as long as that is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RememberedRollout>,
    /// Which digests Fairlead knows, for images with a minimum age.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<WatchedImage>,
}

/// An image that `fairlead.dev/resume` did not act on yet.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnresumedImage {
    /// The Application's name.
    pub application: String,
    /// The image's name in the policy.
    pub image: String,
}

/// What Fairlead remembers of a place that it wrote.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RememberedPlace {
    /// The Application's name.
    pub application: String,
    /// A fingerprint of the Application, the repository and the place.
    pub mark: String,
    /// The version that Fairlead wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// A version that a person took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
    /// The value of `fairlead.dev/resume` on the Application that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<String>,
    /// Whether a person asked to offer what was refused again, and it could not be offered yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lifted: bool,
    /// The version that Fairlead committed to a branch that waits to be merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<String>,
    /// In a dry run: how the choices compare with what others write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

/// How the choices of a dry run compare with what others write.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowStatus {
    /// What the destination held at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What would have been written then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<String>,
    /// How often somebody else wrote what was chosen.
    #[serde(default)]
    pub agreements: u32,
    /// How often something else.
    #[serde(default)]
    pub differences: u32,
    /// The last of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_difference: Option<ShadowDifference>,
}

/// Somebody else wrote another version than the one that was chosen.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowDifference {
    /// When that was noticed.
    pub at: Time,
    /// What was chosen.
    pub ours: String,
    /// What was written.
    pub theirs: String,
    /// Why the choice is what it is.
    pub reason: String,
}

/// How far a version that was written to a place has come.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RememberedRollout {
    /// The Application's name.
    pub application: String,
    /// The fingerprint of the Application, the repository and the place.
    pub mark: String,
    /// How far.
    pub rollout: RolloutStatus,
}

/// Which digests of an image Fairlead knows.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchedImage {
    /// The image's alias, or its repository.
    pub image: String,
    /// Its repository.
    pub repository: String,
    /// When Fairlead first looked; what was there then counts by its build date.
    pub since: Time,
    /// Digests that have reached the minimum age: the first 16 digits of each, one after the other.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub old: String,
    /// Digests that have not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub young: Vec<SeenDigest>,
}

/// When Fairlead first saw a digest.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenDigest {
    /// The digest.
    pub digest: String,
    /// When it was first seen; the minimum age counts from here.
    pub first_seen: Time,
}

/// How many Applications and images there are, and how they fare.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSummary {
    /// Applications that match.
    pub applications: i32,
    /// Images in them that the policy keeps up to date.
    pub images: i32,
    /// Images that hold the version that the rule picks.
    pub up_to_date: i32,
    /// Images for which a better version exists and is not taken yet.
    pub pending: i32,
    /// Images for which something failed.
    pub failed: i32,
    /// Entries that `images` has no room for.
    #[serde(default)]
    pub not_listed: i32,
    /// In a dry run beside another updater: how often the two agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
}

/// What became of one image of one Application.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// The Application's name.
    pub application: String,
    /// The image's alias, or its repository.
    pub alias: String,
    /// What the destination holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// What the rule picked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// How it fares.
    pub state: ImageState,
    /// The word for it, from the closed list of reasons.
    pub reason: String,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The numbers behind the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRecord>,
    /// Where the version is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The commit that brought the version, or brings it once it is merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The version that Fairlead wrote last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// When a hold ends, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// A version that a person took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<HeldBack>,
    /// How far the version that Fairlead wrote last has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// In a dry run: how the choices compare with what others write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

/// How far a version that was written has come.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// How far.
    pub state: RolloutWord,
    /// Since when.
    pub since: Time,
    /// When the version was written.
    pub written_at: Time,
    /// When it was pushed or, where the registry does not tell, built; left out where neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Time>,
    /// From the write to health, once that is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<i64>,
}

/// How far a version that was written has come.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutWord {
    /// Argo CD is at it.
    Progressing,
    /// The Application is Synced and Healthy.
    Healthy,
    /// The sync failed, or the Application is Degraded.
    Degraded,
    /// Argo CD does not say, or waits for a person.
    Unknown,
}

/// How an image fares.
#[derive(JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ImageState {
    /// It holds the version that the rule picks.
    #[default]
    UpToDate,
    /// The version was written at the last look.
    Updated,
    /// A better version exists and is not taken, for a stated reason.
    Pending,
    /// Something failed.
    Failed,
}

/// How a choice came about.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// Tags that the registry offers.
    pub candidates: i32,
    /// Tags that passed the whole rule.
    pub allowed: i32,
    /// The second best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<String>,
    /// How many tags each part of the rule left out.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub removed: std::collections::BTreeMap<String, i32>,
}

/// A version that a person took back.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBack {
    /// The version.
    pub version: String,
    /// When that was noticed.
    pub since: Time,
}
