//! A registry tells of a push, and the policies concerned look at once.

use std::time::Duration;

use fairlead_e2e::{Configured, Deadline, FaultProxy, Image, Scene, eventually};
use serde_json::json;

const SECRET: &str = "canary-webhook-7d1e";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_taken_up_within_two_seconds_and_listed_once() {
    let scene = Scene::new("webhook-push").await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let proxy = FaultProxy::start(&scene.registry().address).await;
    let image = format!("{}/{repository}", proxy.address);
    let fairlead = scene.start_with_webhooks(&[&proxy.address], &[("generic", SECRET)]).await;
    for name in ["web", "api"] {
        scene.application(name, Scene::helm(&image, "1.0.0")).await;
        let spec = json!({"applications": [{"name": name}], "images": [{"image": image}], "interval": "1h"});
        scene.policy(name, spec).await;
    }
    for name in ["web", "api"] {
        scene.expect_tag(name, "1.0.1").await;
        scene.expect_settled(name).await;
    }
    let listings = proxy.listings();

    scene.registry().push(&repository, "1.1.0", &Image::new("1.1.0")).await;
    let event = json!({"image": format!("{image}:1.1.0")});
    assert_eq!(fairlead.webhook("generic", "guess", &event).await, 401);
    assert_eq!(fairlead.webhook("harbor", SECRET, &event).await, 401);
    let burst = (0..20).map(|_| fairlead.webhook("generic", SECRET, &event));
    assert_eq!(futures::future::join_all(burst).await, [202; 20]);

    scene.expect_parameter("web", "image.tag", "1.1.0", Duration::from_secs(2)).await;
    scene.expect_tag("api", "1.1.0").await;
    assert_eq!(proxy.listings(), listings + 1, "{:?}", proxy.requests());
    let writes = scene.writes().await;
    let asked: Vec<_> = writes.iter().filter(|write| write.resource == "imageupdatepolicies").collect();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert!(!fairlead.log().contains(SECRET), "a secret stands in the log");
    let page = fairlead.page("/metrics").await;
    assert!(page.contains(r#"fairlead_webhook_requests_total{outcome="accepted",source="generic"} 20"#), "{page}");
    assert!(page.contains(r#"fairlead_webhook_requests_total{outcome="refused",source="harbor"} 1"#), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_is_only_in_the_event_is_never_taken() {
    let scene = Scene::new("webhook-lie").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let fairlead = scene.start_with_webhooks(&[], &[("generic", SECRET)]).await;
    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;
    scene.expect_tag("web", "1.0.1").await;
    let before = scene.expect_settled("web").await.metadata.annotations;

    let lie = json!({"image": format!("{image}:9.9.9")});
    assert_eq!(fairlead.webhook("generic", SECRET, &lie).await, 202);
    eventually("the policy is asked to look", Deadline::seconds(15), async || {
        let now = scene.read_policy("web").await.metadata.annotations;
        if now == before { Err(now) } else { Ok(()) }
    })
    .await;
    scene.registry().push(&repository, "1.0.2", &Image::new("1.0.2")).await;
    scene.touch("web").await;

    scene.expect_tag("web", "1.0.2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_a_mirror_is_taken_up_where_it_stands_for_another_registry() {
    let scene = Scene::new("webhook-mirror").await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let host = &scene.registry().address;
    let registries = format!(
        "registries: [{{name: Mirror, api_url: 'http://{host}', prefix: '{host}', mirrorOf: upstream.example}}]"
    );
    let webhooks = vec![("generic", SECRET)];
    let configured = Configured { registries: Some(registries), webhooks, ..Configured::default() };
    let fairlead = scene.start_configured(&[], configured).await;
    let image = format!("upstream.example/{repository}");
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let spec = json!({"applications": [{"name": "web"}], "images": [{"image": image}], "interval": "1h"});
    scene.policy("web", spec).await;
    scene.expect_tag("web", "1.0.1").await;
    scene.expect_settled("web").await;

    scene.registry().push(&repository, "1.1.0", &Image::new("1.1.0")).await;
    let event = json!({"image": format!("{host}/{repository}:1.1.0")});
    assert_eq!(fairlead.webhook("generic", SECRET, &event).await, 202);

    scene.expect_parameter("web", "image.tag", "1.1.0", Duration::from_secs(5)).await;
}
