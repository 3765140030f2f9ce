//! The folder mode on policies that write to Git: commits in a working copy, or the difference alone.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests prepare folders and fail loudly")]
#![cfg(feature = "operator")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fairlead::adapters::directory::{Directory, Mode};
use fairlead::adapters::memory::{MemoryClock, MemoryRegistry};
use fairlead::local::render::render_round;
use fairlead::local::{Round, Session};
use fairlead::model::{Details, ImageReference, Known, Reason};

const ADDRESS: &str = "https://git.example.com/org/web.git";
const VALUES: &str = "# values\nimage:\n  tag: \"1.0.0\" # kept\n";
const MANIFESTS: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: { name: web }
spec:
  project: default
  source: { repoURL: https://git.example.com/org/web.git, path: chart, targetRevision: main }
status: { sourceType: Helm, summary: { images: [registry.example/app:1.0.0] } }
---
apiVersion: fairlead.dev/v1alpha1
kind: ImageUpdatePolicy
metadata: { name: web }
spec:
  applications: [{ name: web }]
  images: [{ image: registry.example/app }]
  writeBack: { method: Git, git: { target: HelmValues } }
";

struct Scene {
    folder: tempfile::TempDir,
    session: Session,
}

impl Scene {
    fn new(mode: Mode, mapped: bool) -> Self {
        Self::with(mode, mapped, "target: HelmValues")
    }

    /// A policy with these settings of `writeBack.git`.
    fn with(mode: Mode, mapped: bool, settings: &str) -> Self {
        Self::of(mode, mapped, &MANIFESTS.replace("target: HelmValues", settings))
    }

    fn of(mode: Mode, mapped: bool, manifests: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("manifests")).unwrap();
        std::fs::write(folder.path().join("manifests/all.yaml"), manifests).unwrap();
        std::fs::create_dir_all(folder.path().join("web/chart")).unwrap();
        std::fs::write(folder.path().join("web/chart/values.yaml"), VALUES).unwrap();
        let web = folder.path().join("web");
        git(&web, &["init", "--quiet", "--initial-branch=main"]);
        git(&web, &["add", "."]);
        git(&web, &["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "first"]);
        let registry = MemoryRegistry::default();
        for (number, tag) in ["1.0.0", "1.0.1"].into_iter().enumerate() {
            let digest = format!("sha256:{number:064x}").parse().unwrap();
            let known = Known { digest, builds: Vec::new(), pushed: None, first_seen: None };
            let repository = "registry.example/app".parse::<ImageReference>().unwrap().repository;
            registry.push(&repository, tag.parse().unwrap(), Details::Known(known));
        }
        let directory = Arc::new(Directory::open(&folder.path().join("manifests"), mode).unwrap());
        let clock = Arc::new(MemoryClock::at("2026-06-01T12:00:00Z".parse().unwrap()));
        let session = Session::new(directory, mode, Arc::new(registry), clock);
        let copies = if mapped { vec![(ADDRESS.to_owned(), web)] } else { Vec::new() };
        Self { folder, session: session.with_repositories(copies) }
    }

    fn web(&self) -> std::path::PathBuf {
        self.folder.path().join("web")
    }

    fn values(&self) -> String {
        std::fs::read_to_string(self.web().join("chart/values.yaml")).unwrap()
    }

    /// What a round shows, with the folder's name taken out.
    fn shown(&self, round: &Round) -> String {
        anstream::adapter::strip_str(&render_round(round))
            .to_string()
            .replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// Runs `git` apart from the settings of whoever runs the test; what it prints.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_change_is_committed_to_the_working_copy_and_pushed_nowhere() {
    let mut scene = Scene::new(Mode::Write, true);
    std::fs::write(scene.web().join("notes.txt"), "not committed\n").unwrap();
    let round = scene.session.round().await;
    assert_eq!(round.reports[0].images[0].reason, Reason::Updated, "{}", scene.shown(&round));
    assert_eq!(scene.values(), VALUES.replace("1.0.0", "1.0.1"));
    insta::assert_snapshot!(git(&scene.web(), &["log", "-1", "--format=%an <%ae>%n%B", "--name-only"]), @"
    fairlead <fairlead@noreply.invalid>
    build: automatic update of web

    updates image app tag '1.0.0' to '1.0.1'

    Fairlead-Policy: argocd/web
    Fairlead-Application: argocd/web


    chart/values.yaml
    ");
    assert_eq!(git(&scene.web(), &["status", "--porcelain"]), "?? notes.txt\n", "what is not ours stays");
    let again = scene.session.round().await;
    assert_eq!(again.reports[0].images[0].reason, Reason::UpToDate);
    assert_eq!(git(&scene.web(), &["rev-list", "--count", "HEAD"]), "2\n");
}

#[tokio::test]
async fn a_dry_run_shows_the_difference_and_commits_nothing() {
    let mut scene = Scene::new(Mode::DryRun, true);
    let round = scene.session.round().await;
    insta::assert_snapshot!(scene.shown(&round), @r#"
    argocd/web  1 Application, 1 image
      web  registry.example/app  1.0.0 → 1.0.1  WouldUpdate  moved from `1.0.0` to `1.0.1`, the choice among 2 allowed tags

    --- a/FOLDER/web/chart/values.yaml
    +++ b/FOLDER/web/chart/values.yaml
    @@ -1,3 +1,3 @@
     # values
     image:
    -  tag: "1.0.0" # kept
    +  tag: "1.0.1" # kept
    "#);
    assert_eq!(scene.values(), VALUES);
    assert_eq!(git(&scene.web(), &["rev-list", "--count", "HEAD"]), "1\n");
}

#[tokio::test]
async fn what_no_working_copy_gives_is_refused_and_shown_in_a_dry_run_all_the_same() {
    let mut said = Vec::new();
    for settings in
        ["writeBranch: next", "commit: { signing: { secretRef: { name: key } } }", "commit: { via: GitHubApi }"]
    {
        let settings = format!("target: HelmValues, {settings}");
        let mut scene = Scene::with(Mode::Write, true, &settings);
        let round = scene.session.round().await;
        let image = &round.reports[0].images[0];
        said.push(format!("{}: {}", image.reason, image.message));
        assert_eq!(
            (scene.values().as_str(), git(&scene.web(), &["rev-list", "--count", "HEAD"]).as_str()),
            (VALUES, "1\n")
        );
        let mut scene = Scene::with(Mode::DryRun, true, &settings);
        let round = scene.session.round().await;
        assert!(scene.shown(&round).contains("+  tag: \"1.0.1\" # kept"), "{}", scene.shown(&round));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    NotSupportedYet: a working copy is committed to as it stands, and not to `next`; nothing was committed
    SigningFailed: commits in a working copy are signed by no key of a Secret; nothing was committed
    NotSupportedYet: GitHub makes no commits in a working copy; nothing was committed
    ");
}

#[tokio::test]
async fn all_documents_of_a_file_are_changed_by_one_commit() {
    const DOCUMENTS: &str = "# first\na: registry.example/app:1.0.0\n---\nb: registry.example/app:1.0.0 # second\n";
    let image = |alias: &str| {
        let target = format!("target: {{ file: {{ path: deploy.yaml, keys: {{ spec: {alias} }} }} }}");
        format!("{{ image: registry.example/app, alias: {alias}, {target} }}")
    };
    let manifests = MANIFESTS.replace("target: HelmValues", "target: Files");
    let manifests = manifests.replace("{ image: registry.example/app }", &format!("{}, {}", image("a"), image("b")));
    for mode in [Mode::DryRun, Mode::Write] {
        let mut scene = Scene::of(mode, true, &manifests);
        let file = scene.web().join("deploy.yaml");
        std::fs::write(&file, DOCUMENTS).unwrap();
        git(&scene.web(), &["add", "."]);
        git(
            &scene.web(),
            &["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "second"],
        );
        let round = scene.session.round().await;
        let shown = scene.shown(&round);
        if mode == Mode::DryRun {
            assert!(shown.contains("+a: registry.example/app:1.0.1\n"), "{shown}");
            assert!(shown.contains("+b: registry.example/app:1.0.1 # second\n"), "{shown}");
            continue;
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), DOCUMENTS.replace("1.0.0", "1.0.1"), "{shown}");
        assert_eq!(git(&scene.web(), &["rev-list", "--count", "HEAD"]), "3\n");
    }
}

#[tokio::test]
async fn without_a_working_copy_the_option_is_named() {
    let mut scene = Scene::new(Mode::Write, false);
    let round = scene.session.round().await;
    let image = &round.reports[0].images[0];
    insta::assert_snapshot!(format!("{}: {}", image.reason, image.message), @"GitNotSetUp: where `https://git.example.com/org/web.git` lies on this machine is not known; give `--repository https://git.example.com/org/web.git=PATH`");
}

#[tokio::test]
async fn a_project_whose_manifest_is_in_the_folder_is_kept_to() {
    let project = |spec: &str| {
        format!("apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {{ name: default }}\nspec: {spec}\n")
    };
    let mut said = Vec::new();
    for spec in [
        "{ sourceRepos: ['https://git.example.com/other/*'] }",
        "{ sourceRepos: ['*'], signatureKeys: [{ keyID: 4AEE18F83AFDEB23 }] }",
        "{ sourceRepos: { not: a list } }",
        "{ sourceRepos: ['https://git.example.com/org/*'] }",
    ] {
        let mut scene = Scene::new(Mode::Write, true);
        std::fs::write(scene.folder.path().join("manifests/project.yaml"), project(spec)).unwrap();
        let round = scene.session.round().await;
        let image = &round.reports[0].images[0];
        said.push(format!("{}: {}", image.reason, image.message));
        let commits = if image.reason == Reason::Updated { "2\n" } else { "1\n" };
        assert_eq!(git(&scene.web(), &["rev-list", "--count", "HEAD"]), commits, "{said:?}");
    }
    said[3].truncate("Updated: moved".len());
    insta::assert_snapshot!(said.join("\n"), @"
    WriteDenied: the project `default` does not permit the repository `https://git.example.com/org/web.git` (`spec.sourceRepos`), so nothing is written there with the credentials of Argo CD; let the project allow it, or name a Secret of your own by `spec.writeBack.git.secretRef`
    SignatureDemanded: the project `default` takes only commits that are signed by OpenPGP keys (`spec.signatureKeys`); let Fairlead sign by an OpenPGP key, by `spec.writeBack.git.commit.signing` with `method: OpenPGP`, or GitHub, by `commit.via: GitHubApi`
    WriteDenied: what the project `default` allows is not known, so nothing is written: project.yaml:4: expected sequence start
    Updated: moved
    ");
}

#[tokio::test]
async fn changes_that_are_not_committed_are_not_taken_along() {
    let mut scene = Scene::new(Mode::Write, true);
    let edited = VALUES.replace("# values", "# my values");
    std::fs::write(scene.web().join("chart/values.yaml"), &edited).unwrap();
    let round = scene.session.round().await;
    insta::assert_snapshot!(scene.shown(&round), @"
    argocd/web  1 Application, 1 image
      web  registry.example/app  1.0.0 (not 1.0.1)  GitFailed  `FOLDER/web` has changes that are not committed: M chart/values.yaml
    ");
    assert_eq!(scene.values(), edited);
}

#[tokio::test]
async fn another_branch_and_a_hook_that_refuses_change_nothing() {
    let mut scene = Scene::new(Mode::Write, true);
    let hook = scene.web().join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho not today >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let round = scene.session.round().await;
    insta::assert_snapshot!(scene.shown(&round), @"
    argocd/web  1 Application, 1 image
      web  registry.example/app  1.0.0 (not 1.0.1)  GitFailed  `git commit` in `FOLDER/web` failed: not today
    ");
    assert_eq!((scene.values().as_str(), git(&scene.web(), &["status", "--porcelain"]).as_str()), (VALUES, ""));
    std::fs::remove_file(&hook).unwrap();
    git(&scene.web(), &["checkout", "--quiet", "-b", "other"]);
    let round = scene.session.round().await;
    insta::assert_snapshot!(scene.shown(&round), @"
    argocd/web  1 Application, 1 image
      web  registry.example/app  –  GitBranchNotFound  `FOLDER/web` stands on the branch `other`, and `main` is needed
    ");
    assert_eq!(scene.values(), VALUES);
}
