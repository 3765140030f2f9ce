//! What a generated policy says of itself: whose it is, and what could not be translated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};

use crate::api::{DETACH, GENERATED_FROM, TRANSLATION_PROBLEMS};
use crate::model::{Problem, Reason};

/// Bytes that the problems may take in an annotation.
const MAXIMUM_BYTES: usize = 16 * 1024;

/// What makes an object an owner of generated policies: its kind and group.
const OWNERS: [(&str, &str); 2] =
    [("Application", "argoproj.io/"), ("ImageUpdater", "argocd-image-updater.argoproj.io/")];

/// A problem as the annotation holds it.
#[derive(Serialize, Deserialize)]
struct Noted {
    reason: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The uid of the Application or `ImageUpdater` that a policy was generated from; `None` where a person wrote it. Label and owner
/// must both say so.
pub fn generated_from(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref().filter(|labels| labels.contains_key(GENERATED_FROM))?;
    let owns = |owner: &&OwnerReference| {
        OWNERS.iter().any(|(kind, group)| owner.kind == *kind && owner.api_version.starts_with(group))
    };
    metadata.owner_references.iter().flatten().find(owns).map(|owner| owner.uid.as_str())
}

/// Whether a policy is generated. One that is to be detached counts as written by hand from that moment on.
pub fn is_generated(metadata: &ObjectMeta) -> bool {
    generated_from(metadata).is_some() && !is_to_be_detached(metadata)
}

/// Whether a person asks to have a policy for their own.
pub fn is_to_be_detached(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(DETACH)).is_some_and(|value| value == "true")
}

/// What could not be translated, as the policy's annotation tells. Words that this version does not know are passed over.
pub fn translation_problems(metadata: &ObjectMeta) -> Vec<Problem> {
    let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(TRANSLATION_PROBLEMS));
    let noted: Vec<Noted> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let problem = |Noted { reason, message, place, hint }: Noted| {
        let reason = Reason::ALL.iter().find(|known| known.as_str() == reason)?;
        Some(Problem { reason: *reason, message, place, hint })
    };
    noted.into_iter().filter_map(problem).collect()
}

/// The text of that annotation: as many problems as there is room for.
pub fn problems_text(problems: &[Problem]) -> Option<String> {
    let noted = |Problem { reason, message, place, hint }: &Problem| Noted {
        reason: reason.to_string(),
        message: message.clone(),
        place: place.clone(),
        hint: hint.clone(),
    };
    let mut noted: Vec<Noted> = problems.iter().map(noted).collect();
    while !noted.is_empty() {
        let text = serde_json::to_string(&noted).ok()?;
        if text.len() <= MAXIMUM_BYTES {
            return Some(text);
        }
        noted.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(value: serde_json::Value) -> ObjectMeta {
        serde_json::from_value(value).expect("metadata")
    }

    #[test]
    fn problems_are_read_as_they_were_written() {
        let problems = vec![
            Problem::new(Reason::InvalidConstraint, "`~x` is no range")
                .at("metadata.annotations[a/b]")
                .hint("write `~1`"),
            Problem::new(Reason::InvalidImage, "no image"),
        ];
        let text = problems_text(&problems);
        assert_eq!(
            translation_problems(&metadata(serde_json::json!({ "annotations": { TRANSLATION_PROBLEMS: text } }))),
            problems
        );
        assert_eq!(problems_text(&[]), None);
        let long = vec![Problem::new(Reason::InvalidImage, "x".repeat(10_000)); 3];
        let text = problems_text(&long).expect("a text");
        assert!(text.len() < MAXIMUM_BYTES);
    }

    #[test]
    fn label_and_owner_must_both_say_that_a_policy_is_generated() {
        let owner = serde_json::json!([{
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "name": "web", "uid": "1"
        }]);
        let label = serde_json::json!({ GENERATED_FROM: "annotations" });
        let both = serde_json::json!({ "labels": label, "ownerReferences": owner });
        assert_eq!(generated_from(&metadata(both.clone())), Some("1"));
        assert_eq!(generated_from(&metadata(serde_json::json!({ "labels": label }))), None);
        assert_eq!(generated_from(&metadata(serde_json::json!({ "ownerReferences": owner }))), None);
        let mut detached = both;
        detached["annotations"] = serde_json::json!({ DETACH: "true" });
        assert!(!is_generated(&metadata(detached)));
    }
}
