//! Copies of repositories are bounded, and none is needed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fairlead::adapters::git::{GitEngine, GitOperation, GitSettings};
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
    let of_second = added(state.path(), &left);
    assert!(of_second.exists(), "in a folder of its own");
}

#[test]
fn copies_leave_room_in_their_folder_for_one_more_fetch() {
    let mebibyte = 1024 * 1024;
    for (folder, copy, all) in [(64, 16, 48), (2048, 512, 1536), (10_240, 512, 7680)] {
        let settings = GitSettings::new("copies").within(folder * mebibyte);
        assert_eq!((settings.maximum_copy, settings.maximum_state), (copy * mebibyte, all * mebibyte), "{folder} MiB");
    }
}

#[tokio::test]
async fn reading_a_copy_keeps_it() {
    let (first, second, third) = (remotes(), remotes(), remotes());
    let state = tempfile::tempdir().expect("a folder");
    let roomy = started(settings(state.path())).await;
    read(&roomy, &first).await;
    let of_first = added(state.path(), &[]);
    let maximum_state = size(&of_first) * 5 / 2;
    drop(roomy);
    let narrow = started(GitSettings { maximum_state, ..settings(state.path()) }).await;
    read(&narrow, &second).await;
    let of_second = added(state.path(), std::slice::from_ref(&of_first));
    read(&narrow, &first).await;
    read(&narrow, &third).await;
    let left = copies(state.path());
    assert!(left.contains(&of_first) && !left.contains(&of_second), "the other one was not used for longest");
}

#[tokio::test]
async fn a_repository_above_the_limit_is_loaded_once() {
    let (remotes, state) = (remotes(), tempfile::tempdir().expect("a folder"));
    let settings = GitSettings { maximum_copy: 1, ..settings(state.path()) };
    let (engine, counter) = engine(settings, GitLogin::anonymous()).await;
    let before = read(&engine, &remotes).await;
    let (copy, fetches) = (added(state.path(), &[]), counter.count(GitOperation::Fetch));
    for _ in 0..10 {
        assert_eq!(read(&engine, &remotes).await, before);
    }
    assert_eq!((counter.count(GitOperation::Fetch), copies(state.path())), (fetches, vec![copy.clone()]));
    // What a new tip adds is more than it may grow by.
    remotes.push("main", FILE, "tag: 1.0.1\n");
    let now = read(&engine, &remotes).await;
    assert_eq!(now, [GitEntry::File("tag: 1.0.1\n".to_owned())]);
    assert_eq!(copies(state.path()), std::slice::from_ref(&copy));
    assert_eq!(read(&engine, &remotes).await, now);
    assert_ne!(copies(state.path()), [copy]);
    let fetches = counter.count(GitOperation::Fetch);
    read(&engine, &remotes).await;
    assert_eq!(counter.count(GitOperation::Fetch), fetches, "made anew once");
}

#[tokio::test]
async fn a_copy_of_too_many_files_is_made_anew() {
    let (remotes, state) = (remotes(), tempfile::tempdir().expect("a folder"));
    let engine = started(settings(state.path())).await;
    read(&engine, &remotes).await;
    let copy = added(state.path(), &[]);
    // As many tips leave behind, each with some files of Git.
    for number in 0..700 {
        std::fs::write(copy.join(format!("objects/pack/pack-{number}.keep")), "").expect("our folder");
    }
    remotes.push("main", FILE, "tag: 1.0.1\n");
    read(&engine, &remotes).await;
    assert_eq!(copies(state.path()), std::slice::from_ref(&copy));
    let entries = read(&engine, &remotes).await;
    assert_eq!(entries, [GitEntry::File("tag: 1.0.1\n".to_owned())]);
    assert!(!copy.exists() && copies(state.path()).len() == 1, "{:?}", copies(state.path()));
}

#[tokio::test]
async fn a_copy_that_is_pushed_from_is_not_removed() {
    let (first, second, state) = (remotes(), remotes(), tempfile::tempdir().expect("a folder"));
    let script = state.path().join("git");
    let place = state.path().display();
    // Pushes wait until the other repository was read.
    let waits = format!("touch {place}/pushing; while [ ! -e {place}/read ]; do sleep 0.01; done");
    std::fs::write(&script, format!("#!/bin/sh\ncase \"$*\" in *' push '*) {waits};; esac\nexec git \"$@\"\n"))
        .expect("ours");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let settings = GitSettings { program: script, maximum_state: 1, ..settings(&state.path().join("copies")) };
    let engine = started(settings).await;
    let writing = engine.write(plan(&address(&first), "web", FILE, "1.0.0", "1.0.1"));
    let reading = async {
        while !state.path().join("pushing").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        read(&engine, &second).await;
        std::fs::write(state.path().join("read"), "").expect("ours");
    };
    let (written, ()) = tokio::join!(writing, reading);
    assert!(written.expect("the copy is still there").pushed);
    read(&engine, &second).await;
    second.push("main", FILE, "tag: 1.0.1\n");
    read(&engine, &second).await;
    assert_eq!(copies(&state.path().join("copies")).len(), 1, "afterwards it goes");
}

#[tokio::test]
async fn what_an_end_left_half_made_is_removed_at_the_start() {
    let (remotes, state) = (remotes(), tempfile::tempdir().expect("a folder"));
    let before = read(&started(settings(state.path())).await, &remotes).await;
    let copy = added(state.path(), &[]);
    let name = copy.file_name().expect("a name").to_string_lossy().into_owned();
    let key = name.split_once('-').expect("a number").0;
    let half = state.path().join(format!("{key}-7.git"));
    std::fs::create_dir(&half).expect("ours");
    std::fs::write(state.path().join("strange"), "not ours").expect("ours");
    let (engine, counter) = engine(settings(state.path()), GitLogin::anonymous()).await;
    assert_eq!(copies(state.path()), [copy.clone(), state.path().join("strange")], "what is not ours stays");
    assert_eq!(read(&engine, &remotes).await, before);
    assert_eq!(counter.count(GitOperation::Fetch), 0, "the copy that is there is used");
}
