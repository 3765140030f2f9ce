//! Registries fail in every way, one policy says so, the others go on, and all heals by itself.

use std::time::Duration;

use fairlead_e2e::{Deadline, Fault, FaultProxy, Image, Scene, Unready};
use serde_json::json;

/// A fault and what its policy must say.
struct Case {
    name: &'static str,
    fault: Fault,
    reason: &'static str,
    stalled: bool,
}

const CASES: [Case; 8] = [
    Case { name: "refused", fault: Fault::Refused, reason: "RegistryUnreachable", stalled: false },
    Case { name: "unauthorized", fault: Fault::Unauthorized, reason: "RegistryDenied", stalled: true },
    Case { name: "not-found", fault: Fault::NotFound, reason: "RepositoryNotFound", stalled: true },
    Case { name: "too-many", fault: Fault::TooManyRequests, reason: "RateLimited", stalled: false },
    Case { name: "internal", fault: Fault::InternalError, reason: "RegistryFailed", stalled: false },
    Case { name: "silent", fault: Fault::Silent, reason: "RegistryTimeout", stalled: false },
    Case { name: "half-body", fault: Fault::HalfBody, reason: "RegistryTimeout", stalled: false },
    Case { name: "nonsense", fault: Fault::Nonsense, reason: "UnreadableAnswer", stalled: false },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_told_apart_and_heals_by_itself() {
    let scene = Scene::new("faults").await;
    let mut proxies = Vec::new();
    for case in &CASES {
        scene.registry().push_all(&scene.repository(case.name), &["1.0.0", "1.0.2"]).await;
        let proxy = FaultProxy::start(&scene.registry().address).await;
        let image = format!("{}/{}", proxy.address, scene.repository(case.name));
        scene.application(case.name, Scene::helm(&image, "1.0.0")).await;
        proxies.push((case, proxy, image));
    }
    scene.registry().push_all(&scene.repository("fine"), &["1.0.0", "1.0.2"]).await;
    scene.application("fine", Scene::helm(&scene.image("fine"), "1.0.0")).await;
    let addresses: Vec<&str> = proxies.iter().map(|(_, proxy, _)| proxy.address.as_str()).collect();
    let _fairlead = scene.start_with(&addresses).await;
    let spec = |name: &str, image: &str| json!({"interval": "10s", "applications": [{"name": name}], "images": [{"image": image}]});
    for (case, _, image) in &proxies {
        scene.policy(case.name, spec(case.name, image)).await;
    }
    scene.policy("fine", spec("fine", &scene.image("fine"))).await;
    for name in CASES.iter().map(|case| case.name).chain(["fine"]) {
        scene.expect_tag(name, "1.0.2").await;
        scene.expect_ready(name).await;
    }

    for (case, proxy, _) in &proxies {
        proxy.set(case.fault).await;
    }
    for name in CASES.iter().map(|case| case.name).chain(["fine"]) {
        scene.registry().push(&scene.repository(name), "1.0.3", &Image::new(name)).await;
        scene.touch(name).await;
    }

    scene.expect_tag("fine", "1.0.3").await;
    let deadline = Deadline::seconds(90);
    for (case, _, image) in &proxies {
        let unready = Unready { reason: case.reason, stalled: case.stalled, says: &[image] };
        let policy = scene.expect_unready_by(case.name, unready, deadline).await;
        let images = policy.status.expect("a status").images;
        assert_eq!(images[0].current.as_deref(), Some("1.0.2"), "{}: the choice made before stays", case.name);
        assert_eq!(scene.parameter(case.name, "image.tag").await.as_deref(), Some("1.0.2"), "{}", case.name);
    }
    scene.expect_ready("fine").await;

    for (_, proxy, _) in &proxies {
        proxy.set(Fault::Healthy).await;
    }
    for case in &CASES {
        scene.expect_parameter(case.name, "image.tag", "1.0.3", Duration::from_secs(90)).await;
        scene.expect_ready(case.name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_down_from_the_start_is_told_and_heals() {
    let scene = Scene::new("faults-start").await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let proxy = FaultProxy::start(&scene.registry().address).await;
    proxy.set(Fault::Refused).await;
    let image = format!("{}/{repository}", proxy.address);
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start_with(&[&proxy.address]).await;

    let spec = json!({"interval": "10s", "applications": [{"name": "web"}], "images": [{"image": image}]});
    scene.policy("web", spec).await;
    let unready = Unready { reason: "RegistryUnreachable", stalled: false, says: &[&image] };
    scene.expect_unready("web", unready).await;
    assert!(!scene.writes().await.iter().any(fairlead_e2e::AuditEntry::of_application));

    proxy.set(Fault::Healthy).await;
    scene.expect_parameter("web", "image.tag", "1.0.1", Duration::from_secs(60)).await;
    scene.expect_ready("web").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_is_never_asked_without_tls_unless_that_is_configured() {
    let scene = Scene::new("faults-tls").await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let proxy = FaultProxy::start(&scene.registry().address).await;
    let image = format!("{}/{repository}", proxy.address);
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;

    scene.policy("web", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;

    scene
        .expect_policy("web", "it is not ready, and names the repository", Deadline::seconds(60), |policy| {
            let ready = fairlead_e2e::scene::condition(policy, "Ready");
            ready.is_some_and(|(status, _, message)| status == "False" && message.contains(&image))
        })
        .await;
    let asked: Vec<String> = proxy.requests().into_iter().filter(|line| line.contains("/v2/")).collect();
    assert_eq!(asked, Vec::<String>::new());
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
}
