//! The copies of repositories, and how many bytes they have all together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mirror::Mirror;
use super::objects::Objects;

/// The digits of the name that a repository has as one login sees it.
const KEY: usize = 32;

/// Limits of copies, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// By how much one may grow before it is made anew.
    pub growth: u64,
    /// How many all may have together.
    pub all: u64,
}

/// All copies. One that is in use is never removed: whoever uses it holds it.
pub(super) struct Copies {
    folder: PathBuf,
    limits: Limits,
    objects: Objects,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By the name of the repository.
    copies: HashMap<String, Arc<Mirror>>,
    /// The number of the next copy. No folder is used twice.
    next: u64,
    /// How often one was taken, so that the order is known.
    taken: u64,
}

impl Known {
    fn take(&mut self, copy: &Mirror) {
        self.taken += 1;
        copy.taken.store(self.taken, Ordering::Relaxed);
    }
}

impl Copies {
    /// The copies that are in `folder`; what is left there of others is removed.
    pub fn found(folder: &Path, limits: Limits) -> Self {
        let copies = Self { folder: folder.to_owned(), limits, objects: Objects::default(), known: Mutex::default() };
        let modified = |entry: &std::fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let one = |entry: std::fs::DirEntry| {
            let (key, serial) = name(&entry.file_name().to_string_lossy())?;
            Some((modified(&entry), serial, key))
        };
        let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(one).collect();
        entries.sort();
        for (_, serial, key) in entries {
            let mut known = copies.known();
            known.next = known.next.max(serial + 1);
            let copy = Arc::new(Mirror::found(copies.place(&key, serial), key.clone(), serial, copies.objects.clone()));
            known.take(&copy);
            let left = match known.copies.get(&key) {
                Some(newer) if newer.serial > serial => Some(copy),
                _ if !copy.is_made() => Some(copy),
                _ => known.copies.insert(key, copy),
            };
            if let Some(left) = left {
                left.give_up();
            }
        }
        copies
    }

    /// The copy for the repository `key`, which need not be made yet.
    pub fn of(&self, key: &str) -> Arc<Mirror> {
        let mut known = self.known();
        let copy = match known.copies.get(key) {
            Some(copy) => copy.clone(),
            None => self.another(&mut known, key, false),
        };
        known.take(&copy);
        copy
    }

    /// Another copy in place of `old`, which is removed when nobody uses it any more.
    pub fn anew(&self, old: &Arc<Mirror>) -> Arc<Mirror> {
        let mut known = self.known();
        if let Some(copy) = known.copies.get(&old.key)
            && !Arc::ptr_eq(copy, old)
        {
            // Somebody else has made it anew.
            return copy.clone();
        }
        old.give_up();
        let copy = self.another(&mut known, &old.key, old.is_whole());
        known.take(&copy);
        copy
    }

    /// The same copy, or another one in its place where it has grown too large.
    pub fn fit(&self, copy: &Arc<Mirror>) -> Arc<Mirror> {
        if !copy.is_worn(self.limits.growth) {
            return copy.clone();
        }
        tracing::info!(folder = %copy.folder.display(), "the copy of a repository has grown too large and is made anew");
        self.anew(copy)
    }

    /// After `copy` was used: where it became larger, removes those that were not used for longest, as long as all together are too large.
    pub async fn tidy(&self, copy: &Arc<Mirror>, well: bool) {
        if !copy.has_grown() {
            return;
        }
        copy.measure(well, self.limits.growth).await;
        let removed = self.removed();
        // Each is removed with its last user, which is this.
        if tokio::task::spawn_blocking(move || drop(removed)).await.is_err() {
            tracing::debug!("copies of repositories are removed at the next start");
        }
    }

    /// Takes out copies that nobody uses, the one that was not used for longest first.
    fn removed(&self) -> Vec<Arc<Mirror>> {
        let mut known = self.known();
        let mut total: u64 = known.copies.values().map(|copy| copy.size().bytes).sum();
        // Whoever begins to use one needs the lock that is held here.
        let free = known.copies.iter().filter(|(_, copy)| Arc::strong_count(copy) == 1);
        let mut free: Vec<_> = free.map(|(key, copy)| (copy.taken.load(Ordering::Relaxed), key.clone())).collect();
        free.sort();
        let mut removed = Vec::new();
        for (_, key) in free {
            if total <= self.limits.all {
                break;
            }
            if let Some(copy) = known.copies.remove(&key) {
                copy.give_up();
                total = total.saturating_sub(copy.size().bytes);
                removed.push(copy);
            }
        }
        removed
    }

    fn another(&self, known: &mut Known, key: &str, whole: bool) -> Arc<Mirror> {
        let serial = known.next;
        known.next += 1;
        let folder = self.place(key, serial);
        let copy = Arc::new(Mirror::new(folder, key.to_owned(), serial, self.objects.clone(), whole));
        known.copies.insert(key.to_owned(), copy.clone());
        copy
    }

    fn place(&self, key: &str, serial: u64) -> PathBuf {
        self.folder.join(format!("{key}-{serial}.git"))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The repository and the number that the name of a folder states.
fn name(folder: &str) -> Option<(String, u64)> {
    let (key, serial) = folder.strip_suffix(".git")?.split_once('-')?;
    let is_key = key.len() == KEY && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| serial.parse().ok().map(|serial| (key.to_owned(), serial)))?
}
