//! A folder of manifests as the world: what is read, what is written, and what never is.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests prepare folders and fail loudly"
)]
#![cfg(feature = "operator")]

use std::fs;
use std::path::Path;

use fairlead::adapters::directory::{Change, Directory, Mode, Survey};
use fairlead::adapters::memory::{MemoryClock, MemoryRegistry};
use fairlead::lower;
use fairlead::model::{
    ApplicationId, ApplicationPlan, Details, Edit, Guard, ImageReference, Memory, Node, Operation, Pointer, Problem,
    SecretRef,
};
use fairlead::pipeline;
use fairlead::ports::{Applications, Clock, Policies, Ports, Secrets, WriteError};

const APPLICATION: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web}   # no namespace
spec:
  source:
    helm:
      parameters:
      # by hand
      - name: image.tag
        value: '1.0.0'
";

const POLICY: &str = "\
apiVersion: fairlead.dev/v1alpha1
kind: ImageUpdatePolicy
metadata: {name: web, namespace: argocd}
spec:
  applications: [{name: web}]
  images: [{image: ghcr.io/org/web}]
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn open(folder: &Path, mode: Mode) -> Directory {
    Directory::open(folder, mode).expect("a folder")
}

fn web() -> ApplicationId {
    ApplicationId::new("argocd", "web")
}

/// A plan for `web` as it is now.
async fn plan(directory: &Directory, value: &str) -> ApplicationPlan {
    let application = directory.fresh(&web()).await.expect("a readable folder").expect("the Application");
    let place = Pointer::root().key("spec").key("source").key("helm").key("parameters").index(0);
    ApplicationPlan {
        application: web(),
        uid: application.uid.clone(),
        resource_version: application.resource_version.clone(),
        guard: Guard::Version,
        refresh: None,
        sync: None,
        edits: vec![Edit {
            image: 0,
            from: None,
            to: value.to_owned(),
            operations: vec![
                Operation::Test(place.clone().key("name"), Node::text("image.tag")),
                Operation::Replace(place.key("value"), Node::text(value)),
            ],
        }],
    }
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn applications_policies_and_secrets_are_found_wherever_they_stand() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: team}\ndata: {a: aGk=}\n";
    let other = APPLICATION.replace("web", "other").replace("name: other}", "name: other, namespace: team}");
    let folder = folder(&[
        ("b/web.yaml", &format!("# head\n---\n{POLICY}---\n{APPLICATION}")),
        ("a.yml", secret),
        ("a.json", "{\"kind\": \"ConfigMap\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"x\"}}"),
        ("c/d/other.yaml", &other),
        ("c/notes.txt", "a: ["),
        (".git/x.yaml", "a: ["),
    ]);
    let directory = open(folder.path(), Mode::Write);
    let found = Applications::list(&directory, "argocd").await.expect("a readable folder");
    assert_eq!(found.applications.iter().map(|found| found.uid.as_str()).collect::<Vec<_>>(), ["b/web.yaml#1"]);
    let found = Applications::list(&directory, "team").await.expect("a readable folder");
    assert_eq!(found.applications.iter().map(|found| found.id.to_string()).collect::<Vec<_>>(), ["team/other"]);
    let secret = SecretRef { namespace: "team".to_owned(), name: "pull".to_owned() };
    let data = directory.read(&secret).await.expect("a readable folder").expect("the Secret");
    assert_eq!(data.0.get("a").map(Vec::as_slice), Some(&b"hi"[..]));
    assert_eq!(Policies::list(&directory, "argocd").await.len(), 1);
    let Survey { policies, problems, notes } = directory.survey();
    assert_eq!((policies.len(), policies[0].file.as_str(), policies[0].line), (1, "b/web.yaml", 2));
    assert_eq!((problems, notes), (vec![], vec![]));
}

#[tokio::test]
async fn what_cannot_be_read_is_reported_with_its_place_and_hinders_nothing() {
    let big = format!("a: {}\n", "x".repeat(4 * 1024 * 1024));
    let broken = APPLICATION.replace("name: web", "name: broken").replace("'1.0.0'", "[1]");
    let folder = folder(&[
        ("a.yaml", &format!("{APPLICATION}---\na: [\n")),
        ("big.yaml", &big),
        ("bytes.yaml", ""),
        ("broken.yaml", &broken),
        ("policy.yaml", &POLICY.replace("applications", "application").replace("images:", "imagse:")),
        ("twice.yaml", APPLICATION),
        ("wrong.yaml", "# fairlead.dev/v1alpha1\n{\n"),
    ]);
    fs::write(folder.path().join("bytes.yaml"), [0xff, 0xfe]).expect("a file");
    let directory = open(folder.path(), Mode::Write);
    let found = Applications::list(&directory, "argocd").await.expect("a readable folder");
    assert_eq!(found.applications.len(), 1);
    assert_eq!(found.unreadable.len(), 1);
    insta::assert_snapshot!(found.unreadable[0].1, @"broken.yaml:10: expected string scalar");
    let Survey { policies, problems, notes } = directory.survey();
    assert!(policies[0].policy.is_none());
    insta::assert_snapshot!(shown(&policies[0].problems), @r#"
    policy.yaml:5 spec.application: there is no field `application`; did you mean `applications`?
    policy.yaml:6 spec.imagse: there is no field `imagse`; did you mean `images`?
    policy.yaml:4 spec: the field `applications` is missing
    policy.yaml:4 spec: the field `images` is missing
    "#);
    insta::assert_snapshot!(shown(&problems), @r#"
    twice.yaml:1: the Application `argocd/web` stands here a second time; the first one, by file name, counts
    wrong.yaml:2: unclosed bracket '{'
    "#);
    insta::assert_snapshot!(shown(&notes), @r#"
    a.yaml:12: unclosed bracket '['
    big.yaml: is longer than 4 MiB and is not read
    bytes.yaml: cannot be read: stream did not contain valid UTF-8
    "#);
    assert_eq!(Policies::list(&directory, "argocd").await.len(), 0);
}

#[tokio::test]
async fn a_write_changes_its_value_alone_and_keeps_the_permissions() {
    let folder = folder(&[("web.yaml", &format!("{POLICY}---\n{APPLICATION}"))]);
    let path = folder.path().join("web.yaml");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("permissions");
    }
    let directory = open(folder.path(), Mode::Write);
    directory.write(&plan(&directory, "1.10").await).await.expect("a write");
    let (before, after) = (format!("{POLICY}---\n{APPLICATION}"), fs::read_to_string(&path).expect("the file"));
    assert_eq!(after, before.replace("'1.0.0'", "'1.10'"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o640);
    }
    assert_eq!(directory.take_changes(), [Change { file: "web.yaml".to_owned(), before, after }]);
    assert_eq!(directory.take_changes(), []);
    directory.write(&plan(&directory, "1.10").await).await.expect("nothing to write");
    assert_eq!(directory.take_changes(), []);
    let files = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(files, 1, "no other file is left behind");
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_not_touched() {
    let folder = folder(&[("web.yaml", APPLICATION)]);
    let path = folder.path().join("web.yaml");
    let directory = open(folder.path(), Mode::Write);
    let old = plan(&directory, "1.0.1").await;
    let theirs = APPLICATION.replace("by hand", "by hand, again");
    fs::write(&path, &theirs).expect("a file");
    assert_eq!(directory.write(&old).await, Err(WriteError::Conflict(web())));
    assert_eq!(fs::read_to_string(&path).expect("the file"), theirs);
    let new = plan(&directory, "1.0.1").await;
    directory.write(&new).await.expect("a write");
    fs::remove_file(&path).expect("the file");
    assert_eq!(directory.write(&new).await, Err(WriteError::Gone(web())));
    assert_eq!(directory.fresh(&web()).await.expect("a readable folder"), None);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_builds_on_what_it_would_have_written() {
    let other = APPLICATION.replace("name: web", "name: other");
    let before = format!("{APPLICATION}---\n{other}");
    let folder = folder(&[("web.yaml", &before)]);
    let path = folder.path().join("web.yaml");
    let directory = open(folder.path(), Mode::DryRun);
    directory.write(&plan(&directory, "1.0.1").await).await.expect("a write");
    directory.write(&plan(&directory, "1.0.2").await).await.expect("a second write");
    assert_eq!(fs::read_to_string(&path).expect("the file"), before);
    let after = format!("{}---\n{other}", APPLICATION.replace("1.0.0", "1.0.2"));
    assert_eq!(directory.take_changes(), [Change { file: "web.yaml".to_owned(), before: before.clone(), after }]);
    fs::write(&path, before.replace("by hand", "anew")).expect("a file");
    let application = directory.fresh(&web()).await.expect("a readable folder").expect("the Application");
    let parameters = application.sources.each()[0].1.helm.clone().and_then(|helm| helm.parameters).unwrap_or_default();
    assert_eq!(parameters[0].value, "1.0.0", "the person's text counts, not what would have been written");
}

#[tokio::test]
async fn what_cannot_be_changed_exactly_is_refused_with_its_line() {
    let aliased = APPLICATION.replace("value: '1.0.0'", "value: &tag '1.0.0'\n      - {name: b, value: *tag}");
    let folder = folder(&[("web.yaml", &aliased)]);
    let directory = open(folder.path(), Mode::Write);
    let refused = directory.write(&plan(&directory, "1.0.1").await).await.expect_err("a refusal");
    insta::assert_snapshot!(refused, @"cannot change `argocd/web` without touching other text: web.yaml, line 10: `spec.source.helm.parameters[0].value` has an anchor that is used elsewhere, too");
    assert_eq!(fs::read_to_string(folder.path().join("web.yaml")).expect("the file"), aliased);
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_followed_within_the_folder_alone() {
    use std::os::unix::fs::symlink;
    let outside = folder(&[("web.yaml", APPLICATION)]);
    let inside = folder(&[("real/web.yaml", &APPLICATION.replace("name: web", "name: inner"))]);
    symlink(outside.path().join("web.yaml"), inside.path().join("out.yaml")).expect("a link");
    symlink(outside.path(), inside.path().join("outer")).expect("a link");
    symlink(inside.path(), inside.path().join("real/loop")).expect("a link");
    symlink("real/web.yaml", inside.path().join("alias.yaml")).expect("a link");
    symlink("nowhere", inside.path().join("dangling.yaml")).expect("a link");
    let directory = open(inside.path(), Mode::Write);
    let found = Applications::list(&directory, "argocd").await.expect("a readable folder");
    assert_eq!(found.applications.iter().map(|found| found.uid.as_str()).collect::<Vec<_>>(), ["alias.yaml#0"]);
    insta::assert_snapshot!(shown(&directory.survey().notes), @r#"
    dangling.yaml: cannot be read: No such file or directory (os error 2)
    out.yaml: is a link out of the folder and is not followed
    outer: is a link out of the folder and is not followed
    "#);
}

#[test]
fn a_folder_that_is_none_is_an_error() {
    let folder = folder(&[("a.yaml", "")]);
    assert!(Directory::open(&folder.path().join("a.yaml"), Mode::Write).is_err());
    assert!(Directory::open(&folder.path().join("missing"), Mode::Write).is_err());
}

/// What the folder mode does to a child of an ApplicationSet, which says `spec` if it stands in the folder.
async fn child_of(spec: Option<&str>) -> (String, Vec<Change>) {
    let child = APPLICATION.replace(
        "{name: web}   # no namespace",
        "{name: web, ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, name: set, uid: u, controller: true}]}",
    );
    let policy = POLICY.replace("org/web}", "org/web, forceUpdate: true}");
    let set = spec.map(|spec| {
        format!("apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {{name: set}}\nspec: {spec}\n")
    });
    let folder = folder(&[("web.yaml", &child), ("policy.yaml", &policy), ("set.yaml", &set.unwrap_or_default())]);
    let directory = open(folder.path(), Mode::Write);
    let registry = MemoryRegistry::default();
    let repository = "ghcr.io/org/web".parse::<ImageReference>().unwrap().repository;
    for tag in ["1.0.0", "1.0.1"] {
        registry.push(&repository, tag.parse().unwrap(), Details::Unknown);
    }
    let clock = MemoryClock::at("2026-06-01T12:00:00Z".parse().unwrap());
    let ports = Ports {
        applications: &directory,
        policies: &directory,
        registry: &registry,
        git: None,
        forge: None,
        clock: &clock,
    };
    let policy = directory.survey().policies.remove(0).policy.unwrap();
    let report = pipeline::reconcile(ports, &lower::policy(&policy), &Memory::default(), clock.now()).await;
    let said = report.images.first().map_or_else(String::new, |image| format!("{:?}: {}", image.reason, image.message));
    (said, directory.take_changes())
}

#[tokio::test]
async fn a_child_of_an_application_set_is_written_where_the_set_leaves_it() {
    for spec in [
        "{syncPolicy: {applicationsSync: create-only}}",
        "{ignoreApplicationDifferences: [{jsonPointers: [/spec/source/helm/parameters]}]}",
    ] {
        let (said, changes) = child_of(Some(spec)).await;
        assert!(said.starts_with("Updated: "), "{said}");
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(change.after, change.before.replace("'1.0.0'\n", "'1.0.1'\n        forceString: true\n"));
    }
    for (spec, cause) in [
        (Some("{syncPolicy: {applicationsSync: create-update}}"), "which would set `spec.source.helm.parameters` back"),
        (Some("[]"), "is not known: set.yaml:"),
        (None, "is not known: it is not there"),
    ] {
        let (said, changes) = child_of(spec).await;
        assert!(said.starts_with("OwnedByApplicationSet: ") && said.contains(cause), "{said}");
        assert!(changes.is_empty(), "{changes:?}");
    }
}
