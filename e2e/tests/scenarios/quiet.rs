//! When nothing changes, nothing is written; what does change is told once.

use fairlead_e2e::{AuditEntry, Deadline, Fairlead, FaultProxy, Image, Scene, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_further_reconciles_write_nothing() {
    let scene = Scene::new("quiet-twenty").await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let proxy = FaultProxy::start(&scene.registry().address).await;
    let image = format!("{}/{repository}", proxy.address);
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let fairlead = scene.start_with(&[&proxy.address]).await;
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;
    scene.expect_tag("web", "1.0.1").await;
    scene.expect_settled("web").await;
    // What the first look had to say is said by the end of the second.
    look(&scene, &proxy).await;
    look(&scene, &proxy).await;
    let before = (scene.writes().await, scene.read_policy("web").await.status, scene.events().await);
    let said = loud_lines(&fairlead);

    // A look ends before the next begins, so with the last one twenty are over.
    for _ in 0..21 {
        look(&scene, &proxy).await;
    }

    let after = (scene.writes().await, scene.read_policy("web").await.status, scene.events().await);
    assert_eq!(after, before);
    assert_eq!(loud_lines(&fairlead), said, "a quiet look is not worth a line");
}

/// What was logged for people: at `info` and above.
fn loud_lines(fairlead: &Fairlead) -> Vec<String> {
    let log = fairlead.log();
    let loud =
        |line: &&str| ["INFO", "WARN", "ERROR"].iter().any(|level| line.split_whitespace().nth(1) == Some(level));
    let lines: Vec<String> = log.lines().filter(loud).map(str::to_owned).collect();
    assert!(lines.iter().any(|line| line.contains("moved ")), "the update is told: {log}");
    lines
}

/// Asks for a reconcile, and waits until it has asked the registry.
async fn look(scene: &Scene, proxy: &FaultProxy) {
    let before = proxy.listings();
    scene.touch("web").await;
    eventually("the registry is asked again", Deadline::seconds(15), async || {
        let now = proxy.listings();
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_told_by_one_event_and_by_metrics() {
    let scene = Scene::new("quiet-events").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let fairlead = scene.start().await;

    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;
    scene.expect_tag("web", "1.0.1").await;
    expect_event(&scene, "1.0.1").await;
    scene.registry().push(&repository, "1.0.2", &Image::new("1.0.2")).await;
    scene.touch("web").await;
    scene.expect_tag("web", "1.0.2").await;
    expect_event(&scene, "1.0.2").await;
    scene.expect_settled("web").await;

    for tag in ["1.0.1", "1.0.2"] {
        let told = updates(&scene, tag).await;
        let mut objects: Vec<_> = told.iter().filter_map(|event| event.involved_object.kind.as_deref()).collect();
        objects.sort_unstable();
        assert_eq!(objects, ["Application", "ImageUpdatePolicy"], "one each: {told:#?}");
        assert!(told.iter().all(|event| event.count.unwrap_or(1) <= 1 && event.series.is_none()), "{told:#?}");
    }
    let metrics = fairlead.page("/metrics").await;
    let families: Vec<&str> = metrics.lines().filter(|line| line.starts_with("# TYPE fairlead_")).collect();
    assert!(families.len() >= 3, "{families:#?}");
    assert!(!metrics.contains("1.0.2"), "labels never hold tags");
    for path in ["/livez", "/readyz"] {
        fairlead.page(path).await;
    }
}

/// The events that tell of an update to `tag`; the second update names the first one's tag, too, as what was there before.
async fn updates(scene: &Scene, tag: &str) -> Vec<k8s_openapi::api::core::v1::Event> {
    let mut events = scene.events().await;
    events.retain(|event| {
        let message = event.message.as_deref().unwrap_or_default();
        let newest = if message.contains("1.0.2") { "1.0.2" } else { "1.0.1" };
        event.reason.as_deref() == Some("Updated") && message.contains(tag) && newest == tag
    });
    events
}

async fn expect_event(scene: &Scene, tag: &str) {
    eventually(&format!("an event tells the update to {tag}"), Deadline::seconds(20), async || {
        if updates(scene, tag).await.is_empty() { Err(scene.events().await) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fairlead_ends_when_it_is_asked_to() {
    let scene = Scene::new("quiet-end").await;
    let mut fairlead = scene.start().await;
    let status = fairlead.stop().await;
    assert!(status.success(), "{status}\n{}", fairlead.log());
    assert_eq!(scene.writes().await, Vec::<AuditEntry>::new());
}
