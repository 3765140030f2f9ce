//! Making commits in the copy of a repository, without a work tree.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::apply::{Commit, Files};
use super::command::{Git, Order, arguments};
use super::mirror::Mirror;
use super::sign::Signer;
use crate::model::{CommitAuthor, CommitId, GitEntry, Reason};
use crate::ports::GitError;

/// Makes `commits`, each on the one before, the first on `parent`; gives their ids, in order. The copy alone is changed.
///
/// Git itself makes blobs and trees, in one process for all; the commit's text is written here, so that a signature can be part of it.
///
/// # Errors
/// `SigningFailed` when one cannot be signed: then none is used.
pub(super) async fn make(
    mirror: &Mirror,
    git: &Git,
    signer: &Signer,
    parent: &CommitId,
    commits: &[Commit],
    now: Timestamp,
) -> Result<Vec<CommitId>, GitError> {
    mirror.grow();
    let trees = trees(mirror, git, parent, commits).await?;
    let mut made: Vec<CommitId> = Vec::new();
    for (commit, tree) in commits.iter().zip(trees) {
        let parent = made.last().unwrap_or(parent);
        let text = text(commit, &tree, parent, now);
        let text = match &commit.look.signing {
            None => text.whole(""),
            Some(signing) => {
                let signature = signer.sign(signing, &commit.look.author, text.whole("").as_bytes()).await?;
                let name = if tree.len() == 64 { "gpgsig-sha256" } else { "gpgsig" };
                text.whole(&format!("{name} {}\n", signature.trim_end().replace('\n', "\n ")))
            }
        };
        let what = "cannot write a commit".to_owned();
        let arguments = arguments(["hash-object", "-t", "commit", "-w", "--stdin"]);
        let id = git.run(&mirror.folder, Order { what, arguments, input: text.into_bytes(), session: None }).await?;
        made.push(id_of(&id)?);
    }
    Ok(made)
}

fn id_of(output: &[u8]) -> Result<CommitId, GitError> {
    CommitId::new(String::from_utf8_lossy(output).trim())
        .ok_or_else(|| GitError::new(Reason::GitFailed, "Git names no object where it should"))
}

/// The trees of `commits`, each on the one before.
async fn trees(mirror: &Mirror, git: &Git, parent: &CommitId, commits: &[Commit]) -> Result<Vec<String>, GitError> {
    let mut input = Vec::new();
    for (index, commit) in commits.iter().enumerate() {
        let from = if index == 0 { parent.to_string() } else { format!(":{index}") };
        let mark = index + 1;
        let head = format!("commit refs/fairlead/made\nmark :{mark}\ncommitter x <x> 0 +0000\ndata 0\n\nfrom {from}\n");
        input.extend(head.into_bytes());
        stream(&mut input, &commit.changes);
        input.extend(format!("get-mark :{mark}\n").into_bytes());
    }
    let what = "cannot make the trees of a commit".to_owned();
    let arguments_ = arguments(["fast-import", "--quiet", "--force"]);
    let marks =
        git.run(&mirror.folder, Order { what: what.clone(), arguments: arguments_, input, session: None }).await?;
    let marks = String::from_utf8_lossy(&marks).into_owned();
    let mut words = arguments(["rev-parse"]);
    words.extend(marks.lines().map(|id| format!("{id}^{{tree}}")));
    let trees = git.run(&mirror.folder, Order { what, arguments: words, input: Vec::new(), session: None }).await?;
    let trees: Vec<String> = String::from_utf8_lossy(&trees).lines().map(str::to_owned).collect();
    if trees.len() == commits.len() {
        Ok(trees)
    } else {
        Err(GitError::new(Reason::GitFailed, "Git made another number of trees than it should"))
    }
}

fn stream(input: &mut Vec<u8>, changes: &Files) {
    for (path, standing) in changes {
        let GitEntry::File(text) = &standing.entry else { continue };
        let path = path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        input.extend(format!("M {} inline \"{path}\"\ndata {}\n", standing.mode, text.len()).into_bytes());
        input.extend(text.as_bytes());
        input.push(b'\n');
    }
}

/// A commit's text in two parts, between which a signature stands.
struct Text {
    head: String,
    message: String,
}

impl Text {
    fn whole(&self, signature: &str) -> String {
        format!("{}{signature}\n{}", self.head, self.message)
    }
}

fn text(commit: &Commit, tree: &str, parent: &CommitId, now: Timestamp) -> Text {
    let author = person(&commit.look.author);
    let seconds = now.as_second();
    let mut head = format!("tree {tree}\nparent {parent}\n");
    let _ = write!(head, "author {author} {seconds} +0000\ncommitter {author} {seconds} +0000\n");
    Text { head, message: commit.message.replace('\0', "") }
}

/// `Name <mail>`, as commits hold it: without signs that would end it.
pub(super) fn person(author: &CommitAuthor) -> String {
    let clean = |text: &str| text.replace(['<', '>', '\n', '\r', '\0'], "").trim().to_owned();
    format!("{} <{}>", clean(&author.name), clean(&author.email))
}
