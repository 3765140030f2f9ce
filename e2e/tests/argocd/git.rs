//! Versions that are committed, and arrive in Pods because Argo CD reads the repository.

use std::time::{Duration, Instant};

use fairlead_e2e::argocd::{MAIN, Stage};
use fairlead_e2e::{Image, Unready};
use serde_json::json;

use crate::git_policy;

/// Commits by Fairlead on the first branch.
async fn commits(stage: &Stage) -> usize {
    stage.repository.messages().await.iter().filter(|message| message.contains("Fairlead-Policy: ")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_file_keeps_what_the_application_sets_itself() {
    let stage = Stage::new("git-override").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let source = stage.chart(&[("image.name", &stage.image()), ("replicas", "2"), ("image.tag", "1.0.0")]);
    stage.application("web", source).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 2).await;
    let before = stage.expect_healthy("web").await;
    let fairlead = stage.start().await;

    let asked = Instant::now();
    stage.scene.policy("web", git_policy("web", &stage, json!({}), json!({}))).await;
    // Argo CD takes the list of the file for the whole list: without the entry of the Application one Pod would be gone.
    stage.expect_running("web", &stage.tagged("1.0.1"), 2).await;
    assert!(asked.elapsed() < Duration::from_secs(20), "Argo CD was not asked to look: {:?}", asked.elapsed());

    let file = stage.repository.read(MAIN, "chart/.argocd-source-git-override_web.yaml").await.expect("the file");
    assert!(file.contains("replicas") && file.contains("1.0.1"), "{file}");
    let after = stage.expect_healthy("web").await;
    assert_eq!(after["spec"], before["spec"]);
    stage.expect_rollout("web", "Healthy").await;
    stage.look(&fairlead, "web").await;
    assert_eq!(commits(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_values_file_changes_in_one_place_and_runs() {
    let stage = Stage::new("git-values").await;
    stage.push(&["1.0.0", "1.0.1", "1.1.0"]).await;
    stage.application("web", stage.source("chart", json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let before = stage.repository.read(MAIN, "chart/values.yaml").await.expect("values");
    let fairlead = stage.start().await;

    let rule = json!({"constraint": "~1.0"});
    stage.scene.policy("web", git_policy("web", &stage, rule, json!({"target": "HelmValues"}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;

    let after = stage.repository.read(MAIN, "chart/values.yaml").await.expect("values");
    assert_eq!(after, before.replace("1.0.0", "1.0.1"));
    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 1).await;
    stage.expect_rollout("web", "Healthy").await;
    stage.look(&fairlead, "web").await;
    assert_eq!(commits(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kustomization_changes_in_one_place_and_runs() {
    let stage = Stage::new("git-kustomization").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("overlay", json!({}))).await;
    stage.expect_running_by("web-overlay", "web", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("web").await;
    let before = stage.repository.read(MAIN, "overlay/kustomization.yaml").await.expect("a kustomization");
    let _fairlead = stage.start().await;

    stage.scene.policy("web", git_policy("web", &stage, json!({}), json!({"target": "Kustomization"}))).await;
    stage.expect_running_by("web-overlay", "web", &stage.tagged("1.0.1"), 1).await;

    let after = stage.repository.read(MAIN, "overlay/kustomization.yaml").await.expect("a kustomization");
    assert_eq!(after, before.replace("1.0.0", "1.0.1"));
    assert_eq!(commits(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_plain_manifest_is_written_and_runs() {
    let stage = Stage::new("git-files").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("plain", json!({}))).await;
    stage.expect_running("plain", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("web").await;
    let before = stage.repository.read(MAIN, "plain/deployment.yaml").await.expect("a manifest");
    let _fairlead = stage.start().await;

    let keys = json!({"spec": "spec.template.spec.containers[name=app].image"});
    let target = json!({"target": {"file": {"path": "plain/deployment.yaml", "keys": keys}}});
    stage.scene.policy("web", git_policy("web", &stage, target, json!({"target": "Files"}))).await;
    stage.expect_running("plain", &stage.tagged("1.0.1"), 1).await;

    let after = stage.repository.read(MAIN, "plain/deployment.yaml").await.expect("a manifest");
    assert_eq!(after, before.replace("1.0.0", "1.0.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_values_file_of_another_source_is_found_by_its_name() {
    let stage = Stage::new("git-sources").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    let values = format!("image:\n  name: {}\n  tag: 1.0.0 # of production\n", stage.image());
    stage.repository.commit("Add production", &[("env/production.yaml", &values)]).await;
    let mut chart = stage.source("chart", json!({"helm": {"valueFiles": ["$env/env/production.yaml"]}}));
    chart["helm"]["releaseName"] = json!("web");
    let reference = json!({"repoURL": stage.repository.url(), "targetRevision": "main", "ref": "env"});
    let spec = json!({"sources": [chart, reference], "syncPolicy": {"automated": {}}});
    stage.application_of("web", spec).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let _fairlead = stage.start().await;

    let git = json!({"target": "HelmValues", "path": "$env/env/production.yaml"});
    stage.scene.policy("web", git_policy("web", &stage, json!({}), git)).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;

    let after = stage.repository.read(MAIN, "env/production.yaml").await.expect("values");
    assert_eq!(after, values.replace("1.0.0", "1.0.1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_applications_of_a_repository_share_a_commit() {
    let stage = Stage::new("git-together").await;
    stage.push(&["1.0.0"]).await;
    for name in ["web", "api"] {
        let parameters = [("image.name", stage.image()), ("image.tag", "1.0.0".to_owned())];
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        stage.application(name, stage.chart(&parameters)).await;
        stage.expect_running(name, &stage.tagged("1.0.0"), 1).await;
    }
    let _fairlead = stage.start().await;
    let mut spec = git_policy("web", &stage, json!({}), json!({}));
    spec["applications"] = json!([{"name": "web"}, {"name": "api"}]);
    stage.scene.policy("both", spec).await;
    stage.scene.expect_settled("both").await;

    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.scene.touch("both").await;
    for name in ["web", "api"] {
        stage.expect_running(name, &stage.tagged("1.0.1"), 1).await;
    }
    let messages = stage.repository.messages().await;
    assert_eq!(commits(&stage).await, 1, "{messages:#?}");
    assert!(messages[0].contains("Fairlead-Application: git-together/api"), "{messages:#?}");
    assert!(messages[0].contains("Fairlead-Application: git-together/web"), "{messages:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_a_person_reverts_stays_reverted_until_a_newer_version() {
    let stage = Stage::new("git-revert").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("chart", json!({}))).await;
    let before = stage.repository.read(MAIN, "chart/values.yaml").await.expect("values");
    let fairlead = stage.start().await;
    stage.scene.policy("web", git_policy("web", &stage, json!({}), json!({"target": "HelmValues"}))).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    stage.scene.expect_settled("web").await;

    stage.repository.commit("Revert", &[("chart/values.yaml", &before)]).await;
    stage.refresh("web").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.look(&fairlead, "web").await;
    stage.expect_reason("web", "RolledBackByHand").await;
    assert_eq!(commits(&stage).await, 1);

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 1).await;
    assert_eq!(commits(&stage).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_git_tells_argo_cd_of_pushes_nothing_else_has_to() {
    let stage = Stage::new("git-hook").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.repository.push_hook(&format!("http://{}/api/webhook", stage.argocd.address)).await;
    stage.application("web", stage.source("chart", json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.expect_healthy("web").await;
    let _fairlead = stage.start().await;

    let asked = Instant::now();
    let git = json!({"target": "HelmValues", "refresh": false});
    stage.scene.policy("web", git_policy("web", &stage, json!({}), git)).await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;

    assert!(asked.elapsed() < Duration::from_secs(20), "the webhook did not come: {:?}", asked.elapsed());
    let writes = stage.scene.writes().await;
    assert!(!writes.iter().any(fairlead_e2e::AuditEntry::of_application), "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_for_review_waits_for_a_person() {
    let stage = Stage::new("git-branch").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("chart", json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let before = stage.repository.read(MAIN, "chart/values.yaml").await.expect("values");
    let fairlead = stage.start().await;

    let git = json!({"target": "HelmValues", "writeBranch": "image-updates"});
    stage.scene.policy("web", git_policy("web", &stage, json!({}), git)).await;
    let message = stage.expect_reason("web", "AwaitingMerge").await;
    assert!(message.contains("image-updates"), "{message}");
    stage.look(&fairlead, "web").await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    let proposed = stage.repository.read("image-updates", "chart/values.yaml").await.expect("values");
    assert_eq!(proposed, before.replace("1.0.0", "1.0.1"));

    stage.repository.merge_branch("image-updates").await;
    stage.refresh("web").await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    stage.look(&fairlead, "web").await;
    stage.expect_reason("web", "UpToDate").await;
    assert_eq!(commits(&stage).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_branch_is_not_pushed_to_and_the_policy_says_so() {
    let stage = Stage::new("git-protected").await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("chart", json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage.repository.protect(MAIN).await;
    let _fairlead = stage.start().await;

    stage.scene.policy("web", git_policy("web", &stage, json!({}), json!({"target": "HelmValues"}))).await;
    let unready = Unready { reason: "GitPushRejected", stalled: true, says: &["protected branch main"] };
    stage.scene.expect_unready("web", unready).await;
    assert_eq!(commits(&stage).await, 0);

    stage.repository.unprotect(MAIN).await;
    stage.scene.touch("web").await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
}
