//! What is read from and written to Git.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::{ApplicationId, Edit, Operation, PolicyId, SecretRef};

/// A branch of a repository, and whose credentials reach it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitBranch {
    /// The repository, as the user wrote it: an `https://`, `http://` or `ssh://` address, the form `user@host:path`, or a path of this machine
    /// in the folder mode.
    pub repository: String,
    /// The branch; `None`: the one that the remote's `HEAD` names.
    pub branch: Option<String>,
    /// Whose credentials are used.
    pub access: GitAccess,
}

/// Whose credentials reach a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GitAccess {
    /// Those that Argo CD has for the repository, as far as Applications of this project may use them.
    ArgoCd {
        /// The Argo CD project of the Application.
        project: String,
    },
    /// A Secret in the policy's namespace.
    Secret(SecretRef),
}

/// A commit: 40 or 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(String);

/// Where a branch stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitTip {
    /// The name of the branch, without `refs/heads/`.
    pub branch: String,
    /// The commit that it names.
    pub commit: CommitId,
}

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCommit {
    /// The name of its author.
    pub author: String,
    /// When its author made it.
    pub at: Timestamp,
    /// The first line of its message.
    pub subject: String,
    /// Whether it carries the trailer of our own commits.
    pub ours: bool,
}

/// What stands at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitEntry {
    /// Nothing.
    Missing,
    /// A file, with its text.
    File(String),
    /// A folder, with the names in it, sorted.
    Folder(Vec<String>),
    /// Something that is not edited, and what it is: a link, a submodule, a pointer of Git LFS, bytes that are no UTF-8, a file that is too large.
    Other(String),
}

/// All edits of one Application in one branch, decided on one commit of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitPlan {
    /// The Application.
    pub application: ApplicationId,
    /// The policy.
    pub policy: PolicyId,
    /// The branch that was read, and that the change is made on.
    pub base: GitBranch,
    /// The branch that is written; `None`: the one that was read.
    pub write_branch: Option<String>,
    /// The changes of files; never empty.
    pub files: Vec<FileChange>,
    /// The same changes in words, one an image; each [`Edit::operations`] is empty.
    pub edits: Vec<Edit>,
    /// How the commit looks.
    pub commit: CommitPlan,
}

/// The changes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file, from the root of the repository, with `/` between folders and without `.` or `..`.
    pub path: String,
    /// The document of the file, from 0.
    pub document: usize,
    /// What is changed. Every value that is replaced is tested first, so that a change by somebody else is seen at the tip.
    pub operations: Vec<Operation>,
    /// The whole text where the file does not exist; `None`: it has to exist.
    pub create: Option<String>,
}

/// How a commit looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPlan {
    /// Who makes it.
    pub via: CommitVia,
    /// The message for this Application alone: subject, empty line, body.
    pub message: String,
    /// The user's template of it, where there is one: asked again where the commit holds changes of other Applications, too.
    pub template: Option<String>,
    /// What the template sees of this Application.
    pub facts: Facts,
    /// Trailers, each once a commit: `Fairlead-Policy: argocd/web`.
    pub trailers: Vec<(String, String)>,
    /// Whether the Application wants a commit of its own.
    pub alone: bool,
    /// Who wrote it.
    pub author: CommitAuthor,
    /// Whether a `Signed-off-by` trailer is added.
    pub sign_off: bool,
    /// How it is signed; `None`: it is not.
    pub signing: Option<CommitSigning>,
}

/// What templates see of an Application.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The Application's name.
    pub application: String,
    /// Its namespace.
    pub namespace: String,
    /// The policy, `namespace/name`.
    pub policy: String,
    /// What tells destinations apart: eight hexadecimal digits.
    pub target_key: String,
    /// The changes, in the policy's order.
    pub changes: Vec<ChangeFacts>,
}

/// One change, as templates see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeFacts {
    /// The image's path, without the registry.
    pub image: String,
    /// Its alias, or nothing.
    pub alias: String,
    /// What was there: the digest where it names one, else the tag; or nothing.
    pub old_tag: String,
    /// What is written: the digest where it names one, else the tag.
    pub new_tag: String,
    /// The digest that was there, or nothing.
    pub old_digest: String,
    /// The digest that is written, or nothing.
    pub new_digest: String,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
}

/// Who makes a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum CommitVia {
    /// Fairlead, by Git: it is pushed.
    #[default]
    Git,
    /// GitHub, asked by its API: it carries GitHub's signature, and its author is the owner of the token.
    GitHubApi,
}

/// A commit that a forge is to make on a branch of its own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeCommit {
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// Where the branch has to stand still.
    pub tip: CommitId,
    /// The message: subject, empty line, body, trailers.
    pub message: String,
    /// The whole text of each file that changes, by its path from the root; never empty.
    pub files: BTreeMap<String, String>,
}

/// Who wrote a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitAuthor {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
}

/// How a commit is signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitSigning {
    /// The kind of the key.
    pub method: SigningMethod,
    /// The Secret that holds the private key.
    pub secret: SecretRef,
    /// The key in the Secret.
    pub key: String,
}

/// The kind of key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SigningMethod {
    /// An SSH key.
    Ssh,
    /// A key of `GnuPG`.
    OpenPgp,
}

/// What came of a plan: the remote branch contains every edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitWritten {
    /// The branch that contains them.
    pub branch: String,
    /// The commit that brought them, or the tip where they were there already.
    pub commit: CommitId,
    /// Whether this write made the commit.
    pub pushed: bool,
}

/// The author where a policy names none.
impl Default for CommitAuthor {
    fn default() -> Self {
        Self { name: "fairlead".to_owned(), email: "fairlead@noreply.invalid".to_owned() }
    }
}

impl CommitId {
    /// The commit `text`, if it is one: 40 or 64 hexadecimal digits in lower case.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (digits && matches!(text.len(), 40 | 64)).then_some(Self(text))
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As many digits as people read: 10.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Its name, for sentences.
impl fmt::Display for CommitVia {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Git => "Git",
            Self::GitHubApi => "GitHub's API",
        })
    }
}

/// As people write it: `https://git.example.com/web.git` and the branch, where one is named.
impl fmt::Display for GitBranch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&without_password(&self.repository))?;
        self.branch.as_ref().map_or(Ok(()), |branch| write!(formatter, "@{branch}"))
    }
}

/// An address without the part between `://` and `@`, which may hold a password.
pub(super) fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_shown_without_a_password() {
        let show = |repository: &str| {
            let access = GitAccess::ArgoCd { project: "default".to_owned() };
            GitBranch { repository: repository.to_owned(), branch: Some("main".to_owned()), access }.to_string()
        };
        assert_eq!(show("https://user:geheim@git.example.com/a/b.git"), "https://git.example.com/a/b.git@main");
        assert_eq!(show("https://git.example.com"), "https://git.example.com@main");
        assert_eq!(show("git@git.example.com:a/b.git"), "git@git.example.com:a/b.git@main");
    }

    #[test]
    fn a_commit_is_hexadecimal() {
        assert!(CommitId::new("a".repeat(40)).is_some_and(|commit| commit.short() == "aaaaaaaaaa"));
        for text in ["", "abc", &"g".repeat(40), &"A".repeat(40), &"a".repeat(41)] {
            assert_eq!(CommitId::new(text), None, "{text}");
        }
    }
}
