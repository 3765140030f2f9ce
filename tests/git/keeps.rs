//! The adapter keeps the contract of its port, whatever the server.

use async_trait::async_trait;
use fairlead::adapters::git::GitOperation;
use fairlead::model::{CommitVia, Concealed, GitBranch, GitEntry, GitLogin, HostKeys, LoginMethod};
use fairlead::ports::Git as _;
use k8s_openapi::jiff::Timestamp;
use russh::keys::ssh_key::LineEnding;

use crate::contract::{FILES, Remote, check_git};
use crate::server::{Server, basic};
use crate::ssh::{SshServer, new_key};
use crate::support::{Remotes, at, engine, plan, settings};

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

/// Over SSH without `AcceptEnv`: filters, but no object by its id.
#[tokio::test]
async fn a_server_of_the_first_protocol_is_read_with_filters_and_without() {
    for filters in ["true", "false"] {
        let (remotes, state, key) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"), new_key());
        remotes.git(&["config", "uploadpack.allowFilter", filters]);
        let server = SshServer::start_without_variables(remotes.folder.path(), key.public_key()).await;
        let address = format!("ssh://git@127.0.0.1:{}/web.git", server.port);
        let private_key = Concealed::new(key.to_openssh(LineEnding::LF).expect("a key").as_str());
        let host_keys = HostKeys::Known(server.known_host.clone());
        let login = GitLogin { method: LoginMethod::Ssh { private_key }, host_keys, ..GitLogin::anonymous() };
        let (engine, counter) = engine(settings(state.path()), login).await;
        let remote = Bare::new(remotes, address);
        check_git(&engine, &remote, Timestamp::now).await;
        remote.push("main", "moved.yaml", "tag: 1.0.0\n").await;
        let before = counter.count(GitOperation::Fetch);
        let tip = engine.tip(&remote.repository(), Timestamp::now()).await.expect("a tip");
        engine.read(&remote.repository(), &tip, &["moved.yaml".to_owned()]).await.expect("a file");
        assert_eq!(counter.count(GitOperation::Fetch), before + 1, "what it does not do is remembered");
    }
}

#[tokio::test]
async fn the_engine_keeps_the_contract_with_ids_of_sha_256() {
    let (remotes, state) = (Remotes::of_format("sha256", FILES), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let tip = engine.tip(&at(&address), Timestamp::now()).await.expect("a tip");
    assert_eq!(tip.commit.as_str().len(), 64);
    check_git(&engine, &Bare::new(remotes, address), Timestamp::now).await;
}

#[tokio::test]
async fn links_submodules_and_pointers_of_lfs_are_told_and_left_alone() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let tip = remotes.git(&["rev-parse", "main"]);
    remotes.import(&format!(
        "commit refs/heads/main\ncommitter Ann <ann@example.com> 1700000000 +0000\ndata 1\nx\nfrom {}\n\
         M 120000 inline link.yaml\ndata 11\nvalues.yaml\nM 120000 inline far\ndata 4\ndeep\n\
         M 160000 {} module\nM 100755 inline run.yaml\ndata 11\ntag: 1.0.0\n\nM 100644 inline large.yaml\ndata {}\n{pointer}\n",
        tip.trim(),
        "1".repeat(40),
        pointer.len(),
    ));
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let tip = engine.tip(&at(&address), Timestamp::now()).await.expect("a tip");
    let paths = ["link.yaml", "far/down/values.yaml", "module", "module/values.yaml", "large.yaml"].map(str::to_owned);
    let entries = engine.read(&at(&address), &tip, &paths).await.expect("entries");
    let other = |what: &str| GitEntry::Other(what.to_owned());
    let expected = [
        other("a link"),
        other("a path that leads through a link"),
        other("a submodule"),
        other("a submodule"),
        other("a pointer of Git LFS"),
    ];
    assert_eq!(entries, expected);
    let tree = |remotes: &Remotes| remotes.git(&["ls-tree", "-r", "main"]);
    let before = tree(&remotes);
    for path in paths {
        engine.write(plan(&address, "web", &path, "1.0.0", "1.0.1")).await.expect_err("no file to be edited");
    }
    assert_eq!(tree(&remotes), before);
    engine.write(plan(&address, "web", "run.yaml", "1.0.0", "1.0.1")).await.expect("a file");
    let (was, is) = (before, tree(&remotes));
    let changed: Vec<(&str, &str)> = was.lines().zip(is.lines()).filter(|(was, is)| was != is).collect();
    assert_eq!((was.lines().count(), changed.len()), (is.lines().count(), 1), "{changed:?}");
    assert!(changed[0].1.starts_with("100755 blob ") && changed[0].1.ends_with("\trun.yaml"), "{changed:?}");
}
