//! Files that nobody else reads, and that end with this process.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A text that a child process reads as a file, for as long as this value lives.
///
/// On Linux it lies in memory, under a path of this process in `/proc`; never on a disk, and gone with this process however it ends. Elsewhere it
/// is a file with mode 0600 that is removed in the end.
pub(super) struct PrivateFile {
    path: PathBuf,
    #[cfg(target_os = "linux")]
    _memory: std::fs::File,
    #[cfg(not(target_os = "linux"))]
    _file: tempfile::TempPath,
}

impl PrivateFile {
    /// A file with this text.
    #[cfg(target_os = "linux")]
    pub fn new(text: &str) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;

        use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
        let descriptor = memfd_create("fairlead", MemfdFlags::CLOEXEC)?;
        fchmod(&descriptor, Mode::RUSR | Mode::WUSR)?;
        let mut memory = std::fs::File::from(descriptor);
        memory.write_all(text.as_bytes())?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
        Ok(Self { path: path.into(), _memory: memory })
    }

    /// A file with this text.
    #[cfg(not(target_os = "linux"))]
    pub fn new(text: &str) -> io::Result<Self> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        let file = file.into_temp_path();
        Ok(Self { path: file.to_path_buf(), _file: file })
    }

    /// Where children read it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
