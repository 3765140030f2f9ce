//! Commits made by GitHub itself, so that they carry its signature and the badge "Verified".
//!
//! Shape: <https://docs.github.com/en/graphql/reference/mutations#createcommitonbranch>. GitHub signs for the owner of the token: a GitHub App gets the
//! badge for its bot, and an author of one's own cannot be set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::github::graphql;
use super::session::Session;
use crate::model::{CommitId, ForgeCommit, Reason};
use crate::ports::ForgeError;

/// Mutations may be large, but no change of versions is: larger is a mistake.
const MAXIMUM_BYTES: usize = 16 * 1024 * 1024;
const COMMIT: &str =
    "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }";

/// See [`crate::ports::ForgeCommits::commit`].
pub(super) async fn commit(session: &Session<'_>, commit: &ForgeCommit) -> Result<CommitId, ForgeError> {
    let ForgeCommit { branch, tip, message, files } = commit;
    let words = format!("commit to `{branch}` by GitHub's API");
    let bytes: usize = files.values().map(String::len).sum();
    if files.is_empty() || bytes > MAXIMUM_BYTES {
        let cause = format!("it has {} files with {bytes} bytes", files.len());
        return Err(session.error(Reason::ForgeRejected, &words, &cause));
    }
    let (headline, body) = message.split_once('\n').unwrap_or((message, ""));
    let additions: Vec<Value> =
        files.iter().map(|(path, text)| json!({ "path": path, "contents": STANDARD.encode(text) })).collect();
    let input = json!({
        "branch": { "repositoryNameWithOwner": session.address.full(), "branchName": branch },
        "message": { "headline": headline.trim_end(), "body": body.trim() },
        "expectedHeadOid": tip.as_str(),
        "fileChanges": { "additions": additions },
    });
    let answer = graphql(session, &words, COMMIT, json!({ "input": input })).await?;
    let made = answer["createCommitOnBranch"]["commit"]["oid"].as_str().and_then(CommitId::new);
    made.ok_or_else(|| session.error(Reason::ForgeFailed, &words, "the answer names no commit"))
}
