//! Pull requests through the whole pipeline, on repositories and a forge in memory: what is offered, what is not, and what a failure costs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod world;

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use fairlead::model::{ForgeRepository, MergeMethod, PullRequest, PullRequestDraft, PullRequestState, Reason, Report};
use fairlead::pipeline;
use fairlead::ports::{Forge, ForgeError, GitError, PullRequestWritten};
use world::World;

const REPOSITORY: &str = "https://git.example/web";
const APP: &str = "registry.example/app";
const VALUES: &str = "chart/values.yaml";
const TEXT: &str = "image:\n  tag: 1.0.0\nsidecar:\n  tag: 1.0.0\n";

/// A forge with one repository.
#[derive(Default)]
struct MemoryForge(Mutex<State>);

#[derive(Default)]
struct State {
    pulls: Vec<(PullRequest, String)>,
    down: bool,
    /// Whether no pull request may be opened.
    refuses: bool,
    questions: usize,
    changes: usize,
    merges: Vec<MergeMethod>,
}

impl MemoryForge {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn ask(&self) -> Result<MutexGuard<'_, State>, ForgeError> {
        let mut state = self.state();
        state.questions += 1;
        if state.down {
            return Err(ForgeError::new(Reason::ForgeUnreachable, "the forge is away"));
        }
        Ok(state)
    }

    fn change(&self) -> Result<MutexGuard<'_, State>, ForgeError> {
        let mut state = self.ask()?;
        state.questions -= 1;
        state.changes += 1;
        Ok(state)
    }

    /// Number, state and title of all, oldest first.
    fn told(&self) -> Vec<String> {
        let state = self.state();
        state.pulls.iter().map(|(pull, title)| format!("#{} {:?} {title}", pull.number, pull.state)).collect()
    }

    fn set(&self, number: u64, to: PullRequestState) {
        let mut state = self.state();
        state.pulls.iter_mut().filter(|(pull, _)| pull.number == number).for_each(|(pull, _)| pull.state = to);
    }

    /// Opens one as a person does.
    fn by_hand(&self, head: &str, base: &str) {
        let mut state = self.state();
        let number = state.pulls.len() as u64 + 1;
        let (head, base, body) = (head.to_owned(), base.to_owned(), "my own".to_owned());
        let open = PullRequestState::Open;
        let pull = PullRequest { number, url: String::new(), head, base, body, state: open, head_commit: None };
        state.pulls.push((pull, "By hand".to_owned()));
    }

    /// Writes another text into the mark of a pull request in place of `from`.
    fn remark(&self, number: u64, from: &str, to: &str) {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        let mut state = self.state();
        let (pull, _) = state.pulls.iter_mut().find(|(pull, _)| pull.number == number).unwrap();
        let (before, mark) = pull.body.split_once("<!-- fairlead:pull-request ").unwrap();
        let mark = engine.decode(mark.split_once(" -->").unwrap().0).unwrap();
        let mark = String::from_utf8(mark).unwrap();
        assert!(mark.contains(from), "{mark}");
        let mark = engine.encode(mark.replace(from, to));
        pull.body = format!("{before}<!-- fairlead:pull-request {mark} -->\n");
    }

    fn asked(&self) -> (usize, usize) {
        let state = self.state();
        (state.questions, state.changes)
    }
}

#[async_trait]
impl Forge for MemoryForge {
    async fn find(&self, _: &ForgeRepository, head: &str, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let state = self.ask()?;
        let fits = |pull: &&PullRequest| pull.head == head && pull.base == base;
        Ok(state.pulls.iter().rev().map(|(pull, _)| pull).filter(fits).cloned().collect())
    }

    async fn open_on(&self, _: &ForgeRepository, base: &str) -> Result<Vec<PullRequest>, ForgeError> {
        let state = self.ask()?;
        let fits = |pull: &&PullRequest| pull.state == PullRequestState::Open && pull.base == base;
        Ok(state.pulls.iter().rev().map(|(pull, _)| pull).filter(fits).cloned().collect())
    }

    async fn using(&self, _: &ForgeRepository, branch: &str) -> Result<Vec<u64>, ForgeError> {
        let state = self.ask()?;
        let open = state.pulls.iter().map(|(pull, _)| pull).filter(|pull| pull.state == PullRequestState::Open);
        Ok(open.filter(|pull| pull.head == branch || pull.base == branch).map(|pull| pull.number).collect())
    }

    async fn open(&self, _: &ForgeRepository, draft: &PullRequestDraft) -> Result<PullRequestWritten, ForgeError> {
        let mut state = self.change()?;
        if state.refuses {
            return Err(ForgeError::new(Reason::ForgeRejected, "the forge says no"));
        }
        let number = state.pulls.len() as u64 + 1;
        let pull = PullRequest {
            number,
            url: format!("https://git.example/web/pulls/{number}"),
            head: draft.head.clone(),
            base: draft.base.clone(),
            body: draft.body.clone(),
            state: PullRequestState::Open,
            head_commit: None,
        };
        state.pulls.push((pull.clone(), draft.title.clone()));
        Ok(PullRequestWritten { pull_request: pull, left_undone: vec!["label `images` is not taken".to_owned()] })
    }

    async fn update(
        &self,
        _: &ForgeRepository,
        number: u64,
        draft: &PullRequestDraft,
    ) -> Result<PullRequestWritten, ForgeError> {
        let mut state = self.change()?;
        let (pull, title) = state.pulls.iter_mut().find(|(pull, _)| pull.number == number).unwrap();
        (pull.body, *title) = (draft.body.clone(), draft.title.clone());
        Ok(PullRequestWritten { pull_request: pull.clone(), left_undone: Vec::new() })
    }

    async fn set_body(&self, _: &ForgeRepository, number: u64, body: &str) -> Result<(), ForgeError> {
        let mut state = self.change()?;
        state
            .pulls
            .iter_mut()
            .filter(|(pull, _)| pull.number == number)
            .for_each(|(pull, _)| body.clone_into(&mut pull.body));
        Ok(())
    }

    async fn close(&self, at: &ForgeRepository, number: u64, body: &str, _: &str) -> Result<(), ForgeError> {
        self.set_body(at, number, body).await?;
        self.set(number, PullRequestState::Closed);
        Ok(())
    }

    async fn merge_when_ready(
        &self,
        _: &ForgeRepository,
        _: &PullRequest,
        method: MergeMethod,
    ) -> Result<(), ForgeError> {
        self.change()?.merges.push(method);
        Ok(())
    }
}

/// A policy for `applications` that offers one image with this key.
fn policy(applications: &str, image: &str, git: &str) -> String {
    format!(
        "applications: [{applications}]\nimages: [{image}]\nwriteBack: {{ method: Git, git: {{ target: HelmValues, {git} }} }}"
    )
}

fn app_policy(git: &str) -> String {
    policy(
        "{ name: app }",
        "{ image: registry.example/app, constraint: ~1.0, target: { helm: { tag: image.tag } } }",
        git,
    )
}

const PULL_REQUEST: &str = "pullRequest: { provider: GitHub }";

fn world(policy: &str) -> (World, Arc<MemoryForge>) {
    let mut world = World::new(policy)
        .helm("app", &[], &["registry.example/app:1.0.0"])
        .tags(APP, &["1.0.0", "1.0.1", "1.0.2", "1.2.0"]);
    world.git.push(REPOSITORY, "main", VALUES, TEXT);
    let forge = Arc::new(MemoryForge::default());
    world.forge = Some(forge.clone());
    (world, forge)
}

fn said(report: &Report) -> String {
    let problems = report.problems.iter().map(|problem| format!("{}: {problem}", problem.reason));
    let images = report
        .images
        .iter()
        .map(|image| format!("{} of {}: {}: {}", image.image, image.application.name, image.reason, image.message));
    problems.chain(images).collect::<Vec<_>>().join("\n")
}

fn reason(report: &Report) -> Reason {
    report.images[0].reason
}

/// The branch of the newest pull request, with its file.
fn head(world: &World, forge: &MemoryForge) -> String {
    let head = forge.state().pulls.last().unwrap().0.head.clone();
    world.git.text(REPOSITORY, &head, VALUES).unwrap()
}

#[tokio::test]
async fn a_change_is_offered_once_and_quiet_looks_ask_once() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    let report = world.look().await;
    insta::assert_snapshot!(said(&report), @"registry.example/app of app: PullRequestOpen: `1.0.2`: the change waits in pull request #1: https://git.example/web/pulls/1; label `images` is not taken");
    assert_eq!(report.images[0].current.as_deref(), Some("1.0.0"));
    assert_eq!(forge.told(), ["#1 Open Update registry.example/app of app to 1.0.2"]);
    assert_eq!(head(&world, &forge), TEXT.replacen("1.0.0", "1.0.2", 1));
    assert_eq!(world.git.text(REPOSITORY, "main", VALUES).as_deref(), Some(TEXT));
    world.look().await;
    let (told, asked, commits) = (world.status.clone(), forge.asked(), world.git.asked().2);
    for _ in 0..5 {
        world.restart();
        let report = world.look().await;
        assert_eq!(reason(&report), Reason::PullRequestOpen);
        assert_eq!(pipeline::events(&report, told.as_ref()), []);
    }
    assert_eq!(forge.asked(), (asked.0 + 5, asked.1));
    assert_eq!(world.git.asked().2, commits);
}

#[tokio::test]
async fn labels_of_the_image_are_told_and_come_back_after_a_registry_failed() {
    let git = "pullRequest: { provider: GitHub, title: 'Take {{ range .AppChanges }}{{ .NewTag }} of {{ .Labels.team }}{{ end }}' }";
    let (mut world, forge) = world(&app_policy(git));
    let labels = [("team".to_owned(), "web".to_owned())];
    world.registry.label(&world::repository_of(APP), "1.0.2".parse().unwrap(), labels.into());
    world.look().await;
    assert_eq!(forge.told(), ["#1 Open Take 1.0.2 of web"]);
    let (changes, commits) = (forge.asked().1, world.git.asked().2);
    world.registry.fail_details(true);
    for _ in 0..3 {
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    }
    assert_eq!((forge.told(), forge.asked().1), (vec!["#1 Open Take 1.0.2 of".to_owned()], changes + 1), "told once");
    world.registry.fail_details(false);
    for _ in 0..3 {
        world.look().await;
    }
    assert_eq!((forge.told(), forge.asked().1), (vec!["#1 Open Take 1.0.2 of web".to_owned()], changes + 2));
    assert_eq!(world.git.asked().2, commits, "the branch stays");
}

/// The rows of the table in the newest pull request.
fn rows(forge: &MemoryForge) -> Vec<String> {
    let body = forge.state().pulls.last().unwrap().0.body.clone();
    body.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_table_leads_to_what_is_new_and_a_quiet_look_asks_for_no_labels() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    let built = |tag: &str, revision: &str| {
        let source = ("org.opencontainers.image.source", "https://github.com/org/app");
        let labels = [source, ("org.opencontainers.image.revision", revision)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        world.registry.label(&world::repository_of(APP), tag.parse().unwrap(), labels.into());
    };
    built("1.0.0", "0000000a");
    built("1.0.2", "0000000c");
    built("1.0.3", "0000000d");
    world.look().await;
    let compared = "| `argocd/app` | `registry.example/app` | `1.0.0` | [`1.0.2`](https://github.com/org/app/compare/0000000a...0000000c) |";
    assert_eq!(rows(&forge), [compared]);
    let (changes, asked) = (forge.asked().1, world.registry.labels_asked());
    world.registry.fail_details(true);
    for _ in 0..3 {
        world.restart();
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    }
    assert_eq!((forge.asked().1, world.registry.labels_asked()), (changes, asked));
    world.registry.fail_details(false);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    world.look().await;
    assert_eq!(rows(&forge), [compared.replace("1.0.2", "1.0.3").replace("0000000c", "0000000d")]);
}

#[tokio::test]
async fn a_registry_without_labels_keeps_no_pull_request_back() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.registry.fail_details(true);
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    assert_eq!(rows(&forge), ["| `argocd/app` | `registry.example/app` | `1.0.0` | `1.0.2` |"]);
}

#[tokio::test]
async fn a_closed_pull_request_is_a_no_until_something_newer_or_until_a_person_lifts_it() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.look().await;
    forge.set(1, PullRequestState::Closed);
    for _ in 0..3 {
        let report = world.look().await;
        assert_eq!(reason(&report), Reason::PullRequestClosed);
    }
    insta::assert_snapshot!(said(&world.look().await), @"registry.example/app of app: PullRequestClosed: pull request #1 was closed by hand; it is held until something newer, reopen it to go on: https://git.example/web/pulls/1");
    assert_eq!(forge.asked().1, 1);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    assert_eq!(head(&world, &forge), TEXT.replacen("1.0.0", "1.0.3", 1));
    forge.set(2, PullRequestState::Closed);
    assert_eq!(reason(&world.look().await), Reason::PullRequestClosed);
    world.annotate("fairlead.dev/resume", "2026-06-01");
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    let told: Vec<String> = forge.told().iter().map(|told| told[..9].trim().to_owned()).collect();
    assert_eq!(told, ["#1 Closed", "#2 Closed", "#3 Open U"]);
}

/// What may be broken when a person asks to go on, and how.
type Break = fn(&World, &MemoryForge, bool);

#[tokio::test]
async fn a_person_who_asks_to_go_on_is_heard_when_all_works_again_and_once() {
    let breaks: [(&str, Break); 5] = [
        ("forge", |_, forge, broken| forge.state().down = broken),
        ("opening", |_, forge, broken| forge.state().refuses = broken),
        ("git", |world, _, broken| {
            let away = || GitError::new(Reason::GitUnreachable, "the server is away");
            world.git.fail(REPOSITORY, broken.then(away));
        }),
        ("all of it", |world, forge, broken| {
            forge.state().down = broken;
            let away = || GitError::new(Reason::GitUnreachable, "the server is away");
            world.git.fail(REPOSITORY, broken.then(away));
        }),
        ("registry", |world, _, broken| {
            let away = || fairlead::ports::RegistryError::new(Reason::RegistryUnreachable, "away");
            world.registry.fail(&world::repository_of(APP), broken.then(away));
        }),
    ];
    for (what, set) in breaks {
        for by_policy in [true, false] {
            let (mut world, forge) = world(&app_policy(PULL_REQUEST));
            world.look().await;
            forge.set(1, PullRequestState::Closed);
            assert_eq!(reason(&world.look().await), Reason::PullRequestClosed);
            set(&world, &forge, true);
            if by_policy {
                world.annotate("fairlead.dev/resume", "2026-06-01");
            } else {
                world.edit("app", |object| {
                    object["metadata"]["annotations"] = serde_json::json!({ "fairlead.dev/resume": "please" });
                });
            }
            for _ in 0..3 {
                let report = world.look().await;
                assert!(reason(&report) != Reason::PullRequestOpen, "{what}: {}", said(&report));
                world.restart();
            }
            set(&world, &forge, false);
            assert_eq!(reason(&world.look().await), Reason::PullRequestOpen, "{what}, {by_policy}");
            for _ in 0..3 {
                world.restart();
                assert_eq!(reason(&world.look().await), Reason::PullRequestOpen, "{what}, {by_policy}");
            }
            forge.set(2, PullRequestState::Closed);
            for _ in 0..3 {
                world.restart();
                assert_eq!(reason(&world.look().await), Reason::PullRequestClosed, "{what}, {by_policy}: once");
            }
            assert_eq!(forge.told().len(), 2);
        }
    }
}

#[tokio::test]
async fn what_was_merged_counts_as_written_and_a_revert_holds() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.look().await;
    forge.set(1, PullRequestState::Merged);
    world.git.push(REPOSITORY, "main", VALUES, &TEXT.replacen("1.0.0", "1.0.2", 1));
    assert_eq!(reason(&world.look().await), Reason::UpToDate);
    let asked = forge.asked();
    assert_eq!(reason(&world.look().await), Reason::UpToDate);
    assert_eq!(forge.asked(), asked, "nothing waits, so the forge is not asked");
    world.git.push(REPOSITORY, "main", VALUES, TEXT);
    assert_eq!(reason(&world.look().await), Reason::RolledBackByHand);
    assert_eq!(forge.told().len(), 1);
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_closed_and_says_no_to_nothing() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.look().await;
    world.git.push(REPOSITORY, "main", VALUES, &TEXT.replacen("1.0.0", "1.0.2", 1));
    forge.state().down = true;
    assert_eq!(reason(&world.look().await), Reason::ForgeUnreachable, "what cannot be closed is told");
    forge.state().down = false;
    assert_eq!(reason(&world.look().await), Reason::UpToDate);
    assert_eq!(forge.told(), ["#1 Closed Update registry.example/app of app to 1.0.2"]);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
}

#[tokio::test]
async fn a_branch_is_made_anew_where_its_base_changed_in_the_same_file() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.look().await;
    let head = forge.state().pulls[0].0.head.clone();
    // Beside the change, in the same file: git may see a conflict there, and nobody else would ever solve it.
    let theirs = TEXT.replace("sidecar:\n  tag: 1.0.0", "sidecar:\n  tag: 1.0.5");
    world.git.push(REPOSITORY, "main", VALUES, &theirs);
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    let wanted = theirs.replacen("1.0.0", "1.0.2", 1);
    assert_eq!(world.git.text(REPOSITORY, &head, VALUES).as_deref(), Some(wanted.as_str()));
    // In another file: that is no reason.
    let writes = world.git.asked().1;
    world.git.push(REPOSITORY, "main", "README.md", "read me\n");
    for _ in 0..3 {
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    }
    assert_eq!((world.git.asked().1, forge.told().len()), (writes, 1));
}

#[tokio::test]
async fn one_branch_has_one_pull_request_however_applications_name_its_base() {
    let image = "{ image: registry.example/app, constraint: ~1.0, target: { helm: { tag: image.tag } } }";
    let git = "writeBranch: updates, pullRequest: { provider: GitHub }";
    let (world, forge) = world(&policy("{ name: app }, { name: api }", image, git));
    let source = serde_json::json!({ "repoURL": REPOSITORY, "path": "api", "targetRevision": "main" });
    let live = serde_json::json!({ "images": ["registry.example/app:1.0.0"] });
    let mut world = world.application(
        "api",
        serde_json::json!({ "source": source }),
        serde_json::json!({ "sourceType": "Helm", "summary": live }),
    );
    world.git.push(REPOSITORY, "main", "api/values.yaml", TEXT);
    world.look().await;
    let (told, changes) = (forge.told(), forge.asked().1);
    assert_eq!(told, ["#1 Open Update 2 images of 2 applications"]);
    for _ in 0..3 {
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    }
    assert_eq!((forge.told(), forge.asked().1), (told, changes), "nothing is told anew");
}

#[tokio::test]
async fn a_registry_that_fails_closes_nothing() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.look().await;
    let repository = world::repository_of(APP);
    let error = fairlead::ports::RegistryError::new(Reason::RegistryUnreachable, "away");
    world.registry.fail(&repository, Some(error));
    let asked = forge.asked();
    assert_eq!(reason(&world.look().await), Reason::RegistryUnreachable);
    assert_eq!(forge.asked(), asked);
    world.registry.fail(&repository, None);
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    assert_eq!(forge.told(), ["#1 Open Update registry.example/app of app to 1.0.2"]);
}

#[tokio::test]
async fn without_an_answer_of_the_forge_nothing_is_written() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    forge.state().down = true;
    for _ in 0..3 {
        let report = world.look().await;
        insta::allow_duplicates! { insta::assert_snapshot!(said(&report), @"registry.example/app of app: ForgeUnreachable: the forge is away"); }
    }
    assert_eq!(world.git.asked().1, 0);
    forge.state().down = false;
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
}

#[tokio::test]
async fn a_branch_that_cannot_be_written_opens_nothing() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.git.fail_write(GitError::new(Reason::GitDenied, "no"));
    assert_eq!(reason(&world.look().await), Reason::GitDenied);
    assert_eq!(forge.told(), Vec::<String>::new());
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
}

#[tokio::test]
async fn applications_that_share_a_branch_share_its_pull_request() {
    let both = "{ name: app }, { name: api }";
    let image = "{ image: registry.example/app, constraint: ~1.0 }";
    let git = "target: Override, writeBranch: updates, pullRequest: { provider: GitHub, title: 'Update {{ .AppName }}', autoMerge: true, mergeMethod: Squash }";
    let policy = policy(both, image, git).replace("target: HelmValues, ", "");
    let (world, forge) = world(&policy);
    let mut world = world.helm("api", &[], &["registry.example/app:1.0.0"]);
    world.look().await;
    assert_eq!(forge.told(), ["#1 Open Update api, app"]);
    assert_eq!(forge.state().merges, [MergeMethod::Squash]);
    let file = |world: &World, branch: &str, name: &str| {
        world.git.text(REPOSITORY, branch, &format!("chart/.argocd-source-{name}.yaml"))
    };
    let written = file(&world, "updates", "app").unwrap();
    assert!(file(&world, "updates", "api").is_some() && file(&world, "main", "app").is_none());
    // A person brings one of them to the base: the pull request holds the other from now on.
    world.git.push(REPOSITORY, "main", "chart/.argocd-source-app.yaml", &written);
    let report = world.look().await;
    assert_eq!(
        report.images.iter().map(|image| image.reason).collect::<Vec<_>>(),
        [Reason::PullRequestOpen, Reason::UpToDate]
    );
    assert_eq!(forge.told(), ["#1 Open Update api"]);
    assert_eq!(forge.state().merges.len(), 2, "once for each content");
}

#[tokio::test]
async fn policies_that_share_a_branch_keep_each_others_changes() {
    let one = app_policy(PULL_REQUEST);
    let image = "{ image: registry.example/sidecar, constraint: ~1.0, target: { helm: { tag: sidecar.tag } } }";
    let other = policy("{ name: app }", image, PULL_REQUEST);
    let (world, forge) = world(&one);
    let world = world.beside("other", "2026-02-01T00:00:00Z", &other);
    let mut world = world
        .helm("app", &[], &["registry.example/app:1.0.0", "registry.example/sidecar:1.0.0"])
        .tags("registry.example/sidecar", &["1.0.0", "1.0.1"]);
    world.look().await;
    world.turn();
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    let shared = TEXT.replacen("1.0.0", "1.0.2", 1).replacen("1.0.0", "1.0.1", 1);
    assert_eq!(head(&world, &forge), shared);
    assert_eq!(forge.told(), ["#1 Open Update 2 images of app"]);
    world.turn();
    let (commits, changes) = (world.git.asked().2, forge.asked().1);
    for _ in 0..4 {
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
        world.turn();
    }
    assert_eq!((world.git.asked().2, forge.asked().1), (commits, changes), "nobody takes turns");
    assert_eq!(head(&world, &forge), shared);
}

#[tokio::test]
async fn a_name_of_the_content_gets_a_pull_request_for_each() {
    let git = "writeBranch: 'updates-{{ .SHA256 }}', pullRequest: { provider: GitHub }";
    let (mut world, forge) = world(&app_policy(git));
    world.look().await;
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    let told: Vec<String> = forge.told().iter().map(|told| told[..9].trim().to_owned()).collect();
    assert_eq!(told, ["#1 Closed", "#2 Open U"]);
    world.git.push(REPOSITORY, "main", VALUES, &TEXT.replacen("1.0.0", "1.0.3", 1));
    assert_eq!(reason(&world.look().await), Reason::UpToDate);
    assert!(forge.told()[1].starts_with("#2 Closed"), "{:?}", forge.told());
}

#[tokio::test]
async fn a_pull_request_needs_a_branch_of_its_own() {
    let git = "writeBranch: main, pullRequest: { provider: GitHub }";
    let (mut world, forge) = world(&app_policy(git));
    insta::assert_snapshot!(said(&world.look().await), @"registry.example/app of app: InvalidTarget: spec.writeBack.git.writeBranch: a pull request needs a branch of its own, and this makes `main`; name another branch than the one that is read");
    assert_eq!((forge.asked(), world.git.asked().1), ((0, 0), 0));
}

#[tokio::test]
async fn a_merge_method_that_would_have_no_effect_is_refused() {
    for (settings, expected) in [
        (
            "provider: GitHub, mergeMethod: Squash",
            "spec.writeBack.git.pullRequest.mergeMethod: `mergeMethod` is how an automatic merge is made; add `autoMerge: true`, or leave it out",
        ),
        (
            "provider: GitLab, autoMerge: true, mergeMethod: Rebase",
            "spec.writeBack.git.pullRequest.mergeMethod: GitLab merges by the method of the project; only `Squash` can be asked for; leave it out, and set the merge method of the project in GitLab",
        ),
    ] {
        let (mut world, _) = world(&app_policy(&format!("pullRequest: {{ {settings} }}")));
        let report = world.look().await;
        let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [expected]);
    }
    for settings in ["provider: Gitea, autoMerge: true, mergeMethod: Rebase", "provider: GitLab, autoMerge: true"] {
        let (mut world, forge) = world(&app_policy(&format!("pullRequest: {{ {settings} }}")));
        assert_eq!(world.look().await.problems, []);
        assert_eq!(forge.state().merges.len(), 1);
    }
}

#[tokio::test]
async fn a_dry_run_asks_no_forge() {
    let (mut world, forge) = world(&format!("dryRun: true\n{}", app_policy(PULL_REQUEST)));
    assert_eq!(reason(&world.look().await), Reason::WouldUpdate);
    assert_eq!((forge.asked(), world.git.asked().1), ((0, 0), 0));
}

/// The branch of the newest pull request, and whether it is there.
fn head_branch(world: &World, forge: &MemoryForge) -> (String, bool) {
    let head = forge.state().pulls.last().unwrap().0.head.clone();
    let there = !world.git.log(REPOSITORY, &head).is_empty();
    (head, there)
}

/// Brings the version to the base by hand, so that the pull request is obsolete.
fn bring_by_hand(world: &World) {
    world.git.push(REPOSITORY, "main", VALUES, &TEXT.replacen("1.0.0", "1.0.2", 1));
}

#[tokio::test]
async fn the_branch_of_an_obsolete_pull_request_goes_with_it() {
    for git in [PULL_REQUEST, "writeBranch: 'updates-{{ .SHA256 }}', pullRequest: { provider: GitHub }"] {
        let (mut world, forge) = world(&app_policy(git));
        world.look().await;
        let (head, there) = head_branch(&world, &forge);
        assert!(there);
        bring_by_hand(&world);
        assert_eq!(reason(&world.look().await), Reason::UpToDate);
        assert!(forge.told()[0].starts_with("#1 Closed"));
        assert!(world.git.log(REPOSITORY, &head).is_empty(), "{head} is gone");
        let asked = forge.asked();
        assert_eq!(reason(&world.look().await), Reason::UpToDate);
        assert_eq!(forge.asked(), asked, "nothing is left to do");
        world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
        assert!(head_branch(&world, &forge).1, "it is made again");
    }
}

#[tokio::test]
async fn the_branch_of_older_content_goes_with_its_pull_request() {
    let git = "writeBranch: 'updates-{{ .SHA256 }}', pullRequest: { provider: GitHub }";
    let (mut world, forge) = world(&app_policy(git));
    world.look().await;
    let (old, _) = head_branch(&world, &forge);
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    let (new, there) = head_branch(&world, &forge);
    assert!(new != old && there && world.git.log(REPOSITORY, &old).is_empty());
}

#[tokio::test]
async fn a_branch_that_is_not_ours_alone_stays() {
    type Touch = fn(&World, &MemoryForge, &str);
    let touches: [(&str, Touch); 3] = [
        ("a person committed to it", |world, _, head| {
            world.git.push(REPOSITORY, head, "note.txt", "by hand");
        }),
        ("another open pull request brings it", |_, forge, head| forge.by_hand(head, "release")),
        ("an open pull request goes to it", |_, forge, head| forge.by_hand("elsewhere", head)),
    ];
    for (what, touch) in touches {
        let (mut world, forge) = world(&app_policy(PULL_REQUEST));
        world.look().await;
        let (head, _) = head_branch(&world, &forge);
        touch(&world, &forge, &head);
        bring_by_hand(&world);
        assert_eq!(reason(&world.look().await), Reason::UpToDate);
        assert!(forge.told()[0].starts_with("#1 Closed"), "{what}");
        assert!(!world.git.log(REPOSITORY, &head).is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_branch_whose_pull_request_a_person_closed_or_merged_stays() {
    for state in [PullRequestState::Closed, PullRequestState::Merged] {
        let (mut world, forge) = world(&app_policy(PULL_REQUEST));
        world.look().await;
        forge.set(1, state);
        world.look().await;
        bring_by_hand(&world);
        world.look().await;
        assert!(head_branch(&world, &forge).1, "{state:?}");
    }
}

#[tokio::test]
async fn a_mark_that_a_person_wrote_removes_no_branch_of_somebody_else() {
    let (mut world, forge) = world(&app_policy("writeBranch: updates, pullRequest: { provider: GitHub }"));
    world.look().await;
    // The branch is another one by now, and the mark says that it is ours.
    let ours = world.git.log(REPOSITORY, "updates").pop().unwrap().id;
    world.git.delete(REPOSITORY, "updates");
    let theirs = world.git.push(REPOSITORY, "updates", "work.txt", "by hand");
    forge.remark(1, ours.as_str(), theirs.as_str());
    bring_by_hand(&world);
    assert_eq!(reason(&world.look().await), Reason::UpToDate);
    assert!(forge.told()[0].starts_with("#1 Closed"));
    assert_eq!(world.git.text(REPOSITORY, "updates", "work.txt").as_deref(), Some("by hand"));
}

#[tokio::test]
async fn a_branch_that_was_made_again_is_known_again() {
    let (mut world, forge) = world(&app_policy(PULL_REQUEST));
    world.look().await;
    let (head, _) = head_branch(&world, &forge);
    world.git.push(REPOSITORY, "main", "README.md", "moved\n");
    world.git.delete(REPOSITORY, &head);
    world.restart();
    let changes = forge.asked().1;
    for _ in 0..3 {
        assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
    }
    assert_eq!(forge.asked().1, changes + 1, "its mark names the new commit, once");
    bring_by_hand(&world);
    assert_eq!(reason(&world.look().await), Reason::UpToDate);
    assert!(world.git.log(REPOSITORY, &head).is_empty(), "{head} is gone");
}

#[tokio::test]
async fn a_branch_with_a_commit_for_each_application_is_known_by_the_last() {
    let both = "{ name: app }, { name: api }";
    let image = "{ image: registry.example/app, constraint: ~1.0 }";
    let git =
        "target: Override, writeBranch: updates, commit: { perApplication: true }, pullRequest: { provider: GitHub }";
    let policy = policy(both, image, git).replace("target: HelmValues, ", "");
    let (world, forge) = world(&policy);
    let mut world = world.helm("api", &[], &["registry.example/app:1.0.0"]);
    world.look().await;
    for name in ["app", "api"] {
        let path = format!("chart/.argocd-source-{name}.yaml");
        let text = world.git.text(REPOSITORY, "updates", &path).unwrap();
        world.git.push(REPOSITORY, "main", &path, &text);
    }
    world.look().await;
    assert!(forge.told()[0].starts_with("#1 Closed"));
    assert!(world.git.log(REPOSITORY, "updates").is_empty());
}

#[tokio::test]
async fn a_branch_that_cannot_be_removed_is_told_and_keeps_nothing_up() {
    let (mut world, forge) = world(&app_policy("writeBranch: updates, pullRequest: { provider: GitHub }"));
    world.look().await;
    world.git.fail_remove(GitError::new(Reason::GitPushRejected, "the server keeps `updates`"));
    bring_by_hand(&world);
    let report = world.look().await;
    insta::assert_snapshot!(said(&report), @"registry.example/app of app: UpToDate: `1.0.2` is the choice among 3 allowed tags; the server keeps `updates`");
    assert!(forge.told()[0].starts_with("#1 Closed"));
    world.push(APP, "1.0.3", "2026-04-01T00:00:00Z");
    assert_eq!(reason(&world.look().await), Reason::PullRequestOpen);
}
