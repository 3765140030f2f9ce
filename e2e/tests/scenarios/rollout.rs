//! After the write: Argo CD's words reach the status of the policy. And why things are so, asked by the command line.

use fairlead::api::{ImageUpdatePolicy, RolloutStatus, RolloutWord};
use fairlead_e2e::{Deadline, Scene, Unready};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

/// Argo CD says something of an Application.
async fn say(scene: &Scene, reconciled_at: &str, sync: &str, health: &str) {
    let status = json!({"reconciledAt": reconciled_at, "sync": {"status": sync}, "health": {"status": health}});
    let patch = Patch::Merge(json!({ "status": status }));
    let patched = scene.applications().patch("web", &PatchParams::default(), &patch).await;
    patched.expect("Argo CD may write");
}

fn rollout(policy: &ImageUpdatePolicy) -> Option<RolloutStatus> {
    policy.status.as_ref()?.images.first()?.rollout.clone()
}

async fn expect_rollout(scene: &Scene, state: RolloutWord) -> RolloutStatus {
    let what = format!("the rollout is {state:?}");
    let policy = scene.expect_policy("web", &what, Deadline::seconds(30), |policy| {
        rollout(policy).is_some_and(|rollout| rollout.state == state)
    });
    rollout(&policy.await).expect("a rollout")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_followed_until_the_application_is_healthy() {
    let scene = Scene::new("rollout-followed").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    say(&scene, "2026-01-01T00:00:00Z", "Synced", "Healthy").await;
    let fairlead = scene.start().await;
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;
    scene.expect_tag("web", "1.0.1").await;

    let begun = expect_rollout(&scene, RolloutWord::Progressing).await;
    let later = (begun.written_at.0 + std::time::Duration::from_secs(61)).to_string();
    say(&scene, &later, "Synced", "Degraded").await;
    let unready = Unready { reason: "RolloutDegraded", stalled: false, says: &["is Degraded"] };
    scene.expect_unready_by("web", unready, Deadline::seconds(30)).await;
    say(&scene, &later, "Synced", "Healthy").await;
    let ended = expect_rollout(&scene, RolloutWord::Healthy).await;
    scene.expect_ready("web").await;

    assert!(ended.lag_seconds.is_some_and(|lag| (0..90).contains(&lag)), "{ended:?}");
    let metrics = fairlead.page("/metrics").await;
    let count = format!("fairlead_written_to_healthy_seconds_count{{namespace=\"{}\"}} 1", scene.namespace);
    assert!(metrics.lines().any(|line| line == count), "{metrics}");
    // From here on Argo CD may say what it likes: nobody waits for it.
    let before = scene.read_policy("web").await.status;
    say(&scene, &later, "OutOfSync", "Progressing").await;
    scene.touch("web").await;
    scene.expect_ready("web").await;
    assert_eq!(rollout(&scene.read_policy("web").await), before.and_then(|status| status.images[0].rollout.clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_explained_in_the_cluster() {
    let scene = Scene::new("rollout-explained").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1", "2.0.0"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let images = json!([{"alias": "app", "image": image, "constraint": "~1.0"}]);
    scene.policy("web", json!({"suspend": false, "applications": [{"name": "web"}], "images": images})).await;
    let before = scene.read_application("web").await;

    let explained = scene.explain("web", &["--tag", "2.0.0", "-o", "json"]).await;

    let explained: Value = serde_json::from_str(&explained).expect("JSON");
    let told = &explained[0]["images"][0];
    assert_eq!(told["image"], "app", "{explained:#}");
    assert_eq!([&told["current"], &told["chosen"]], ["1.0.0", "1.0.1"]);
    assert_eq!(told["verdict"]["reason"], "OutsideConstraint");
    assert_eq!(told["destination"], "spec.source.helm.parameters[name=image.tag]");
    assert!(scene.explain("web", &[]).await.contains("next:        WouldUpdate"));
    assert_eq!(scene.read_application("web").await, before, "to explain is not to write");
}
