//! Applications that an ApplicationSet makes.

use fairlead_e2e::{AuditEntry, Deadline, Scene, Unready, eventually};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

fn sets(scene: &Scene) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<fairlead::api::ApplicationSet>(&());
    Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource)
}

async fn set_with_child(scene: &Scene, name: &str, spec: Value) {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": name}, "spec": spec,
    });
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let set = sets(scene).create(&PostParams::default(), &object).await.expect("a set");
    let owner = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": name,
        "uid": set.metadata.uid.expect("a uid"), "controller": true,
    });
    let metadata = json!({"ownerReferences": [owner]});
    scene.application_with(name, &metadata, Scene::helm(&scene.image("app"), "1.0.0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_application_set_would_set_back_is_not_written() {
    let scene = Scene::new("owners-set").await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    set_with_child(&scene, "kept", json!({})).await;
    set_with_child(&scene, "left", json!({"syncPolicy": {"applicationsSync": "create-only"}})).await;
    let _fairlead = scene.start().await;
    let image = scene.image("app");
    for name in ["kept", "left"] {
        scene.policy(name, json!({"applications": [{"name": name}], "images": [{"image": image}]})).await;
    }

    scene.expect_tag("left", "1.0.1").await;
    let says = ["`kept`", "jsonPointers: [/spec/source/helm/parameters]"];
    scene.expect_unready("kept", Unready { reason: "OwnedByApplicationSet", stalled: true, says: &says }).await;
    assert!(!scene.writes().await.iter().any(|write| AuditEntry::of_application(write) && write.name == "kept"));

    let ignored = json!([{"jsonPointers": ["/spec/source/helm/parameters"]}]);
    let patch = Patch::Merge(json!({"spec": {"ignoreApplicationDifferences": ignored}}));
    sets(&scene).patch("kept", &PatchParams::default(), &patch).await.expect("a person may change it");
    eventually("the child is written", Deadline::seconds(30), async || {
        scene.touch("kept").await;
        // Touches without a pause would be gathered, and looked at only after the last one.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        match scene.parameter("kept", "image.tag").await.as_deref() {
            Some("1.0.1") => Ok(()),
            other => Err(other.map(ToOwned::to_owned)),
        }
    })
    .await;
}
