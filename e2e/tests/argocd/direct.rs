//! Versions that are written into the Application, and arrive in Pods.

use std::time::{Duration, Instant};

use fairlead_e2e::argocd::Stage;
use fairlead_e2e::{AuditEntry, Image, Unready};
use serde_json::{Value, json};

use crate::policy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_image_runs_in_pods_and_nothing_else_of_the_application_changes() {
    let stage = Stage::new("direct-helm").await;
    stage.push(&["1.0.0", "1.0.1", "1.1.0"]).await;
    let source = stage.chart(&[("image.name", &stage.image()), ("replicas", "2"), ("image.tag", "1.0.0")]);
    stage.application("web", source).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 2).await;
    let before = stage.expect_healthy("web").await;
    let _fairlead = stage.start().await;

    let asked = Instant::now();
    stage.scene.policy("web", policy("web", &stage, json!({"constraint": "~1.0"}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 2).await;
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 2).await;
    let after = stage.expect_healthy("web").await;
    let mut expected = before["spec"].clone();
    expected["source"]["helm"]["parameters"][2]["value"] = json!("1.0.2");
    assert_eq!(after["spec"], expected);
    stage.expect_rollout("web", "Healthy").await;
    let writes: Vec<_> = stage.scene.writes().await.into_iter().filter(AuditEntry::of_application).collect();
    assert_eq!(writes.len(), 2, "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_kustomize_runs_in_pods() {
    let stage = Stage::new("direct-kustomize").await;
    stage.push(&["1.0.0", "1.0.1", "1.1.0"]).await;
    let images = json!(["busybox:1.36", stage.tagged("1.0.0")]);
    stage.application("web", stage.source("kustomize", json!({"kustomize": {"images": images}}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let _fairlead = stage.start().await;

    stage.scene.policy("web", policy("web", &stage, json!({"constraint": "~1.0"}))).await;

    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    let after = stage.expect_healthy("web").await;
    assert_eq!(after["spec"]["source"]["kustomize"]["images"], json!(["busybox:1.36", stage.tagged("1.0.1")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_only_pods_show_gets_an_entry_of_kustomize() {
    let stage = Stage::new("direct-shown").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("kustomize", json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("web").await;
    let _fairlead = stage.start().await;

    stage.scene.policy("web", policy("web", &stage, json!({}))).await;

    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    let after = stage.expect_healthy("web").await;
    assert_eq!(after["spec"]["source"]["kustomize"], json!({"images": [stage.tagged("1.0.1")]}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variable_of_a_plugin_runs_in_pods() {
    let stage = Stage::new("direct-plugin").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let variables = json!([{"name": "IMAGE_NAME", "value": stage.image()}, {"name": "IMAGE_TAG", "value": "1.0.0"}]);
    stage.application("web", stage.source("plugin", json!({"plugin": {"name": "fill-in", "env": variables}}))).await;
    stage.expect_running("filled-in", &stage.tagged("1.0.0"), 1).await;
    let _fairlead = stage.start().await;

    let target = json!({"plugin": {"name": "IMAGE_NAME", "tag": "IMAGE_TAG"}});
    stage.scene.policy("web", policy("web", &stage, json!({"target": target}))).await;

    stage.expect_running("filled-in", &stage.tagged("1.0.1"), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_sources_is_written_where_the_policy_names_it() {
    let stage = Stage::new("direct-sources").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let kustomize = stage.source("kustomize", json!({"kustomize": {"images": [stage.tagged("1.0.0")]}}));
    let mut chart = stage.plain_chart();
    chart["name"] = json!("chart");
    chart["helm"]["releaseName"] = json!("charted");
    let spec = json!({"sources": [kustomize, chart], "syncPolicy": {"automated": {}}});
    stage.application_of("web", spec).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.expect_running("charted", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("web").await;
    let _fairlead = stage.start().await;

    let target = json!({"source": {"name": "chart"}});
    stage.scene.policy("web", policy("web", &stage, json!({"target": target}))).await;

    stage.expect_running("charted", &stage.tagged("1.0.1"), 1).await;
    let after = stage.expect_healthy("web").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    assert_eq!(after["spec"]["sources"][0]["kustomize"]["images"], json!([stage.tagged("1.0.0")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_in_the_application_run_in_pods_as_object_and_as_text() {
    let stage = Stage::new("direct-values").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let values = json!({"image": {"name": stage.image(), "tag": "1.0.0"}, "replicas": 1});
    let text = format!("# ours\nimage:\n  name: {}\n  tag: \"1.0.0\" # the version\n", stage.image());
    stage.application("object", stage.source("chart", json!({"helm": {"valuesObject": values}}))).await;
    stage.application("text", stage.source("chart", json!({"helm": {"values": text}}))).await;
    let _fairlead = stage.start().await;

    let target = json!({"helm": {"values": {"name": "image.name", "tag": "image.tag"}}});
    for name in ["object", "text"] {
        stage.expect_running(name, &stage.tagged("1.0.0"), 1).await;
        stage.scene.policy(name, policy(name, &stage, json!({"target": target}))).await;
    }

    for name in ["object", "text"] {
        stage.expect_running(name, &stage.tagged("1.0.1"), 1).await;
    }
    let after = stage.expect_healthy("text").await;
    assert_eq!(after["spec"]["source"]["helm"]["values"], text.replace("1.0.0", "1.0.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_tag_runs_by_its_digest() {
    let stage = Stage::new("direct-digest").await;
    let first = stage.scene.registry().push(&stage.app(), "latest", &Image::new("first")).await;
    let images = json!([stage.tagged("latest")]);
    stage.application("web", stage.source("kustomize", json!({"kustomize": {"images": images}}))).await;
    stage.expect_running("web", &stage.tagged("latest"), 1).await;
    let _fairlead = stage.start().await;

    let rule = json!({"strategy": "Digest", "constraint": "latest", "pin": "Digest"});
    stage.scene.policy("web", policy("web", &stage, rule)).await;
    stage.expect_running("web", &format!("{}@{first}", stage.image()), 1).await;

    let second = stage.scene.registry().push(&stage.app(), "latest", &Image::new("second")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &format!("{}@{second}", stage.image()), 1).await;
    let after = stage.expect_healthy("web").await;
    let summary = json!([format!("{}@{second}", stage.image())]);
    assert_eq!(after["status"]["summary"]["images"], summary);
    stage.scene.expect_settled("web").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_build_runs_and_the_last_by_its_name_runs() {
    let stage = Stage::new("direct-rules").await;
    // Built in this order.
    stage.push(&["1.0.0", "2026-03-01", "1.0.9", "1.0.4", "2026-01-01"]).await;
    for name in ["newest", "last"] {
        stage.application(name, stage.plain_chart()).await;
        stage.expect_running(name, &stage.tagged("1.0.0"), 1).await;
    }
    let _fairlead = stage.start().await;

    let newest = json!({"constraint": "~1.0", "strategy": "NewestBuild"});
    stage.scene.policy("newest", policy("newest", &stage, newest)).await;
    let last = json!({"strategy": "Alphabetical", "allowTags": {"regex": "^[0-9]{4}-"}});
    stage.scene.policy("last", policy("last", &stage, last)).await;

    stage.expect_running("newest", &stage.tagged("1.0.4"), 1).await;
    stage.expect_running("last", &stage.tagged("2026-03-01"), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_tells_of_a_push_is_followed_in_seconds_to_the_pods() {
    const SECRET: &str = "canary-of-a-webhook";
    let stage = Stage::new("direct-webhook").await;
    stage.push(&["1.0.0"]).await;
    stage.application("web", stage.plain_chart()).await;
    let configured = fairlead_e2e::Configured { webhooks: vec![("generic", SECRET)], ..Default::default() };
    let fairlead = stage.start_configured(configured).await;
    let mut spec = policy("web", &stage, json!({}));
    spec["interval"] = json!("1h");
    stage.scene.policy("web", spec).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.scene.expect_settled("web").await;

    let pushed = Instant::now();
    stage.push(&["1.0.0", "1.0.1"]).await;
    let event: Value = json!({"image": stage.tagged("1.0.1")});
    assert_eq!(fairlead.webhook("generic", SECRET, &event).await, 202);

    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    assert!(pushed.elapsed() < Duration::from_secs(15), "{:?}", pushed.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_without_pods_is_moved_and_starts_in_the_new_version() {
    let stage = Stage::new("direct-no-pods").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let source = stage.chart(&[("image.name", &stage.image()), ("image.tag", "1.0.0"), ("replicas", "0")]);
    stage.application("web", source).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 0).await;
    stage.expect_healthy("web").await;
    let _fairlead = stage.start().await;

    stage.scene.policy("web", policy("web", &stage, json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 0).await;
    stage.expect_rollout("web", "Healthy").await;

    let patch = json!([{"op": "replace", "path": "/spec/source/helm/parameters/2/value", "value": "2"}]);
    stage.patch_application("web", patch).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_manifests_cannot_be_written_and_the_policy_says_so() {
    let stage = Stage::new("direct-plain").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("plain", json!({}))).await;
    stage.expect_running("plain", &stage.tagged("1.0.0"), 1).await;
    let before = stage.expect_healthy("web").await;
    let _fairlead = stage.start().await;

    stage.scene.policy("web", policy("web", &stage, json!({}))).await;

    let unready = Unready { reason: "UnsupportedSourceType", stalled: true, says: &["`direct-plain/web`"] };
    stage.scene.expect_unready("web", unready).await;
    assert_eq!(stage.scene.read_application("web").await["spec"], before["spec"]);
}
