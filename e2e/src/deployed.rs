//! The binary as a Deployment of the API server would run it, with this machine in the place of a kubelet.
//!
//! Arguments, variables and mounted files are those of the Deployment; the token is one of its ServiceAccount. Only what a machine
//! has once is moved: ports to free ones, paths of mounts to a folder of the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Secret, Volume};
use kube::{Api, Client};

use crate::fairlead::{CommandLine, Fairlead, Settings};
use crate::process::folder;
use crate::scene::Scene;

/// A Deployment that can be run.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The account that it runs as.
    pub account: String,
    settings: Settings,
}

impl Deployed {
    /// Reads a Deployment, and all that its Pod mounts.
    pub async fn read(scene: &Scene, namespace: &str, name: &str) -> Self {
        let deployments: Api<Deployment> = Api::namespaced(scene.client.clone(), namespace);
        let deployment = deployments.get(name).await.expect("the Deployment is there");
        let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a Deployment has Pods");
        let account = pod.service_account_name.clone().expect("the chart names the account");
        let container = pod.containers[0].clone();
        let mounts = mount(&scene.client, namespace, name, &pod, &container).await;
        let (kubeconfig, _) = scene.access_of(namespace, &account).await;
        let mut settings = Settings::new(namespace, kubeconfig, Vec::new());
        let arguments = container.args.unwrap_or_default();
        let arguments = arguments.iter().map(|argument| moved(argument, &mounts, &settings.listen)).collect();
        let variables = container.env.unwrap_or_default().into_iter();
        let environment =
            variables.map(|variable| (variable.name, moved_path(&variable.value.unwrap_or_default(), &mounts)));
        settings.command = Some(CommandLine { arguments, environment: environment.collect() });
        Self { account, settings }
    }

    /// Runs it, and waits until it is ready.
    pub async fn start(&self) -> Fairlead {
        Fairlead::start(self.settings.clone()).await
    }

    /// Runs it, ready or not.
    pub fn launch(&self) -> Fairlead {
        Fairlead::launch(self.settings.clone())
    }
}

/// Path in the Pod → folder on this machine.
type Mounts = BTreeMap<String, PathBuf>;

async fn mount(client: &Client, namespace: &str, name: &str, pod: &PodSpec, container: &Container) -> Mounts {
    let root = folder().join(format!("{namespace}-{name}-pod"));
    let mounts: Mounts = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| (mount.mount_path.clone(), root.join(&mount.name)))
        .collect();
    for volume in pod.volumes.iter().flatten() {
        let place = root.join(&volume.name);
        fs::create_dir_all(&place).expect("the temporary folder takes folders");
        for (file, bytes) in content(client, namespace, volume).await {
            // Files name each other by their paths in the Pod.
            let text = String::from_utf8(bytes).expect("what the chart mounts is text");
            write(&place.join(file), &moved_path(&text, &mounts), volume);
        }
    }
    mounts
}

async fn content(client: &Client, namespace: &str, volume: &Volume) -> BTreeMap<String, Vec<u8>> {
    if let Some(source) = &volume.config_map {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let map = maps.get_opt(&source.name).await.expect("ConfigMaps can be read");
        assert!(map.is_some() || source.optional == Some(true), "the ConfigMap `{}` is missing", source.name);
        let data = map.and_then(|map| map.data).unwrap_or_default();
        return data.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    }
    if let Some(source) = &volume.secret {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let secret = secrets.get(source.secret_name.as_deref().unwrap_or_default()).await.expect("the Secret is there");
        return secret.data.unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
    }
    assert!(volume.empty_dir.is_some(), "a kind of volume that the tests do not know: {volume:?}");
    BTreeMap::new()
}

fn write(path: &Path, text: &str, volume: &Volume) {
    fs::write(path, text).expect("the temporary folder takes files");
    let mode = volume.config_map.as_ref().and_then(|source| source.default_mode).unwrap_or(0o644);
    let mode = u32::try_from(mode).expect("a mode is not negative");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

fn moved(argument: &str, mounts: &Mounts, listen: &str) -> String {
    match argument.split_once("=0.0.0.0:") {
        Some(("--listen", _)) => format!("--listen={listen}"),
        Some((flag, _)) => format!("{flag}={}", crate::servers::free_address()),
        None => moved_path(argument, mounts),
    }
}

/// A text with each path of a mount, where one begins, led to this machine.
fn moved_path(text: &str, mounts: &Mounts) -> String {
    let mut text = text.to_owned();
    // `/tmp` is within every other place on this machine.
    for (path, place) in mounts.iter().filter(|(path, _)| *path != "/tmp") {
        text = text.replace(path.as_str(), place.to_str().expect("a readable name"));
    }
    if text == "/tmp" { mounts.get("/tmp").map_or(text, |place| place.display().to_string()) } else { text }
}
