//! docs/guides/migrate.md, step by step: its own manifests and commands, beside an argocd-image-updater that writes as the real one
//! does: the whole object, under its own name.

use std::collections::VecDeque;
use std::path::Path;

use fairlead_e2e::scene::condition;
use fairlead_e2e::{
    AuditEntry, Configured, Deadline, Deployed, Fairlead, Helm, Image, Scene, command_line, eventually,
};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::git_server::{Server, basic};

const GUIDE: &str = include_str!("../../../docs/guides/migrate.md");
const APPLICATION: &str = "flask-app";
/// The account that the chart makes.
const ACCOUNT: &str = "updater-fairlead";

/// The fenced blocks of the guide that say `language`.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    GUIDE.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The guide's Application of this name: its namespace, registries and Git server are those of the scene, and it has a status as
/// Argo CD writes it. Nothing else differs.
fn manifest(scene: &Scene, name: &str, git: Option<&str>) -> Value {
    let found = blocks("yaml").into_iter().find(|block| block.contains(&format!("name: {name}\n")));
    let text = found.unwrap_or_else(|| panic!("the guide shows no `{name}`"));
    let repository = |registry: &str| format!("{registry}/{}", scene.namespace);
    let text = text
        .replace("registry.example.com", &repository(&scene.registry().address))
        .replace("private.example.com", &repository(&scene.closed_registry().address))
        .replace("https://git.example.com/fleet.git", git.unwrap_or("https://git.example.com/fleet.git"))
        .replace("namespace: argocd", &format!("namespace: {}", scene.namespace));
    let mut object: Value = serde_saphyr::from_str(&text).expect("the guide's manifests are YAML");
    object["status"] = json!({"sourceType": "Helm", "sync": {"status": "Synced"}, "health": {"status": "Healthy"}});
    object
}

async fn create(scene: &Scene, manifest: &Value) {
    let object: DynamicObject = serde_json::from_value(manifest.clone()).expect("an object");
    scene.applications().create(&PostParams::default(), &object).await.expect("the API server takes it");
}

/// Tags in the order in which they were built.
async fn push(scene: &Scene, tags: &[&str]) {
    for registry in [scene.registry(), scene.closed_registry()] {
        for (day, tag) in tags.iter().enumerate() {
            let image = Image::new(tag).built(&format!("2026-01-{:02}T00:00:00Z", day + 1));
            registry.push(&scene.repository("flask-app"), tag, &image).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_applications_work_unchanged() {
    let scene = Scene::new("migrate-unchanged").await;
    scene.pull_secret("docker-cred", &scene.closed_registry().docker_config()).await;
    push(&scene, &["1.0.0", "1.0.9", "1.0.2", "1.0.4", "1.0.5-rc1", "1.1.0", "2.1.0"]).await;
    let names = ["flask-app", "flask-filtered"];
    let mut expected = Vec::new();
    for name in names {
        create(&scene, &manifest(&scene, name, None)).await;
        expected.push(scene.read_application(name).await);
    }
    let _fairlead = scene.start().await;

    // The newest build within ~1.0 was made last; of the other's list, 1.0.4 is left out. A pre-release is outside of both.
    for ((name, tag), expected) in names.into_iter().zip(["1.0.4", "1.0.2"]).zip(&mut expected) {
        scene.expect_tag(name, tag).await;
        expected["spec"]["source"]["helm"]["parameters"][1]["value"] = json!(tag);
        expected["spec"]["source"]["helm"]["parameters"][1]["forceString"] = json!(true);
        let now = scene.read_application(name).await;
        assert_eq!(now["metadata"]["annotations"], expected["metadata"]["annotations"]);
        assert_eq!(now["spec"]["source"]["helm"]["parameters"], expected["spec"]["source"]["helm"]["parameters"]);
        scene.expect_ready(name).await;
        let policy = scene.raw_policies().get(name).await.expect("the policy is there");
        assert_eq!(policy.labels()["fairlead.dev/generated-from"], "annotations");
        let owner = &policy.owner_references()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.uid.as_str()),
            ("Application", now["metadata"]["uid"].as_str().expect("a uid"))
        );
    }
    let writes = scene.writes().await;
    assert_eq!(writes.iter().filter(|write| write.of_application()).count(), 2, "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_application_is_written_to_git_and_stays_as_it_is() {
    let scene = Scene::new("migrate-git").await;
    scene.pull_secret("docker-cred", &scene.closed_registry().docker_config()).await;
    push(&scene, &["1.0.0", "1.0.9", "1.0.2", "1.1.0"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let remote = folder.path().join("fleet.git");
    git(folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "fleet.git"]);
    git(&remote, &["config", "http.receivepack", "true"]);
    git(&remote, &["config", "uploadpack.allowFilter", "true"]);
    first_commit(&remote, "flask-app/Chart.yaml", "name: flask\n");
    let server = Server::start(folder.path(), Some(basic("bot", "s3cret"))).await;
    let url = format!("http://{}/fleet.git", server.host);
    // As Argo CD keeps a repository.
    let secret = json!({
        "metadata": {"name": "fleet", "labels": {"argocd.argoproj.io/secret-type": "repository"}},
        "stringData": {"type": "git", "url": url, "username": "bot", "password": "s3cret"},
    });
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    scene.objects().create(&PostParams::default(), &secret).await.expect("the API server takes it");
    scene.project("default", &json!({"sourceRepos": ["*"]})).await;
    let application = manifest(&scene, "flask-git", Some(&url));
    create(&scene, &application).await;
    let before = scene.read_application("flask-git").await;
    let environment = vec![
        ("FAIRLEAD_ARGOCD_NAMESPACE", scene.namespace.clone()),
        ("FAIRLEAD_GIT_STATE_DIR", folder.path().join("copies").display().to_string()),
    ];
    let _fairlead = scene.start_configured(&[], Configured { environment, ..Configured::default() }).await;

    let path = "main:flask-app/.argocd-source-flask-git.yaml";
    let text = eventually("the override file is in the branch", Deadline::seconds(40), async || {
        match git_output(&remote, &["cat-file", "blob", path]) {
            Some(text) => Ok(text),
            None => Err(scene.raw_policies().get_opt("flask-git").await.ok().flatten().map(|policy| policy.data)),
        }
    })
    .await;

    let written: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    let parameters = written["helm"]["parameters"].as_array().expect("parameters");
    let tag = parameters.iter().find(|parameter| parameter["name"] == "image.tag").expect("the tag");
    assert_eq!(tag["value"], "1.0.2", "{text}");
    assert_eq!(git_output(&remote, &["rev-list", "--count", "main"]).as_deref(), Some("2\n"));
    assert_eq!(server.pushes(), 1);
    assert_eq!(scene.read_application("flask-git").await, before);
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
}

/// What Git says; `None` where it fails.
fn git_output(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(arguments)
        .output()
        .expect("Git starts");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
}

fn git(folder: &Path, arguments: &[&str]) {
    git_output(folder, arguments).unwrap_or_else(|| panic!("git {arguments:?} fails"));
}

fn first_commit(remote: &Path, path: &str, text: &str) {
    let author = "committer somebody <else@example.com> 1700000000 +0000";
    let stream = format!(
        "commit refs/heads/main\n{author}\ndata 4\nelse\nM 100644 inline {path}\ndata {}\n{text}\n",
        text.len()
    );
    let input = remote.join("stream");
    std::fs::write(&input, stream).expect("a file");
    let import = std::process::Command::new("git")
        .current_dir(remote)
        .args(["fast-import", "--quiet"])
        .stdin(std::fs::File::open(&input).expect("our file"))
        .status();
    assert!(import.expect("Git starts").success());
}

/// The commands of the guide, in their order.
struct Commands(VecDeque<&'static str>);

impl Commands {
    fn of_the_guide() -> Self {
        Self(blocks("sh").into_iter().flat_map(str::lines).collect())
    }

    /// The next command, which must begin so: what follows it, word by word.
    fn next(&mut self, begin: &str) -> Vec<&'static str> {
        let command = self.0.pop_front().unwrap_or_else(|| panic!("the guide ends before `{begin}`"));
        let rest = command.strip_prefix(begin).unwrap_or_else(|| panic!("the guide says `{command}`, not `{begin}`"));
        rest.split_whitespace().filter(|word| !["-n", "--namespace", "argocd"].contains(word)).collect()
    }

    /// Does what `kubectl annotate` would.
    async fn annotate(&mut self, scene: &Scene) {
        let words = self.next("kubectl annotate ");
        let [kind, name, change] = words[..] else { panic!("`kubectl annotate` of {words:?}") };
        let (key, value) = match (change.split_once('='), change.strip_suffix('-')) {
            (Some((key, value)), _) => (key, json!(value)),
            (None, Some(key)) => (key, Value::Null),
            (None, None) => panic!("`{change}` is no change of an annotation"),
        };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let api = if kind == "iup" { scene.raw_policies() } else { scene.applications() };
        api.patch(name, &PatchParams::default(), &patch).await.expect("it can be annotated");
    }

    /// Does what `helm install` or `helm upgrade` would, beside what ties the release to the scene, and runs what was installed.
    async fn helm(&mut self, scene: &Scene, word: &str) -> Fairlead {
        let words = self.next(&format!("helm {word} fairlead charts/fairlead "));
        let values = json!({
            "plainHttp": [scene.registry().address, scene.closed_registry().address],
            "config": {"logLevel": "info,fairlead=debug"},
        });
        let helm = Helm::with_cluster(&scene.administrator);
        match word {
            "install" => {
                let arguments: Vec<&str> = words.into_iter().chain(["--set", "crds.install=false"]).collect();
                helm.install("updater", &scene.namespace, &values, &arguments)
            }
            _ => helm.upgrade("updater", &scene.namespace, &words),
        };
        Deployed::read(scene, &scene.namespace, ACCOUNT).await.start().await
    }
}

/// What argocd-image-updater does with a new version.
async fn the_other_writes(scene: &Scene, tag: &str) {
    let parameters = PostParams { field_manager: Some("argocd-image-updater".to_owned()), ..PostParams::default() };
    eventually("argocd-image-updater writes", Deadline::seconds(20), async || {
        let mut object: DynamicObject =
            scene.applications().get(APPLICATION).await.map_err(|error| error.to_string())?;
        object.data["spec"]["source"]["helm"]["parameters"][1]["value"] = json!(tag);
        object.metadata.managed_fields = None;
        let written = scene.applications().replace(APPLICATION, &parameters, &object).await;
        written.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

/// Waits until the first image of the policy says so.
async fn expect_image(scene: &Scene, chosen: &str, reason: &str) {
    let what = format!("{reason} of {chosen}");
    eventually("there is a policy", Deadline::seconds(30), async || {
        scene.raw_policies().get(APPLICATION).await.map_err(|error| error.to_string())
    })
    .await;
    let wish = |policy: &fairlead::api::ImageUpdatePolicy| {
        let image = policy.status.as_ref().and_then(|status| status.images.first());
        image.is_some_and(|image| image.chosen.as_deref() == Some(chosen) && image.reason == reason)
    };
    scene.expect_policy(APPLICATION, &what, Deadline::seconds(30), wish).await;
}

/// What a column of `kubectl get iup -o wide` shows for the policy: the API server makes that table.
async fn column(scene: &Scene, name: &str) -> Value {
    let path = format!("/apis/fairlead.dev/v1alpha1/namespaces/{}/imageupdatepolicies", scene.namespace);
    let mut request = kube::core::Request::new(path).list(&ListParams::default()).expect("a request");
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io".parse().expect("a media type");
    request.headers_mut().insert("accept", table);
    let table: Value = scene.client.request(request).await.expect("a table");
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let place = columns.iter().position(|column| column["name"] == name).expect("the column is there");
    let rows = table["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["cells"][0] == APPLICATION).expect("the policy is there");
    row["cells"][place].clone()
}

async fn expect_shadow(scene: &Scene, agreements: u32, differences: u32) {
    let what = format!("{agreements} agree, {differences} differ");
    eventually("the column of shadows", Deadline::seconds(30), async || match column(scene, "Shadow").await {
        found if found == json!(what) => Ok(()),
        found => Err(found),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_leads_from_the_one_to_the_other() {
    let scene = Scene::new("migrate").await;
    push(&scene, &["1.0.0", "1.0.1"]).await;
    create(&scene, &manifest(&scene, APPLICATION, None)).await;
    let annotations = scene.read_application(APPLICATION).await["metadata"]["annotations"].clone();
    let mut guide = Commands::of_the_guide();

    // 1. Run beside it.
    let mut shadow = guide.helm(&scene, "install").await;
    expect_image(&scene, "1.0.1", "WouldUpdate").await;

    // 2. Compare.
    guide.next("kubectl get iup -n argocd -o wide");
    the_other_writes(&scene, "1.0.1").await;
    expect_shadow(&scene, 1, 0).await;
    push(&scene, &["1.0.0", "1.0.1", "1.0.2", "1.0.3"]).await;
    scene.touch(APPLICATION).await;
    expect_image(&scene, "1.0.3", "WouldUpdate").await;
    the_other_writes(&scene, "1.0.2").await;
    expect_shadow(&scene, 1, 1).await;
    let words = guide.next("fairlead ");
    let said = run(&scene, &words);
    assert!(said.contains("1 agree, 1 differ") && said.contains("they wrote 1.0.2 where 1.0.3 was chosen"), "{said}");
    let metrics = shadow.page("/metrics").await;
    for result in ["agree", "differ"] {
        assert!(metrics.contains(&format!("fairlead_shadow_comparisons_total{{result=\"{result}\"}} 1")), "{metrics}");
    }

    // 3. Stop the other one; what it wrote a moment ago is left alone.
    guide.next("kubectl scale deployment argocd-image-updater");
    assert!(shadow.stop().await.success());
    let _fairlead = guide.helm(&scene, "upgrade").await;
    let left = |policy: &fairlead::api::ImageUpdatePolicy| {
        condition(policy, "Ready").is_some_and(|(status, reason, message)| {
            status == "True" && reason == "AnotherUpdaterWrites" && message.contains("`argocd-image-updater`")
        })
    };
    scene.expect_policy(APPLICATION, "it leaves the other one its place", Deadline::seconds(30), left).await;
    assert!(!scene.writes_of(ACCOUNT).await.iter().any(AuditEntry::of_application));

    // 4. Take over.
    guide.annotate(&scene).await;
    scene.expect_tag(APPLICATION, "1.0.3").await;
    scene.expect_ready(APPLICATION).await;
    assert_eq!(scene.read_application(APPLICATION).await["metadata"]["annotations"], annotations);

    // 5. The policy is one's own, and the annotations go.
    guide.annotate(&scene).await;
    eventually("it is a person's own", Deadline::seconds(20), async || {
        let policy = scene.raw_policies().get(APPLICATION).await.expect("the policy");
        if policy.metadata.owner_references.is_none() { Ok(()) } else { Err(policy.metadata) }
    })
    .await;
    let words = guide.next("fairlead ");
    let ["convert", ">", file] = words[..] else { panic!("{words:?}") };
    let converted = run(&scene, &["convert"]);
    assert_eq!(guide.next("kubectl apply -f "), [file]);
    apply_all(&scene, &converted).await;
    guide.annotate(&scene).await;
    push(&scene, &["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4"]).await;
    scene.touch(APPLICATION).await;
    scene.expect_tag(APPLICATION, "1.0.4").await;
    assert!(guide.0.is_empty(), "the guide goes on: {:?}", guide.0);
}

/// What the command line says, asked by an administrator.
fn run(scene: &Scene, words: &[&str]) -> String {
    let registry = ["--plain-http", &scene.registry().address];
    let plain: &[&str] = if words[0] == "explain" { &registry } else { &[] };
    command_line(&scene.administrator, &[words, &["--namespace", &scene.namespace], plain].concat())
}

/// Gives policies to the API server, which must take them and return each as it was given.
async fn apply_all(scene: &Scene, policies: &str) -> Vec<DynamicObject> {
    let mut applied = Vec::new();
    for policy in fairlead_e2e::helm::objects(policies) {
        let name = policy["metadata"]["name"].as_str().expect("a name").to_owned();
        let parameters = PatchParams::apply("kubectl").force();
        let taken = scene.raw_policies().patch(&name, &parameters, &Patch::Apply(&policy)).await;
        let taken = taken.unwrap_or_else(|cause| panic!("the API server refuses {policy:#}: {cause}"));
        for (field, value) in policy["spec"].as_object().expect("a specification") {
            assert_eq!(taken.data["spec"][field], *value, "{field}");
        }
        applied.push(taken);
    }
    applied
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_convert_prints_of_a_cluster_is_taken_by_the_api_server_and_updates() {
    let scene = Scene::new("migrate-convert").await;
    scene.pull_secret("docker-cred", &scene.closed_registry().docker_config()).await;
    push(&scene, &["1.0.0", "1.0.9", "1.0.2", "1.0.4", "1.1.0"]).await;
    let mut twin = manifest(&scene, "flask-filtered", None);
    twin["metadata"]["name"] = json!("flask-twin");
    let all = [manifest(&scene, "flask-app", None), manifest(&scene, "flask-filtered", None), twin];
    for application in all.iter().chain([&manifest(&scene, "flask-git", None)]) {
        create(&scene, application).await;
    }

    let converted = run(&scene, &["convert"]);

    let policies = apply_all(&scene, &converted).await;
    let names: Vec<String> = policies.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names.len(), 3, "equal settings share a policy: {converted}");
    let shared = policies
        .iter()
        .find(|policy| policy.data["spec"]["applications"].as_array().is_some_and(|found| found.len() == 2));
    assert!(shared.is_some(), "{converted}");
    assert!(!scene.writes().await.iter().any(AuditEntry::of_application));
    // Read by nobody any more: what was converted acts alone.
    let environment = vec![("FAIRLEAD_ANNOTATIONS", "off".to_owned())];
    let _fairlead = scene.start_configured(&[], Configured { environment, ..Configured::default() }).await;
    for (name, tag) in [("flask-app", "1.0.4"), ("flask-filtered", "1.0.2"), ("flask-twin", "1.0.2")] {
        scene.expect_tag(name, tag).await;
    }
}
