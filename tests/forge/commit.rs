//! Commits that GitHub makes and signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead::model::{CommitId, ForgeCommit, PullRequestProvider, Reason};
use fairlead::ports::ForgeCommits as _;

use crate::site::{BASE_COMMIT, HEAD_COMMIT, World};

fn on(branch: &str, tip: &str) -> ForgeCommit {
    let files = [("apps/web/values.yaml", "tag: 1.1.0\n"), ("apps/ä/values.yaml", "tag: \"7\"\r\n")];
    ForgeCommit {
        branch: branch.to_owned(),
        tip: CommitId::new(tip).expect("a commit"),
        message: "Update two\n\nweb and ä\n\nFairlead-Policy: argocd/web\n".to_owned(),
        files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into(),
    }
}

#[tokio::test]
async fn one_commit_brings_all_files_and_the_whole_message() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let made = world.forges.commit(&world.at, &on("main", BASE_COMMIT)).await.expect("it is made");
    assert_eq!(world.state().branches["main"], made.as_str());
    let wish = world.state().commits[made.as_str()].clone();
    assert_eq!(wish["message"]["headline"], "Update two");
    assert_eq!(wish["message"]["body"], "web and ä\n\nFairlead-Policy: argocd/web");
    assert_eq!(wish["expectedHeadOid"], BASE_COMMIT);
    let file = |path: &str, text: &str| serde_json::json!({ "path": path, "contents": STANDARD.encode(text) });
    let files =
        serde_json::json!([file("apps/web/values.yaml", "tag: 1.1.0\n"), file("apps/ä/values.yaml", "tag: \"7\"\r\n")]);
    assert_eq!(wish["fileChanges"], serde_json::json!({ "additions": files }));
    world.assert_content();
}

#[tokio::test]
async fn a_branch_that_moved_gets_no_commit() {
    let world = World::new(PullRequestProvider::GitHub).await;
    let error = world.forges.commit(&world.at, &on("main", HEAD_COMMIT)).await.expect_err("it stands elsewhere");
    assert_eq!(error.reason, Reason::WriteConflict, "{error}");
    assert_eq!(world.state().history, []);
}

#[tokio::test]
async fn only_github_makes_commits_and_none_without_files() {
    for provider in [PullRequestProvider::GitLab, PullRequestProvider::Gitea] {
        let world = World::new(provider).await;
        let error = world.forges.commit(&world.at, &on("main", BASE_COMMIT)).await.expect_err("not GitHub");
        assert_eq!((error.reason, world.server.seen().len()), (Reason::ForgeRejected, 0), "{error}");
    }
    let world = World::new(PullRequestProvider::GitHub).await;
    let empty = ForgeCommit { files: std::collections::BTreeMap::new(), ..on("main", BASE_COMMIT) };
    world.forges.commit(&world.at, &empty).await.expect_err("there is nothing to commit");
    assert_eq!(world.server.seen(), []);
}
