//! People change Applications at the same time, and delete them.

use fairlead_e2e::scene::parameter_of;
use fairlead_e2e::{Deadline, Image, Scene, eventually};
use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

const MOVES: usize = 6;
const EDITS_A_MOVE: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_edit_of_a_person_is_lost_while_versions_move() {
    let scene = Scene::new("people-edit").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0"]).await;
    let created = scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let version = created.metadata.resource_version.expect("a version");
    let history = tokio::spawn(revisions_until_the_end(scene.clone(), version));
    let _fairlead = scene.start().await;
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;

    let mut edits = (0..).map(|number| format!("edit-{number}"));
    for patch in 1..=MOVES {
        let tag = format!("1.0.{patch}");
        scene.registry().push(&repository, &tag, &Image::new(&tag)).await;
        scene.touch("web").await;
        // Without a pause, so that some of them meet every step of the reconcile that has just begun.
        for text in edits.by_ref().take(EDITS_A_MOVE) {
            edit(&scene, &text).await;
        }
        scene.expect_tag("web", &tag).await;
    }
    edit(&scene, "end").await;

    let found = scene.read_application("web").await;
    assert_eq!(parameter_of(&found, "image.tag"), Some(format!("1.0.{MOVES}")));
    let mut expected: Vec<String> = vec!["main".to_owned()];
    expected.extend((0..MOVES * EDITS_A_MOVE).map(|number| format!("edit-{number}")));
    expected.push("end".to_owned());
    let seen = history.await.expect("the history is read");
    assert_eq!(seen, expected, "every edit was there, once, in its order");
}

/// Edits the Application as a person would.
async fn edit(scene: &Scene, revision: &str) {
    let patch = Patch::Merge(json!({"spec": {"source": {"targetRevision": revision}}}));
    scene.applications().patch("web", &PatchParams::default(), &patch).await.expect("a person may edit");
}

/// Every different `targetRevision` that the Application ever had, in order.
async fn revisions_until_the_end(scene: Scene, mut version: String) -> Vec<String> {
    let mut seen = vec!["main".to_owned()];
    loop {
        let applications = scene.applications();
        let mut events = applications.watch(&WatchParams::default(), &version).await.expect("a watch").boxed();
        while let Some(event) = events.try_next().await.expect("the watch goes on") {
            let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
            version = object.metadata.resource_version.clone().expect("a version");
            let revision = revision(&object);
            if seen.last() != Some(&revision) {
                seen.push(revision);
            }
            if seen.last().is_some_and(|last| last == "end") {
                return seen;
            }
        }
    }
}

fn revision(object: &DynamicObject) -> String {
    object.data["spec"]["source"]["targetRevision"].as_str().expect("a revision").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_is_being_deleted_is_left_alone() {
    let scene = Scene::new("people-deleting").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let metadata = json!({"finalizers": ["resources-finalizer.argocd.argoproj.io"], "labels": {"team": "web"}});
    scene.application_with("leaving", &metadata, Scene::helm(&image, "1.0.0")).await;
    scene.application_with("staying", &json!({"labels": {"team": "web"}}), Scene::helm(&image, "1.0.0")).await;
    scene.applications().delete("leaving", &DeleteParams::default()).await.expect("it can be deleted");
    let before = scene.read_application("leaving").await;
    assert!(before["metadata"]["deletionTimestamp"].is_string());
    let _fairlead = scene.start().await;

    let applications = json!([{"selector": {"matchLabels": {"team": "web"}}}]);
    scene.policy("web", json!({"applications": applications, "images": [{"image": image}]})).await;
    scene.expect_tag("staying", "1.0.1").await;
    scene.expect_ready("web").await;

    assert_eq!(scene.read_application("leaving").await, before);
    let touched = scene.writes().await.into_iter().any(|write| write.of_application() && write.name == "leaving");
    assert!(!touched);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_goes_leaves_the_others_as_they_are() {
    let scene = Scene::new("people-gone").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    for name in ["web-a", "web-b"] {
        scene.application(name, Scene::helm(&image, "1.0.0")).await;
    }
    let mut fairlead = scene.start().await;
    scene.policy("web", json!({"applications": [{"name": "web-*"}], "images": [{"image": image}]})).await;
    scene.expect_tag("web-a", "1.0.1").await;
    scene.expect_tag("web-b", "1.0.1").await;

    scene.applications().delete("web-a", &DeleteParams::default()).await.expect("it can be deleted");
    scene
        .expect_policy("web", "one Application is left", Deadline::seconds(20), |policy| {
            let summary = policy.status.as_ref().and_then(|status| status.summary.as_ref());
            summary.is_some_and(|summary| summary.applications == 1 && summary.images == 1)
        })
        .await;
    scene.application("web-c", Scene::helm(&image, "1.0.0")).await;
    scene.expect_tag("web-c", "1.0.1").await;

    scene.expect_ready("web").await;
    assert!(fairlead.runs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_an_application_wakes_its_policy() {
    let scene = Scene::new("people-wake").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm("somewhere.else/entirely", "1.0.0")).await;
    let _fairlead = scene.start().await;
    scene.policy("web", json!({"applications": [{"name": "other"}], "images": [{"image": image}]})).await;
    eventually("the policy says that nothing matches", Deadline::seconds(20), async || {
        let policy = scene.read_policy("web").await;
        let summary = policy.status.and_then(|status| status.summary).ok_or("no summary")?;
        if summary.applications == 0 { Ok(()) } else { Err("an Application matches") }
    })
    .await;

    scene.application("other", Scene::helm(&image, "1.0.0")).await;

    scene.expect_tag("other", "1.0.1").await;
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
}
