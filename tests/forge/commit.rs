//! Commits that GitHub makes and signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead::adapters::forge::{CommitBranch, GitHubCommit};
use fairlead::model::{CommitId, PullRequestProvider, Reason};

use crate::site::{BASE_COMMIT, HEAD_COMMIT, World};

fn commit(branch: CommitBranch) -> GitHubCommit {
    let files = [("apps/web/values.yaml", "tag: 1.1.0\n"), ("apps/ä/values.yaml", "tag: \"7\"\r\n")];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
    GitHubCommit { branch, message: "Update two\n\nweb and ä\n\nFairlead-Policy: argocd/web\n".to_owned(), files }
}

fn id(text: &str) -> CommitId {
    CommitId::new(text).expect("a commit")
}

fn existing(name: &str, tip: &str) -> GitHubCommit {
    commit(CommitBranch::Existing { name: name.to_owned(), tip: id(tip) })
}

fn anew(name: &str, tip: Option<&str>) -> GitHubCommit {
    commit(CommitBranch::Anew { name: name.to_owned(), base: id(BASE_COMMIT), tip: tip.map(id) })
}

#[tokio::test]
async fn one_commit_brings_all_files_and_the_whole_message() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let made = world.forges.commit_by_github(&world.at, &existing("main", BASE_COMMIT)).await.expect("it is made");
    assert_eq!(world.state().branches["main"], made.as_str());
    let wish = world.state().commits[made.as_str()].clone();
    assert_eq!(wish["message"]["headline"], "Update two");
    assert_eq!(wish["message"]["body"], "web and ä\n\nFairlead-Policy: argocd/web");
    let file = |path: &str, text: &str| serde_json::json!({ "path": path, "contents": STANDARD.encode(text) });
    let files =
        serde_json::json!([file("apps/web/values.yaml", "tag: 1.1.0\n"), file("apps/ä/values.yaml", "tag: \"7\"\r\n")]);
    assert_eq!(wish["fileChanges"], serde_json::json!({ "additions": files }));
    world.assert_content();
}

#[tokio::test]
async fn a_branch_that_moved_gets_no_commit() {
    let world = World::new(PullRequestProvider::GitHub).await;
    for wish in [
        existing("main", HEAD_COMMIT),
        anew("other", Some(BASE_COMMIT)),
        anew("other", None),
        anew("fairlead/new", Some(BASE_COMMIT)),
    ] {
        let error = world.forges.commit_by_github(&world.at, &wish).await.expect_err("it moved");
        assert_eq!(error.reason, Reason::WriteConflict, "{error}");
    }
    assert_eq!(world.state().history, []);
}

#[tokio::test]
async fn a_branch_made_anew_never_stands_at_its_base() {
    let world = World::new(PullRequestProvider::GitHub).await;
    for (name, tip) in [("fairlead/new", None), ("other", Some(HEAD_COMMIT))] {
        let made = world.forges.commit_by_github(&world.at, &anew(name, tip)).await.expect("it is made");
        let state = world.state();
        let stood: Vec<_> =
            state.history.iter().filter(|(branch, _)| branch == name).map(|(_, commit)| commit.as_str()).collect();
        assert_eq!(stood, [made.as_str()], "{name}");
        assert_eq!(state.commits[made.as_str()]["expectedHeadOid"], BASE_COMMIT);
        assert!(!state.branches.keys().any(|branch| branch.contains("in-the-making")), "{:?}", state.branches);
    }
    world.assert_content();
}

#[tokio::test]
async fn what_was_left_of_an_earlier_try_is_no_hindrance() {
    let world = World::new(PullRequestProvider::GitHub).await;
    world.state().set_branch("other-in-the-making-1111111111", HEAD_COMMIT);
    world.forges.commit_by_github(&world.at, &anew("other", Some(HEAD_COMMIT))).await.expect("it is made");
    assert!(!world.state().branches.contains_key("other-in-the-making-1111111111"));
}

#[tokio::test]
async fn only_github_makes_commits_and_none_without_files() {
    let world = World::new(PullRequestProvider::GitLab).await;
    let error = world.forges.commit_by_github(&world.at, &existing("main", BASE_COMMIT)).await.expect_err("GitLab");
    assert_eq!(error.reason, Reason::ForgeRejected);
    let world = World::new(PullRequestProvider::GitHub).await;
    let empty = GitHubCommit { files: std::collections::BTreeMap::new(), ..existing("main", BASE_COMMIT) };
    world.forges.commit_by_github(&world.at, &empty).await.expect_err("there is nothing to commit");
    assert_eq!(world.server.seen(), []);
}
