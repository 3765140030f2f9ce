//! Applications reached through Argo CD's own API, with a key of an account that has few rights.

use fairlead_e2e::argocd::{Account, Stage};
use fairlead_e2e::{AuditEntry, Configured, Image, Unready};
use serde_json::json;

use crate::{git_policy, policy};

/// Fairlead with Argo CD's API in the place of Kubernetes', for Applications.
async fn by_api(stage: &Stage, account: Account) -> Configured {
    let arguments =
        ["--applications-api", "argocd", "--argocd-plaintext", "--argocd-server-addr", &stage.argocd.address];
    let token = stage.argocd.api_key(account).await;
    Configured {
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: vec![("ARGOCD_TOKEN", token)],
        ..Configured::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_written_through_argo_cd_runs_in_pods() {
    let stage = Stage::new("api-direct").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let source = stage.chart(&[("image.name", &stage.image()), ("replicas", "2"), ("image.tag", "1.0.0")]);
    stage.application("web", source).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 2).await;
    let before = stage.expect_healthy("web").await;
    let configured = by_api(&stage, Account::Updater).await;
    let token = configured.environment[0].1.clone();
    let fairlead = stage.start_configured(configured).await;

    stage.scene.policy("web", policy("web", &stage, json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 2).await;
    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 2).await;
    stage.expect_rollout("web", "Healthy").await;

    let mut expected = before["spec"].clone();
    expected["source"]["helm"]["parameters"][2]["value"] = json!("1.0.2");
    assert_eq!(stage.expect_healthy("web").await["spec"], expected);
    let writes = stage.scene.writes().await;
    assert!(!writes.iter().any(AuditEntry::of_application), "Kubernetes was asked: {writes:#?}");
    assert!(!fairlead.log().contains(&token), "the token stands in the log");

    // A person takes it back by Argo CD's API as by any other.
    let back = json!([{"op": "replace", "path": "/spec/source/helm/parameters/2/value", "value": "1.0.1"}]);
    stage.patch_application("web", back).await;
    stage.expect_reason("web", "RolledBackByHand").await;
    stage.look(&fairlead, "web").await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_may_only_read_writes_to_git_and_nowhere_else() {
    let stage = Stage::new("api-reader").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("direct", stage.plain_chart()).await;
    stage.application("committed", stage.source("chart", json!({}))).await;
    for name in ["direct", "committed"] {
        stage.expect_running(name, &stage.tagged("1.0.0"), 1).await;
    }
    let configured = by_api(&stage, Account::Reader).await;
    let _fairlead = stage.start_configured(configured).await;

    stage.scene.policy("direct", policy("direct", &stage, json!({}))).await;
    let git = json!({"target": "HelmValues", "refresh": false});
    stage.scene.policy("committed", git_policy("committed", &stage, json!({}), git)).await;

    let denied = Unready { reason: "WriteDenied", stalled: true, says: &["update"] };
    stage.scene.expect_unready("direct", denied).await;
    stage.repository.expect("chart/values.yaml", "1.0.1").await;
    stage.refresh("committed").await;
    stage.expect_running("committed", &stage.tagged("1.0.1"), 1).await;
    stage.expect_running("direct", &stage.tagged("1.0.0"), 1).await;
}
