//! What stands at the paths of a commit, by its trees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::command::Git;
use super::mirror::Mirror;
use super::objects::Object;
use super::session::Session;
use crate::model::{CommitId, GitEntry, Reason};
use crate::ports::GitError;

/// How the text of a pointer of Git LFS begins.
const LFS: &str = "version https://git-lfs.github.com/spec/v1";

/// What stands at a path, and the mode of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// What stands there.
    pub entry: GitEntry,
    /// `100644`, or `100755` for an executable.
    pub mode: &'static str,
}

/// The mode of files that are made.
pub(super) const PLAIN: &str = "100644";

/// How far a path is followed.
enum Way<'a> {
    /// In this tree, with these names still to go.
    Tree(String, Vec<&'a str>),
    /// At this file.
    Blob(String, &'static str),
    /// To its end.
    End(GitEntry),
}

/// What stands at `paths` of `commit`, which the copy has.
pub(super) async fn standing(
    mirror: &Mirror,
    git: &Git,
    session: &Session,
    commit: &CommitId,
    paths: &BTreeSet<String>,
    shown: &str,
) -> Result<BTreeMap<String, Standing>, GitError> {
    let root = root(mirror, git, session, commit, shown).await?;
    let mut ways: BTreeMap<&String, Way<'_>> = paths.iter().map(|path| (path, begin(&root, path))).collect();
    loop {
        let trees: BTreeSet<String> = ways.values().filter_map(Way::tree).cloned().collect();
        if trees.is_empty() {
            break;
        }
        let objects = mirror.objects(git, session, &trees, shown).await?;
        for way in ways.values_mut() {
            if let Way::Tree(id, rest) = way {
                let entries = match objects.get(id) {
                    Some(Object::Bytes(bytes)) => entries(bytes, id.len() / 2).ok_or_else(|| unreadable(id, shown))?,
                    _ => return Err(unreadable(id, shown)),
                };
                *way = step(&entries, std::mem::take(rest));
            }
        }
    }
    let blobs: BTreeSet<String> = ways.values().filter_map(Way::blob).cloned().collect();
    let objects = mirror.objects(git, session, &blobs, shown).await?;
    let end = |way: Way<'_>| match way {
        Way::Blob(id, mode) => Standing { entry: file(objects.get(&id)), mode },
        Way::End(entry) => Standing { entry, mode: PLAIN },
        Way::Tree(..) => Standing { entry: GitEntry::Missing, mode: PLAIN },
    };
    Ok(ways.into_iter().map(|(path, way)| (path.clone(), end(way))).collect())
}

/// The text of a commit that the copy has, or can fetch.
pub(super) async fn commit_text(
    mirror: &Mirror,
    git: &Git,
    session: &Session,
    commit: &CommitId,
    shown: &str,
) -> Result<String, GitError> {
    let ids = BTreeSet::from([commit.as_str().to_owned()]);
    match mirror.objects(git, session, &ids, shown).await?.remove(commit.as_str()) {
        Some(Object::Bytes(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Err(unreadable(commit.as_str(), shown)),
    }
}

/// The value of the first header `name` of a commit's text.
pub(super) fn header<'a>(commit: &'a str, name: &str) -> Option<&'a str> {
    let lines = commit.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.split_once(' ')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

async fn root(
    mirror: &Mirror,
    git: &Git,
    session: &Session,
    commit: &CommitId,
    shown: &str,
) -> Result<String, GitError> {
    let text = commit_text(mirror, git, session, commit, shown).await?;
    header(&text, "tree").map(str::to_owned).ok_or_else(|| unreadable(commit.as_str(), shown))
}

/// An object that is no such object.
pub(super) fn unreadable(id: &str, shown: &str) -> GitError {
    GitError::new(Reason::GitFailed, format!("the object {id} of `{shown}` cannot be read"))
}

fn begin<'a>(root: &str, path: &'a str) -> Way<'a> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| matches!(*name, "." | "..") || name.eq_ignore_ascii_case(".git")) {
        return Way::End(GitEntry::Other("a path with `.`, `..` or `.git`".to_owned()));
    }
    Way::Tree(root.to_owned(), names)
}

impl Way<'_> {
    fn tree(&self) -> Option<&String> {
        if let Self::Tree(id, _) = self { Some(id) } else { None }
    }

    fn blob(&self) -> Option<&String> {
        if let Self::Blob(id, _) = self { Some(id) } else { None }
    }
}

/// Two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An entry of a tree: mode, name, id.
type TreeEntry<'a> = (&'a [u8], &'a [u8], String);

/// The entries of a tree whose ids have `width` bytes.
fn entries(mut bytes: &[u8], width: usize) -> Option<Vec<TreeEntry<'_>>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let (mode, name) = (&bytes[..space], bytes.get(space + 1..end)?);
        let id = bytes.get(end + 1..end + 1 + width)?;
        entries.push((mode, name, hex(id)));
        bytes = &bytes[end + 1 + width..];
    }
    Some(entries)
}

/// One name further.
fn step<'a>(entries: &[TreeEntry<'_>], mut rest: Vec<&'a str>) -> Way<'a> {
    if rest.is_empty() {
        let mut names: Vec<String> =
            entries.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        names.sort();
        return Way::End(GitEntry::Folder(names));
    }
    let name = rest.remove(0);
    let Some((mode, _, id)) = entries.iter().find(|(_, found, _)| *found == name.as_bytes()) else {
        return Way::End(GitEntry::Missing);
    };
    let other = |what: &str| Way::End(GitEntry::Other(what.to_owned()));
    match (*mode, rest.is_empty()) {
        (b"40000", _) => Way::Tree(id.clone(), rest),
        (b"120000", true) => other("a link"),
        (b"120000", false) => other("a path that leads through a link"),
        (b"160000", _) => other("a submodule"),
        (_, false) => other("a path that leads through a file"),
        (b"100755", true) => Way::Blob(id.clone(), "100755"),
        (_, true) => Way::Blob(id.clone(), PLAIN),
    }
}

fn file(object: Option<&Object>) -> GitEntry {
    let bytes = match object {
        Some(Object::Bytes(bytes)) => bytes,
        Some(Object::TooLarge) => return GitEntry::Other("a file that is too large".to_owned()),
        None => return GitEntry::Missing,
    };
    match str::from_utf8(bytes) {
        Ok(text) if text.starts_with(LFS) => GitEntry::Other("a pointer of Git LFS".to_owned()),
        Ok(text) => GitEntry::File(text.to_owned()),
        Err(_) => GitEntry::Other("a file that is no UTF-8 text".to_owned()),
    }
}
