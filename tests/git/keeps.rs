//! The adapter keeps the contract of its port, whatever the server.

use async_trait::async_trait;
use fairlead::model::{CommitVia, Concealed, GitBranch, GitLogin, LoginMethod};
use k8s_openapi::jiff::Timestamp;

use crate::contract::{FILES, Remote, check_git};
use crate::server::{Server, basic};
use crate::support::{Remotes, at, engine, settings};

struct Bare {
    remotes: Remotes,
    address: String,
    via: CommitVia,
}

impl Bare {
    fn new(remotes: Remotes, address: String) -> Self {
        Self { remotes, address, via: CommitVia::Git }
    }
}

#[async_trait]
impl Remote for Bare {
    fn repository(&self) -> GitBranch {
        at(&self.address)
    }

    fn via(&self) -> CommitVia {
        self.via
    }

    async fn push(&self, branch: &str, path: &str, text: &str) {
        self.remotes.push(branch, path, text);
    }

    async fn text(&self, branch: &str, path: &str) -> Option<String> {
        self.remotes.text(branch, path)
    }

    async fn message(&self, branch: &str) -> String {
        self.remotes.git(&["log", "-1", "--format=%B", branch])
    }

    async fn commits(&self, branch: &str) -> usize {
        self.remotes.commits(branch)
    }
}

#[tokio::test]
async fn the_engine_keeps_the_contract_on_a_folder() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    check_git(&engine, &Bare::new(remotes, address), Timestamp::now).await;
}

#[tokio::test]
async fn the_engine_keeps_the_contract_on_http_with_a_login() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), Some(basic("bot", "s3cret"))).await;
    let address = format!("http://{}/web.git", server.host);
    let method = LoginMethod::Basic { username: "bot".to_owned(), password: Concealed::new("s3cret") };
    let (engine, _) = engine(settings(state.path()), GitLogin { method, ..GitLogin::anonymous() }).await;
    check_git(&engine, &Bare::new(remotes, address), Timestamp::now).await;
}

#[tokio::test]
async fn the_engine_keeps_the_contract_with_commits_that_github_makes() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), Some(basic("bot", "s3cret"))).await;
    let address = server.as_github("web");
    let method = LoginMethod::Basic { username: "bot".to_owned(), password: Concealed::new("s3cret") };
    let (engine, _) = engine(settings(state.path()), GitLogin { method, ..GitLogin::anonymous() }).await;
    let remote = Bare { via: CommitVia::GitHubApi, ..Bare::new(remotes, address) };
    check_git(&engine, &remote, Timestamp::now).await;
    assert_eq!(remote.remotes.git(&["log", "--all", "--format=%H", "--committer=fairlead"]), "", "all are GitHub's");
}

#[tokio::test]
async fn a_server_without_filters_is_read_whole() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    remotes.git(&["config", "uploadpack.allowFilter", "false"]);
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    check_git(&engine, &Bare::new(remotes, address), Timestamp::now).await;
}
