//! The harness itself: what the other tests stand on.

use fairlead_e2e::scene::chart_rules;
use fairlead_e2e::{Fault, FaultProxy, Image, Scene};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::test]
async fn the_registry_keeps_what_is_pushed() {
    let scene = Scene::new("harness-registry").await;
    let app = scene.repository("app");
    let several =
        Image::multi("1.1.0", &[("linux/amd64", "2026-01-01T00:00:00Z"), ("linux/arm64/v8", "2026-01-02T00:00:00Z")]);

    scene.registry().push_all(&app, &["1.0.0", "1.0.1"]).await;
    let digest = scene.registry().push(&app, "1.1.0", &several).await;
    scene.closed_registry().push(&app, "1.0.0", &Image::new("1.0.0")).await;

    assert_eq!(scene.registry().tags(&app).await, ["1.0.0", "1.0.1", "1.1.0"]);
    assert_eq!(digest, several.digest());
    assert_eq!(scene.closed_registry().tags(&app).await, ["1.0.0"]);
    let url = format!("http://{}/v2/{app}/tags/list", scene.closed_registry().address);
    let without_login = fairlead_e2e::http_client().get(url).send().await.expect("an answer");
    assert_eq!(without_login.status(), 401);
}

#[tokio::test]
async fn fairleads_account_may_do_what_the_chart_says_and_nothing_else() {
    let scene = Scene::new("harness-rights").await;
    let elsewhere = Scene::new("harness-rights-elsewhere").await;
    scene.application("web", Scene::helm("web", "1.0.0")).await;
    scene.pull_secret("pull", "{}").await;
    let client = &scene.fairlead_client;
    let resource = kube::api::ApiResource::erase::<fairlead::api::Application>(&());
    let applications: Api<DynamicObject> = Api::namespaced_with(client.clone(), &scene.namespace, &resource);
    let secrets = |namespace: &str| Api::<Secret>::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": {"labels": {"by": "fairlead"}}}));

    applications.patch("web", &PatchParams::default(), &patch).await.expect("Applications may be patched");
    secrets(&scene.namespace).get("pull").await.expect("Secrets of the namespace may be read");

    let refused = [
        secrets(&elsewhere.namespace).list(&ListParams::default()).await.err(),
        secrets("kube-system").list(&ListParams::default()).await.err(),
        secrets(&scene.namespace).create(&PostParams::default(), &Secret::default()).await.err(),
        applications.delete("web", &kube::api::DeleteParams::default()).await.err(),
    ];
    for cause in refused {
        let Some(kube::Error::Api(status)) = cause else { panic!("not refused: {cause:?}") };
        assert_eq!(status.code, 403, "{status:?}");
    }
}

#[test]
fn the_chart_asks_for_no_wildcard() {
    for rule in chart_rules() {
        let all = [Some(rule.verbs.clone()), rule.api_groups.clone(), rule.resources.clone()];
        assert!(!all.into_iter().flatten().flatten().any(|word| word.contains('*')), "{rule:?}");
        assert_eq!(rule.non_resource_urls, None);
    }
}

#[tokio::test]
async fn every_write_is_counted_once() {
    let scene = Scene::new("harness-audit").await;
    scene.application("web", Scene::helm("web", "1.0.0")).await;
    assert_eq!(scene.writes().await, []);
    let resource = kube::api::ApiResource::erase::<fairlead::api::Application>(&());
    let applications: Api<DynamicObject> =
        Api::namespaced_with(scene.fairlead_client.clone(), &scene.namespace, &resource);
    let patch = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"by": value}}}));

    applications.patch("web", &PatchParams::default(), &patch("one")).await.expect("patched");
    applications.patch("web", &PatchParams::default(), &patch("two")).await.expect("patched");
    applications.delete("web", &kube::api::DeleteParams::default()).await.expect_err("not allowed");

    let writes = scene.writes().await;
    let told: Vec<_> = writes.iter().map(|write| (write.verb.as_str(), write.resource.as_str(), write.code)).collect();
    assert_eq!(told, [("patch", "applications", 200), ("patch", "applications", 200), ("delete", "applications", 403)]);
}

#[tokio::test]
async fn a_policy_is_checked_by_the_api_server() {
    let scene = Scene::new("harness-admission").await;
    scene.policy("good", json!({"applications": [{"name": "web"}], "images": [{"image": "app"}]})).await;
    let refusal = scene.refused_policy("bad", json!({"applications": [], "images": [{"image": "app"}]})).await;
    assert!(refusal.contains("spec.applications"), "{refusal}");
    assert_eq!(scene.read_policy("good").await.spec.interval, "2m");
}

#[tokio::test]
async fn the_proxy_misbehaves_as_told_and_heals() {
    let scene = Scene::new("harness-proxy").await;
    let app = scene.repository("app");
    scene.registry().push_all(&app, &["1.0.0"]).await;
    let proxy = FaultProxy::start(&scene.registry().address).await;
    let url = format!("http://{}/v2/{app}/tags/list", proxy.address);
    let client = fairlead_e2e::http_client();
    let ask = async || {
        let answer = client.get(&url).timeout(std::time::Duration::from_millis(500)).send().await;
        match answer {
            Ok(answer) => (answer.status().as_u16(), answer.json::<serde_json::Value>().await.is_ok()),
            Err(cause) => (u16::from(cause.is_timeout()), false),
        }
    };

    assert_eq!(ask().await, (200, true));
    let expected = [
        (Fault::Refused, (0, false)),
        (Fault::Unauthorized, (401, true)),
        (Fault::NotFound, (404, true)),
        (Fault::TooManyRequests, (429, true)),
        (Fault::InternalError, (500, true)),
        (Fault::Silent, (1, false)),
        (Fault::HalfBody, (200, false)),
        (Fault::Nonsense, (200, false)),
        (Fault::Healthy, (200, true)),
    ];
    for (fault, answer) in expected {
        proxy.set(fault).await;
        assert_eq!(ask().await, answer, "{fault:?}");
    }
    assert_eq!(proxy.listings(), 9, "{:?}", proxy.requests());
}
