//! Versions that come as pull requests of a real forge.

use fairlead::api::ImageStatus;
use fairlead_e2e::Image;
use fairlead_e2e::argocd::{MAIN, Stage};
use serde_json::{Value, json};

use crate::git_policy;

/// Pull requests that change the chart's values.
fn by_pull_request() -> Value {
    json!({
        "target": "HelmValues", "writeBranch": "image-updates",
        "pullRequest": {"provider": "Gitea", "labels": ["images"]},
    })
}

/// A stage whose only Application runs 1.0.0 from the chart's values.
async fn stage(name: &str) -> Stage {
    let stage = Stage::new(name).await;
    stage.push(&["1.0.0", "1.0.1"]).await;
    stage.application("web", stage.source("chart", json!({}))).await;
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merged_pull_request_runs_in_pods() {
    let stage = stage("pulls-merged").await;
    let fairlead = stage.start().await;
    stage.scene.policy("web", git_policy("web", &stage, json!({}), by_pull_request())).await;
    stage.expect_reason("web", "PullRequestOpen").await;
    let opened = stage.repository.expect_pull_request("it is open", |pull| pull.state == "open").await;
    assert!(opened.body.contains("1.0.1") && opened.branch == "image-updates", "{opened:?}");
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.look(&fairlead, "web").await;
    let updated = stage.repository.expect_pull_request("it brings 1.0.2", |pull| pull.body.contains("1.0.2")).await;
    assert_eq!((updated.number, updated.state.as_str()), (opened.number, "open"), "{updated:?}");
    assert_ne!(updated.commit, opened.commit);
    let proposed = stage.repository.read("image-updates", "chart/values.yaml").await.expect("values");
    assert!(proposed.contains("1.0.2"), "{proposed}");

    stage.repository.merge(updated.number).await;
    stage.refresh("web").await;
    stage.expect_running("web", &stage.tagged("1.0.2"), 1).await;
    stage.look(&fairlead, "web").await;
    stage.expect_reason("web", "UpToDate").await;
    assert_eq!(stage.repository.pull_requests().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pull_request_is_a_no_until_a_newer_version() {
    let stage = stage("pulls-closed").await;
    let fairlead = stage.start().await;
    stage.scene.policy("web", git_policy("web", &stage, json!({}), by_pull_request())).await;
    let opened = stage.repository.expect_pull_request("it is open", |pull| pull.state == "open").await;

    stage.repository.close(opened.number).await;
    stage.look(&fairlead, "web").await;
    stage.expect_reason("web", "PullRequestClosed").await;
    stage.look(&fairlead, "web").await;
    assert_eq!(stage.repository.pull_requests().await.len(), 1);
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    let next = stage.repository.expect_pull_request("there is another", |pull| pull.number != opened.number).await;
    assert!(next.body.contains("1.0.2") && next.state == "open", "{next:?}");
    let main = stage.repository.read(MAIN, "chart/values.yaml").await.expect("values");
    assert!(main.contains("1.0.0"), "{main}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_automatic_merge_is_made_as_the_policy_says_or_the_refusal_is_told() {
    let stage = stage("pulls-method").await;
    stage.repository.allow_merges(&["merge"]).await;
    let fairlead = stage.start().await;
    let mut git = by_pull_request();
    git["pullRequest"]["autoMerge"] = json!(true);
    git["pullRequest"]["mergeMethod"] = json!("Squash");
    stage.scene.policy("web", git_policy("web", &stage, json!({}), git)).await;
    let told = |image: &ImageStatus| image.message.contains("does not allow the merge style `squash`");
    let image = stage.expect_image("web", "the forge's reason is told", told).await;
    assert_eq!(image.reason, "PullRequestOpen");
    stage.look(&fairlead, "web").await;
    assert_eq!(stage.repository.pull_requests().await.len(), 1);
    stage.expect_running("web", &stage.tagged("1.0.0"), 1).await;

    stage.repository.allow_merges(&["squash"]).await;
    stage.look(&fairlead, "web").await;
    stage.repository.expect_pull_request("it is merged", |pull| pull.merged).await;
    stage.refresh("web").await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    let messages = stage.repository.messages().await;
    assert!(messages.iter().all(|message| !message.starts_with("Merge ")), "a commit for itself: {messages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_squashed_pull_request_is_followed_by_the_next_one() {
    let stage = stage("pulls-squashed").await;
    let fairlead = stage.start().await;
    stage.scene.policy("web", git_policy("web", &stage, json!({}), by_pull_request())).await;
    let first = stage.repository.expect_pull_request("it is open", |pull| pull.state == "open").await;
    stage.repository.squash(first.number).await;
    stage.refresh("web").await;
    stage.expect_running("web", &stage.tagged("1.0.1"), 1).await;
    stage.look(&fairlead, "web").await;

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    let second = stage.repository.expect_pull_request("there is another", |pull| pull.number != first.number).await;
    assert!(second.body.contains("1.0.2") && second.state == "open", "{second:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_branch_of_an_obsolete_pull_request_goes_with_it() {
    let stage = stage("pulls-obsolete").await;
    let fairlead = stage.start().await;
    stage.scene.policy("web", git_policy("web", &stage, json!({}), by_pull_request())).await;
    let opened = stage.repository.expect_pull_request("it is open", |pull| pull.state == "open").await;
    let values = stage.repository.read("image-updates", "chart/values.yaml").await.expect("it is proposed");
    assert!(values.contains("1.0.1"), "{values}");

    stage.repository.commit("by hand", &[("chart/values.yaml", &values)]).await;
    stage.look(&fairlead, "web").await;
    let closed = stage.repository.expect_pull_request("it is closed", |pull| pull.state == "closed").await;
    assert!(!closed.merged, "{closed:?}");
    stage.look(&fairlead, "web").await;
    assert_eq!(stage.repository.read("image-updates", "chart/values.yaml").await, None, "the branch is gone");

    stage.scene.registry().push(&stage.app(), "1.0.2", &Image::new("1.0.2")).await;
    stage.scene.touch("web").await;
    let next = stage.repository.expect_pull_request("there is another", |pull| pull.number != opened.number).await;
    assert!(next.body.contains("1.0.2") && next.state == "open", "{next:?}");
    let proposed = stage.repository.read("image-updates", "chart/values.yaml").await.expect("it is made again");
    assert!(proposed.contains("1.0.2"), "{proposed}");
}
