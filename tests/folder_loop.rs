//! The folder mode from end to end: real files, the real pipeline, a registry in memory.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests prepare folders and fail loudly"
)]
#![cfg(feature = "operator")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fairlead::adapters::directory::{Directory, Mode};
use fairlead::local::render::render_round;
use fairlead::local::{Round, Session, demo};
use fairlead::lower;
use fairlead::model::{Candidate, Details, Known, Listing, Node, Operation, Pointer, Reason, Tag};
use fairlead::ports::{Applications as _, Clock, Labels, Question, Registry, RegistryError};
use jiff::{SignedDuration, Timestamp};

/// Repositories with their tags, oldest build first.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<String, Vec<&'static str>>>);

impl Shelf {
    fn put(&self, repository: &str, tags: &[&'static str]) {
        self.0.lock().expect("no panic").insert(repository.to_owned(), tags.to_vec());
    }
}

#[async_trait]
impl Registry for Shelf {
    async fn tags(&self, question: &Question<'_>, _: Timestamp) -> Result<Arc<Listing>, RegistryError> {
        let repositories = self.0.lock().expect("no panic");
        let repository = question.repository.to_string();
        let missing =
            || RegistryError::new(Reason::RepositoryNotFound, format!("there is no repository `{repository}`"));
        let tags = repositories.get(&repository).ok_or_else(missing)?;
        Ok(Arc::new(Listing::of_tags(tags.iter().map(|tag| tag.parse().expect("a tag")))))
    }

    async fn details(
        &self,
        question: &Question<'_>,
        tags: &[Tag],
        _: Timestamp,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let repositories = self.0.lock().expect("no panic");
        let known = repositories.get(&question.repository.to_string()).cloned().unwrap_or_default();
        let candidate = |tag: &Tag| {
            let place = known.iter().position(|known| *known == tag.as_str())?;
            let age = SignedDuration::from_hours(i64::try_from(known.len() - place).expect("few tags"));
            let digest = format!("sha256:{place:064x}").parse().expect("a digest");
            let builds = vec![("linux/amd64".parse().expect("a platform"), Some(now() - age))];
            let details = Details::Known(Known { digest, builds, pushed: None, first_seen: None });
            Some(Candidate { tag: tag.clone(), details })
        };
        Ok(tags.iter().filter_map(candidate).collect())
    }

    async fn labels(&self, _: &Question<'_>, _: &Tag, _: Timestamp) -> Result<Arc<Labels>, RegistryError> {
        Ok(Arc::default())
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        now()
    }
}

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a time")
}

/// A copy of one example, which a test may change.
fn example(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    for entry in fs::read_dir(source).expect("the example") {
        let entry = entry.expect("a file");
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a copy");
    }
    folder
}

fn session(folder: &Path, mode: Mode, registry: &Arc<Shelf>) -> Session {
    let directory = Arc::new(Directory::open(folder, mode).expect("a folder"));
    Session::new(directory, mode, Arc::clone(registry) as _, Arc::new(Still))
}

fn flask() -> Arc<Shelf> {
    let shelf = Shelf::default();
    shelf.put("ghcr.io/example/flask-app", &["1.0.0", "1.0.4", "1.1.0", "2.0.0"]);
    Arc::new(shelf)
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("application.yaml")).expect("the Application")
}

fn plain(round: &Round) -> String {
    anstream::adapter::strip_str(&render_round(round)).to_string()
}

#[tokio::test]
async fn values_in_a_block_change_in_their_line_alone() {
    let application = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web}
spec:
  source:
    chart: web # ours
    helm:
      values: |
        # by hand
        image:
          tag: 'OLD'   # moved

        replicas: 2
      releaseName: web
";
    let policy = "apiVersion: fairlead.dev/v1alpha1
kind: ImageUpdatePolicy
metadata: {name: web}
spec:
  applications: [{name: web}]
  images: [{image: ghcr.io/example/flask-app, constraint: ~1.0, target: {helm: {values: {tag: image.tag}}}}]
";
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("application.yaml"), application.replace("OLD", "1.0.0")).expect("a file");
    fs::write(folder.path().join("policy.yaml"), policy).expect("a file");
    let mut session = session(folder.path(), Mode::Write, &flask());
    let round = session.round().await;
    assert_eq!(round.reports[0].images[0].reason, Reason::Updated, "{round:#?}");
    assert_eq!(text(folder.path()), application.replace("OLD", "1.0.4"));
    assert_eq!(session.round().await.changes, []);
}

#[tokio::test]
async fn every_example_is_read_without_a_problem() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for entry in fs::read_dir(&examples).expect("the examples") {
        let path = entry.expect("a folder").path();
        let directory = Directory::open(&path, Mode::DryRun).expect("a folder");
        let survey = directory.survey();
        assert_eq!((survey.problems, survey.notes), (vec![], vec![]), "{}", path.display());
        assert!(!survey.policies.is_empty(), "{} has a policy", path.display());
        for manifest in survey.policies {
            assert_eq!(manifest.problems, vec![], "{}", path.display());
            let lowered = lower::policy(manifest.policy.as_deref().expect("a policy"));
            assert_eq!(lowered.problems, vec![], "{}", path.display());
            let policy = lowered.policy.expect("a policy");
            let found = directory.list(&policy.id.namespace).await.expect("a readable folder");
            assert!(found.unreadable.is_empty());
            let matched = found.applications.iter().filter(|found| policy.matches(&found.id, &found.labels)).count();
            assert_ne!(matched, 0, "{} has an Application for its policy", path.display());
        }
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["helm", "kustomize"]);
}

#[tokio::test]
async fn the_helm_example_is_updated_once_and_then_left_alone() {
    let (folder, registry) = (example("helm"), flask());
    let before = text(folder.path());
    let mut session = session(folder.path(), Mode::Write, &registry);
    let round = session.round().await;
    assert!(!round.failed(), "{}", plain(&round));
    let expected = before.replace("value: 1.0.0", "value: 1.0.4");
    assert_eq!(text(folder.path()), expected);
    let image = &round.reports[0].images[0];
    let versions = (image.previous.as_deref(), image.current.as_deref());
    assert_eq!((image.reason, versions), (Reason::Updated, (Some("1.0.0"), Some("1.0.4"))));
    assert!(plain(&round).contains("-          value: 1.0.0\n+          value: 1.0.4\n"), "{}", plain(&round));
    let again = session.round().await;
    assert_eq!((again.changes, again.reports[0].images[0].reason), (vec![], Reason::UpToDate));
    assert_eq!(text(folder.path()), expected);
    registry.put("ghcr.io/example/flask-app", &["1.0.0", "1.0.4", "1.0.5"]);
    session.round().await;
    assert_eq!(text(folder.path()), expected.replace("1.0.4", "1.0.5"));
}

#[tokio::test]
async fn a_dry_run_shows_the_change_and_makes_none() {
    let (folder, registry) = (example("helm"), flask());
    let before = text(folder.path());
    let round = session(folder.path(), Mode::DryRun, &registry).round().await;
    assert_eq!(text(folder.path()), before);
    assert_eq!(round.reports[0].images[0].reason, Reason::WouldUpdate);
    assert_eq!(round.changes.len(), 1);
    assert!(!round.failed());
}

#[tokio::test]
async fn what_fails_is_told_and_nothing_is_written() {
    let (folder, registry) = (example("helm"), Arc::new(Shelf::default()));
    let before = text(folder.path());
    let round = session(folder.path(), Mode::Write, &registry).round().await;
    assert!(round.failed());
    assert_eq!((round.reports[0].images[0].reason, &round.changes), (Reason::RepositoryNotFound, &vec![]));
    assert_eq!(text(folder.path()), before);
}

#[tokio::test]
async fn a_policy_with_a_mistyped_field_is_not_acted_on() {
    let (folder, registry) = (example("helm"), flask());
    let path = folder.path().join("policy.yaml");
    let policy = fs::read_to_string(&path).expect("the policy").replace("constraint:", "constriant:");
    fs::write(&path, policy).expect("a file");
    let before = text(folder.path());
    let round = session(folder.path(), Mode::Write, &registry).round().await;
    assert!(round.failed());
    insta::assert_snapshot!(plain(&round), @r#"
    argocd/flask-app  0 Applications, 0 images
      policy.yaml:14 spec.images[0].constriant: there is no field `constriant`  UnreadableObject
        did you mean `constraint`?
    "#);
    assert_eq!(text(folder.path()), before);
}

#[tokio::test]
async fn a_mistake_in_a_policy_is_shown_with_its_line() {
    let (folder, registry) = (example("helm"), flask());
    let path = folder.path().join("policy.yaml");
    let policy = fs::read_to_string(&path).expect("the policy").replace("ghcr.io/example/flask-app", "ghcr.io//flask");
    fs::write(&path, policy).expect("a file");
    let round = session(folder.path(), Mode::Write, &registry).round().await;
    assert!(round.failed());
    let place = round.reports[0].problems[0].place.as_deref();
    assert_eq!(place, Some("policy.yaml:13 spec.images[0].image"), "{}", plain(&round));
}

#[tokio::test]
async fn an_image_of_the_kustomize_example_is_changed_with_every_comment_kept() {
    let folder = example("kustomize");
    let before = text(folder.path());
    let operation = Operation::Replace(
        Pointer::root().key("spec").key("source").key("kustomize").key("images").index(1),
        Node::text("ghcr.io/example/worker:2.3.1"),
    );
    let after = fairlead::edit::yaml::apply(&before, 0, &[operation]).expect("a change");
    assert_eq!(after, before.replace("worker:2.3.0", "worker:2.3.1"));
}

#[tokio::test]
async fn the_demo_tells_its_story_to_the_end() {
    let mut story = String::new();
    let ended = demo::run(&mut |text| story.push_str(text)).await;
    let story = anstream::adapter::strip_str(&story).to_string();
    assert!(ended.is_ok(), "{ended:?}\n{story}");
    for expected in
        ["1.0.0 → 1.0.1", "1.0.1 → 1.0.4", "1.0.4 → 1.0.3", "-          value: 1.0.4   # the running version"]
    {
        assert!(story.contains(expected), "{expected} is missing in\n{story}");
    }
    let verdict = story.lines().find(|line| line.starts_with("  2.0.0")).unwrap_or_default();
    assert!(verdict.contains("OutsideConstraint"), "{story}");
}
