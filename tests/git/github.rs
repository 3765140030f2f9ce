//! A stand-in for what GitHub does when it is asked for a commit, in a real repository.
//!
//! Shapes: <https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch>, and its failures as GitHub words them.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Makes the commit that `body` asks for in a repository below `folder`; what GitHub answers with the status 200.
pub fn commit(folder: &Path, body: &Value) -> Value {
    let (query, input) = (body["query"].as_str().unwrap_or_default(), &body["variables"]["input"]);
    assert!(query.contains("createCommitOnBranch(input: $input) { commit { oid } }"), "{query}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, branch) = (text(&input["branch"]["repositoryNameWithOwner"]), text(&input["branch"]["branchName"]));
    let repository = folder.join(format!("{name}.git"));
    let reference = format!("refs/heads/{branch}");
    let Some(tip) = git(&repository, &["rev-parse", "--verify", "--quiet", &reference], b"") else {
        return failed("NOT_FOUND", "A branch that does not exist cannot be committed to");
    };
    let expected = text(&input["expectedHeadOid"]);
    let stale = format!("Expected branch to point to \"{expected}\" but it did not.  Pull and try again.");
    if tip != expected {
        return failed("STALE_DATA", &stale);
    }
    let tree = tree(&repository, &tip, input["fileChanges"]["additions"].as_array().expect("files"));
    let message = format!("{}\n\n{}\n", text(&input["message"]["headline"]), text(&input["message"]["body"]));
    let people = "author octo-bot <octo-bot@users.noreply.github.com> 1700000000 +0000\n\
                  committer GitHub <noreply@github.com> 1700000000 +0000";
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n of GitHub\n -----END PGP SIGNATURE-----";
    let commit = format!("tree {tree}\nparent {tip}\n{people}\n{signature}\n\n{message}");
    let made = git(&repository, &["hash-object", "-t", "commit", "-w", "--stdin"], commit.as_bytes());
    let made = made.expect("the commit is one");
    match git(&repository, &["update-ref", &reference, &made, &tip], b"") {
        Some(_) => json!({ "data": { "createCommitOnBranch": { "commit": { "oid": made } } } }),
        None => failed("STALE_DATA", &stale),
    }
}

/// GraphQL tells of failures in answers of success.
pub fn failed(kind: &str, message: &str) -> Value {
    let error = json!({ "type": kind, "path": ["createCommitOnBranch"], "message": message });
    json!({ "data": { "createCommitOnBranch": null }, "errors": [error] })
}

/// The tree of `tip` with these files in it.
fn tree(repository: &Path, tip: &str, additions: &[Value]) -> String {
    let index = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    let index = index.to_str().expect("a readable path").to_owned();
    // Git takes no empty file for an index.
    std::fs::remove_file(&index).expect("ours");
    let with =
        |arguments: &[&str]| git_with(repository, arguments, b"", &[("GIT_INDEX_FILE", &index)]).expect("Git takes it");
    with(&["read-tree", tip]);
    for addition in additions {
        let contents = STANDARD.decode(addition["contents"].as_str().expect("a text")).expect("base64");
        let blob = git(repository, &["hash-object", "-w", "--stdin"], &contents).expect("a file");
        let path = addition["path"].as_str().expect("a path");
        with(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    }
    let tree = with(&["write-tree"]);
    std::fs::remove_file(&index).expect("ours");
    tree
}

fn git(repository: &Path, arguments: &[&str], input: &[u8]) -> Option<String> {
    git_with(repository, arguments, input, &[])
}

fn git_with(repository: &Path, arguments: &[&str], input: &[u8], variables: &[(&str, &str)]) -> Option<String> {
    let mut command = Command::new("git");
    command.current_dir(repository).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("Git starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input).expect("Git reads");
    let output = child.wait_with_output().expect("Git ends");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
