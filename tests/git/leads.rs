//! Nothing is pushed by who does not lead any more.

use std::sync::Arc;
use std::time::Duration;

use fairlead::adapters::clock::{SystemClock, uptime};
use fairlead::adapters::fence::Fence;
use fairlead::adapters::git::GitOperation;
use fairlead::model::{GitBranch, GitLogin, Reason};
use fairlead::ports::{Clock as _, Git as _};

use crate::server::{Mood, Server};
use crate::support::{Remotes, at, engine, plan, settings};

const FILES: &[(&str, &str)] = &[("one.yaml", "tag: 1.0.0\n"), ("two.yaml", "tag: 1.0.0\n")];

fn open() -> Arc<Fence> {
    let fence = Arc::new(Fence::closed());
    fence.open_until(uptime() + Duration::from_secs(3600));
    fence
}

#[tokio::test]
async fn a_plan_whose_lead_ended_is_not_pushed_and_holds_up_no_other() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    let (lost, kept) = (open(), open());
    let first =
        engine.write_under(plan(&address, "one", "one.yaml", "1.0.0", "1.0.1"), lost.pass().expect("it is open"));
    let second =
        engine.write_under(plan(&address, "two", "two.yaml", "1.0.0", "1.0.1"), kept.pass().expect("it is open"));
    let ending = async {
        tokio::task::yield_now().await;
        // Opened again at once: what was begun before may not go on under the next lead.
        lost.close();
        lost.open_until(uptime() + Duration::from_secs(3600));
    };
    let (first, second, ()) = tokio::join!(first, second, ending);
    let error = first.expect_err("its lead ended");
    assert_eq!(error.reason, Reason::WriteFailed);
    insta::assert_snapshot!(error, @"nothing is written to Git: this replica does not lead any more");
    assert!(second.expect("its lead lasts").pushed);
    assert_eq!(remotes.text("main", "one.yaml").as_deref(), Some("tag: 1.0.0\n"));
    assert_eq!(remotes.text("main", "two.yaml").as_deref(), Some("tag: 1.0.1\n"));
    assert_eq!((remotes.commits("main"), counter.count(GitOperation::Push)), (3, 1));
}

#[tokio::test]
async fn a_push_on_its_way_is_broken_off_with_the_lead_and_the_next_leader_writes_once() {
    let (remotes, state) = (Remotes::new(FILES), tempfile::tempdir().expect("a folder"));
    let server = Server::start(remotes.folder.path(), None).await;
    let address = format!("http://{}/web.git", server.host);
    let (first, _) = engine(settings(&state.path().join("first")), GitLogin::anonymous()).await;
    let fence = open();
    server.set(Mood::HoldsPushes);
    let plan = plan(&address, "one", "one.yaml", "1.0.0", "1.0.1");
    let write = first.write_under(plan.clone(), fence.pass().expect("it is open"));
    let ending = async {
        server.arrived().await;
        fence.close();
    };
    let (written, ()) = tokio::join!(write, ending);
    let error = written.expect_err("the branch does not hold it").to_string().replace(&server.host, "<host>");
    insta::assert_snapshot!(error, @"cannot push to `http://<host>/web.git@main`: this replica does not lead any more");
    assert_eq!(remotes.commits("main"), 2);

    server.set(Mood::Kind);
    let (second, _) = engine(settings(&state.path().join("second")), GitLogin::anonymous()).await;
    let written = second.write(plan).await.expect("the next leader writes");
    // Only now the server carries out what it has held all the time.
    server.go_on();
    server.done().await;
    assert!(written.pushed);
    assert_eq!(remotes.git(&["rev-parse", "main"]).trim(), written.commit.as_str());
    assert_eq!(remotes.commits("main"), 3);
}

#[tokio::test]
async fn nothing_is_removed_when_the_lead_has_ended() {
    let (remotes, state) = (Remotes::new(&[("values.yaml", "tag: 1.0.0\n")]), tempfile::tempdir().expect("a folder"));
    let repository = remotes.repository().to_str().expect("a readable path").to_owned();
    let (engine, _) = engine(settings(state.path()), GitLogin::anonymous()).await;
    remotes.push("updates", "README.md", "ours\n");
    let branch = GitBranch { branch: Some("updates".to_owned()), ..at(&repository) };
    let tip = engine.tip(&branch, SystemClock.now()).await.expect("a tip");
    let fence = open();
    let pass = fence.pass().expect("it is open");
    fence.close();
    engine.remove_under(&branch, &tip.commit, pass).await.expect_err("the lead has ended");
    assert_eq!(remotes.commits("updates"), 2);
}
