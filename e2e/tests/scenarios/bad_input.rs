//! What people get wrong is told with a word, a place and a sentence, and nothing is written.

use fairlead_e2e::{AuditEntry, Scene, Unready};
use serde_json::{Value, json};

/// A policy for `web`, with one image that `change` has made worse.
fn spec(change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({"applications": [{"name": "web"}], "images": [{"image": "registry.example.com/app"}]});
    change(&mut spec);
    spec
}

/// A policy for `web` whose one image carries `field`.
fn image(field: &str, value: Value) -> Value {
    spec(|spec| spec["images"][0][field] = value)
}

/// A policy for `web` that writes to Git with these settings.
fn git(settings: Value) -> Value {
    spec(|spec| spec["writeBack"] = json!({"method": "Git", "git": settings}))
}

#[tokio::test]
async fn contradictions_are_refused_at_admission() {
    let scene = Scene::new("bad-admission").await;
    let two_targets = json!({"helm": {}, "kustomize": {}});
    let two_ways = json!({"any": true, "regex": "^1"});
    let twins = json!([{"image": "a", "alias": "x"}, {"image": "b", "alias": "x"}]);
    let cases = [
        (image("strategy", json!("Newest")), "spec.images[0].strategy: Unsupported value: \"Newest\""),
        (image("strategy", json!("Digest")), "strategy Digest needs a constraint"),
        (image("target", two_targets), "give at most one of helm, kustomize, plugin and file"),
        (image("allowTags", two_ways), "give exactly one of any, regex and extract"),
        (image("minimumAge", json!("a while")), "spec.images[0].minimumAge"),
        (spec(|spec| spec["images"] = json!([{}])), "spec.images[0].image: Required value"),
        (spec(|spec| spec["images"] = json!([])), "spec.images"),
        (spec(|spec| spec["images"] = twins), "two images have the same alias"),
        (spec(|spec| spec["applications"] = json!([])), "spec.applications"),
        (spec(|spec| spec["applications"] = json!([{}])), "give a name, a selector, or both"),
        (spec(|spec| spec["interval"] = json!("soon")), "spec.interval"),
        (image("target", json!({"file": {"path": "x", "keys": {}}})), "give spec, tag or digest"),
        (spec(|spec| spec["writeBack"] = json!({"git": {}})), "writeBack.git is only read with writeBack.method: Git"),
    ];
    for (number, (spec, text)) in cases.into_iter().enumerate() {
        let refusal = scene.refused_policy(&format!("bad-{number}"), spec).await;
        assert!(refusal.contains(text), "`{text}` is not in: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_told_with_its_place() {
    let scene = Scene::new("bad-text").await;
    scene.application("web", Scene::helm("registry.example.com/app", "1.0.0")).await;
    let _fairlead = scene.start().await;
    let bad_selector = json!([{"selector": {"matchExpressions": [{"key": "team", "operator": "Near"}]}}]);
    let file = json!({"file": {"path": "deploy.yaml", "keys": {"tag": "image.tag"}}});
    let cases = [
        (image("allowTags", json!({"regex": "("})), "InvalidPattern", "spec.images[0].allowTags.regex"),
        (image("constraint", json!(">= banana")), "InvalidConstraint", "spec.images[0].constraint"),
        (image("image", json!("registry.example.com/")), "InvalidImage", "spec.images[0].image"),
        (image("platforms", json!(["toaster"])), "InvalidPlatform", "spec.images[0].platforms[0]"),
        (spec(|spec| spec["interval"] = json!("1s")), "InvalidDuration", "spec.interval"),
        (spec(|spec| spec["defaults"] = json!({"constraint": "?"})), "InvalidConstraint", "spec.defaults.constraint"),
        (spec(|spec| spec["applications"] = bad_selector), "InvalidSelector", "spec.applications[0].selector"),
        (spec(|spec| spec["applications"] = json!([{"name": "x"}])), "NoApplicationMatched", "spec.applications"),
        (git(json!({"repository": "fleet"})), "InvalidTarget", "spec.writeBack.git.repository"),
        (git(json!({"writeBranch": "{{ .Nobody }}"})), "InvalidTemplate", "spec.writeBack.git.writeBranch"),
        (git(json!({"target": "Files"})), "InvalidTarget", "spec.images[0].target"),
        (image("target", file), "InvalidTarget", "add `writeBack: { method: Git, git: { target: Files } }`"),
    ];
    for (number, (spec, reason, place)) in cases.into_iter().enumerate() {
        let name = format!("bad-{number}");
        scene.policy(&name, spec).await;
        scene.expect_unready(&name, Unready { reason, stalled: true, says: &[place] }).await;
    }
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_cannot_be_written_is_named() {
    let scene = Scene::new("bad-source").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    scene.application("plain", json!({"directory": {"recurse": true}})).await;
    let _fairlead = scene.start().await;

    scene.policy("plain", json!({"applications": [{"name": "plain"}], "images": [{"image": image}]})).await;

    let unready = Unready { reason: "UnsupportedSourceType", stalled: true, says: &["plain"] };
    scene.expect_unready("plain", unready).await;
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_younger_of_two_policies_for_one_place_yields() {
    let scene = Scene::new("bad-conflict").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1", "1.1.0"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;
    let claim = |constraint: &str| json!({"applications": [{"name": "web"}], "images": [{"image": image, "constraint": constraint}]});
    scene.policy("a-first", claim("~1.0")).await;
    scene.expect_tag("web", "1.0.1").await;

    scene.policy("b-second", claim("~1.1")).await;

    let unready = Unready { reason: "Conflict", stalled: true, says: &["a-first", "web"] };
    scene.expect_unready("b-second", unready).await;
    scene.expect_ready("a-first").await;
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.1"));
    let patches = scene.writes().await.into_iter().filter(AuditEntry::of_application).count();
    assert_eq!(patches, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_images_for_one_place_in_one_policy_are_refused() {
    let scene = Scene::new("bad-twice").await;
    let images = [scene.image("app"), scene.image("other")];
    for name in ["app", "other"] {
        scene.registry().push_all(&scene.repository(name), &["1.0.0", "1.0.1"]).await;
    }
    scene.application("web", Scene::helm(&images[0], "1.0.0")).await;
    let before = scene.read_application("web").await;
    let _fairlead = scene.start().await;

    let target = json!({"helm": {"tag": "image.tag"}});
    let entries: Vec<Value> = images.iter().map(|image| json!({"image": image, "target": target})).collect();
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": entries})).await;

    scene.expect_unready("web", Unready { reason: "TargetClaimedTwice", stalled: true, says: &["image.tag"] }).await;
    assert_eq!(scene.read_application("web").await, before);
}
