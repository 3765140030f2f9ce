//! A thousand Applications, and none.

use fairlead_e2e::{AuditEntry, Deadline, Scene, Unready};
use futures::{StreamExt, stream};
use serde_json::json;

const MANY: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_applications_fit_into_one_status() {
    let scene = Scene::new("scale-thousand").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let source = Scene::helm(&image, "1.0.0");
    stream::iter(0..MANY)
        .for_each_concurrent(16, async |number| {
            scene.application(&format!("application-with-a-rather-long-name-{number:04}"), source.clone()).await;
        })
        .await;
    let _fairlead = scene.start().await;

    scene.policy("all", json!({"applications": [{"name": "*"}], "images": [{"image": image}]})).await;

    let policy = scene.expect_policy("all", "all are up to date", Deadline::seconds(180), |policy| {
        let summary = policy.status.as_ref().and_then(|status| status.summary.as_ref());
        summary.is_some_and(|summary| usize::try_from(summary.up_to_date) == Ok(MANY))
    });
    let status = policy.await.status.expect("a status");
    let summary = status.summary.clone().expect("a summary");
    assert_eq!([summary.applications, summary.images].map(usize::try_from), [Ok(MANY), Ok(MANY)]);
    assert_eq!(usize::try_from(summary.not_listed), Ok(MANY - status.images.len()));
    assert!(summary.not_listed > 0 && !status.images.is_empty());
    let bytes = serde_json::to_vec(&status).expect("a status is JSON").len();
    assert!(bytes < 256 * 1024, "{bytes} bytes");
    let patches = scene.writes().await.into_iter().filter(|write| write.of_application() && write.done()).count();
    assert_eq!(patches, MANY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_without_applications_is_told() {
    let scene = Scene::new("scale-none").await;
    let _fairlead = scene.start().await;

    scene.policy("none", json!({"applications": [{"name": "*"}], "images": [{"image": scene.image("app")}]})).await;

    let unready = Unready { reason: "NoApplicationMatched", stalled: true, says: &["spec.applications"] };
    let policy = scene.expect_unready("none", unready).await;
    let status = policy.status.expect("a status");
    assert_eq!(status.summary.expect("a summary").applications, 0);
    assert_eq!(status.images, []);
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
}
