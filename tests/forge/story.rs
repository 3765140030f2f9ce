//! The life of a pull request, on every forge.

use fairlead::model::Reason::{PullRequestClosed, PullRequestOpen, RolledBackByHand, UpToDate};
use fairlead::model::{
    ApplicationId, HeadBranch, MergeMethod, PolicyId, PullRequestChange, PullRequestPlan, PullRequestProvider,
    PullRequestStyle, Reason,
};
use fairlead::pipeline::pull_request::PullRequestStep::{Closed, Nothing, Opened, Updated};
use fairlead::pipeline::pull_request::{PullRequestOutcome, PullRequestStep, follow, look};

use crate::site::World;

pub fn change(policy: &str, application: &str, image: &str, to: &str) -> PullRequestChange {
    PullRequestChange {
        policy: PolicyId::new("argocd", policy),
        application: ApplicationId::new("argocd", application),
        image: image.to_owned(),
        from: Some("1.0.0".to_owned()),
        to: to.to_owned(),
        link: None,
    }
}

pub fn plan(world: &World, changes: &[PullRequestChange]) -> PullRequestPlan {
    PullRequestPlan {
        at: world.at.clone(),
        policy: PolicyId::new("argocd", "web"),
        target_key: "0123abcd".to_owned(),
        head: HeadBranch::Stable("fairlead-1".to_owned()),
        base: "main".to_owned(),
        commit: None,
        changes: changes.to_vec(),
        undecided: Vec::new(),
        lifted: Vec::new(),
        style: PullRequestStyle { labels: vec!["images".to_owned()], ..PullRequestStyle::default() },
    }
}

/// By numbers, as the rule of these images would.
pub fn is_newer(change: &PullRequestChange, refused: &str) -> bool {
    change.to.as_str() > refused
}

/// One look: what is there is asked, and what is not refused is offered.
pub async fn one_look(world: &World, plan: &PullRequestPlan) -> PullRequestOutcome {
    let seen = look(&world.forges, plan).await.expect("the forge answers");
    follow(&world.forges, plan, &seen, &is_newer).await
}

fn said(outcome: &PullRequestOutcome) -> (Reason, PullRequestStep, Option<u64>) {
    assert_eq!(outcome.left_undone, Vec::<String>::new());
    (outcome.reason, outcome.step, outcome.number)
}

#[tokio::test]
async fn one_pull_request_lives_until_it_is_obsolete_on_github() {
    live(World::new(PullRequestProvider::GitHub).await).await;
}

#[tokio::test]
async fn one_pull_request_lives_until_it_is_obsolete_on_gitlab() {
    live(World::new(PullRequestProvider::GitLab).await).await;
}

#[tokio::test]
async fn one_pull_request_lives_until_it_is_obsolete_on_gitea() {
    live(World::new(PullRequestProvider::Gitea).await).await;
}

async fn live(world: World) {
    offered(&world).await;
    updated_but_never_over_a_person(&world).await;
    refused_until_something_newer(&world).await;
    taken_back_after_the_merge(&world).await;
    obsolete(&world).await;
    world.assert_content();
}

/// The wish for one version.
fn at(world: &World, to: &str) -> PullRequestPlan {
    plan(world, &[change("web", "web", "nginx", to)])
}

/// What a look at the wish for one version gives; without a version, at no wish.
async fn look_at(world: &World, to: &str) -> (Reason, PullRequestStep, Option<u64>) {
    let plan = if to.is_empty() { plan(world, &[]) } else { at(world, to) };
    said(&one_look(world, &plan).await)
}

async fn offered(world: &World) {
    assert_eq!(look_at(world, "").await, (UpToDate, Nothing, None));
    assert_eq!(look_at(world, "1.1.0").await, (PullRequestOpen, Opened, Some(1)));
    let before = world.server.lines().len();
    for _ in 0..5 {
        assert_eq!(look_at(world, "1.1.0").await, (PullRequestOpen, Nothing, Some(1)));
    }
    let asked = world.server.lines().split_off(before);
    assert!(asked.len() == 5 && asked.iter().all(|line| line.starts_with("GET ")), "a quiet look asks once: {asked:?}");
    assert!(world.state().unchanged >= 4, "and is told that nothing changed");
}

async fn updated_but_never_over_a_person(world: &World) {
    world.by_hand(1, |pull| "By hand".clone_into(&mut pull.title));
    assert_eq!(look_at(world, "1.1.0").await, (PullRequestOpen, Nothing, Some(1)));
    assert_eq!(world.pull(1).title, "By hand");
    assert_eq!(look_at(world, "1.2.0").await, (PullRequestOpen, Updated, Some(1)));
    assert_eq!(world.pull(1).title, "Update nginx of web to 1.2.0");
    assert!(world.pull(1).body.contains("| `argocd/web` | `nginx` | `1.0.0` | `1.2.0` |"), "{}", world.pull(1).body);
}

async fn refused_until_something_newer(world: &World) {
    world.by_hand(1, |pull| pull.state = "closed");
    for to in ["1.2.0", "1.1.0"] {
        assert_eq!(look_at(world, to).await, (PullRequestClosed, Nothing, Some(1)), "{to}");
    }
    world.by_hand(1, |pull| pull.state = "open");
    assert_eq!(look_at(world, "1.2.0").await, (PullRequestOpen, Nothing, Some(1)), "reopening takes it back");
    world.by_hand(1, |pull| pull.state = "closed");
    assert_eq!(look_at(world, "1.3.0").await, (PullRequestOpen, Opened, Some(2)));
}

async fn taken_back_after_the_merge(world: &World) {
    world.by_hand(2, |pull| pull.state = "merged");
    assert_eq!(look_at(world, "").await, (UpToDate, Nothing, None));
    assert_eq!(look_at(world, "1.3.0").await, (RolledBackByHand, Nothing, Some(2)));
    assert_eq!(look_at(world, "1.4.0").await, (PullRequestOpen, Opened, Some(3)));
}

async fn obsolete(world: &World) {
    assert_eq!(look_at(world, "").await, (UpToDate, Closed, Some(3)));
    assert_eq!(look_at(world, "").await, (UpToDate, Nothing, None));
    assert_eq!((world.pull(3).state, world.pull(3).comments.len()), ("closed", 1));
    assert_eq!(look_at(world, "1.4.0").await, (PullRequestOpen, Opened, Some(4)), "that was no no");
    assert_eq!(world.state().pulls.len(), 4);
}

#[tokio::test]
async fn an_automatic_merge_is_asked_for_once_a_content() {
    for kind in [PullRequestProvider::GitHub, PullRequestProvider::GitLab, PullRequestProvider::Gitea] {
        let world = World::new(kind).await;
        let at = |to: &str| {
            let mut plan = plan(&world, &[change("web", "web", "nginx", to)]);
            plan.style.auto_merge = Some(MergeMethod::Merge);
            plan
        };
        said(&one_look(&world, &at("1.1.0")).await);
        assert_eq!(world.pull(1).merge.as_deref(), Some("when ready by MERGE"), "{kind}");
        world.by_hand(1, |pull| pull.merge = None);
        said(&one_look(&world, &at("1.1.0")).await);
        assert_eq!(world.pull(1).merge, None, "{kind}: a person switched it off");
        said(&one_look(&world, &at("1.2.0")).await);
        assert_eq!(world.pull(1).merge.as_deref(), Some("when ready by MERGE"), "{kind}");
        world.assert_content();
    }
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_told_and_not_tried_again_and_again() {
    let mut told = Vec::new();
    for kind in [PullRequestProvider::GitHub, PullRequestProvider::GitLab, PullRequestProvider::Gitea] {
        let world = World::new(kind).await;
        world.state().forbidden.push("squash");
        let mut plan = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
        plan.style.auto_merge = Some(MergeMethod::Squash);
        one_look(&world, &plan).await;
        let before = world.server.lines().len();
        for _ in 0..5 {
            let outcome = one_look(&world, &plan).await;
            assert_eq!((outcome.reason, outcome.step), (PullRequestOpen, Nothing), "{kind}");
            told.extend(outcome.left_undone);
            assert_eq!(outcome.number, Some(1));
        }
        told.dedup();
        let asked = world.server.lines().split_off(before);
        assert!(asked.iter().all(|line| line.starts_with("GET ")), "{kind}: {asked:?}");
        world.state().forbidden.clear();
        world.clock.advance(3600);
        said(&one_look(&world, &plan).await);
        assert_eq!(world.pull(1).merge.as_deref(), Some("when ready by SQUASH"), "{kind}");
        for line in &mut told {
            *line = line.replace(world.server.host(), "HOST");
        }
        world.assert_content();
    }
    insta::assert_snapshot!(told.join("\n"), @"
    cannot have pull request #1 merged in `http://HOST/org/web.git`: GitHub says `Merge method squash merging is not allowed on this repository`
    cannot have merge request !1 merged in `http://HOST/org/web.git`: the project does not allow to squash commits
    cannot have pull request #1 merged in `http://HOST/org/web.git`: the repository does not allow the merge style `squash`
    ");
}

#[tokio::test]
async fn github_merges_at_once_what_may_be_merged() {
    let world = World::new(PullRequestProvider::GitHub).await;
    world.state().clean = true;
    let mut plan = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
    plan.style.auto_merge = Some(MergeMethod::Rebase);
    said(&one_look(&world, &plan).await);
    assert_eq!(world.pull(1).merge.as_deref(), Some("at once by rebase"));
}

#[tokio::test]
async fn a_method_that_github_refuses_at_once_is_not_tried_again_and_again() {
    let world = World::new(PullRequestProvider::GitHub).await;
    (world.state().clean, world.state().forbidden) = (true, vec!["rebase"]);
    let mut plan = plan(&world, &[change("web", "web", "nginx", "1.1.0")]);
    plan.style.auto_merge = Some(MergeMethod::Rebase);
    let first = one_look(&world, &plan).await.left_undone;
    let before = world.server.lines().len();
    for _ in 0..5 {
        assert_eq!(one_look(&world, &plan).await.left_undone, first, "in the same words");
    }
    assert!(first[0].contains("The merge method rebase is not allowed on this repository"), "{first:?}");
    let asked = world.server.lines().split_off(before);
    assert!(asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");
}
