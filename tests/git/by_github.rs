//! Commits that GitHub makes, in a real repository: once, at the tip that was read, and told by what the branch holds.

use std::sync::Arc;
use std::time::Duration;

use fairlead::adapters::clock::uptime;
use fairlead::adapters::fence::Fence;
use fairlead::adapters::git::{GitEngine, GitOperation};
use fairlead::model::{CommitVia, Concealed, GitLogin, GitPlan, LoginMethod, Reason};
use fairlead::ports::Git as _;
use tempfile::TempDir;

use crate::server::{Mood, Server, basic};
use crate::support::{Counter, Remotes, engine, plan, race, settings};

const FILES: &[(&str, &str)] =
    &[("0.yaml", "tag: 1.0.0\n"), ("1.yaml", "tag: 1.0.0\n"), ("2.yaml", "tag: 1.0.0\n"), ("3.yaml", "tag: 1.0.0\n")];
const OWN: &str = "updates/web";

/// A repository that the server makes commits in, and an engine with a login for it.
struct World {
    remotes: Arc<Remotes>,
    server: Server,
    engine: GitEngine,
    counter: Arc<Counter>,
    _state: TempDir,
}

impl World {
    async fn new() -> Self {
        let remotes = Arc::new(Remotes::new(FILES));
        // Every commit that a branch has named is kept.
        remotes.git(&["config", "core.logAllRefUpdates", "always"]);
        let server = Server::start(remotes.folder.path(), Some(basic("bot", "s3cret"))).await;
        let state = tempfile::tempdir().expect("a folder");
        let (engine, counter) = engine(settings(state.path()), login()).await;
        Self { remotes, server, engine, counter, _state: state }
    }

    /// The change of `tag` in the file of an Application.
    fn plan(&self, number: usize, from: &str, to: &str) -> GitPlan {
        let path = format!("{number}.yaml");
        let mut plan = plan(&self.server.as_github("web"), &format!("app{number}"), &path, from, to);
        plan.commit.via = CommitVia::GitHubApi;
        plan
    }

    /// The same, on a branch of our own.
    fn own(&self, number: usize) -> GitPlan {
        GitPlan { write_branch: Some(OWN.to_owned()), ..self.plan(number, "1.0.0", "1.0.1") }
    }

    fn said(&self, branch: &str, what: &str) -> String {
        self.remotes.git(&["log", "-1", &format!("--format={what}"), branch]).trim().to_owned()
    }

    /// What `branch` has named, the last first.
    fn history(&self, branch: &str) -> Vec<String> {
        let said = self.remotes.git(&["log", "--walk-reflogs", "--format=%H", &format!("refs/heads/{branch}")]);
        said.lines().map(str::to_owned).collect()
    }

    fn branches(&self) -> String {
        self.remotes.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads"])
    }
}

fn login() -> GitLogin {
    let method = LoginMethod::Basic { username: "bot".to_owned(), password: Concealed::new("s3cret") };
    GitLogin { method, ..GitLogin::anonymous() }
}

#[tokio::test]
async fn changes_of_many_are_one_commit_of_github_and_no_push() {
    let world = World::new().await;
    let all = (0..4).map(|number| world.engine.write(world.plan(number, "1.0.0", "1.0.1")));
    for written in futures::future::join_all(all).await {
        let written = written.expect("a commit");
        assert_eq!((written.commit.as_str(), written.pushed), (world.said("main", "%H").as_str(), true));
    }
    assert_eq!((world.server.commits(), world.server.pushes(), world.remotes.commits("main")), (1, 0, 5));
    assert_eq!(world.counter.count(GitOperation::Commit), 1);
    insta::assert_snapshot!(world.said("main", "%cn, %an, %(trailers:only)"), @"GitHub, octo-bot, Fairlead-Policy: argocd/policy");
    assert!(world.remotes.git(&["cat-file", "commit", "main"]).contains("\ngpgsig "), "GitHub signed it");
}

#[tokio::test]
async fn each_application_gets_a_commit_of_its_own_where_it_wants_one() {
    let world = World::new().await;
    for branch in [None, Some(OWN.to_owned())] {
        let before = world.server.commits();
        let all = (0..3).map(|number| {
            let mut plan = GitPlan { write_branch: branch.clone(), ..world.plan(number, "1.0.0", "1.0.1") };
            if branch.is_some() {
                // The first round has moved the branch that is read.
                plan = GitPlan { write_branch: branch.clone(), ..world.plan(number, "1.0.1", "1.0.2") };
            }
            plan.commit.alone = true;
            world.engine.write(plan)
        });
        let written = futures::future::join_all(all).await;
        let commits: std::collections::BTreeSet<_> =
            written.into_iter().map(|written| written.expect("a commit").commit).collect();
        assert_eq!((commits.len(), world.server.commits() - before), (3, 3));
    }
    assert_eq!((world.remotes.commits("main"), world.remotes.commits(OWN)), (7, 10));
    assert_eq!(world.branches(), "main\nupdates/web\n");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    for branch in ["main", OWN] {
        let world = World::new().await;
        // The branch on which it is made is there: preparing it is a push of its own, whose answer would be lost, too.
        world.remotes.git(&["branch", "updates/web-in-the-making", "main"]);
        world.server.set(Mood::LosesAnswers);
        let change = if branch == OWN { world.own(0) } else { world.plan(0, "1.0.0", "1.0.1") };
        let written = world.engine.write(change).await.expect("it is there");
        assert_eq!((written.commit.as_str(), written.pushed), (world.said(branch, "%H").as_str(), true));
        assert_eq!((world.server.commits(), world.remotes.commits(branch)), (1, 5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_competitor_loses_nothing_and_takes_nothing() {
    let world = World::new().await;
    let write = |number: usize, from: String, to: String| world.engine.write(world.plan(number, &from, &to));
    let versions = race(&world.remotes, 60, 4, write).await;
    for (number, version) in versions.iter().enumerate() {
        let text = world.remotes.text("main", &format!("{number}.yaml"));
        assert_eq!(text, Some(format!("tag: 1.0.{version}\n")), "of {number}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_github_and_leaves_no_branch() {
    let world = World::new().await;
    world.server.set(Mood::RefusesCommits("Changes must be made through a pull request."));
    for plan in [world.plan(0, "1.0.0", "1.0.1"), world.own(0)] {
        let before = world.server.commits();
        let error = world.engine.write(plan).await.expect_err("refused");
        assert_eq!((error.reason, error.changed), (Reason::ForgeRejected, false), "{error}");
        assert!(error.message.contains("Changes must be made through a pull request."), "{error}");
        assert_eq!((world.server.commits() - before, world.branches().as_str()), (1, "main\n"), "asked once");
    }
    assert_eq!(world.remotes.commits("main"), 4);
}

#[tokio::test]
async fn a_branch_of_our_own_names_whole_commits_alone() {
    let world = World::new().await;
    let first = world.engine.write(world.own(0)).await.expect("a branch of our own").commit;
    // What a process left that ended in between.
    world.remotes.git(&["branch", "updates/web-in-the-making", "main~1"]);
    let second = world.engine.write(world.own(1)).await.expect("beside the other").commit;
    assert_eq!(world.history(OWN), [second.to_string(), first.to_string()], "never its base");
    assert_eq!(world.branches(), "main\nupdates/web\n");
    assert_eq!((world.said(OWN, "%cn"), world.remotes.commits(OWN)), ("GitHub".to_owned(), 5));
    for number in [0, 1] {
        assert_eq!(world.remotes.text(OWN, &format!("{number}.yaml")).as_deref(), Some("tag: 1.0.1\n"));
    }
    let by_git = GitPlan { commit: plan("", "", "", "", "").commit, ..world.own(2) };
    let error = world.engine.write(by_git).await.expect_err("one branch is made in one way");
    assert_eq!(error.reason, Reason::BranchNotOurs);
    insta::assert_snapshot!(error, @"the commits of `updates/web` are made by GitHub's API for the policy `argocd/policy` and the Application `argocd/app0`, and cannot be made by Git as well; give both policies the same `commit.via`, or name a branch for each");
}

#[tokio::test]
async fn a_branch_with_the_commit_of_a_person_is_left_alone() {
    let world = World::new().await;
    world.engine.write(world.own(0)).await.expect("a branch of our own");
    world.remotes.push(OWN, "mine.txt", "mine\n");
    let error = world.engine.write(world.own(1)).await.expect_err("not ours any more");
    assert_eq!(error.reason, Reason::BranchNotOurs, "{error}");
    assert_eq!(world.remotes.text(OWN, "mine.txt").as_deref(), Some("mine\n"));
    assert_eq!(world.branches(), "main\nupdates/web\n");
}

#[tokio::test]
async fn a_file_that_is_executable_is_refused_and_holds_up_no_other() {
    let world = World::new().await;
    let blob = world.remotes.git(&["rev-parse", "main:0.yaml"]);
    let stream = format!(
        "commit refs/heads/main\ncommitter else <else@example.com> 1700000000 +0000\ndata 4\nelse\nfrom refs/heads/main^0\nM 100755 {} 0.yaml\n",
        blob.trim()
    );
    world.remotes.import(&stream);
    let (refused, written) = tokio::join!(
        world.engine.write(world.plan(0, "1.0.0", "1.0.1")),
        world.engine.write(world.plan(1, "1.0.0", "1.0.1"))
    );
    insta::assert_snapshot!(refused.expect_err("its mode would be lost"), @"`0.yaml` is executable, which a commit by GitHub's API does not keep; leave out `commit.via`");
    assert!(written.expect("the other").pushed);
}

#[tokio::test]
async fn a_commit_on_its_way_counts_for_nobody_when_the_lead_ends() {
    let world = World::new().await;
    let fence = Arc::new(Fence::closed());
    fence.open_until(uptime() + Duration::from_secs(3600));
    world.server.set(Mood::HoldsPushes);
    let change = world.plan(0, "1.0.0", "1.0.1");
    let write = world.engine.write_under(change.clone(), fence.pass().expect("it is open"));
    let ending = async {
        world.server.arrived().await;
        fence.close();
    };
    let (written, ()) = tokio::join!(write, ending);
    assert_eq!(written.expect_err("its lead ended").reason, Reason::WriteFailed);
    world.server.set(Mood::Kind);
    let state = tempfile::tempdir().expect("a folder");
    let (next, _) = engine(settings(state.path()), login()).await;
    let written = next.write(change).await.expect("the next leader writes");
    // Only now the server carries out what it has held all the time.
    world.server.go_on();
    world.server.done().await;
    assert_eq!((world.said("main", "%H").as_str(), world.remotes.commits("main")), (written.commit.as_str(), 5));
}
