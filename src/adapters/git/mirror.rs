//! A bare, shallow copy of one repository, with the files that were asked for and no work tree.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::command::{Git, Order, arguments};
use super::objects::{Object, Objects};
use super::session::{REMOTE, Session};
use crate::model::{CommitId, Reason};
use crate::ports::GitError;

/// Objects that are larger are not read.
pub(super) const MAXIMUM_FILE: usize = 4 * 1024 * 1024;

/// By how many files a copy may grow before it is made anew: each tip that is fetched adds some, and slows Git down a little.
const MAXIMUM_GROWTH: u64 = 600;

/// Without the contents of files: those that are wanted are fetched by their ids.
const FILTER: &str = "--filter=blob:none";

/// What Git says of a server that gives tips without files, but no single files: one that speaks the protocol's first version, as over SSH where
/// `AcceptEnv` does not let the wish for the second one through.
const NOT_ALONE: &[&str] = &["unadvertised object", "not our ref"];

/// The file in a copy that says that it is made, and how large it was then.
const MARK: &str = "fairlead";

/// A copy, in a folder of its own. Nothing of it is needed: another one is made in its place where it is lost.
pub(super) struct Mirror {
    /// The folder.
    pub folder: PathBuf,
    /// The name of the repository, as one login sees it.
    pub key: String,
    /// The number of this copy.
    pub serial: u64,
    /// The larger, the later it was taken into use.
    pub taken: AtomicU64,
    /// Held by whoever changes the copy.
    pub change: tokio::sync::Mutex<()>,
    objects: Objects,
    state: Mutex<State>,
}

/// How large a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// The bytes of its files.
    pub bytes: u64,
    /// How many files it has.
    files: u64,
}

/// What is known of a copy.
#[derive(Default)]
struct State {
    size: Size,
    /// What it had when what was asked of it first was there.
    fresh: Option<Size>,
    /// Whether something was added since it was measured.
    grown: bool,
    /// Whether it holds all files of its tips, because the server gives none alone.
    whole: bool,
    given_up: bool,
}

impl Mirror {
    /// The copy in `folder`, which does not exist.
    pub fn new(folder: PathBuf, key: String, serial: u64, objects: Objects, whole: bool) -> Self {
        let state = Mutex::new(State { whole, ..State::default() });
        Self { folder, key, serial, taken: AtomicU64::default(), change: tokio::sync::Mutex::default(), objects, state }
    }

    /// The copy that was found in `folder`.
    pub fn found(folder: PathBuf, key: String, serial: u64, objects: Objects) -> Self {
        let copy = Self::new(folder, key, serial, objects, false);
        let fresh = std::fs::read_to_string(copy.folder.join(MARK)).ok().and_then(|text| Size::parse(&text));
        *copy.state() = State { size: Size::of(&copy.folder), fresh, ..State::default() };
        copy
    }

    /// Makes the copy where there is none.
    pub async fn prepare(&self, git: &Git, commit: &CommitId) -> Result<(), GitError> {
        if self.is_made() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder).map_err(|error| self.local(&error))?;
        let format = if commit.as_str().len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        let arguments = arguments(["init", "--quiet", "--bare", "--template=", format]);
        let what = format!("cannot make a copy in `{}`", self.folder.display());
        git.run(&self.folder, Order { what, arguments, input: Vec::new(), session: None }).await?;
        std::fs::write(self.folder.join(MARK), "").map_err(|error| self.local(&error))
    }

    /// Whether it was made to the end.
    pub fn is_made(&self) -> bool {
        self.folder.join(MARK).exists()
    }

    /// Has it removed as soon as nobody uses it.
    pub fn give_up(&self) {
        self.state().given_up = true;
    }

    /// Tells that something is added.
    pub fn grow(&self) {
        self.state().grown = true;
    }

    /// Whether something was added since it was measured.
    pub fn has_grown(&self) -> bool {
        self.state().grown
    }

    /// Whether it holds all files of its tips.
    pub fn is_whole(&self) -> bool {
        self.state().whole
    }

    /// How large it was when it was measured last.
    pub fn size(&self) -> Size {
        self.state().size
    }

    /// Whether it has grown by more than so many bytes, or by too many files, since it was made.
    pub fn is_worn(&self, growth: u64) -> bool {
        let state = self.state();
        let fresh = state.fresh.unwrap_or_default();
        state.size.bytes > fresh.bytes.saturating_add(growth) || state.size.files > fresh.files + MAXIMUM_GROWTH
    }

    /// Finds out how large it is now. What it has when it is measured for the first time after all went `well` is what it has to have; where that
    /// is more than `limit` bytes, it is told.
    pub async fn measure(&self, well: bool, limit: u64) {
        self.state().grown = false;
        let folder = self.folder.clone();
        let Ok(size) = tokio::task::spawn_blocking(move || Size::of(&folder)).await else { return };
        let mut state = self.state();
        state.size = size;
        if well && state.fresh.is_none() {
            state.fresh = Some(size);
            drop(state);
            if size.bytes > limit {
                tracing::warn!(folder = %self.folder.display(), bytes = size.bytes, "the copy of a repository is large from the first");
            }
            if let Err(error) = std::fs::write(self.folder.join(MARK), size.text()) {
                tracing::debug!(folder = %self.folder.display(), %error, "the size of a copy is not remembered");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.grow();
        let filter = if self.is_whole() { "--no-filter" } else { FILTER };
        let mut arguments = arguments(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1"]);
        arguments.extend(["--recurse-submodules=no", filter, "--", REMOTE, refspec].map(str::to_owned));
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
            ["--no-write-fetch-head", "--recurse-submodules=no", FILTER, "--stdin", "--", REMOTE].map(str::to_owned),
        );
        let what = format!("cannot fetch files of `{shown}`");
        let input = missing.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        self.grow();
        let fetched = git.run(&self.folder, Order { what, arguments, input, session: Some(session) }).await;
        if let Err(error) = &fetched
            && NOT_ALONE.iter().any(|words| error.message.contains(words))
        {
            // The copy that is made in place of this one will do without asking for single files.
            self.state().whole = true;
        }
        fetched?;
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
        for id in ids {
            if let Some(object) = self.objects.get(self.serial, id).await {
                found.insert(id.clone(), object);
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
        for id in sizes.into_keys() {
            let object = read.remove(&id).map_or(Object::TooLarge, |bytes| Object::Bytes(Arc::new(bytes)));
            self.objects.keep(self.serial, &id, &object).await;
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

impl Drop for Mirror {
    fn drop(&mut self) {
        if self.state().given_up
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.folder.display(), %error, "a copy that is not needed any more cannot be removed");
        }
    }
}

impl Size {
    /// What the files in `folder` have, all together.
    fn of(folder: &Path) -> Self {
        let mut size = Self::default();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let Self { bytes, files } =
                if metadata.is_dir() { Self::of(&entry.path()) } else { Self { bytes: metadata.len(), files: 1 } };
            size = Self { bytes: size.bytes + bytes, files: size.files + files };
        }
        size
    }

    fn text(self) -> String {
        format!("{} {}\n", self.bytes, self.files)
    }

    fn parse(text: &str) -> Option<Self> {
        let (bytes, files) = text.trim().split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, files: files.parse().ok()? })
    }
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
