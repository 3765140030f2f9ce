//! Folders for `gpg`, which takes a private key in no other way.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// How their names begin.
const PREFIX: &str = "fairlead-gpg-";

/// Memory that looks like a folder: Linux and containers have it.
const MEMORY: &str = "/dev/shm";

const TRIES: usize = 3;

/// Where folders are made.
pub(super) struct Homes {
    places: Vec<PathBuf>,
}

/// A folder that nobody else may look into, removed with this value.
///
/// It lies in memory, or, where a machine has no such place, in the folder for copies. Should this process be killed meanwhile, its lock is gone, and
/// the next start removes the folder.
pub(super) struct Home {
    folder: TempDir,
    _lock: File,
}

impl Homes {
    /// Makes folders in memory, or else in `state`; what processes that were killed left in both is removed.
    pub fn swept(state: &Path) -> Self {
        let memory = Path::new(MEMORY);
        let places: Vec<PathBuf> = [memory, state]
            .into_iter()
            .filter(|place| *place == state || is_memory(place))
            .map(Path::to_owned)
            .collect();
        for place in &places {
            sweep(place);
        }
        Self { places }
    }

    /// A new folder.
    pub fn make(&self) -> io::Result<Home> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        // A start of another process may remove one between its making and its lock: then there is another try.
        for place in self.places.iter().flat_map(|place| [place; TRIES]) {
            match home(place) {
                Ok(home) => return Ok(home),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Home {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn home(place: &Path) -> io::Result<Home> {
    let folder =
        tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(place)?;
    let lock = File::open(folder.path())?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    std::fs::symlink_metadata(folder.path())?;
    Ok(Home { folder, _lock: lock })
}

#[cfg(target_os = "linux")]
fn is_memory(place: &Path) -> bool {
    /// What the kernel says of a file system that lies in memory.
    const TMPFS: u64 = 0x0102_1994;
    rustix::fs::statfs(place).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == TMPFS))
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}

/// Removes the folders in `place` whose process has ended: the lock on each ends with the process that made it.
fn sweep(place: &Path) {
    let ours = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_ours = entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == ours);
        if !named || !is_ours {
            continue;
        }
        let free = |folder: &File| flock(folder, FlockOperation::NonBlockingLockExclusive).is_ok();
        if File::open(entry.path()).is_ok_and(|folder| free(&folder))
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "a key that a killed process left behind cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_for_us_alone_and_lies_in_memory() {
        let state = tempfile::tempdir().expect("a folder");
        let home = Homes::swept(state.path()).make().expect("a home");
        assert_eq!(home.path().metadata().expect("ours").permissions().mode() & 0o777, 0o700);
        assert_eq!(home.path().starts_with(MEMORY), is_memory(Path::new(MEMORY)));
        let path = home.path().to_owned();
        drop(home);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_stays() {
        let state = tempfile::tempdir().expect("a folder");
        let homes = Homes { places: vec![state.path().to_owned()] };
        let used = homes.make().expect("a home");
        let left = state.path().join(format!("{PREFIX}left"));
        std::fs::create_dir(&left).expect("ours");
        std::fs::write(left.join("key"), "secret").expect("ours");
        std::fs::create_dir(state.path().join("else")).expect("ours");
        Homes::swept(state.path());
        assert!(used.path().exists() && !left.exists() && state.path().join("else").exists());
    }
}
