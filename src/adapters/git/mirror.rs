//! A bare, shallow copy of one repository, with the files that were asked for and no work tree.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::command::{Git, Order, arguments};
use super::session::{REMOTE, Session};
use crate::model::{CommitId, Reason};
use crate::ports::GitError;

/// Objects that are larger are not read.
pub(super) const MAXIMUM_FILE: usize = 4 * 1024 * 1024;

/// How many bytes of objects are kept in memory for one repository.
const MAXIMUM_CACHE: usize = 8 * 1024 * 1024;

/// An object of Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// Its bytes.
    Bytes(Arc<Vec<u8>>),
    /// It is larger than [`MAXIMUM_FILE`].
    TooLarge,
}

/// A copy, in a folder of its own. Nothing of it is needed: it is made anew where it is lost.
pub(super) struct Mirror {
    /// The folder.
    pub folder: PathBuf,
    cache: Mutex<Cache>,
    /// Held by whoever changes the copy, or relies on it not being made anew.
    pub change: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Cache {
    objects: HashMap<String, Object>,
    bytes: usize,
}

impl Mirror {
    /// The copy in `folder`, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, cache: Mutex::default(), change: tokio::sync::Mutex::default() }
    }

    /// Makes the copy where there is none; an existing one that is larger than `maximum` bytes is made anew.
    pub async fn prepare(&self, git: &Git, commit: &CommitId, maximum: u64) -> Result<(), GitError> {
        if self.folder.join("fairlead").exists() {
            if self.size() <= maximum {
                return Ok(());
            }
            tracing::info!(folder = %self.folder.display(), "the copy of a repository has grown too large and is made anew");
        }
        self.discard()?;
        std::fs::create_dir_all(&self.folder).map_err(|error| self.local(&error))?;
        let format = if commit.as_str().len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let arguments = arguments(["init", "--quiet", "--bare", "--template=", format]);
        let what = format!("cannot make a copy in `{}`", self.folder.display());
        git.run(&self.folder, Order { what, arguments, input: Vec::new(), session: None }).await?;
        std::fs::write(self.folder.join("fairlead"), "").map_err(|error| self.local(&error))
    }

    /// Throws the copy away.
    pub fn discard(&self) -> Result<(), GitError> {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Cache::default();
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.local(&error)),
            _ => Ok(()),
        }
    }

    /// How many bytes its files have.
    fn size(&self) -> u64 {
        folder_size(&self.folder)
    }

    fn local(&self, error: &std::io::Error) -> GitError {
        GitError::new(Reason::GitFailed, format!("cannot keep a copy in `{}`: {error}", self.folder.display()))
    }

    /// Sees to it that `commit`, which a branch named just now, is in the copy.
    pub async fn ensure(
        &self,
        git: &Git,
        session: &Session,
        branch: &str,
        commit: &CommitId,
        shown: &str,
    ) -> Result<(), GitError> {
        if self.local_objects(git, &[commit.as_str().to_owned()]).await?.contains_key(commit.as_str()) {
            return Ok(());
        }
        self.fetch(git, session, &format!("+refs/heads/{branch}:refs/fairlead/heads/{branch}"), shown).await?;
        if self.local_objects(git, &[commit.as_str().to_owned()]).await?.contains_key(commit.as_str()) {
            return Ok(());
        }
        // The branch has moved since. Servers of the protocol's second version give any commit.
        self.fetch(git, session, &format!("+{commit}:refs/fairlead/commit"), shown).await
    }

    async fn fetch(&self, git: &Git, session: &Session, refspec: &str, shown: &str) -> Result<(), GitError> {
        let mut arguments = arguments(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1"]);
        arguments.extend(["--recurse-submodules=no", "--filter=blob:none", "--", REMOTE, refspec].map(str::to_owned));
        let what = format!("cannot fetch `{shown}`");
        git.run(&self.folder, Order { what, arguments, input: Vec::new(), session: Some(session) }).await.map(|_| ())
    }

    /// The objects `ids`, fetched together where the copy lacks some.
    pub async fn objects(
        &self,
        git: &Git,
        session: &Session,
        ids: &BTreeSet<String>,
        shown: &str,
    ) -> Result<HashMap<String, Object>, GitError> {
        let wanted: Vec<String> = ids.iter().cloned().collect();
        let mut found = self.local_objects(git, &wanted).await?;
        let missing: Vec<String> = wanted.into_iter().filter(|id| !found.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        // As Git itself fetches what a partial clone lacks: without a word on what is here, so that all is sent.
        let mut arguments = arguments(["-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"]);
        arguments.extend(
            ["--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin", "--", REMOTE]
                .map(str::to_owned),
        );
        let what = format!("cannot fetch files of `{shown}`");
        let input = missing.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        git.run(&self.folder, Order { what, arguments, input, session: Some(session) }).await?;
        found.extend(self.local_objects(git, &missing).await?);
        match missing.iter().find(|id| !found.contains_key(*id)) {
            Some(id) => {
                Err(GitError::new(Reason::GitFailed, format!("the server of `{shown}` does not give the object {id}")))
            }
            None => Ok(found),
        }
    }

    /// Those of the objects `ids` that the copy has.
    pub async fn local_objects(&self, git: &Git, ids: &[String]) -> Result<HashMap<String, Object>, GitError> {
        let mut found = HashMap::new();
        {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            for id in ids {
                if let Some(object) = cache.objects.get(id) {
                    found.insert(id.clone(), object.clone());
                }
            }
        }
        let unknown: Vec<&String> = ids.iter().filter(|id| !found.contains_key(*id)).collect();
        if unknown.is_empty() {
            return Ok(found);
        }
        let sizes = self.cat_file(git, "--batch-check", &unknown).await?;
        let sizes = parse_sizes(&sizes);
        let small: Vec<&String> =
            unknown.into_iter().filter(|id| sizes.get(*id).is_some_and(|size| *size <= MAXIMUM_FILE)).collect();
        let mut read = BTreeMap::new();
        if !small.is_empty() {
            read = parse_objects(&self.cat_file(git, "--batch", &small).await?)
                .ok_or_else(|| GitError::new(Reason::GitFailed, "the answer of `git cat-file` cannot be read"))?;
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, size) in sizes {
            let object = read.remove(&id).map_or(Object::TooLarge, |bytes| Object::Bytes(Arc::new(bytes)));
            cache.keep(&id, &object, size);
            found.insert(id, object);
        }
        Ok(found)
    }

    async fn cat_file(&self, git: &Git, mode: &str, ids: &[&String]) -> Result<Vec<u8>, GitError> {
        let input = ids.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        let what = "cannot read objects of the copy".to_owned();
        git.run(&self.folder, Order { what, arguments: arguments(["cat-file", mode]), input, session: None }).await
    }
}

impl Cache {
    fn keep(&mut self, id: &str, object: &Object, size: usize) {
        if *object == Object::TooLarge || size > MAXIMUM_CACHE / 4 {
            return;
        }
        if self.bytes + size > MAXIMUM_CACHE {
            *self = Self::default();
        }
        if self.objects.insert(id.to_owned(), object.clone()).is_none() {
            self.bytes += size;
        }
    }
}

/// How many bytes the files in `folder` have, all together.
pub(super) fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// The sizes of the objects that are there, from `<id> <kind> <size>` and `<id> missing`.
fn parse_sizes(output: &[u8]) -> BTreeMap<String, usize> {
    let text = String::from_utf8_lossy(output);
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (id, _, size) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some((id.to_owned(), size))
    };
    text.lines().filter_map(line).collect()
}

/// The objects, from `<id> <kind> <size>`, the bytes and a line end each.
fn parse_objects(mut output: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut objects = BTreeMap::new();
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n')?;
        let head = str::from_utf8(&output[..end]).ok()?;
        output = &output[end + 1..];
        let mut words = head.split(' ');
        let (id, kind) = (words.next()?, words.next()?);
        if kind == "missing" {
            continue;
        }
        let size: usize = words.next()?.parse().ok()?;
        objects.insert(id.to_owned(), output.get(..size)?.to_vec());
        output = output.get(size + 1..)?;
    }
    Some(objects)
}
