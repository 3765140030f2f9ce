//! The secrets of sources: a folder with one file each, as Kubernetes mounts a Secret.

use std::path::{Path, PathBuf};

use crate::lower::push_event::Source;
use crate::lower::webhook_authenticity::WebhookSecret;

/// The folder. It is read at each request, so a Secret that changes holds at once.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(PathBuf);

/// A folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secrets of webhooks in `{folder}`")]
pub struct UnreadableSecrets {
    folder: String,
    source: std::io::Error,
}

impl WebhookSecrets {
    /// The secrets in `folder`.
    ///
    /// # Errors
    /// When there is no such folder, or it may not be read.
    pub fn open(folder: &Path) -> Result<Self, UnreadableSecrets> {
        let unreadable = |source| UnreadableSecrets { folder: folder.display().to_string(), source };
        std::fs::read_dir(folder).map_err(unreadable)?;
        Ok(Self(folder.to_owned()))
    }

    /// The secret of a source now, if it has one.
    pub(super) async fn secret(&self, source: Source) -> Option<WebhookSecret> {
        match tokio::fs::read_to_string(self.0.join(source.as_str())).await {
            Ok(content) => WebhookSecret::from_file(&content),
            Err(error) => {
                tracing::debug!(%source, %error, "no secret for the webhooks of this source");
                None
            }
        }
    }

    /// The sources that have a secret now.
    pub async fn sources(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        for source in Source::ALL {
            if self.secret(source).await.is_some() {
                sources.push(source);
            }
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = WebhookSecrets::open(Path::new("/nowhere/at/all")).expect_err("it is not there");
        insta::assert_snapshot!(error, @"cannot read the secrets of webhooks in `/nowhere/at/all`");
    }
}
