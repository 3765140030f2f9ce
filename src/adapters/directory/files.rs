//! The file system: what lies in a folder, and how a file is replaced.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Longer files are not read.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What lies in a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// YAML and JSON files, sorted by name.
    pub files: Vec<Found>,
    /// What was not read, and why.
    pub skipped: Vec<(String, String)>,
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Its name below the folder, with `/` between the parts.
    pub name: String,
    /// Where it really lies.
    pub path: PathBuf,
}

/// Why a file was not replaced.
#[derive(Debug)]
pub(super) enum ReplaceError {
    /// It holds something else than expected.
    Changed,
    /// It cannot be written.
    Failed(io::Error),
}

/// The folder, past all links.
pub(super) fn open(folder: &Path) -> io::Result<PathBuf> {
    let root = fs::canonicalize(folder)?;
    if fs::metadata(&root)?.is_dir() { Ok(root) } else { Err(io::Error::from(io::ErrorKind::NotADirectory)) }
}

/// All YAML and JSON files below `root`. Hidden files and folders are left out; links are followed within the folder alone.
pub(super) fn list(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let mut seen = BTreeSet::from([root.to_owned()]);
    look_into(root, root, "", &mut seen, &mut listing);
    listing.files.sort();
    listing.skipped.sort();
    listing
}

fn look_into(root: &Path, folder: &Path, prefix: &str, seen: &mut BTreeSet<PathBuf>, listing: &mut Listing) {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return listing.skipped.push((format!("{prefix}."), format!("cannot be listed: {error}"))),
    };
    let mut entries: Vec<_> = entries.into_iter().map(|entry| (entry.file_name(), entry.path())).collect();
    entries.sort();
    for (file_name, path) in entries {
        let Some(file_name) = file_name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let name = format!("{prefix}{file_name}");
        match look_at(root, &path) {
            Looked::Folder(path) if seen.insert(path.clone()) => {
                look_into(root, &path, &format!("{name}/"), seen, listing);
            }
            Looked::File(path) if seen.insert(path.clone()) => listing.files.push(Found { name, path }),
            Looked::Folder(_) | Looked::File(_) | Looked::Other => {}
            Looked::Skipped(cause) => listing.skipped.push((name, cause)),
        }
    }
}

enum Looked {
    Folder(PathBuf),
    File(PathBuf),
    Other,
    Skipped(String),
}

fn look_at(root: &Path, path: &Path) -> Looked {
    let real = fs::canonicalize(path).and_then(|real| fs::metadata(&real).map(|metadata| (real, metadata)));
    let is_manifest = matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml" | "json"));
    match real {
        Err(error) if is_manifest => Looked::Skipped(format!("cannot be read: {error}")),
        Ok((real, metadata)) if metadata.is_dir() || is_manifest => {
            if !real.starts_with(root) {
                Looked::Skipped("is a link out of the folder and is not followed".to_owned())
            } else if metadata.is_dir() {
                Looked::Folder(real)
            } else if metadata.len() > LONGEST {
                Looked::Skipped(format!("is longer than {} MiB and is not read", LONGEST / 1024 / 1024))
            } else if metadata.is_file() {
                Looked::File(real)
            } else {
                Looked::Other
            }
        }
        Ok(_) | Err(_) => Looked::Other,
    }
}

/// The text of a file.
pub(super) fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

/// Puts `text` in place of a file that holds `expected`: whole or not at all, with the permissions that it has.
pub(super) fn replace(path: &Path, expected: &str, text: &str) -> Result<(), ReplaceError> {
    let failed = ReplaceError::Failed;
    let folder = path.parent().ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))?;
    let permissions = fs::metadata(path).map_err(failed)?.permissions();
    let mut file = tempfile::Builder::new().prefix(".fairlead-").suffix(".tmp").tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(permissions).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    if read(path).map_err(failed)? != expected {
        return Err(ReplaceError::Changed);
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    // Makes the new name last; where folders cannot be synchronised, the file is whole all the same.
    drop(File::open(folder).and_then(|folder| folder.sync_all()));
    Ok(())
}

/// A folder that is gone, with all in it, when this is dropped.
#[derive(Debug)]
pub struct TemporaryFolder(tempfile::TempDir);

impl TemporaryFolder {
    /// A new folder with these files: names and texts.
    pub fn new(files: &[(&str, &str)]) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fairlead-demo-").tempdir()?;
        for (name, text) in files {
            fs::write(folder.path().join(name), text)?;
        }
        Ok(Self(folder))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The text of a file in it.
    pub fn read(&self, name: &str) -> io::Result<String> {
        read(&self.0.path().join(name))
    }
}
