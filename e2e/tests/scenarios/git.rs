//! Writing to Git: the real binary, a real API server, and a Git server for smart HTTP with a login.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fairlead::api::ImageState;
use fairlead_e2e::{AuditEntry, Configured, Deadline, Fairlead, FaultProxy, Scene, Unready, eventually};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::git_server::{Server, basic};

const USER: &str = "bot";
const PASSWORD: &str = "open sesame";
const OVERRIDE: &str = "apps/web/.argocd-source-web.yaml";
const SOON: Duration = Duration::from_secs(30);

/// A repository, the server that it is reached by, and a Fairlead that may write it.
struct Forge {
    folder: TempDir,
    server: Server,
    state: TempDir,
}

impl Forge {
    /// A repository whose branch `main` holds `files`.
    async fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(folder.path(), Some(basic(USER, PASSWORD))).await;
        let forge = Self { folder, server, state: tempfile::tempdir().expect("a folder") };
        git(forge.folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "fleet.git"]);
        for (name, value) in [("uploadpack.allowFilter", "true"), ("http.receivepack", "true")] {
            forge.git(&["config", name, value]);
        }
        forge.push("README.md", "read me\n");
        for (path, text) in files {
            forge.push(path, text);
        }
        forge
    }

    fn url(&self) -> String {
        format!("http://{}/fleet.git", self.server.host)
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.folder.path().join("fleet.git"), arguments)
    }

    /// Commits `text` at `path`, as somebody else does.
    fn push(&self, path: &str, text: &str) {
        let work = tempfile::tempdir().expect("a folder");
        git(work.path(), &["clone", "--quiet", &self.folder.path().join("fleet.git").to_string_lossy(), "."]);
        let file = work.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it can be made");
        std::fs::write(file, text).expect("it can be written");
        git(work.path(), &["checkout", "--quiet", "-B", "main"]);
        git(work.path(), &["add", "--all"]);
        git(work.path(), &["commit", "--quiet", "--message=by hand"]);
        git(work.path(), &["push", "--quiet", "origin", "main"]);
    }

    /// The text at `path` of `main`.
    fn text(&self, path: &str) -> Option<String> {
        let folder = self.folder.path().join("fleet.git");
        let output = command(&folder).args(["cat-file", "blob", &format!("main:{path}")]).output().expect("Git starts");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
    }

    fn commits(&self) -> usize {
        self.git(&["rev-list", "--count", "main"]).trim().parse().expect("a number")
    }

    /// Waits until the file holds `text`.
    async fn expect(&self, path: &str, text: &str) {
        eventually(&format!("`{path}` is as it should be"), Deadline::after(SOON), async || match self.text(path) {
            Some(found) if found == text => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Starts Fairlead; Argo CD's namespace is that of the scene.
    async fn start(&self, scene: &Scene, plain_http: &[&str]) -> Fairlead {
        let environment = vec![
            ("FAIRLEAD_ARGOCD_NAMESPACE", scene.namespace.clone()),
            ("FAIRLEAD_GIT_STATE_DIR", self.state.path().to_string_lossy().into_owned()),
        ];
        scene.start_configured(plain_http, Configured { environment, ..Configured::default() }).await
    }

    /// The Secret by which Argo CD knows the repository, and the project that may use it.
    async fn known_to_argo_cd(&self, scene: &Scene, password: &str) {
        scene.project("default", &json!({"sourceRepos": [self.url()]})).await;
        let data = json!({"url": self.url(), "username": USER, "password": password, "type": "git"});
        scene.repository_secret("fleet", &data).await;
    }

    /// A source of the repository.
    fn source(&self, mut source: Value) -> Value {
        source["repoURL"] = json!(self.url());
        source
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").args([
        "-c",
        "user.name=A Person",
        "-c",
        "user.email=person@example.com",
    ]);
    command
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder).args(arguments).output().expect("Git starts");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A policy for these Applications and images that writes to Git.
fn policy(applications: &[&str], images: Value, settings: Value) -> Value {
    let applications: Vec<Value> = applications.iter().map(|name| json!({"name": name})).collect();
    json!({"applications": applications, "images": images, "writeBack": {"method": "Git", "git": settings}})
}

async fn expect_state(scene: &Scene, name: &str, reason: &str) {
    scene
        .expect_policy(name, &format!("an image says {reason}"), Deadline::after(SOON), |object| {
            object.status.as_ref().is_some_and(|status| status.images.iter().any(|image| image.reason == reason))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_is_committed_with_argo_cds_login_and_a_quiet_look_asks_once() {
    let scene = Scene::new("git-override").await;
    let forge = Forge::new(&[]).await;
    forge.known_to_argo_cd(&scene, PASSWORD).await;
    let repository = scene.repository("app");
    scene.registry().push_all(&repository, &["1.0.0", "1.0.1"]).await;
    let proxy = FaultProxy::start(&scene.registry().address).await;
    let image = format!("{}/{repository}", proxy.address);
    scene.application("web", forge.source(Scene::helm(&image, "1.0.0"))).await;
    let before = scene.read_application("web").await["spec"].clone();
    let _fairlead = forge.start(&scene, &[&proxy.address]).await;
    scene.policy("web", policy(&["web"], json!([{"image": image}]), json!({}))).await;

    scene.expect_settled("web").await;

    let text = forge.text(OVERRIDE).expect("the file is made");
    assert!(text.contains("name: image.tag\n    value: 1.0.1") && text.contains("name: replicas"), "{text}");
    let message = forge.git(&["log", "-1", "--format=%an|%B", "main"]);
    assert!(message.starts_with("fairlead|build: automatic update of web\n"), "{message}");
    assert!(message.contains("Fairlead-Policy: git-override/web\nFairlead-Application: git-override/web"), "{message}");
    let application = scene.read_application("web").await;
    assert_eq!(application["spec"], before);
    assert_eq!(application["metadata"]["annotations"]["argocd.argoproj.io/refresh"], "normal");

    // Argo CD has not synced; nothing is written again.
    let (commits, pushes, lookups) = (forge.commits(), forge.server.pushes(), forge.server.lookups());
    let writes = scene.writes().await.into_iter().filter(AuditEntry::of_application).count();
    for _ in 0..5 {
        let listings = proxy.listings();
        scene.touch("web").await;
        eventually("it looks again", Deadline::after(SOON), async || {
            if proxy.listings() > listings { Ok(()) } else { Err(listings) }
        })
        .await;
    }
    assert_eq!((forge.commits(), forge.server.pushes()), (commits, pushes));
    assert!(forge.server.lookups() - lookups <= 6, "{} look-ups", forge.server.lookups() - lookups);
    assert_eq!(scene.writes().await.into_iter().filter(AuditEntry::of_application).count(), writes);

    // A person takes it back.
    forge.push(OVERRIDE, &text.replace("1.0.1", "1.0.0"));
    scene.touch("web").await;
    expect_state(&scene, "web", "RolledBackByHand").await;
    assert_eq!(forge.commits(), commits + 1);
    scene.registry().push_all(&repository, &["1.0.2"]).await;
    scene.touch("web").await;
    forge.expect(OVERRIDE, &text.replace("1.0.1", "1.0.2")).await;

    // Our own commit, of a moment ago, is no sign of another updater.
    scene.registry().push_all(&repository, &["1.0.3"]).await;
    scene.touch("web").await;
    forge.expect(OVERRIDE, &text.replace("1.0.1", "1.0.3")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_and_kustomizations_of_two_applications_are_changed_in_place() {
    let scene = Scene::new("git-files").await;
    let values = "# values\nimage:\n  tag: \"1.0.0\"   # app\nsidecar: {tag: 1.0.0}\n";
    let kustomization = "resources: [web.yaml]\nimages:\n- name: app\n  newTag: 1.0.0\n";
    let forge = Forge::new(&[
        ("apps/web/values.yaml", values),
        ("apps/api/values.yaml", values),
        ("base/kustomization.yaml", kustomization),
    ])
    .await;
    let data = json!({"username": USER, "password": PASSWORD});
    scene.secret("login", &data).await;
    for name in ["app", "sidecar"] {
        scene.registry().push_all(&scene.repository(name), &["1.0.0", "1.1.0"]).await;
    }
    let (app, sidecar) = (scene.image("app"), scene.image("sidecar"));
    for name in ["web", "api"] {
        let mut source = forge.source(json!({"helm": {"releaseName": name}}));
        source["path"] = json!(format!("apps/{name}"));
        scene.application(name, source).await;
    }
    let mut source = forge.source(json!({"kustomize": {"namePrefix": "web-"}}));
    source["path"] = json!("base");
    scene.application("base", source).await;
    let untouched = scene.read_application("base").await["spec"].clone();
    let _fairlead = forge.start(&scene, &[]).await;
    let before = forge.commits();
    let images = json!([
        {"image": app, "target": {"helm": {"tag": "image.tag"}}},
        {"image": sidecar, "target": {"helm": {"tag": "sidecar.tag"}}},
    ]);
    let settings = json!({"target": "HelmValues", "secretRef": {"name": "login"}});
    scene.policy("values", policy(&["web", "api"], images, settings)).await;

    let wanted = values.replace("1.0.0", "1.1.0");
    forge.expect("apps/web/values.yaml", &wanted).await;
    forge.expect("apps/api/values.yaml", &wanted).await;
    assert_eq!(forge.commits(), before + 1, "{}", forge.git(&["log", "main"]));

    let images = json!([{"image": app, "forceUpdate": true, "target": {"kustomize": {"name": "app"}}}]);
    let settings = json!({"target": "Kustomization", "secretRef": {"name": "login"}});
    scene.policy("base", policy(&["base"], images, settings)).await;
    eventually("the kustomization is changed", Deadline::after(SOON), async || {
        let text = forge.text("base/kustomization.yaml").unwrap_or_default();
        if text.contains("newTag: 1.1.0") { Ok(()) } else { Err((text, scene.read_policy("base").await.status)) }
    })
    .await;
    assert_eq!(scene.read_application("base").await["spec"], untouched);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github_makes_the_commit_where_the_policy_says_so() {
    let scene = Scene::new("git-github").await;
    let forge = Forge::new(&[("apps/web/values.yaml", "image:\n  tag: 1.0.0 # web\n")]).await;
    let url = forge.server.as_github("fleet");
    let data = json!({"url": url, "username": USER, "password": PASSWORD, "type": "git"});
    scene.repository_secret("fleet", &data).await;
    scene.project("default", &json!({"sourceRepos": ["*"]})).await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let image = scene.image("app");
    let source = json!({"repoURL": url, "path": "apps/web", "targetRevision": "main", "helm": {"releaseName": "web"}});
    scene.application("web", source).await;
    let _fairlead = forge.start(&scene, &[]).await;
    let settings = json!({"target": "HelmValues", "commit": {"via": "GitHubApi"}});
    let images = json!([{"image": image, "forceUpdate": true, "target": {"helm": {"tag": "image.tag"}}}]);
    scene.policy("web", policy(&["web"], images.clone(), settings)).await;

    scene.expect_settled("web").await;

    assert_eq!(forge.text("apps/web/values.yaml").as_deref(), Some("image:\n  tag: 1.0.1 # web\n"));
    let said = forge.git(&["log", "-1", "--format=%cn, %an, %(trailers:key=Fairlead-Policy,valueonly)", "main"]);
    assert_eq!(said.trim(), "GitHub, octo-bot, git-github/web");
    assert_eq!((forge.server.commits(), forge.server.pushes()), (1, 0));

    // What GitHub writes cannot be said by a policy.
    let settings = json!({"commit": {"via": "GitHubApi", "author": {"name": "a", "email": "b"}}});
    let refused = scene.refused_policy("wrong", policy(&["web"], images, settings)).await;
    assert!(refused.contains("remove author, signing and signOff"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_guards_the_repositories_that_it_does_not_permit() {
    let scene = Scene::new("git-project").await;
    let forge = Forge::new(&[]).await;
    forge.known_to_argo_cd(&scene, PASSWORD).await;
    scene.project("team", &json!({"sourceRepos": ["https://git.example.com/team/*"]})).await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let image = scene.image("app");
    for (name, project) in [("web", "team"), ("lost", "nobody")] {
        scene.application(name, forge.source(Scene::helm(&image, "1.0.0"))).await;
        let patch = Patch::Merge(json!({"spec": {"project": project}}));
        scene.applications().patch(name, &PatchParams::default(), &patch).await.expect("a person may");
    }
    let before = forge.commits();
    let _fairlead = forge.start(&scene, &[]).await;
    for (name, says) in [("web", "`spec.sourceRepos`"), ("lost", "Argo CD has no project `nobody`")] {
        scene.policy(name, policy(&[name], json!([{"image": image}]), json!({}))).await;
        let unready = Unready { reason: "WriteDenied", stalled: true, says: &[says] };
        scene.expect_unready(name, unready).await;
    }
    assert_eq!((forge.server.pushes(), forge.commits()), (0, before));

    scene.secret("ours", &json!({"username": USER, "password": PASSWORD})).await;
    let own = json!({"secretRef": {"name": "ours"}});
    scene.policy("own", policy(&["web"], json!([{"image": image}]), own)).await;
    scene.raw_policies().delete("web", &DeleteParams::default()).await.expect("a person may");
    scene.expect_settled("own").await;
    assert_eq!((forge.server.pushes(), forge.commits()), (1, before + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_writes_nothing_and_a_right_one_goes_on() {
    let scene = Scene::new("git-denied").await;
    let forge = Forge::new(&[]).await;
    forge.known_to_argo_cd(&scene, "wrong-canary").await;
    scene.registry().push_all(&scene.repository("app"), &["1.0.0", "1.0.1"]).await;
    let image = scene.image("app");
    scene.application("web", forge.source(Scene::helm(&image, "1.0.0"))).await;
    let fairlead = forge.start(&scene, &[]).await;
    scene.policy("web", policy(&["web"], json!([{"image": image}]), json!({}))).await;

    let unready = Unready { reason: "GitDenied", stalled: true, says: &["fleet.git"] };
    let told = scene.expect_unready("web", unready).await;

    assert!(told.status.is_some_and(|status| status.images.iter().all(|image| image.state == ImageState::Failed)));
    assert_eq!((forge.server.pushes(), forge.text(OVERRIDE)), (0, None));
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
    assert!(!fairlead.log().contains("wrong-canary") && !fairlead.log().contains(&basic(USER, "wrong-canary")));
}
