//! Child processes that never outlive the tests.
//!
//! Each child leads a process group of its own. A watchdog (one shell a test process) reads which groups live; when its input
//! ends, because the test process did, however it did, it kills them all and removes the folder. No test can leave a server behind.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};

const WATCHDOG: &str = r#"
groups=" "
while read -r word group; do
    case $word in
        started) groups="$groups$group " ;;
        ended) groups=$(printf '%s' "$groups" | sed "s/ $group / /") ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
[ -n "$FAIRLEAD_E2E_KEEP" ] || rm -rf "$1"
"#;

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output going to `<name>.log` in the folder of this test process.
    pub fn start(name: &str, mut command: Command) -> Self {
        let log = folder().join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).expect("the log file opens");
        let errors = output.try_clone().expect("a file handle can be doubled");
        for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|cause| panic!("cannot start {name} ({}): {cause}", command.get_program().display()));
        watch("started", child.id());
        Self { name: name.to_owned(), child, log }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.child.kill().expect("a child can be killed");
            self.child.wait().expect("a killed child ends");
        }
        watch("ended", self.child.id());
    }

    /// Asks it to end, as Kubernetes does.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {signal} to {}", self.name);
    }

    /// The memory that it holds now, in bytes.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).unwrap_or_else(|cause| panic!("`{path}`: {cause}"));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a running process has memory");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kilobytes * 1024
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of what it said.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        let tail = &all[all.len().saturating_sub(lines)..];
        format!("--- the last lines of {}\n{}\n---", self.log.display(), tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder of this test process; gone when the process is, unless `FAIRLEAD_E2E_KEEP` is set.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        tempfile::Builder::new()
            .prefix("fairlead-e2e-")
            .disable_cleanup(true)
            .tempdir()
            .expect("a folder for the test servers")
            .path()
            .to_owned()
    })
}

fn watch(word: &str, group: u32) {
    static RUNNING: OnceLock<Mutex<Child>> = OnceLock::new();
    let watchdog = RUNNING.get_or_init(|| {
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "fairlead-e2e-watchdog"])
            .arg(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        Mutex::new(watchdog)
    });
    // A test that failed while it wrote has written all the same.
    let mut watchdog = watchdog.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let input = watchdog.stdin.as_mut().expect("the watchdog has an input");
    writeln!(input, "{word} {group}").expect("the watchdog listens");
}
