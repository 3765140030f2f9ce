//! What people and other controllers do to Applications, and how Fairlead takes it.

use fairlead_e2e::argocd::Stage;
use fairlead_e2e::{Deadline, Image, Unready, eventually};
use serde_json::json;

use crate::policy;

/// Writes of Applications by Fairlead.
async fn writes(stage: &Stage) -> usize {
    stage.scene.writes().await.iter().filter(|write| write.of_application() && write.done()).count()
}

/// Sets a Helm parameter, as a person does.
async fn set_parameter(stage: &Stage, application: &str, place: usize, value: &str) {
    let path = format!("/spec/source/helm/parameters/{place}/value");
    stage.patch_application(application, json!([{"op": "replace", "path": path, "value": value}])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_never_starts_is_reported_and_the_next_good_one_heals_it() {
    let stage = Stage::new("people-broken").await;
    stage.push(&["1.0.0", "1.0.1-bad"]).await;
    let source = stage.chart(&[("image.name", &stage.image()), ("image.tag", "1.0.0"), ("deadline", "3")]);
    stage.application("web", source).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let _fairlead = stage.start().await;

    stage.scene.policy("web", policy("web", &stage, json!({"constraint": "~1.0-0"}))).await;
    let says = Unready { reason: "RolloutDegraded", stalled: false, says: &["is Degraded"] };
    stage.scene.expect_unready_by("web", says, Deadline::seconds(40)).await;
    stage.expect_rollout("web", "Degraded").await;
    assert_eq!(stage.scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.1-bad"), "nothing is taken back");

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 1).await;
    stage.expect_rollout("web", "Healthy").await;
    stage.scene.expect_ready("web").await;
    assert_eq!(writes(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_a_person_takes_back_stays_back_until_a_newer_one() {
    let stage = Stage::new("people-rollback").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.plain_chart()).await;
    let fairlead = stage.start().await;
    stage.scene.policy("web", policy("web", &stage, json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    stage.scene.expect_settled("web").await;

    set_parameter(&stage, "web", 1, "1.0.0").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.expect_reason("web", "RolledBackByHand").await;
    stage.look(&fairlead, "web").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 1).await;
    assert_eq!(writes(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_automated_sync_a_person_syncs_and_a_rollback_of_argo_cd_changes_no_version() {
    let stage = Stage::new("people-manual").await;
    stage.push(&["1.0.0"]).await;
    stage.application_of("web", json!({"source": stage.plain_chart()})).await;
    let administrator = stage.argocd.administrator().await;
    administrator.sync(&stage.scene.namespace, "web").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("web").await;
    let fairlead = stage.start().await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.scene.policy("web", policy("web", &stage, json!({}))).await;

    stage.scene.expect_tag("web", "1.0.1").await;
    stage.expect_rollout("web", "Unknown").await;
    stage
        .expect_application("web", "it waits for a person", |found| found["status"]["sync"]["status"] == "OutOfSync")
        .await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;

    administrator.sync(&stage.scene.namespace, "web").await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    let synced = stage.expect_healthy("web").await;
    stage.expect_rollout("web", "Healthy").await;

    // Argo CD's own rollback deploys an older entry of the history, and leaves the specification as it is.
    let first = synced["status"]["history"][0]["id"].as_i64().expect("a history");
    administrator.roll_back(&stage.scene.namespace, "web", first).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.look(&fairlead, "web").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    assert_eq!(writes(&stage).await, 1, "nothing is written against the rollback");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_argo_cd_heals_by_itself_is_no_news() {
    let stage = Stage::new("people-heal").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let spec = json!({"source": stage.plain_chart(), "syncPolicy": {"automated": {"selfHeal": true}}});
    stage.application_of("web", spec).await;
    let fairlead = stage.start().await;
    stage.scene.policy("web", policy("web", &stage, json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    stage.scene.expect_settled("web").await;

    stage.set_image("web", &stage.tagged("1.0.0")).await;
    stage
        .expect_application("web", "it sees the change", |found| {
            found["status"]["operationState"]["operation"]["initiatedBy"]["automated"] == true
        })
        .await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    stage.look(&fairlead, "web").await;
    stage.scene.expect_settled("web").await;
    assert_eq!(writes(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_sets_its_child_back_is_named_and_no_loop_arises() {
    let stage = Stage::new("people-parent").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let child = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "child", "namespace": stage.scene.namespace},
        "spec": stage.whole(json!({"source": stage.plain_chart(), "syncPolicy": {"automated": {}}})),
    });
    stage.repository.commit("Add a child", &[("fleet/child.json", &child.to_string())]).await;
    let heals = json!({"source": stage.source("fleet", json!({})), "syncPolicy": {"automated": {"selfHeal": true}}});
    stage.application_of("parent", heals).await;
    stage.expect_running("child", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("parent").await;
    let fairlead = stage.start().await;

    stage.scene.policy("child", policy("child", &stage, json!({}))).await;
    let held = stage.expect_reason("child", "RolledBackByHand").await;
    assert!(held.contains("`people-parent/parent`"), "{held}");
    stage.expect_running("child", &stage.tagged("1.0.0"), 1).await;
    for _ in 0..3 {
        stage.look(&fairlead, "child").await;
    }
    assert_eq!(writes(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_of_an_application_set_is_written_only_where_the_set_lets_it_be() {
    let stage = Stage::new("people-set").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let template = json!({
        "metadata": {"name": "{{.name}}"},
        "spec": stage.whole(json!({"source": stage.plain_chart(), "syncPolicy": {"automated": {}}})),
    });
    let spec = json!({
        "goTemplate": true, "generators": [{"list": {"elements": [{"name": "web"}]}}], "template": template,
    });
    stage.application_set("fleet", spec).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let fairlead = stage.start().await;

    stage.scene.policy("web", policy("web", &stage, json!({}))).await;
    let says = ["`fleet`", "jsonPointers: [/spec/source/helm/parameters]"];
    let unready = Unready { reason: "OwnedByApplicationSet", stalled: true, says: &says };
    stage.scene.expect_unready("web", unready).await;
    assert_eq!(writes(&stage).await, 0);

    let ignored =
        json!({"spec": {"ignoreApplicationDifferences": [{"jsonPointers": ["/spec/source/helm/parameters"]}]}});
    stage.change_application_set("fleet", ignored).await;
    eventually("the child is written", Deadline::seconds(40), async || {
        stage.look(&fairlead, "web").await;
        let tag = stage.scene.parameter("web", "image.tag").await;
        if tag.as_deref() == Some("1.0.1") { Ok(()) } else { Err(tag) }
    })
    .await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;

    // A new element makes the controller go over all children again.
    let elements = json!([{"list": {"elements": [{"name": "web"}, {"name": "second"}]}}]);
    stage.change_application_set("fleet", json!({"spec": {"generators": elements}})).await;
    stage.expect_running("second", &stage.tagged("1.0.0"), 1).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    assert_eq!(writes(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_comes_back_runs_the_newest_version() {
    let stage = Stage::new("people-return").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.plain_chart()).await;
    let _fairlead = stage.start().await;
    stage.scene.policy("web", policy("web", &stage, json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;

    stage.delete_application("web").await;
    let gone = Unready { reason: "NoApplicationMatched", stalled: true, says: &[] };
    stage.scene.expect_unready("web", gone).await;

    stage.application("web", stage.plain_chart()).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
}
