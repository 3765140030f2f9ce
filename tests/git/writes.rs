//! Nothing is lost and nothing is written twice, whoever else writes and whatever fails.

use std::sync::Arc;

use fairlead::adapters::git::{GitOperation, GitSettings};
use fairlead::model::{GitAccess, GitBranch, GitLogin, Reason};
use fairlead::ports::{Clock as _, Git as _};

use crate::server::{Mood, Server};
use crate::support::{Remotes, at, engine, plan, race, settings};

fn many(count: usize) -> Remotes {
    let files: Vec<(String, &str)> =
        (0..count).map(|number| (format!("apps/{number}/values.yaml"), "tag: 1.0.0\n")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    Remotes::new(&files)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_applications_at_once_are_one_commit_and_one_push() {
    let (remotes, state) = (many(200), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), None).await;
    let address = format!("http://{}/web.git", server.host);
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let before = remotes.commits("main");
    let since = fairlead::adapters::clock::SystemClock.now();
    let begun = std::time::Instant::now();
    let one = |number: usize| {
        let (engine, address) = (&engine, &address);
        async move {
            let path = format!("apps/{number}/values.yaml");
            let tip = engine.tip(&at(address), since).await.expect("a tip");
            engine.read(&at(address), &tip, std::slice::from_ref(&path)).await.expect("a file");
            engine.write(plan(address, &format!("app{number}"), &path, "1.0.0", "1.0.1")).await
        }
    };
    let written = futures::future::join_all((0..200).map(one)).await;
    let took = begun.elapsed();
    let commit = &written[0].as_ref().expect("a commit").commit;
    assert!(
        written.iter().all(|written| written.as_ref().is_ok_and(|written| written.pushed && written.commit == *commit))
    );
    assert_eq!(remotes.commits("main"), before + 1, "one commit");
    assert_eq!((counter.count(GitOperation::Push), server.pushes()), (1, 1), "one push");
    assert!(counter.count(GitOperation::Fetch) <= 3, "{} fetches", counter.count(GitOperation::Fetch));
    assert_eq!(counter.count(GitOperation::LookUp), 3, "where it is, before the push, and after it");
    assert_eq!(counter.longest(), 200);
    assert!(
        (0..200).all(|n| remotes.text("main", &format!("apps/{n}/values.yaml")).as_deref() == Some("tag: 1.0.1\n"))
    );
    assert!(took.as_secs() < 10, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_of_many_projects_that_share_a_login_share_a_commit() {
    let (remotes, state) = (many(40), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), None).await;
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let before = remotes.commits("main");
    let since = fairlead::adapters::clock::SystemClock.now();
    let one = |number: usize| {
        let (engine, host) = (&engine, &server.host);
        async move {
            let address = format!("http://{host}/web{}", [".git", ""][number % 2]);
            let path = format!("apps/{number}/values.yaml");
            let mut plan = plan(&address, &format!("app{number}"), &path, "1.0.0", "1.0.1");
            plan.base.access = GitAccess::ArgoCd { project: format!("project{}", number % 10) };
            engine.tip(&plan.base, since).await.expect("a tip");
            engine.write(plan).await.expect("a commit").commit
        }
    };
    // The server knows the repository by both names, as forges do.
    std::os::unix::fs::symlink("web.git", remotes.folder.path().join("web")).expect("ours");
    let commits: std::collections::BTreeSet<_> =
        futures::future::join_all((0..40).map(one)).await.into_iter().collect();
    assert_eq!((commits.len(), remotes.commits("main"), server.pushes()), (1, before + 1, 1));
    assert_eq!(counter.count(GitOperation::LookUp), 3, "where it is, before the push, and after it");
}

#[tokio::test]
async fn branches_of_one_repository_are_looked_up_together() {
    let (remotes, state) = (many(1), tempfile::tempdir().expect("a folder"));
    remotes.push("updates/web", "mine.txt", "mine\n");
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let clock = fairlead::adapters::clock::SystemClock;
    let named = |name: &str| GitBranch { branch: Some(name.to_owned()), ..at(&address) };
    for look in 1..=5 {
        let since = clock.now();
        let main = engine.tip(&at(&address), since).await.expect("a tip");
        assert_eq!(
            (engine.tip(&named("main"), since).await.expect("a tip"), main.branch.as_str()),
            (main.clone(), "main")
        );
        let own = engine.tip(&named("updates/web"), since).await.expect("a tip");
        assert_eq!(own.commit.as_str(), remotes.git(&["rev-parse", "updates/web"]).trim());
        let gone = engine.tip(&named("no-such-branch"), since).await.expect_err("it is not there");
        assert_eq!(gone.reason, Reason::GitBranchNotFound);
        // Only the first look has to find out which branches there are to ask for.
        assert_eq!(counter.count(GitOperation::LookUp), 3 + look);
        remotes.push("updates/web", "mine.txt", &format!("mine {look}\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_competitor_with_two_hundred_commits_loses_nothing_and_takes_nothing() {
    let (remotes, state) = (Arc::new(many(20)), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let before = remotes.commits("main");
    let write = |number: usize, from: String, to: String| {
        let path = format!("apps/{number}/values.yaml");
        engine.write(plan(&address, &format!("app{number}"), &path, &from, &to))
    };
    let versions = race(&remotes, 200, 20, write).await;
    for (number, version) in versions.iter().enumerate() {
        let text = remotes.text("main", &format!("apps/{number}/values.yaml"));
        assert_eq!(text, Some(format!("tag: 1.0.{version}\n")), "of {number}");
    }
    let ours: usize =
        remotes.git(&["rev-list", "--count", "--author=fairlead", "main"]).trim().parse().expect("a number");
    assert_eq!(remotes.commits("main"), before + 200 + ours);
    assert_eq!(remotes.git(&["rev-list", "--merges", "--count", "main"]).trim(), "0");
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_counts_when_the_branch_holds_it() {
    let (remotes, state) = (many(1), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), None).await;
    let address = format!("http://{}/web.git", server.host);
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    server.set(Mood::LosesAnswers);
    let written =
        engine.write(plan(&address, "web", "apps/0/values.yaml", "1.0.0", "1.0.1")).await.expect("it is there");
    assert!(written.pushed);
    assert_eq!(remotes.git(&["rev-parse", "main"]).trim(), written.commit.as_str());
    assert_eq!((remotes.commits("main"), server.pushes()), (2, 1));
}

#[tokio::test]
async fn a_refusal_of_the_server_is_told_in_its_words() {
    let (remotes, state) = (many(1), tempfile::tempdir().expect("a folder"));
    let hook = remotes.repository().join("hooks").join("pre-receive");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    std::fs::write(&hook, "#!/bin/sh\necho 'main is protected, ask Ann'\nexit 1\n").expect("a hook");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let error = engine.write(plan(&address, "web", "apps/0/values.yaml", "1.0.0", "1.0.1")).await.expect_err("refused");
    assert_eq!((error.reason, error.changed), (Reason::GitPushRejected, false));
    assert!(error.message.contains("main is protected, ask Ann"), "{error}");
    assert_eq!((remotes.commits("main"), counter.count(GitOperation::Push)), (1, 1), "asked once");
}

#[tokio::test]
async fn plans_that_want_to_stand_alone_are_commits_of_one_push() {
    let (remotes, state) = (many(3), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let one = |number: usize| {
        let path = format!("apps/{number}/values.yaml");
        let mut plan = plan(&address, &format!("app{number}"), &path, "1.0.0", "1.0.1");
        plan.commit.alone = number > 0;
        engine.write(plan)
    };
    let written = futures::future::join_all((0..3).map(one)).await;
    let mut commits: Vec<_> = written.into_iter().map(|written| written.expect("a commit").commit).collect();
    commits.dedup();
    assert_eq!((commits.len(), remotes.commits("main"), counter.count(GitOperation::Push)), (3, 6, 1));
    let changed = remotes.git(&["show", "--format=%s", "--name-only", commits[1].as_str()]);
    assert_eq!(changed, "build: update of app1\n\napps/1/values.yaml\n");
}

#[tokio::test]
async fn a_plan_that_does_not_fit_fails_alone() {
    let (remotes, state) = (many(2), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let fine = engine.write(plan(&address, "fine", "apps/0/values.yaml", "1.0.0", "1.0.1"));
    let wrong = engine.write(plan(&address, "stale", "apps/1/values.yaml", "0.9.0", "1.0.1"));
    let same = engine.write(plan(&address, "same", "apps/0/values.yaml", "1.0.0", "1.0.1"));
    let (fine, wrong, same) = tokio::join!(fine, wrong, same);
    assert_eq!(fine.expect("written").commit, same.expect("the same change by two is one").commit);
    assert!(wrong.expect_err("decided on something else").changed);
    assert_eq!(remotes.commits("main"), 3);
}

#[tokio::test]
async fn a_broken_copy_is_made_anew() {
    let (remotes, state) = (many(1), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    engine.write(plan(&address, "web", "apps/0/values.yaml", "1.0.0", "1.0.1")).await.expect("written");
    for entry in walkdir::WalkDir::new(state.path()).into_iter().flatten().filter(|entry| entry.file_type().is_file()) {
        std::fs::remove_file(entry.path()).expect("ours");
        if !entry.path().ends_with("fairlead") {
            std::fs::write(entry.path(), "broken").expect("ours");
        }
    }
    std::fs::write(
        walkdir::WalkDir::new(state.path())
            .min_depth(1)
            .max_depth(1)
            .into_iter()
            .flatten()
            .next()
            .expect("a copy")
            .path()
            .join("fairlead"),
        "",
    )
    .expect("ours");
    engine.write(plan(&address, "web", "apps/0/values.yaml", "1.0.1", "1.0.2")).await.expect("written again");
    assert_eq!(remotes.text("main", "apps/0/values.yaml").as_deref(), Some("tag: 1.0.2\n"));
}

#[tokio::test]
async fn a_branch_that_cannot_be_seen_after_a_push_is_looked_at_again() {
    let (remotes, state) = (many(1), tempfile::tempdir().expect("a folder"));
    let (script, f) = (state.path().join("git"), state.path().display());
    // After the push, three look-ups find nobody.
    let lost = "echo 'fatal: unable to access: Could not resolve host: git.example.com' >&2; exit 128";
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in\n*' push '*) touch {f}/pushed;;\n*' ls-remote '*) if [ -e {f}/pushed ]; then echo x >> {f}/looks; \
         if [ $(wc -l < {f}/looks) -le 3 ]; then {lost}; fi; fi;;\nesac\nexec git \"$@\"\n"
    );
    std::fs::write(&script, text).expect("ours");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let settings = GitSettings { program: script, ..settings(&state.path().join("copies")) };
    let (engine, counter) = engine(settings, GitLogin::anonymous()).await;
    let written = engine.write(plan(&address, "web", "apps/0/values.yaml", "1.0.0", "1.0.1")).await;
    let written = written.expect("the server took it");
    assert!(written.pushed);
    assert_eq!(remotes.git(&["rev-parse", "main"]).trim(), written.commit.as_str());
    assert_eq!((remotes.commits("main"), counter.count(GitOperation::Push)), (2, 1));
    assert_eq!(std::fs::read_to_string(state.path().join("looks")).expect("ours").lines().count(), 4);
}

#[tokio::test]
async fn a_branch_that_the_server_keeps_stays_and_the_server_is_quoted() {
    let (remotes, state) = (Remotes::new(&[("values.yaml", "tag: 1.0.0\n")]), tempfile::tempdir().expect("a folder"));
    remotes.git(&["config", "receive.denyDeletes", "true"]);
    let repository = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let mut change = plan(&repository, "web", "values.yaml", "1.0.0", "1.0.1");
    change.write_branch = Some("updates".to_owned());
    let written = engine.write(change).await.expect("a branch");
    let branch = GitBranch { branch: Some("updates".to_owned()), ..at(&repository) };
    let error = engine.remove(&branch, &written.commit).await.expect_err("the server keeps it");
    assert_eq!(error.reason, Reason::GitPushRejected, "{error}");
    let told = ["cannot remove the branch `", "@updates`: ", "deletion prohibited"];
    assert!(told.iter().all(|words| error.message.contains(words)), "{error}");
    assert_eq!(remotes.commits("updates"), 2);
}
