//! The servers behind Fairlead go away and come back. A test binary of its own: these servers are shared with nobody.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "these tests are part of the world, and what goes wrong fails them at once"
)]

use std::time::Duration;

use fairlead_e2e::{Configured, Deadline, Fairlead, Fault, FaultProxy, Image, Scene, eventually};
use serde_json::json;

const APPLICATIONS: usize = 20;

/// One after the other in one test, because there is one set of servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_back_is_taken_up_again_without_a_lost_or_double_write() {
    let scene = Scene::new("resilience").await;
    let line = FaultProxy::start(scene.api_server()).await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0"]).await;
    for number in 0..APPLICATIONS {
        scene.application(&format!("web-{number}"), Scene::helm(&scene.image("app"), "1.0.0")).await;
    }
    let image = json!({"image": scene.image("app")});
    scene.policy("web", json!({"interval": "10s", "applications": [{"name": "web-*"}], "images": [image]})).await;
    let times = ["--lease-duration=4s", "--renew-deadline=3s", "--retry-period=300ms"].map(str::to_owned);
    let elect = ["--leader-elect".to_owned(), format!("--lease-namespace={}", scene.namespace)];
    let arguments = elect.into_iter().chain(times).collect();
    let kubeconfig = Some(scene.kubeconfig_through(&line.address));
    let mut fairlead = scene.start_configured(&[], Configured { arguments, kubeconfig, ..Configured::default() }).await;
    let mut tags = (1..).map(|number| format!("1.0.{number}"));
    let mut next = || tags.next().expect("there is always another");
    round(&scene, &next()).await;
    round(&scene, &next()).await;
    let before = fairlead.memory();

    // The network is cut for longer than the lease lasts, and for longer than watches are patient.
    line.set(Fault::Refused).await;
    eventually(
        "it stops by itself",
        Deadline::seconds(15),
        async || if fairlead.leads().await { Err(()) } else { Ok(()) },
    )
    .await;
    push(&scene, &next()).await;
    line.set(Fault::Healthy).await;
    expect_all(&scene, "1.0.3").await;

    // Watches break in the middle of everything, again and again.
    for _ in 0..5 {
        line.set(Fault::Refused).await;
        line.set(Fault::Healthy).await;
    }
    round(&scene, &next()).await;

    // etcd restarts.
    scene.servers().restart_etcd();
    scene.servers().wait_until_ready().await;
    round(&scene, &next()).await;

    // The API server restarts, and what Fairlead would go on watching from is gone: 410.
    line.set(Fault::Refused).await;
    for number in 0..3 {
        scene.touch("web").await;
        scene.application(&format!("new-{number}"), Scene::helm(&scene.image("app"), "1.0.0")).await;
    }
    scene.servers().compact().await;
    scene.servers().restart_api_server();
    scene.servers().wait_until_ready().await;
    line.set(Fault::Healthy).await;
    round(&scene, &next()).await;
    scene.application("web-last", Scene::helm(&scene.image("app"), "1.0.0")).await;
    scene.expect_parameter("web-last", "image.tag", "1.0.6", Duration::from_secs(30)).await;

    expect_changes(&scene, 6).await;
    assert!(fairlead.runs());
    expect_memory(&fairlead, before).await;
    for path in ["/livez", "/readyz"] {
        fairlead.page(path).await;
    }
}

async fn push(scene: &Scene, tag: &str) {
    scene.registry().push(&scene.repository("app"), tag, &Image::new(tag)).await;
    scene.touch("web").await;
}

async fn round(scene: &Scene, tag: &str) {
    push(scene, tag).await;
    expect_all(scene, tag).await;
}

async fn expect_all(scene: &Scene, tag: &str) {
    for number in 0..APPLICATIONS {
        scene.expect_parameter(&format!("web-{number}"), "image.tag", tag, Duration::from_secs(60)).await;
    }
}

/// Each Application was changed once a tag, and those that no policy names never.
async fn expect_changes(scene: &Scene, tags: i64) {
    let changes = scene.changes().await;
    for number in 0..APPLICATIONS {
        let name = format!("web-{number}");
        assert_eq!(changes[&name], tags, "{name}: {changes:?}");
    }
    assert_eq!(changes["web-last"], 1, "{changes:?}");
    let strange: Vec<_> = changes.iter().filter(|(name, times)| name.starts_with("new-") && **times != 0).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

async fn expect_memory(fairlead: &Fairlead, before: u64) {
    let allowed = before + before / 2 + 16 * 1024 * 1024;
    eventually("the memory is at its level again", Deadline::seconds(20), async || {
        let now = fairlead.memory();
        if now <= allowed { Ok(()) } else { Err((before, now)) }
    })
    .await;
}
