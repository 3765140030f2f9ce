//! Applications with the annotations of argocd-image-updater, and the policies that are made of them.

use fairlead_e2e::scene::condition;
use fairlead_e2e::{AuditEntry, Configured, Deadline, Image, Scene, Unready, command_line, eventually};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

const PREFIX: &str = "argocd-image-updater.argoproj.io";
const GENERATED: &str = "fairlead.dev/generated-from";

/// Metadata with these annotations; keys stand without their prefix.
fn annotated(annotations: &[(&str, &str)]) -> Value {
    let annotations: serde_json::Map<String, Value> =
        annotations.iter().map(|(key, value)| (format!("{PREFIX}/{key}"), json!(value))).collect();
    json!({ "annotations": annotations })
}

async fn annotate(scene: &Scene, application: &str, key: &str, value: Option<&str>) {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
    let patched = scene.applications().patch(application, &PatchParams::default(), &patch).await;
    patched.expect("an Application can be annotated");
}

/// The same policy by the name `converted`.
fn renamed(policy: &Value) -> Value {
    let mut policy = policy.clone();
    policy["metadata"]["name"] = json!("converted");
    policy
}

/// The policies of the scene, sorted by name, once there are as many as expected.
async fn expect_policies(scene: &Scene, names: &[&str]) -> Vec<DynamicObject> {
    eventually(&format!("the policies are {names:?}"), Deadline::seconds(20), async || {
        let mut found = scene.raw_policies().list(&kube::api::ListParams::default()).await.expect("a list").items;
        found.sort_by_key(ResourceExt::name_any);
        let is: Vec<String> = found.iter().map(ResourceExt::name_any).collect();
        if is == names { Ok(found) } else { Err(is) }
    })
    .await
}

async fn expect_event(scene: &Scene, application: &str, reason: &str, says: &str) {
    eventually(&format!("`{reason}` is told on `{application}`"), Deadline::seconds(20), async || {
        let events = scene.events().await;
        let said: Vec<_> = events
            .into_iter()
            .filter(|event| event.involved_object.name.as_deref() == Some(application))
            .filter(|event| event.involved_object.kind.as_deref() == Some("Application"))
            .map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
            .collect();
        let told = said.iter().any(|(word, message)| word == reason && message.contains(says));
        if told { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_follows_its_annotations_and_goes_with_them() {
    let scene = Scene::new("annotations-follow").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.2", "1.1.0", "1.2.0"]).await;
    let list = |constraint: &str| format!("web={image}:{constraint}");
    let metadata = annotated(&[("image-list", &list("~1.0"))]);
    scene.application_with("web", &metadata, Scene::helm(&image, "1.0.0")).await;
    let fairlead = scene.start().await;
    scene.expect_tag("web", "1.0.2").await;
    let key = format!("{PREFIX}/image-list");

    annotate(&scene, "web", &key, Some(&list("~1.1"))).await;
    scene.expect_tag("web", "1.1.0").await;
    annotate(&scene, "web", &format!("{PREFIX}/web.allow-tags"), Some("regexp:(")).await;
    let says = [key.replace("image-list", "web.allow-tags")];
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    scene.expect_unready("web", Unready { reason: "InvalidPattern", stalled: true, says: &says }).await;
    expect_event(&scene, "web", "InvalidPattern", says[0]).await;
    annotate(&scene, "web", &key, Some(&list("~1.2"))).await;
    scene.expect_unready("web", Unready { reason: "InvalidPattern", stalled: true, says: &says }).await;
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.1.0"));
    annotate(&scene, "web", &format!("{PREFIX}/web.allow-tags"), None).await;
    scene.expect_tag("web", "1.2.0").await;
    scene.expect_ready("web").await;

    annotate(&scene, "web", &key, None).await;
    expect_policies(&scene, &[]).await;
    annotate(&scene, "web", &format!("{PREFIX}/web.update-strategie"), Some("semver")).await;
    expect_event(&scene, "web", "UnreadSetting", "update-strategie").await;
    eventually("the metric tells", Deadline::seconds(20), async || {
        let page = fairlead.page("/metrics").await;
        let line = format!("fairlead_unread_annotations{{namespace=\"{}\"}} 1", scene.namespace);
        if page.contains(&line) { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_wrote_stays_and_wins() {
    let scene = Scene::new("annotations-person").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.2", "1.1.0"]).await;
    // It has the name that the generated one would have.
    scene.policy("web", json!({"applications": [{"name": "other"}], "images": [{"image": image}]})).await;
    let persons = scene.read_policy("web").await;
    let metadata = annotated(&[("image-list", &format!("app={image}:~1.0"))]);
    scene.application_with("web", &metadata, Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;
    scene.expect_tag("web", "1.0.2").await;
    let policies = eventually("there are two policies", Deadline::seconds(20), async || {
        let found = scene.raw_policies().list(&kube::api::ListParams::default()).await.expect("a list").items;
        if found.len() == 2 { Ok(found) } else { Err(found.len()) }
    })
    .await;
    let generated = policies.iter().find(|policy| policy.labels().contains_key(GENERATED)).expect("a generated one");
    let generated = generated.name_any();
    assert!(generated.starts_with("web-"), "{generated}");
    let now = scene.read_policy("web").await;
    assert_eq!((now.spec, now.metadata.uid), (persons.spec, persons.metadata.uid));

    // Younger, and yet it goes before the generated one.
    scene.policy("ours", json!({"applications": [{"name": "web"}], "images": [{"image": image}]})).await;
    scene.expect_tag("web", "1.1.0").await;
    scene
        .expect_policy(&generated, "it says that it is superseded", Deadline::seconds(20), |policy| {
            condition(policy, "Ready")
                .is_some_and(|(_, reason, message)| reason == "Superseded" && message.contains("`ours`"))
        })
        .await;
    expect_event(&scene, "web", "Superseded", "`ours`").await;
    scene.raw_policies().delete("ours", &DeleteParams::default()).await.expect("it can be deleted");
    scene
        .expect_policy(&generated, "it acts again", Deadline::seconds(20), |policy| {
            condition(policy, "Ready").is_some_and(|(_, reason, _)| reason != "Superseded")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_policy_is_a_persons_own() {
    let scene = Scene::new("annotations-detach").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let list = format!("app={image}:~1.0");
    scene.application_with("web", &annotated(&[("image-list", &list)]), Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;
    scene.expect_tag("web", "1.0.1").await;

    let patch = Patch::Merge(json!({"metadata": {"annotations": {"fairlead.dev/detach": "true"}}}));
    scene.raw_policies().patch("web", &PatchParams::default(), &patch).await.expect("it can be annotated");
    eventually("nothing says any more that it was generated", Deadline::seconds(20), async || {
        let policy = scene.raw_policies().get("web").await.expect("the policy");
        let keys: Vec<_> = policy.annotations().keys().filter(|key| key.starts_with("fairlead.dev/")).collect();
        if policy.labels().is_empty() && policy.owner_references().is_empty() && keys.is_empty() {
            Ok(())
        } else {
            Err(policy.metadata.clone())
        }
    })
    .await;
    // With the annotations still there no second one is made, and it is told why.
    expect_event(&scene, "web", "Superseded", "`web`").await;
    annotate(&scene, "web", &format!("{PREFIX}/image-list"), None).await;
    scene.registry().push(&repository, "1.0.2", &Image::new("1.0.2")).await;
    scene.touch("web").await;
    scene.expect_tag("web", "1.0.2").await;
    expect_policies(&scene, &["web"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_goes_with_its_application() {
    let scene = Scene::new("annotations-gone").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let metadata = annotated(&[("image-list", &image)]);
    scene.application_with("web", &metadata, Scene::helm(&image, "1.0.0")).await;
    let _fairlead = scene.start().await;
    scene.expect_tag("web", "1.0.1").await;

    scene.applications().delete("web", &DeleteParams::default()).await.expect("it can be deleted");
    expect_policies(&scene, &[]).await;
    // Another object of the same name has a policy of its own.
    let again = scene.application_with("web", &metadata, Scene::helm(&image, "1.0.0")).await;
    let [policy] = expect_policies(&scene, &["web"]).await.try_into().expect("one policy");
    assert_eq!(Some(&policy.owner_references()[0].uid), again.metadata.uid.as_ref());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_are_left_alone_where_told() {
    let scene = Scene::new("annotations-off").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let metadata = annotated(&[("image-list", &image)]);
    scene.application_with("web", &metadata, Scene::helm(&image, "1.0.0")).await;
    let mut labelled = metadata.clone();
    labelled["labels"] = json!({"team": "web"});
    scene.application_with("labelled", &labelled, Scene::helm(&image, "1.0.0")).await;
    let environment = vec![("FAIRLEAD_ANNOTATIONS", "off".to_owned())];
    let mut fairlead = scene.start_configured(&[], Configured { environment, ..Configured::default() }).await;

    expect_event(&scene, "web", "UnreadSetting", "--annotations=on").await;
    expect_policies(&scene, &[]).await;
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));

    fairlead.stop().await;
    let environment = vec![("FAIRLEAD_ANNOTATIONS_SELECTOR", "team=web".to_owned())];
    let _fairlead = scene.start_configured(&[], Configured { environment, ..Configured::default() }).await;
    scene.expect_tag("labelled", "1.0.1").await;
    expect_policies(&scene, &["labelled"]).await;
    assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_updaters_are_read_once_their_definition_is_there() {
    let scene = Scene::new("annotations-updaters").await;
    let image = scene.image("app");
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    let environment = vec![("FAIRLEAD_IMAGE_UPDATERS", "on".to_owned())];
    let mut fairlead = scene.start_configured(&[], Configured { environment, ..Configured::default() }).await;
    eventually("the log says what is missing", Deadline::seconds(20), async || {
        let log = fairlead.log();
        if log.contains("the API server knows no ImageUpdaters") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(fairlead.runs());

    let definitions =
        ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("imageupdaters.{PREFIX}")},
        "spec": {
            "group": PREFIX, "scope": "Namespaced",
            "names": {"kind": "ImageUpdater", "plural": "imageupdaters", "listKind": "ImageUpdaterList"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    let definition: DynamicObject = serde_json::from_value(definition).expect("an object");
    let all: Api<DynamicObject> = Api::all_with(scene.client.clone(), &definitions);
    all.create(&kube::api::PostParams::default(), &definition).await.expect("the definition is taken");
    let updaters = ApiResource::from_gvk(&GroupVersionKind::gvk(PREFIX, "v1alpha1", "ImageUpdater"));
    let updaters: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &scene.namespace, &updaters);
    let updater = json!({
        "apiVersion": format!("{PREFIX}/v1alpha1"), "kind": "ImageUpdater", "metadata": {"name": "all"},
        "spec": {"applicationRefs": [{"namePattern": "web*", "images": [{"alias": "app", "imageName": image}]}]},
    });
    let updater: DynamicObject = serde_json::from_value(updater).expect("an object");
    eventually("an ImageUpdater is taken", Deadline::seconds(20), async || {
        updaters.create(&kube::api::PostParams::default(), &updater).await.map_err(|error| error.to_string())
    })
    .await;

    scene.expect_parameter("web", "image.tag", "1.0.1", std::time::Duration::from_secs(60)).await;
    let [policy] = expect_policies(&scene, &["all"]).await.try_into().expect("one policy");
    assert_eq!(policy.labels().get(GENERATED).map(String::as_str), Some("imageupdater"));
    let words = ["convert", "--from", "imageupdater", "--namespace", &scene.namespace];
    let converted = fairlead_e2e::helm::objects(&command_line(&scene.administrator, &words));
    assert_eq!(converted.len(), 1);
    let mut dry_run = PatchParams::apply("kubectl").force();
    dry_run.dry_run = true;
    let taken = scene.raw_policies().patch("converted", &dry_run, &Patch::Apply(&renamed(&converted[0]))).await;
    let taken = taken.expect("the API server takes what is printed");
    assert_eq!(taken.data["spec"]["images"], converted[0]["spec"]["images"]);
    updaters.delete("all", &DeleteParams::default()).await.expect("it can be deleted");
    eventually("its policy is gone", Deadline::seconds(60), async || {
        match scene.raw_policies().get_opt("all").await.expect("it can be asked for") {
            None => Ok(()),
            Some(policy) => Err(policy.metadata),
        }
    })
    .await;
}
