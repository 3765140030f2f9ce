//! The chart installed on the real API server, and the binary run as its Deployment says, with its rights and no others.

use fairlead_e2e::scene::condition;
use fairlead_e2e::{Deadline, Deployed, Helm, Scene, Unready, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::chart::ValueSet;

const LOGIN: &str = "#!/bin/sh\necho puller:open sesame\n";

/// The registries of the tests, the closed one with a login by a script.
fn registries(scene: &Scene) -> Value {
    let entry =
        |name: &str, address: &str| json!({"name": name, "prefix": address, "api_url": format!("http://{address}")});
    let mut closed = entry("closed", &scene.closed_registry().address);
    closed["credentials"] = json!("ext:/scripts/login.sh");
    closed["credsexpire"] = json!("1h");
    json!([entry("open", &scene.registry().address), closed])
}

fn policy(image: &str) -> Value {
    json!({
        "interval": "1m", "applications": [{"name": "web"}],
        "images": [{"alias": "web", "image": image, "constraint": "~1.0", "target": {"helm": {"name": "image.name", "tag": "image.tag"}}}],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installed_chart_updates_an_application_and_leaves_policies_when_it_goes() {
    let scene = Scene::new("chart-own").await;
    let helm = Helm::with_cluster(&scene.administrator);
    let values = json!({
        "config": {"registries": registries(&scene)},
        "authScripts": {"enabled": true, "scripts": {"login.sh": LOGIN}},
        "serviceAccount": {"name": "argocd-image-updater"},
    });
    // The tests brought the definition; the release takes it over.
    let said = helm.install("updater", &scene.namespace, &values, &["--take-ownership"]);
    assert!(said.contains("Fairlead looks after chart-own."), "{said}");
    let image = format!("{}/{}", scene.closed_registry().address, scene.repository("web"));
    scene.closed_registry().push_all(&scene.repository("web"), &["1.0.0", "1.0.1", "1.1.0"]).await;
    scene.application("web", Scene::helm(&image, "1.0.0")).await;
    scene.policy("web", policy(&image)).await;

    let deployed = Deployed::read(&scene, &scene.namespace, "updater-fairlead").await;
    assert_eq!(deployed.account, "argocd-image-updater");
    let mut fairlead = deployed.start().await;
    scene.expect_tag("web", "1.0.1").await;
    scene.expect_ready("web").await;
    assert!(fairlead.stop().await.success());

    let (_, client) = scene.access_of(&scene.namespace, &deployed.account).await;
    let elsewhere: Api<Secret> = Api::namespaced(client.clone(), "default");
    assert_forbidden(elsewhere.list(&ListParams::default()).await);
    assert_forbidden(Api::<Secret>::all(client.clone()).list(&ListParams::default()).await);
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
    let applications: Api<DynamicObject> = Api::namespaced_with(client, &scene.namespace, &resource);
    assert_forbidden(applications.delete("web", &kube::api::DeleteParams::default()).await);
    assert_eq!(of_release::<ClusterRole>(&Api::all(scene.client.clone()), "updater", "chart-own").await, 0);

    let said = helm.uninstall("updater", &scene.namespace);
    assert!(said.contains("[CustomResourceDefinition] imageupdatepolicies.fairlead.dev"), "{said}");
    let left = [
        of_release::<Role>(&scene.objects(), "updater", "").await,
        of_release::<RoleBinding>(&scene.objects(), "updater", "").await,
        of_release::<ConfigMap>(&scene.objects(), "updater", "").await,
        of_release::<Service>(&scene.objects(), "updater", "").await,
        of_release::<ServiceAccount>(&scene.objects(), "updater", "").await,
        of_release::<Deployment>(&scene.objects(), "updater", "").await,
    ];
    assert_eq!(left, [0; 6]);
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    let definition = definitions.get("imageupdatepolicies.fairlead.dev").await.expect("the definition is kept");
    assert_eq!(definition.metadata.deletion_timestamp, None);
    let policy = scene.read_policy("web").await;
    assert!(policy.metadata.deletion_timestamp.is_none() && policy.metadata.finalizers.is_none());
    let deleted = scene.raw_policies().delete("web", &kube::api::DeleteParams::default()).await;
    assert!(deleted.expect("a policy can be deleted").is_right(), "nothing holds a policy back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_of_its_own_serves_that_of_argo_cd() {
    let scene = Scene::new("chart-beside").await;
    let own = scene.another_namespace("own").await;
    let helm = Helm::with_cluster(&scene.administrator);
    let mut values =
        ValueSet::all().into_iter().find(|set| set.name == "other-namespace").expect("it is there").values();
    values["argocd"]["namespace"] = json!(scene.namespace);
    values["config"] = json!({"registries": [registries(&scene)[0]]});
    let said = helm.install("updater", &own, &values, &["--set", "crds.install=false"]);
    assert!(said.contains("copy Argo CD's there"), "{said}");
    scene.registry().push_all(&scene.repository("web"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&scene.image("web"), "1.0.0")).await;
    scene.policy("web", policy(&scene.image("web"))).await;
    let deployed = Deployed::read(&scene, &own, "updater-fairlead").await;
    let _fairlead = deployed.start().await;
    scene.expect_tag("web", "1.0.1").await;
    scene.expect_ready("web").await;
    let (_, client) = scene.access_of(&own, &deployed.account).await;
    assert_forbidden(Api::<Secret>::namespaced(client, &own).list(&ListParams::default()).await);
}

/// A verb that is taken away, of which kind, and what the policy says then.
struct Missing<'a> {
    name: &'a str,
    resource: &'a str,
    verbs: &'a [&'a str],
    says: Unready<'a>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_a_condition_of_the_policy() {
    let cases = [
        Missing {
            name: "patch",
            resource: "applications",
            verbs: &["patch"],
            says: Unready {
                reason: "WriteDenied",
                stalled: true,
                says: &["applications.argoproj.io \"web\" is forbidden"],
            },
        },
        Missing {
            name: "list",
            resource: "applications",
            verbs: &["list", "watch"],
            says: Unready { reason: "SourceUnavailable", stalled: false, says: &["the Applications", "forbidden"] },
        },
        Missing {
            name: "secrets",
            resource: "secrets",
            verbs: &["get", "list", "watch"],
            says: Unready { reason: "CredentialsUnavailable", stalled: true, says: &["docker-cred", "forbidden"] },
        },
    ];
    for case in cases {
        let scene = Scene::new(&format!("chart-no-{}", case.name)).await;
        let values = json!({"config": {"registries": [registries(&scene)[0]]}, "git": {"enabled": false}});
        let helm = Helm::with_cluster(&scene.administrator);
        helm.install("updater", &scene.namespace, &values, &["--set", "crds.install=false"]);
        take_away(&scene, &case).await;
        scene.pull_secret("docker-cred", &scene.closed_registry().docker_config()).await;
        scene.registry().push_all(&scene.repository("web"), &["1.0.0", "1.0.1"]).await;
        scene.application("web", Scene::helm(&scene.image("web"), "1.0.0")).await;
        let mut spec = policy(&scene.image("web"));
        if case.resource == "secrets" {
            spec["defaults"] = json!({"pullSecret": {"name": "docker-cred"}});
        }
        scene.policy("web", spec).await;
        let mut fairlead = Deployed::read(&scene, &scene.namespace, "updater-fairlead").await.launch();
        scene.expect_unready_by("web", case.says, Deadline::seconds(60)).await;
        assert!(fairlead.runs(), "{}", fairlead.log());
        assert_eq!(scene.parameter("web", "image.tag").await.as_deref(), Some("1.0.0"));
    }
}

async fn take_away(scene: &Scene, case: &Missing<'_>) {
    let roles: Api<Role> = scene.objects();
    let name = format!("{}-updater-fairlead", scene.namespace);
    let mut role = roles.get(&name).await.expect("the chart made it");
    for rule in role
        .rules
        .iter_mut()
        .flatten()
        .filter(|rule| rule.resources.iter().flatten().any(|found| found == case.resource))
    {
        rule.verbs.retain(|verb| !case.verbs.contains(&verb.as_str()));
    }
    role.rules.iter_mut().for_each(|rules| rules.retain(|rule| !rule.verbs.is_empty()));
    roles.replace(&name, &PostParams::default(), &role).await.expect("a Role can be changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_cannot_be_written_is_told_in_the_log_and_nothing_breaks() {
    let scene = Scene::new("chart-no-status").await;
    let values = json!({"config": {"registries": [registries(&scene)[0]]}});
    Helm::with_cluster(&scene.administrator).install(
        "updater",
        &scene.namespace,
        &values,
        &["--set", "crds.install=false"],
    );
    let says = Unready { reason: "", stalled: false, says: &[] };
    take_away(&scene, &Missing { name: "", resource: "imageupdatepolicies/status", verbs: &["patch"], says }).await;
    scene.registry().push_all(&scene.repository("web"), &["1.0.0", "1.0.1"]).await;
    scene.application("web", Scene::helm(&scene.image("web"), "1.0.0")).await;
    scene.policy("web", policy(&scene.image("web"))).await;
    let mut fairlead = Deployed::read(&scene, &scene.namespace, "updater-fairlead").await.start().await;
    eventually("the log tells of it", Deadline::seconds(30), async || {
        if fairlead.log().contains("cannot write the status") { Ok(()) } else { Err("it does not") }
    })
    .await;
    assert!(fairlead.runs());
    assert!(condition(&scene.read_policy("web").await, "Ready").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_set_of_values_is_taken_by_the_api_server() {
    let scene = Scene::new("chart-sets").await;
    let helm = Helm::with_cluster(&scene.administrator);
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    for name in ["argocd", "fairlead", "team-a", "team-b"] {
        let object = Namespace {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        namespaces.create(&PostParams::default(), &object).await.expect("a namespace can be made");
    }
    let mut installed = Vec::new();
    for set in ValueSet::all() {
        // Kinds that this API server does not know: those of the Prometheus operator and of the Gateway API.
        let mut values = set.values();
        let unknown_kinds = [
            ("/metrics/serviceMonitor", "monitoring"),
            ("/metrics/prometheusRule", "monitoring"),
            ("/route", "webhook-route"),
        ];
        for (path, unknown) in unknown_kinds {
            if let Some(part) = values.pointer_mut(path) {
                assert_eq!(set.name, unknown);
                part["enabled"] = json!(false);
            }
        }
        helm.install("sets", &set.namespace, &values, &["--set", "crds.install=false"]);
        if set.name == "cluster" {
            let roles: Api<ClusterRole> = Api::all(scene.client.clone());
            let bindings: Api<ClusterRoleBinding> = Api::all(scene.client.clone());
            assert_eq!((of_release(&roles, "sets", "").await, of_release(&bindings, "sets", "").await), (1, 1));
        }
        helm.uninstall("sets", &set.namespace);
        installed.push(set.name);
    }
    assert!(installed.len() >= 10, "{installed:?}");
    let deployments: Api<Deployment> = Api::all(scene.client.clone());
    assert_eq!(of_release(&deployments, "sets", "").await, 0);
}

/// How many objects of a kind a release has; `part` is in their names.
async fn of_release<K>(api: &Api<K>, release: &str, part: &str) -> usize
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let selector = ListParams::default().labels(&format!("app.kubernetes.io/instance={release}"));
    let found = api.list(&selector).await.expect("objects can be listed").items;
    found.iter().filter(|object| object.meta().name.as_deref().unwrap_or_default().contains(part)).count()
}

fn assert_forbidden<T: std::fmt::Debug>(answer: kube::Result<T>) {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => {}
        other => panic!("this must be forbidden: {other:?}"),
    }
}
