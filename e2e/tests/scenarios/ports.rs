//! The adapters that stand in for real ones elsewhere keep the same contract as the real ones here.

use std::sync::Arc;

use fairlead::adapters::clock::SystemClock;
use fairlead::adapters::kubernetes::{ApplicationIndex, KubernetesApplications, KubernetesSecrets};
use fairlead::adapters::oci::{RegistryClient, RegistrySettings};
use fairlead::model::SecretRef;
use fairlead::ports::{Clock, Secrets};
use fairlead_e2e::{Image, Scene};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::json;
use tokio::sync::mpsc;

#[path = "../../../tests/contract/mod.rs"]
mod contract;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_in_a_cluster_keep_the_contract() {
    let scene = Scene::new("contract-applications").await;
    let resource = ApiResource::erase::<fairlead::api::Application>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
    let manifest = serde_json::from_value(contract::manifest(&scene.namespace, "web")).expect("an object");
    api.create(&PostParams::default(), &manifest).await.expect("it can be created");
    let (changes, _changed) = mpsc::unbounded_channel();
    let index = ApplicationIndex::start(&scene.fairlead_client, &[Some(scene.namespace.clone())], &changes);
    let port = KubernetesApplications::new(scene.fairlead_client.clone(), index, &scene.namespace);
    contract::check(&port, &scene.namespace, "web").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_keeps_the_contract() {
    let scene = Scene::new("contract-registry").await;
    let (repository, image) = (scene.repository("app"), scene.image("app"));
    scene.registry().push(&repository, "1.0.0", &Image::new("1.0.0")).await;
    let settings =
        RegistrySettings { plain_http: vec![scene.registry().address.clone()], ..RegistrySettings::default() };
    let secrets = Arc::new(KubernetesSecrets::new(scene.fairlead_client.clone()));
    let client = RegistryClient::new(settings, secrets, Arc::new(SystemClock)).expect("a client");
    contract::check_registry(&client, &image, SystemClock.now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_where_the_account_may_and_nowhere_else() {
    let scene = Scene::new("contract-secrets").await;
    scene.pull_secret("login", &json!({ "auths": {} }).to_string()).await;
    let port = KubernetesSecrets::new(scene.fairlead_client.clone());
    let secret = |namespace: &str, name: &str| SecretRef { namespace: namespace.to_owned(), name: name.to_owned() };
    let found = port.read(&secret(&scene.namespace, "login")).await.expect("it may be read").expect("it exists");
    assert!(found.0.contains_key(".dockerconfigjson"));
    assert_eq!(format!("{found:?}"), "{\".dockerconfigjson\"}", "its content is not shown");
    assert_eq!(port.read(&secret(&scene.namespace, "missing")).await.expect("an answer"), None);
    assert!(port.read(&secret("kube-system", "login")).await.is_err());
}
