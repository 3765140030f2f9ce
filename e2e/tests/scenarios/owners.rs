//! Who else decides: ApplicationSets, parents that heal their children, people who take versions back, sync windows.

use fairlead::api::ImageUpdatePolicy;
use fairlead_e2e::scene::parameter_of;
use fairlead_e2e::{AuditEntry, Deadline, Fairlead, Image, Scene, Unready, eventually};
use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
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

/// A parent that applies what Git says of its child, whenever it is something else, until it is dropped.
fn parent(scene: &Scene, name: &'static str) -> tokio::task::AbortHandle {
    let applications = scene.applications();
    let heal = async move {
        let parameters = PatchParams { field_manager: Some("argocd-controller".to_owned()), ..PatchParams::default() };
        let mut version = "0".to_owned();
        loop {
            let mut events = applications.watch(&WatchParams::default(), &version).await.expect("a watch").boxed();
            while let Ok(Some(event)) = events.try_next().await {
                let (WatchEvent::Added(child) | WatchEvent::Modified(child)) = event else { continue };
                version = child.metadata.resource_version.clone().expect("a version");
                let value = serde_json::to_value(&child).expect("an object is JSON");
                let mine = child.metadata.name.as_deref() == Some(name);
                if mine && parameter_of(&value, "image.tag").as_deref() != Some("1.0.0") {
                    let list = &value["spec"]["source"]["helm"]["parameters"];
                    let mut list = list.as_array().expect("a list").clone();
                    let tag = list.iter_mut().find(|parameter| parameter["name"] == "image.tag");
                    tag.expect("the tag")["value"] = json!("1.0.0");
                    let patch = Patch::Merge(json!({"spec": {"source": {"helm": {"parameters": list}}}}));
                    applications.patch(name, &parameters, &patch).await.expect("the parent may write");
                }
            }
        }
    };
    tokio::spawn(heal).abort_handle()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_parent_heals_away_is_written_once_and_the_parent_is_named() {
    let scene = Scene::new("owners-parent").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let tracking = "apps:argoproj.io/Application:owners-parent/web";
    let metadata = json!({"annotations": {"argocd.argoproj.io/tracking-id": tracking}});
    scene.application_with("web", &metadata, Scene::helm(&image, "1.0.0")).await;
    // The API server tells times of changes in seconds: of two in one second nobody knows which was the last.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let parent = parent(&scene, "web");
    let fairlead = scene.start().await;
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;

    expect_held(&scene, &["`1.0.1`", "`argocd-controller` changed the Application last", "a part of `apps`"]).await;
    looked(&scene, &fairlead, 5).await;
    expect_held(&scene, &["`apps`"]).await;

    parent.abort();
    let ours = |write: &AuditEntry| write.of_application() && write.done() && write.name == "web";
    assert_eq!(scene.writes().await.iter().filter(|write| ours(write)).count(), 1, "of our writes");
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
}

/// Waits until the policy was looked at so many times more.
async fn looked(scene: &Scene, fairlead: &Fairlead, times: usize) {
    let mut looks = Vec::new();
    eventually(&format!("{times} more looks"), Deadline::seconds(60), async || {
        let metrics = fairlead.page("/metrics").await;
        let count = metrics.lines().find(|line| line.starts_with("fairlead_reconcile_duration_seconds_count"));
        let count = count.map(|line| line.rsplit(' ').next().expect("a number").to_owned());
        // Asked again only after a look: what is asked without a pause is gathered.
        if looks.last() != Some(&count) {
            looks.push(count);
            scene.touch("web").await;
        }
        if looks.len() > times { Ok(()) } else { Err(looks.clone()) }
    })
    .await;
}

/// Waits until the only image is held as taken back, in these words among others.
async fn expect_held(scene: &Scene, says: &[&str]) {
    let held = |policy: &ImageUpdatePolicy| {
        let image = policy.status.as_ref().and_then(|status| status.images.first());
        image.is_some_and(|image| {
            image.reason == "RolledBackByHand" && says.iter().all(|word| image.message.contains(word))
        })
    };
    let what = format!("the version is held, and {says:?} is said");
    scene.expect_policy("web", &what, Deadline::seconds(30), held).await;
}

/// A person puts a version in place.
async fn put(scene: &Scene, tag: &str) {
    let mut object = scene.applications().get("web").await.expect("it is there");
    let list = object.data["spec"]["source"]["helm"]["parameters"].as_array_mut().expect("a list");
    let parameter = list.iter_mut().find(|parameter| parameter["name"] == "image.tag");
    parameter.expect("the tag")["value"] = json!(tag);
    let replaced = scene.applications().replace("web", &PostParams::default(), &object).await;
    replaced.expect("a person may write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_stays_over_a_restart_until_it_is_lifted() {
    let scene = Scene::new("owners-resume").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let fairlead = scene.start().await;
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;
    let resume = Patch::Merge(json!({"metadata": {"annotations": {"fairlead.dev/resume": "now"}}}));

    scene.expect_tag("web", "1.0.1").await;
    scene.expect_ready("web").await;
    put(&scene, "1.0.0").await;
    expect_held(&scene, &["`1.0.1` was taken back by hand"]).await;
    drop(fairlead);
    let fairlead = scene.start().await;
    looked(&scene, &fairlead, 2).await;
    expect_held(&scene, &["`1.0.1` was taken back by hand"]).await;
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
    scene.raw_policies().patch("web", &PatchParams::default(), &resume).await.expect("a person may");
    scene.expect_tag("web", "1.0.1").await;

    scene.expect_ready("web").await;
    put(&scene, "1.0.0").await;
    expect_held(&scene, &["`1.0.1` was taken back by hand"]).await;
    scene.applications().patch("web", &PatchParams::default(), &resume).await.expect("a person may");
    scene.expect_tag("web", "1.0.1").await;
    let events = scene.events().await;
    let told = events.iter().any(|event| event.reason.as_deref() == Some("RolledBackByHand"));
    assert!(told, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_asked_for_when_no_window_forbids_it() {
    let scene = Scene::new("owners-sync").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let resource = ApiResource::erase::<fairlead::api::AppProject>(&());
    let projects: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
    let window = json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]});
    scene.project("default", &json!({"syncWindows": [window]})).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;
    let applications = json!([{"name": "web"}]);
    let write_back = json!({"application": {"sync": true, "refresh": true}});
    scene
        .policy("web", json!({"applications": applications, "images": [{"image": image}], "writeBack": write_back}))
        .await;

    scene.expect_tag("web", "1.0.1").await;
    let live = scene.read_application("web").await;
    assert_eq!(
        (&live["operation"], &live["metadata"]["annotations"]["argocd.argoproj.io/refresh"]),
        (&json!(null), &json!("normal"))
    );
    let open = Patch::Merge(json!({"spec": {"syncWindows": null}}));
    projects.patch("default", &PatchParams::default(), &open).await.expect("a person may change it");
    scene.registry().push(&repository, "1.0.2", &Image::new("1.0.2")).await;
    scene.touch("web").await;
    scene.expect_tag("web", "1.0.2").await;

    let live = scene.read_application("web").await;
    assert_eq!(live["operation"]["initiatedBy"], json!({"username": "fairlead", "automated": true}));
    let ours = |write: &AuditEntry| write.of_application() && write.done() && write.name == "web";
    assert_eq!(scene.writes().await.iter().filter(|write| ours(write)).count(), 2, "a write a version");
}
