//! The whole pipeline with each forge: a policy, a repository in memory, and the forge's own API.

use std::sync::Arc;

use fairlead::model::Reason::{ForgeFailed, PullRequestClosed, PullRequestOpen, UpToDate};
use fairlead::model::{PullRequestProvider, Reason};

use crate::site::{self, TOKEN};
use crate::support::faults::{Reply, answer};
use crate::world::World;

const APP: &str = "registry.example/app";
const VALUES: &str = "chart/values.yaml";
const TEXT: &str = "image:\n  tag: 1.0.0\n";

#[tokio::test]
async fn a_policy_lives_with_its_pull_request_on_github() {
    live(PullRequestProvider::GitHub).await;
}

#[tokio::test]
async fn a_policy_lives_with_its_pull_request_on_gitlab() {
    live(PullRequestProvider::GitLab).await;
}

#[tokio::test]
async fn a_policy_lives_with_its_pull_request_on_gitea() {
    live(PullRequestProvider::Gitea).await;
}

async fn reason(world: &mut World) -> Reason {
    world.look().await.images.first().expect("the image is used").reason
}

async fn live(kind: PullRequestProvider) {
    let forge = site::World::new(kind).await;
    let url = forge.at.repository.repository.clone();
    let git = format!(
        "{{ repository: '{url}', target: HelmValues, writeBranch: fairlead-1, pullRequest: {{ provider: {kind}, labels: [images] }} }}"
    );
    let policy = format!(
        "applications: [{{ name: app }}]\nimages: [{{ image: {APP}, constraint: ~1.0 }}]\nwriteBack: {{ method: Git, git: {git} }}"
    );
    let mut world =
        World::new(&policy).helm("app", &[], &["registry.example/app:1.0.0"]).tags(APP, &["1.0.0", "1.0.2"]);
    world.git.push(&url, "main", VALUES, TEXT);
    world.forge = Some(Arc::new(site::forges(&forge.clock, site::basic(TOKEN))));

    assert_eq!(reason(&mut world).await, PullRequestOpen);
    let pull = forge.pull(1);
    assert_eq!(
        (pull.title.as_str(), pull.labels),
        ("Update registry.example/app of app to 1.0.2", vec!["images".to_owned()])
    );
    assert_eq!(world.git.text(&url, "fairlead-1", VALUES), Some(TEXT.replace("1.0.0", "1.0.2")));

    let before = forge.server.lines().len();
    for _ in 0..3 {
        assert_eq!(reason(&mut world).await, PullRequestOpen);
    }
    let asked = forge.server.lines().split_off(before);
    assert!(asked.len() == 3 && asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");

    forge.by_hand(1, |pull| pull.state = "closed");
    assert_eq!(reason(&mut world).await, PullRequestClosed);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    forge.state().fault = Some(Reply::Send(answer(500, &[], "")));
    let writes = world.git.asked().1;
    assert_eq!(reason(&mut world).await, ForgeFailed);
    assert_eq!(world.git.asked().1, writes, "a person may have said no");
    forge.state().fault = None;
    forge.clock.advance(3600);
    assert_eq!(reason(&mut world).await, PullRequestOpen);
    assert_eq!((forge.pull(1).state, forge.pull(2).state), ("closed", "open"));

    world.git.push(&url, "main", VALUES, &TEXT.replace("1.0.0", "1.0.3"));
    assert_eq!(reason(&mut world).await, UpToDate);
    assert_eq!(forge.pull(2).state, "closed", "nothing is left to offer");
    forge.assert_content();
}
