//! A second implementation of registries: Gitea's, with tokens and webhooks of its own.

use std::time::{Duration, Instant};

use fairlead_e2e::argocd::Stage;
use fairlead_e2e::{Configured, Image, Unready};
use serde_json::json;

const SECRET: &str = "canary-of-a-package-hook";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_of_gitea_runs_in_pods_seconds_after_gitea_tells_of_it() {
    let stage = Stage::new("packages").await;
    let registry = stage.argocd.gitea.registry();
    let repository = format!("{}/packages-app", stage.argocd.gitea.user);
    let image = format!("{}/{repository}", registry.address);
    registry.push_all(&repository, &["1.0.0", "1.0.1", "2.0.0"]).await;
    let parameters = [("image.name", image.as_str()), ("image.tag", "1.0.0")];
    stage.application("web", stage.chart(&parameters)).await;
    stage.expect_running("web", &format!("{image}:1.0.0"), 1).await;
    let configured = Configured { webhooks: vec![("gitea", SECRET)], ..Configured::default() };
    let fairlead = stage.start_configured(configured).await;
    stage.argocd.gitea.package_hook(&fairlead.webhook_url("gitea"), SECRET).await;

    let rule = json!({"image": image, "constraint": "~1.0", "pullSecret": {"name": "pull"}});
    let spec = json!({"applications": [{"name": "web"}], "images": [rule], "interval": "1h"});
    stage.scene.policy("web", spec).await;
    let unready = Unready { reason: "CredentialsUnavailable", stalled: true, says: &["pull"] };
    stage.scene.expect_unready("web", unready).await;
    let token = stage.argocd.gitea.new_token("packages", &["read:package"]).await;
    stage.scene.pull_secret("pull", &registry.docker_config_of(&stage.argocd.gitea.user, &token)).await;
    stage.expect_running("web", &format!("{image}:1.0.1"), 1).await;
    stage.scene.expect_settled("web").await;

    let pushed = Instant::now();
    registry.push(&repository, "1.0.2", &Image::new("1.0.2")).await;
    stage.expect_running("web", &format!("{image}:1.0.2"), 1).await;
    assert!(pushed.elapsed() < Duration::from_secs(20), "{:?}", pushed.elapsed());
    assert!(!fairlead.log().contains(&token), "a token stands in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_platforms_and_digests_of_gitea_are_read_like_any_others() {
    let stage = Stage::new("packages-index").await;
    let registry = stage.argocd.gitea.registry();
    let repository = format!("{}/packages-index", stage.argocd.gitea.user);
    let image = format!("{}/{repository}", registry.address);
    let (first, tenth) = ("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z");
    let late_arm = Image::multi("a", &[("linux/amd64", first), ("linux/arm64", tenth)]);
    registry.push(&repository, "1.0.7", &late_arm).await;
    let late_amd = Image::multi("b", &[("linux/amd64", "2026-01-05T00:00:00Z"), ("linux/arm64", first)]);
    let wanted = registry.push(&repository, "1.0.4", &late_amd).await;
    stage.scene.pull_secret("pull", &registry.docker_config()).await;
    let images = json!([format!("{image}:1.0.0")]);
    stage.application("web", stage.source("kustomize", json!({"kustomize": {"images": images}}))).await;
    let _fairlead = stage.start().await;

    let rule = json!({
        "image": image, "constraint": "~1.0", "strategy": "NewestBuild", "platforms": ["linux/amd64"], "pin": "TagAndDigest",
        "pullSecret": {"name": "pull"},
    });
    stage.scene.policy("web", json!({"applications": [{"name": "web"}], "images": [rule]})).await;

    stage
        .expect_application("web", "it pins the newest build", |found| {
            found["spec"]["source"]["kustomize"]["images"] == json!([format!("{image}:1.0.4@{wanted}")])
        })
        .await;
}
