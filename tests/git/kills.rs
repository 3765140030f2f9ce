//! Ended between any two steps, the next run neither repeats nor loses an edit.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fairlead::model::GitLogin;
use fairlead::ports::{Clock as _, Git as _};

use crate::support::{Remotes, at, engine, plan, settings};

/// A `git` that hangs before (or after) its command number `step`, and then tells so.
fn hanging(folder: &Path, step: usize, after: bool) -> std::path::PathBuf {
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
