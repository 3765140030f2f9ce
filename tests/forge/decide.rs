//! What is decided where several wishes, people and older pull requests meet. On one forge, as the decision knows none.

use fairlead::model::{HeadBranch, PolicyId, PullRequestPlan, PullRequestProvider, Reason};
use fairlead::pipeline::pull_request::{PullRequestStep, look};

use crate::site::World;
use crate::story::{change, is_newer, one_look, plan};

async fn world() -> World {
    World::new(PullRequestProvider::GitHub).await
}

/// The wish of another policy for the same target.
fn other(world: &World, to: &[&str]) -> PullRequestPlan {
    let changes: Vec<_> = to.iter().map(|to| change("api", "api", "redis", to)).collect();
    PullRequestPlan { policy: PolicyId::new("argocd", "api"), ..plan(world, &changes) }
}

#[tokio::test]
async fn policies_that_share_a_target_share_its_pull_request_and_never_take_turns() {
    let world = world().await;
    let mut web = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
    web.style.title = Some("Made by a template".to_owned());
    let api = other(&world, &["7.0.0"]);
    assert_eq!(one_look(&world, &web).await.step, PullRequestStep::Opened);
    assert_eq!(world.pull(1).title, "Made by a template");
    assert_eq!(one_look(&world, &api).await.step, PullRequestStep::Updated);
    assert_eq!(world.pull(1).title, "Update 2 images of 2 applications");
    for _ in 0..3 {
        assert_eq!(one_look(&world, &web).await.step, PullRequestStep::Nothing);
        assert_eq!(one_look(&world, &api).await.step, PullRequestStep::Nothing);
    }
    assert_eq!(one_look(&world, &other(&world, &[])).await.step, PullRequestStep::Updated);
    assert!(world.pull(1).body.contains("nginx") && !world.pull(1).body.contains("redis"));
    assert_eq!(one_look(&world, &PullRequestPlan { changes: Vec::new(), ..web }).await.step, PullRequestStep::Closed);
}

#[tokio::test]
async fn a_no_holds_for_each_image_by_itself() {
    let world = world().await;
    let nginx = change("web", "web", "nginx", "1.1.0");
    one_look(&world, &plan(&world, std::slice::from_ref(&nginx))).await;
    world.by_hand(1, |pull| pull.state = "closed");
    let both = plan(&world, &[nginx, change("web", "web", "redis", "7.0.0")]);
    let seen = look(&world.forges, &both).await.expect("an answer");
    let refusals = seen.refusals(&both, &is_newer);
    let refusals: Vec<_> = refusals.iter().map(|refusal| refusal.as_ref().map(|refusal| refusal.number)).collect();
    assert_eq!(refusals, [Some(1), None]);
    let refusal = seen.refusals(&both, &is_newer).remove(0).expect("it is refused");
    insta::assert_snapshot!(refusal, @"pull request #1 was closed by hand; it is held until something newer, reopen it to go on: https://github.example.com/org/web/pull/1");
}

#[tokio::test]
async fn a_no_outlives_what_was_obsolete_later() {
    let world = world().await;
    let at = |to: &str| plan(&world, &[change("web", "web", "nginx", to)]);
    one_look(&world, &at("1.2.0")).await;
    world.by_hand(1, |pull| pull.state = "closed");
    one_look(&world, &at("1.3.0")).await;
    one_look(&world, &plan(&world, &[])).await;
    let outcome = one_look(&world, &at("1.2.0")).await;
    assert_eq!((outcome.reason, outcome.number), (Reason::PullRequestClosed, Some(1)));
}

#[tokio::test]
async fn what_a_person_opened_again_and_closed_is_a_no() {
    let world = world().await;
    let at = |to: &str| plan(&world, &[change("web", "web", "nginx", to)]);
    one_look(&world, &at("1.1.0")).await;
    assert_eq!(one_look(&world, &plan(&world, &[])).await.step, PullRequestStep::Closed);
    world.by_hand(1, |pull| pull.state = "open");
    assert_eq!(one_look(&world, &at("1.1.0")).await.step, PullRequestStep::Updated);
    assert_eq!(one_look(&world, &at("1.1.0")).await.step, PullRequestStep::Nothing);
    world.by_hand(1, |pull| pull.state = "closed");
    assert_eq!(one_look(&world, &at("1.1.0")).await.reason, Reason::PullRequestClosed);
}

#[tokio::test]
async fn a_pull_request_without_our_mark_is_never_touched() {
    let world = world().await;
    world.state().open("fairlead-1", "main", "By hand", "my own words");
    let wish = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
    let outcome = one_look(&world, &wish).await;
    assert_eq!(
        (outcome.reason, outcome.step, outcome.number),
        (Reason::PullRequestOpen, PullRequestStep::Nothing, Some(1))
    );
    assert_eq!(one_look(&world, &plan(&world, &[])).await.step, PullRequestStep::Nothing);
    let there = world.pull(1);
    assert_eq!((there.title.as_str(), there.body.as_str(), there.state), ("By hand", "my own words", "open"));
    // Closed, it is nobody's no to what it never named.
    world.by_hand(1, |pull| pull.state = "closed");
    assert_eq!(one_look(&world, &wish).await.step, PullRequestStep::Opened);
}

#[tokio::test]
async fn a_branch_for_each_content_closes_the_older_ones() {
    let world = world().await;
    let at = |head: &str, to: &str| {
        world.state().set_branch(head, crate::site::HEAD_COMMIT);
        let head = HeadBranch::from_template("fairlead-{{ .TargetKey }}-{{ .SHA256 }}", head);
        PullRequestPlan { head, ..plan(&world, &[change("web", "web", "nginx", to)]) }
    };
    one_look(&world, &at("content-1", "1.1.0")).await;
    let stranger = world.state().open("other", "main", "not ours", "");
    let outcome = one_look(&world, &at("content-2", "1.2.0")).await;
    assert_eq!((outcome.step, outcome.number), (PullRequestStep::Opened, Some(3)));
    assert_eq!((world.pull(1).state, world.pull(1).comments), ("closed", vec!["Superseded by #3.".to_owned()]));
    assert_eq!(world.pull(stranger.number).state, "open");
    assert_eq!(one_look(&world, &at("content-2", "1.2.0")).await.step, PullRequestStep::Nothing);
    // The older content may come back, as it was not a person who closed it.
    assert_eq!(one_look(&world, &at("content-1", "1.1.0")).await.step, PullRequestStep::Opened);
}

#[tokio::test]
async fn what_opened_meanwhile_is_found_and_not_opened_twice() {
    let world = world().await;
    let wish = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
    let seen = look(&world.forges, &wish).await.expect("an answer");
    one_look(&world, &wish).await;
    let outcome = fairlead::pipeline::pull_request::follow(&world.forges, &wish, &seen, &is_newer).await;
    assert_eq!((outcome.reason, outcome.number), (Reason::PullRequestOpen, Some(1)));
    assert_eq!(world.state().pulls.len(), 1);
}
