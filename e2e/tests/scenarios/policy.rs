//! A policy moves Applications to the version that its rule picks, and touches nothing else.

use std::time::{Duration, Instant};

use fairlead_e2e::{AuditEntry, Deadline, Image, Scene, Unready, eventually};
use serde_json::{Value, json};

/// A policy for one Application and one image.
fn policy(application: &str, image: Value) -> Value {
    json!({"applications": [{"name": application}], "images": [image]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helm_application_follows_its_range_and_nothing_else_changes() {
    let scene = Scene::new("policy-helm").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.2", "1.2.0", "2.0.0"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let mut expected = scene.read_application("web").await;
    let _fairlead = scene.start().await;

    let created = Instant::now();
    scene.policy("web", policy("web", json!({"image": image, "constraint": "~1.0"}))).await;
    let two_seconds = Duration::from_secs(2).saturating_sub(created.elapsed());
    scene.expect_parameter("web", "image.tag", "1.0.2", two_seconds).await;

    scene.expect_ready("web").await;
    expected["spec"]["source"]["helm"]["parameters"][2]["value"] = json!("1.0.2");
    assert_eq!(scene.read_application("web").await, expected);

    scene.registry().push(&repository, "1.0.3", &Image::new("1.0.3")).await;
    scene.touch("web").await;
    scene.expect_tag("web", "1.0.3").await;

    expected["spec"]["source"]["helm"]["parameters"][2]["value"] = json!("1.0.3");
    assert_eq!(scene.read_application("web").await, expected);
    let patches: Vec<_> = scene.writes().await.into_iter().filter(AuditEntry::of_application).collect();
    assert_eq!(patches.len(), 2, "{patches:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_tag_is_found_within_an_interval_without_being_asked_for() {
    let scene = Scene::new("policy-interval").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;
    let mut spec = policy("web", json!({"image": image}));
    spec["interval"] = json!("10s");
    scene.policy("web", spec).await;
    scene.expect_tag("web", "1.0.1").await;

    scene.registry().push(&repository, "1.1.0", &Image::new("1.1.0")).await;

    scene.expect_parameter("web", "image.tag", "1.1.0", Duration::from_secs(15)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kustomize_application_keeps_its_other_images() {
    let scene = Scene::new("policy-kustomize").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.2", "1.2.0"]).await;
    let source = |entry: String| json!({"kustomize": {"namePrefix": "x-", "images": ["busybox:1.36", entry]}});
    scene.application("plain", source(format!("{image}:1.0.0"))).await;
    scene.application("renamed", source(format!("app={image}:1.0.0"))).await;
    let mut expected = [scene.read_application("plain").await, scene.read_application("renamed").await];
    let _fairlead = scene.start().await;

    scene.policy("plain", policy("plain", json!({"image": image, "constraint": "~1.0"}))).await;
    let target = json!({"kustomize": {"name": "app"}});
    scene.policy("renamed", policy("renamed", json!({"image": image, "constraint": "~1.0", "target": target}))).await;

    expected[0]["spec"]["source"]["kustomize"]["images"][1] = json!(format!("{image}:1.0.2"));
    expected[1]["spec"]["source"]["kustomize"]["images"][1] = json!(format!("app={image}:1.0.2"));
    for (name, expected) in ["plain", "renamed"].into_iter().zip(expected) {
        expect_application(&scene, name, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_build_is_that_of_the_wanted_platform() {
    let scene = Scene::new("policy-newest-build").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    let (first, tenth) = ("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z");
    let (third, fifth) = ("2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z");
    let late_arm = Image::multi("a", &[("linux/amd64", first), ("linux/arm64", tenth)]);
    let late_amd = Image::multi("b", &[("linux/amd64", fifth), ("linux/arm64/v8", third)]);
    scene.registry().push(&repository, "1.0.7", &late_arm).await;
    scene.registry().push(&repository, "1.0.4", &late_amd).await;
    scene.registry().push(&repository, "1.0.9", &Image::new("c").built(first)).await;
    scene.registry().push(&repository, "1.2.0", &Image::new("d").built("2026-02-01T00:00:00Z")).await;
    for name in ["amd", "arm"] {
        scene.application(name, Scene::helm(&image, "1.0.0")).await;
    }
    let _fairlead = scene.start().await;

    let rule = |platform: &str| json!({"image": image, "constraint": "~1.0", "strategy": "NewestBuild", "platforms": [platform]});
    scene.policy("amd", policy("amd", rule("linux/amd64"))).await;
    scene.policy("arm", policy("arm", rule("linux/arm64"))).await;

    scene.expect_tag("amd", "1.0.4").await;
    scene.expect_tag("arm", "1.0.7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_tag_is_pinned_to_what_it_leads_to() {
    let scene = Scene::new("policy-digest").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    let first = scene.registry().push(&repository, "latest", &Image::new("first")).await;
    scene.application("web", Scene::helm(&image, "latest")).await;
    let _fairlead = scene.start().await;

    scene.policy("web", policy("web", json!({"image": image, "strategy": "Digest", "constraint": "latest"}))).await;
    expect_digest(&scene, "web", &first).await;
    let second = scene.registry().push(&repository, "latest", &Image::new("second")).await;
    scene.touch("web").await;

    expect_digest(&scene, "web", &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alphabetical_rule_takes_the_last_allowed_tag() {
    let scene = Scene::new("policy-alphabetical").await;
    let image = scene.image("app");
    let tags = ["2026-01-01", "2026-03-01", "2026-02-01", "nightly", "2026-09-01-rc1"];
    scene.registry().push_all(&scene.repository("app"), &tags).await;
    scene.application("web", Scene::helm(&image, "2026-01-01")).await;
    let _fairlead = scene.start().await;

    let rule = json!({
        "image": image, "strategy": "Alphabetical", "allowTags": {"regex": "^[0-9-]+"}, "ignoreTags": ["*-rc*"],
    });
    scene.policy("web", policy("web", rule)).await;

    scene.expect_tag("web", "2026-03-01").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_registry_opens_with_the_pull_secret() {
    let scene = Scene::new("policy-pull-secret").await;
    let repository = scene.repository("app");
    let image = format!("{}/{repository}", scene.closed_registry().address);
    scene.closed_registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;

    scene.policy("web", policy("web", json!({"image": image, "pullSecret": {"name": "pull"}}))).await;
    let says = ["pull"];
    scene.expect_unready("web", Unready { reason: "CredentialsUnavailable", stalled: true, says: &says }).await;
    scene.pull_secret("pull", &scene.closed_registry().docker_config()).await;

    scene.expect_tag("web", "1.0.1").await;
    scene.expect_ready("web").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_registry_stays_closed_without_it() {
    let scene = Scene::new("policy-no-secret").await;
    let repository = scene.repository("app");
    let image = format!("{}/{repository}", scene.closed_registry().address);
    scene.closed_registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;

    scene.policy("web", policy("web", json!({"image": image}))).await;

    let says = [image.as_str()];
    scene.expect_unready("web", Unready { reason: "RegistryDenied", stalled: true, says: &says }).await;
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_and_a_suspended_policy_write_nothing() {
    let scene = Scene::new("policy-dry-run").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    for name in ["dry", "suspended"] {
        scene.application(name, Scene::helm(&image, "1.0.0")).await;
    }
    let _fairlead = scene.start().await;

    for (name, field) in [("dry", "dryRun"), ("suspended", "suspend")] {
        let mut spec = policy(name, json!({"image": image}));
        spec[field] = json!(true);
        scene.policy(name, spec).await;
    }

    let chosen = scene.expect_policy("dry", "it names the choice", Deadline::seconds(20), |policy| {
        let images = policy.status.as_ref().map(|status| &status.images);
        images.and_then(|images| images.first()).is_some_and(|image| image.reason == "WouldUpdate")
    });
    assert_eq!(chosen.await.status.expect("a status").images[0].chosen.as_deref(), Some("1.0.1"));
    scene
        .expect_policy("suspended", "it says so", Deadline::seconds(20), |policy| {
            fairlead_e2e::scene::condition(policy, "Ready").is_some_and(|(_, reason, _)| reason == "Suspended")
        })
        .await;
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
}

async fn expect_application(scene: &Scene, name: &str, expected: &Value) {
    eventually(&format!("`{name}` is as expected"), Deadline::seconds(20), async || {
        let found = scene.read_application(name).await;
        if found == *expected { Ok(()) } else { Err(found) }
    })
    .await;
}

async fn expect_digest(scene: &Scene, application: &str, digest: &str) {
    eventually(&format!("`{application}` holds {digest}"), Deadline::seconds(20), async || {
        match scene.parameter(application, "image.tag").await {
            Some(tag) if tag.ends_with(digest) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}
