//! A login that a script prints, as existing installations have them for clouds.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::{Login, login};

/// How long a script may take.
pub const SCRIPT_TIME: Duration = Duration::from_secs(10);

const MAXIMUM_OUTPUT: usize = 64 * 1024;

/// Runs the script at an absolute path, without arguments, and reads the one line `user:password` that it prints.
///
/// # Guarantees
/// It ends within `time`: then, or when nobody waits any more, the script and all that it started are killed. What it prints
/// is shown nowhere; what it writes on standard error is read by nobody.
///
/// # Errors
/// A sentence that names the script alone.
pub async fn script(path: &str, time: Duration) -> Result<Login, String> {
    let named = |what: String| format!("the script `{path}` {what}");
    check(Path::new(path)).await.map_err(named)?;
    let output = tokio::time::timeout(time, output(path)).await;
    let output = output.map_err(|_| named(format!("does not end within {} s", time.as_secs_f32())))?;
    let output = output.map_err(named)?;
    let text = String::from_utf8(output).ok();
    text.as_deref().and_then(login).ok_or_else(|| named("does not print one line `user:password`".to_owned()))
}

async fn check(path: &Path) -> Result<(), String> {
    if !path.is_absolute() {
        return Err("is named by no absolute path".to_owned());
    }
    let metadata = tokio::fs::metadata(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    let executable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    if executable { Ok(()) } else { Err("is not executable".to_owned()) }
}

async fn output(path: &str) -> Result<Vec<u8>, String> {
    let mut group = Group(start(path).await.map_err(|error| format!("cannot be started: {error}"))?);
    let mut output = Vec::new();
    if let Some(stdout) = group.0.stdout.take() {
        let read = stdout.take(MAXIMUM_OUTPUT as u64 + 1).read_to_end(&mut output).await;
        read.map_err(|error| format!("cannot be read from: {error}"))?;
    }
    if output.len() > MAXIMUM_OUTPUT {
        return Err("does not print one line `user:password`".to_owned());
    }
    let status = group.0.wait().await.map_err(|error| format!("cannot be waited for: {error}"))?;
    match (status.success(), status.code()) {
        (true, _) => Ok(output),
        (false, Some(code)) => Err(format!("ends with status {code}")),
        (false, None) => Err("is ended by a signal".to_owned()),
    }
}

/// Starts the script in a process group of its own. Whoever writes the file at that moment is waited for.
async fn start(path: &str) -> io::Result<Child> {
    loop {
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            child => return child,
        }
    }
}

/// A script and all that it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Without an id it has ended, and been waited for.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended just now.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A script of these lines in a folder of its own.
    fn written(lines: &str, mode: u32) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("auth.sh");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        let path = path.to_str().expect("a readable path").to_owned();
        (folder, path)
    }

    async fn said(lines: &str, mode: u32) -> String {
        let (_folder, path) = written(lines, mode);
        match script(&path, SCRIPT_TIME).await {
            Ok(Login::Password { username, password }) => format!("{username} {password}"),
            Ok(Login::IdentityToken(_)) => "a token".to_owned(),
            Err(message) => message.replace(&path, "/auth.sh"),
        }
    }

    #[tokio::test]
    async fn one_line_is_user_and_password() {
        insta::assert_snapshot!(said("echo AWS:pa:ss", 0o755).await, @"AWS pa:ss");
        insta::assert_snapshot!(said("printf AWS:pass; echo noise >&2", 0o755).await, @"AWS pass");
        insta::assert_snapshot!(said("echo AWS:$#", 0o755).await, @"AWS 0");
    }

    #[tokio::test]
    async fn every_failure_has_its_sentence_and_no_output() {
        insta::assert_snapshot!(said("echo s3cret", 0o755).await, @"the script `/auth.sh` does not print one line `user:password`");
        insta::assert_snapshot!(said("echo a:b; echo c:d", 0o755).await, @"the script `/auth.sh` does not print one line `user:password`");
        insta::assert_snapshot!(said("echo a:", 0o755).await, @"the script `/auth.sh` does not print one line `user:password`");
        insta::assert_snapshot!(said("yes a:b", 0o755).await, @"the script `/auth.sh` does not print one line `user:password`");
        insta::assert_snapshot!(said("echo a:b; exit 3", 0o755).await, @"the script `/auth.sh` ends with status 3");
        insta::assert_snapshot!(said("kill -9 $$", 0o755).await, @"the script `/auth.sh` is ended by a signal");
        insta::assert_snapshot!(said("echo a:b", 0o644).await, @"the script `/auth.sh` is not executable");
        insta::assert_snapshot!(script("/none/auth.sh", SCRIPT_TIME).await.err().unwrap_or_default(), @"the script `/none/auth.sh` does not exist");
        insta::assert_snapshot!(script("auth.sh", SCRIPT_TIME).await.err().unwrap_or_default(), @"the script `auth.sh` is named by no absolute path");
    }

    #[tokio::test]
    async fn what_hangs_is_killed_with_all_that_it_started() {
        let (folder, path) = written("cd \"$(dirname \"$0\")\"; sleep 3600 & echo $! > child; wait", 0o755);
        let (message, started) = (script(&path, Duration::from_millis(500)).await, folder.path().join("child"));
        insta::assert_snapshot!(message.err().unwrap_or_default().replace(&path, "/auth.sh"), @"the script `/auth.sh` does not end within 0.5 s");
        let child = fs::read_to_string(started).expect("the child was started");
        let ended = || match fs::read_to_string(format!("/proc/{}/stat", child.trim())) {
            Ok(stat) => stat.contains(") Z"),
            Err(_) => true,
        };
        while !ended() {
            tokio::task::yield_now().await;
        }
    }
}
