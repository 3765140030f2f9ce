//! Branches of our own: what is taken away when they are made anew is ours, all of it, and those who share one keep each other's changes.

use std::path::Path;
use std::process::Command;

use fairlead::adapters::git::{GitEngine, GitOperation, GitSettings};
use fairlead::model::{CommitAuthor, GitBranch, GitLogin, GitPlan, PolicyId, Reason};
use fairlead::ports::{Git as _, GitError};
use tempfile::TempDir;

use crate::support::{Remotes, at, engine, plan, settings};

const FILES: &[(&str, &str)] = &[("0.yaml", "tag: 1.0.0\n"), ("1.yaml", "tag: 1.0.0\n"), ("mine.txt", "mine\n")];
const OWN: &str = "updates/web";

struct World {
    remotes: Remotes,
    state: TempDir,
}

impl World {
    fn new() -> Self {
        Self { remotes: Remotes::new(FILES), state: tempfile::tempdir().expect("a folder") }
    }

    fn address(&self) -> String {
        self.remotes.repository().to_str().expect("a readable path").to_owned()
    }

    /// An engine that knows nothing of the others, as after a restart.
    async fn engine(&self) -> GitEngine {
        engine(settings(self.state.path()), GitLogin::anonymous()).await.0
    }

    fn plan(&self, number: usize, branch: &str, to: &str) -> GitPlan {
        let plan = plan(&self.address(), &format!("app{number}"), &format!("{number}.yaml"), "1.0.0", to);
        GitPlan { write_branch: Some(branch.to_owned()), ..plan }
    }

    fn text(&self, branch: &str, path: &str) -> String {
        self.remotes.text(branch, path).unwrap_or_default()
    }

    /// What a person does in a clone.
    fn person(&self, branch: &str, script: &str) {
        let clone = tempfile::tempdir().expect("a folder");
        let run = |folder: &Path, program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command
                .current_dir(folder)
                .args(arguments)
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("GIT_CONFIG_GLOBAL", "/dev/null");
            for (name, value) in [("NAME", "Ann"), ("EMAIL", "ann@example.com")] {
                command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
            }
            let output = command.output().expect("it starts");
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(clone.path(), "git", &["clone", "--quiet", "--branch", branch, &self.address(), "."]);
        run(clone.path(), "sh", &["-ec", script]);
        run(clone.path(), "git", &["push", "--quiet", "--force", "origin", &format!("HEAD:{branch}")]);
    }

    /// What comes of a newer version on a branch of our own, with its commits as they were before and as they are after.
    async fn newer(&self, branch: &str) -> (Result<String, GitError>, bool) {
        let before = self.remotes.git(&["rev-parse", branch]);
        let written = self.engine().await.write(self.plan(0, branch, "1.0.2")).await;
        (written.map(|written| written.branch), before == self.remotes.git(&["rev-parse", branch]))
    }
}

#[tokio::test]
async fn a_person_s_work_is_never_taken_away_whatever_form_it_has() {
    let table = [
        ("on top", "echo theirs > mine.txt; git commit -qam 'on top'"),
        ("amended", "echo theirs > mine.txt; git commit -qa --amend --no-edit"),
        (
            "below",
            "git reset -q --hard HEAD~1; echo theirs > mine.txt; git commit -qam below; git cherry-pick ORIG_HEAD",
        ),
        ("reworded", "git commit -q --amend -m 'no trailers'"),
        ("merged", "git checkout -q -b other HEAD~1; git commit -q --allow-empty -m other; git merge -q -m merge -"),
    ];
    for (form, script) in table {
        let world = World::new();
        world.engine().await.write(world.plan(0, OWN, "1.0.1")).await.expect("a branch of our own");
        world.person(OWN, script);
        let (written, same) = world.newer(OWN).await;
        let error = written.expect_err(form);
        assert_eq!((error.reason, error.changed, same), (Reason::BranchNotOurs, false, true), "{form}: {error}");
        assert!(error.message.contains(" by Ann; it is left alone. Merge or delete it"), "{form}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_leaves_out_no_history_is_asked_for_as_much_as_is_enough() {
    let world = World::new();
    let script = world.state.path().join("git");
    let refuses = "case \"$*\" in *--shallow-exclude*) echo 'Server does not support it' >&2; exit 128;; esac";
    std::fs::write(&script, format!("#!/bin/sh\n{refuses}\nexec git \"$@\"\n")).expect("ours");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let old = async || {
        let settings = GitSettings { program: script.clone(), ..settings(&world.state.path().join("copies")) };
        engine(settings, GitLogin::anonymous()).await.0
    };
    old().await.write(world.plan(0, OWN, "1.0.1")).await.expect("a branch of our own");
    world.remotes.push("main", "mine.txt", "on\n");
    old().await.write(world.plan(0, OWN, "1.0.2")).await.expect("all of it is ours");
    world.person(
        OWN,
        "git reset -q --hard HEAD~1; echo theirs > mine.txt; git commit -qam below; git cherry-pick ORIG_HEAD",
    );
    let error = old().await.write(world.plan(0, OWN, "1.0.3")).await.expect_err("there is one of Ann");
    assert_eq!(error.reason, Reason::BranchNotOurs, "{error}");
}

#[tokio::test]
async fn a_branch_that_others_live_on_is_left_alone() {
    let world = World::new();
    // A release branch that got one of our commits directly: its tip is ours, and what is below is not.
    world.remotes.push("production", "theirs.txt", "theirs\n");
    let production = GitBranch { branch: Some("production".to_owned()), ..at(&world.address()) };
    let direct = GitPlan { base: production, write_branch: None, ..world.plan(1, OWN, "1.0.1") };
    let one = world.engine().await;
    one.write(direct).await.expect("directly");
    let (written, same) = world.newer("production").await;
    assert_eq!((written.expect_err("theirs").reason, same), (Reason::BranchNotOurs, true));

    // The engine that wrote it knows so without looking.
    let policy = PolicyId::new("argocd", "other");
    let error =
        one.write(GitPlan { policy, ..world.plan(0, "production", "1.0.1") }).await.expect_err("directly written");
    insta::assert_snapshot!(error, @"`production` is written directly for the policy `argocd/policy`, and would be made anew for `argocd/other`; let `writeBranch` name another one");

    // One that only lags behind the base, and the default branch.
    world.remotes.git(&["branch", "lagging", "main~1"]);
    let (written, same) = world.newer("lagging").await;
    assert_eq!((written.expect_err("not made by us").reason, same), (Reason::BranchNotOurs, true));
    let release = GitBranch { branch: Some("production".to_owned()), ..at(&world.address()) };
    let default = GitPlan { base: release, ..world.plan(0, "main", "1.0.2") };
    let error = world.engine().await.write(default).await.expect_err("the default branch");
    assert!(error.message.contains("is the default branch of the repository"), "{error}");
}

#[tokio::test]
async fn what_is_ours_is_made_anew_after_a_restart_however_far_the_base_has_moved() {
    let world = World::new();
    let author = CommitAuthor { name: "Bot <x>".to_owned(), email: "bot@example.com".to_owned() };
    let mut first = world.plan(0, OWN, "1.0.1");
    first.commit.author = author.clone();
    let mut beside = world.plan(1, OWN, "1.0.1");
    (beside.commit.alone, beside.commit.author) = (true, author.clone());
    let one = world.engine().await;
    for plan in [first.clone(), beside] {
        one.write(plan).await.expect("a branch of our own");
    }
    for number in 0..3 {
        world.remotes.push("main", "mine.txt", &format!("mine {number}\n"));
    }
    let mut newer = world.plan(0, OWN, "1.0.2");
    newer.commit.author = author.clone();
    let again = world.engine().await;
    again.write(newer).await.expect("all of it is ours");
    assert_eq!(world.text(OWN, "0.yaml"), "tag: 1.0.2\n");

    // Merged as it is, and the base goes on: the branch stands below it.
    world.remotes.git(&["update-ref", "refs/heads/main", &format!("refs/heads/{OWN}")]);
    world.remotes.push("main", "mine.txt", "merged\n");
    let mut after = plan(&world.address(), "app0", "0.yaml", "1.0.2", "1.0.3");
    (after.write_branch, after.commit.author) = (Some(OWN.to_owned()), author);
    world.engine().await.write(after).await.expect("it was ours");
    assert_eq!(
        (world.text(OWN, "0.yaml").as_str(), world.text(OWN, "mine.txt").as_str()),
        ("tag: 1.0.3\n", "merged\n")
    );
}

#[tokio::test]
async fn whose_commits_they_are_is_asked_once() {
    let world = World::new();
    world.engine().await.write(world.plan(0, OWN, "1.0.1")).await.expect("a branch of our own");
    let (engine, counter) = engine(settings(world.state.path()), GitLogin::anonymous()).await;
    engine.write(world.plan(0, OWN, "1.0.2")).await.expect("made anew");
    let first = counter.count(GitOperation::Fetch);
    for version in ["1.0.3", "1.0.4"] {
        engine.write(world.plan(0, OWN, version)).await.expect("made anew");
    }
    assert_eq!(counter.count(GitOperation::Fetch), first, "what we pushed ourselves needs no look");
}

#[tokio::test]
async fn two_who_begin_at_once_with_a_login_each_keep_each_other_s_changes() {
    let world = World::new();
    let state = tempfile::tempdir().expect("a folder");
    let engine = crate::support::engine_by_project(settings(state.path())).await;
    let of = |number: usize| {
        let mut plan = world.plan(number, OWN, "1.0.1");
        plan.base.access = fairlead::model::GitAccess::ArgoCd { project: format!("project{number}") };
        plan
    };
    let (one, other) = tokio::join!(engine.write(of(0)), engine.write(of(1)));
    one.expect("written");
    other.expect("written");
    assert_eq!(
        (world.text(OWN, "0.yaml").as_str(), world.text(OWN, "1.yaml").as_str()),
        ("tag: 1.0.1\n", "tag: 1.0.1\n")
    );
}

#[tokio::test]
async fn what_could_not_be_written_is_not_written_with_others() {
    let world = World::new();
    let engine = world.engine().await;
    engine.write(world.plan(0, OWN, "1.0.1")).await.expect("a branch of our own");
    let wrong =
        GitPlan { write_branch: Some(OWN.to_owned()), ..plan(&world.address(), "app0", "0.yaml", "9.9.9", "1.0.2") };
    assert!(engine.write(wrong).await.expect_err("decided on another state").changed);
    engine.write(world.plan(1, OWN, "1.0.1")).await.expect("beside the first");
    assert_eq!(
        (world.text(OWN, "0.yaml").as_str(), world.text(OWN, "1.yaml").as_str()),
        ("tag: 1.0.1\n", "tag: 1.0.1\n")
    );

    // A policy that is gone leaves nothing behind.
    engine.forget(&PolicyId::new("argocd", "policy"));
    let other = GitPlan { policy: PolicyId::new("argocd", "other"), ..world.plan(1, OWN, "1.0.2") };
    engine.write(other).await.expect("alone");
    assert_eq!(
        (world.text(OWN, "0.yaml").as_str(), world.text(OWN, "1.yaml").as_str()),
        ("tag: 1.0.0\n", "tag: 1.0.2\n")
    );
}
