//! What every forge keeps, whatever it is called there.

use fairlead::model::{MergeMethod, PullRequestDraft, PullRequestProvider, PullRequestState, Reason};
use fairlead::ports::Forge;

use crate::site::{HEAD_COMMIT, TOKEN, World, at, basic, draft, forges};

#[tokio::test]
async fn github_keeps_the_contract() {
    check(World::new(PullRequestProvider::GitHub).await).await;
}

#[tokio::test]
async fn gitlab_keeps_the_contract() {
    check(World::new(PullRequestProvider::GitLab).await).await;
}

#[tokio::test]
async fn gitea_keeps_the_contract() {
    check(World::new(PullRequestProvider::Gitea).await).await;
}

async fn check(world: World) {
    opened_once(&world).await;
    updated_and_closed(&world).await;
    told_apart(&world).await;
    asked_to_merge(&world).await;
    left_undone(&world).await;
    refused(&world).await;
    world.assert_content();
}

async fn opened_once(world: &World) {
    let (forge, at): (&dyn Forge, _) = (&world.forges, &world.at);
    assert_eq!(forge.find(at, "fairlead-1", "main").await, Ok(Vec::new()));
    let wish = draft("fairlead-1");
    let written = forge.open(at, &wish).await.expect("it is opened");
    assert_eq!(written.left_undone, Vec::<String>::new());
    let opened = written.pull_request;
    let PullRequestDraft { head, base, body, title, labels, reviewers } = wish.clone();
    assert_eq!((&opened.head, &opened.base, &opened.body), (&head, &base, &body));
    assert_eq!((opened.number, opened.state), (1, PullRequestState::Open));
    assert!(opened.url.ends_with("/1") && opened.head_commit.as_deref() == Some(HEAD_COMMIT), "{opened:?}");
    let there = world.pull(1);
    assert_eq!((there.title, there.labels, there.reviewers), (title, labels, reviewers));
    let again = forge.open(at, &wish).await.expect_err("there is one");
    assert!(again.exists, "{again:?}");
    assert_eq!(world.state().pulls.len(), 1);
    assert_eq!(forge.find(at, "fairlead-1", "main").await, Ok(vec![opened.clone()]));
    assert_eq!(forge.find(at, "fairlead-1", "release").await, Ok(Vec::new()));
    assert_eq!(forge.open_on(at, "main").await, Ok(vec![opened]));
}

async fn updated_and_closed(world: &World) {
    let (forge, at): (&dyn Forge, _) = (&world.forges, &world.at);
    world.by_hand(1, |pull| pull.labels.push("by hand".to_owned()));
    let (title, body, labels) = ("New".to_owned(), "new".to_owned(), vec!["more".to_owned()]);
    let wish = PullRequestDraft { title, body, labels, ..draft("fairlead-1") };
    let written = forge.update(at, 1, &wish).await.expect("it is updated");
    assert_eq!((written.pull_request.body.as_str(), written.left_undone.len()), ("new", 0));
    let there = world.pull(1);
    assert_eq!((there.title.as_str(), there.body.as_str()), ("New", "new"));
    assert_eq!(there.labels, ["images", "automatic", "by hand", "more"], "labels are added, none is taken away");
    forge.set_body(at, 1, "newer").await.expect("it is set");
    assert_eq!((world.pull(1).title.as_str(), world.pull(1).body.as_str()), ("New", "newer"));
    forge.close(at, 1, "the end", "It is obsolete.").await.expect("it is closed");
    let there = world.pull(1);
    assert_eq!((there.state, there.body.as_str()), ("closed", "the end"));
    assert_eq!(there.comments, ["It is obsolete."]);
    assert_eq!(forge.open_on(at, "main").await, Ok(Vec::new()));
}

async fn told_apart(world: &World) {
    let (forge, at): (&dyn Forge, _) = (&world.forges, &world.at);
    // Not the same as before, which was refused as there was one.
    let wish = PullRequestDraft { title: "Again".to_owned(), ..draft("fairlead-1") };
    forge.open(at, &wish).await.expect("a closed one does not stand in the way");
    forge.open(at, &draft("other")).await.expect("another head");
    let fork = world.state().open("fairlead-1", "main", "from a fork", "");
    world.by_hand(fork.number, |pull| pull.fork = true);
    world.by_hand(2, |pull| pull.state = "merged");
    let found = forge.find(at, "fairlead-1", "main").await.expect("a list");
    let states: Vec<_> = found.iter().map(|found| (found.number, found.state)).collect();
    let expected = [(2, PullRequestState::Merged), (1, PullRequestState::Closed)];
    assert_eq!(states, expected, "newest first, and none of a fork");
    let open = forge.open_on(at, "main").await.expect("a list");
    assert_eq!(open.iter().map(|found| found.number).collect::<Vec<_>>(), [3]);
    assert_eq!(forge.using(at, "other").await, Ok(vec![3]), "an open one brings it");
    assert_eq!(forge.using(at, "fairlead-1").await, Ok(Vec::new()), "closed ones and forks do not");
    let stacked = world.state().open("elsewhere", "fairlead-1", "upon ours", "");
    assert_eq!(forge.using(at, "fairlead-1").await, Ok(vec![stacked.number]), "an open one goes to it");
    world.by_hand(stacked.number, |pull| pull.state = "closed");
    world.state().branches.remove("fairlead-1");
    let found = forge.find(at, "fairlead-1", "main").await.expect("a list");
    assert_eq!(found.len(), 2, "a branch that is gone keeps its name");
}

async fn asked_to_merge(world: &World) {
    let (forge, at): (&dyn Forge, _) = (&world.forges, &world.at);
    let mut open = forge.find(at, "other", "main").await.expect("a list").remove(0);
    forge.merge_when_ready(at, &open, MergeMethod::Squash).await.expect("it is taken");
    assert_eq!(world.pull(3).merge.as_deref(), Some("when ready by SQUASH"));
    open.head_commit = Some("3".repeat(40));
    let error = forge.merge_when_ready(at, &open, MergeMethod::Squash).await.expect_err("the head moved");
    assert_eq!(error.reason, Reason::ForgeRejected, "{error}");
}

async fn left_undone(world: &World) {
    let wish = PullRequestDraft { reviewers: vec!["nobody".to_owned()], ..draft("other") };
    let written = world.forges.update(&world.at, 3, &wish).await.expect("the pull request is as it should be");
    assert_eq!(written.left_undone.len(), 1, "{:?}", written.left_undone);
    assert_eq!(world.pull(3).labels, ["images", "automatic"]);
}

async fn refused(world: &World) {
    let wrong = forges(&world.clock, basic("canary-other"));
    let error = wrong.find(&world.at, "fairlead-1", "main").await.expect_err("the token is wrong");
    assert_eq!(error.reason, Reason::ForgeDenied);
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let unknown = at(world.kind, &format!("http://{}/org/unknown", world.server.host()));
    let error = world.forges.find(&unknown, "fairlead-1", "main").await.expect_err("there is no such repository");
    assert_eq!(error.reason, Reason::ForgeDenied);
    let error = world.forges.open(&world.at, &draft("missing")).await.expect_err("there is no such branch");
    assert!(!error.exists, "{error:?}");
    assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
}
