//! Ended between any two steps, the next run neither repeats nor loses an edit.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fairlead::adapters::git::GitSettings;
use fairlead::model::GitLogin;
use fairlead::ports::{Clock as _, Git as _};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{Remotes, at, engine, plan, settings};

/// A `git` that hangs before (or after) its command number `step`, and then tells so.
fn hanging(folder: &Path, step: usize, after: bool) -> PathBuf {
    let script = folder.join("git");
    let f = folder.display();
    let run = if after { "git \"$@\"\n" } else { "" };
    let text = format!(
        "#!/bin/sh\necho x >> {f}/count\nif [ $(wc -l < {f}/count) = {step} ]; then {run}touch {f}/hangs; sleep 3600; fi\nexec git \"$@\"\n"
    );
    std::fs::write(&script, text).expect("ours");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("ours");
    script
}

#[test]
fn ended_at_any_step_nothing_is_lost_and_nothing_is_written_twice() {
    for after in [false, true] {
        // The last steps lie behind the end: the engine was not ended at all.
        for step in 2.. {
            let (remotes, state) =
                (Remotes::new(&[("values.yaml", "tag: 1.0.0\n")]), tempfile::tempdir().expect("a folder"));
            let address = remotes.repository().to_str().expect("a readable path").to_owned();
            let program = hanging(state.path(), step, after);
            let mut first = settings(&state.path().join("copies"));
            first.program = program;
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let ended = runtime.block_on(async {
                let (engine, _) = engine(first, GitLogin::anonymous()).await;
                let write = engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1"));
                let hangs = async {
                    while !state.path().join("hangs").exists() {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                };
                tokio::select! { written = write => { written.expect("written"); false } _ = hangs => true }
            });
            // All tasks end here, wherever they are, and take their processes with them.
            runtime.shutdown_timeout(std::time::Duration::from_secs(5));
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let (engine, _) = engine(settings(&state.path().join("copies")), GitLogin::anonymous()).await;
                let tip = engine.tip(&at(&address), fairlead::adapters::clock::SystemClock.now()).await.expect("a tip");
                let read = engine.read(&at(&address), &tip, &["values.yaml".to_owned()]).await.expect("a file");
                if format!("{read:?}").contains("1.0.0") {
                    engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await.expect("written now");
                }
            });
            assert_eq!(remotes.text("main", "values.yaml").as_deref(), Some("tag: 1.0.1\n"), "step {step}");
            assert_eq!(remotes.commits("main"), 2, "step {step}: written once");
            if !ended {
                assert!(step > 8, "there are steps to be ended at");
                break;
            }
        }
    }
}

/// Set for the process that is killed: the folder that it works in.
const CHILD: &str = "FAIRLEAD_TEST_CHILD";

/// What becomes of the Git that a killed process has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphan {
    /// It ends, too, as in a container.
    Ends,
    /// It goes on while the next run works.
    GoesOn,
}

/// A `git` that waits before (or after) its command number `step`, until the file `go` is there.
fn waiting(folder: &Path, step: usize, after: bool) {
    let f = folder.display();
    let (first, last) = if after { ("git \"$@\" || exit\n", "exit") } else { ("", "exec git \"$@\"") };
    let wait = format!("echo $$ > {f}/pid\ntouch {f}/hangs\nwhile [ ! -e {f}/go ]; do sleep 0.01; done\n{last}\n");
    let text = format!(
        "#!/bin/sh\necho x >> {f}/count\nif [ $(wc -l < {f}/count) = {step} ]; then\n{first}{wait}fi\nexec git \"$@\"\n"
    );
    std::fs::write(folder.join("git"), text).expect("ours");
    std::fs::set_permissions(folder.join("git"), std::fs::Permissions::from_mode(0o755)).expect("ours");
}

/// The process that is killed: it writes once. Without the variable there is nothing to do.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let settings = GitSettings { program: folder.join("git"), ..settings(&folder.join("copies")) };
    let (engine, _) = engine(settings, GitLogin::anonymous()).await;
    let address = std::fs::read_to_string(folder.join("address")).expect("ours");
    engine.write(plan(&address, "web", "values.yaml", "1.0.0", "1.0.1")).await.expect("written");
}

/// Runs that process in `folder` until its Git waits, and kills it; `false`: it came to its end.
fn killed(folder: &Path) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("a test"));
    command.args(["kills::the_process_that_is_killed", "--exact"]).env(CHILD, folder).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            assert!(status.success(), "{status}");
            return false;
        }
        if folder.join("hangs").exists() {
            // SIGKILL: nothing of it runs any more.
            child.kill().expect("our child");
            assert_eq!(child.wait().expect("our child").signal(), Some(9));
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The process whose id the waiting Git has written, if it has not ended.
fn orphan(folder: &Path) -> Option<Pid> {
    let pid = std::fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Pid::from_raw(pid).filter(|_| !stat.contains(") Z "))
}

#[test]
fn killed_at_any_step_nothing_is_lost_and_nothing_is_written_twice() {
    let table = [(false, Orphan::Ends), (false, Orphan::GoesOn), (true, Orphan::GoesOn)];
    std::thread::scope(|scope| {
        for (after, fate) in table {
            // The first command asks for the version; the last steps lie behind the end.
            scope.spawn(move || {
                let mut step = 2;
                while killed_at(step, after, fate) {
                    step += 1;
                }
                assert!(step > 8, "there are steps to be killed at");
            });
        }
    });
}

/// Kills a write at its command number `step`, and has another process finish it; `false`: there are not so many commands.
fn killed_at(step: usize, after: bool, fate: Orphan) -> bool {
    let case = format!("step {step}, after it: {after}, Git {fate:?}");
    let (remotes, state) = (Remotes::new(&[("values.yaml", "tag: 1.0.0\n")]), tempfile::tempdir().expect("a folder"));
    let address = remotes.repository().to_str().expect("a readable path").to_owned();
    std::fs::write(state.path().join("address"), &address).expect("ours");
    waiting(state.path(), step, after);
    let killed = killed(state.path());
    match fate {
        Orphan::Ends => {
            // It leads a group of its own.
            orphan(state.path()).map(|pid| kill_process_group(pid, Signal::KILL));
        }
        Orphan::GoesOn => std::fs::write(state.path().join("go"), "").expect("ours"),
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (engine, _) = engine(settings(&state.path().join("copies")), GitLogin::anonymous()).await;
        let tip = engine.tip(&at(&address), fairlead::adapters::clock::SystemClock.now()).await.expect("a tip");
        let read = engine.read(&at(&address), &tip, &["values.yaml".to_owned()]).await.expect("a file");
        if format!("{read:?}").contains("1.0.0") {
            let plan = plan(&address, "web", "values.yaml", "1.0.0", "1.0.1");
            engine.write(plan).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        }
    });
    while fate == Orphan::GoesOn && orphan(state.path()).is_some() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(remotes.text("main", "values.yaml").as_deref(), Some("tag: 1.0.1\n"), "{case}");
    assert_eq!(remotes.commits("main"), 2, "{case}: written once");
    killed
}
