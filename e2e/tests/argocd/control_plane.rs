//! Applications, policies and Fairlead in the namespace of Argo CD, as most people have them; and the manifests of
//! docs/guides/migrate.md there.

use fairlead_e2e::argocd::{MAIN, NAMESPACE, Stage};
use fairlead_e2e::{Image, Registry};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::{git_policy, policy};

const GUIDE: &str = include_str!("../../../docs/guides/migrate.md");

/// The guide's Application of this name. Repository, registries and the namespace of the Deployment are those of the stage;
/// nothing else differs.
fn manifest(stage: &Stage, name: &str) -> Value {
    let mut blocks = GUIDE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains(&format!("name: {name}\n")));
    let repository = |registry: &Registry| format!("{}/{}", registry.address, stage.workloads);
    let text = block
        .unwrap_or_else(|| panic!("the guide shows no `{name}`"))
        .replace("registry.example.com", &repository(stage.scene.registry()))
        .replace("private.example.com", &repository(stage.scene.closed_registry()))
        .replace("https://git.example.com/fleet.git", &stage.repository.url())
        .replace("namespace: flask", &format!("namespace: {}", stage.workloads));
    serde_saphyr::from_str(&text).expect("the guide's manifests are YAML")
}

/// Pushes what the guide's Applications choose among, each built a day after the one before.
async fn push(stage: &Stage) {
    for registry in [stage.scene.registry(), stage.scene.closed_registry()] {
        for (day, tag) in (1..).zip(["1.0.0", "1.0.9", "1.0.2", "1.0.4", "1.0.5-rc1", "1.1.0", "2.1.0"]) {
            let image = Image::new(tag).built(&format!("2026-01-{day:02}T00:00:00Z"));
            registry.push(&format!("{}/flask-app", stage.workloads), tag, &image).await;
        }
    }
}

/// One test, for the namespace is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_argo_cd_policies_and_the_guides_own_manifests_run_in_pods() {
    let stage = Stage::in_control_plane("beside").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("beside-direct", stage.plain_chart()).await;
    let images = json!([stage.tagged("1.0.0"), "busybox:1.36"]);
    stage.application("beside-git", stage.source("kustomize", json!({"kustomize": {"images": images}}))).await;
    stage.expect_running("beside-direct", &stage.tagged("1.0.0"), 1).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let fairlead = stage.start().await;

    stage.scene.policy("beside-direct", policy("beside-direct", &stage, json!({}))).await;
    stage.scene.policy("beside-git", git_policy("beside-git", &stage, json!({}), json!({}))).await;
    stage.expect_running("beside-direct", &stage.tagged("1.0.1"), 1).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    let file = stage.repository.read(MAIN, "kustomize/.argocd-source-beside-git.yaml").await.expect("the file");
    assert!(file.contains("busybox:1.36"), "{file}");
    stage.expect_healthy("beside-git").await;

    the_guides_manifests(&stage).await;
    assert!(!fairlead.log().contains("open sesame"), "a password stands in the log");
}

async fn the_guides_manifests(stage: &Stage) {
    push(stage).await;
    stage.scene.pull_secret("docker-cred", &stage.scene.closed_registry().docker_config()).await;
    for file in ["Chart.yaml", "values.yaml", "templates/deployment.yaml"] {
        let content = stage.repository.read(MAIN, &format!("chart/{file}")).await.expect("the chart");
        stage.repository.commit("Add flask", &[(&format!("flask-app/{file}"), &content)]).await;
    }
    // The guide's Applications wait for a person to sync them, as long as nobody says otherwise.
    let closed = format!("{}/{}/flask-app", stage.scene.closed_registry().address, stage.workloads);
    let open = format!("{}/{}/flask-app", stage.scene.registry().address, stage.workloads);
    let administrator = stage.argocd.administrator().await;
    for (name, image) in [("flask-app", &open), ("flask-filtered", &closed), ("flask-git", &closed)] {
        let object: DynamicObject = serde_json::from_value(manifest(stage, name)).expect("an object");
        stage.scene.applications().create(&PostParams::default(), &object).await.expect("the API server takes it");
        administrator.sync(NAMESPACE, name).await;
        // Its first Pods may have the new version already.
        let tag = if name == "flask-filtered" { "1.0.2" } else { "1.0.4" };
        if name == "flask-git" {
            stage.repository.expect("flask-app/.argocd-source-flask-git.yaml", tag).await;
        } else {
            stage.scene.expect_tag(name, tag).await;
        }
        stage.expect_settled_operation(name).await;
        administrator.sync(NAMESPACE, name).await;
        stage.expect_running(name, &format!("{image}:{tag}"), 1).await;
        stage.expect_healthy(name).await;
    }
}
