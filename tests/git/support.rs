//! Repositories, engines and plans for these tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fairlead::adapters::clock::SystemClock;
use fairlead::adapters::forge::{ForgeTimeouts, Forges};
use fairlead::adapters::git::{GitEngine, GitObserver, GitOperation, GitSettings};
use fairlead::model::{
    ApplicationId, CommitAuthor, CommitPlan, CommitVia, Facts, FileChange, GitAccess, GitBranch, GitLogin, GitPlan,
    GitWritten, Node, Operation, Pointer, PolicyId, Reason, SecretRef,
};
use fairlead::ports::{GitError, GitLogins, SecretData, SecretError, Secrets};
use tempfile::TempDir;

/// A folder of bare repositories, and somebody who pushes to them.
pub struct Remotes {
    /// The folder.
    pub folder: TempDir,
}

/// One login for all.
pub struct FixedLogin(pub GitLogin);

#[async_trait]
impl GitLogins for FixedLogin {
    async fn login(&self, _: &GitBranch) -> Result<GitLogin, GitError> {
        Ok(self.0.clone())
    }
}

/// Secrets by name.
#[derive(Default)]
pub struct Vault(pub Vec<(SecretRef, SecretData)>);

#[async_trait]
impl Secrets for Vault {
    async fn read(&self, secret: &SecretRef) -> Result<Option<SecretData>, SecretError> {
        Ok(self.0.iter().find(|(id, _)| id == secret).map(|(_, data)| data.clone()))
    }
}

/// Counts what the engine does.
#[derive(Default)]
pub struct Counter {
    operations: Mutex<Vec<(GitOperation, bool)>>,
    longest: AtomicUsize,
}

impl GitObserver for Counter {
    fn operated(&self, operation: GitOperation, well: bool, _: f64) {
        self.operations.lock().expect("not poisoned").push((operation, well));
    }

    fn queued(&self, plans: usize) {
        self.longest.fetch_max(plans, Ordering::SeqCst);
    }
}

impl Counter {
    /// How many conversations there were.
    pub fn count(&self, operation: GitOperation) -> usize {
        self.operations.lock().expect("not poisoned").iter().filter(|(kind, _)| *kind == operation).count()
    }

    /// The longest that all queues together were.
    pub fn longest(&self) -> usize {
        self.longest.load(Ordering::SeqCst)
    }
}

impl Remotes {
    /// A folder with the repository `web.git`, whose branch `main` holds `files`.
    pub fn new(files: &[(&str, &str)]) -> Self {
        Self::of_format("sha1", files)
    }

    /// The same, with ids of this format.
    pub fn of_format(format: &str, files: &[(&str, &str)]) -> Self {
        let remotes = Self { folder: tempfile::tempdir().expect("a folder") };
        let format = format!("--object-format={format}");
        git(remotes.folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", &format, "web.git"]);
        for (name, value) in [("uploadpack.allowFilter", "true"), ("http.receivepack", "true")] {
            git(&remotes.repository(), &["config", name, value]);
        }
        for (path, text) in files {
            remotes.push("main", path, text);
        }
        remotes
    }

    /// The bare repository.
    pub fn repository(&self) -> PathBuf {
        self.folder.path().join("web.git")
    }

    /// Commits `text` at `path` to `branch`, as somebody else does: by what Git has for it, without a clone.
    pub fn push(&self, branch: &str, path: &str, text: &str) {
        let reference = format!("refs/heads/{branch}");
        let from = match self.try_git(&["rev-parse", "--verify", "--quiet", &reference]) {
            Some(tip) => format!("from {}\n", tip.trim()),
            None => self
                .try_git(&["rev-parse", "--verify", "--quiet", "refs/heads/main"])
                .map_or_else(String::new, |tip| format!("from {}\n", tip.trim())),
        };
        let length = text.len();
        let stream = format!(
            "commit {reference}\ncommitter somebody <else@example.com> 1700000000 +0000\ndata 4\nelse\n{from}M 100644 inline {path}\ndata {length}\n{text}\n"
        );
        self.import(&stream);
    }

    /// Makes what a stream for `git fast-import` says.
    pub fn import(&self, stream: &str) {
        let input = self.repository().join("stream");
        std::fs::write(&input, stream).expect("a file");
        let status = command(&self.repository())
            .args(["fast-import", "--quiet"])
            .stdin(std::fs::File::open(&input).expect("our file"))
            .status()
            .expect("Git starts");
        assert!(status.success());
    }

    /// What Git says in the repository; `None` when it fails.
    pub fn try_git(&self, arguments: &[&str]) -> Option<String> {
        let output = command(&self.repository()).args(arguments).output().expect("Git starts");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
    }

    /// What Git says in the repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.try_git(arguments).unwrap_or_else(|| panic!("git {arguments:?} fails"))
    }

    /// The text at `path` of `branch`.
    pub fn text(&self, branch: &str, path: &str) -> Option<String> {
        self.try_git(&["cat-file", "blob", &format!("refs/heads/{branch}:{path}")])
    }

    /// How many commits `branch` has.
    pub fn commits(&self, branch: &str) -> usize {
        self.git(&["rev-list", "--count", &format!("refs/heads/{branch}")]).trim().parse().expect("a number")
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

/// Runs Git in `folder`.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder).args(arguments).output().expect("Git starts");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Whether this process runs the test `name` alone; otherwise one that does is run to its good end.
pub fn alone(name: &str) -> Option<()> {
    if std::env::var_os("FAIRLEAD_TEST_ALONE").is_some() {
        return Some(());
    }
    let mut command = Command::new(std::env::current_exe().expect("a test"));
    let output = command.args([name, "--exact", "--nocapture"]).env("FAIRLEAD_TEST_ALONE", "1").output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    None
}

/// Settings with copies in `state` that take folders, gather for a moment, and are quick.
pub fn settings(state: &Path) -> GitSettings {
    let own_program = env!("CARGO_BIN_EXE_fairlead").into();
    GitSettings { window: Duration::from_millis(100), folders: true, own_program, ..GitSettings::new(state) }
}

/// An engine for everybody who comes with `login`.
pub async fn engine(settings: GitSettings, login: GitLogin) -> (GitEngine, Arc<Counter>) {
    engine_with(settings, login, Vault::default()).await
}

/// An engine with these Secrets.
pub async fn engine_with(settings: GitSettings, login: GitLogin, secrets: Vault) -> (GitEngine, Arc<Counter>) {
    start(settings, Arc::new(FixedLogin(login)), secrets).await
}

/// An engine with these logins and Secrets.
pub async fn start(settings: GitSettings, logins: Arc<dyn GitLogins>, secrets: Vault) -> (GitEngine, Arc<Counter>) {
    let counter = Arc::new(Counter::default());
    let (secrets, clock) = (Arc::new(secrets), Arc::new(SystemClock));
    let forges = Arc::new(Forges::new(ForgeTimeouts::default(), logins.clone(), clock.clone()));
    let engine = GitEngine::start(settings, logins, forges, secrets, clock, Some(counter.clone()));
    (engine.await.expect("Git is there"), counter)
}

/// A login for each project, as Secrets of its own give it.
struct ByProject;

#[async_trait]
impl GitLogins for ByProject {
    async fn login(&self, branch: &GitBranch) -> Result<GitLogin, GitError> {
        let name = match &branch.access {
            GitAccess::ArgoCd { project } => project.clone(),
            GitAccess::Secret(secret) => secret.name.clone(),
        };
        let secret = Some(SecretRef { namespace: "argocd".to_owned(), name });
        Ok(GitLogin { secret, ..GitLogin::anonymous() })
    }
}

/// An engine that has a login for each project.
pub async fn engine_by_project(settings: GitSettings) -> GitEngine {
    start(settings, Arc::new(ByProject), Vault::default()).await.0
}

/// The default branch of a repository.
pub fn at(repository: &str) -> GitBranch {
    let access = GitAccess::ArgoCd { project: "default".to_owned() };
    GitBranch { repository: repository.to_owned(), branch: None, access }
}

/// `tag` of `path`, from one version to another, for one Application.
pub fn plan(repository: &str, application: &str, path: &str, from: &str, to: &str) -> GitPlan {
    let at_tag = Pointer::root().key("tag");
    let operations =
        vec![Operation::Test(at_tag.clone(), Node::text(from)), Operation::Replace(at_tag, Node::text(to))];
    GitPlan {
        application: ApplicationId::new("argocd", application),
        policy: PolicyId::new("argocd", "policy"),
        base: at(repository),
        write_branch: None,
        files: vec![FileChange { path: path.to_owned(), document: 0, operations, create: None }],
        edits: Vec::new(),
        commit: CommitPlan {
            via: CommitVia::Git,
            message: format!("build: update of {application}\n\nto {to}\n"),
            template: None,
            facts: Facts { application: application.to_owned(), ..Facts::default() },
            trailers: vec![("Fairlead-Policy".to_owned(), "argocd/policy".to_owned())],
            alone: false,
            author: CommitAuthor { name: "fairlead".to_owned(), email: "fairlead@example.com".to_owned() },
            sign_off: false,
            signing: None,
        },
    }
}

/// Has `writers` Applications write one version after the other, from `1.0.0` on and each as `write` does, as long as somebody else pushes `pushes` commits to
/// `main`, and once more. Gives the last digit of each, when nothing of theirs is lost.
pub async fn race<F: Future<Output = Result<GitWritten, GitError>>>(
    remotes: &Arc<Remotes>,
    pushes: usize,
    writers: usize,
    write: impl Fn(usize, String, String) -> F,
) -> Vec<usize> {
    let done = Arc::new(AtomicBool::new(false));
    let competitor = {
        let (remotes, done) = (remotes.clone(), done.clone());
        std::thread::spawn(move || {
            for number in 0..pushes {
                remotes.push("main", &format!("theirs/{number}"), "theirs\n");
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let one = async |number: usize| {
        let mut version = 0;
        loop {
            let last = done.load(Ordering::SeqCst);
            match write(number, format!("1.0.{version}"), format!("1.0.{}", version + 1)).await {
                Ok(written) => assert!(written.pushed),
                // It moved too often: nothing was written, and it is tried again.
                Err(error) if error.reason == Reason::WriteConflict && !error.changed => continue,
                Err(error) => panic!("{error}"),
            }
            version += 1;
            if last {
                return version;
            }
        }
    };
    let versions = futures::future::join_all((0..writers).map(one)).await;
    competitor.join().expect("the competitor has pushed all");
    assert!(
        (0..pushes).all(|number| remotes.text("main", &format!("theirs/{number}")).is_some()),
        "all of theirs is there"
    );
    versions
}
