//! Gitea: repositories, webhooks and a container registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::eventually::{Deadline, eventually};
use crate::process::{Process, folder};
use crate::registry::{Login, Registry};
use crate::servers::{free_address, http_client, port_of, runtime};

/// The branch that repositories begin with.
pub const MAIN: &str = "main";

/// A running Gitea, and a user of it who owns everything.
#[derive(Debug, Clone)]
pub struct Gitea {
    /// `127.0.0.1:…`
    pub host: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// A token of the user's that may do what the guide to pull requests asks for, and no more.
    pub token: String,
}

/// A repository of [`Gitea`].
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) gitea: Gitea,
    /// Its name, below its owner.
    pub name: String,
}

impl Gitea {
    /// Starts it, with its user; takes seconds.
    pub(crate) fn start(binary: &Path) -> (Process, Self) {
        let mut gitea = Self {
            host: free_address(),
            user: "e2e".to_owned(),
            password: "e2e-password-of-gitea".to_owned(),
            token: String::new(),
        };
        let settings = gitea.settings(binary);
        let mut web = command(binary, &settings);
        web.arg("web");
        let process = Process::start("gitea", web);
        runtime().block_on(async {
            let url = format!("{}/api/healthz", gitea.url());
            eventually("Gitea answers", Deadline::seconds(120), async || {
                let answer = http_client(None).get(&url).send().await.map_err(|cause| cause.to_string())?;
                if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
            })
            .await;
        });
        let mut user = command(binary, &settings);
        user.args(["admin", "user", "create", "--admin", "--must-change-password=false", "--email", "e2e@example.com"]);
        user.args(["--username", &gitea.user, "--password", &gitea.password]);
        let output = user.stdin(Stdio::null()).output().expect("gitea starts");
        assert!(output.status.success(), "no user: {}", String::from_utf8_lossy(&output.stderr));
        gitea.token = runtime().block_on(gitea.new_token("git", &["write:repository", "write:issue"]));
        (process, gitea)
    }

    /// The address that everything of it begins with.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Its container registry, with the login of its user.
    pub fn registry(&self) -> Registry {
        let login = Login { name: self.user.clone(), password: self.password.clone() };
        Registry { address: self.host.clone(), login: Some(login) }
    }

    /// A new repository with one commit.
    pub async fn repository(&self, name: &str) -> Repository {
        let body = json!({"name": name, "auto_init": true, "default_branch": MAIN, "private": true});
        self.ask(Method::POST, "/user/repos", &body).await;
        let repository = Repository { gitea: self.clone(), name: name.to_owned() };
        eventually("the new repository has its branch", Deadline::seconds(30), async || {
            let (status, answer) = self.answer(Method::GET, &repository.path("/branches/main"), &Value::Null).await;
            if status.is_success() { Ok(()) } else { Err(answer) }
        })
        .await;
        repository
    }

    /// A token that may do what `scopes` say: `write:repository`, `read:package`, …
    pub async fn new_token(&self, name: &str, scopes: &[&str]) -> String {
        let path = format!("/users/{}/tokens", self.user);
        let answer = self.ask(Method::POST, &path, &json!({"name": name, "scopes": scopes})).await;
        answer["sha1"].as_str().expect("a token").to_owned()
    }

    /// Sends all news of packages to `url`, signed with `secret`.
    pub async fn package_hook(&self, url: &str, secret: &str) {
        self.ask(Method::POST, "/user/hooks", &hook(url, secret, &["package"])).await;
    }

    /// Asks its API, and gives its answer, which must be a good one.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.answer(method, path, body).await;
        assert!(status.is_success(), "Gitea, {path}: {status}: {answer}");
        answer
    }

    /// Asks its API.
    pub(crate) async fn answer(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}/api/v1{path}", self.url());
        let mut request = http_client(None).request(method, &url).basic_auth(&self.user, Some(&self.password));
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap_or_else(|cause| panic!("`{url}`: {cause}"));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Writes its settings into a folder of its own, and gives their place.
    fn settings(&self, binary: &Path) -> PathBuf {
        let root = folder().join("gitea");
        let files = root.join("files");
        fs::create_dir_all(files.join("public/assets/.vite")).expect("the temporary folder takes folders");
        for name in ["templates", "options"] {
            symlink(binary.with_file_name(name), files.join(name)).expect("the temporary folder takes links");
        }
        // Its pages are without style; nobody looks at them.
        fs::write(files.join("public/assets/.vite/manifest.json"), "{}").expect("the temporary folder takes files");
        let path = root.join("app.ini");
        let text = SETTINGS
            .replace("@ROOT@", &root.display().to_string())
            .replace("@HOST@", &self.host)
            .replace("@PORT@", port_of(&self.host));
        fs::write(&path, text).expect("the temporary folder takes files");
        path
    }
}

/// It serves this machine's tests alone, and ends with them.
const SETTINGS: &str = "
APP_NAME = e2e
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = @ROOT@
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = @PORT@
DOMAIN = 127.0.0.1
ROOT_URL = http://@HOST@/
STATIC_ROOT_PATH = @ROOT@/files
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
SQLITE_JOURNAL_MODE = WAL
PATH = @ROOT@/gitea.db
[repository]
ROOT = @ROOT@/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = e2e
PASSWORD_HASH_ALGO = pbkdf2_v1
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[cron]
ENABLED = false
[actions]
ENABLED = false
[mailer]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[session]
PROVIDER = memory
[log]
MODE = console
LEVEL = Warn
";

fn command(binary: &Path, settings: &Path) -> Command {
    let mut command = Command::new(binary);
    let root = settings.parent().expect("a file is in a folder");
    command
        .arg("--config")
        .arg(settings)
        .arg("--work-path")
        .arg(root)
        .env("HOME", root)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

fn hook(url: &str, secret: &str, events: &[&str]) -> Value {
    let config = json!({"url": url, "content_type": "json", "secret": secret});
    json!({"type": "gitea", "active": true, "events": events, "config": config})
}

impl Repository {
    /// Its address, as Applications state it.
    pub fn url(&self) -> String {
        format!("{}/{}/{}.git", self.gitea.url(), self.gitea.user, self.name)
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/repos/{}/{}{rest}", self.gitea.user, self.name)
    }

    /// Commits files to its first branch, as a person would. Gives the commit.
    pub async fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        let mut changes = Vec::new();
        for (path, content) in files {
            let mut change = json!({"operation": "create", "path": path, "content": STANDARD.encode(content)});
            if let Some(known) = self.blob(path).await {
                change["operation"] = json!("update");
                change["sha"] = known;
            }
            changes.push(change);
        }
        let body = json!({"branch": MAIN, "message": message, "files": changes});
        let answer = self.gitea.ask(Method::POST, &self.path("/contents"), &body).await;
        answer["commit"]["sha"].as_str().expect("a commit").to_owned()
    }

    /// The name of what a file holds now, if it is there.
    async fn blob(&self, path: &str) -> Option<Value> {
        let (status, answer) =
            self.gitea.answer(Method::GET, &self.path(&format!("/contents/{path}?ref={MAIN}")), &Value::Null).await;
        status.is_success().then(|| answer["sha"].clone())
    }

    /// What a file of a branch holds, if it is there.
    pub async fn read(&self, branch: &str, path: &str) -> Option<String> {
        let place = self.path(&format!("/contents/{path}?ref={branch}"));
        let (status, answer) = self.gitea.answer(Method::GET, &place, &Value::Null).await;
        let content = answer["content"].as_str().filter(|_| status.is_success())?;
        let bytes = STANDARD.decode(content).expect("Gitea encodes contents");
        Some(String::from_utf8(bytes).expect("a text"))
    }

    /// Waits until a file of the first branch holds `text`, and gives all of it.
    pub async fn expect(&self, path: &str, text: &str) -> String {
        eventually(&format!("`{path}` holds `{text}`"), Deadline::seconds(20), async || {
            let found = self.read(MAIN, path).await;
            found.clone().filter(|found| found.contains(text)).ok_or(found)
        })
        .await
    }

    /// The messages of the first branch's commits, newest first.
    pub async fn messages(&self) -> Vec<String> {
        let place = self.path(&format!("/commits?sha={MAIN}&limit=50&stat=false&verification=false&files=false"));
        let answer = self.gitea.ask(Method::GET, &place, &Value::Null).await;
        let commits = answer.as_array().expect("a list of commits");
        commits.iter().map(|commit| commit["commit"]["message"].as_str().expect("a message").to_owned()).collect()
    }

    /// Tells `url` of every push.
    pub async fn push_hook(&self, url: &str) {
        self.gitea.ask(Method::POST, &self.path("/hooks"), &hook(url, "", &["push"])).await;
    }

    /// Lets nobody push to a branch.
    pub async fn protect(&self, branch: &str) {
        let body = json!({"rule_name": branch, "enable_push": false});
        self.gitea.ask(Method::POST, &self.path("/branch_protections"), &body).await;
    }

    /// Lets people push again.
    pub async fn unprotect(&self, branch: &str) {
        self.gitea.ask(Method::DELETE, &self.path(&format!("/branch_protections/{branch}")), &Value::Null).await;
    }

    /// How long Gitea may take to take in what was pushed to it.
    pub(crate) const LAG: Duration = Duration::from_secs(20);
    /// How long Fairlead leaves a forge alone after a failure, and what it takes to ask again.
    pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(60);
}
