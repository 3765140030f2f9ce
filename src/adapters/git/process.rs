//! Processes that end in time, with all that they started.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::adapters::fence::NotLeading;

/// No more of what a process complains of is kept.
const MAXIMUM_ERRORS: usize = 64 * 1024;

/// How long what a killed process left behind is waited for.
const REAP_ATTEMPTS: u32 = 250;
const REAP_PAUSE: Duration = Duration::from_millis(20);

/// One process to be run.
pub(super) struct Run {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// What it reads.
    pub input: Vec<u8>,
    /// How long it may take.
    pub time: Duration,
    /// How much it may print.
    pub maximum_output: usize,
}

/// A process that ended by itself.
pub(super) struct Ended {
    /// Whether it ended well.
    pub success: bool,
    /// What it printed.
    pub output: Vec<u8>,
    /// What it complained of; the first part, where it is much.
    pub errors: String,
}

/// Why a process gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It could not be started.
    #[error("`{program}` cannot be started: {cause}")]
    Start {
        /// The program.
        program: String,
        /// The cause.
        cause: io::Error,
    },
    /// It was ended after this time.
    #[error("it does not end within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// It was ended because it printed more.
    #[error("it prints more than {0} bytes")]
    TooMuch(usize),
    /// It was ended because nothing may be written any more.
    #[error(transparent)]
    NotLeading(NotLeading),
    /// It cannot be spoken with.
    #[error("it cannot be read from: {0}")]
    Read(io::Error),
}

impl Run {
    /// Runs it to its end.
    ///
    /// # Guarantees
    /// When this returns, or nobody waits for it any more, the process and all that it started have ended or are killed, and none of them is left
    /// as a zombie of this process.
    pub async fn ended(self) -> Result<Ended, Broken> {
        let Self { program, arguments, environment, folder, input, time, maximum_output } = self;
        let child = start(&program, &arguments, environment, &folder).await;
        let named = |cause| Broken::Start { program: program.display().to_string(), cause };
        let mut group = Group::of(child.map_err(named)?);
        let talk = async {
            let (stdin, stdout, stderr) =
                (group.child.stdin.take(), group.child.stdout.take(), group.child.stderr.take());
            let write = async {
                if let Some(mut stdin) = stdin {
                    // One that ends without reading all tells why by itself.
                    let _ = stdin.write_all(&input).await;
                    let _ = stdin.shutdown().await;
                }
            };
            let ((), output, errors) = tokio::join!(write, bounded(stdout, maximum_output), first(stderr));
            let output = output?;
            let status = group.child.wait().await.map_err(Broken::Read)?;
            Ok(Ended { success: status.success(), output, errors })
        };
        tokio::time::timeout(time, talk).await.unwrap_or(Err(Broken::Timeout(time)))
    }
}

/// Starts the process in a group of its own. Whoever writes the executable at that moment is waited for.
async fn start(
    program: &Path,
    arguments: &[OsString],
    environment: Vec<(&'static str, OsString)>,
    folder: &Path,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => tokio::time::sleep(REAP_PAUSE).await,
            child => return child,
        }
    }
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>, maximum: usize) -> Result<Vec<u8>, Broken> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(maximum as u64 + 1).read_to_end(&mut bytes).await.map_err(Broken::Read)?;
    }
    if bytes.len() > maximum { Err(Broken::TooMuch(maximum)) } else { Ok(bytes) }
}

/// The first part of a stream that is read to its end.
async fn first(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = (&mut stream).take(MAXIMUM_ERRORS as u64).read_to_end(&mut bytes).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A process and all that it started, which end with this value.
pub(super) struct Group {
    /// The process.
    pub child: Child,
    /// The group that it leads; `None` where it had ended before anybody could look.
    group: Option<Pid>,
}

impl Group {
    /// The group that `child` leads.
    pub fn of(child: Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { child, group }
    }
}

impl Drop for Group {
    /// Ends and waits for all of the group, also when its leader has ended and was waited for: Git leaves without waiting for the `ssh` or the
    /// `git-remote-https` that was refused. Where this is the first process of a container, those are ours then, and nobody else waits for them.
    ///
    /// The name of a group is given to nobody else as long as one process of it is left, be it a zombie. When none is left after the leader was
    /// waited for, this comes at once, long before the kernel has gone through all other names.
    fn drop(&mut self) {
        let Some(group) = self.group else { return };
        // There may be nobody left.
        let _ = kill_process_group(group, Signal::KILL);
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !reaped(group)
        {
            runtime.spawn(reap(group));
        }
    }
}

/// Waits for those of a group that have ended; whether no child of this process is left in it.
///
/// While one of them lives, those that it started are not ours yet; they become ours no later than it ends.
fn reaped(group: Pid) -> bool {
    loop {
        match waitpgid(group, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            // There are none.
            Err(_) => return true,
        }
    }
}

/// Waits for all of a killed group that are children of this process.
async fn reap(group: Pid) {
    for _ in 0..REAP_ATTEMPTS {
        if reaped(group) {
            return;
        }
        tokio::time::sleep(REAP_PAUSE).await;
    }
}
