//! Copies of repositories are bounded, and none is needed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fairlead::adapters::git::{GitEngine, GitSettings};
use fairlead::model::{GitEntry, GitLogin};
use fairlead::ports::Git as _;
use k8s_openapi::jiff::Timestamp;

use crate::support::{Remotes, at, engine, plan, settings};

const FILE: &str = "web.yaml";

fn remotes() -> Remotes {
    Remotes::new(&[(FILE, "tag: 1.0.0\n")])
}

fn address(remotes: &Remotes) -> String {
    remotes.repository().to_str().expect("a readable path").to_owned()
}

async fn read(engine: &GitEngine, remotes: &Remotes) -> Vec<GitEntry> {
    let branch = at(&address(remotes));
    let tip = engine.tip(&branch, Timestamp::now()).await.expect("a branch");
    engine.read(&branch, &tip, &[FILE.to_owned()]).await.expect("its files")
}

async fn started(settings: GitSettings) -> GitEngine {
    engine(settings, GitLogin::anonymous()).await.0
}

/// The copies that there are, by name.
fn copies(state: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(state).expect("our folder").map(|entry| entry.expect("our folder").path());
    let mut copies: Vec<PathBuf> = entries.collect();
    copies.sort();
    copies
}

/// The copy that came since there were `before`.
fn added(state: &Path, before: &[PathBuf]) -> PathBuf {
    let added: Vec<PathBuf> = copies(state).into_iter().filter(|copy| !before.contains(copy)).collect();
    assert_eq!(added.len(), 1, "one copy a repository");
    added[0].clone()
}

fn size(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.metadata().expect("our file").len()).sum()
}

#[tokio::test]
async fn a_copy_over_its_limit_is_made_anew_and_nothing_is_lost() {
    let (remotes, state) = (remotes(), tempfile::tempdir().expect("a folder"));
    let roomy = started(settings(state.path())).await;
    let before = read(&roomy, &remotes).await;
    let mark = added(state.path(), &[]).join("mark");
    std::fs::write(&mark, "kept as long as the copy is").expect("our folder");
    assert_eq!(read(&roomy, &remotes).await, before);
    assert!(mark.exists(), "a copy within its limit stays");
    drop(roomy);

    let narrow = started(GitSettings { maximum_copy: 1, ..settings(state.path()) }).await;
    assert_eq!(read(&narrow, &remotes).await, before);
    assert!(!mark.exists(), "the copy is another one");
    assert_eq!(copies(state.path()).len(), 1);
    narrow.write(plan(&address(&remotes), "web", FILE, "1.0.0", "1.0.1")).await.expect("written");
    assert_eq!((remotes.text("main", FILE).as_deref(), remotes.commits("main")), (Some("tag: 1.0.1\n"), 2));
}

#[tokio::test]
async fn of_too_many_copies_the_one_that_was_not_used_for_longest_goes() {
    let (first, second, third) = (remotes(), remotes(), remotes());
    let state = tempfile::tempdir().expect("a folder");
    let roomy = started(settings(state.path())).await;
    read(&roomy, &first).await;
    let of_first = added(state.path(), &[]);
    let before = read(&roomy, &second).await;
    let of_second = added(state.path(), std::slice::from_ref(&of_first));
    drop(roomy);
    for (copy, hours) in [(&of_first, 1), (&of_second, 2)] {
        let used = SystemTime::now() - Duration::from_secs(hours * 3600);
        std::fs::File::open(copy).and_then(|folder| folder.set_modified(used)).expect("our folder");
    }

    let maximum_state = (size(&of_first) + size(&of_second)) * 5 / 4;
    let narrow = started(GitSettings { maximum_state, ..settings(state.path()) }).await;
    read(&narrow, &third).await;
    let of_third = added(state.path(), &[of_first.clone(), of_second.clone()]);
    let mut left = vec![of_first, of_third];
    left.sort();
    assert_eq!(copies(state.path()), left, "only as many go as must");
    assert_eq!(read(&narrow, &second).await, before, "what went is read anew");
    assert!(copies(state.path()).contains(&of_second));
}
