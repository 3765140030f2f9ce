//! Logins of Git servers, for all that speaks to them.

use async_trait::async_trait;

use super::GitError;
use crate::model::{GitBranch, GitLogin};

/// Logins of Git servers.
#[async_trait]
pub trait GitLogins: Send + Sync {
    /// How to log in to the repository of `branch`, good to be used now. Ask anew for each use: tokens are kept, and made anew before they end,
    /// behind this.
    ///
    /// Where Argo CD has one login for reading and one for writing, it is the one for writing.
    ///
    /// # Errors
    /// `CredentialsUnavailable` where there are none, or where they cannot be read or used: it names the Secret, and never shows what is in it.
    async fn login(&self, branch: &GitBranch) -> Result<GitLogin, GitError>;
}
