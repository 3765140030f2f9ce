//! Two replicas: one acts, the other is ready to, and what both write together is what one would have written.

use std::time::{Duration, Instant};

use fairlead_e2e::{AuditEntry, Configured, Deadline, Fairlead, Fault, FaultProxy, Image, Scene, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

const APPLICATIONS: usize = 12;

/// Replicas of one scope; `lease`, `renew` and `retry` are durations.
fn replica(scene: &Scene, name: &'static str, times: [&str; 3]) -> Configured {
    let [lease, renew, retry] = times;
    let arguments = [
        "--leader-elect".to_owned(),
        format!("--lease-namespace={}", scene.namespace),
        format!("--lease-duration={lease}"),
        format!("--renew-deadline={renew}"),
        format!("--retry-period={retry}"),
    ];
    Configured { arguments: arguments.into(), name, ..Configured::default() }
}

/// Times that are as short as a busy machine allows.
const SHORT: [&str; 3] = ["4s", "3s", "300ms"];

async fn expect_leader(replica: &Fairlead, what: &str, allowed: Duration) {
    eventually(what, Deadline::after(allowed), async || {
        let tail = || replica.log().lines().rev().take(5).map(str::to_owned).collect::<Vec<_>>();
        if replica.leads().await { Ok(()) } else { Err(tail()) }
    })
    .await;
}

/// Applications, a policy for all of them, and two replicas, of which the first leads.
async fn pair(name: &str, times: [&str; 3]) -> (Scene, Fairlead, Fairlead) {
    let scene = Scene::new(name).await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0"]).await;
    for number in 0..APPLICATIONS {
        scene.application(&format!("web-{number}"), Scene::helm(&scene.image("app"), "1.0.0")).await;
    }
    let image = json!({"image": scene.image("app")});
    scene.policy("web", json!({"interval": "10s", "applications": [{"name": "web-*"}], "images": [image]})).await;
    let first = scene.start_configured(&[], replica(&scene, "-first", times)).await;
    expect_leader(&first, "the first replica leads", Duration::from_secs(20)).await;
    let second = scene.start_configured(&[], replica(&scene, "-second", times)).await;
    scene.expect_settled("web").await;
    assert!(!second.leads().await, "there is one leader");
    (scene, first, second)
}

async fn push(scene: &Scene, tag: &str) {
    scene.registry().push(&scene.repository("app"), tag, &Image::new(tag)).await;
    scene.touch("web").await;
}

async fn expect_all(scene: &Scene, tag: &str) {
    for number in 0..APPLICATIONS {
        scene.expect_parameter(&format!("web-{number}"), "image.tag", tag, Duration::from_secs(30)).await;
    }
}

/// Each Application was written `times` times, by whomever.
async fn expect_writes(scene: &Scene, times: i64) {
    let expected = (0..APPLICATIONS).map(|number| (format!("web-{number}"), times)).collect();
    assert_eq!(scene.changes().await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_killed_is_followed_within_its_lease() {
    let (scene, mut first, second) = pair("ha-killed", SHORT).await;
    push(&scene, "1.0.1").await;
    // Wherever it is with the Applications by now.
    scene.expect_parameter("web-3", "image.tag", "1.0.1", Duration::from_secs(20)).await;
    first.kill();
    let killed = Instant::now();

    expect_leader(&second, "the second replica takes over", Duration::from_secs(15)).await;
    let took = killed.elapsed();
    expect_all(&scene, "1.0.1").await;
    push(&scene, "1.0.2").await;
    expect_all(&scene, "1.0.2").await;
    scene.expect_ready("web").await;

    assert!(took < Duration::from_secs(8), "a lease of 4 s was taken over after {took:?}");
    expect_writes(&scene, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_frozen_past_its_lease_writes_nothing() {
    let (scene, first, second) = pair("ha-frozen", SHORT).await;
    first.freeze();
    expect_leader(&second, "the second replica takes over", Duration::from_secs(15)).await;
    push(&scene, "1.0.1").await;
    expect_all(&scene, "1.0.1").await;
    scene.expect_settled("web").await;
    push(&scene, "1.0.2").await;
    // While one writes, the other one wakes up in its own past, with the same work in its hands.
    first.thaw();
    expect_all(&scene, "1.0.2").await;
    scene.expect_settled("web").await;

    eventually("the first replica knows that it does not lead", Deadline::seconds(10), async || {
        let knows = first.log().contains("this replica does not lead any more");
        if knows && !first.leads().await { Ok(()) } else { Err(first.log()) }
    })
    .await;
    expect_leader(&second, "the second replica leads", Duration::from_secs(10)).await;
    expect_writes(&scene, 2).await;
    // A status that a person's annotation crosses is refused and written again; an Application is not to be tried at all.
    let failed = |write: &&AuditEntry| !write.done() && write.of_application();
    let refused: Vec<AuditEntry> = scene.writes().await.iter().filter(failed).cloned().collect();
    assert_eq!(refused, [], "nothing was tried either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_hands_over_at_once() {
    let (scene, mut first, second) = pair("ha-update", ["60s", "40s", "300ms"]).await;
    let asked = Instant::now();
    let status = first.stop().await;
    assert!(status.success(), "{status}\n{}", first.log());

    expect_leader(&second, "the second replica takes over", Duration::from_secs(20)).await;
    let took = asked.elapsed();
    push(&scene, "1.0.1").await;
    expect_all(&scene, "1.0.1").await;

    assert!(took < Duration::from_secs(15), "a lease of 60 s was handed over after {took:?}");
    expect_writes(&scene, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_stops_by_itself_and_stands_by_afterwards() {
    let scene = Scene::new("ha-cut").await;
    let line = FaultProxy::start(scene.api_server()).await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0"]).await;
    for number in 0..APPLICATIONS {
        scene.application(&format!("web-{number}"), Scene::helm(&scene.image("app"), "1.0.0")).await;
    }
    let image = json!({"image": scene.image("app")});
    scene.policy("web", json!({"interval": "10s", "applications": [{"name": "web-*"}], "images": [image]})).await;
    let kubeconfig = Some(scene.kubeconfig_through(&line.address));
    let behind = Configured { kubeconfig, ..replica(&scene, "-first", SHORT) };
    let first = scene.start_configured(&[], behind).await;
    expect_leader(&first, "the first replica leads", Duration::from_secs(20)).await;
    let second = scene.start_configured(&[], replica(&scene, "-second", SHORT)).await;
    scene.expect_settled("web").await;

    // A line that swallows everything is worse than one that is refused: nothing tells.
    line.set(Fault::Silent).await;
    eventually("the first replica stops by itself", Deadline::seconds(15), async || {
        if first.leads().await { Err(()) } else { Ok(()) }
    })
    .await;
    expect_leader(&second, "the second replica takes over", Duration::from_secs(15)).await;
    push(&scene, "1.0.1").await;
    expect_all(&scene, "1.0.1").await;
    line.set(Fault::Healthy).await;
    push(&scene, "1.0.2").await;
    expect_all(&scene, "1.0.2").await;
    scene.expect_ready("web").await;

    assert!(second.leads().await && !first.leads().await);
    expect_writes(&scene, 2).await;
    for path in ["/livez", "/readyz"] {
        first.page(path).await;
    }
}

/// What a replica calls itself, by its log.
fn identity(replica: &Fairlead) -> String {
    let log = replica.log();
    let said = log.split("identity=").nth(1).unwrap_or_else(|| panic!("no identity in: {log}"));
    said.trim_start_matches('"').split(['"', ' ', '\n']).next().unwrap_or_default().to_owned()
}

/// Gives the Lease to somebody by hand, with times of a clock that runs far off.
async fn crown(scene: &Scene, holder: &str, renewed: &str) {
    let leases: Api<Lease> = scene.objects();
    let spec = json!({"holderIdentity": holder, "renewTime": renewed, "acquireTime": renewed});
    let patch = Patch::Merge(json!({"spec": spec}));
    leases.patch("fairlead", &PatchParams::default(), &patch).await.expect("the administrator may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_given_to_another_by_hand_hands_over_and_its_clock_is_not_believed() {
    let (scene, first, second) = pair("ha-crowned", SHORT).await;
    push(&scene, "1.0.1").await;
    // In the middle of its work, and as if the next one's clock had jumped by decades.
    crown(&scene, &identity(&second), "2099-01-01T00:00:00.000000Z").await;
    expect_leader(&second, "the second replica takes over", Duration::from_secs(10)).await;
    expect_all(&scene, "1.0.1").await;
    crown(&scene, &identity(&first), "1970-01-01T00:00:00.000000Z").await;
    expect_leader(&first, "the first replica takes over again", Duration::from_secs(10)).await;
    eventually("the second replica stands by", Deadline::seconds(10), async || {
        if second.leads().await { Err(second.log()) } else { Ok(()) }
    })
    .await;
    push(&scene, "1.0.2").await;
    expect_all(&scene, "1.0.2").await;
    scene.expect_settled("web").await;
    expect_writes(&scene, 2).await;
}

/// Nobody elects: both act all the time, which is worse than anything that an election lets happen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_both_act_write_nothing_twice() {
    let scene = Scene::new("ha-both").await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0"]).await;
    for number in 0..APPLICATIONS {
        scene.application(&format!("web-{number}"), Scene::helm(&scene.image("app"), "1.0.0")).await;
    }
    let image = json!({"image": scene.image("app")});
    scene.policy("web", json!({"interval": "10s", "applications": [{"name": "web-*"}], "images": [image]})).await;
    let named = |name| Configured { name, ..Configured::default() };
    let first = scene.start_configured(&[], named("-first")).await;
    let second = scene.start_configured(&[], named("-second")).await;
    for tag in ["1.0.1", "1.0.2", "1.0.3"] {
        push(&scene, tag).await;
        expect_all(&scene, tag).await;
    }
    assert!(first.leads().await && second.leads().await);
    scene.expect_settled("web").await;
    expect_writes(&scene, 3).await;
}
